"""The mission's invalidation system, used as an application uses it: in front of real edges, whoever commands them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.integration.control.conftest import ControlProcess

import bodega
from bodega.errors import PurgeUnfinished, SelectorInvalid
from bodega.testing import Answer, Origin, Received, wait_until

KEPT = (
    "user:123:profile",
    "user:123:cart",
    "user:1234:cart",
    "prediction:fraud:42",
    "prediction:spam:42",
    "embedding:fraud:a",
    "model:fraud",
    "model:fraud@v3",
    "model:fraudulent",
)


class Application:
    """What an application sees: two edges that keep what its keys name, and the system that makes them forget.

    Attributes:
        system: Tells the edges.
        edges: Keep each key's answer, which carries the key as a tag.
    """

    def __init__(self, system: bodega.CacheInvalidationSystem, edges: list[bodega.EdgeServer]) -> None:
        self.system = system
        self.edges = edges
        assert self.forgotten() == set(KEPT)
        assert self.forgotten() == set()

    def forgotten(self) -> set[str]:
        """Ask for everything; return what was not there any more. It is, afterwards."""
        [gone] = {frozenset(key for key in KEPT if not self.is_hit(edge, key)) for edge in self.edges}
        return set(gone)

    def is_hit(self, edge: bodega.EdgeServer, key: str) -> bool:
        return "; hit" in str(edge.request("GET", f"/{key}").cache_status)


@pytest.fixture
def origin() -> Iterator[Origin]:
    """Tags each answer with what its path names."""

    def tagged(asked: Received) -> Answer:
        return Answer(b"x", headers={"Cache-Control": "max-age=3600", "Cache-Tag": asked.target.removeprefix("/")})

    with Origin({"*": tagged}) as origin:
        yield origin


@pytest.fixture(params=["edges in this process", "admin listeners", "a control process"])
def application(request: pytest.FixtureRequest, origin: Origin, tmp_path: Path) -> Iterator[Application]:
    with ExitStack() as stack:
        if request.param == "a control process":
            control = ControlProcess(tmp_path)
            control.start()
            stack.callback(control.end)
            fleet = stack.enter_context(bodega.connect(control.url, control.token))
            declared = bodega.Distribution("shop", behaviors=[bodega.Behavior(origin=origin.url)])
            fleet.configurations.publish(declared)
            edges = [
                stack.enter_context(bodega.EdgeServer(name=name, control=control.url, control_token=token))
                for name in ("tokyo-1", "paris-1")
                for token in (fleet.edges.invite(name).token,)
            ]
            wait_until(lambda: [each.revision for each in fleet.edges.list() if each.is_here] == [1, 1])
            yield Application(bodega.CacheInvalidationSystem(fleet), edges)
            return
        admin = "127.0.0.1:0" if request.param == "admin listeners" else "off"
        edges = [stack.enter_context(bodega.EdgeServer(origin_url=origin.url, admin=admin)) for _ in range(2)]
        named = [str(edge.admin_url) for edge in edges] if admin != "off" else edges
        yield Application(bodega.CacheInvalidationSystem(named), edges)


def test_keys_are_forgotten_everywhere(application: Application) -> None:
    done = application.system.invalidate(["user:123:profile", "prediction:spam:42"]).wait(timeout="30s")
    assert done.is_complete
    assert len(done.applied) == len(application.edges)
    assert application.forgotten() == {"user:123:profile", "prediction:spam:42"}


def test_patterns_are_forgotten_everywhere(application: Application) -> None:
    application.system.invalidate("user:123:*", pattern=True).wait(timeout="30s")
    assert application.forgotten() == {"user:123:profile", "user:123:cart"}
    application.system.invalidate(["prediction:*", "embedding:*"], pattern=True).wait(timeout="30s")
    assert application.forgotten() == {"prediction:fraud:42", "prediction:spam:42", "embedding:fraud:a"}
    application.system.invalidate("model:*", pattern=True).wait(timeout="30s")
    assert application.forgotten() == {"model:fraud", "model:fraud@v3", "model:fraudulent"}


@pytest.mark.parametrize("prefix", ["user:123:", "user:123:*"])
def test_a_prefix_is_forgotten_everywhere(application: Application, prefix: str) -> None:
    application.system.invalidate_prefix(prefix).wait(timeout="30s")
    assert application.forgotten() == {"user:123:profile", "user:123:cart"}


def test_what_a_model_made_is_forgotten_and_nothing_of_another(application: Application) -> None:
    application.system.invalidate_model_update("fraud").wait(timeout="30s")
    assert application.forgotten() == {"prediction:fraud:42", "embedding:fraud:a", "model:fraud", "model:fraud@v3"}


def test_urls_are_keys_as_well(application: Application) -> None:
    application.system.invalidate("https://shop.test/user:123:cart").wait(timeout="30s")
    # Each edge answers to its own address here: no URL of another host is reached.
    assert application.forgotten() == set()
    application.system.invalidate("*", pattern=True).wait(timeout="30s")
    assert application.forgotten() == set(KEPT)


async def test_it_can_be_awaited(application: Application) -> None:
    purge = await asyncio.to_thread(application.system.invalidate, "user:123:cart")
    assert (await purge).is_complete
    assert await asyncio.to_thread(application.forgotten) == {"user:123:cart"}


def test_what_is_no_key_is_refused_and_changes_nothing(application: Application) -> None:
    for wrong in ("user:123:*", "", "a b", ["user:123:profile", "a,b"]):
        with pytest.raises(SelectorInvalid):
            application.system.invalidate(wrong)
    for wrong in ("", "*", "user:*:cart"):
        with pytest.raises(SelectorInvalid):
            application.system.invalidate_prefix(wrong)
    with pytest.raises(SelectorInvalid, match="nothing is named"):
        application.system.invalidate([])
    assert application.forgotten() == set()


def test_an_edge_that_does_not_answer_is_named(origin: Origin) -> None:
    with bodega.EdgeServer(origin_url=origin.url) as edge:
        system = bodega.CacheInvalidationSystem([edge, "127.0.0.1:1"])
        with pytest.raises(PurgeUnfinished, match=r"1 of 2 edges did not forget: 127\.0\.0\.1:1") as unfinished:
            system.invalidate("user:123:cart")
        assert unfinished.value.waiting == ("127.0.0.1:1",)
