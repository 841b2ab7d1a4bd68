"""What makes a verdict on a face less sure, in words."""

from __future__ import annotations

from collections.abc import Mapping

CAUTIONS: Mapping[str, str] = {
    "small": "The face is small: fine traces of a fake may be lost. A larger version of the "
    "picture is worth looking for.",
    "blurred": "The face is blurred: what tells real from fake is partly gone.",
    "dark": "The face is dark: little of it can be judged.",
    "cut_off": "Part of the face lies outside of the picture.",
    "low_detection_score": "It is not certain that this is a face at all.",
}
"""Every caution of `faceproof.imaging.quality`; a contract test compares the two."""


def caution_words(caution: str) -> str:
    """Return a caution as a sentence; one that a newer version knows by its name alone.

    >>> caution_words("cut_off")
    'Part of the face lies outside of the picture.'
    >>> caution_words("hand_over_mouth")
    'Hand over mouth.'
    """
    return CAUTIONS.get(caution, f"{caution.replace('_', ' ').capitalize()}.")
