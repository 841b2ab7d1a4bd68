"""The case report as PDF: the same texts as in HTML, the same bytes for the same facts."""

from __future__ import annotations

import io
import re
import sys
from typing import get_args

import numpy as np
import pytest
from pypdf import PdfReader

from faceproof.detector import ChosenOn, DetectorSpec, OperatingPoint
from faceproof.errors import MissingExtraError
from faceproof.imaging.degradations import encode_jpeg
from faceproof.installation import install_command
from faceproof.reports.case_blocks import (
    Answer,
    Block,
    Bullets,
    CaseFacts,
    Code,
    FaceCard,
    FactsBlock,
    JpegImage,
    Meter,
    Paragraph,
    PictureBlock,
    Section,
    Table,
    collect_evidence,
)
from faceproof.reports.case_facts import case_facts
from faceproof.reports.case_pdf import case_pdf, render_document
from faceproof.reports.case_report import render_page
from faceproof.reports.pdf import BLOCKS, ESCAPED, TEXT, escape_missing, fit_text
from support.cases import (
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

FILE = picture()


@pytest.fixture
def spec(tiny_spec: DetectorSpec) -> DetectorSpec:
    return with_figures(tiny_spec)


@pytest.fixture
def facts(spec: DetectorSpec) -> CaseFacts:
    result = checked(FILE, "fake", "unsure", provenance=origin())
    hot = face(0, "fake", heatmap=heatmap())
    result = result.model_copy(update={"faces": (hot, *result.faces[1:])})
    return case_facts(
        [collect_evidence(FILE, result, saved_again("fake", "real"))], spec, generated=WHEN
    )


def read(data: bytes) -> PdfReader:
    return PdfReader(io.BytesIO(data), strict=True)


def words(data: bytes) -> str:
    """Return what is written on all pages, without spaces and without the foot of each."""
    pages = "\n".join(one.extract_text() for one in read(data).pages)
    foot = re.compile(r"^Page \d+ of \d+$|^Case report: .* UTC$", re.MULTILINE)
    return re.sub(r"\s", "", foot.sub("", pages))


def html_words(text: str) -> list[str]:
    """Return the sentences of the HTML page's body, without spaces."""
    body = text[text.index("<body>") :]
    body = re.sub(r"<(svg|nav|footer)\b.*?</\1>", "", body, flags=re.DOTALL)
    pieces = re.split(r"<[^>]*>", body)
    entities = {"&#34;": '"', "&#39;": "'", "&lt;": "<", "&gt;": ">", "&amp;": "&"}
    actual = []
    for piece in pieces:
        for entity, character in entities.items():
            piece = piece.replace(entity, character)  # noqa: PLW2901
        actual.append(re.sub(r"\s", "", piece))
    return [piece for piece in actual if piece]


def test_every_text_of_the_page_stands_in_the_pdf(facts):
    written = words(render_document(facts))
    actual = html_words(render_page(facts))
    assert len(actual) > 60
    assert [piece for piece in actual if piece not in written] == []


def test_every_kind_of_block_can_be_set():
    assert set(BLOCKS) == set(get_args(Block))


def test_the_same_facts_give_the_same_bytes(facts):
    assert render_document(facts) == render_document(facts)


def test_it_says_what_it_is(facts):
    made = read(render_document(facts))
    assert made.metadata.title == facts.title == "Case report: party.png"
    assert made.metadata.creator == "faceproof"
    catalog = made.trailer["/Root"]
    assert catalog["/Lang"] == "en"
    assert catalog["/ViewerPreferences"]["/DisplayDocTitle"]


def test_its_outline_has_every_heading(facts):
    def titles(entries):
        for entry in entries:
            yield from titles(entry) if isinstance(entry, list) else [entry.title]

    assert list(titles(read(render_document(facts)).outline)) == [
        facts.title,
        *(section.title for section in facts.sections),
    ]


def test_pages_are_numbered_to_the_last(facts):
    pages = read(render_document(facts)).pages
    assert len(pages) > 1
    for number, one in enumerate(pages, start=1):
        assert f"Page {number} of {len(pages)}" in one.extract_text()


ON = ChosenOn(data_sha256="0" * 64, n=9)
POINT = OperatingPoint(name="a", real_below=0.2, fake_from=0.9, promise="?", chosen_on=ON)
JPEG = JpegImage(encode_jpeg(np.zeros((300, 400, 3), np.uint8), 80), 400, 300, "A picture.")
CARD = FaceCard(1, "fake", "Face 1", Meter(0.95, POINT, "-"), ("-",), ("A.",), JPEG, None, "")
FOOT = re.compile(r"Page \d+ of \d+$|T, now$")
FIRST_BLOCKS = (
    Answer("fake", "Looks fake", "It does."),
    Paragraph("A note.", note=True),
    Paragraph("Text."),
    Bullets(("One.", "Two.")),
    Table("A caption", ("a", "b"), (("1", "2"),) * 60),
    FactsBlock((("Name", "a.jpg", "code"),) * 3),
    PictureBlock(JPEG, "A picture."),
    CARD,
    Code(("sha256sum a.jpg",)),
)


@pytest.mark.parametrize("block", FIRST_BLOCKS, ids=lambda one: type(one).__name__)
def test_no_heading_is_alone_at_the_foot_of_a_page(block):
    """Whatever follows a heading, and however far down the page it is."""
    assert {type(one) for one in FIRST_BLOCKS} == set(get_args(Block))
    sections = []
    for lines in range(28, 46):
        sections += [
            Section(f"picture-{lines}", "A page", 2, (Bullets(("A line.",) * lines),)),
            Section("next", "A heading", 2, (block,)),
        ]
    pages = read(render_document(CaseFacts("T", "Q", "now", tuple(sections)))).pages
    shown = [
        [line for line in one.extract_text().splitlines() if not FOOT.match(line) and line.strip()]
        for one in pages
    ]
    assert sum(lines.count("A heading") for lines in shown) == 18
    assert "A heading" not in [lines[-1] for lines in shown]


def test_the_pictures_are_in_it(facts):
    images = [image for one in read(render_document(facts)).pages for image in one.images]
    assert len(images) == 4  # the picture, two faces, one heat map


def test_the_fonts_of_texts_are_in_it(facts):
    fonts = {
        font["/BaseFont"]: font
        for one in read(render_document(facts)).pages
        for font in (reference.get_object() for reference in one["/Resources"]["/Font"].values())
    }
    vera = [font for name, font in fonts.items() if "Vera" in name]
    assert len(vera) >= 2
    assert all("/FontFile2" in font["/FontDescriptor"] for font in vera)


def test_markup_in_names_is_text(spec):
    name = "<b>bold</b> & <a href='file:///x'>y</a> .png"
    result = checked(FILE, "fake", source=name, provenance=origin(says="<para>", value="&amp;"))
    data = case_pdf(FILE, result, detector=spec, generated=WHEN)
    assert re.sub(r"\s", "", name) in words(data)
    assert "<para>" in words(data)
    assert "&amp;" in words(data)
    assert not any("/Annots" in one for one in read(data).pages)


@pytest.mark.parametrize("name", ["фото.png", "写真.png", "😀\U000e0001.png", "a" * 300 + ".png"])
def test_any_name_makes_a_report(spec, name):
    data = case_pdf(FILE, checked(FILE, "fake", source=name), detector=spec, generated=WHEN)
    actual = words(data)
    first = name[0]
    assert (first if first == "a" else first.encode("unicode_escape").decode()) in actual


def test_a_command_that_cannot_be_written_says_so(spec):
    for name, actual in (("фото.png", True), ("photo.png", False)):
        data = case_pdf(FILE, checked(FILE, "fake", source=name), detector=spec, generated=WHEN)
        assert (re.sub(r"\s", "", ESCAPED) in words(data)) == actual


def test_each_of_several_pictures_starts_a_page(spec):
    cases = [collect_evidence(FILE, checked(FILE, source=f"{n}.png")) for n in "ab"]
    pages = read(render_document(case_facts(cases, spec, generated=WHEN))).pages
    heading = re.compile(r"^[12]\. [ab]\.png$", re.MULTILINE)
    assert [len(heading.findall(one.extract_text())) for one in pages[:3]] == [0, 1, 1]


def test_letters_that_the_font_has_stay():
    assert escape_missing("Škoda, naïve café “x” …") == "Škoda, naïve café “x” …"
    assert escape_missing("日本") == "\\u65e5\\u672c"


def test_a_long_title_keeps_to_its_line():
    from reportlab.pdfbase.pdfmetrics import stringWidth

    cut = fit_text("x" * 500, 8, 200)
    assert cut.endswith("...")
    assert stringWidth(cut, TEXT, 8) <= 200
    assert fit_text("short", 8, 200) == "short"


def test_many_faces_and_pictures_go_on_further_pages(spec):
    crowd = checked(FILE, *["fake", "real"] * 25)
    cases = [
        collect_evidence(FILE, crowd),
        collect_evidence(FILE, checked(FILE)),
        collect_evidence(None, failed()),
    ]
    data = render_document(case_facts(cases, spec, generated=WHEN))
    actual = words(data)
    assert "Face50:" in actual
    assert "broken.png:thefileisempty" in actual
    assert len(read(data).pages) > 8


def test_tall_and_wide_pictures_fit_on_a_page(spec):
    for size in ((100, 3000), (3000, 100)):
        file = picture(*size)
        data = case_pdf(file, checked(file, "fake"), detector=spec, generated=WHEN)
        assert len(read(data).pages) >= 2


def test_without_reportlab_the_extra_is_named(facts, monkeypatch):
    monkeypatch.setitem(sys.modules, "reportlab.platypus", None)
    with pytest.raises(MissingExtraError, match=re.escape(install_command("report"))):
        render_document(facts)
