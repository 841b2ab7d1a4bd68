"""Cautions in words: what makes a face hard to judge, and what of a picture was not checked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

from faceproof.imaging.faces import SMALLEST_FACE_PX
from faceproof.imaging.quality import WITHHOLDING

if TYPE_CHECKING:
    from faceproof.results import CheckedFace, CheckedImage

CAUTIONS: Mapping[str, str] = {
    "small": "The face is small: fine traces of a fake may be lost. Look for a larger "
    "version of the picture.",
    "blurred": "The face is blurred: some of the evidence is lost.",
    "dark": "The face is dark: little of it can be judged.",
    "cut_off": "Part of the face lies outside of the picture.",
    "damaged": "Part of the face is missing or was made up by the decoder, because the file is "
    "damaged. Look for an undamaged copy.",
    "not_continuous_tone": "The face does not have the continuous tones of a photograph: a scan in "
    "black and white, a print, a drawing or few colours. Look for the photograph.",
    "low_detection_score": "It is not certain that this is a face at all.",
}
"""Every caution of `faceproof.imaging.quality`; a contract test compares the two."""


def caution_words(caution: str) -> str:
    """Return a caution as a sentence; one of a newer version by its name only.

    >>> caution_words("cut_off")
    'Part of the face lies outside of the picture.'
    >>> caution_words("hand_over_mouth")
    'Hand over mouth.'
    """
    return CAUTIONS.get(caution, f"{caution.replace('_', ' ').capitalize()}.")


def withheld_words(face: CheckedFace) -> str:
    """Return why a face has no verdict but ``unsure``, in a sentence; empty if it has one."""
    reasons = [one for one in face.quality.cautions if one in WITHHOLDING]
    return f"No verdict is given. {CAUTIONS[reasons[0]]}" if reasons else ""


class Limitation(NamedTuple):
    """What of a picture was not checked, in a few words for a table and in a sentence."""

    short: str
    sentence: str


def limitations(image: CheckedImage | None) -> Iterator[Limitation]:
    """Yield what of a picture was not checked."""
    if image is None:
        return
    if image.pictures > 1:
        yield Limitation(
            f"first of {image.pictures} pictures",
            f"The file has {image.pictures} pictures (frames, pages or exposures). Only the first "
            "was checked, which viewers show first.",
        )
    if image.damaged:
        percent = max(1, round(100 * image.damaged))
        yield Limitation(
            f"{percent} % damaged",
            f"The file is damaged: up to {percent} % of the picture is missing or was made up by "
            "the decoder. A face in that part gets no verdict.",
        )
    if image.smallest_face_px > SMALLEST_FACE_PX:
        yield Limitation(
            f"faces under {image.smallest_face_px} px not looked for",
            f"The picture is too large to look for faces under {image.smallest_face_px} px. Cut "
            "out the part with small faces, and check it by itself.",
        )
