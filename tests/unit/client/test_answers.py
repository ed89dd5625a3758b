from __future__ import annotations

import dataclasses

import pytest
from pydantic import BaseModel

from bodega import client
from bodega.client.answers import Health, PurgeProgress, read
from bodega.errors import ControlRefused
from bodega.protocol import api


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (client.PurgeProgress, api.Invalidation),
        (client.FleetEdge, api.Edge),
        (client.Invitation, api.Invitation),
        (client.Revision, api.Revision),
        (client.Configuration, api.Configuration),
        (client.Token, api.Token),
        (client.MadeToken, api.MadeToken),
        (client.Event, api.Journaled),
        (client.Health, api.Health),
    ],
    ids=lambda each: each.__name__,
)
def test_a_client_knows_every_field_that_is_answered(kind: type, body: type[BaseModel]) -> None:
    assert {each.name for each in dataclasses.fields(kind)} == set(body.model_fields)


def test_a_field_of_a_later_version_is_passed_over_and_one_that_is_missing_is_told() -> None:
    said = {"status": "ok", "position": 1, "n_edges": 0, "n_here": 0}
    assert read(Health, {**said, "later": 1}) == Health("ok", 1, 0, 0)
    with pytest.raises(ControlRefused, match="lacks n_here"):
        read(Health, {key: value for key, value in said.items() if key != "n_here"})
    with pytest.raises(ControlRefused, match="something else"):
        read(Health, [])


def test_times_for_half_for_most_and_for_the_last() -> None:
    times = {f"edge-{number}": float(number) for number in range(1, 101)}
    progress = PurgeProgress("id", 1, 0, "ci", ("all",), soft=False, applied=times)
    assert [progress.milliseconds(share) for share in (0.5, 0.99, 1.0)] == [50.0, 99.0, 100.0]
    halfway = PurgeProgress("id", 1, 0, "ci", ("all",), soft=False, applied={"a": 5.0}, waiting=("b",))
    assert [halfway.milliseconds(share) for share in (0.5, 1.0)] == [5.0, None]
    assert PurgeProgress("id", 1, 0, "ci", ("all",), soft=False).milliseconds(1.0) is None
