"""The part of a case report on one picture: its answer, faces, saved-again versions and origin."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest
from typing import Literal

from faceproof.detector import DetectorSpec, OperatingPoint
from faceproof.reports.case_blocks import (
    Answer,
    Block,
    Bullets,
    FaceCard,
    Facts,
    Meter,
    Paragraph,
    Picture,
    Section,
    Table,
)
from faceproof.reports.case_evidence import Evidence, FaceViews
from faceproof.reports.plain_words import (
    ABSENCE_PROVES_NOTHING,
    NO_PROOF_OF_REAL,
    VERDICTS,
    answer_words,
    band_words,
    caution_words,
    condition_words,
    credentials_words,
    finding_words,
    many_faces_words,
    percent,
    stability_words,
    visible,
)
from faceproof.results import CheckedFace, CheckResult, HeatMap

Level = Literal[2, 3]

SAVED_AGAIN = (
    "The picture was decoded, changed as the table says, and checked again from the start. A "
    "verdict that does not hold is worth less."
)
HEAT = (
    "Coloured places, yellow the most, are where the network found what speaks for “fake”. The map "
    "shows where it looked, and not what is wrong there. It passed its test on this picture; a map "
    "that knows nothing passes one time in five."
)
HEAT_EMPTY = "The heat map has no colour: nothing in this face spoke for “fake”."
HEAT_FAILED = (
    "This heat map failed its test on this picture: deleting its hottest fifth did not lower the "
    "score more than deleting any other fifth that was tried. Do not rely on it."
)


def answer(case: Evidence, spec: DetectorSpec) -> tuple[Block, ...]:
    """Return the verdict on one picture and the picture with its faces framed."""
    result = case.result
    blocks: list[Block] = [Answer(result.verdict, answer_words(result), _answer_text(result, spec))]
    if case.shown:
        blocks.append(Picture(case.shown, _caption(result)))
    elif case.missing and result.status != "error":
        blocks.append(Paragraph(case.missing))
    return tuple(blocks)


def about_picture(
    case: Evidence, spec: DetectorSpec, level: Level, suffix: str
) -> Iterator[Section]:
    """Yield the sections on one picture; ``suffix`` tells their links from those of others."""
    result = case.result
    if result.faces:
        yield Section(f"faces{suffix}", "The faces", level, tuple(_faces(case, spec)))
        yield Section(
            f"again-saved{suffix}", "Saved again", level, tuple(_saved_again(case, spec, suffix))
        )
    if result.image:
        title = "What the file says of its origin"
        yield Section(f"origin{suffix}", title, level, tuple(_origin(result)))
    yield Section(f"file{suffix}", "The file", level, (_file(result),))


def _answer_text(result: CheckResult, spec: DetectorSpec) -> str:
    if result.error:
        return visible(f"{result.error.message} ({result.error.code})")
    if result.fake_probability is None:
        return "A face that is very small, turned away or covered may not have been seen."
    point = spec.operating_point(result.operating_point)
    told = band_words(result.fake_probability, point)
    proof = f" {NO_PROOF_OF_REAL}" if result.verdict == "real" else ""
    if len(result.faces) == 1:
        sentence = VERDICTS[result.faces[0].verdict].sentence
        return f"{sentence} {told}.{proof}"
    return f"A picture is as fake as its most fake face. {told}.{proof}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _caption(result: CheckResult) -> str:
    if not result.faces:
        return "The picture, upright. No face was found in it."
    return (
        "The picture, upright. A full frame with a triangle is fake, a dashed one with a diamond "
        "unsure, corners with a disc real."
    )


def _faces(case: Evidence, spec: DetectorSpec) -> Iterator[Block]:
    result = case.result
    point = spec.operating_point(result.operating_point)
    many = many_faces_words(spec, result.operating_point, len(result.faces))
    if many:
        yield Paragraph(many)
    if 0 < len(case.faces) < len(result.faces):
        yield Paragraph(f"The first {len(case.faces)} faces are cut out of the picture.")
    for number, (face, views) in enumerate(zip_longest(result.faces, case.faces), start=1):
        yield _card(number, face, views, point)


def _card(
    number: int, face: CheckedFace, views: FaceViews | None, point: OperatingPoint
) -> FaceCard:
    x, y, width, height = face.box
    place = f"{width:.0f} x {height:.0f} px, its upper left corner at {x:.0f}, {y:.0f}."
    told = band_words(face.fake_probability, point)
    return FaceCard(
        number=number,
        verdict=face.verdict,
        headline=f"Face {number}: {VERDICTS[face.verdict].short}",
        meter=Meter(face.fake_probability, point, told),
        lines=(f"{told}.", f"Size and place: {place}"),
        cautions=tuple(map(caution_words, face.quality.cautions)),
        crop=views.crop if views else None,
        heat=views.heat if views else None,
        heat_words=_heat_words(face.heatmap) if views and views.heat else "",
    )


def _heat_words(heatmap: HeatMap | None) -> str:
    if heatmap is None:
        return ""
    if max(map(max, heatmap.values)) <= 0:
        return HEAT_EMPTY
    return HEAT if heatmap.reliable else HEAT_FAILED


def _saved_again(case: Evidence, spec: DetectorSpec, suffix: str) -> Iterator[Block]:
    yield Paragraph(stability_words(case.result, case.resaved))
    if not case.resaved:
        return
    point = spec.operating_point(case.result.operating_point)
    rows = tuple(
        (
            _capital(condition_words(one.condition)),
            one.verdict or one.status.replace("_", " "),
            "-" if one.fake_probability is None else percent(one.fake_probability, point),
            str(one.faces),
        )
        for one in case.resaved
    )
    head = ("the picture", "verdict", "probability of a fake", "faces found")
    which = f"picture {suffix.removeprefix('-')}" if suffix else "the picture"
    yield Table(f"Verdicts on {which}, changed and checked again", head, rows)
    yield Paragraph(SAVED_AGAIN)


def _origin(result: CheckResult) -> Iterator[Block]:
    told = result.provenance
    yield Paragraph(f"Content credentials (C2PA): {credentials_words(told.content_credentials)}")
    if told.findings:
        yield Bullets(tuple(map(finding_words, told.findings)))
    else:
        yield Paragraph("No other trace of its origin was found in the file.")
    yield Paragraph(ABSENCE_PROVES_NOTHING)


def _file(result: CheckResult) -> Facts:
    rows: list[tuple[str, str, Literal["text", "code"]]] = [
        ("Name", visible(result.source), "code")
    ]
    if image := result.image:
        size = f"{image.format}, {image.width} x {image.height} px upright"
        rows += [("SHA-256", image.sha256, "code"), ("Kind and size", size, "text")]
    return Facts(tuple(rows))
