"""XMP read by a parser that refuses what XML can do beyond data: entities, documents, depth.

Source: ISO 16684-1 (XMP), section 7; the attacks of CWE-611 and CWE-776.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from xml.parsers import expat

MOST_PROPERTIES = 2000
LONGEST_PROPERTY = 4000
DEEPEST = 64

_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_RDF_WORDS = frozenset({f"{_RDF} {name}" for name in ("li", "Bag", "Seq", "Alt", "value")})
#: The name spaces that are shown by their usual short names; others keep no name.
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
}


class XmpError(ValueError):
    """XMP that is no well-formed XML, or more of it than is read."""


def read_xmp(data: bytes) -> Iterator[tuple[str, str]]:
    """Yield name and text of the properties of an XMP packet, wherever in it they stand.

    A property is an attribute, or an element with a text of its own; the items of a list carry the
    list's name.

    Raises:
        XmpError: it is broken, declares entities, or is too deep.

    >>> list(read_xmp(b'<d xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:CreatorTool="GIMP"/>'))
    [('xmp:CreatorTool', 'GIMP')]
    """
    reader = _Reader()
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
        raise XmpError(f"it is no well-formed XML ({error})") from error
    yield from reader.found[:MOST_PROPERTIES]
    if len(reader.found) > MOST_PROPERTIES:
        raise XmpError(f"it has more than {MOST_PROPERTIES} properties; the others were not read")


class _Reader:
    """Collects properties while the parser walks."""

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
            self._texts[-1].append(characters[:LONGEST_PROPERTY])

    def refuse(self, *_: object) -> None:
        raise XmpError("it declares a document type or entities, which XMP has no need of")

    def _keep(self, name: str, text: str) -> None:
        space, _, local = name.rpartition(" ")
        if space != _RDF and len(self.found) <= MOST_PROPERTIES:
            self.found.append((f"{_SHORT.get(space, '')}:{local}", text[:LONGEST_PROPERTY]))
