"""`case_facts` builds a case report as blocks: question, verdicts, evidence, how to repeat."""

from __future__ import annotations

import platform
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from itertools import zip_longest
from typing import Literal

from faceproof.detector import DetectorSpec, OperatingPoint
from faceproof.reports.case_blocks import (
    Answer,
    Block,
    Bullets,
    CaseFacts,
    Code,
    Evidence,
    FaceCard,
    FaceViews,
    FactsBlock,
    Meter,
    Paragraph,
    PictureBlock,
    Section,
    Table,
)
from faceproof.reports.words import (
    ABSENCE_PROVES_NOTHING,
    EVEN_BET,
    HOW,
    NO_PROOF_OF_REAL,
    PIXELS_ONLY,
    VERDICTS,
    answer_words,
    band_words,
    bands_words,
    budget_details,
    budget_words,
    caution_words,
    condition_words,
    credentials_words,
    escape_controls,
    face_band_words,
    face_words,
    finding_words,
    limitations,
    many_faces_words,
    most_fake_face,
    percent,
    rarity_words,
    stability_words,
    unsure_words,
    untested_sentences,
    worth,
)
from faceproof.results import CheckedFace, CheckResult, HeatMap

_LIBRARIES = ("faceproof", "onnxruntime", "numpy", "opencv-python-headless", "pillow")
_UNNAMED = "PICTURE"
_MOST_NAMED = 8


def software() -> str:
    """Return the versions that a result depends on, in one line."""
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in _LIBRARIES)
    return f"{versions}, Python {platform.python_version()} on {platform.machine()}"


@dataclass(frozen=True)
class CheckCommand:
    """Command-line arguments for the same results: detector and faces."""

    detector: str = "default"
    faces: str = "all"


def _reproduction(cases: Sequence[Evidence], asked: CheckCommand) -> Iterator[Block]:
    """Yield the steps that reproduce the results, the last ones as commands."""
    yield Bullets(
        (
            "Compare the SHA-256 of the picture's file with the one in this report: it differs if "
            "one byte is changed.",
            "Compare the SHA-256 of the detector's detector.json with the one in this report.",
            "Check the picture again. The same file, detector and software give the same verdict; "
            "another kind of processor may change the last digits of a probability.",
        )
    )
    sources = [case.result.source for case in cases]
    yield Code(tuple(check_commands(sources, cases[0].result.operating_point, asked)))
    yield Paragraph(
        "The figures on what a verdict means come from the detector's own record, "
        "detector.json, which has each with the hash of the data it was measured on."
    )


def check_commands(sources: Sequence[str], point: str, asked: CheckCommand) -> Iterator[str]:
    """Yield shell commands for Linux or macOS; the first has another name on Windows."""
    names = " ".join(dict.fromkeys(map(_quote_source, sources)))
    if len(sources) > _MOST_NAMED:
        names = f"{_UNNAMED}..."
    detector = shlex.quote(escape_controls(asked.detector))
    options = [f"--detector {detector}", f"--at {shlex.quote(point)}"]
    if asked.faces != CheckCommand.faces:
        options.append(f"--faces {asked.faces}")
    yield f"sha256sum {names}"
    yield f"faceproof detectors show {detector}"
    yield f"faceproof check {names} {' '.join(options)}"


def _quote_source(source: str) -> str:
    """Return a file name quoted for a shell, or PICTURE if it cannot be passed to one.

    >>> _quote_source("my party.jpg"), _quote_source("<bytes>")
    ("'my party.jpg'", 'PICTURE')
    """
    shown = escape_controls(source)
    return _UNNAMED if shown != source or source.startswith("<") else shlex.quote(source)


Level = Literal[2, 3]

_SAVED_AGAIN = (
    "The picture was decoded, changed as listed, and checked again from scratch. A verdict that "
    "changes is less reliable."
)
HEAT = (
    "Coloured areas, yellow most of all, raised the probability of a fake. The map shows where the "
    "network found evidence, not what is wrong there. It passed its test on this picture; a random "
    "map passes one time in five."
)
_HEAT_EMPTY = "The heat map has no colour: nothing in this face raised the probability of a fake."
HEAT_FAILED = (
    "This heat map failed its test on this picture: deleting its hottest fifth did not lower the "
    "score more than deleting any other fifth. Do not rely on it."
)


def _answer_blocks(case: Evidence, spec: DetectorSpec) -> tuple[Block, ...]:
    """Return the verdict on one picture, and the picture with framed faces."""
    result = case.result
    blocks: list[Block] = [Answer(result.verdict, answer_words(result), _answer_text(result, spec))]
    if case.shown:
        blocks.append(PictureBlock(case.shown, _caption(result)))
    elif case.missing and result.status != "error":
        blocks.append(Paragraph(case.missing))
    return tuple(blocks)


def _about_picture(
    case: Evidence, spec: DetectorSpec, level: Level, suffix: str
) -> Iterator[Section]:
    """Yield the sections on one picture; ``suffix`` makes their anchors unique."""
    result = case.result
    if result.faces:
        yield Section(f"faces{suffix}", "The faces", level, tuple(_face_cards(case, spec)))
        yield Section(
            f"again-saved{suffix}",
            "Saved again",
            level,
            tuple(_stability_blocks(case, spec, suffix)),
        )
    if result.image:
        title = "Origin stated by the file"
        yield Section(f"origin{suffix}", title, level, tuple(_origin_blocks(result)))
    yield Section(f"file{suffix}", "The file", level, (_file_facts(result),))


def _answer_text(result: CheckResult, spec: DetectorSpec) -> str:
    if result.error:
        return escape_controls(f"{result.error.message} ({result.error.code})")
    if result.fake_probability is None:
        return "Very small, turned or covered faces may not have been detected."
    point = spec.operating_point(result.operating_point)
    bands = band_words(result.fake_probability, point)
    more = [NO_PROOF_OF_REAL] if result.verdict == "real" else []
    more += unsure_words(most_fake_face(result), spec, point.name)
    if len(result.faces) == 1:
        face = result.faces[0]
        return " ".join([face_words(face), f"{face_band_words(face, point)}.", *more])
    return " ".join([f"A picture is as fake as its most fake face. {bands}.", *more])


def _capitalise(text: str) -> str:
    return text[:1].upper() + text[1:]


def _caption(result: CheckResult) -> str:
    if not result.faces:
        return "The picture, upright. No face was found in it."
    return (
        "The picture, upright. A solid frame with a triangle means “looks fake”, a dashed one with "
        "a diamond “unsure”, corners with a disc “no sign of a fake”."
    )


def _face_cards(case: Evidence, spec: DetectorSpec) -> Iterator[Block]:
    result = case.result
    point = spec.operating_point(result.operating_point)
    many = many_faces_words(spec, result.operating_point, len(result.faces))
    if many:
        yield Paragraph(many)
    if 0 < len(case.faces) < len(result.faces):
        yield Paragraph(f"Crops of the first {len(case.faces)} faces follow.")
    for number, (face, views) in enumerate(zip_longest(result.faces, case.faces), start=1):
        yield _face_card(number, face, views, point)


def _face_card(
    number: int, face: CheckedFace, views: FaceViews | None, point: OperatingPoint
) -> FaceCard:
    x, y, width, height = face.box
    place = f"{width:.0f} x {height:.0f} px, upper left corner at {x:.0f}, {y:.0f}."
    bands = face_band_words(face, point)
    return FaceCard(
        number=number,
        verdict=face.verdict,
        headline=f"Face {number}: {VERDICTS[face.verdict].short}",
        meter=Meter(face.fake_probability, point, bands),
        lines=(f"{bands}.", f"Size and place: {place}"),
        cautions=tuple(map(caution_words, face.quality.cautions)),
        crop=views.crop if views else None,
        heat=views.heat if views else None,
        heat_words=_heat_words(face.heatmap) if views and views.heat else "",
    )


def _heat_words(heatmap: HeatMap | None) -> str:
    if heatmap is None:
        return ""
    if max(map(max, heatmap.values)) <= 0:
        return _HEAT_EMPTY
    return HEAT if heatmap.reliable else HEAT_FAILED


def _stability_blocks(case: Evidence, spec: DetectorSpec, suffix: str) -> Iterator[Block]:
    yield Paragraph(stability_words(case.result, case.resaved))
    if not case.resaved:
        return
    point = spec.operating_point(case.result.operating_point)
    rows = tuple(
        (
            _capitalise(condition_words(one.condition)),
            VERDICTS[one.verdict].word if one.verdict else one.status.replace("_", " "),
            "-" if one.fake_probability is None else percent(one.fake_probability, point),
            str(one.faces),
        )
        for one in case.resaved
    )
    head = ("the picture", "verdict", "probability of a fake", "faces found")
    which = f"picture {suffix.removeprefix('-')}" if suffix else "the picture"
    yield Table(f"Verdicts on {which}, changed and checked again", head, rows)
    yield Paragraph(_SAVED_AGAIN)


def _origin_blocks(result: CheckResult) -> Iterator[Block]:
    provenance = result.provenance
    yield Paragraph(
        f"Content credentials (C2PA): {credentials_words(provenance.content_credentials)}"
    )
    if provenance.findings:
        yield Bullets(tuple(map(finding_words, provenance.findings)))
    else:
        yield Paragraph("The file has no other trace of its origin.")
    yield Paragraph(ABSENCE_PROVES_NOTHING)


def _file_facts(result: CheckResult) -> FactsBlock:
    rows: list[tuple[str, str, Literal["text", "code"]]] = [
        ("Name", escape_controls(result.source), "code")
    ]
    if image := result.image:
        size = f"{image.format}, {image.width} x {image.height} px upright"
        rows += [("SHA-256", image.sha256, "code"), ("Format and size", size, "text")]
        rows += [("Not checked", one.sentence, "text") for one in limitations(image)]
    return FactsBlock(tuple(rows))


ASKED = CheckCommand()
BASE_RATES = (0.01, 0.1, 0.5)
QUESTION = "Was a face in this picture generated or manipulated by a machine?"
_QUESTION_OF_MANY = "Were faces in these pictures generated or manipulated by a machine?"
_ONE_PIECE = (
    f"{PIXELS_ONLY} Before acting on it, look for the picture's origin, for other versions of it, "
    "and for people who can confirm what it shows."
)


def case_facts(
    cases: Sequence[Evidence],
    spec: DetectorSpec,
    *,
    generated: datetime,
    asked: CheckCommand = ASKED,
    left_out: int = 0,
) -> CaseFacts:
    """Return the report on pictures that one detector judged at one operating point.

    ``generated`` has a time zone. ``asked`` are the command-line arguments for the same
    results. ``left_out`` is the number of checked pictures that are not in the report.

    Raises:
        ValueError: there is no case, or ``generated`` has no time zone.
    """
    if not cases or generated.tzinfo is None:
        raise ValueError("a report needs at least one case and a time with a time zone")
    made = generated.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    single = len(cases) == 1 and not left_out
    parts = _single_sections(cases[0], spec) if single else _batch_sections(cases, spec, left_out)
    return CaseFacts(
        title=f"Case report: {escape_controls(cases[0].result.source)}"
        if single
        else f"Case report: {len(cases) + left_out:,} pictures",
        question=QUESTION if single else _QUESTION_OF_MANY,
        made=made,
        sections=(*parts, *_shared_sections(cases, spec, made, asked)),
    )


def _single_sections(case: Evidence, spec: DetectorSpec) -> Iterator[Section]:
    yield Section(
        "answer", "Answer", 2, (*_answer_blocks(case, spec), Paragraph(_ONE_PIECE, note=True))
    )
    yield from _about_picture(case, spec, 2, "")


def _batch_sections(
    cases: Sequence[Evidence], spec: DetectorSpec, left_out: int
) -> Iterator[Section]:
    yield Section("answers", "Answers", 2, tuple(_answer_table(cases, left_out)))
    for number, case in enumerate(cases, start=1):
        title = f"{number}. {escape_controls(case.result.source)}"
        yield Section(f"picture-{number}", title, 2, _answer_blocks(case, spec))
        yield from _about_picture(case, spec, 3, f"-{number}")


def _answer_table(cases: Sequence[Evidence], left_out: int) -> Iterator[Block]:
    rows = tuple(
        (
            str(number),
            escape_controls(case.result.source),
            answer_words(case.result),
            str(len(case.result.faces)),
        )
        for number, case in enumerate(cases, start=1)
    )
    yield Table("One row per picture, in the order of checking", _ROW_HEAD, rows)
    if left_out:
        yield Paragraph(
            f"This report has the first {len(cases):,} pictures. {left_out:,} more were checked "
            "in the same run and are not included: split them into several reports.",
            note=True,
        )
    yield Paragraph(_ONE_PIECE, note=True)


_ROW_HEAD = ("no.", "picture", "answer", "faces")


def _shared_sections(
    cases: Sequence[Evidence], spec: DetectorSpec, made: str, asked: CheckCommand
) -> Iterator[Section]:
    """Yield the sections shared by all pictures of a report."""
    point = cases[0].result.operating_point
    yield Section("meaning", "What a verdict means here", 2, tuple(_meaning_blocks(spec, point)))
    yield Section(
        "worth", "Reliability of a “looks fake” verdict", 2, tuple(_worth_blocks(spec, point))
    )
    yield Section(
        "untested",
        "What this detector was not tested on",
        2,
        (Bullets(tuple(map(escape_controls, untested_sentences(spec)))),),
    )
    yield Section(
        "identity", "Detector, software and time", 2, (_identity_facts(cases[0], spec, made),)
    )
    yield Section("again", "How to check this again", 2, tuple(_reproduction(cases, asked)))


def _meaning_blocks(spec: DetectorSpec, name: str) -> Iterator[Block]:
    point = spec.operating_point(name)
    yield Paragraph(
        f"The verdict on a face by its probability of a fake: {bands_words(point)}. This is the "
        "operating point "
        f"“{escape_controls(name)}”. Its promise is: {escape_controls(point.promise).rstrip('.')}."
    )
    yield Paragraph(budget_words(spec, name))
    yield Bullets((*budget_details(spec, name), EVEN_BET))


def _worth_blocks(spec: DetectorSpec, name: str) -> Iterator[Block]:
    yield Paragraph(
        "The reliability of a “looks fake” verdict depends on the share of fakes among the checked "
        "faces. Only the reader can estimate that share."
    )
    rows = tuple((rarity_words(rate), worth(spec, name, rate).short) for rate in BASE_RATES)
    head = ("if this share of faces is fake", "this share of “looks fake” verdicts is right")
    yield Table(f"At the operating point “{escape_controls(name)}”", head, rows)
    yield Paragraph(HOW)


def _identity_facts(case: Evidence, spec: DetectorSpec, made: str) -> FactsBlock:
    by = case.result.detector
    return FactsBlock(
        (
            ("Detector", f"{by.name} {by.version}", "text"),
            ("SHA-256 of its detector.json", by.sha256, "code"),
            ("Its licence", escape_controls(spec.licence), "text"),
            ("Operating point", escape_controls(case.result.operating_point), "text"),
            ("Software", software(), "text"),
            ("Report made", made, "text"),
        )
    )
