"""Sources: files, folders, patterns, addresses and lists of names."""

from __future__ import annotations

import io
import os
import sys
import threading
from pathlib import Path

import pytest
from PIL import Image, PngImagePlugin

from faceproof.errors import (
    SourceNotFoundError,
    SourceUnreadableError,
    UnsupportedSourceError,
    UsageError,
)
from faceproof.imaging.formats import FORMATS, SUFFIXES
from faceproof.sources import (
    ANNOTATED_MARK,
    HEATMAP_MARK,
    PICTURE_SUFFIXES,
    RefusedSource,
    Sources,
    StreamSource,
    as_stream,
    begins_like_picture,
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


def test_without_order_a_folder_has_the_same_pictures_and_others(folder):
    sources, unordered = Sources(["."]), Sources(["."], ordered=False)
    assert sorted(map(str, unordered)) == sorted(map(str, sources))
    assert unordered.skipped == sources.skipped > 0


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


@pytest.mark.parametrize("kind", sorted(FORMATS))
def test_pictures_are_known_by_their_beginnings(kind):
    heads = {
        "HEIC": b"\0\0\0\x1cftypheic\0\0\0\0mif1heic",
        "AVIF": b"\0\0\0\x1cftypavif\0\0\0\0avifmif1",
    }
    data = heads.get(kind, b"")
    if not data:
        Image.new("RGB", (9, 9)).save(file := io.BytesIO(), kind)
        data = file.getvalue()
    assert FORMATS[kind].begins(data)
    assert begins_like_picture(data[:64])


@pytest.mark.parametrize(
    "text", [b"a.jpg\n", b"BMW.jpg\nBMW 2.jpg\n" * 9, b"II.tif", b"", b"\0" * 64]
)
def test_other_bytes_are_no_picture(text):
    assert not begins_like_picture(text)


def test_what_a_browser_or_a_camera_calls_a_jpeg_is_taken_from_a_folder(folder):
    for name in ("a.mpo", "a.pjp", "a.pjpeg", "a.jfif", "IMG_0001"):
        Image.new("RGB", (8, 8)).save(folder / "c" / "d" / name, "JPEG")
    (folder / "c" / "d" / "LICENSE").write_text("text")
    assert found("c/d") == [
        *("c/d/IMG_0001", "c/d/a.jfif", "c/d/a.mpo", "c/d/a.pjp", "c/d/a.pjpeg", "c/d/e.webp")
    ]


@pytest.mark.parametrize("name", [".thumbnails", "@eaDir", "__MACOSX", ".Trash-1000"])
def test_copies_of_other_programs_are_counted_and_not_checked(folder, name):
    copies = folder / "c" / name / "large"
    copies.mkdir(parents=True)
    for number in range(3):
        (copies / f"{number}.png").touch()
    sources = Sources(["c"])
    assert [Path(path).as_posix() for path in sources] == ["c/a.tiff", "c/d/e.webp"]
    assert sources.skipped == 1 + 3
    assert len(found(f"c/{name}")) == 3, "named, it is entered"


@pytest.mark.parametrize("mark", [HEATMAP_MARK, ANNOTATED_MARK])
def test_pictures_that_we_drew_in_a_folder_are_not_checked(folder, mark):
    info = PngImagePlugin.PngInfo()
    info.add_text(mark, f"face 1 of {'a' * 64}")
    Image.new("RGB", (8, 8)).save(folder / "c" / "map.png", pnginfo=info)
    sources = Sources(["c"])
    assert "c/map.png" not in [Path(path).as_posix() for path in sources]
    assert sources.skipped == 2
    assert found("c/map.png") == ["c/map.png"]


@pytest.mark.parametrize("chunks", [(1,), (3, 2), (500,)])
def test_a_byte_order_mark_is_no_part_of_a_name(chunks):
    data = "\ufeffé.jpg\r\nb.jpg\r\n".encode()
    parts, start = [], 0
    for size in (*chunks, 500):
        parts.append(data[start : start + size])
        start += size
    names = [name for names in read_names(Slow(*filter(None, parts))) for name in names]
    assert names == ["é.jpg", "b.jpg"]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_a_utf16_list_is_named(encoding):
    with pytest.raises(UsageError, match="the list of names is UTF-16, and must be UTF-8"):
        list(read_names(io.BytesIO("a.jpg\r\nb.jpg\r\n".encode(encoding))))


def test_names_that_end_in_nul_need_the_option():
    with pytest.raises(UsageError, match="end in NUL: add --null"):
        list(read_names(io.BytesIO(b"pictures/a.jpg\0pictures/b.jpg\0")))


@pytest.mark.parametrize(
    "address",
    [
        "data:image/gif;base64,R0lGODlhAQAB",
        "DATA:;base64,R0lG%4fDlhA QAB",
        "data:,GIF89a%01%00%01",
    ],
)
def test_a_data_address_is_read(address):
    (source,) = Sources([address])
    assert isinstance(source, StreamSource)
    assert source.read(100) == b"GIF89a\x01\0\x01"
    assert len(source.source) < 60


@pytest.mark.parametrize("text", ["_-_-AQ", "_-_-AQ==", "%2F%2B%2F%2BAQ==", "/+/+\r\nAQ"])
def test_the_data_may_be_in_either_alphabet_and_without_padding(text):
    assert as_stream(f"data:image/gif;base64,{text}").read(9) == b"\xff\xef\xfe\x01"


@pytest.mark.parametrize("address", ["data:image/png;base64,R0lG*", "data:image/png;base64"])
def test_a_malformed_data_address_is_named_in_one_line(address):
    with pytest.raises(UnsupportedSourceError, match=r"^data:image/png;base64,\.\.\. .*: no"):
        as_stream(address).read(100)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes there")
def test_a_named_pipe_is_read_once_and_kept(folder):
    os.mkfifo(folder / "pipe")
    writer = threading.Thread(target=(folder / "pipe").write_bytes, args=(b"123456",))
    writer.start()
    (source,) = Sources(["pipe"])
    assert [source.read(3), source.read(3)] == [b"1234", b"1234"]
    writer.join()
