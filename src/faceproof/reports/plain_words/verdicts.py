"""Verdicts and probabilities in words; all of them are about pixels and none about a person."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from faceproof.detector import OperatingPoint, Verdict, decide
from faceproof.results import CheckResult

PIXELS_ONLY = (
    "A verdict is about the pixels of this file. It says nothing about who is shown, who made the "
    "picture or why, and it is one piece of evidence among others."
)
NO_PROOF_OF_REAL = (
    "“No sign of a fake” is no proof that the picture is authentic: it means that nothing that "
    "this detector has learned to see was found."
)
EVEN_BET = (
    "The probability holds where half of all faces are fake. Where fakes are rarer, so is a true "
    "“fake” verdict."
)
NOT_CHECKED = "This picture could not be checked, so there is no verdict."
NO_FACE = "No face was found, so there is no verdict. This says nothing about the picture."

_MOST_DECIMALS = 8


class VerdictWords(NamedTuple):
    """A verdict in one word for a label, in a few for a headline, and in a sentence."""

    word: str
    short: str
    sentence: str


VERDICTS: Mapping[Verdict, VerdictWords] = {
    "fake": VerdictWords(
        "fake",
        "Looks generated or manipulated",
        "The pixels of this face look more like those of generated or manipulated faces than like "
        "those of photographs.",
    ),
    "unsure": VerdictWords(
        "unsure",
        "Cannot tell",
        "The detector cannot tell: this face lies between what it calls real and what it calls "
        "fake.",
    ),
    "real": VerdictWords(
        "real",
        "No sign of a fake found",
        "Nothing that this detector has learned to see in fakes was found in this face.",
    ),
}
"""What each verdict is called; a contract test walks it."""


def verdict_words(verdict: Verdict) -> str:
    """Return a face's verdict in a few words.

    >>> verdict_words("fake")
    'Looks generated or manipulated'
    """
    return VERDICTS[verdict].short


def answer_words(result: CheckResult) -> str:
    """Return the answer for the whole picture in one sentence; it is that of its worst face."""
    if result.verdict is None:
        return NO_FACE if result.status == "no_face" else NOT_CHECKED
    count = len(result.faces)
    same = sum(face.verdict == result.verdict for face in result.faces)
    if result.verdict == "real":
        return f"No sign of a fake was found in {_which(count, 'this face', 'any of these')}."
    if result.verdict == "unsure":
        told = _which(count, "this face", f"{same} of these")
        return f"The detector cannot tell for {told}."
    if count == 1:
        return "This face looks generated or manipulated."
    return (
        f"{same} of these {count} faces {'look' if same > 1 else 'looks'} generated or manipulated."
    )


def _which(count: int, one: str, several: str) -> str:
    return one if count == 1 else f"{several} {count} faces"


def band_words(fake_probability: float, point: OperatingPoint) -> str:
    r"""Return a probability of fake with the bands of an operating point.

    >>> from faceproof.detector import ChosenOn
    >>> on = ChosenOn(data_sha256="0" * 64, n=9)
    >>> at = {"name": "a", "real_below": 0.2, "fake_from": 0.95, "promise": "?", "chosen_on": on}
    >>> print(band_words(0.971, OperatingPoint(**at)).replace(" (", "\n("))
    Probability of a fake: 97.1 %, in the fake band
    (real below 20.0 %, unsure between, fake from 95.0 %)
    """
    decimals = _decimals(fake_probability, point)
    told, ends = _percent(fake_probability, decimals), _ends(point, decimals)
    return f"Probability of a fake: {told}, in the {decide(fake_probability, point)} band ({ends})"


def bands_words(point: OperatingPoint) -> str:
    """Return the bands of an operating point in words."""
    return _ends(point, _decimals(0.5, point))


def percent(probability: float, point: OperatingPoint) -> str:
    """Return a probability as a percentage with as many digits as tell it from the thresholds.

    What is not certain is never written as 0 or 100 %.
    """
    return _percent(probability, _decimals(probability, point))


def _decimals(probability: float, point: OperatingPoint) -> int:
    """Return with how many decimals a percentage lies on the same side of both thresholds."""
    enough = (
        decimals
        for decimals in range(1, _MOST_DECIMALS)
        if all(
            _told_apart(probability, end, decimals) for end in (point.real_below, point.fake_from)
        )
    )
    return next(enough, _MOST_DECIMALS)


def _told_apart(probability: float, end: float, decimals: int) -> bool:
    rounded, threshold = round(100 * probability, decimals), round(100 * end, decimals)
    certain = end in {0.0, 1.0}
    return (rounded >= threshold) == (probability >= end) and (certain or 0 < threshold < 100)


def _percent(probability: float, decimals: int) -> str:
    smallest = 10.0**-decimals
    rounded = round(100 * probability, decimals)
    if rounded >= 100 and probability < 1:
        return f"more than {100 - smallest:.{decimals}f} %"
    if rounded <= 0 and probability > 0:
        return f"less than {smallest:.{decimals}f} %"
    return f"{rounded:.{decimals}f} %"


def _ends(point: OperatingPoint, decimals: int) -> str:
    low, high = _percent(point.real_below, decimals), _percent(point.fake_from, decimals)
    if point.real_below == point.fake_from:
        return f"real below {high}, fake from there"
    return f"real below {low}, unsure between, fake from {high}"
