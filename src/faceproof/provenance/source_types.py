"""DIGITAL_SOURCE_TYPES: IPTC's words for how a picture came to be, in plain ones.

Source: IPTC NewsCodes, Digital Source Type, cv.iptc.org/newscodes/digitalsourcetype, 2024-10-23.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from faceproof.provenance.findings import PointsTo


@dataclass(frozen=True, slots=True)
class SourceType:
    """What a code says of a picture: "it was ...", and what that points to."""

    says: str
    points_to: PointsTo = "nothing"


DIGITAL_SOURCE_TYPES: Mapping[str, SourceType] = {
    "trainedAlgorithmicMedia": SourceType("made by a generative AI", "made_by_ai"),
    "compositeWithTrainedAlgorithmicMedia": SourceType(
        "put together or changed with parts that a generative AI made", "made_by_ai"
    ),
    "compositeSynthetic": SourceType(
        "put together from parts of which at least one was made by a computer", "edited"
    ),
    "algorithmicMedia": SourceType("made by a program that learnt from no examples", "nothing"),
    "trainedAlgorithmicData": SourceType(
        "made by a program that learnt from examples", "made_by_ai"
    ),
    "algorithmicallyEnhanced": SourceType("changed by a program, without generative AI", "edited"),
    "humanEdits": SourceType("edited by people, without generative AI", "edited"),
    "minorHumanEdits": SourceType("edited a little by people", "edited"),
    "composite": SourceType("put together from several parts", "edited"),
    "compositeCapture": SourceType("put together from several photographs", "edited"),
    "digitalCapture": SourceType("taken by a digital camera", "captured"),
    "computationalCapture": SourceType(
        "taken by a camera that joined several exposures, without generative AI", "captured"
    ),
    "negativeFilm": SourceType("scanned from a negative on film", "captured"),
    "positiveFilm": SourceType("scanned from a positive on film", "captured"),
    "print": SourceType("scanned from a print", "captured"),
    "digitalCreation": SourceType("drawn by a person with a computer"),
    "digitalArt": SourceType("drawn by a person with a computer"),
    "softwareImage": SourceType("made with software"),
    "dataDrivenMedia": SourceType("drawn by a program from data"),
    "screenCapture": SourceType("captured from a screen"),
    "virtualRecording": SourceType("recorded in a virtual world"),
}

_CODE = re.compile(r"([A-Za-z]{3,64})/?\s*$")
_BY_SMALL_LETTERS = {code.lower(): code for code in DIGITAL_SOURCE_TYPES}


def source_type(text: str) -> str | None:
    """Return the code that an address or a short form names; None where it is none of IPTC's.

    >>> source_type("http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia")
    'trainedAlgorithmicMedia'
    >>> source_type("a photo I took") is None
    True
    """
    found = _CODE.search(text[-200:])
    return _BY_SMALL_LETTERS.get(found[1].lower()) if found else None
