"""Exif: the few tags of EXIF that speak of origin; who and where is never read.

Source: CIPA DC-008 (Exif 2.32), sections 4.6.4 to 4.6.6.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from faceproof.imaging.containers.directory import Directory, read_directory

_EXIF_DIRECTORY, _GPS_DIRECTORY = 0x8769, 0x8825
_THUMBNAIL_AT, _THUMBNAIL_BYTES, _ORIENTATION = 0x0201, 0x0202, 0x0112
_USER_COMMENT = 0x9286
# Artist is looked at because one generator writes its mark there; it is shown only when it matches.
_FIRST = {
    0x010E: "ImageDescription",
    0x010F: "Make",
    0x0110: "Model",
    0x0131: "Software",
    0x0132: "DateTime",
    0x013B: "Artist",
    0x013C: "HostComputer",
    0x000B: "ProcessingSoftware",
    0x8298: "Copyright",
    0x9C9C: "XPComment",
    0x9C9E: "XPKeywords",
}
_SECOND = {
    0x9003: "DateTimeOriginal",
    0xA433: "LensMake",
    0xA434: "LensModel",
}
_UTF16 = frozenset({0x9C9C, 0x9C9E})
_EXPOSURE = frozenset({0x829A, 0x829D, 0x8827, 0x9201, 0x9202, 0x920A})
_MOST_THUMBNAIL_BYTES = 1 << 18


@dataclass(frozen=True)
class Exif:
    """What EXIF says: ``texts`` by name, whether exposure and position stand there, the preview."""

    texts: Mapping[str, str] = field(default_factory=dict)
    exposure: bool = False
    position: bool = False
    orientation: int = 1
    thumbnail: bytes = field(default=b"", repr=False)


def read_exif(data: bytes) -> Exif | None:
    """Return what an EXIF block says; None where its first directory makes no sense."""
    first = read_directory(data)
    if not first.is_whole:
        return None
    second = _below(data, first, _EXIF_DIRECTORY)
    texts = _texts(first, _FIRST) | _texts(second, _SECOND) | _user_comment(second)
    orientation = first.number(_ORIENTATION)
    return Exif(
        texts={name: text for name, text in texts.items() if text},
        exposure=bool(_EXPOSURE & second.values.keys()),
        position=len(_below(data, first, _GPS_DIRECTORY).values) > 1,  # one is the version alone
        orientation=orientation if 1 <= orientation <= 8 else 1,
        thumbnail=_thumbnail(data, first),
    )


def _below(data: bytes, first: Directory, tag: int) -> Directory:
    """Return the directory that a tag points at; an empty one where there is none."""
    start = first.number(tag)
    below = read_directory(data, start) if start else Directory()
    return below if below.is_whole else Directory()


def _texts(directory: Directory, names: Mapping[int, str]) -> dict[str, str]:
    return {name: _text(directory, tag) for tag, name in names.items()}


def _text(directory: Directory, tag: int) -> str:
    if tag in _UTF16:
        return directory.raw(tag).decode("utf-16-le", errors="replace").strip("\0 ")
    return directory.text(tag)


def _user_comment(directory: Directory) -> dict[str, str]:
    """Return the comment, whose first eight bytes name its alphabet.

    AUTOMATIC1111 writes UTF-16 with the high byte first whatever the order of the file.
    """
    raw = directory.raw(_USER_COMMENT)
    alphabet, text = raw[:8], raw[8:]
    if alphabet == b"UNICODE\0":
        high_first = text[:1] == b"\0" or (directory.order == ">" and text[1:2] != b"\0")
        decoded = text.decode("utf-16-be" if high_first else "utf-16-le", errors="replace")
    else:
        decoded = text.decode("utf-8", errors="replace")
    return {"UserComment": decoded.strip("\0 ")}


def _thumbnail(data: bytes, first: Directory) -> bytes:
    second = read_directory(data, first.next) if first.next else Directory()
    if not second.is_whole:
        return b""
    start, size = second.number(_THUMBNAIL_AT), second.number(_THUMBNAIL_BYTES)
    return data[start : start + size] if 0 < size <= _MOST_THUMBNAIL_BYTES else b""
