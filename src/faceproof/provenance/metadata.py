"""`read_exif` and the XMP and IIM readers: metadata of a file, parsed as untrusted input.

Source: CIPA DC-008 (Exif 2.32), sections 4.6.4 to 4.6.6.

Source: ISO 16684-1 (XMP), section 7; the attacks of CWE-611 and CWE-776.

Source: IPTC-NAA Information Interchange Model version 4, chapters 3 and 6.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from xml.parsers import expat

from faceproof.imaging.containers.directory import Directory, read_directory

_EXIF_DIRECTORY, _GPS_DIRECTORY = 0x8769, 0x8825
_THUMBNAIL_AT, _THUMBNAIL_BYTES, _ORIENTATION = 0x0201, 0x0202, 0x0112
_USER_COMMENT = 0x9286
# Artist is read because the signature of one generator needs it; it is never shown.
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
    """Parsed EXIF: ``texts`` by name, whether it has exposure and position, the preview."""

    texts: Mapping[str, str] = field(default_factory=dict)
    exposure: bool = False
    position: bool = False
    orientation: int = 1
    thumbnail: bytes = field(default=b"", repr=False)


def read_exif(data: bytes) -> Exif | None:
    """Return the parsed EXIF block; None if its first directory is invalid."""
    first = read_directory(data)
    if not first.is_whole:
        return None
    second = _sub_directory(data, first, _EXIF_DIRECTORY)
    texts = _texts(first, _FIRST) | _texts(second, _SECOND) | _user_comment(second)
    orientation = first.number(_ORIENTATION)
    return Exif(
        texts={name: text for name, text in texts.items() if text},
        exposure=bool(_EXPOSURE & second.values.keys()),
        position=len(_sub_directory(data, first, _GPS_DIRECTORY).values)
        > 1,  # one is only the version
        orientation=orientation if 1 <= orientation <= 8 else 1,
        thumbnail=_thumbnail(data, first),
    )


def _sub_directory(data: bytes, first: Directory, tag: int) -> Directory:
    """Return the directory that a tag points to; an empty one if there is none."""
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
    """Return the comment, whose first eight bytes name its encoding.

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


MOST_PROPERTIES = 2000
_LONGEST_PROPERTY = 4000
DEEPEST = 64

_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_RDF_WORDS = frozenset({f"{_RDF} {name}" for name in ("li", "Bag", "Seq", "Alt", "value")})
#: Namespaces with a usual prefix; properties of others are shown without one.
_SHORT = {
    "http://iptc.org/std/Iptc4xmpExt/2008-02-29/": "Iptc4xmpExt",
    "http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/": "Iptc4xmpCore",
    "http://ns.adobe.com/xap/1.0/": "xmp",
    "http://ns.adobe.com/xap/1.0/mm/": "xmpMM",
    "http://ns.adobe.com/xap/1.0/sType/ResourceEvent#": "stEvt",
    "http://ns.adobe.com/photoshop/1.0/": "photoshop",
    "http://ns.adobe.com/camera-raw-settings/1.0/": "crs",
    "http://ns.adobe.com/tiff/1.0/": "tiff",
    "http://ns.adobe.com/exif/1.0/": "exif",
    "http://purl.org/dc/elements/1.1/": "dc",
    "http://purl.org/dc/terms/": "dcterms",
    "http://www.tc260.org.cn/ns/AIGC/1.0/": "TC260",
}
#: Properties that describe other files, which were placed in this one.
_OTHER_FILES = frozenset(
    f"http://ns.adobe.com/xap/1.0/mm/ {name}" for name in ("Pantry", "Ingredients", "DerivedFrom")
)


class XmpError(ValueError):
    """XMP that is not well-formed XML, or exceeds a limit."""


def read_xmp(data: bytes) -> Iterator[tuple[str, str]]:
    """Yield name and text of the properties of an XMP packet, at any depth.

    A property is an attribute, or an element with a text of its own; the items of a list carry the
    list's name. Properties of other files, of which this one was put together, are left out.

    Raises:
        XmpError: it is malformed, declares entities, or is nested too deeply.

    >>> list(read_xmp(b'<d xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:CreatorTool="GIMP"/>'))
    [('xmp:CreatorTool', 'GIMP')]
    """
    reader = _XmpReader()
    parser = expat.ParserCreate("utf-8", " ")
    parser.buffer_text = True
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    parser.StartDoctypeDeclHandler = reader.refuse
    parser.EntityDeclHandler = reader.refuse
    packet = data.strip(b"\0 \r\n\t")
    try:
        parser.ParseFile(io.BytesIO(packet.removeprefix(b"\xef\xbb\xbf")))
    except expat.ExpatError as error:
        raise XmpError(f"it is not well-formed XML ({error})") from error
    yield from reader.found[:MOST_PROPERTIES]
    if len(reader.found) > MOST_PROPERTIES:
        raise XmpError(f"it has more than {MOST_PROPERTIES} properties; the others were not read")


class _XmpReader:
    """Collects properties from the parser's events."""

    def __init__(self) -> None:
        self.found: list[tuple[str, str]] = []
        self._path: list[str] = []
        self._texts: list[list[str]] = []

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if len(self._path) >= DEEPEST:
            raise XmpError(f"it is nested more than {DEEPEST} deep")
        self._path.append(name)
        self._texts.append([])
        for key, value in attributes.items():
            self._keep(key, value)

    def end(self, _: str) -> None:
        text = "".join(self._texts.pop()).strip()
        owner = next((name for name in reversed(self._path) if name not in _RDF_WORDS), "")
        self._path.pop()
        if text:
            self._keep(owner, text)

    def text(self, characters: str) -> None:
        if self._texts:
            self._texts[-1].append(characters[:_LONGEST_PROPERTY])

    def refuse(self, *_: object) -> None:
        raise XmpError("it declares a document type or entities, which XMP has no need of")

    def _keep(self, name: str, text: str) -> None:
        space, _, local = name.rpartition(" ")
        if space == _RDF or not _OTHER_FILES.isdisjoint((*self._path, name)):
            return
        if len(self.found) <= MOST_PROPERTIES:
            self.found.append((f"{_SHORT.get(space, '')}:{local}", text[:_LONGEST_PROPERTY]))


# Writer, place and keywords are not read: they describe people, not the picture's origin.
_NAMES = {
    5: "ObjectName",
    40: "SpecialInstructions",
    65: "OriginatingProgram",
    70: "ProgramVersion",
    103: "OriginalTransmissionReference",
    110: "Credit",
    115: "Source",
    120: "Caption",
}
_MARKER, _APPLICATION_RECORD = 0x1C, 2
_MOST = 1000


def read_iim(data: bytes) -> Iterator[tuple[str, str]]:
    """Yield name and text of the complete data sets about the picture's origin."""
    position = 0
    for _ in range(_MOST):
        if position + 5 > len(data) or data[position] != _MARKER:
            return
        record, number, length = struct.unpack_from(">BBH", data, position + 1)
        if length & 0x8000:  # longer than 32767 bytes: not a caption
            return
        if record == _APPLICATION_RECORD and number in _NAMES:
            raw = data[position + 5 : position + 5 + length]
            yield _NAMES[number], raw.decode("utf-8", errors="replace").strip("\0 ")
        position += 5 + length
