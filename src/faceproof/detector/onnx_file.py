"""`insert_weights` and `refuse_unsafe`: a bundle's ONNX file before onnxruntime parses it.

A bundle stores large weights once, in its safetensors file; the ONNX file refers to them as
external data, by file name, offset and length. onnxruntime would follow such a reference to any
file. So `insert_weights` puts the verified bytes in its place, and `refuse_unsafe` rejects a file
that still has one, or that uses other than standard operators.

Source: the Protocol Buffers encoding, and onnx.proto (field numbers) of ONNX 1.17.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Literal

from faceproof.errors import BundleError

_MAX_DEPTH = 40
_STANDARD_DOMAINS = (b"", b"ai.onnx")


@dataclass(frozen=True)
class _Message:
    """The relevant fields of one kind of message; every other field is skipped."""

    inside: dict[int, str] = field(default_factory=dict)
    forbidden: dict[int, Literal["nonzero", "any", "foreign"]] = field(default_factory=dict)


_MESSAGES: dict[str, _Message] = {
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
    """Reject an ONNX file that refers to other files or uses non-standard operators.

    Raises:
        BundleError: naming the file and the reason.
    """
    with _convert_errors(name):
        _walk(memoryview(data), "model", 0)


@contextmanager
def _convert_errors(name: str) -> Iterator[None]:
    """Raise what is wrong with the bytes as BundleError."""
    try:
        yield
    except (ValueError, IndexError) as error:
        raise BundleError(f"{name} is rejected: {error}; export the network again") from error


def _walk(data: memoryview, kind: str, depth: int) -> None:
    if depth > _MAX_DEPTH:
        raise ValueError("its graphs are nested too deeply")
    message = _MESSAGES[kind]
    for number, value in _read_fields(data):
        if number in message.forbidden:
            _refuse(message.forbidden[number], value)
        elif number in message.inside:
            if isinstance(value, int):
                raise ValueError("it is not an ONNX file")
            _walk(value, message.inside[number], depth + 1)


def _refuse(rule: Literal["nonzero", "any", "foreign"], value: int | memoryview) -> None:
    if rule == "foreign":
        if isinstance(value, int) or bytes(value) not in _STANDARD_DOMAINS:
            raise ValueError("it uses operators that are not in the ONNX standard")
    elif rule == "any" or value != 0:
        raise ValueError("it keeps weights in another file (external data)")


def _read_fields(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Yield field number and value: an int, or the bytes of a length-delimited or fixed field."""
    for number, _, value in _read_raw_fields(data):
        yield number, value


def _read_raw_fields(data: memoryview) -> Iterator[tuple[int, memoryview, int | memoryview]]:
    """Yield field number, the bytes of the whole field, and its value as in `_read_fields`."""
    at = 0
    while at < len(data):
        start = at
        tag, at = _read_varint(data, at)
        number, wire = tag >> 3, tag & 7
        if not 0 < number < 2**29:
            raise ValueError("it is not an ONNX file")
        if wire == 0:
            value, at = _read_varint(data, at)
            yield number, data[start:at], value
            continue
        length, at = _read_length(data, at, wire)
        if length > len(data) - at:
            raise ValueError("it is truncated or not an ONNX file")
        yield number, data[start : at + length], data[at : at + length]
        at += length


def _read_length(data: memoryview, at: int, wire: int) -> tuple[int, int]:
    if wire == 2:
        return _read_varint(data, at)
    if wire in (1, 5):
        return (8 if wire == 1 else 4), at
    raise ValueError("it is not an ONNX file")


def _read_varint(data: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError("it is not an ONNX file")


# Field numbers of ModelProto, GraphProto, TensorProto and StringStringEntryProto.
_GRAPH, _INITIALIZER, _RAW_DATA, _EXTERNAL_DATA, _DATA_LOCATION, _KEY, _VALUE = (
    7,
    5,
    9,
    13,
    14,
    1,
    2,
)
_BYTES = 2  # wire type of a length-delimited field


def insert_weights(
    data: bytes, read_weights: Callable[[], bytes], *, name: str, weights_name: str
) -> bytes:
    """Return an ONNX file whose initializers have the bytes that they refer to.

    ``read_weights`` returns the file ``weights_name``; it is not called where the file has all its
    weights, and then ``data`` is returned as it is. References that are not those of initializers
    of the main graph stay, and `refuse_unsafe` rejects them.

    Raises:
        BundleError: a reference is to another file, or outside of this one.
    """
    weights = cache(read_weights)

    def fill_in(number: int, raw: memoryview, tensor: int | memoryview) -> bytes | memoryview:
        if number != _INITIALIZER or isinstance(tensor, int):
            return raw
        reference = _read_reference(tensor)
        if reference is None:
            return raw
        inserted = _bytes_at(reference, weights(), weights_name)
        return _encode_field(_INITIALIZER, _fill_in_weights(tensor, inserted))

    def rebuild(number: int, raw: memoryview, graph: int | memoryview) -> bytes | memoryview:
        if number != _GRAPH or isinstance(graph, int):
            return raw
        inner = b"".join(fill_in(*parts) for parts in _read_raw_fields(graph))
        return _encode_field(_GRAPH, inner)

    with _convert_errors(name):
        made = b"".join(rebuild(*parts) for parts in _read_raw_fields(memoryview(data)))
    return data if made == data else made


def _read_reference(tensor: memoryview) -> dict[str, str] | None:
    """Return a tensor's reference to external data: location, offset, length; None without one."""
    found: dict[str, str] = {}
    for number, entry in _read_fields(tensor):
        if number == _EXTERNAL_DATA and not isinstance(entry, int):
            pair = {
                place: value for place, value in _read_fields(entry) if not isinstance(value, int)
            }
            key, value = pair.get(_KEY, b""), pair.get(_VALUE, b"")
            found[bytes(key).decode()] = bytes(value).decode()
    return found or None


def _bytes_at(reference: dict[str, str], weights: bytes, weights_name: str) -> bytes:
    """Return the bytes that a reference points to."""
    if reference.get("location") != weights_name:
        raise ValueError("it keeps weights in another file (external data)")
    start, length = int(reference.get("offset", "0")), int(reference.get("length", "-1"))
    if start < 0 or length < 0 or start + length > len(weights):
        raise ValueError(f"it refers to weights outside of {weights_name}")
    return weights[start : start + length]


def _fill_in_weights(tensor: memoryview, weights: bytes) -> bytes:
    """Return a tensor's bytes with its weights inside."""
    kept = [
        raw
        for number, raw, _ in _read_raw_fields(tensor)
        if number not in (_EXTERNAL_DATA, _DATA_LOCATION, _RAW_DATA)
    ]
    return b"".join([*kept, _encode_field(_RAW_DATA, weights)])


def _encode_field(number: int, value: bytes) -> bytes:
    """Return a length-delimited field."""
    return _encode_varint(number << 3 | _BYTES) + _encode_varint(len(value)) + value


def _encode_varint(value: int) -> bytes:
    """Return a number in base 128, the lowest digits first.

    >>> _encode_varint(300).hex()
    'ac02'
    """
    digits = bytearray()
    while value >= 0x80:
        digits.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*digits, value])
