"""The metadata of a PNG: its text chunks, plain and compressed, EXIF and XMP.

Source: Portable Network Graphics (PNG) Specification, third edition, W3C, sections 11.3.3 and
11.3.4; ImageMagick's "Raw profile type" texts.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from faceproof.imaging.containers.container import MAX_SEGMENTS
from faceproof.provenance.blocks.block import Block, BlockKind, bounded_block, unpacked, unreadable
from faceproof.provenance.blocks.photoshop import resources

_TEXTS = frozenset({b"tEXt", b"zTXt", b"iTXt"})
_XMP = "XML:com.adobe.xmp"
_RAW = "Raw profile type "
_RAW_KINDS: dict[str, BlockKind] = {"exif": "exif", "app1": "exif", "xmp": "xmp", "iptc": "iim"}


def png_blocks(data: bytes) -> Iterator[Block]:
    """Yield the texts, the EXIF and the XMP of a PNG, wherever among its chunks they stand."""
    position = 8
    for _ in range(MAX_SEGMENTS):
        if position + 12 > len(data):
            return
        length, kind = struct.unpack_from(">I4s", data, position)
        body = position + 8
        if kind in _TEXTS:
            yield from _texts(kind.decode(), data[body : body + length])
        elif kind == b"eXIf":
            yield bounded_block("exif", "EXIF", data[body : body + length])
        position = body + length + 4


def _texts(kind: str, chunk: bytes) -> Iterator[Block]:
    raw_key, _, rest = chunk.partition(b"\0")
    key = raw_key[:79].decode("latin-1")
    where = f"PNG text chunk '{key}'"
    content = _content(kind, rest)
    if content is None:
        yield unreadable(where, "it is broken, or unpacks to more than is read")
    elif key == _XMP:
        yield bounded_block("xmp", "XMP", content)
    elif key.startswith(_RAW):
        yield from _raw_profile(key, where, content)
    else:
        text = content if kind == "iTXt" else content.decode("latin-1").encode()
        yield bounded_block("text", where, text, key)


def _content(kind: str, rest: bytes) -> bytes | None:
    """Return the bytes of a text: UTF-8 in iTXt, Latin-1 in the others."""
    if kind == "tEXt":
        return rest
    if kind == "zTXt":
        return unpacked(rest[1:])
    packed = rest[:1] == b"\1"
    text = rest[2:].partition(b"\0")[2].partition(b"\0")[2]
    return unpacked(text) if packed else text


def _raw_profile(key: str, where: str, content: bytes) -> Iterator[Block]:
    """Yield what ImageMagick writes as text: a name, a length, and the bytes in hexadecimal."""
    kind = _RAW_KINDS.get(key.removeprefix(_RAW).lower())
    if kind is None:
        return
    try:
        data = bytes.fromhex(b"".join(content.split()[2:]).decode("ascii"))
    except ValueError:
        yield unreadable(where, "it is no hexadecimal text")
        return
    if kind == "iim" and data.startswith(b"8BIM"):
        yield from resources(data)
    else:
        yield bounded_block(kind, where, data.removeprefix(b"Exif\0\0"))
