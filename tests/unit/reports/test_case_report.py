"""The case report: everything that was found and nothing more, in a page that loads nothing."""

from __future__ import annotations

import base64
import io
import itertools
import re
import sys
from dataclasses import fields, is_dataclass
from datetime import datetime

import pytest
from PIL import Image

from faceproof.detector import DetectorSpec
from faceproof.errors import MissingExtraError
from faceproof.imaging.quality import Quality
from faceproof.installation import install_command
from faceproof.reports import words as plain_words
from faceproof.reports.case_blocks import (
    CHANGED,
    MOST_CROPS,
    NOT_GIVEN,
    FaceCard,
    JpegImage,
    PictureBlock,
    collect_evidence,
)
from faceproof.reports.case_facts import BASE_RATES, QUESTION, CheckCommand, case_facts
from faceproof.reports.case_report import case_html, render_page
from faceproof.results import CheckResult
from support.cases import (
    DETECTOR_SHA,
    WHEN,
    checked,
    face,
    failed,
    heatmap,
    origin,
    picture,
    saved_again,
    with_figures,
)
from support.pages import Reader, read

VOID = {"meta", "img", "br", "path", "circle", "rect"}
FILE = picture()
HOSTILE = 'a"><script>alert(1)</script>\u202egnp.png'


@pytest.fixture
def spec(tiny_spec: DetectorSpec) -> DetectorSpec:
    return with_figures(tiny_spec)


def html(result: CheckResult, spec: DetectorSpec, file: bytes | None = FILE, **more) -> str:
    return case_html(file, result, detector=spec, generated=WHEN, **more)


def words(reader: Reader) -> str:
    """Return what is written on a page, without spaces."""
    return re.sub(r"\s", "", " ".join(reader.text))


def texts(block: object):
    """Yield every text that a block holds, wherever in it, that is meant to be read."""
    if isinstance(block, str):
        yield block
    elif isinstance(block, tuple):
        for part in block:
            yield from texts(part)
    elif is_dataclass(block):
        hidden = {"point", "name", "verdict", "level", "data", "words"}
        for field in fields(block):
            if field.name not in hidden:
                yield from texts(getattr(block, field.name))


def test_the_page_holds_every_text_of_every_block(spec):
    result = checked(FILE, "fake", "unsure", provenance=origin())
    facts = case_facts(
        [collect_evidence(FILE, result, saved_again("fake", "real"))], spec, generated=WHEN
    )
    reader = read(render_page(facts), VOID)
    alts = "".join(re.sub(r"\s", "", image["alt"] or "") for image in reader.all("img"))
    shown = words(reader) + alts
    kinds = {"text", "code"}
    for text in texts(facts.sections):
        output = re.sub(r"\s", "", text)
        assert output in shown or text in kinds or text.startswith("Verdicts on"), text
    assert len(list(texts(facts.sections))) > 60


def test_what_a_reader_must_find(spec):
    result = checked(FILE, "fake", provenance=origin(says="A generator left its settings."))
    actual = words(read(html(result, spec, resaved=saved_again("fake", "real")), VOID))
    for part in (
        QUESTION,
        "This face looks fake: generated or manipulated.",
        "Probability of a fake: 90.0 %, in the band “looks fake”",
        plain_words.PIXELS_ONLY,
        plain_words.ABSENCE_PROVES_NOTHING,
        plain_words.EVEN_BET,
        plain_words.caution_words("small"),
        plain_words.budget_words(spec),
        "stayed the same in 1 of 2 ways",
        "A generator left its settings.",
        result.image.sha256,
        DETECTOR_SHA,
        "2026-01-02 03:04:05 UTC",
        "faceproof check party.png --detector default --at balanced",
        *(plain_words.worth(spec, None, rate).short for rate in BASE_RATES),
        *plain_words.untested_sentences(spec),
    ):
        assert re.sub(r"\s", "", part) in actual, part


def test_real_is_said_to_be_no_proof(spec):
    actual = html(checked(FILE, "real"), spec)
    assert plain_words.NO_PROOF_OF_REAL in actual
    assert plain_words.NO_PROOF_OF_REAL not in html(checked(FILE, "fake"), spec)


@pytest.mark.parametrize("made", ["one", "many"])
def test_the_page_is_well_formed_complete_and_loads_nothing(spec, made):
    cases = [collect_evidence(FILE, checked(FILE, "fake", "real"), saved_again("fake"))]
    if made == "many":
        cases += [collect_evidence(FILE, checked(FILE)), collect_evidence(None, failed())]
    text = render_page(case_facts(cases, spec, generated=WHEN))
    reader = read(text, VOID)
    assert reader.seen[0] == ("html", {"lang": "en"})
    policy = next(one for one in reader.all("meta") if "http-equiv" in one)
    assert policy["content"].startswith("default-src 'none'; img-src data:;")
    assert not reader.all("script", "link", "iframe", "form", "object", "embed", "base")
    assert not re.search(r"\b(?:src|href)=\"(?!data:image/jpeg;base64,|#)", text)
    assert not re.search(r"url\(|@import|https?:", text)
    assert not re.search(r"\son\w+=", text)


@pytest.mark.parametrize("made", ["one", "many"])
def test_headings_links_and_pictures_are_accessible(spec, made):
    cases = [collect_evidence(FILE, checked(FILE, "fake", "real"), saved_again("fake"))]
    if made == "many":
        cases.append(collect_evidence(FILE, checked(FILE, "real"), saved_again("fake")))
    reader = read(render_page(case_facts(cases, spec, generated=WHEN)), VOID)
    levels = [int(tag[1]) for tag, _ in reader.seen if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(later - earlier <= 1 for earlier, later in itertools.pairwise(levels))
    names = [one["id"] for _, one in reader.seen if one.get("id")]
    assert len(names) == len(set(names))
    assert {one["href"][1:] for one in reader.all("a")} <= set(names)
    regions = [one["aria-label"] for _, one in reader.seen if one.get("role") == "region"]
    assert len(regions) == len(set(regions))
    images = reader.all("img")
    assert images
    assert all(image["alt"] and image["width"] and image["height"] for image in images)
    assert all(one.get("aria-hidden") or one.get("aria-label") for one in reader.all("svg"))
    assert all(one.get("tabindex") == "0" for one in reader.all("pre"))
    assert all(one.get("scope") for one in reader.all("th"))


def test_the_pictures_are_jpegs_of_the_picture_and_each_face(spec):
    reader = read(html(checked(FILE, "fake", "real"), spec), VOID)
    images = [one["src"].removeprefix("data:image/jpeg;base64,") for one in reader.all("img")]
    assert len(images) == 3
    for data, attributes in zip(images, reader.all("img"), strict=True):
        with Image.open(io.BytesIO(base64.b64decode(data))) as image:
            assert image.format == "JPEG"
            assert image.size == (int(attributes["width"]), int(attributes["height"]))


@pytest.mark.parametrize(
    ("reliable", "expected"), [(True, "passed its test"), (False, "Do not rely")]
)
def test_a_heat_map_stands_beside_its_face_with_what_it_is_worth(spec, reliable, expected):
    hot = face(0, "fake", heatmap=heatmap(reliable=reliable))
    case = collect_evidence(FILE, checked(FILE, "fake").model_copy(update={"faces": (hot,)}))
    facts = case_facts([case], spec, generated=WHEN)
    card = next(one for part in facts.sections for one in part.blocks if isinstance(one, FaceCard))
    assert card.heat.data != card.crop.data
    assert (card.heat.width, card.heat.height) == (card.crop.width, card.crop.height)
    assert expected in card.heat_words
    assert card.heat_words in render_page(facts)


def test_a_map_without_colour_is_said_to_be_one(spec):
    cold = heatmap().model_copy(update={"values": ((0.0, -1.0), (-0.5, 0.0))})
    result = checked(FILE, "real").model_copy(update={"faces": (face(0, "real", heatmap=cold),)})
    assert "nothing in this face raised the probability of a fake" in html(result, spec)


def test_hostile_names_and_metadata_are_text(spec):
    mark = '<img src=x onerror="alert(1)">{{ 7 * 7 }}'
    result = checked(FILE, "fake", source=HOSTILE, provenance=origin(says=mark, value=mark))
    spec = spec.model_copy(update={"notes": (mark,), "licence": mark})
    text = html(result, spec)
    reader = read(text, VOID)
    assert not reader.all("script")
    assert not [one for one in reader.all("img") if "onerror" in one]
    assert "<script>alert(1)" not in text
    assert "\u202e" not in text
    assert "\\u202egnp.png" in text
    assert "{{ 7 * 7 }}" in text
    assert "faceproof check PICTURE --detector" in text


def test_a_name_with_blanks_is_quoted_in_the_command(spec):
    actual = " ".join(read(html(checked(FILE, "fake", source="my party.png"), spec), VOID).text)
    assert "sha256sum 'my party.png'" in actual
    assert "faceproof check 'my party.png' --detector default --at balanced" in actual


def test_the_command_names_detector_and_faces_where_they_were_chosen(spec):
    actual = html(
        checked(FILE, "fake"), spec, asked=CheckCommand(detector="my detector", faces="whole")
    )
    output = " ".join(read(actual, VOID).text)
    assert "--detector 'my detector' --at balanced --faces whole" in output
    assert "faceproof detectors show 'my detector'" in output


def test_a_picture_that_is_not_given_or_was_changed_is_not_shown(spec):
    result = checked(FILE, "fake")
    for file, why in ((None, NOT_GIVEN), (picture(seed=1), CHANGED)):
        reader = read(html(result, spec, file), VOID)
        assert not reader.all("img")
        assert re.sub(r"\s", "", why) in words(reader)


def test_without_a_face_there_is_no_verdict_and_nothing_is_said_of_stability(spec):
    actual = words(read(html(checked(FILE), spec), VOID))
    assert "Nofacewasfound,sothereisnoverdict." in actual
    assert "Savedagain" not in actual
    assert checked(FILE).image.sha256 in actual


def test_what_could_not_be_checked_says_why(spec):
    actual = words(read(html(failed(), spec, None), VOID))
    assert "broken.png:thefileisempty(empty_file)" in actual
    assert "Thefaces" not in actual


def test_an_unmeasured_detector_has_no_figure(tiny_spec):
    actual = " ".join(read(html(checked(FILE, "fake"), tiny_spec), VOID).text)
    assert "was not measured for this detector" in actual
    assert "not measured" in actual
    assert "of 100" not in actual.replace("1 in 100", "").replace("1000", "")


def test_many_pictures_have_a_table_and_a_section_each(spec):
    cases = [
        collect_evidence(FILE, checked(FILE, "fake", source="a.png"), saved_again("fake")),
        collect_evidence(FILE, checked(FILE, source="b.png")),
        collect_evidence(None, failed("c.png")),
    ]
    facts = case_facts(cases, spec, generated=WHEN, left_out=7)
    assert facts.title == "Case report: 10 pictures"
    assert [part.name for part in facts.sections if part.name.startswith("picture-")] == [
        "picture-1",
        "picture-2",
        "picture-3",
    ]
    actual = words(read(render_page(facts), VOID))
    assert "Thisreporthasthefirst3pictures.7more" in actual
    assert "faceproofcheckPICTURE" not in actual
    assert "sha256suma.pngb.pngc.png" in actual


def test_of_very_many_pictures_the_top_of_the_page_leads_to_the_table(spec):
    cases = [collect_evidence(None, checked(FILE, "real", source=f"{n}.png")) for n in range(30)]
    reader = read(render_page(case_facts(cases, spec, generated=WHEN)), VOID)
    links = [one["href"] for one in reader.all("a")]
    assert "#answers" in links
    assert "#picture-1" not in links
    assert "PICTURE..." in " ".join(reader.text)


def test_the_same_facts_give_the_same_page(spec):
    result = checked(FILE, "fake", "real")
    assert html(result, spec) == html(result, spec)


def test_what_is_held_of_a_large_picture_is_small():
    file = picture(2400, 1800)
    held = collect_evidence(file, checked(file, "fake", "real"))
    jpegs = [held.shown, *(views.crop for views in held.faces)]
    assert max(held.shown.width, held.shown.height) <= 1200
    assert all(max(one.width, one.height) <= 320 for one in jpegs[1:])
    assert sum(len(one.data) for one in jpegs) < 300_000


def test_of_a_crowd_the_first_faces_are_cut_out_and_all_are_told(spec):
    case = collect_evidence(FILE, checked(FILE, *["real"] * 65))
    assert len(case.faces) == MOST_CROPS == 60
    reader = read(render_page(case_facts([case], spec, generated=WHEN)), VOID)
    assert len(reader.all("img")) == 61
    assert "Face65:Nosignofafake" in words(reader)
    assert "Cropsofthefirst60facesfollow" in words(reader)


@pytest.mark.parametrize("box", [(-30, -30, 60, 60), (395, 290, 40, 40), (0, 0, 400, 300)])
def test_a_face_at_the_border_has_a_crop(box):
    lonely = face(0, "fake", box=box, quality=Quality(side_px=9))
    result = checked(FILE, "fake").model_copy(update={"faces": (lonely,)})
    assert min(collect_evidence(FILE, result).faces[0].crop.width, 400) >= 1


def test_pictures_carry_words(spec):
    facts = case_facts(
        [collect_evidence(FILE, checked(FILE, "fake", "real"))], spec, generated=WHEN
    )
    shown = next(b for part in facts.sections for b in part.blocks if isinstance(b, PictureBlock))
    assert isinstance(shown.jpeg, JpegImage)
    assert "face 1 looks fake, face 2 no sign of a fake" in shown.jpeg.alt


def test_a_time_without_a_zone_is_refused(spec):
    with pytest.raises(ValueError, match="time zone"):
        case_html(
            FILE,
            checked(FILE, "fake"),
            detector=spec,
            generated=datetime(2026, 1, 2),
        )
    with pytest.raises(ValueError, match="needs at least one case"):
        case_facts([], spec, generated=WHEN)


def test_without_jinja2_the_extra_is_named(spec, monkeypatch):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(MissingExtraError, match=re.escape(install_command("report"))):
        html(checked(FILE, "fake"), spec)
