"""ContentCredentials, ProvenanceFinding and Statement: evidence of a file's origin.

Source: IPTC NewsCodes, Digital Source Type, cv.iptc.org/newscodes/digitalsourcetype, 2024-10-23.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from faceproof.imaging.containers.base import Block
from faceproof.provenance.metadata import Exif, XmpError, read_iim, read_xmp
from faceproof.records import Record

FindingKind = Literal[
    "generator_trace",
    "digital_source_type",
    "editing_software",
    "camera",
    "saved_again",
    "metadata",
    "credentials",
    "unreadable",
]
PointsTo = Literal["made_by_ai", "edited", "captured", "nothing"]
CredentialState = Literal["absent", "trusted", "untrusted", "invalid", "tampered", "unreadable"]

MOST_FINDINGS = 64
MOST_LISTED = 16
LONGEST_VALUE = 300
_LONGEST_WORDS = 600

Words = Annotated[str, Field(min_length=1, max_length=_LONGEST_WORDS)]
Value = Annotated[str, Field(max_length=LONGEST_VALUE)]
Values = Annotated[tuple[Value, ...], Field(max_length=MOST_LISTED)]


class ProvenanceFinding(Record):
    """One statement of a file about its origin, or a sign of how it was saved."""

    kind: FindingKind = Field(description="Kind of the statement or sign.")
    says: Words = Field(description="The finding as a plain sentence.")
    value: Value = Field(default="", description="Text in the file, truncated to a bounded length.")
    where: Value = Field(description="Place in the file.")
    points_to: PointsTo = Field(
        default="nothing", description="Origin that it indicates if the metadata is genuine."
    )


class ContentCredentials(Record):
    """The signed statement (C2PA) in a file, and whether it is valid.

    ``absent``: there is none, which proves nothing. ``trusted``: it matches the file, and its
    signer is on the configured trust list. ``untrusted``: it matches the file, but the signer is
    not on a configured trust list. ``invalid``: it matches the file, but its certificate was not
    valid for it, for example expired. ``tampered``: the file or the statement was changed after
    signing. ``unreadable``: there is one, and it cannot be read.
    """

    state: CredentialState = Field(
        description="Whether there is a statement, and whether it is valid: absent, trusted, "
        "untrusted, invalid, tampered or unreadable."
    )
    says: Words = Field(description="The state as a plain sentence.")
    signer: Value | None = Field(
        default=None, description="Who signed it, as its certificate names them."
    )
    issued: Value | None = Field(
        default=None, description="Signing time that the signer claims, ISO 8601."
    )
    claim_generator: Value | None = Field(
        default=None, description="Program that wrote the statement."
    )
    actions: Values = Field(
        default=(), description="Actions on the picture that the statement claims."
    )
    digital_source_types: Values = Field(
        default=(), description="Claimed kinds of source, as codes of IPTC."
    )
    ingredients: Annotated[int, Field(ge=0)] = Field(
        default=0, description="Claimed number of source files of the picture."
    )
    validation_codes: Values = Field(default=(), description="C2PA's own codes of the validation.")


def bound_text(text: str, longest: int = LONGEST_VALUE) -> str:
    r"""Return text on one line that is safe to show: printable characters, a bounded length.

    Control characters could rewrite a terminal, direction marks could reverse a sentence, and half
    a surrogate pair is not valid Unicode.

    >>> bound_text("a\nb\x1b[31m"), bound_text("abcdef", 4)
    ('a b [31m', 'abc…')
    """
    printable = (letter if letter.isprintable() else " " for letter in text[: 4 * longest])
    shown = " ".join("".join(printable).split())
    return shown if len(shown) <= longest else shown[: longest - 1] + "…"


@dataclass(frozen=True, slots=True)
class _SourceType:
    """Meaning of a code ("it was ..."), and the origin that it indicates."""

    says: str
    points_to: PointsTo = "nothing"


DIGITAL_SOURCE_TYPES: Mapping[str, _SourceType] = {
    "trainedAlgorithmicMedia": _SourceType("made by a generative AI", "made_by_ai"),
    "compositeWithTrainedAlgorithmicMedia": _SourceType(
        "put together or changed with parts that a generative AI made", "made_by_ai"
    ),
    "compositeSynthetic": _SourceType(
        "put together from parts of which at least one was made by a computer", "edited"
    ),
    "algorithmicMedia": _SourceType("made by a program that learnt from no examples", "nothing"),
    "trainedAlgorithmicData": _SourceType(
        "made by a program that learnt from examples", "made_by_ai"
    ),
    "algorithmicallyEnhanced": _SourceType("changed by a program, without generative AI", "edited"),
    "humanEdits": _SourceType("edited by people, without generative AI", "edited"),
    "minorHumanEdits": _SourceType("edited a little by people", "edited"),
    "composite": _SourceType("put together from several parts", "edited"),
    "compositeCapture": _SourceType("put together from several photographs", "edited"),
    "digitalCapture": _SourceType("taken by a digital camera", "captured"),
    "computationalCapture": _SourceType(
        "taken by a camera that joined several exposures, without generative AI", "captured"
    ),
    "negativeFilm": _SourceType("scanned from a negative on film", "captured"),
    "positiveFilm": _SourceType("scanned from a positive on film", "captured"),
    "print": _SourceType("scanned from a print", "captured"),
    "digitalCreation": _SourceType("drawn by a person with a computer"),
    "digitalArt": _SourceType("drawn by a person with a computer"),
    "softwareImage": _SourceType("made with software"),
    "dataDrivenMedia": _SourceType("drawn by a program from data"),
    "screenCapture": _SourceType("captured from a screen"),
    "virtualRecording": _SourceType("recorded in a virtual world"),
}

_CODE = re.compile(
    r"(?i)^\s*(?:(?:https?://)?(?:cv\.iptc\.org/newscodes|c2pa\.org)/digitalsourcetype/"
    r"|(?:digsrctype|digitalsourcetype):)?([a-z]{3,64})/?\s*$"
)
_BY_SMALL_LETTERS = {code.lower(): code for code in DIGITAL_SOURCE_TYPES}


def source_type(text: str) -> str | None:
    """Return the code that a URL or a short form names; None if it is not one of IPTC's.

    The text is nothing but the code: a sentence that ends with one may deny it.

    >>> source_type("http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia")
    'trainedAlgorithmicMedia'
    >>> source_type("not trainedAlgorithmicMedia") is None
    True
    """
    found = _CODE.search(text[:200])
    return _BY_SMALL_LETTERS.get(found[1].lower()) if found else None


#: Characters of a text that are searched, enough for the largest ComfyUI workflow.
_LONGEST_TEXT = 1 << 19


@dataclass(frozen=True, slots=True)
class Statement:
    """A text in a file: ``key`` is "exif:Software", "png:parameters", "xmp:CreatorTool" ...

    XMP properties have the usual prefix of their namespace, none if the namespace is unknown.
    """

    where: str
    key: str
    text: str


@dataclass(frozen=True, slots=True)
class UnreadableBlock:
    """A block of metadata that could not be read, and why."""

    where: str
    why: str


def statements(block: Block, exif: Exif | None) -> Iterator[Statement | UnreadableBlock]:
    """Yield the texts of a block; ``exif`` is the parsed block if it is EXIF."""
    if block.kind == "unreadable":
        yield UnreadableBlock(block.where, block.key)
    elif block.kind == "exif":
        yield from _exif_statements(block, exif)
    elif block.kind == "xmp":
        yield from _xmp_statements(block)
    elif block.kind == "iim":
        for name, text in read_iim(block.data):
            yield Statement(f"{block.where} {name}", f"iim:{name}", text)
    elif block.kind == "text":
        yield Statement(block.where, f"png:{block.key}", _decode_text(block.data))
    elif block.kind in {"comment", "editor"}:
        yield Statement(block.where, block.kind, _decode_text(block.data))


def _exif_statements(block: Block, exif: Exif | None) -> Iterator[Statement | UnreadableBlock]:
    if exif is None:
        yield UnreadableBlock(block.where, "its directory makes no sense")
        return
    for name, text in exif.texts.items():
        yield Statement(f"{block.where} {name}", f"exif:{name}", text[:_LONGEST_TEXT])


def _xmp_statements(block: Block) -> Iterator[Statement | UnreadableBlock]:
    try:
        for name, text in read_xmp(block.data):
            yield Statement(f"{block.where} {name}", name, text)
    except XmpError as error:
        yield UnreadableBlock(block.where, str(error))


def _decode_text(data: bytes) -> str:
    return data[: 4 * _LONGEST_TEXT].decode("utf-8", errors="replace")[:_LONGEST_TEXT]
