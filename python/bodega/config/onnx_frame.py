"""Whether a file is framed as an ONNX model is: a message of `onnx.proto`, of which only the outermost fields are read.

That tells a text, a picture and a file that was cut off from a model, and reads little of a large one. What stands
within the graph the native core reads, when it loads it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from pathlib import Path


def onnx_problem(file: Path) -> str:
    """Say why a file is no ONNX model; an empty text if it may be one.

    Raises:
        OSError: If it cannot be read.
    """
    with file.open("rb") as opened:
        n_bytes = opened.seek(0, 2)
        opened.seek(4)
        # ONNX Runtime's own format says so itself.
        if opened.read(4) == b"ORTM":
            return ""
        opened.seek(0)
        if n_bytes == 0:
            return "the file is empty"
        try:
            numbers = _fields(opened, n_bytes)
        except EOFError:
            return "the file ends before the model does, or is no ONNX model"
        except ValueError:
            return "the file is no ONNX model"
    return "" if _GRAPH in numbers else "the file is no ONNX model: it has no graph"


def _fields(file: BinaryIO, n_bytes: int) -> set[int]:
    """Return the numbers of the outermost fields.

    Raises:
        ValueError: If it is no such message.
        EOFError: If it ends within one.
    """
    numbers = set()
    while file.tell() < n_bytes:
        number, kind = divmod(_number(file), 1 << 3)
        if number == 0 or kind not in (_NUMBER, _BYTES, *_N_BYTES):
            raise ValueError(number)
        value = _N_BYTES.get(kind) or _number(file)
        if kind != _NUMBER and file.seek(value, 1) > n_bytes:
            raise EOFError
        numbers.add(number)
    return numbers


def _number(file: BinaryIO) -> int:
    value = 0
    for place in range(_MAX_NUMBER_BYTES):
        byte = file.read(1)
        if not byte:
            raise EOFError
        value |= (byte[0] & 0x7F) << (7 * place)
        # The highest bit says that more follows.
        if byte[0] < 0x80:
            return value
    raise ValueError(value)


# How values are framed: a number, so many bytes, 8 bytes, 4 bytes.
_NUMBER, _BYTES, _N_BYTES = 0, 2, {1: 8, 5: 4}
_MAX_NUMBER_BYTES = 10
_GRAPH = 7
