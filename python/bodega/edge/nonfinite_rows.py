"""Rows with NaN or infinities, which JSON has no numbers for: asked as tensors, answered as all others.

By KServe's Open Inference Protocol a tensor may come as bytes, and those hold any number. What has a NaN is computed
each time, as the edge does; with infinities alone a row is kept like any other. All is asked of one version of the
model: where another one takes its place meanwhile, all is asked again.
"""

from __future__ import annotations

import json
import math
import re
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeAlias

from bodega.edge.plain_rows import FIELD, is_finite
from bodega.edge.prediction_refusals import prediction_refused
from bodega.edge.response import Response
from bodega.edge.row_tensors import Port, Tensor, nested, tensors
from bodega.errors import PredictionRefused

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Sequence

Request: TypeAlias = Callable[[str, str, dict[str, str], bytes], Response]
"""Sends a method, a path, fields and a body to the edge."""

_MOST_SWAPS = 5
_Answers: TypeAlias = dict[int, tuple[Any, bool]]


@dataclass(frozen=True, slots=True)
class NonfiniteRows:
    """Asks a model for rows of which some hold NaN or infinities.

    Attributes:
        model: Its name.
        ignored: Members of a row that its prediction does not depend on.
        request: Asks the edge.
    """

    model: str
    ignored: Sequence[str]
    request: Request

    def ask(self, rows: Sequence[Any], places: Sequence[str]) -> tuple[str, list[tuple[Any, bool]]]:
        """Return the version that answered, and for each row its prediction and whether that was kept.

        Args:
            rows: Plain rows.
            places: Where each stands, for refusals.

        Raises:
            PredictionRefused: If one is no row of this model's, or the model failed.
        """
        for n_swaps in range(_MOST_SWAPS + 1):
            try:
                asked = _OfVersion.read(self, places)
                answers = asked.answers(rows)
            except PredictionRefused as error:
                if error.status != HTTPStatus.NOT_FOUND or n_swaps == _MOST_SWAPS:
                    raise
            else:
                return asked.version, [answers[at] for at in range(len(rows))]
        raise AssertionError("the last round ends above")

    def json(self, path: str) -> Any:
        """Ask what there is."""
        return _checked(self.request("GET", path, {}, b"")).json()


@dataclass(frozen=True, slots=True)
class _OfVersion:
    asking: NonfiniteRows
    version: str
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    places: Sequence[str]

    @classmethod
    def read(cls, asking: NonfiniteRows, places: Sequence[str]) -> _OfVersion:
        told = asking.json(f"/models/{asking.model}")
        version = told["version"]
        # Its shapes have the axis of the rows, where there is one.
        with_axes = asking.json(f"/v2/models/{asking.model}/versions/{version}")

        def ports(which: str) -> tuple[Port, ...]:
            return tuple(
                Port(each["name"], each["type"], tuple(each["shape"]), len(whole["shape"]) > len(each["shape"]))
                for each, whole in zip(told[which], with_axes[which], strict=True)
            )

        return cls(asking, version, ports("inputs"), ports("outputs"), places)

    def answers(self, rows: Sequence[Any]) -> _Answers:
        finite = [at for at, row in enumerate(rows) if is_finite(row)]
        answers: _Answers = {}
        if finite:
            answers.update(self._ask_json(rows, finite))
        for group in self._groups(rows, set(range(len(rows))) - set(finite)):
            answers.update(self._ask_tensors(group))
        return answers

    def _ask_json(self, rows: Sequence[Any], numbers: Sequence[int]) -> _Answers:
        body = json.dumps({FIELD: [rows[at] for at in numbers]}, separators=(",", ":")).encode()
        path = f"/models/{self.asking.model}/versions/{self.version}/batch_predict"
        answer = self.asking.request("POST", path, {}, body)
        told = _checked(answer, lambda named: self.places[numbers[named]]).json()
        return dict(zip(numbers, zip(told["predictions"], told["cached"], strict=True), strict=True))

    def _groups(self, rows: Sequence[Any], numbers: Iterable[int]) -> list[dict[int, tuple[Tensor, ...]]]:
        """Put rows together that one inference can hold; those that may be kept stand alone, so that it says which."""
        groups: defaultdict[Hashable, dict[int, tuple[Tensor, ...]]] = defaultdict(dict)
        for at in sorted(numbers):
            row = tensors(rows[at], self.places[at], self.inputs, self.asking.ignored)
            # In one tensor of bytes or of numbers: what is finite in some rows and not in others is packed apart.
            form = tuple((tensor.shape, tensor.data is None) for tensor in row)
            is_shared = _has_nan(row) and all(port.has_axis for port in self.inputs)
            groups[form if is_shared else at][at] = row
        return list(groups.values())

    def _ask_tensors(self, group: dict[int, tuple[Tensor, ...]]) -> _Answers:
        numbers = list(group)
        head, binary = _inference(list(group.values()))
        path = f"/v2/models/{self.asking.model}/versions/{self.version}/infer"
        fields = {"Inference-Header-Content-Length": str(len(head)), "Content-Type": "application/octet-stream"}
        answer = self.asking.request("POST", path, fields, head + binary)
        if answer.status in (HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.BAD_REQUEST) and len(group) > 1:
            # The outputs of these rows have several shapes, or one is no row: alone, it says which.
            alone = [self._ask_tensors({at: row}) for at, row in group.items()]
            return {at: told for each in alone for at, told in each.items()}
        told = _checked(answer, lambda named: self.places[numbers[named]]).json()
        is_kept = "; hit" in answer.headers.get("cache-status", "")
        predictions = _predictions(self.outputs, told["outputs"], len(group))
        return {at: (prediction, is_kept) for at, prediction in zip(numbers, predictions, strict=True)}


def _has_nan(row: Sequence[Tensor]) -> bool:
    return any(isinstance(value, float) and math.isnan(value) for tensor in row for value in tensor.values)


def _inference(rows: Sequence[tuple[Tensor, ...]]) -> tuple[bytes, bytes]:
    inputs, binary = [], []
    for column in zip(*rows, strict=True):
        first = column[0]
        axis = [len(rows)] if first.port.has_axis else []
        about = {"name": first.port.name, "shape": [*axis, *first.shape], "datatype": first.port.datatype}
        if first.data is None:
            inputs.append({**about, "data": [value for tensor in column for value in tensor.values]})
            continue
        data = b"".join(tensor.data or b"" for tensor in column)
        inputs.append({**about, "parameters": {"binary_data_size": len(data)}})
        binary.append(data)
    return json.dumps({"inputs": inputs}, separators=(",", ":")).encode(), b"".join(binary)


def _predictions(ports: Sequence[Port], outputs: Sequence[dict[str, Any]], n_rows: int) -> list[Any]:
    columns: dict[str, list[Any]] = {}
    for port, output in zip(ports, outputs, strict=True):
        axes, values = output["shape"][1:] if port.has_axis else output["shape"], output["data"]
        n_values = math.prod(axes)
        columns[port.name] = [nested(values[at * n_values : (at + 1) * n_values], port, axes) for at in range(n_rows)]
    if len(columns) == 1:
        return next(iter(columns.values()))
    return [{name: column[at] for name, column in columns.items()} for at in range(n_rows)]


def _checked(answer: Response, place_of: Callable[[int], str] = lambda at: f"{FIELD}[{at}]") -> Response:
    """Return the answer of a request that was not refused; rows that it names are those of the caller."""
    if answer.status == HTTPStatus.OK:
        return answer
    error = prediction_refused(answer.status, answer.body)
    named = _ROW.match(error.field) or _ROW.match(error.what)
    if named is None:
        raise error
    place = place_of(int(named["of_field"] or named["of_text"] or 0))
    what = _ROW.sub(lambda _: place + (": " if named["of_text"] else ""), error.what, count=1)
    field = place + ("" if named["of_text"] else error.field[named.end() :])
    raise PredictionRefused(what, status=error.status, field=field, expected=error.expected, given=error.given)


# What `/batch_predict` names, what an inference does of several rows, and of the only one.
_ROW = re.compile(rf"{FIELD}\[(?P<of_field>\d+)\]|row (?P<of_text>\d+): |inputs(?=\.)")
