"""What an ONNX file may hold, looked up without the onnx library.

onnxruntime follows references from an ONNX file to other files. A bundle's file must hold all
its numbers itself, and may use standard operators only; this is read from the bytes here,
before onnxruntime sees them.

Source: the Protocol Buffers encoding, and onnx.proto (field numbers) of ONNX 1.17.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from faceproof.errors import BundleError

MAX_DEPTH = 40
STANDARD_DOMAINS = (b"", b"ai.onnx")


@dataclass(frozen=True)
class _Message:
    """The fields that matter in one kind of message; every other field is passed over."""

    inside: dict[int, str] = field(default_factory=dict)
    forbidden: dict[int, Literal["nonzero", "any", "foreign"]] = field(default_factory=dict)


MESSAGES: dict[str, _Message] = {
    "model": _Message({7: "graph", 8: "opset", 20: "training", 25: "function"}),
    "opset": _Message({}, {1: "foreign"}),
    "training": _Message({1: "graph", 2: "graph"}),
    "function": _Message({7: "node", 9: "opset", 11: "attribute"}, {10: "foreign"}),
    "graph": _Message({1: "node", 5: "tensor", 15: "sparse"}),
    "node": _Message({5: "attribute"}, {7: "foreign"}),
    "attribute": _Message(
        {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"}
    ),
    "sparse": _Message({1: "tensor", 2: "tensor"}),
    "tensor": _Message({}, {13: "any", 14: "nonzero"}),
}


def refuse_unsafe(data: bytes, name: str) -> None:
    """Refuse an ONNX file that points to other files or uses operators beyond the standard's.

    Raises:
        BundleError: naming the file and what is wrong with it.
    """
    try:
        _walk(memoryview(data), "model", 0)
    except (ValueError, IndexError) as error:
        raise BundleError(f"{name} is refused: {error}; export the network again") from error


def _walk(data: memoryview, kind: str, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise ValueError("its graphs are nested too deeply")
    message = MESSAGES[kind]
    for number, value in _fields(data):
        if number in message.forbidden:
            _refuse(message.forbidden[number], value)
        elif number in message.inside:
            if isinstance(value, int):
                raise ValueError("it is no ONNX file")
            _walk(value, message.inside[number], depth + 1)


def _refuse(rule: Literal["nonzero", "any", "foreign"], value: int | memoryview) -> None:
    if rule == "foreign":
        if isinstance(value, int) or bytes(value) not in STANDARD_DOMAINS:
            raise ValueError("it uses operators that are not in the ONNX standard")
    elif rule == "any" or value != 0:
        raise ValueError("it keeps weights in another file (external data)")


def _fields(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Yield field number and value: an int, or the bytes of a length-delimited or fixed field."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        number, wire = tag >> 3, tag & 7
        if not 0 < number < 2**29:
            raise ValueError("it is no ONNX file")
        if wire == 0:
            value, at = _varint(data, at)
            yield number, value
            continue
        length, at = _length(data, at, wire)
        if length > len(data) - at:
            raise ValueError("it is cut short or no ONNX file")
        yield number, data[at : at + length]
        at += length


def _length(data: memoryview, at: int, wire: int) -> tuple[int, int]:
    if wire == 2:
        return _varint(data, at)
    if wire in (1, 5):
        return (8 if wire == 1 else 4), at
    raise ValueError("it is no ONNX file")


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError("it is no ONNX file")
