"""Tensors in shared memory as NumPy arrays, and what a runner gave back as tensors."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from bodega.serving.frames import Column, read_columns, write_columns
from bodega.serving.specs import TensorSpec, described

if TYPE_CHECKING:
    import mmap

_ALIGNMENT = 64
_MAX_FORMS = 64
_LENGTH = struct.Struct("<I")


class SharedArrays:
    """The memory that is shared with the edge: inputs in its first half, outputs in the other."""

    def __init__(self, memory: mmap.mmap, inputs: Mapping[str, TensorSpec], outputs: Mapping[str, TensorSpec]) -> None:
        """Take the memory as it is, and what a row and a prediction have, in their order."""
        self._memory = memory
        self._inputs = inputs
        self._outputs = outputs
        # Rows of one form are at the same places, so that where they are is looked up once.
        self._views: dict[bytes, tuple[int, dict[str, Any]]] = {}

    def batch(self, payload: bytes) -> tuple[int, dict[str, Any]]:
        """Make the arrays of a run: how many rows there are, and their inputs."""
        known = self._views.get(payload)
        if known is not None:
            return known[0], _fresh(known[1])
        n_rows, columns = read_columns(payload)
        batch = {name: self._input(n_rows, column) for name, column in zip(self._inputs, columns, strict=True)}
        if all(column.element != "string" for column in columns):
            if len(self._views) >= _MAX_FORMS:
                self._views.clear()
            self._views[payload] = n_rows, batch
            batch = _fresh(batch)
        return n_rows, batch

    def _input(self, n_rows: int, column: Column) -> Any:
        shape = (n_rows, *column.axes)
        if column.element == "string":
            texts, at = [], column.offset
            while at < column.offset + column.n_bytes:
                (n_bytes,) = _LENGTH.unpack_from(self._memory, at)
                at += _LENGTH.size
                texts.append(self._memory[at : at + n_bytes].decode())
                at += n_bytes
            array = np.empty(len(texts), dtype=object)
            array[:] = texts
            return array.reshape(shape)
        array = np.ndarray(shape, np.dtype(column.element), self._memory, column.offset)
        array.flags.writeable = False
        return array

    def answer(self, n_rows: int, given: object) -> bytes:
        """Write what a runner gave for `n_rows` rows into the memory, and say where.

        Raises:
            ValueError: If that is not what it declares, with what came.
        """
        if given is None:
            raise ValueError(f"{self._names()} declared, and predict gave None: it has to return the arrays")
        if not isinstance(given, Mapping):
            if len(self._outputs) != 1:
                raise ValueError(f"predict gave a {type(given).__name__}: expected a dict of {self._names()}")
            given = {next(iter(self._outputs)): given}
        if set(given) != set(self._outputs):
            came = ", ".join(f"`{name}`" for name in given) or "nothing"
            raise ValueError(f"{self._names()} declared, and {came} came")
        columns, at = [], len(self._memory) // 2
        for name, spec in self._outputs.items():
            column = self._write(f"the output `{name}`", spec, n_rows, given[name], at)
            columns.append(column)
            at += -(-column.n_bytes // _ALIGNMENT) * _ALIGNMENT
        return write_columns(n_rows, columns)

    def _names(self) -> str:
        names = ", ".join(f"`{name}`" for name in self._outputs)
        return f"the outputs {names} are" if len(self._outputs) > 1 else f"the output {names} is"

    def _write(self, what: str, spec: TensorSpec, n_rows: int, given: object, at: int) -> Column:
        if given is None:
            raise ValueError(f"{what} is declared as {spec}; None came")
        array = np.asarray(given)
        element = _element(array, spec)
        if element != spec.element or array.shape[:1] != (n_rows,) or not spec.takes(array.shape[1:]):
            declared = described(spec.element, [n_rows, *("?" if axis is None else axis for axis in spec.axes)])
            raise ValueError(
                f"{what} is declared as {spec}, which is {declared} for {n_rows} row{'s' if n_rows > 1 else ''}; "
                f"{described(element, array.shape)} came"
            )
        if element == "string":
            data = _texts(what, array)
            self._check_room(what, at, len(data))
            self._memory[at : at + len(data)] = data
            return Column(element, array.shape[1:], at, len(data))
        self._check_room(what, at, array.nbytes)
        np.ndarray(array.shape, array.dtype, self._memory, at)[...] = array
        return Column(element, array.shape[1:], at, array.nbytes)

    def _check_room(self, what: str, at: int, n_bytes: int) -> None:
        room = len(self._memory) - at
        if n_bytes > room:
            raise ValueError(f"{what} has {n_bytes} bytes for all rows, and there is room for {room}")


def _fresh(batch: dict[str, Any]) -> dict[str, Any]:
    """Make arrays over the same memory: a runner may give those it gets another shape, which are the next run's too."""
    return {name: array.view() for name, array in batch.items()}


def _element(array: Any, spec: TensorSpec) -> str:
    if array.dtype.kind not in "OSUT":
        return str(array.dtype)
    # Which of the objects is no text is said where they are written.
    are_texts = array.dtype.kind != "O" or spec.element == "string" or all(isinstance(each, str) for each in array.flat)
    return "string" if are_texts else "object"


def _texts(what: str, array: Any) -> bytes:
    parts: list[bytes] = []
    for text in array.ravel().tolist():
        if not isinstance(text, str):
            raise ValueError(f"{what} is declared as texts, and a {type(text).__name__} came")  # noqa: TRY004
        encoded = text.encode()
        parts += (_LENGTH.pack(len(encoded)), encoded)
    return b"".join(parts)
