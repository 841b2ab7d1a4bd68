"""Standard input: a list of names, or a picture."""

from __future__ import annotations

import io
import sys

import pytest
from PIL import Image

from faceproof.cli.source_names import SourceNames
from faceproof.errors import UsageError
from faceproof.sources import StreamSource


class Pipe(io.RawIOBase):
    """Gives a few bytes at a time, as a pipe may."""

    def __init__(self, data: bytes, at_once: int) -> None:
        self._data, self._at_once = io.BytesIO(data), at_once
        self.asked = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:
        self.asked += 1
        part = self._data.read(min(len(buffer), self._at_once))
        buffer[: len(part)] = part
        return len(part)


def given(monkeypatch: pytest.MonkeyPatch, data: bytes, at_once: int = 10_000) -> Pipe:
    """Put bytes on standard input."""
    pipe = Pipe(data, at_once)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(pipe)))
    return pipe


def encode(kind: str) -> bytes:
    Image.effect_noise((40, 40), 50).convert("RGB").save(file := io.BytesIO(), kind)
    return file.getvalue()


@pytest.mark.parametrize("at_once", [1, 7, 10_000])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "AVIF"])
def test_a_picture_is_one_source(monkeypatch, kind, at_once):
    data = encode(kind)
    given(monkeypatch, data, at_once)
    ((source,),) = SourceNames(["-"])
    assert isinstance(source, StreamSource)
    assert source.source == "-"
    assert source.read(10**6) == data


@pytest.mark.parametrize(
    "data", [b"%PDF-1.7\n1 0 obj", b"<!DOCTYPE html><html>", b"PK\x03\x04\x14", b'{"status": 404}']
)
def test_another_file_is_one_source_too_and_no_list_of_nonsense(monkeypatch, data):
    given(monkeypatch, data)
    ((source,),) = SourceNames(["-"])
    assert source.read(10**6) == data


@pytest.mark.parametrize("at_once", [1, 3, 10_000])
@pytest.mark.parametrize(
    "names",
    [
        ["a.jpg", "b.jpg"],
        ["BMW.jpg", "b.jpg"],
        ["II.jpg"],
        ["IMG.jpg"],
        ["RIFF.jpg"],
        ["żółw.jpg", "日本.jpg"],
        ["-.jpg"],
        ["x" * 200],
    ],
)
def test_names_are_names(monkeypatch, names, at_once):
    given(monkeypatch, "\r\n".join(names).encode(), at_once)
    assert [one for group in SourceNames(["-"]) for one in group] == names


def test_a_name_is_checked_before_the_next_one_is_asked_for(monkeypatch):
    pipe = given(monkeypatch, b"a.jpg\nb.jpg\n", at_once=6)
    groups = iter(SourceNames(["-"]))
    assert list(next(groups)) == ["a.jpg"]
    assert pipe.asked == 1


def test_names_with_nul_may_begin_with_anything(monkeypatch):
    given(monkeypatch, b"a\n.jpg\0b.jpg\0")
    assert [one for group in SourceNames(["-"], separator=b"\0") for one in group] == [
        *("a\n.jpg", "b.jpg")
    ]


@pytest.mark.parametrize("names", [[""], ["a.jpg", ""], ["-", "-"]])
def test_wrong_names_are_refused_at_once(names):
    with pytest.raises(UsageError):
        SourceNames(names)


def test_a_closed_standard_input_is_named(monkeypatch):
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(UsageError, match="standard input is closed; name files instead"):
        SourceNames(["-"])
