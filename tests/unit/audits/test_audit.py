"""Every entry of AUDITS on a small detector; sampling, resuming, and data that cannot answer."""

from __future__ import annotations

import errno
import hashlib
import json
import re
import sys
from pathlib import Path

import cv2
import numpy as np
import polars as pl
import pytest
from PIL import Image

import faceproof
from faceproof.audits import context as contexts
from faceproof.audits.audit import AUDITS
from faceproof.audits.context import SCORINGS, draw_rows, make_grid
from faceproof.audits.generators import NOT_RETRAINED
from faceproof.audits.resaving import CONDITIONS
from faceproof.cli import main
from faceproof.data.manifest import Row
from faceproof.errors import DataError, OutputError, UnknownChoiceError, UsageError
from faceproof.evaluation import partial_predictions
from faceproof.evaluation import predict as predicting
from faceproof.evaluation.audit_result import AuditPlot, AuditResult, AuditTable, Series
from faceproof.imaging.degradations import DEGRADATIONS

FEW = ("clean", *CONDITIONS, "dark", "bright", "brightness-0.6")


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Score few conditions, where a test is not about the conditions."""
    few = contexts.Scoring(FEW, SCORINGS["degraded"].cell)
    monkeypatch.setitem(SCORINGS, "degraded", few)


@pytest.fixture
def make(tmp_path: Path):
    """Write a manifest of grainy pictures: dark ones real and bright ones fake."""

    def make(labels: str = "rf", *, number: int = 16) -> Path:
        rows = []
        for n in range(number):
            label = labels[n % len(labels)]
            bright = {"r": 90, "f": 190}[label] + 8 * (n % 5)
            noise = np.random.default_rng(n).normal(size=(40, 40, 3))
            grain = 500 * cv2.GaussianBlur(noise - noise.mean(), (0, 0), 4) - 2  # as in photographs
            path = tmp_path / f"{n}.png"
            Image.fromarray((bright + grain).clip(0, 255).astype(np.uint8)).save(path)
            rows.append(
                {
                    "path": path.name,
                    "label": {"r": "real", "f": "fake"}[label],
                    "generator": {"r": "none", "f": ("lamp", "torch")[n // 2 % 2]}[label],
                    "source": "home" if n < number // 2 else "<away>",
                    "split": "test",
                    "group": f"g{n}",
                    "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
                    "gender": "fm"[n // 4 % 2],
                }
            )
        pl.DataFrame(rows).write_csv(tmp_path / "m.csv")
        return tmp_path / "m.csv"

    return make


def assert_one_sentence(answer: str) -> None:
    """Fail for an answer that is longer than a sentence of 60 words."""
    assert answer.endswith(".")
    assert not re.search(r"[.?!] ", answer), "one sentence"
    assert len(answer.split()) <= 60


@pytest.mark.parametrize("name", AUDITS)
class TestEveryAudit:
    def test_answers_its_question_with_tables_and_plots(self, name, tiny_bundle, make, tmp_path):
        number = {"fairness": 240}.get(name, 8)  # groups of people are not measured below 30
        run = faceproof.audit(
            tiny_bundle, make(number=number), only=[name], output=tmp_path / "out", faces="whole"
        )
        found = run[name]
        assert found.measured
        assert found.question.endswith("?")
        assert_one_sentence(found.answer)
        assert re.search(r"\d", found.answer)
        assert all(one.endswith(".") for one in found.details)
        told = " ".join((found.answer, *found.details, *found.cautions))
        assert not re.search(r"(?<![\d.,])1 (groups|generators|cells|ways|faces|fakes)\b", told)
        assert found.pictures == number
        assert found.tables
        assert found.plots
        for table in found.tables:
            assert table.rows
            assert table.frame().shape == (len(table.rows), len(table.columns))
        assert AuditResult.read(tmp_path / "out" / f"{name}.json") == found
        assert any("Fewer than 300 groups" in one for one in found.cautions)
        assert "nan" not in re.findall(r"\w+", found.answer.lower())

    @pytest.mark.parametrize("labels", ["r", "f"])
    @pytest.mark.usefixtures("few")
    def test_one_class_only_is_stated(self, name, labels, tiny_bundle, make):
        found = faceproof.audit(tiny_bundle, make(labels, number=6), only=[name], faces="whole")[
            name
        ]
        told = " ".join((found.answer, *found.cautions))
        missing = {"r": "fake", "f": "real"}[labels]
        assert f"no {missing} " in told.lower()
        assert "nan" not in found.model_dump_json().lower().split('"')

    @pytest.mark.usefixtures("few")
    def test_pictures_that_cannot_be_read_are_stated(self, name, tiny_bundle, make):
        manifest = make(number=6)
        for n in range(6):
            (manifest.parent / f"{n}.png").write_bytes(b"\x89PNG\r\n\x1a\nno more")
        found = faceproof.audit(tiny_bundle, manifest, only=[name], faces="whole")[name]
        assert not found.measured
        assert found.answer.startswith("Not measured")
        assert_one_sentence(found.answer)
        assert any(one.startswith("No picture could be judged") for one in found.cautions)


class TestFigures:
    """The tiny detector is a function of brightness, so that its errors are known."""

    @pytest.fixture
    def found(self, few, tiny_bundle, make):
        only = ("robustness", "stability", "calibration", "generators")
        return faceproof.audit(tiny_bundle, make(), only=only, faces="whole")

    def test_robustness_counts_flips_against_the_unchanged_picture(self, found):
        table = found["robustness"].table("degradations")
        rows = dict(zip(table.column("condition"), table.rows, strict=True))
        assert list(rows) == list(FEW)
        flips = dict(zip(table.column("condition"), table.column("flip_rate"), strict=True))
        assert (flips["clean"], flips["jpeg-95"]) == (0.0, 0.0)
        assert flips["dark"] == 0.5, "the bright half becomes dark, and so real or unsure"
        bpcer = dict(zip(table.column("condition"), table.column("bpcer"), strict=True))
        apcer = dict(zip(table.column("condition"), table.column("apcer"), strict=True))
        assert (bpcer["clean"], apcer["clean"], apcer["dark"]) == (0.0, 0.0, 1.0)
        assert "most when darkened: 50.0 %" in found["robustness"].answer
        alarms, _, lost = found["robustness"].details
        assert alarms.startswith(
            "Real faces called fake: 0.0 % (0.0 to 32.4) of unchanged faces, and"
        )
        assert lost == "No face was lost."
        assert set(table.column("caution")) == {"real: only 8 groups; fake: only 8 groups"}

    def test_stability_counts_24_ways(self, found):
        ways = found["stability"].table("ways").column("way")
        assert ways == CONDITIONS
        assert len(ways) == 24
        pictures = found["stability"].table("pictures").frame()
        assert pictures["class"].to_list() == ["all", "real", "fake"]
        assert pictures["pictures"].to_list() == [16, 8, 8]
        assert "24 ways" in found["stability"].answer

    def test_calibration_has_bins_sources_and_promises(self, found):
        result = found["calibration"]
        assert sum(result.table("bins").column("faces")) == 16
        slices = result.table("slices").frame()
        assert slices["slice"].to_list()[:3] == ["all", "source=<away>", "source=home"]
        assert slices["ece"].null_count() == 0
        promises = result.table("promises").frame()
        assert promises["outcome"].unique().to_list() == ["too few faces to tell"]
        assert promises["budget"].unique().sort().to_list() == [0.001, 0.01]

    def test_generators_says_seen_unseen_and_not_retrained(self, found):
        table = found["generators"].table("generators").frame()
        assert table["generator"].to_list() == ["lamp", "torch", "all seen", "all unseen"]
        assert table["seen"].to_list() == ["seen", "unseen", "seen", "unseen"]
        assert table["recall"].to_list() == [1.0] * 4
        assert table["roc_auc"].to_list()[:2] == [1.0, 1.0]
        assert NOT_RETRAINED in found["generators"].details


@pytest.mark.usefixtures("few")
def test_a_sample_is_stated_with_its_size(tiny_bundle, make):
    found = faceproof.audit(tiny_bundle, make(), only=["robustness"], most=3, faces="whole")
    result = found["robustness"]
    assert (result.pictures, result.settings.most, result.settings.rows) == (6, 3, 16)
    assert any(one.startswith("A sample of 6 of 16 pictures") for one in result.cautions)


class TestFolder:
    @pytest.mark.usefixtures("few")
    def test_what_is_there_is_not_made_again(self, tiny_bundle, make, tmp_path, monkeypatch):
        ask = {"output": tmp_path / "out", "faces": "whole"}
        manifest = make()
        first = faceproof.audit(tiny_bundle, manifest, **ask)
        assert {path.name for path in (tmp_path / "out").iterdir()} == {
            "audit.json",
            *(f"{name}.json" for name in AUDITS),
            *(f"predictions-{name}.parquet" for name in SCORINGS),
            *(f"scores-{name}.json" for name in ("shortcuts", "backgrounds", "square")),
        }
        monkeypatch.setattr(contexts, "predict_rows", None)
        (tmp_path / "out" / "robustness.json").unlink()
        assert faceproof.audit(tiny_bundle, manifest, **ask) == first

    @pytest.mark.usefixtures("few")
    def test_a_scoring_that_was_stopped_goes_on_where_it_was(
        self, tiny_bundle, make, tmp_path, monkeypatch
    ):
        monkeypatch.setattr(partial_predictions, "PICTURES", 4)
        manifest, read, seen = make(number=12), predicting.read_faces, []

        def stop_at_the_tenth(*given, **options):
            seen.append(given[-1][0].path)
            if len(seen) == 10:
                raise KeyboardInterrupt
            return read(*given, **options)

        ask = {"only": ["generators"], "output": tmp_path / "out", "faces": "whole"}
        monkeypatch.setattr(predicting, "read_faces", stop_at_the_tenth)
        with pytest.raises(KeyboardInterrupt):
            faceproof.audit(tiny_bundle, manifest, **ask)
        first = len(seen)
        found = faceproof.audit(tiny_bundle, manifest, **ask)
        assert found["generators"].pictures == 12
        assert len(seen) - first <= 8, "the first four pictures at least were not read again"
        assert not list((tmp_path / "out").glob("*.partial"))

    def test_few_pictures_under_many_conditions_are_saved_in_parts(
        self, tiny_bundle, make, tmp_path, monkeypatch
    ):
        manifest, read, seen = make(number=12), predicting.read_faces, []

        def stop_at_the_last(*given, **options):
            seen.append(given[-1][0].path)
            if len(seen) == 12:
                raise KeyboardInterrupt
            return read(*given, **options)

        ask = {"only": ["robustness"], "output": tmp_path / "out", "faces": "whole"}
        monkeypatch.setattr(predicting, "read_faces", stop_at_the_last)
        with pytest.raises(KeyboardInterrupt):
            faceproof.audit(tiny_bundle, manifest, **ask)
        parts = tmp_path / "out" / "predictions-degraded.partial"
        assert len(list(parts.glob("*.parquet"))) == 1, "8 pictures in 62 conditions are a part"

    @pytest.mark.usefixtures("few")
    def test_unchanged_pictures_are_scored_once_for_all_audits(
        self, tiny_bundle, make, tmp_path, monkeypatch
    ):
        manifest, read, seen = make(number=12), predicting.read_faces, []

        def count(*given, **options):
            seen.append(given[-1][0].path)
            return read(*given, **options)

        monkeypatch.setattr(predicting, "read_faces", count)
        ask = {"faces": "whole", "most": 3}
        apart = faceproof.audit(tiny_bundle, manifest, only=["generators", "fairness"], **ask)
        alone, seen[:] = set(seen), []
        names = ["robustness", "generators", "fairness"]
        both = faceproof.audit(tiny_bundle, manifest, only=names, **ask)
        assert len(seen) == len(set(seen)), "no picture was read twice"
        assert set(seen) >= alone
        assert len(alone) > 6, "not all are in the degraded sample"
        assert both.results[1:] == apart.results

    def test_a_batch_size_changes_no_answer(self, tiny_bundle, make, monkeypatch):
        manifest, sizes, judge = make(number=12), [], faceproof.Detector.logits

        def count(self, inputs):
            sizes.append(len(inputs))
            return judge(self, inputs)

        monkeypatch.setattr(faceproof.Detector, "logits", count)
        ask = {"only": ["generators"], "faces": "whole"}
        found = faceproof.audit(tiny_bundle, manifest, batch_size=5, **ask)
        assert sizes == [5, 5, 2]
        assert found == faceproof.audit(tiny_bundle, manifest, **ask)

    @pytest.mark.usefixtures("few")
    def test_predictions_of_other_conditions_are_made_again(
        self, tiny_bundle, make, tmp_path, monkeypatch
    ):
        ask = {"only": ["robustness"], "output": tmp_path / "out", "faces": "whole"}
        manifest = make(number=4)
        faceproof.audit(tiny_bundle, manifest, **ask)
        (tmp_path / "out" / "robustness.json").unlink()
        more = contexts.Scoring((*FEW, "grey"), SCORINGS["degraded"].cell)
        monkeypatch.setitem(SCORINGS, "degraded", more)
        found = faceproof.audit(tiny_bundle, manifest, **ask)["robustness"]
        assert "grey" in found.table("degradations").column("condition")

    @pytest.mark.usefixtures("few")
    def test_other_settings_are_refused_with_the_difference(self, tiny_bundle, make, tmp_path):
        ask = {"only": ["generators"], "output": tmp_path / "out", "faces": "whole"}
        manifest = make(number=4)
        faceproof.audit(tiny_bundle, manifest, **ask)
        with pytest.raises(UsageError, match=r"other settings \(most 300, now 2\)"):
            faceproof.audit(tiny_bundle, manifest, most=2, **ask)

    def test_a_folder_of_something_else_is_refused(self, tiny_bundle, make, tmp_path):
        manifest = make(number=4)
        with pytest.raises(UsageError, match="is not empty and holds no earlier audit"):
            faceproof.audit(tiny_bundle, manifest, output=tmp_path, faces="whole")
        with pytest.raises(UsageError, match="is not a folder"):
            faceproof.audit(tiny_bundle, manifest, output=manifest, faces="whole")

    def test_a_manifest_is_never_written_over(self, tiny_bundle, make, tmp_path):
        (tmp_path / "out").mkdir()
        manifest = tmp_path / "out" / "predictions-clean.parquet"
        pl.read_csv(make(number=4)).write_parquet(manifest)
        with pytest.raises(UsageError, match="would overwrite the input"):
            faceproof.audit(tiny_bundle, manifest, output=tmp_path / "out", root=tmp_path)

    def test_a_disk_that_is_full_is_an_error_of_output(
        self, tiny_bundle, make, tmp_path, monkeypatch
    ):
        def fail(*_: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(contexts, "write_table", fail)
        ask = {"only": ["generators"], "output": tmp_path / "out", "faces": "whole"}
        with pytest.raises(OutputError, match="make room"):
            faceproof.audit(tiny_bundle, make(number=4), **ask)

    def test_a_broken_result_is_an_error(self, tiny_bundle, make, tmp_path):
        ask = {"only": ["generators"], "output": tmp_path / "out", "faces": "whole"}
        manifest = make(number=4)
        faceproof.audit(tiny_bundle, manifest, **ask)
        (tmp_path / "out" / "generators.json").write_text("{")
        with pytest.raises(UsageError, match=r"generators.json cannot be read"):
            faceproof.audit(tiny_bundle, manifest, **ask)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"only": ["robustnes"]}, UnknownChoiceError, "did you mean 'robustness'"),
        ({"at": "sternest"}, UnknownChoiceError, "operating point"),
        ({"split": "tests"}, UnknownChoiceError, "split"),
        ({"faces": "all"}, UnknownChoiceError, "choice of faces"),
        ({"manifest": "none.csv"}, UsageError, "none.csv: manifest not found"),
        ({"most": 0}, UsageError, "at least 1 picture"),
        ({"batch_size": 0}, UsageError, "batch_size is 0; a batch needs at least 1 face"),
    ],
)
def test_what_cannot_be_done_is_refused_first(tiny_bundle, make, changes, error, message):
    with pytest.raises(error, match=message):
        faceproof.audit(tiny_bundle, **{"manifest": make(number=4), **changes})


def test_a_score_that_is_nan_is_an_error(tiny_bundle, make, monkeypatch):
    detector = faceproof.Detector.load(tiny_bundle)
    monkeypatch.setattr(type(detector), "logits", lambda self, inputs: np.full(len(inputs), np.nan))
    with pytest.raises(DataError, match="status ok without logit"):
        faceproof.audit(detector, make(number=4), only=["generators"], faces="whole")


def make_rows(numbers: dict[tuple[str, str], int], *, pictures: int = 1) -> list[Row]:
    return [
        Row(
            path=f"{source}-{generator}-{n}-{picture}.png",
            label="real" if generator == "none" else "fake",
            generator=generator,
            source=source,
            group=f"{source}-{n}",
            sha256="0" * 64,
        )
        for (source, generator), number in numbers.items()
        for n in range(number)
        for picture in range(pictures)
    ]


class TestSample:
    def test_sources_and_generators_take_turns_within_a_class(self):
        rows = make_rows({("a", "none"): 90, ("b", "none"): 4, ("c", "lamp"): 3})
        drawn = draw_rows(rows, 10, cell=lambda row: (row.label,))
        counts = pl.Series([row.source for row in drawn]).value_counts()
        assert dict(counts.iter_rows()) == {"a": 6, "b": 4, "c": 3}
        assert [row for row in rows if row in drawn] == list(drawn)

    def test_every_group_comes_before_a_second_picture_of_one(self):
        rows = make_rows({("a", "none"): 20}, pictures=3)
        assert len({row.group for row in draw_rows(rows, 20, cell=lambda _: ())}) == 20
        assert len(draw_rows(rows, 30, cell=lambda _: ())) == 30
        assert draw_rows(rows, None, cell=lambda _: ()) == tuple(rows)

    def test_the_order_of_the_rows_does_not_matter_and_the_seed_does(self):
        rows = make_rows({("a", "none"): 60})
        drawn = set(map(repr, draw_rows(rows, 9, cell=lambda _: ())))
        assert drawn == set(map(repr, draw_rows(rows[::-1], 9, cell=lambda _: ())))
        assert drawn != set(map(repr, draw_rows(rows, 9, cell=lambda _: (), seed=1)))


def test_conditions_are_all_degradations_and_24_ways():
    assert SCORINGS["degraded"].conditions == tuple(DEGRADATIONS)
    assert set(CONDITIONS) <= set(DEGRADATIONS)


def test_the_grid_holds_nan_where_nothing_was_judged(few, tiny_bundle, make, tmp_path):
    manifest = make(number=4)
    (tmp_path / "2.png").write_bytes(b"\x89PNG\r\n\x1a\nno more")
    ask = {"only": ["stability"], "output": tmp_path / "out", "faces": "whole"}
    faceproof.audit(tiny_bundle, manifest, **ask)
    from faceproof.evaluation.predictions import read_table

    grid = make_grid(read_table(tmp_path / "out" / "predictions-degraded.parquet"))
    assert grid.probabilities.shape == (4, len(FEW))
    assert np.isnan(grid.probabilities[2]).all()
    assert np.isfinite(grid.probabilities[[0, 1, 3]]).all()
    detector = faceproof.Detector.load(tiny_bundle)
    assert grid.verdicts(detector.operating_point(None))[:, 0].tolist() == [0, 2, -1, 2]


class TestRecord:
    def test_rows_and_series_fit(self):
        with pytest.raises(ValueError, match="1 cells for 2 columns"):
            AuditTable(name="t", caption="c", columns=("a", "b"), rows=((1,),))
        with pytest.raises(ValueError, match="different lengths"):
            Series(name="s", x=(1.0, 2.0), y=(1.0,))

    def test_columns_by_name(self):
        table = AuditTable(name="t", caption="c", columns=("a", "b"), rows=((1, None), (2, "x")))
        assert table.column("b") == (None, "x")
        with pytest.raises(UnknownChoiceError, match="column"):
            table.column("c")


@pytest.mark.usefixtures("quick_charts")
class TestCommand:
    @pytest.fixture
    def run(self, monkeypatch, capfd):
        def run(*words: object) -> tuple[int, str, str]:
            monkeypatch.setattr(sys, "argv", ["faceproof", "audit", *map(str, words)])
            with pytest.raises(SystemExit) as stop:
                main()
            return int(stop.value.code or 0), *capfd.readouterr()

        return run

    @pytest.mark.usefixtures("few")
    def test_prints_each_question_with_its_answer(self, run, tiny_bundle, make, tmp_path):
        only = ("--only", "generators", "--only", "stability")
        words = (
            "-d",
            tiny_bundle,
            "--data",
            make(),
            "-o",
            tmp_path / "out",
            *only,
            "--faces",
            "whole",
        )
        code, out, err = run(*words)
        assert code == 0
        heads = [line.partition(":")[0] for line in out.splitlines() if not line.startswith("  ")]
        assert heads == ["generators", "stability"]
        assert "caution: Fewer than 300 groups" in err
        assert "clean pictures: 16 to judge" in err
        report = tmp_path / "out" / "report.json"
        first = report.read_bytes()
        report.unlink()
        code, out, err = run(*words, "--format", "json")
        assert report.read_bytes() == first
        assert [one["name"] for one in json.loads(out)["results"]] == ["generators", "stability"]
        assert "to judge" not in err

    @pytest.mark.usefixtures("few")
    def test_quiet_keeps_the_answers_and_the_cautions(self, run, tiny_bundle, make, tmp_path):
        words = ("-o", tmp_path / "out", "--only", "generators", "--faces", "whole", "--quiet")
        code, out, err = run("-d", tiny_bundle, "--data", make(), *words)
        assert code == 0
        assert out.startswith("generators: ")
        assert err
        assert all(line.startswith("caution: ") for line in err.splitlines())

    def test_what_cannot_be_measured_is_exit_code_1(self, run, tiny_bundle, make, tmp_path):
        words = ("-o", tmp_path / "out", "--only", "generators", "--faces", "whole")
        code, out, _ = run("-d", tiny_bundle, "--data", make("r", number=4), *words)
        assert code == 1
        assert "Not measured" in out

    def test_an_unknown_audit_is_exit_code_2(self, run, tiny_bundle, make, tmp_path):
        words = ("-o", tmp_path / "out", "--only", "fairnes")
        code, _, err = run("-d", tiny_bundle, "--data", make(number=4), *words)
        assert code == 2
        assert "unknown audit 'fairnes'" in err


class TestLeaveOneOut:
    """The audit of generators shows the figures of detectors trained without each of them."""

    @pytest.fixture
    def left_out(self, tiny_bundle, make, tmp_path):
        """A leave-one-out result of the tiny detector's recipe, on the test's manifest."""
        settings = faceproof.audit(tiny_bundle, make(), only=["generators"], faces="whole").settings
        figures = AuditTable(
            name="leave-one-out",
            caption="c",
            columns=("left_out", "roc_auc"),
            rows=(("lamp", 0.7),),
        )
        more = AuditTable(
            name="inflation", caption="c", columns=("left_out", "inflation"), rows=(("lamp", 0.1),)
        )
        bars = Series(name="seen", x=("lamp",), y=(0.7,))
        plot = AuditPlot(
            name="left-out", kind="bar", title="t", x="generator", y="ROC-AUC", series=(bars,)
        )
        result = AuditResult(
            name="leave-one-out",
            question="How?",
            answer="Trained without the generator lamp, it reaches 0.700.",
            settings=settings,
            pictures=4,
            cautions=("One training for each.",),
            tables=(figures, more),
            plots=(plot,),
        )
        (tmp_path / "runs").mkdir()
        result.write(tmp_path / "runs" / "leave-one-out.json")
        return result

    def ask(self, tiny_bundle, tmp_path, **more):
        ask = {"only": ["generators"], "faces": "whole", **more}
        return faceproof.audit(tiny_bundle, tmp_path / "m.csv", **ask)["generators"]

    @pytest.mark.parametrize("place", ["runs", "runs/leave-one-out.json"])
    def test_its_answer_tables_plot_and_cautions_are_shown(
        self, tiny_bundle, left_out, tmp_path, place
    ):
        found = self.ask(tiny_bundle, tmp_path, leave_one_out=tmp_path / place)
        assert found.details[-1] == left_out.answer
        assert NOT_RETRAINED not in found.details
        assert [one.name for one in found.tables] == ["generators", "leave-one-out", "inflation"]
        assert [one.name for one in found.plots] == ["generators", "left-out"]
        assert "Leave-one-out: One training for each." in found.cautions
        assert not any("other data" in one or "not of this" in one for one in found.cautions)

    def test_it_is_read_from_the_folder_and_replaces_an_older_result(
        self, tiny_bundle, left_out, tmp_path
    ):
        out = tmp_path / "out"
        assert NOT_RETRAINED in self.ask(tiny_bundle, tmp_path, output=out).details
        (tmp_path / "runs" / "leave-one-out.json").rename(out / "leave-one-out.json")
        assert self.ask(tiny_bundle, tmp_path, output=out).details[-1] == left_out.answer

    def test_another_detector_and_other_data_are_stated(self, tiny_bundle, left_out, tmp_path):
        changed = {"detector": "other", "data_sha256": "e" * 64}
        theirs = left_out.settings.model_copy(update=changed)
        path = tmp_path / "other.json"
        left_out.model_copy(update={"settings": theirs}).write(path)
        found = self.ask(tiny_bundle, tmp_path, leave_one_out=path)
        told = " ".join(found.cautions)
        assert "leave-one-out is of other data" in told
        assert "of the recipe of other 1.0, not of this detector" in told

    def test_a_file_of_something_else_is_refused(self, tiny_bundle, left_out, tmp_path):
        (tmp_path / "runs" / "text.json").write_text("{}", encoding="utf-8")
        for name in ("text.json", "none.json"):
            with pytest.raises(UsageError, match=f"{name} cannot be read as a leave-one-out"):
                self.ask(tiny_bundle, tmp_path, leave_one_out=tmp_path / "runs" / name)
        left_out.model_copy(update={"name": "stability"}).write(tmp_path / "s.json")
        with pytest.raises(UsageError, match="the result of the audit stability"):
            self.ask(tiny_bundle, tmp_path, leave_one_out=tmp_path / "s.json")
