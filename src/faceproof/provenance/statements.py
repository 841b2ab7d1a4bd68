"""From blocks of metadata to statements: a place, a key and a text, whatever the container."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from faceproof.imaging.containers.base import Block
from faceproof.provenance.exif import Exif
from faceproof.provenance.iim import read_iim
from faceproof.provenance.xmp import XmpError, read_xmp

#: Characters of a text that are looked at, long enough for the largest ComfyUI workflow.
LONGEST_TEXT = 1 << 19


@dataclass(frozen=True, slots=True)
class Statement:
    """A text in a file: ``key`` is "exif:Software", "png:parameters", "xmp:CreatorTool" ..."""

    where: str
    key: str
    text: str


@dataclass(frozen=True, slots=True)
class Fault:
    """A block of metadata that could not be read, and why."""

    where: str
    why: str


def statements(block: Block, exif: Exif | None) -> Iterator[Statement | Fault]:
    """Yield what a block says; ``exif`` is the block read, where it is EXIF."""
    if block.kind == "unreadable":
        yield Fault(block.where, block.key)
    elif block.kind == "exif":
        yield from _of_exif(block, exif)
    elif block.kind == "xmp":
        yield from _of_xmp(block)
    elif block.kind == "iim":
        for name, text in read_iim(block.data):
            yield Statement(f"{block.where} {name}", f"iim:{name}", text)
    elif block.kind == "text":
        yield Statement(block.where, f"png:{block.key}", _text(block.data))
    elif block.kind in {"comment", "editor"}:
        yield Statement(block.where, block.kind, _text(block.data))


def _of_exif(block: Block, exif: Exif | None) -> Iterator[Statement | Fault]:
    if exif is None:
        yield Fault(block.where, "its directory makes no sense")
        return
    for name, text in exif.texts.items():
        yield Statement(f"{block.where} {name}", f"exif:{name}", text[:LONGEST_TEXT])


def _of_xmp(block: Block) -> Iterator[Statement | Fault]:
    try:
        for name, text in read_xmp(block.data):
            yield Statement(f"{block.where} {name}", f"xmp:{name.partition(':')[2]}", text)
    except XmpError as error:
        yield Fault(block.where, str(error))


def _text(data: bytes) -> str:
    return data[: 4 * LONGEST_TEXT].decode("utf-8", errors="replace")[:LONGEST_TEXT]
