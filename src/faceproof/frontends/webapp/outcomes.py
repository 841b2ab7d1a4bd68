"""What came of a picture: its words, its badge, and the order from the most suspicious down."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Mapping, Sequence

from faceproof.detector import OperatingPoint
from faceproof.frontends.webapp.browser import SIGNS
from faceproof.messages import count_noun
from faceproof.reports import words
from faceproof.results import CheckResult

OUTCOMES: Mapping[str, str] = {
    "fake": words.VERDICTS["fake"].word,
    "unsure": words.VERDICTS["unsure"].word,
    "real": words.VERDICTS["real"].word,
    "no_face": "no face found",
    "error": "could not be checked",
}
"""What can come of a picture and how it is called, the most suspicious first."""


def outcome_of(result: CheckResult) -> str:
    """Return what came of a picture, one of `OUTCOMES`."""
    return result.verdict or result.status


def suspicion(result: CheckResult) -> tuple[int, float]:
    """Return a key that sorts the most suspicious results first."""
    return list(OUTCOMES).index(outcome_of(result)), -(result.fake_probability or 0.0)


def signed_words(outcome: str) -> str:
    """Return an outcome with its sign.

    >>> signed_words("fake")
    '▲ looks fake'
    """
    return f"{SIGNS[outcome]} {OUTCOMES[outcome]}"


def badge_html(result: CheckResult, point: OperatingPoint | None = None) -> str:
    """Return the outcome as a coloured label in HTML, with the probability where there is one.

    It contains only our own numbers and words.
    """
    outcome, share = outcome_of(result), result.fake_probability
    number = "" if share is None or point is None else f" {words.percent(share, point)}"
    return f'<span class="fp-badge fp-badge-{outcome}">{signed_words(outcome)}{number}</span>'


def data_url(jpeg: bytes) -> str:
    """Return a JPEG file as a URL that needs no request, as a thumbnail may be gone by then."""
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"


def summary_words(results: Sequence[CheckResult]) -> str:
    """Return how many pictures there are, and how many of each outcome."""
    counts = Counter(map(outcome_of, results))
    parts = [f"{name} {counts[outcome]}" for outcome, name in OUTCOMES.items() if counts[outcome]]
    return f"{count_noun(len(results), 'picture', separator='')}: {', '.join(parts)}"


def distinct_names(names: Sequence[str]) -> list[str]:
    """Return the names with a number where one is repeated, as cameras and clipboards do.

    >>> distinct_names(["a.jpg", "a.jpg", "b", "a (2).jpg"])
    ['a.jpg', 'a (2).jpg', 'b', 'a (2) (2).jpg']
    """
    counted: Counter[str] = Counter()
    return [_number_repeat(name, counted) for name in names]


def _number_repeat(name: str, counted: Counter[str]) -> str:
    counted[name] += 1
    number = counted[name]
    if number == 1:
        return name
    stem, dot, suffix = name.rpartition(".")
    numbered = f"{stem} ({number}){dot}{suffix}" if stem else f"{name} ({number})"
    return _number_repeat(numbered, counted)
