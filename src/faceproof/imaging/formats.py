"""FORMATS: the supported picture formats, with the signature, reader and decoder of each."""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePath
from typing import NoReturn

from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from faceproof.errors import (
    CorruptPictureError,
    MislabelledFileError,
    TruncatedPictureError,
    UnsupportedFormatError,
)
from faceproof.imaging.containers.base import Container
from faceproof.imaging.containers.heif import Avif, Heic
from faceproof.imaging.containers.jpeg import Jpeg
from faceproof.imaging.containers.others import Bmp, Gif, Webp
from faceproof.imaging.containers.png import Png
from faceproof.imaging.containers.tiff import Tiff
from faceproof.installation import install_command

_LOOKED_AT = 1024
_XML = rb"(?:\xef\xbb\xbf)?\s*"

OTHER_PICTURES = {
    "a JPEG XL picture": rb"\xff\x0a|\0\0\0\x0cJXL ",
    "a JPEG 2000 picture": rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51",
    "a Photoshop document": rb"8BPS",
    "a Windows icon": rb"\0\0[\x01\x02]\0[\x01-\xff]\0",
    "a Mac icon": rb"icns",
    "a Netpbm picture": rb"P[1-7]\s",
    "a PostScript drawing": rb"%!PS|\xc5\xd0\xd3\xc6",
    "an OpenEXR picture": rb"\x76\x2f\x31\x01",
    "a Radiance picture": rb"#\?R",
    "a DirectDraw texture": rb"DDS ",
    "a QOI picture": rb"qoif",
    "a GIMP drawing": rb"gimp xcf",
    "a Canon raw file": rb"....ftypcrx ",
    "a rare kind of HEIF": rb"....ftyp(?:mif[23]|jpe?g|jpgs|j2ki|vvi[cs]|evb[is]|avc[is]|1pic)",
    "an SVG drawing": _XML + rb"(?:<\?xml.*?|<!--.*?|<!DOCTYPE svg.*?)?<svg",
}
OTHER_FILES = {
    "a web page (HTML); perhaps the download failed": _XML
    + rb"(?i:<!doctype html|<html|<head|<body)",
    "a PDF document": rb"%PDF",
    "a ZIP archive or an office document": rb"PK(?:\x03\x04|\x05\x06)",
    "a video (MP4 or QuickTime)": rb"....(?:ftyp|moov|mdat|wide|free|skip)",
    "a video (Matroska or WebM)": rb"\x1aE\xdf\xa3",
    "a video (AVI)": rb"RIFF....AVI ",
    "a video (MPEG)": rb"\0\0\x01[\xb3\xba]",
    "a video (Flash)": rb"FLV",
    "a sound file": rb"RIFF....WAVE|ID3|OggS|fLaC|\xff[\xfb\xf3\xf2]",
    "a gzip archive": rb"\x1f\x8b",
    "a 7-Zip archive": rb"7z\xbc\xaf",
    "a RAR archive": rb"Rar!",
    "a bzip2 archive": rb"BZh\d",
    "an xz archive": rb"\xfd7zXZ",
    "a Zstandard archive": rb"\x28\xb5\x2f\xfd",
    "a program": rb"\x7fELF|MZ.\0|\xcf\xfa\xed\xfe|#!",
    "a NumPy array": rb"\x93NUMPY",
    "a SQLite data base": rb"SQLite format 3",
    "a Git LFS pointer; fetch the file itself with `git lfs pull`": rb"version https://git-lfs",
    "an XML document": _XML + rb"<\?xml",
    "a JSON document": rb"\s*(?:\{\s*[\"}]|\[\s*[\[{\"\d\]])",
}
_PICTURES = {what: re.compile(begins, re.DOTALL) for what, begins in OTHER_PICTURES.items()}
_FILES = {what: re.compile(begins, re.DOTALL) for what, begins in OTHER_FILES.items()}
_NEVER_IN_TEXT = re.compile(rb"[\0-\x08\x0e-\x1a\x1c-\x1f\x7f]")


def _detect_other_picture(data: bytes) -> str | None:
    """Return the name of the unsupported picture format that a file appears to have, if any.

    >>> _detect_other_picture(b"8BPS" + bytes(20))
    'a Photoshop document'
    """
    return _first_match(_PICTURES, data)


def _detect_other_file(data: bytes) -> str | None:
    """Return the kind of a file that is not a picture, if it can be detected.

    >>> _detect_other_file(b"%PDF-1.7")
    'a PDF document'
    >>> _detect_other_file(b"Dear all, the picture is below.")
    'plain text'
    """
    return _first_match(_FILES, data) or ("plain text" if _is_text(data[:_LOOKED_AT]) else None)


def _first_match(kinds: dict[str, re.Pattern[bytes]], data: bytes) -> str | None:
    head = data[:_LOOKED_AT]
    return next((what for what, begins in kinds.items() if begins.match(head)), None)


def _is_text(head: bytes) -> bool:
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return b"\0" in head
    try:
        head.decode()
    except UnicodeDecodeError as error:
        # The last character may be incomplete.
        return (
            error.start >= len(head) - 3
            and error.reason == "unexpected end of data"
            and _is_text(head[: error.start])
        )
    return bool(head) and not _NEVER_IN_TEXT.search(head)


@dataclass(frozen=True)
class Format:
    """How a file ``begins``, its ``suffixes``, the reader of its ``container``, its decoder."""

    begins: Callable[[bytes], object]
    suffixes: tuple[str, ...]
    container: Callable[[bytes], Container]
    open: Callable[[io.BytesIO], Image.Image]


def _match_beginning(pattern: bytes) -> Callable[[bytes], object]:
    return re.compile(pattern, re.DOTALL).match


def _brands(data: bytes) -> set[bytes]:
    """Return the compatible brands of an ISO media file."""
    if data[4:8] != b"ftyp" or len(data) < 12:
        return set()
    (size,) = struct.unpack_from(">I", data)
    end = min(size, len(data), 1024)
    return {data[8:12], *(data[start : start + 4] for start in range(16, end - 3, 4))}


def _is_avif(data: bytes) -> bool:
    return bool(_brands(data) & {b"avif", b"avis"})


def _is_heic(data: bytes) -> bool:
    return bool(
        _brands(data) & {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
    )


def _open_heic(file: io.BytesIO) -> Image.Image:
    try:
        from pillow_heif.as_plugin import HeifImageFile  # an extra
    except ImportError as error:
        raise UnsupportedFormatError(f"HEIC needs an extra: {install_command('heic')}") from error
    image: Image.Image = HeifImageFile(file)
    return image


# Pillow's classes by name, never `Image.open`: it warns of large pictures unless global state is
# changed, reads the other pictures of an MPO, and supports formats that run other programs (EPS).
FORMATS = {
    "JPEG": Format(
        _match_beginning(rb"\xff\xd8\xff"),
        (".jpg", ".jpeg", ".jpe", ".jfif", ".pjp", ".pjpeg", ".mpo"),
        Jpeg,
        JpegImagePlugin.JpegImageFile,
    ),
    "PNG": Format(
        _match_beginning(rb"\x89PNG\r\n\x1a\n"), (".png", ".apng"), Png, PngImagePlugin.PngImageFile
    ),
    "WEBP": Format(
        _match_beginning(rb"RIFF....WEBPVP8[ XL]"), (".webp",), Webp, WebPImagePlugin.WebPImageFile
    ),
    "GIF": Format(_match_beginning(rb"GIF8[79]a"), (".gif",), Gif, GifImagePlugin.GifImageFile),
    "BMP": Format(
        _match_beginning(rb"BM.{12}[\x0c(48@lp|]\0\0\0"),
        (".bmp", ".dib"),
        Bmp,
        BmpImagePlugin.BmpImageFile,
    ),
    "TIFF": Format(
        _match_beginning(rb"(?:II|MM)(?:[*+]\0|\0[*+])"),
        (".tif", ".tiff"),
        Tiff,
        TiffImagePlugin.TiffImageFile,
    ),
    "AVIF": Format(_is_avif, (".avif", ".avifs"), Avif, AvifImagePlugin.AvifImageFile),
    "HEIC": Format(_is_heic, (".heic", ".heif", ".hif"), Heic, _open_heic),
}
SUFFIXES = frozenset(suffix for known in FORMATS.values() for suffix in known.suffixes)

_STARTS = (
    b"\xff\xd8\xff",
    b"\x89PNG\r\n\x1a\n",
    b"GIF8",
    b"BM",
    b"II*\0",
    b"MM\0*",
    b"RIFF",
    b"\0\0\0",
)
_SHORTEST = 32


def identify(data: bytes, name: str | None = None) -> str:
    """Return the key in `FORMATS` of a file's format, by its content and not its name.

    Raises:
        UnsupportedFormatError: another picture format, or an unknown format.
        MislabelledFileError: not a picture, although its suffix is that of one.
        TruncatedPictureError: only a few bytes.
        CorruptPictureError: the file begins with zeros.

    >>> identify(b"GIF89a")
    'GIF'
    """
    found = next((kind for kind, known in FORMATS.items() if known.begins(data)), None)
    return found or _refuse(data, PurePath(name or "").suffix.lower())


def _refuse(data: bytes, suffix: str) -> NoReturn:
    if len(data) < _SHORTEST and any(data.startswith(start[: len(data)]) for start in _STARTS):
        raise TruncatedPictureError(f"{len(data)} bytes are only the beginning of a picture")
    if picture := _detect_other_picture(data):
        raise UnsupportedFormatError(f"{picture}, which cannot be read; save it as JPEG or PNG")
    if other := _detect_other_file(data):
        if suffix in SUFFIXES:
            raise MislabelledFileError(f"its name ends in {suffix}, but it is {other}")
        raise UnsupportedFormatError(f"not a picture but {other}")
    if not data[:4096].strip(b"\0"):
        raise CorruptPictureError(
            "it begins with nothing but zeros: incompletely written or recovered"
        )
    raise UnsupportedFormatError(f"not a picture in any of the formats {', '.join(FORMATS)}")
