"""Sources: files, folders, patterns, addresses and lists of names."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path

import pytest

from faceproof.errors import SourceNotFoundError, SourceUnreadableError, UnsupportedSourceError
from faceproof.imaging.formats import SUFFIXES
from faceproof.sources import (
    PICTURE_SUFFIXES,
    RefusedSource,
    Sources,
    is_address,
    read_names,
    refuse_address,
    to_printable,
)

NAMES = ("b.JPG", "a.png", "c/d/e.webp", "c/a.tiff", "notes.txt", "._a.png", "c/Thumbs.db")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in NAMES:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def found(*names: str) -> list[str]:
    """Return the paths behind the names, with slashes; fails where one is refused."""
    return [path.replace(os.sep, "/") for path in Sources(names) if isinstance(path, str)]


def test_a_folder_stands_for_the_pictures_below_it_in_order(folder):
    sources = Sources(["."])
    assert [Path(path).as_posix() for path in sources] == [
        *("a.png", "b.JPG", "c/a.tiff", "c/d/e.webp")
    ]
    assert sources.skipped == 3


def test_a_named_file_is_taken_whatever_its_name(folder):
    assert found("notes.txt", "nowhere.jpg", "a.png", "a.png") == [
        *("notes.txt", "nowhere.jpg", "a.png", "a.png")
    ]


def test_a_pattern_stands_for_what_it_matches(folder):
    assert found("*.[pj]*") == ["a.png"]
    assert found("**/*.webp", "?.png") == ["c/d/e.webp", "a.png"]
    assert found("[c]") == ["c/a.tiff", "c/d/e.webp"]


def test_a_file_that_looks_like_a_pattern_is_a_file(folder):
    (folder / "IMG[1].jpg").touch()
    (folder / "IMG1.jpg").touch()
    assert found("IMG[1].jpg") == ["IMG[1].jpg"]


@pytest.mark.parametrize("name", ["*.bmp", "nowhere/*"])
def test_a_pattern_without_a_match_is_refused(folder, name):
    (refused,) = Sources([name])
    assert isinstance(refused, RefusedSource)
    assert isinstance(refused.error, SourceNotFoundError)
    assert str(refused.error) == f"{name}: nothing matches"


def test_a_folder_without_a_picture_is_refused(folder):
    (folder / "empty").mkdir()
    (folder / "text").mkdir()
    (folder / "text" / "a.txt").touch()
    empty, text = Sources(["empty", "text"])
    assert str(empty.error) == "empty: no picture in this folder"
    assert str(text.error) == "text: no picture in this folder, only 1 other files"


def test_an_address_is_handed_on_as_it_is():
    address = "https://example.org/a.jpg?size=[1]"
    assert list(Sources([address])) == [address]
    assert is_address(address)
    assert not is_address("C:\\pictures\\a.jpg")
    assert not is_address("pictures/a:b.jpg")
    with pytest.raises(UnsupportedSourceError, match="save the picture first"):
        refuse_address(address)


needs_links = pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")


@needs_links
def test_links_cannot_make_a_folder_endless(folder):
    (folder / "c" / "up").symlink_to(folder)
    (folder / "c" / "self").symlink_to("self")
    (folder / "again").symlink_to(folder / "c")
    assert found(".") == ["./a.png", "./again/a.tiff", "./again/d/e.webp", "./b.JPG"]


@needs_links
def test_a_linked_folder_is_walked_and_a_dangling_picture_is_reported(folder, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "z.gif").touch()
    (folder / "link").symlink_to(elsewhere)
    (folder / "lost.jpg").symlink_to("nowhere")
    assert found("link", "c/d", ".")[:2] == ["link/z.gif", "c/d/e.webp"]
    assert "./lost.jpg" in found(".")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes there")
def test_a_pipe_in_a_folder_is_not_opened(folder):
    os.mkfifo(folder / "pipe.jpg")
    assert "./pipe.jpg" not in found(".")


def test_a_folder_that_cannot_be_read_is_refused(folder, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "scandir", refuse)
    (refused,) = Sources(["c"])
    assert isinstance(refused.error, SourceUnreadableError)
    assert str(refused.error) == "c: Permission denied"


@pytest.mark.skipif(sys.platform != "linux", reason="file names are Unicode elsewhere")
def test_names_of_other_bytes_are_kept_and_can_be_printed(folder):
    name = os.fsdecode(b"caf\xe9.jpg")
    (folder / name).touch()
    assert f"./{name}" in found(".")
    assert to_printable(name) == r"caf\xe9.jpg"
    assert to_printable("\ud800") == r"\ud800"
    assert list(read_names(io.BytesIO(b"caf\xe9.jpg\n"))) == [[name]]


class Slow:
    """Gives what was written, one writing at a time."""

    def __init__(self, *written: bytes) -> None:
        self.written = list(written)

    def read(self, size: int, /) -> bytes:
        return self.written.pop(0) if self.written else b""


def test_names_are_handed_on_as_they_arrive():
    stream = Slow(b"a.jpg\nb", b".jpg\r\n", b"\n", b"\xc3", b"\xa9.jpg\nlast.jpg")
    assert list(read_names(stream)) == [["a.jpg"], ["b.jpg"], ["é.jpg"], ["last.jpg"]]


def test_names_may_end_in_nul():
    stream = io.BytesIO(b"a\nb.jpg\0c.jpg\0\0")
    assert list(read_names(stream, separator=b"\0")) == [["a\nb.jpg", "c.jpg"]]


def test_pictures_are_known_by_the_suffixes_of_the_formats_that_can_be_read():
    assert PICTURE_SUFFIXES == SUFFIXES
