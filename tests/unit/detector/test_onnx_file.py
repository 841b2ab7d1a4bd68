"""ONNX files are looked through before onnxruntime sees them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faceproof.detector.onnx_file import refuse_unsafe
from faceproof.errors import BundleError

BRIGHT = (Path(__file__).parents[2] / "fixtures" / "bright.onnx").read_bytes()


def varint(value: int) -> bytes:
    """Return an unsigned number as Protocol Buffers write it."""
    low, rest = value & 0x7F, value >> 7
    return bytes([low | 0x80]) + varint(rest) if rest else bytes([low])


def message(number: int, inside: bytes) -> bytes:
    """Return a length-delimited field."""
    return varint(number << 3 | 2) + varint(len(inside)) + inside


def number(place: int, value: int) -> bytes:
    """Return a varint field."""
    return varint(place << 3) + varint(value)


OUTSIDE = message(13, message(1, b"location") + message(2, b"../../secret"))
BY_REFERENCE = number(14, 1)
FOREIGN = message(7, b"com.microsoft")
# Where a tensor may stand: model > graph > initializer and so on, as field numbers.
WAYS_TO_TENSORS = [
    (7, 5),
    (7, 15, 1),
    (7, 15, 2),
    (7, 1, 5, 5),
    (7, 1, 5, 10),
    (7, 1, 5, 22, 1),
    (7, 1, 5, 23, 2),
    (7, 1, 5, 6, 5),
    (7, 1, 5, 11, 1, 5, 6, 5),
    (20, 1, 5),
    (20, 2, 5),
    (25, 7, 5, 5),
    (25, 11, 5),
]


def nested(way: tuple[int, ...], inside: bytes) -> bytes:
    """Return the message at the end of the way, wrapped in all that stand above it."""
    for place in reversed(way):
        inside = message(place, inside)
    return inside


def test_an_honest_file_passes() -> None:
    refuse_unsafe(BRIGHT, "bright.onnx")


@pytest.mark.parametrize("way", WAYS_TO_TENSORS, ids=str)
@pytest.mark.parametrize(
    "secret", [OUTSIDE, BY_REFERENCE, number(14, 2**32 + 1), message(14, b"1")]
)
def test_weights_in_another_file_are_refused(way: tuple[int, ...], secret: bytes) -> None:
    with pytest.raises(
        BundleError, match=r"bad\.onnx is rejected: it keeps weights in another file"
    ):
        refuse_unsafe(BRIGHT + nested(way, number(2, 1) + secret), "bad.onnx")


def test_a_tensor_that_says_it_holds_its_data_passes() -> None:
    refuse_unsafe(BRIGHT + nested((7, 5), number(14, 0) + message(9, b"\x0e\x01" * 50)), "x")


@pytest.mark.parametrize(
    "node", [(7, 1), (7, 1, 5, 6, 1), (25, 7)], ids=["graph", "branch", "function"]
)
def test_operators_beyond_the_standard_are_refused(node: tuple[int, ...]) -> None:
    with pytest.raises(BundleError, match="not in the ONNX standard"):
        refuse_unsafe(BRIGHT + nested(node, FOREIGN), "bad.onnx")


@pytest.mark.parametrize("domain", [b"com.microsoft", b"ai.onnx.ml", b"ai.onnx\0"])
def test_operator_sets_beyond_the_standard_are_refused(domain: bytes) -> None:
    with pytest.raises(BundleError, match="not in the ONNX standard"):
        refuse_unsafe(BRIGHT + nested((8,), message(1, domain)), "bad.onnx")


@pytest.mark.parametrize(
    "data",
    [
        *(b"\xff" * 20, b"\x00\x01", b"\x0b", b"\x3a\x05ab", b"\x38\x01", b"ORTM\x08\x00"),
        b"PK\x03\x04 a zip",
        BRIGHT[:-1],
        varint(2**33 << 3) + b"\x00",
        nested((7, 1, 5) + (6, 1, 5) * 30, b""),
    ],
)
def test_what_is_no_onnx_file_is_refused(data: bytes) -> None:
    with pytest.raises(BundleError, match="is rejected"):
        refuse_unsafe(data, "x.onnx")


@given(st.binary(max_size=60), st.integers(0, len(BRIGHT)), st.integers(0, 60))
def test_no_bytes_do_harm(noise: bytes, place: int, cut: int) -> None:
    try:
        refuse_unsafe(BRIGHT[:place] + noise + BRIGHT[place + cut :], "x.onnx")
    except BundleError as error:
        assert "x.onnx is rejected" in str(error)  # noqa: PT017
