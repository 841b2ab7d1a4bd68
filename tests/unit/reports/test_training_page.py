"""The page of a training: of any run folder, finished, under way or broken, and safe to open."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from pathlib import Path

import pytest

from faceproof.detector.spec import DetectorSpec
from faceproof.reports import charts
from faceproof.reports.charts import ChartPanel, ChartTrace, panels, smooth, thin_out, ticks
from faceproof.reports.training_log import Curve, TrainingHistory, flatten, read_run
from faceproof.reports.training_page import format_duration, training_page, verdict, write
from support import pages

EVIL = "<script>alert('x')</script>\"&é"
VOID = {"meta", "line", "polyline", "circle"}

RECIPE = {
    "seed": 3,
    "data": {"licence": EVIL, "sources": {"<a>": {"share": 0.5, "real": None}}},
    "schedule": {"steps": 60, "batch_size": 8, "falls_at": [0.5, 0.75]},
    "export": {"name": EVIL, "version": "1"},
}
START = {
    "started": "2026-01-01T00:00:00Z",
    "python": "3.11.7",
    "system": EVIL,
    "versions": {"torch": "2.6.0", "timm": None},
    "commit": "c" * 40 + "-dirty",
    "recipe": RECIPE,
    "data_sha256": "b" * 64,
    "rows": {"train": 31576, "test": 5},
    "devices": 2,
    "device": "cuda:0",
    "precision": "bf16-mixed",
}


def line(step: int, minute: int, **values) -> dict:
    return {"time": f"2026-01-01T00:{minute:02}:00Z", "step": step, **values}


def trained(step: int, minute: int) -> dict:
    loss, rate = 1 / (step + 1), 1e-3
    return line(step, minute, loss=loss, accuracy=0.7, pictures_per_second=20.0, learning_rate=rate)


def validated(step: int, minute: int, auc: float, **values) -> dict:
    figures = {"validation_auc": auc, "validation_accuracy": 0.8, "validation_loss": 0.4}
    return line(step, minute, **figures, **values)


LINES = [
    *(trained(step, step // 10) for step in (10, 20, 30)),
    validated(30, 3, 0.9, best=True, attacked_accuracy=0.25),
    trained(40, 4),
    # Killed, and started again from a checkpoint of step 30.
    *(trained(step, 20 + step // 10) for step in (40, 50, 60)),
    validated(60, 27, 0.8123, attacked_accuracy=0.125),
]


def folder(path: Path, *, lines=LINES, starts=None, bundle=None) -> Path:
    """Return a run folder that holds these lines and starts."""
    again = START | {"started": "2026-01-01T00:20:00Z"}
    starts = [START, again] if starts is None else starts
    path.mkdir(exist_ok=True)
    (path / "run.json").write_text(json.dumps(starts), encoding="utf-8")
    text = "".join(json.dumps(one) + "\n" for one in lines)
    (path / "metrics.jsonl").write_text(text, encoding="utf-8")
    if bundle is not None:
        (path / "bundle").mkdir()
        (path / "bundle" / "detector.json").write_bytes(bundle)
    return path


def finding(metric: str, value: float, **where) -> dict:
    return {
        "metric": metric,
        "value": value,
        "low": value - 0.01,
        "high": value + 0.01,
        "n": 1234,
        "condition": "clean",
        "slice": "all",
        "data_sha256": "b" * 64,
        **where,
    }


def detector() -> bytes:
    file = {"name": "net.onnx", "sha256": "a" * 64}
    point = {
        "name": "1-in-100",
        "real_below": 0.3,
        "fake_from": 0.6,
        "promise": "p",
        "chosen_on": {"data_sha256": "b" * 64, "split": "calibration", "n": 1},
    }
    content = {
        "name": "mini",
        "version": "1",
        "members": [
            {
                "name": "net",
                "network": "densenet121",
                "weights": {"name": "net.safetensors", "sha256": "a" * 64},
                "onnx": file,
            }
        ],
        "preprocessing": {},
        "calibration": {"method": "identity"},
        "operating_points": {"1-in-100": point, "other": point | {"name": "other"}},
        "default_operating_point": "1-in-100",
        "trained_on": {"data_sha256": "b" * 64, "rows": {"train": 1}},
        "generators_seen": ["<gan>"],
        "results": [
            finding("roc_auc", 0.9321),
            finding("roc_auc", 0.8765, condition=EVIL),
            finding("roc_auc", 0.1111, slice="source=x"),
            finding("bpcer@1-in-100", 0.0432),
            finding("bpcer@other", 0.2222),
        ],
        "licence": "MIT",
        "card": {"name": "CARD.md", "sha256": "a" * 64},
    }
    return DetectorSpec.model_validate(content).to_json()


def page_of(path: Path) -> str:
    return write(path).read_text(encoding="utf-8")


def text_of(page: str) -> str:
    return " ".join(" ".join(pages.read(page, VOID).text).split())


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    made = folder(tmp_path_factory.mktemp("run"), bundle=detector())
    (made / "started_from.json").write_text(json.dumps({"name": EVIL, "licence": "<mit>"}))
    (made / "curves.png").touch()
    return made


@pytest.fixture(scope="module")
def page(run) -> str:
    return page_of(run)


class TestPage:
    def test_it_is_well_formed(self, page):
        reader = pages.read(page, VOID)
        ids = [attributes["id"] for _, attributes in reader.seen if "id" in attributes]
        assert len(ids) == len(set(ids))
        inside = [a["href"] for a in reader.all("a") if a["href"].startswith("#")]
        assert {one.removeprefix("#") for one in inside} <= set(ids)

    def test_it_fetches_and_runs_nothing(self, page):
        reader = pages.read(page, VOID)
        assert not reader.all("script", "link", "img", "iframe", "object")
        assert "<script>alert" not in page
        links = {a["href"] for a in reader.all("a")} - {
            f"#{a}" for a in re.findall(r'id="([\w-]+)"', page)
        }
        assert links == {"curves.png", "bundle/CARD.md", "bundle/detector.json"}
        assert not re.search(r"url\(|@import|https?://", page)
        assert not any(key.startswith("on") for _, found in reader.seen for key in found)

    def test_names_are_shown_as_they_are(self, page):
        text = text_of(page)
        assert text.count(EVIL) >= 4
        assert "<a>" in text
        assert "<mit>" in text

    def test_curves_are_told_to_those_who_do_not_see_them(self, page):
        reader = pages.read(page, VOID)
        drawn = [svg for svg in reader.all("svg") if svg.get("role") == "img"]
        assert len(drawn) == 5
        ids = {attributes.get("id") for _, attributes in reader.seen}
        assert all(set(svg["aria-labelledby"].split()) <= ids for svg in drawn)
        assert all("aria-hidden" in svg for svg in reader.all("svg") if svg.get("role") != "img")
        assert (
            "Validation, attacked: from 0.25 at step 30 to 0.125 at step 60, between 0.125 and "
            "0.25. Best step: 30." in text_of(page)
        )

    def test_what_scrolls_can_be_reached_with_the_keyboard(self, page):
        regions = [div for div in pages.read(page, VOID).all("div") if div.get("class") == "scroll"]
        assert len(regions) == 3
        assert all(div["tabindex"] == "0" and div["aria-label"] for div in regions)

    def test_what_it_says(self, page):
        text = text_of(page)
        for output in (
            "Finished after 60 steps. Best: step 30, validation AUC 0.9000.",
            "Validation is not a test: the same faces were used 2 times",
            "pictures by split: 31,576 train, 5 test",
            "Pictures seen in training: 480, 11 min in total",
            "Lines of metrics.jsonl for steps that a later start repeated: 1.",
            "The source code differed from its commit",
            "30, best 0.9000 0.8000 0.2500 0.4000",
            "60 0.8123 0.8000 0.1250 0.4000",
            "2 processes, first on cuda:0, bf16-mixed",
            "sources.<a>.real none",
            "falls_at 0.5, 0.75",
            "torch 2.6.0",
        ):
            assert output in text

    def test_each_start_has_its_steps(self, page):
        text = text_of(page)
        assert "2026-01-01T00:00:00Z 10 to 40 4 min" in text
        assert "2026-01-01T00:20:00Z 40 to 60 7 min" in text

    def test_the_results_are_those_of_all_faces_at_the_default_point(self, page):
        text = text_of(page)
        assert "0.932 [0.922, 0.942] 1,234" in text
        assert "4.3 % [3.3, 5.3] 1,234" in text
        assert "0.111" not in text
        assert "22.2 %" not in text

    def test_the_same_folder_makes_the_same_page(self, run, page):
        assert page_of(run) == page


class TestOtherRuns:
    def test_nothing_but_a_folder(self, tmp_path):
        text = text_of(page_of(tmp_path))
        assert "No steps logged yet." in text
        assert "No starts recorded." in text
        assert "There is no detector yet" in text
        assert "Validation is not a test" not in text

    def test_a_run_under_way(self, tmp_path):
        text = text_of(page_of(folder(tmp_path, lines=LINES[:3], starts=[START])))
        assert "Not finished: step 30 of 60. Not validated yet." in text
        assert "None yet: export, calibration and test come after the last step." in text

    def test_a_run_that_stopped_early(self, tmp_path):
        note = "stopped early at step 30: 1 validations without a better one than that of step 30"
        made = folder(tmp_path, lines=[*LINES[:4], line(30, 4, note=note), line(30, 5, note=note)])
        text = text_of(page_of(made))
        assert "Stopped early at step 30 of 60. Best: step 30" in text
        assert text.count(note) == 1
        made = folder(tmp_path, lines=[*LINES[:4], line(30, 4, note=note), trained(60, 9)])
        assert "Finished after 60 steps." in text_of(page_of(made))

    def test_a_run_whose_last_weights_are_kept(self, tmp_path):
        schedule = RECIPE["schedule"] | {"keep": "last"}
        start = START | {"recipe": RECIPE | {"schedule": schedule}}
        text = text_of(page_of(folder(tmp_path, starts=[start])))
        assert "the detector has the weights of the last step" in text
        assert "its weights are the detector's" not in text
        assert "used 2 times. Only" in text

    def test_a_recipe_that_was_changed(self, tmp_path):
        longer = RECIPE | {"schedule": {"steps": 90, "batch_size": 8}}
        later = START | {"started": "2026-01-01T00:20:00Z", "recipe": longer}
        text = text_of(page_of(folder(tmp_path, starts=[START, later])))
        assert "The recipe was changed between two starts" in text
        assert "changed: schedule.steps: 60 → 90" in text
        assert "changed: schedule.falls_at: 0.5, 0.75 → unset" in text
        assert "Not finished: step 60 of 90" in text

    @pytest.mark.parametrize("name", ["run.json", "started_from.json", "bundle/detector.json"])
    def test_a_broken_file_is_named_and_the_rest_is_shown(self, tmp_path, name):
        made = folder(tmp_path, bundle=detector())
        (made / name).write_text('{"half')
        text = text_of(page_of(made))
        assert f"{name.split('/')[0]} cannot be read" in text
        assert "Best: step 30" in text

    def test_torn_lines_and_strange_values(self, tmp_path):
        made = folder(tmp_path, lines=[line(10, 1, loss=float("nan")), validated(10, 1, 0.5)])
        with (made / "metrics.jsonl").open("a") as file:
            file.write('{"step": 20, "validation_auc": "x", "\\ud800": 1}\n{"step"')
        text = text_of(page_of(made))
        assert "1 unreadable lines of metrics.jsonl are not in the curves." in text
        assert "Best: step 10, validation AUC 0.5000" in text

    def test_starts_without_facts(self, tmp_path):
        text = text_of(page_of(folder(tmp_path, starts=[{}, {"started": None, "rows": 3}])))
        assert "Step 60 of an unknown schedule." in text

    def test_the_verdict_of_a_run_of_one_validation(self, tmp_path):
        made = read_run(folder(tmp_path, lines=[validated(60, 1, 0.75)]))
        assert verdict(made) == "Finished after 60 steps. Best: step 60, validation AUC 0.7500."
        assert "used once. Only" in training_page(made)


class TestCharts:
    def drawn(self, *values: float, steps: int = 100, best=None, **ends) -> charts.Chart:
        places = [steps * (n + 1) // len(values) for n in range(len(values))]
        curve = Curve(tuple(places), values)
        panel = ChartPanel(
            "p", "P", (ChartTrace("validation", "validation", curve),), "caption", **ends
        )
        return charts.chart(panel, steps=steps, best=best)

    def test_values_stand_where_their_ticks_stand(self):
        one = self.drawn(0.25, 1.0, floor=0.0, best=50)
        (curve,) = one.curves
        assert curve.dots == ((201.0, 156.5), (348.0, 14.0))
        assert curve.line == "201.0,156.5 348.0,14.0"
        assert [(tick.text, tick.at) for tick in one.upright] == [
            ("0", 204.0),
            ("0.25", 156.5),
            ("0.5", 109.0),
            ("0.75", 61.5),
            ("1", 14.0),
        ]
        assert [tick.text for tick in one.across] == ["0", "25", "50", "75", "100"]
        assert one.best == 201.0

    @pytest.mark.parametrize("values", [(0.5,), (0.0, 0.0), (-3.0, -3.0), (1e-9, 3e8), (3e38, 1.0)])
    def test_every_curve_stays_in_its_frame(self, values):
        (curve,) = self.drawn(*values, floor=0.0).curves
        for x, y in curve.dots:
            assert charts.LEFT <= x <= charts.RIGHT
            assert charts.TOP <= y <= charts.FOOT

    def test_a_long_curve_keeps_its_peaks(self):
        values = [0.0] * 10_000
        values[1234], values[5678] = 1.0, -1.0
        kept = thin_out(Curve(tuple(range(10_000)), tuple(values)), 400)
        assert len(kept) <= 400
        assert (1234, 1.0) in zip(kept.steps, kept.values, strict=True)
        assert (5678, -1.0) in zip(kept.steps, kept.values, strict=True)
        assert list(kept.steps) == sorted(kept.steps)

    def test_smoothing_is_its_formula(self):
        found = smooth(Curve((1, 2, 3), (1.0, 2.0, 4.0))).values
        weights = [0.9**age for age in range(3)]
        expected = (
            1.0,
            (2.0 + weights[1] * 1.0) / sum(weights[:2]),
            (4.0 + weights[1] * 2.0 + weights[2] * 1.0) / sum(weights),
        )
        assert found == pytest.approx(expected)

    @pytest.mark.parametrize(
        ("ends", "expected"),
        [
            ((0.0, 0.9), (0.0, 0.25, 0.5, 0.75, 1.0)),
            ((0.883, 1.0), (0.85, 0.9, 0.95, 1.0)),
            ((0.0, 0.001), (0.0, 0.00025, 0.0005, 0.00075, 0.001)),
            ((-2.0, -2.0), (-4.0, -3.0, -2.0, -1.0, 0.0)),
        ],
    )
    def test_ticks_are_round_and_around(self, ends, expected):
        assert ticks(*ends) == expected

    def test_a_curve_of_which_nothing_was_kept_has_no_panel(self):
        assert panels(TrainingHistory()) == ()
        only = TrainingHistory(training=({"step": 1, "loss": 1.0},))
        assert [panel.name for panel in panels(only)] == ["loss"]
        assert panels(only)[0].description == (
            "Training: 1 at step 1. Training, smoothed: 1 at step 1."
        )


def test_a_nested_table_is_told_by_dotted_keys():
    found = flatten({"a": {"b": {"c": True}}, "d": {}, "e": [], "f": 1e-5, "g": ""})
    assert found == {"a.b.c": "yes", "d": "none", "e": "none", "f": "1e-05", "g": "none"}


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0, "0 s"), (61, "1 min"), (3600, "1 h 00 min"), (90_061, "25 h 01 min")],
)
def test_durations(seconds, expected):
    assert format_duration(timedelta(seconds=seconds)) == expected
