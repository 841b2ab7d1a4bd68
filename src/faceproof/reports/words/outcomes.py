"""What came of a picture: the word, sign and order that each door uses.

Page, picture, terminal, scan and notebook take them from here. JSON, CSV, Parquet and the options
of the command line have the codes: the keys of `OUTCOMES`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple, get_args

from faceproof.reports.words.verdicts import VERDICTS
from faceproof.results import CheckResult

Outcome = Literal["fake", "unsure", "real", "no_face", "error"]


class OutcomeWords(NamedTuple):
    """An outcome as a word for a label or a cell, as a headline, and as a sign."""

    word: str
    short: str
    sign: str


OUTCOMES: Mapping[Outcome, OutcomeWords] = {
    "fake": OutcomeWords(VERDICTS["fake"].word, VERDICTS["fake"].short, "▲"),
    "unsure": OutcomeWords(VERDICTS["unsure"].word, VERDICTS["unsure"].short, "◆"),
    "real": OutcomeWords(VERDICTS["real"].word, VERDICTS["real"].short, "●"),
    "no_face": OutcomeWords("no face found", "No face found", "○"),
    "error": OutcomeWords("could not be checked", "Could not be checked", "✕"),
}
"""What can come of a picture, the most suspicious first."""


def outcome_of(result: CheckResult) -> Outcome:
    """Return what came of a picture: its verdict, or the reason for none."""
    if result.verdict is not None:
        return result.verdict
    return "error" if result.status == "error" else "no_face"


def signed_words(outcome: Outcome) -> str:
    """Return an outcome with its sign.

    >>> signed_words("fake")
    '▲ looks fake'
    """
    words = OUTCOMES[outcome]
    return f"{words.sign} {words.word}"


def count_words(counts: Mapping[str, int]) -> str:
    """Return how many there are of each outcome, without those that did not occur.

    >>> count_words({"real": 2, "fake": 1, "error": 0})
    'looks fake 1, no sign of a fake 2'
    """
    return ", ".join(
        f"{OUTCOMES[name].word} {counts[name]:,}"
        for name in get_args(Outcome)
        if counts.get(name, 0)
    )
