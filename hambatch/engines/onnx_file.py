"""Which files an ONNX graph reads beside itself: its external data, found without loading it.

An ONNX file is a protobuf message [1]_. A tensor of it holds its values, or names a file that does.
OpenVINO opens that file while it loads the graph, and the hash of the graph says nothing of it. The
package ``onnx`` is not needed to score, so the messages are walked here; only tags and lengths are
read, and the weights are skipped.

What another reader may take otherwise is refused, or a file could show each of them other weights:
tags beyond 32 bits, which some cut to the lower 32, and entries that hold anything but a key and a
value.

References
----------
.. [1] https://protobuf.dev/programming-guides/encoding/ and ``onnx.proto`` of ONNX 1.23
"""

import mmap
from collections.abc import Iterator, Mapping
from pathlib import Path

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5

_IR_VERSION_TAG = b"\x08"
"""Field 1 of a model. Every ONNX file begins with it, and no other graph that OpenVINO reads."""

_GRAPH = 7
"""The field of a model that holds its graph."""

_MESSAGES: Mapping[str, Mapping[int, str]] = {
    "model": {_GRAPH: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {13: "entry"},
    "entry": {},
}
"""For each message, the fields that may lead to a tensor or to an entry of its external data."""

_KEY, _VALUE = 1, 2
"""The fields of an entry."""

_LARGEST_TAG = 2**32 - 1

DEEPEST = 100
"""Most messages in each other, as in protobuf's own readers."""


def external_files(path: Path) -> frozenset[str]:
    """Name the files that the tensors of a graph lie in, as the graph writes them.

    Raises ValueError if the file is no ONNX model: OpenVINO tells formats by their content, and an
    IR in ``model.onnx`` takes its weights from ``model.bin``. Raises OSError if it cannot be read.
    """
    with path.open("rb") as stream:
        if stream.read(1) != _IR_VERSION_TAG:
            raise ValueError("it is no ONNX model")
        with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
            fields = _fields(content, 0, len(content))
            if not any(number == _GRAPH and kind == _BYTES for number, kind, *_ in fields):
                raise ValueError("it is no ONNX model: it has no graph")
            return frozenset(_locations(content, "model", 0, len(content), 0))


def _locations(content: mmap.mmap, message: str, start: int, end: int, depth: int) -> Iterator[str]:
    if depth > DEEPEST:
        raise ValueError(f"it is no ONNX model: more than {DEEPEST} messages lie in each other")
    inner = _MESSAGES[message]
    for number, kind, begin, stop in _fields(content, start, end):
        if (name := inner.get(number)) is None:
            continue
        if kind != _BYTES:
            raise ValueError(f"it is no ONNX model: field {number} of a {message} is no message")
        if name == "entry":
            yield from _location(content, begin, stop)
        else:
            yield from _locations(content, name, begin, stop, depth + 1)


def _location(content: mmap.mmap, start: int, end: int) -> Iterator[str]:
    entry: dict[int, bytes] = {}
    for number, kind, begin, stop in _fields(content, start, end):
        if number not in (_KEY, _VALUE) or kind != _BYTES or number in entry:
            raise ValueError(f"field {number} of an entry of external data is not a key or a value")
        entry[number] = content[begin:stop]
    if entry.get(_KEY) == b"location":
        try:
            yield entry.get(_VALUE, b"").decode()
        except UnicodeDecodeError as error:
            raise ValueError("the name of a file of external data is not in UTF-8") from error


def _fields(content: mmap.mmap, start: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield number, wire type, begin and end of each field of a message."""
    while start < end:
        tag, start = _varint(content, start, end)
        number, kind = tag >> 3, tag & 7
        if not 0 < number <= _LARGEST_TAG >> 3:
            raise ValueError(f"it is no ONNX model: it has a field {number} at byte {start}")
        if kind == _VARINT:
            stop = _varint(content, start, end)[1]
        elif kind == _BYTES:
            size, start = _varint(content, start, end)
            stop = start + size
        elif kind in (_FIXED32, _FIXED64):
            stop = start + (4 if kind == _FIXED32 else 8)
        else:
            raise ValueError(f"it is no ONNX model: wire type {kind} at byte {start}")
        if stop > end:
            raise ValueError(f"it is no ONNX model, or it is cut off at byte {start}")
        yield number, kind, start, stop
        start = stop


def _varint(content: mmap.mmap, start: int, end: int) -> tuple[int, int]:
    """Read a number of up to 10 bytes; returns it and the position behind it."""
    value = 0
    for k, byte in enumerate(content[start : min(start + 10, end)]):
        value |= (byte & 0x7F) << 7 * k
        if byte < 0x80:
            return value, start + k + 1
    raise ValueError(f"it is no ONNX model, or it is cut off at byte {start}")
