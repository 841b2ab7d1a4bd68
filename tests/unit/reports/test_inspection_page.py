"""The page of an inspection: well-formed, self-contained, and safe whatever files are called."""

from __future__ import annotations

import re

import pytest

from faceproof.data.inspection.record import (
    FAULTS,
    Association,
    BalanceCell,
    Example,
    Ffhq,
    Inspection,
    Leak,
    Level,
    ManifestFile,
    OpenedSample,
    PartOverlap,
    Repeats,
    RowRef,
    Sheet,
    Spread,
    Tile,
    make_fault,
)
from faceproof.data.shortcuts.result import FamilyResult, GuiltyFeature, ProbeResult
from faceproof.reports.inspection_page import balance_rows, inspection_page, value_shares
from support import pages

EVIL = "<script>alert('x')</script>\"&é.jpg"
REF = RowRef(row=7, path="a/b.jpg", label="fake", split="test")
EVIL_REF = RowRef(manifest=1, row=8, path=EVIL, label="real")
WEBP = b"RIFF....WEBP"
VOID = {"meta", "br", "img", "link", "input", "hr", "line", "circle"}


def inspection(**changes: object) -> Inspection:
    """Return an inspection that has something in every section."""
    scored = {"auc": 0.9, "low": 0.8, "high": 0.95}
    whole = {
        "manifests": (
            ManifestFile(name="mine.parquet", rows=1234, sha256="a" * 64),
            ManifestFile(name="<other>.csv", rows=5, sha256="b" * 64, against=True),
        ),
        "rows": 1234,
        "faults": tuple(
            make_fault(
                kind, f"{kind} stands.", [Example(rows=(REF, EVIL_REF), detail="<b>")], count=3
            )
            for kind in FAULTS
        ),
        "balance": (
            BalanceCell(
                split="train", label="real", generator="none", source="<home>", rows=1000, weight=10
            ),
            BalanceCell(
                split="test", label="fake", generator="x&y", source="<home>", rows=234, weight=234
            ),
        ),
        "facts": (association("format"),),
        "spreads": (
            Spread(
                name="file size, bytes",
                label="fake",
                generator="x&y",
                n=5,
                low=1,
                quarter=2,
                middle=3,
                three_quarters=4,
                high=5,
            ),
        ),
        "attributes": (association("<gender>"),),
        "repeats": Repeats(
            compared=5,
            not_compared=1,
            near_bits=31,
            extra_copies=2,
            near_pairs=3,
            parts=(
                PartOverlap(
                    first="train / real", second="train / real", same=1, near=2, near_in_group=1
                ),
            ),
        ),
        "leaks": (
            Leak(manifest=1, split="", other_split="train", same=1, near=2, groups=3, ffhq=4),
        ),
        "ffhq": Ffhq(numbered=3, training_part=2, validation_part=1),
        "sample": OpenedSample(n=9, rows=1234, seed=0),
        "shortcut": ProbeResult(
            n_real=9,
            n_fake=9,
            groups=9,
            folds=3,
            seed=0,
            families=(FamilyResult(name="file", features=2, **scored),),
            guilty=(
                GuiltyFeature(
                    feature="bytes", family="file", importance=0.1, says="<longer>", **scored
                ),
            ),
            floor=FamilyResult(name="floor", features=5, auc=0.3, low=0.2, high=0.39),
            **scored,
        ),
        "sheets": (
            Sheet(
                name="sample", title="<home>", explanation="x", tiles=(tile(REF), tile(EVIL_REF))
            ),
            Sheet(
                name="leak",
                title="Leaks",
                explanation="x",
                pairs=True,
                tiles=(tile(REF), tile(REF)),
            ),
        ),
    }
    return Inspection(**(whole | changes))


def association(name: str) -> Association:
    levels = (Level(value="<JPEG>", real=900, fake=0), Level(value="PNG", real=100, fake=234))
    return Association(name=name, v=0.7, n=1234, unknown=3, levels=levels)


def tile(ref: RowRef) -> Tile:
    return Tile(at=ref, caption="fake & <small>")


def read(page: str) -> pages.Reader:
    return pages.read(page, VOID)


@pytest.fixture(scope="module")
def page() -> str:
    return inspection_page(inspection(), {REF: WEBP})


def test_the_page_is_well_formed(page):
    assert page.startswith("<!DOCTYPE html>")
    reader = read(page)
    assert {"html", "head", "title", "style", "body", "main", "footer"} <= {
        t for t, _ in reader.seen
    }
    ids = [attributes["id"] for _, attributes in reader.seen if "id" in attributes]
    assert len(ids) == len(set(ids))
    targets = [a["href"].removeprefix("#") for a in reader.all("a")]
    assert set(targets) == set(ids)


def test_the_page_needs_nothing_else(page):
    reader = read(page)
    assert reader.all("script", "link", "iframe", "object", "base", "form") == []
    for tag, attributes in reader.seen:
        for name in ("src", "href", "srcset", "data", "action", "poster"):
            value = attributes.get(name)
            assert value is None or value.startswith(("data:image/webp;base64,", "#")), (tag, value)
        assert not any(name.startswith("on") for name in attributes)
    assert not re.search(r"url\(|@import|https?://", page)


def test_names_cannot_become_markup(page):
    assert "<script" not in page
    assert "alert(&#39;x&#39;)" in page
    for name in ("<home>", "<other>", "<gender>", "<JPEG>", "<longer>", "<small>", "<b>"):
        assert name not in page
        assert name in "".join(read(page).text)


def test_every_table_has_a_caption_and_every_picture_a_text(page):
    reader = read(page)
    assert len(reader.all("table")) == len(reader.all("caption")) == 8
    images = reader.all("img")
    assert len(images) == 3
    assert all(image["alt"] == "fake & <small>: a/b.jpg" for image in images)
    assert len([a for a in reader.all("div") if a.get("role") == "img"]) == 1  # one was not drawn
    assert all(a["scope"] in ("col", "row") for a in reader.all("th"))


def test_what_to_do_stands_beside_each_fault(page):
    text = re.sub(r"\s+", " ", "".join(read(page).text))
    for kind, of in FAULTS.items():
        assert f"{kind} stands." in text
        assert of.meaning.replace("`", "") in text
        assert of.remedy.replace("`", "") in text
    assert "`" not in text


@pytest.mark.parametrize(
    ("kinds", "verdict"),
    [
        (("pair", "leak", "format"), "Do not train or measure on this data set"),
        (("pair", "format"), "Usable with care"),
        (("pair",), "No problem was found"),
        ((), "No problem was found"),
    ],
)
def test_the_verdict_is_that_of_the_gravest_fault(kinds, verdict):
    faults = tuple(make_fault(kind, "It is so.", [], count=1) for kind in kinds)
    page = inspection_page(inspection(faults=faults), {})
    assert verdict in page
    assert ("No faults were found." in page) == (not kinds)


def test_sections_without_content_are_left_out():
    bare = inspection(
        sample=None,
        shortcut=None,
        shortcut_note="no <pictures>",
        sheets=(),
        attributes=(),
        facts=(),
        spreads=(),
        manifests=(ManifestFile(name="m", rows=1, sha256="a" * 64),),
        faults=(),
        leaks=(),
    )
    page = inspection_page(bare, {})
    assert "No picture was opened" in page
    assert "Not probed: no &lt;pictures&gt;." in page
    ids = [attributes["id"] for _, attributes in read(page).seen if "id" in attributes]
    assert ids == ["faults", "balance", "files", "repeats", "shortcuts"]


def test_the_balance_has_a_row_for_each_source_class_and_generator():
    rows = balance_rows(inspection().balance, ["train", "test"])
    assert [(row.label, row.counts, row.rows) for row in rows] == [
        ("real", (1000, 0), 1000),
        ("fake", (0, 234), 234),
    ]


def test_shares_are_those_of_each_class():
    found = [(one.real_percent, one.fake_percent) for one in value_shares(association("x"))]
    assert found == [(90.0, 0.0), (10.0, 100.0)]


def test_figures_stand_on_the_page(page):
    text = re.sub(r"\s+", " ", "".join(read(page).text))
    for figure in (
        "ROC-AUC 0.900 [0.800, 0.950], n = 18 (9 fake)",
        "9 of 1,234 pictures",
        "V = 0.70",
    ):
        assert figure in text
