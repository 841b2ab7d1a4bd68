"""What a file that is no readable picture seems to be, in words for its owner."""

from __future__ import annotations

import re

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


def other_picture(data: bytes) -> str | None:
    """Return what other kind of picture a file seems to be, if it is one.

    >>> other_picture(b"8BPS" + bytes(20))
    'a Photoshop document'
    """
    return _first(_PICTURES, data)


def other_file(data: bytes) -> str | None:
    """Return what kind of file that is no picture this seems to be, if it can be told.

    >>> other_file(b"%PDF-1.7")
    'a PDF document'
    >>> other_file(b"Dear all, the picture is below.")
    'plain text'
    """
    return _first(_FILES, data) or ("plain text" if _is_text(data[:_LOOKED_AT]) else None)


def _first(kinds: dict[str, re.Pattern[bytes]], data: bytes) -> str | None:
    head = data[:_LOOKED_AT]
    return next((what for what, begins in kinds.items() if begins.match(head)), None)


def _is_text(head: bytes) -> bool:
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return b"\0" in head
    try:
        head.decode()
    except UnicodeDecodeError as error:
        # The last character may be cut in two.
        return (
            error.start >= len(head) - 3
            and error.reason == "unexpected end of data"
            and _is_text(head[: error.start])
        )
    return bool(head) and not _NEVER_IN_TEXT.search(head)
