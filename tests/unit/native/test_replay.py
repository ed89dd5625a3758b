from __future__ import annotations

from array import array

import pytest

from bodega import _native


def _cyclic(n_objects: int, n_rounds: int) -> tuple[array[int], array[int]]:
    identities = array("Q", list(range(n_objects)) * n_rounds)
    return identities, array("Q", [10]) * len(identities)


@pytest.mark.parametrize(
    ("policy", "n_misses"), [("noop", 820), ("lru", 1200), ("clock", 1200), ("s3fifo", 840), ("shelf", 840)]
)
def test_a_trace_is_replayed_by_the_policy_of_this_name(policy: str, n_misses: int) -> None:
    # In each of 20 rounds 20 objects that are asked for again, and 40 that are not. A cache of 50 has let go of all of
    # them when the next round begins, unless it knows those that come back.
    identities = array("Q")
    for number in range(20):
        identities.extend([*range(20), *range(1_000 + number * 40, 1_040 + number * 40)])
    sizes = array("Q", [10]) * len(identities)
    assert _native.replay(policy, 500, identities, sizes, weight=0.5) == (n_misses, n_misses * 10)


def test_admission_on_the_second_request_costs_a_miss_more_for_each_object() -> None:
    identities, sizes = _cyclic(100, 10)
    assert _native.replay("lru", 2000, identities, sizes, weight=1.0) == (100, 1000)
    assert _native.replay("lru", 2000, identities, sizes, weight=1.0, second_request=True) == (200, 2000)


def test_memory_of_any_owner_will_do_if_its_items_are_of_64_bits() -> None:
    identities = memoryview(bytes(range(8)) * 2).cast("Q")
    assert _native.replay("lru", 500, identities, array("Q", [10, 10]), weight=1.0) == (1, 10)
    with pytest.raises(BufferError):
        _native.replay("lru", 500, array("I", [1, 2]), array("Q", [10, 10]), weight=1.0)


def test_what_cannot_be_replayed_is_said() -> None:
    with pytest.raises(ValueError, match=r'^no eviction policy is called "shelv"; there are clock, lru, noop, s3fifo'):
        _native.replay("shelv", 500, array("Q", [1]), array("Q", [10]), weight=1.0)
    with pytest.raises(ValueError, match=r"^2 identities, but 1 sizes"):
        _native.replay("shelf", 500, array("Q", [1, 2]), array("Q", [10]), weight=1.0)
