"""One vocabulary: what each door calls an outcome, and that no frame claims more than the text."""

from __future__ import annotations

import io
from contextlib import nullcontext
from typing import get_args

import pytest

from faceproof.cli.output import OutcomeCounts, TableWriter
from faceproof.detector import Verdict
from faceproof.reports.annotated import notebook_html
from faceproof.reports.marked_picture import Box, picture_words, place_labels
from faceproof.reports.words import (
    OUTCOMES,
    VERDICTS,
    Outcome,
    count_words,
    headline_words,
    outcome_of,
    percent_words,
    verdict_words,
)
from faceproof.results import CheckResult
from support.cases import checked, failed, picture

FILE = picture()
RESULTS: dict[Outcome, CheckResult] = {
    **{verdict: checked(FILE, verdict) for verdict in get_args(Verdict)},
    "no_face": checked(FILE),
    "error": failed(),
}


def table(result: CheckResult) -> str:
    stream = io.StringIO()
    writer = TableWriter(stream, nullcontext)
    writer.write(result)
    writer.close()
    return stream.getvalue()


@pytest.mark.parametrize("outcome", get_args(Outcome))
def test_every_door_has_the_same_word(outcome):
    result, words = RESULTS[outcome], OUTCOMES[outcome]
    assert outcome_of(result) == outcome
    assert headline_words(result) == words.short == words.word.capitalize()
    assert words.word in table(result)
    assert words.word in notebook_html(result)
    assert count_words({outcome: 3}) == f"{words.word} 3"


@pytest.mark.parametrize("verdict", get_args(Verdict))
def test_a_frame_claims_what_the_text_claims(verdict):
    (label,) = place_labels([Box(0, 200, 300, 460)], [verdict], (640, 480))
    assert label.text == f"1 {OUTCOMES[verdict].word}"
    assert OUTCOMES[verdict].word in picture_words(RESULTS[verdict])
    assert verdict_words(verdict) == OUTCOMES[verdict].short
    assert VERDICTS[verdict].word == OUTCOMES[verdict].word


def test_signs_and_words_are_distinct_and_the_most_suspicious_is_first():
    assert tuple(OUTCOMES) == get_args(Outcome)
    for part in ("word", "short", "sign"):
        assert len({getattr(words, part) for words in OUTCOMES.values()}) == len(OUTCOMES)


@pytest.mark.parametrize(
    ("share", "expected"),
    [(0.971, "97.1 %"), (0.0, "0.0 %"), (0.0004, "less than 0.1 %"), (0.99996, "more than 99.9 %")],
)
def test_a_percentage_is_never_certain_unless_the_probability_is(share, expected):
    assert percent_words(share) == expected


def test_the_summary_of_a_run_counts_what_occurred():
    tally = OutcomeCounts()
    for result in RESULTS.values():
        tally.add(result)
    tally.add(RESULTS["fake"])
    assert count_words(tally.counts) == ", ".join(
        f"{words.word} {2 if outcome == 'fake' else 1}" for outcome, words in OUTCOMES.items()
    )
