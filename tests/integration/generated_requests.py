"""Asks an API what its OpenAPI document says, with generated requests, right ones and wrong ones, by schemathesis.

Bounded: a few dozen requests an operation, the same each time.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import CHECKS, load_all_checks

load_all_checks()


def schema(document: Mapping[str, Any], url: str) -> Any:
    """Read the document of an API that is at `url`."""
    loaded = schemathesis.openapi.from_dict(dict(document))
    loaded.config.update(base_url=url)
    # Parameters that are not known are passed over: an edge or a client may be a version ahead.
    loaded.config.generation.update(allow_extra_parameters=False)
    # A text or a list that is longer than the schema allows may be refused as too large before it is read.
    rejection = loaded.config.checks.negative_data_rejection
    rejection.expected_statuses = [*rejection.expected_statuses, "413"]
    return loaded


def labels(described: Any) -> set[str]:
    """Name the operations that are described: ``GET /models``."""
    return {found.ok().label for found in described.get_all_operations()}


def ask(
    described: Any,
    label: str,
    *,
    n_requests: int,
    meant: Collection[str],
    headers: Mapping[str, str] | None = None,
) -> None:
    """Ask an operation, and compare each answer with what is described.

    Args:
        described: What `schema` returned.
        label: The operation, as `labels` names it.
        n_requests: How many requests at most.
        meant: Operations that may refuse what the schema allows: they also check what no schema says.
        headers: Fields of every request.
    """
    operation = described.find_operation_by_label(label)
    right = operation.as_strategy(generation_mode=schemathesis.GenerationMode.POSITIVE)
    wrong = operation.as_strategy(generation_mode=schemathesis.GenerationMode.NEGATIVE)
    excluded = [CHECKS.get_one("positive_data_acceptance")] if label in meant else []

    @settings(
        max_examples=n_requests,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=right | wrong)
    def each(case: Any) -> None:
        case.call_and_validate(headers=headers, excluded_checks=excluded)

    each()
