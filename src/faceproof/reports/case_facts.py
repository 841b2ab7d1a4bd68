"""A case report as blocks: what was asked, answered and measured, and how to check it again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from faceproof.detector import DetectorSpec
from faceproof.reports.case_blocks import (
    Block,
    Bullets,
    CaseFacts,
    Facts,
    Paragraph,
    Section,
    Table,
)
from faceproof.reports.case_evidence import Evidence
from faceproof.reports.case_origin import Asked, reproduction, software
from faceproof.reports.case_picture import about_picture, answer
from faceproof.reports.plain_words import (
    EVEN_BET,
    HOW,
    PIXELS_ONLY,
    answer_words,
    budget_details,
    budget_words,
    percent,
    rarity_words,
    untested,
    visible,
    worth,
)

ASKED = Asked()
BASE_RATES = (0.01, 0.1, 0.5)
QUESTION = "Was a face in this picture generated or manipulated by a machine?"
QUESTION_OF_MANY = "Were faces in these pictures generated or manipulated by a machine?"
ONE_PIECE = (
    f"{PIXELS_ONLY} Before acting on it, look for the picture's origin, for other versions of it, "
    "and for people who can confirm what it shows."
)


def case_facts(
    cases: Sequence[Evidence],
    spec: DetectorSpec,
    *,
    generated: datetime,
    asked: Asked = ASKED,
    left_out: int = 0,
) -> CaseFacts:
    """Return the report on pictures that one detector judged at one operating point.

    ``generated`` has a time zone. ``asked`` is how the command line gives the same
    answers. ``left_out`` further pictures were checked, but are not in the report.

    Raises:
        ValueError: there is no case, or ``generated`` has no time zone.
    """
    if not cases or generated.tzinfo is None:
        raise ValueError("a report needs a case, and a time with its time zone")
    made = generated.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    single = len(cases) == 1 and not left_out
    parts = _single(cases[0], spec) if single else _many(cases, spec, left_out)
    return CaseFacts(
        title=f"Case report: {visible(cases[0].result.source)}"
        if single
        else f"Case report: {len(cases) + left_out:,} pictures",
        question=QUESTION if single else QUESTION_OF_MANY,
        made=made,
        sections=(*parts, *_shared(cases, spec, made, asked)),
    )


def _single(case: Evidence, spec: DetectorSpec) -> Iterator[Section]:
    yield Section("answer", "Answer", 2, (*answer(case, spec), Paragraph(ONE_PIECE, note=True)))
    yield from about_picture(case, spec, 2, "")


def _many(cases: Sequence[Evidence], spec: DetectorSpec, left_out: int) -> Iterator[Section]:
    yield Section("answers", "Answers", 2, tuple(_answers(cases, left_out)))
    for number, case in enumerate(cases, start=1):
        title = f"{number}. {visible(case.result.source)}"
        yield Section(f"picture-{number}", title, 2, answer(case, spec))
        yield from about_picture(case, spec, 3, f"-{number}")


def _answers(cases: Sequence[Evidence], left_out: int) -> Iterator[Block]:
    rows = tuple(
        (
            str(number),
            visible(case.result.source),
            answer_words(case.result),
            str(len(case.result.faces)),
        )
        for number, case in enumerate(cases, start=1)
    )
    yield Table("One row a picture, in the order of checking", _ROW_HEAD, rows)
    if left_out:
        yield Paragraph(
            f"This report holds the first {len(cases):,} pictures. {left_out:,} more were checked "
            "in the same run and are not in it: split them into several reports.",
            note=True,
        )
    yield Paragraph(ONE_PIECE, note=True)


_ROW_HEAD = ("no.", "picture", "answer", "faces")


def _shared(
    cases: Sequence[Evidence], spec: DetectorSpec, made: str, asked: Asked
) -> Iterator[Section]:
    """Yield what holds for all pictures of a report."""
    point = cases[0].result.operating_point
    yield Section("meaning", "What a verdict means here", 2, tuple(_meaning(spec, point)))
    yield Section("worth", "What a “fake” verdict is worth", 2, tuple(_worth(spec, point)))
    yield Section(
        "untested",
        "What this detector was not tested on",
        2,
        (Bullets(tuple(map(visible, untested(spec)))),),
    )
    yield Section("identity", "Who judged, and when", 2, (_identity(cases[0], spec, made),))
    yield Section("again", "How to check this again", 2, tuple(reproduction(cases, asked)))


def _meaning(spec: DetectorSpec, name: str) -> Iterator[Block]:
    point = spec.operating_point(name)
    yield Paragraph(
        f"A face is called real below {percent(point.real_below, point)}, fake from "
        f"{percent(point.fake_from, point)}, and unsure between. This is the operating point "
        f"“{visible(name)}”, set so that this holds: {visible(point.promise).rstrip('.')}."
    )
    yield Paragraph(budget_words(spec, name))
    yield Bullets((*budget_details(spec, name), EVEN_BET))


def _worth(spec: DetectorSpec, name: str) -> Iterator[Block]:
    yield Paragraph(
        "How far a “fake” verdict can be trusted depends on how rare fakes are among the faces "
        "that are checked. Nobody but the reader can know that."
    )
    rows = tuple((rarity_words(rate), worth(spec, name, rate).short) for rate in BASE_RATES)
    head = ("if this many faces are fake", "so many “fake” verdicts are right")
    yield Table(f"At the operating point “{visible(name)}”", head, rows)
    yield Paragraph(HOW)


def _identity(case: Evidence, spec: DetectorSpec, made: str) -> Facts:
    by = case.result.detector
    return Facts(
        (
            ("Detector", f"{by.name} {by.version}", "text"),
            ("SHA-256 of its detector.json", by.sha256, "code"),
            ("Its licence", visible(spec.licence), "text"),
            ("Operating point", visible(case.result.operating_point), "text"),
            ("Software", software(), "text"),
            ("Report made", made, "text"),
        )
    )
