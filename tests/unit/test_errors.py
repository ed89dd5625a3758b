from __future__ import annotations

import inspect
import pickle

import pytest

from bodega import errors
from bodega.errors import AddressInUse, BodegaError, ConfigInvalid, OriginTimeout, Problem, format_path

EXCEPTIONS = [each for _, each in inspect.getmembers(errors, inspect.isclass) if issubclass(each, BodegaError)]


@pytest.mark.parametrize("exception", EXCEPTIONS, ids=lambda each: each.__name__)
def test_every_exception_is_drawn_in_the_tree(exception: type[BodegaError]) -> None:
    assert exception.__name__ in (errors.__doc__ or "")


@pytest.mark.parametrize("exception", EXCEPTIONS, ids=lambda each: each.__name__)
def test_every_exception_can_be_made_of_a_text_alone_and_survives_pickling(exception: type[BodegaError]) -> None:
    error = pickle.loads(pickle.dumps(exception("it broke", hint="mend it")))
    assert str(error) == "it broke; mend it"
    assert error.hint == "mend it"


def test_an_address_in_use_is_an_os_error_with_its_owner() -> None:
    error = AddressInUse("taken", address="127.0.0.1:80", owner="nginx (pid 812)")
    assert isinstance(error, OSError)
    assert (error.address, error.owner) == ("127.0.0.1:80", "nginx (pid 812)")


def test_a_timeout_of_an_origin_is_a_timeout() -> None:
    assert issubclass(OriginTimeout, TimeoutError)


def test_a_config_error_says_where_what_and_what_would_be_right() -> None:
    error = ConfigInvalid("no", hint="yes", path=("a", 2, "b c"), file="x.toml", line=3)
    assert str(error) == 'x.toml:3: a[2]."b c": no; yes'
    assert (error.file, error.line, error.path) == ("x.toml", 3, ("a", 2, "b c"))
    assert isinstance(error, ValueError)


def test_a_config_error_of_several_problems_lists_them_one_a_line() -> None:
    error = ConfigInvalid.of([Problem("one", path=("a",)), Problem("two")]).under("top")
    assert str(error) == "top.a: one\ntop: two"
    assert error.what == "one"


@pytest.mark.parametrize(
    ("path", "written"),
    [((), ""), (("a",), "a"), (("a", "b-c", 0, "d"), "a.b-c[0].d"), (("a", "b.c"), 'a."b.c"'), (("", 1), '""[1]')],
)
def test_a_path_is_written_as_a_person_would(path: tuple[str | int, ...], written: str) -> None:
    assert format_path(path) == written
