"""Every way in which a file can be no usable picture has its own code and message."""

import io
import os
import re
import struct
import sys
import threading

import numpy as np
import pytest
from PIL import Image

from faceproof.errors import (
    CorruptPictureError,
    EmptyFileError,
    FileTooLargeError,
    MislabelledFileError,
    PictureError,
    PictureTooLargeError,
    SourceNotFoundError,
    SourceUnreadableError,
    TruncatedPictureError,
    UnsupportedFormatError,
    UnsupportedSourceError,
)
from faceproof.imaging.decode import Limits, decode, load
from faceproof.imaging.formats import FORMATS, SUFFIXES
from faceproof.installation import install_command

FORMATS_HERE = ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"]
TEXTURE = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)


def encoded(kind: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(TEXTURE).save(file, kind, **options)
    return file.getvalue()


# --- the file ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["path", "bytes", "stream"])
def test_an_empty_file(kind, tmp_path):
    path = tmp_path / "a.jpg"
    path.touch()
    source = {"path": path, "bytes": b"", "stream": io.BytesIO()}[kind]
    with pytest.raises(EmptyFileError, match="empty"):
        load(source)


@pytest.mark.parametrize("kind", ["path", "bytes", "stream"])
def test_a_file_with_too_many_bytes(kind, tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(encoded())
    source = {"path": path, "bytes": encoded(), "stream": io.BytesIO(encoded())}[kind]
    with pytest.raises(FileTooLargeError, match="limit of 1000 bytes"):
        load(source, limits=Limits(max_bytes=1000))


def test_a_large_file_is_not_read(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    with path.open("wb") as file:
        file.truncate((64 << 20) + 1)  # sparse: it takes no room
    monkeypatch.setattr(type(path), "open", None)
    with pytest.raises(FileTooLargeError, match=r"a\.png: more than the limit"):
        load(path)


def test_an_endless_stream_is_read_up_to_the_limit():
    class Endless(io.RawIOBase):
        given = 0

        def read(self, size: int = -1) -> bytes:
            self.given += min(size, 1000)
            return b"\xff" * min(size, 1000)

    stream = Endless()
    with pytest.raises(FileTooLargeError):
        load(stream, limits=Limits(max_bytes=100_000))
    assert stream.given == 100_001


def test_a_path_that_is_not_there(tmp_path):
    with pytest.raises(SourceNotFoundError, match=r"b\.jpg: no such file"):
        load(tmp_path / "b.jpg")


@pytest.mark.parametrize("name", ["a\0b.jpg", "x" * 5000 + ".jpg"])
def test_a_path_that_cannot_be(name, tmp_path):
    with pytest.raises((SourceUnreadableError, SourceNotFoundError)):
        load(tmp_path / name)


def test_a_folder(tmp_path):
    with pytest.raises(UnsupportedSourceError, match="a folder"):
        load(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_does_not_hang(tmp_path):
    os.mkfifo(tmp_path / "a.jpg")
    with pytest.raises(UnsupportedSourceError, match="a pipe or a device"):
        load(tmp_path / "a.jpg")


def test_a_file_that_may_not_be_read(tmp_path, monkeypatch):
    path = tmp_path / "a.jpg"
    path.write_bytes(encoded())

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(path), "open", refuse)
    with pytest.raises(SourceUnreadableError, match=r"cannot be read \(Permission denied\)"):
        load(path)


def test_streams_that_fail():
    closed = io.BytesIO(encoded())
    closed.close()
    with pytest.raises(SourceUnreadableError, match="closed file"):
        load(closed)
    with pytest.raises(UnsupportedSourceError, match="binary mode"):
        load(io.StringIO("text"))


# --- what it is --------------------------------------------------------------------------------

OTHER_FILES = {
    "a web page": b"<!DOCTYPE html><html><body>404</body></html>",
    "a PDF": b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj",
    "a video \\(MP4": b"\0\0\0\x20ftypisom\0\0\2\0isomiso2avc1mp41" + bytes(60),
    "a ZIP": b"PK\3\4\x14\0\6\0\x08\0" + bytes(60),
    "plain text": b"This picture is not available in your region. " * 3,
    "plain (?:text)": "Dieses Bild gehört in ein anderes Verzeichnis\n".encode(),
    "(?:plain) text": "text".encode("utf-16"),
    "a JSON": b'{"error": {"code": 404, "message": "not found"}}',
    "an XML": b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>',
    "a sound": b"ID3\4\0\0\0\0\0#TSSE" + bytes(60),
    "a gzip": b"\x1f\x8b\x08\0\0\0\0\0\0\3" + bytes(60),
    "a program": b"\x7fELF\2\1\1" + bytes(60),
    "a Git LFS pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n",
    "a NumPy array": b"\x93NUMPY\1\0v\0{'descr': '|u1'}" + bytes(60),
    "a video \\(AVI": b"RIFF\x24\0\0\0AVI LIST" + bytes(60),
}
OTHER_PICTURES = {
    "a JPEG XL": b"\xff\x0a\xfa\x1f" + bytes(60),
    "a JPEG XL picture": b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(60),
    "a JPEG 2000": b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(60),
    "a Photoshop": b"8BPS\0\1" + bytes(60),
    "an SVG": b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"></svg>',
    "an SVG drawing": b'<svg width="10" height="10"></svg>',
    "a PostScript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 1 1\n",
    "a Windows icon": b"\0\0\1\0\1\0\x10\x10" + bytes(60),
    "a Netpbm": b"P6 1 1 255\nabc" + bytes(60),
    "a Canon raw": b"\0\0\0\x18ftypcrx \0\0\0\1crx isom" + bytes(60),
    "a rare kind of HEIF": b"\0\0\0\x10ftypmif3avif" + bytes(60),
}


@pytest.mark.parametrize("what", OTHER_FILES)
@pytest.mark.parametrize("name", ["a.jpg", "folder/B.PNG", "c.heic"])
def test_a_file_that_is_named_like_a_picture_and_is_none(what, name):
    with pytest.raises(MislabelledFileError, match=rf"its name ends in \.\w+, but it is {what}"):
        decode(OTHER_FILES[what], name=name)


@pytest.mark.parametrize("what", OTHER_FILES)
@pytest.mark.parametrize("name", ["a.txt", None])
def test_a_file_that_does_not_claim_to_be_a_picture(what, name):
    with pytest.raises(UnsupportedFormatError, match=f"not a picture but {what}"):
        decode(OTHER_FILES[what], name=name)


@pytest.mark.parametrize("what", OTHER_PICTURES)
@pytest.mark.parametrize("name", ["a.jpg", "a.xyz", None])
def test_a_picture_in_a_format_that_is_not_read(what, name):
    with pytest.raises(UnsupportedFormatError, match=f"{what}.*, which cannot be read"):
        decode(OTHER_PICTURES[what], name=name)


def test_postscript_never_runs_a_program(tmp_path, monkeypatch):
    import subprocess

    monkeypatch.setattr(subprocess, "Popen", None)
    path = tmp_path / "a.png"
    path.write_bytes(
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n"
    )
    with pytest.raises(UnsupportedFormatError, match="PostScript"):
        load(path)


def test_bytes_that_are_nothing_known():
    noise = np.random.default_rng(1).bytes(4000)
    with pytest.raises(UnsupportedFormatError, match="not a picture in any of the formats JPEG"):
        decode(noise, name="a.jpg")


def test_zeros_of_a_bad_recovery():
    with pytest.raises(CorruptPictureError, match="nothing but zeros"):
        decode(bytes(5000), name="a.jpg")


def test_heic_without_its_extra_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    monkeypatch.setitem(sys.modules, "pillow_heif.as_plugin", None)
    data = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\0\0\0\x10mdat" + bytes(8)
    with pytest.raises(UnsupportedFormatError, match=re.escape(install_command("heic"))):
        decode(data)


def test_raw_files_of_cameras_are_refused():
    tag = struct.pack("<HHI4B", 50706, 1, 4, 1, 4, 0, 0)
    dng = b"II*\0" + struct.pack("<IH", 8, 1) + tag + bytes(400)
    with pytest.raises(UnsupportedFormatError, match="a camera's raw file"):
        decode(dng, name="a.dng")


@pytest.mark.parametrize(
    ("marker", "bits", "layers"), [(0xC3, 8, 3), (0xC5, 8, 3), (0xC1, 12, 3), (0xC0, 8, 2)]
)
def test_rare_kinds_of_jpeg(marker, bits, layers):
    data = bytearray(encoded("JPEG"))
    frame = data.index(b"\xff\xc0")
    data[frame + 1], data[frame + 4], data[frame + 9] = marker, bits, layers
    with pytest.raises(UnsupportedFormatError, match="unsupported kind of JPEG"):
        decode(bytes(data))


@pytest.mark.parametrize(
    ("tag", "value", "message"), [(259, 50001, "compression 50001"), (258, 12, "12")]
)
def test_rare_kinds_of_tiff(tag, value, message):
    data = bytearray(encoded("TIFF"))
    (start,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, start)
    entries = [start + 2 + 12 * index for index in range(count)]
    at = next(entry for entry in entries if struct.unpack_from("<H", data, entry)[0] == tag)
    data[at : at + 12] = struct.pack("<HHII", tag, 3, 1, value)
    with pytest.raises(UnsupportedFormatError, match=message):
        decode(bytes(data))


# --- what is wrong with it ---------------------------------------------------------------------


@pytest.mark.parametrize("kind", FORMATS_HERE)
@pytest.mark.parametrize("part", [0.002, 0.05, 0.5, 0.95])
def test_a_picture_that_is_cut_short(kind, part):
    data = encoded(kind)
    cut = data[: max(3, int(len(data) * part))]
    with pytest.raises(TruncatedPictureError):
        decode(cut, name=f"a.{kind.lower()}").require_whole()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "TIFF", "AVIF"])
def test_a_picture_that_lacks_its_last_bytes(kind):
    with pytest.raises(TruncatedPictureError):
        decode(encoded(kind)[:-4]).require_whole()


def test_a_host_that_tolerates_truncated_pictures_changes_little(monkeypatch):
    """Ultralytics and others set this for the whole process."""
    from PIL import ImageFile

    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    for kind in ("JPEG", "PNG", "WEBP", "AVIF"):
        with pytest.raises(TruncatedPictureError):
            decode(encoded(kind)[:-600]).require_whole()


def test_a_png_with_damaged_pixels():
    data = bytearray(encoded("PNG"))
    middle = len(data) // 2
    data[middle : middle + 40] = bytes(40)
    with pytest.raises(CorruptPictureError, match="corrupt"):
        decode(bytes(data), name="a.png")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\xff\xd8\xff\xd9" + bytes(100), "holds no picture"),
        (b"\xff\xd8\xff\xe0\0\0" + bytes(100), "impossible length"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "makes no sense"),
        (
            b"\x89PNG\r\n\x1a\n\0\0\0\0IDAT\0\0\0\0" + b"\0\0\0\0IEND\0\0\0\0",
            "begin with its header",
        ),
        (b"GIF89a\1\0\1\0\0\0\0;", "holds no picture"),
        (b"BM" + bytes(12) + b"(\0\0\0" + b"\1\0\0\0" + bytes(100), "1 x 0 pixels"),
        (b"II*\0\x08\0\0\0\0\0" + bytes(100), "corrupt"),
    ],
)
def test_pictures_that_make_no_sense(data, message):
    with pytest.raises(CorruptPictureError, match=message):
        decode(data)


@pytest.mark.parametrize("kind", FORMATS_HERE)
@pytest.mark.parametrize(
    "limits", [Limits(max_pixels=48 * 64 - 1), Limits(max_side=63)], ids=["pixels", "side"]
)
def test_a_picture_that_is_too_large_is_never_decoded(kind, limits, monkeypatch):
    def decoder(*_: object) -> None:
        raise AssertionError("decoded")

    data = encoded(kind)
    monkeypatch.setattr(Image, "_getdecoder", decoder)
    with pytest.raises(PictureTooLargeError, match="64 x 48 pixels, more than the limit"):
        decode(data, limits=limits)


def test_heic_has_the_same_limits():
    heif = pytest.importorskip("pillow_heif")
    file = io.BytesIO()
    heif.from_pillow(Image.fromarray(TEXTURE)).save(file)
    with pytest.raises(PictureTooLargeError):
        decode(file.getvalue(), limits=Limits(max_side=63))
    with pytest.raises(TruncatedPictureError):
        decode(file.getvalue()[:-50])


def test_pictures_in_memory_have_the_same_limits():
    for source in (TEXTURE, Image.fromarray(TEXTURE)):
        with pytest.raises(PictureTooLargeError):
            load(source, limits=Limits(max_side=63))
        assert load(source, limits=Limits(max_side=64, max_pixels=48 * 64)).width == 64


def test_a_broken_file_opened_with_pillow():
    image = Image.open(io.BytesIO(encoded("JPEG")[:-600]))
    with pytest.raises(TruncatedPictureError):
        load(image)


@pytest.mark.parametrize(
    ("raised", "ours"),
    [
        (MemoryError(), PictureTooLargeError),
        (Image.DecompressionBombError("bomb"), PictureTooLargeError),
        (OSError("image file is truncated (1 bytes not processed)"), TruncatedPictureError),
        (OSError("broken data stream when reading image file"), CorruptPictureError),
        (Image.UnidentifiedImageError("no"), CorruptPictureError),
        (NotImplementedError(), CorruptPictureError),
        (RecursionError(), CorruptPictureError),
        (ZeroDivisionError(), CorruptPictureError),
        (UserWarning("odd"), CorruptPictureError),
        (SyntaxError("Unsupported BMP pixel depth"), UnsupportedFormatError),
    ],
)
def test_whatever_a_library_raises_becomes_ours(raised, ours, monkeypatch):
    def explode(*_: object) -> None:
        raise raised

    data = encoded()
    monkeypatch.setattr(Image, "_getdecoder", explode)
    with pytest.raises(ours) as caught:
        decode(data, name="a.png")
    assert type(caught.value) is ours
    assert caught.value.__cause__ is raised
    assert str(caught.value).startswith("a.png: ")


@pytest.mark.parametrize("raised", [KeyboardInterrupt(), SystemExit()])
def test_what_stops_a_program_is_not_swallowed(raised, monkeypatch):
    def stop(*_: object) -> None:
        raise raised

    data = encoded()
    monkeypatch.setattr(Image, "_getdecoder", stop)
    with pytest.raises(type(raised)):
        decode(data)


def test_every_code_is_its_own():
    leaves = PictureError.__subclasses__()
    assert len({leaf.code for leaf in leaves}) == len(leaves)


def test_every_format_has_suffixes_of_its_own():
    suffixes = [suffix for known in FORMATS.values() for suffix in known.suffixes]
    assert len(suffixes) == len(SUFFIXES)
    assert all(suffix.startswith(".") and suffix == suffix.lower() for suffix in suffixes)


def test_threads_may_decode_at_once():
    files = [encoded(kind) for kind in FORMATS_HERE]
    alone = [decode(data).pixels for data in files]
    wrong = []

    def work() -> None:
        for data, pixels in zip(files, alone, strict=True):
            if not np.array_equal(decode(data).pixels, pixels):
                wrong.append(data)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
