from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from bodega.control.api import access
from bodega.control.api.application import application
from bodega.control.limits import Bucket
from bodega.control.service import Control
from bodega.journal import SqliteJournal


def test_a_bucket_fills_by_itself() -> None:
    bucket = Bucket(2.0, 4.0, 100.0)
    assert bucket.take(4, 100.0) == 0
    assert bucket.take(1, 100.0) == 0.5
    assert bucket.take(1, 100.5) == 0
    assert bucket.take(4, 1000.0) == 0
    assert bucket.take(1, 1000.0) == 0.5


async def test_a_token_that_calls_too_often_is_told_when_to_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access, "CALLS_PER_SECOND", 0.001)
    monkeypatch.setattr(access, "CALLS_BURST", 3.0)
    journal = SqliteJournal(tmp_path / "journal.db")
    try:
        control = Control(journal)
        (_, often), (_, seldom) = [await control.make_token(name, ("read",), by="test") for name in ("often", "seldom")]
        transport = httpx.ASGITransport(application(control, "0"))
        async with httpx.AsyncClient(transport=transport, base_url="http://control.test") as client:

            async def ask(token: str) -> httpx.Response:
                return await client.get("/v1/edges", headers={"Authorization": f"Bearer {token}"})

            answers = [await ask(often) for _ in range(4)]
            assert [each.status_code for each in answers] == [200, 200, 200, 429]
            assert int(answers[3].headers["retry-after"]) > 0
            assert 'the token "often" calls too often' in answers[3].json()["error"]
            # Others are not slowed down by it.
            assert (await ask(seldom)).status_code == 200
    finally:
        journal.close()
