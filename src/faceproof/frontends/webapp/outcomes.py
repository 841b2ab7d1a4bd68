"""What came of a picture: its words, its badge, and the order from the most suspicious down."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Sequence

from faceproof.detector import OperatingPoint
from faceproof.messages import count_noun
from faceproof.reports import words
from faceproof.reports.words import OUTCOMES, outcome_of, signed_words
from faceproof.results import CheckResult


def suspicion(result: CheckResult) -> tuple[int, float]:
    """Return a key that sorts the most suspicious results first."""
    return list(OUTCOMES).index(outcome_of(result)), -(result.fake_probability or 0.0)


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
    counts = Counter[str](map(outcome_of, results))
    return f"{count_noun(len(results), 'picture', separator='')}: {words.count_words(counts)}"


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
