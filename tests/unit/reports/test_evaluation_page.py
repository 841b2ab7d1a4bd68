"""The page of an evaluation: well-formed, self-contained, and safe whatever things are called."""

from __future__ import annotations

import re

import numpy as np
import pytest

from faceproof.detector import ChosenOn, DetectorSpec, OperatingPoint, TrainingData
from faceproof.evaluation.evaluate import make_evaluation
from faceproof.evaluation.evaluation_record import DatasetRef, DetectorRef, Evaluation
from faceproof.evaluation.predictions import Origin, Prediction, make_table
from faceproof.evaluation.selection import Selection, cautions
from faceproof.reports.evaluation_page import evaluation_page, plots_by_condition
from support import pages

EVIL = "<script>alert('x')</script>\"&é"
VOID = {"meta", "rect", "polyline", "circle"}
POINT = OperatingPoint(
    name="<strict>",
    real_below=0.3,
    fake_from=0.6,
    promise="p",
    chosen_on=ChosenOn(data_sha256="c" * 64, n=1),
)


def predictions(*, labels=("real", "fake"), gone=3, conditions=("clean", "<worn>")):
    rng = np.random.default_rng(0)
    rows = []
    for condition in conditions:
        for n in range(60):
            label = labels[n % len(labels)]
            p = float(rng.beta(2, 4) + (0.3 if label == "fake" else 0))
            ok = n >= gone
            rows.append(
                Prediction(
                    path=f"{n}.png",
                    source=EVIL if n < 40 else "home",
                    generator="none" if label == "real" else "<gan>",
                    label=label,
                    split="test",
                    group=f"g{n // 2}",
                    condition=condition,
                    logit=p if ok else None,
                    fake_probability=min(p, 1.0) if ok else None,
                    status="ok" if ok else "no_face",
                )
            )
    return make_table(rows, Origin(detector_sha256="a" * 64, data_sha256="b" * 64, purpose="x"))


def evaluated(answers, **changes) -> Evaluation:
    settings = {"chosen_faces": "largest", "cautions": ["<b>Beware</b>"], "number": 100, **changes}
    return make_evaluation(
        answers,
        DetectorRef(name=EVIL, version="1", sha256="a" * 64),
        DatasetRef(name="m<1>.csv", sha256="b" * 64, split="test", rows=60),
        POINT,
        **settings,
    )


def read(page: str) -> pages.Reader:
    return pages.read(page, VOID)


@pytest.fixture(scope="module")
def page() -> str:
    answers = predictions()
    return evaluation_page(evaluated(answers), answers)


def test_the_page_is_well_formed(page):
    reader = read(page)
    ids = [attributes["id"] for _, attributes in reader.seen if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {a["href"].removeprefix("#") for a in reader.all("a")} <= set(ids)


def test_the_page_needs_nothing_else(page):
    reader = read(page)
    assert not {"script", "link", "img", "iframe", "object", "form"} & {t for t, _ in reader.seen}
    assert not re.search(r"url\(|@import|https?://", page)


def test_names_cannot_become_markup(page):
    assert "<script" not in page
    text = "".join(read(page).text)
    for name in (EVIL, "<worn>", "<gan>", "<strict>", "m<1>.csv", "<b>Beware</b>"):
        assert name not in page
        assert name in text


def test_tables_have_captions_and_plots_have_words(page):
    reader = read(page)
    assert len(reader.all("table")) == len(reader.all("caption")) == 4
    assert len(reader.all("svg")) == len(reader.all("title")) - 1 == len(reader.all("desc")) == 8
    ids = {attributes.get("id") for _, attributes in reader.seen}
    for plot in reader.all("svg"):
        assert set(plot["aria-labelledby"].split()) <= ids
    assert all(a["scope"] in ("col", "row") for a in reader.all("th"))


def test_points_lie_inside_of_their_frames():
    for drawn in plots_by_condition(predictions()).values():
        assert [one.name for one in drawn] == ["roc", "pr", "reliability"]
        for one in drawn:
            pairs = [tuple(map(float, pair.split(","))) for pair in one.line.split()]
            assert all(44 <= x <= 284 and 12 <= y <= 252 for x, y in pairs)


def test_one_class_has_no_curves():
    answers = predictions(labels=("real",))
    page = evaluation_page(evaluated(answers), answers)
    reader = read(page)
    assert len(reader.all("svg")) == 4
    assert "needs fake faces, but there are none" in page
    assert "ROC curve" not in page


def test_a_caution_of_a_figure_is_marked_and_read_beside_it():
    answers = predictions(gone=40)
    found = evaluated(answers)
    few = "only 10 groups of real faces; 30 or more are advised"
    assert found.find_cautions("all", "clean")[0] == few
    page = evaluation_page(found, answers)
    assert f"* clean: {few}" in page
    assert "]\N{NO-BREAK SPACE}*" in page
    cells = [row for row in page.splitlines() if f"<td>{few}" in row]
    assert any("home" in row for row in cells), "also in the tables of sources and generators"


def test_nothing_judged_is_said():
    answers = predictions(gone=60)
    page = evaluation_page(evaluated(answers), answers)
    assert read(page).all("svg") == []
    assert "No face was judged" in page


@pytest.mark.parametrize(
    ("own", "split", "message"),
    [
        (True, "train", ["NOT A TEST", "THE DETECTOR'S OWN DATA", "thresholds of strict"]),
        (True, "test", ["its test rows", "thresholds of strict"]),
        (False, "calibration", ["NOT A TEST", "not the manifest", "thresholds of strict"]),
        (False, "", ["not the manifest", "thresholds of strict"]),
    ],
)
def test_cautions_name_what_the_data_is_to_the_detector(tiny_spec, tmp_path, own, split, message):
    trained = TrainingData(data_sha256=("b" if own else "d") * 64, rows={})
    spec = DetectorSpec.model_validate({**dict(tiny_spec), "trained_on": trained})
    selection = Selection((), tmp_path, "b" * 64, "x", split, "m.csv")
    point = spec.operating_points["strict"]
    found = cautions(selection, spec, point, predictions(gone=0))
    assert len(found) == len(message)
    assert all(words in one for words, one in zip(message, found, strict=True))
