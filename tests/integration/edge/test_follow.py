"""A running edge that follows a real journal: what it applies and refuses, and what it still knows after any end."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from weakref import WeakSet

import pytest

from bodega import DiskTier
from bodega.config import EdgeSettings
from bodega.distributions import Behavior, CachePolicy, Declarations, Distribution
from bodega.edge.admin import AdminClient
from bodega.edge.following import JournalPlace, UnknownEvent
from bodega.edge.running import RunningEdge
from bodega.edge.stats import FollowingStats
from bodega.errors import FollowGap, FollowParted, FollowRefused, InvalidationRefused
from bodega.journal import NewEvent, SqliteJournal
from bodega.protocol.batch import encode_batch
from bodega.protocol.events import ConfigurationPublished, InvalidationRequested

if TYPE_CHECKING:
    from tests.integration.edge.conftest import Origin

Start = Callable[..., RunningEdge]

N_ROUNDS = 4


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[SqliteJournal]:
    with SqliteJournal(tmp_path / "journal") as journal:
        yield journal


@pytest.fixture
def disk(tmp_path: Path) -> DiskTier:
    return DiskTier(path=str(tmp_path / "disk"), size="64MiB", reserve="1MB", admission="always")


@pytest.fixture
def start(origin: Origin) -> Iterator[Start]:
    # An edge that nobody holds has let go of its disk.
    started: WeakSet[RunningEdge] = WeakSet()

    def make(disk: DiskTier | None = None, admin: str = "off", policy: CachePolicy | None = None) -> RunningEdge:
        settings = EdgeSettings(listen="127.0.0.1:0", admin=admin, memory="16MB", threads=1, disk=disk)
        declarations = Declarations.of_origin(origin.url)
        if policy is not None:
            behavior = Behavior(origin=origin.url, policy=policy)
            declarations = Declarations(distributions=[Distribution("shop", behaviors=[behavior])])
        edge = RunningEdge(settings, declarations, {})
        started.add(edge)
        return edge

    yield make
    for edge in list(started):
        edge.stop()


def invalidation(*selectors: str, force: Literal["hard", "soft"] = "hard") -> NewEvent:
    return InvalidationRequested(id="1", selectors=selectors, force=force).event(by="somebody")


def place_in(journal: SqliteJournal, position: int) -> JournalPlace:
    head = journal.head()
    chain = bytes(16) if position == 0 else journal.read(position - 1, n=1)[0].chain
    return JournalPlace(head.journal, head.epoch, position, chain.hex())


def batch(journal: SqliteJournal, after: int = 0, /, **over: Any) -> bytes:
    """Write what comes after a position, as the control process sends it; of nothing it sends none."""
    head, events = journal.head(), journal.read(after)
    if events and not over:
        return encode_batch(head, events).line
    empty = {"journal": head.journal, "epoch": head.epoch, "after": after, "events": [], "chain": head.chain.hex()}
    said = json.loads(encode_batch(head, events).line) if events else empty
    return json.dumps({**said, **over}).encode()


def is_hit(edge: RunningEdge, path: str) -> bool:
    answer = edge.request("GET", f"http://shop.test{path}", [], b"", 10.0)
    assert answer.status == 200
    return answer.is_hit


def test_what_a_batch_names_is_gone_and_the_rest_is_not(journal: SqliteJournal, start: Start) -> None:
    edge = start()
    before = edge.place
    assert before is None
    assert edge.join(place_in(journal, 0), trusted=True) is False, "there is no disk"
    for path in ("/a", "/b", "/c"):
        assert [is_hit(edge, path) for _ in range(2)] == [False, True]
    journal.append([invalidation("https://shop.test/a"), NewEvent("edge.joined", {"name": "t\u014dkyo"})]).result()
    journal.append([invalidation("glob:shop.test/b*", force="soft")]).result()

    followed = edge.follow(batch(journal))

    assert followed.place == edge.place == place_in(journal, 3)
    assert (followed.n_applied, followed.n_widened, followed.is_durable) == (3, 0, False)
    assert (followed.waits_for_configuration, followed.stopped_at) == (None, None)
    assert [is_hit(edge, path) for path in ("/a", "/b", "/c")] == [False, False, True]
    # The same once more, and from anywhere, reaches nothing that has come since.
    for after in range(4):
        assert edge.follow(batch(journal, after)).n_applied == 0
    assert [is_hit(edge, path) for path in ("/a", "/b", "/c")] == [True, True, True]


def test_after_a_restart_the_place_is_there_and_what_was_invalidated_is_not(
    journal: SqliteJournal, start: Start, disk: DiskTier
) -> None:
    edge = start(disk)
    assert edge.join(place_in(journal, 0), trusted=True)
    for path in ("/a", "/b"):
        assert [is_hit(edge, path) for _ in range(2)] == [False, True]
    journal.append([invalidation("https://shop.test/a")]).result()
    assert edge.follow(batch(journal)).is_durable
    assert edge.drain(10.0)
    edge.stop()
    del edge

    edge = start(disk)
    assert edge.place == place_in(journal, 1)
    assert [is_hit(edge, path) for path in ("/a", "/b")] == [False, True]
    journal.append([invalidation("all")]).result()
    assert edge.follow(batch(journal, 1)).place == place_in(journal, 2)
    assert not is_hit(edge, "/b")
    # It parts: nothing of before is used unasked.
    assert is_hit(edge, "/b")
    assert edge.join(place_in(journal, 1), trusted=False)
    assert edge.drain(10.0)
    edge.stop()
    del edge

    edge = start(disk)
    assert edge.place == place_in(journal, 1)
    assert [is_hit(edge, "/b") for _ in range(2)] == [False, True]


def test_a_configuration_is_waited_for_and_an_event_that_has_to_be_known_is_stopped_at(
    journal: SqliteJournal, start: Start
) -> None:
    edge = start()
    edge.join(place_in(journal, 0), trusted=True)
    journal.append([ConfigurationPublished(revision=4, text="...").event(by="somebody")]).result()
    journal.append([NewEvent("token.made", {}, version=7, unless_known="stop"), invalidation("nonsense")]).result()
    for configured in (None, 3):
        followed = edge.follow(batch(journal), configured=configured)
        assert (followed.place, followed.waits_for_configuration) == (place_in(journal, 0), 4)
    for configured in (4, 5):
        followed = edge.follow(batch(journal), configured=configured)
        assert (followed.place, followed.waits_for_configuration) == (place_in(journal, 1), None)
        assert followed.stopped_at == UnknownEvent(2, "token.made", 7)


def test_what_does_not_continue_the_place_is_refused_and_changes_nothing(journal: SqliteJournal, start: Start) -> None:
    edge = start()
    journal.append([invalidation("all") for _ in range(4)]).result()
    with pytest.raises(FollowParted, match="joined no journal"):
        edge.follow(batch(journal))
    with pytest.raises(FollowRefused, match="32 hexadecimal digits"):
        edge.join(JournalPlace("x", "y", 0, "z"), trusted=True)
    edge.join(place_in(journal, 1), trusted=True)
    assert not is_hit(edge, "/a")
    with pytest.raises(FollowGap, match="begins after position 2, and this edge has applied all up to 1"):
        edge.follow(batch(journal, 2))
    for over in ({"journal": "0" * 32}, {"epoch": "0" * 16}):
        with pytest.raises(FollowParted, match="another history"):
            edge.follow(batch(journal, 0, **over))
    for wrong in (b"", b"\xff", b"[]", batch(journal)[:-2], batch(journal, 0, events=None), batch(journal, 0, after=1)):
        with pytest.raises(FollowRefused, match="no batch of a journal's events"):
            edge.follow(wrong)
    assert edge.place == place_in(journal, 1)
    assert is_hit(edge, "/a")


CONTROL = "https://control.test:9280"


def now() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def test_who_follows_is_told_by_its_journal_alone_what_to_forget(journal: SqliteJournal, start: Start) -> None:
    edge = start(admin="127.0.0.1:0")
    assert edge.stats().following is None
    assert "cdn_control_up" not in edge.metrics()
    assert edge.admin_address is not None
    admin = AdminClient(edge.admin_address)
    assert not is_hit(edge, "/a")
    edge.set_following(CONTROL)

    with pytest.raises(InvalidationRefused, match=f"purge at {CONTROL}"):
        edge.invalidate(["all"])
    with pytest.raises(InvalidationRefused, match=f"follows {CONTROL}: purge there"):
        admin.invalidate(["all"])
    purged = edge.request("PURGE", "http://shop.test/a", [], b"", 10.0)
    assert (purged.status, purged.text) == (409, f"this edge follows {CONTROL}: purge there\n")
    assert is_hit(edge, "/a")

    edge.join(place_in(journal, 0), trusted=True)
    journal.append([invalidation("https://shop.test/a")]).result()
    edge.follow(batch(journal))
    assert not is_hit(edge, "/a")
    edge.set_following(None)
    assert admin.invalidate(["all"]).durable
    assert not is_hit(edge, "/a")


def test_how_it_is_between_an_edge_and_its_control_process_is_said(journal: SqliteJournal, start: Start) -> None:
    edge = start()
    edge.level_as_of(now() - 1.0)
    edge.set_link(is_cut=False, behind=1, problem="nobody is followed", revision=1)
    assert edge.stats().following is None
    edge.set_following(CONTROL)
    assert edge.stats().following == FollowingStats(CONTROL, is_cut=True)
    assert 'cdn_control_up{region="local"} 0' in edge.metrics()
    assert "cdn_journal_behind{" not in edge.metrics()

    journal.append([invalidation("all")]).result()
    place = place_in(journal, 1)
    edge.join(place, trusted=True)
    moment = now() - 7.5
    edge.level_as_of(moment)
    edge.level_as_of(moment - 10.0)
    edge.set_link(is_cut=False, behind=3, problem="p", revision=4)
    before, following, after = now(), edge.stats().following, now()
    assert following is not None
    age = following.level_age_seconds
    assert age is not None
    assert before - age - 0.001 <= moment <= after - age + 0.001
    said = FollowingStats(CONTROL, place.journal, place.epoch, 1, behind=3, revision=4, problem="p")
    assert replace(following, level_age_seconds=None) == said
    text = edge.metrics()
    for sample in ("cdn_control_up", "cdn_journal_position"):
        assert f'{sample}{{region="local"}} 1' in text
    assert 'cdn_journal_behind{region="local"} 3' in text
    assert 'cdn_control_level_age_seconds{region="local"} ' in text
    for wrong in (-1.0, float("nan"), float("inf"), now() + 3600):
        with pytest.raises(ValueError, match="at_seconds"):
            edge.level_as_of(wrong)
    with pytest.raises(ValueError, match="age_seconds"):
        edge.level(-1.0)


def test_a_strict_policy_uses_nothing_unasked_while_the_edge_may_have_missed_a_purge(
    origin: Origin, start: Start
) -> None:
    edge = start(policy=CachePolicy(strict="5s", stale_if_error="1h"))

    def ask() -> str:
        answer = edge.request("GET", "http://shop.test/a", [], b"", 10.0)
        assert answer.status == 200
        return str(answer.headers["Cache-Status"])

    assert "fwd=uri-miss" in ask()
    assert "; hit" in ask(), "it follows nobody"
    edge.set_following(CONTROL)
    assert "detail=not-level" in ask()
    edge.level_as_of(now() - 10.0)
    assert "detail=not-level" in ask(), "that is too long ago"
    edge.level(0.0)
    assert "; hit" in ask()
    assert len(origin.seen) == 3
    edge.set_following(None)
    assert "; hit" in ask()


FOLLOWS = """
import json, sys
from bodega import DiskTier
from bodega.config import EdgeSettings
from bodega.distributions import Declarations
from bodega.edge.following import JournalPlace
from bodega.edge.running import RunningEdge

disk = DiskTier(path=sys.argv[1], size="64MiB", reserve="1MB")
settings = EdgeSettings(listen="127.0.0.1:0", admin="off", memory="16MB", threads=1, disk=disk)
edge = RunningEdge(settings, Declarations.of_origin("http://127.0.0.1:9"), {})
if edge.place is None:
    edge.join(JournalPlace("1" * 32, "2" * 16, 0, "0" * 32), trusted=True)
print(edge.place.position, edge.place.chain, flush=True)
for position in range(edge.place.position + 1, 1_000_000):
    event = {
        "position": position,
        "type": "invalidation.requested",
        "version": 1,
        "unless_known": "purge",
        "data": {"selectors": [f"tag:{position}"], "force": "hard"},
    }
    batch = {
        "journal": "1" * 32,
        "epoch": "2" * 16,
        "after": position - 1,
        "events": [event],
        "chain": f"{position:032x}",
    }
    followed = edge.follow(json.dumps(batch).encode())
    assert followed.is_durable
    print(followed.place.position, followed.place.chain, flush=True)
"""


def test_an_edge_that_is_killed_goes_on_where_it_was_or_later_never_before(tmp_path: Path) -> None:
    chance = random.Random(7)
    last = 0
    for round_number in range(N_ROUNDS):
        command = [sys.executable, "-c", FOLLOWS, str(tmp_path / "disk")]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, bufsize=1) as process:
            assert process.stdout is not None
            try:
                said = [process.stdout.readline() for _ in range(chance.randint(2, 60))]
            finally:
                process.send_signal(signal.SIGKILL)
            said += process.stdout.readlines()
        # The last line may be cut off.
        places = [line.split() for line in said if line.endswith("\n")]
        assert places, "it ended by itself"
        positions = [int(position) for position, _ in places]
        # What was on the disk and not said yet may be one event.
        assert last <= positions[0] <= last + 1, round_number
        assert positions == list(range(positions[0], positions[-1] + 1))
        assert all(int(chain, 16) == int(position) for position, chain in places)
        last = positions[-1]
