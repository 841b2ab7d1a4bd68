"""`faceproof evaluate` as its users meet it: files, table, JSON, refusals and exit codes."""

from __future__ import annotations

import hashlib
import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
import pytest
from PIL import Image

from faceproof.cli import main
from faceproof.detector import Detector
from faceproof.evaluation import partial_predictions, scored_faces
from faceproof.evaluation.evaluation_record import Evaluation
from faceproof.evaluation.predictions import (
    make_table,
    origin_of,
    read_table,
    rows_of,
    write_table,
)
from faceproof.records import Record
from faceproof.reports.report import Report

FAST = ("--faces", "whole", "--resamples", "100")


class Answer(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def run(
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    tiny_bundle: Path,
    quick_charts: None,
    tmp_path: Path,
) -> Callable[..., Answer]:
    """Run the command in this process, with the tiny detector and the output folder ``out``."""

    def run(*arguments: object, detector: object = tiny_bundle) -> Answer:
        named = [] if detector is None else ["--detector", detector]
        words = [*named, "--output", tmp_path / "out", *arguments]
        monkeypatch.setattr(sys, "argv", ["faceproof", "evaluate", *map(str, words)])
        with pytest.raises(SystemExit) as stop:
            main()
        return Answer(int(stop.value.code or 0), *capfd.readouterr())

    return run


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Path]:
    """Write a manifest of twelve pictures, dark ones real and bright ones fake."""

    def make(
        split: str = "test", *, labels: str = "rf", broken: int = 0, lamp: str = "lamp"
    ) -> Path:
        rows = []
        for n in range(12):
            label = labels[n % len(labels)]
            bright = 210 if label == "f" else 60
            grain = (np.arange(48)[:, None, None] - 24) * np.ones((1, 48, 3)) + n % 5
            path = tmp_path / f"{n}.png"
            Image.fromarray((bright + grain).clip(0, 255).astype(np.uint8)).save(path)
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            if n < broken:
                path.write_bytes(b"\x89PNG\r\n\x1a\nno more")
            rows.append(
                {
                    "path": path.name,
                    "label": {"r": "real", "f": "fake"}[label],
                    "generator": {"r": "none", "f": (lamp, "torch")[n // 2 % 2]}[label],
                    "source": "home" if n < 8 else "<away>",
                    "split": split,
                    "group": f"g{n}",
                    "sha256": digest,
                }
            )
        pl.DataFrame(rows).write_csv(tmp_path / "m.csv")
        return tmp_path / "m.csv"

    return make


def record(tmp_path: Path) -> Evaluation:
    return Evaluation.read(tmp_path / "out" / "evaluation.json")


def test_table_record_page_and_predictions(run, make, tmp_path):
    code, out, err = run("--data", make(), *FAST, "--condition", "clean", "--condition", "jpeg-60")
    assert code == 0
    head, *lines = out.splitlines()
    counts, figures = (
        ["real", "fake", "not", "judged"],
        ["ROC-AUC", "accuracy", "BPCER", "APCER", "unsure"],
    )
    assert head.split() == ["faces", "condition", *counts, *figures]
    assert [line.split()[:2] for line in lines] == [
        [name, condition]
        for condition in ("clean", "jpeg-60")
        for name in ("all", "source=<away>", "source=home", "generator=lamp", "generator=torch")
    ]
    assert [line.split()[2:4] for line in lines[:4]] == [
        ["6", "6"],
        ["2", "2"],
        ["4", "4"],
        ["6", "3"],
    ]
    assert "1.000 [" in lines[0]
    found = record(tmp_path)
    assert isinstance(found, Record)
    written = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert written["schema"] == "faceproof.evaluation/1"
    assert (found.data.split, found.data.rows, found.detector.name) == ("test", 12, "bright")
    assert all(one.data_sha256 == found.data.sha256 for one in found.findings)
    assert found.find("apcer", "generator=lamp").n == 3
    assert found.find("roc_auc", "generator=lamp").n == 9
    assert found.find("bpcer", "generator=lamp") is None
    table = read_table(tmp_path / "out" / "predictions.parquet")
    assert table.num_rows == 24
    assert origin_of(table).purpose == "final-report"
    assert "<svg" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "NOT A TEST" not in err


def test_the_confusion_matrix_counts_every_judged_face(run, make, tmp_path):
    run("--data", make(), *FAST)
    (matrix,) = record(tmp_path).confusion
    assert (sum(matrix.real), sum(matrix.fake)) == (6, 6)
    assert (matrix.real[0], matrix.fake[2]) == (6, 6)


def test_a_manifest_without_splits_is_judged_whole(run, make, tmp_path):
    code, _, _ = run("--data", make(""), *FAST)
    assert code == 0
    assert (record(tmp_path).data.split, record(tmp_path).data.rows) == ("", 12)


def test_another_split_must_be_named_and_is_no_test(run, make, tmp_path):
    manifest = make("validation")
    code, out, err = run("--data", manifest, *FAST)
    assert (code, out) == (2, "")
    assert "no rows in the split 'test'; it has 12 validation" in err
    assert not (tmp_path / "out").exists()
    code, _, err = run("--data", manifest, *FAST, "--split", "validation")
    assert code == 0
    assert "NOT A TEST" in err
    assert "NOT A TEST" in record(tmp_path).cautions[0]
    assert "NOT A TEST" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


def test_what_cannot_be_judged_is_counted(run, make, tmp_path):
    code, out, err = run("--data", make(broken=2), *FAST)
    assert code == 1
    assert out.splitlines()[1].split()[2:4] == ["5", "5"]
    assert out.splitlines()[1].split()[4:6] == ["2", "(truncated_picture"]
    assert "2 of 12 pictures were not judged (truncated_picture 2)" in err
    coverage = record(tmp_path).find_coverage("source=home", "clean")
    assert (coverage.judged, coverage.not_judged) == (6, 2)
    assert coverage.reasons == (("truncated_picture", 2),)
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert page.count("2 (truncated_picture 2)") == 3
    assert record(tmp_path).answered[0].model_dump() == {
        "condition": "clean",
        "ok": 10,
        "no_face": 0,
        "error": 2,
    }
    statuses = read_table(tmp_path / "out" / "predictions.parquet")["status"].to_pylist()
    assert statuses.count("error") == 2


def test_pictures_without_a_face_are_counted(run, make, tmp_path):
    code, _, err = run("--data", make(), "--resamples", "100")
    assert code == 0
    assert "No picture could be judged" in err
    found = record(tmp_path)
    assert found.answered[0].no_face == 12
    assert {one.metric for one in found.findings} == {"no_face_rate", "error_rate"}
    assert "No face was judged." in (tmp_path / "out" / "report.html").read_text("utf-8")


def test_one_class_alone_leaves_out_what_needs_both(run, make, tmp_path):
    code, _, err = run("--data", make(labels="r"), *FAST)
    assert code == 0
    found = record(tmp_path)
    assert found.find("bpcer").n == 12
    assert found.find("roc_auc") is None
    assert found.find("apcer") is None
    assert "all, clean: roc_auc needs fake faces, but there are none" in err
    assert found.left_out[0] == "all, clean: roc_auc needs fake faces, but there are none"


def test_json_is_the_record(run, make, tmp_path):
    code, out, _ = run("--data", make(), *FAST, "--format", "json")
    assert code == 0
    assert Evaluation.model_validate_json(out) == record(tmp_path)


def test_the_same_again_takes_the_place_of_the_first(run, make, tmp_path):
    manifest = make()
    files = []
    for _ in range(2):
        assert run("--data", manifest, *FAST).code == 0
        files.append({p.name: p.read_bytes() for p in (tmp_path / "out").rglob("*") if p.is_file()})
    assert files[0] == files[1]
    written = {name for name in files[0] if not name.endswith((".svg", ".png"))}
    assert written == {
        *("predictions.parquet", "evaluation.json"),
        *("report.html", "report.json", "report.md"),
    }
    plots = {path.name for path in (tmp_path / "out" / "plots").iterdir()}
    assert {"roc.svg", "roc.png", "det.svg", "coverage-risk.png"} <= plots


def test_the_operating_point_is_the_one_named(run, make, tmp_path):
    run("--data", make(), *FAST, "--at", "strict")
    found = record(tmp_path)
    assert found.operating_point.name == "strict"
    assert found.find("bpcer").metric == "bpcer@strict"


def test_a_folder_of_something_else_is_left_alone(run, make, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("mine")
    code, _, err = run("--data", make(), *FAST)
    assert code == 2
    assert "is not empty and holds no earlier evaluation" in err
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--condition", "jpeg-61"], "did you mean 'jpeg-6"),
        (["--split", "tests"], "did you mean 'test'"),
        (["--faces", "all"], "unknown choice of faces 'all'"),
        (["--format", "xml"], "unknown format 'xml'"),
        (["--at", "lax"], "lax"),
        (["--resamples", "9"], "--resamples"),
        (["--data", "no-such.csv"], "no-such.csv: manifest not found"),
        (["--predictions", "p.parquet"], "--data or --predictions is needed, and not both"),
    ],
)
def test_wrong_usage_is_refused_before_any_work(run, make, tmp_path, words, message):
    code, out, err = run("--data", make(), *FAST, *words)
    assert (code, out) == (2, "")
    assert message in err
    assert not (tmp_path / "out").exists()


def test_no_such_detector_is_wrong_usage(run, make):
    code, _, err = run("--data", make(), *FAST, detector="nowhere")
    assert code == 2
    assert "no detector 'nowhere'" in err


def test_the_report_is_made_again_from_the_table_alone(run, make, tmp_path):
    words = ("--condition", "clean", "--condition", "jpeg-60")
    assert run("--data", make(broken=2, lamp="unseen"), *FAST, *words).code == 1
    kept = ("predictions.parquet", "evaluation.json", "report.json", "report.md")
    before = {name: (tmp_path / "out" / name).read_bytes() for name in kept}
    report = Report.read(tmp_path / "out" / "report.json")
    assert any(one.startswith("Fakes of lamp: the detector was") for one in report.not_tested)
    moved = tmp_path / "moved.parquet"
    (tmp_path / "out" / "predictions.parquet").rename(moved)
    for path in (*tmp_path.glob("*.png"), tmp_path / "m.csv"):
        path.unlink()
    shutil.rmtree(tmp_path / "out")
    code, _, _ = run("--predictions", moved, "--resamples", "100", detector=None)
    assert code == 1
    assert {name: (tmp_path / "out" / name).read_bytes() for name in kept} == before


def test_another_operating_point_needs_no_new_scores(run, make, tmp_path):
    manifest, table = make(), tmp_path / "out" / "predictions.parquet"
    run("--data", manifest, *FAST, "--at", "strict")
    direct = record(tmp_path)
    run("--data", manifest, *FAST)
    assert record(tmp_path) != direct
    assert run("--predictions", table, "--resamples", "100", "--at", "strict").code == 0
    assert record(tmp_path) == direct
    code, _, err = run("--predictions", table, "--at", "lax")
    assert (code, "lax" in err) == (2, True)


def test_options_of_scoring_are_refused_with_a_table(run, make, tmp_path):
    run("--data", make(), *FAST)
    table = tmp_path / "out" / "predictions.parquet"
    code, _, err = run("--predictions", table, "--condition", "jpeg-60")
    assert code == 2
    assert "--condition has no effect on --predictions" in err
    code, _, err = run("--predictions", table, detector="default")
    assert code == 2
    assert "predictions.parquet is of the detector" in err


def test_a_table_of_a_training_needs_its_detector(run, make, tmp_path, tiny_bundle):
    run("--data", make(), *FAST)
    before = record(tmp_path)
    table = read_table(tmp_path / "out" / "predictions.parquet")
    plain = origin_of(table).model_copy(update={"scoring": None})
    write_table(make_table(rows_of(table), plain), tmp_path / "run.parquet")
    again = ("--predictions", tmp_path / "run.parquet", "--resamples", "100")
    code, _, err = run(*again, detector=None)
    assert code == 2
    assert "name its detector" in err
    assert run(*again).code == 0
    assert record(tmp_path).findings == before.findings


SLOWLY = """
import sys, time
from pathlib import Path
from faceproof.evaluation import evaluate as module, partial_predictions, scored_faces
from faceproof.imaging.faces import whole_picture_face

class Slow:
    def find(self, pixels):
        with open(sys.argv[3] + "/looked", "a") as looked:
            looked.write(".")
        time.sleep(0.03)
        return [whole_picture_face(pixels)]

partial_predictions.PICTURES = 3
scored_faces.FACES["largest"] = lambda: scored_faces.search_faces(Slow())
module.evaluate(*sys.argv[1:3], output=Path(sys.argv[3], "out"), resamples=100)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is a signal of POSIX")
def test_a_killed_inference_resumes(make, tmp_path, tiny_bundle, monkeypatch):
    def files():
        return {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}

    def count_searches():
        return len((tmp_path / "looked").read_text())

    def finish():
        exec(compile(SLOWLY, "slowly", "exec"), {"__name__": "slowly"})

    words = [str(tiny_bundle), str(make()), str(tmp_path)]
    monkeypatch.setattr(sys, "argv", ["slowly", *words])
    monkeypatch.setattr(partial_predictions, "PICTURES", 3)
    monkeypatch.setitem(scored_faces.FACES, "largest", None)
    second = tmp_path / "out" / "predictions.partial" / "000001.parquet"
    process = subprocess.Popen([sys.executable, "-c", SLOWLY, *words])
    while not second.exists() and process.poll() is None:
        time.sleep(0.005)
    process.kill()
    assert process.wait(60) == -signal.SIGKILL
    assert not (tmp_path / "out" / "evaluation.json").exists()
    before = count_searches()
    finish()
    assert count_searches() - before <= 12 - 2 * 3
    resumed = files()
    shutil.rmtree(tmp_path / "out")
    finish()
    assert files() == resumed


def write_scores(tmp_path, lines, head="path,score"):
    path = tmp_path / "rival.csv"
    path.write_text("\n".join([head, *lines]) + "\n", encoding="utf-8")
    return path


def test_the_scores_of_another_tool(run, make, tmp_path):
    manifest = make()
    lines = [f"{n}.png,{0.9 if n % 2 else 0.1}" for n in range(9)]
    lines += [f"{tmp_path / '9.png'},1", "10.png,nan", "strange.png,0.5"]
    scores = write_scores(tmp_path, lines)
    words = ("--data", manifest, "--scores", scores, "--resamples", "100")
    code, out, err = run(*words, detector=None)
    assert code == 1
    assert out.splitlines()[1].split()[2:5] == ["5", "5", "2"]
    found = record(tmp_path)
    assert found.find_coverage("all", "clean").reasons == (("nan_score", 1), ("no_score", 1))
    assert (found.detector.name, found.operating_point.name) == ("rival", "threshold-0.5")
    assert found.detector.sha256 == hashlib.sha256(scores.read_bytes()).hexdigest()
    assert (found.find("roc_auc").value, found.find("bpcer").value) == (1.0, 0.0)
    assert "1 scored paths are not in the evaluated rows" in err
    assert "training data of this detector is unknown" in err
    assert run(*words, "--threshold", "0.05", "--name", "Rival 2", detector=None).code == 1
    found = record(tmp_path)
    assert (found.detector.name, found.find("bpcer").value) == ("Rival 2", 1.0)
    assert (tmp_path / "out" / "report.html").is_file()


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["0.png,1.5"], "line 2: the score 1.5 is outside [0, 1]"),
        (["0.png,inf"], "line 2: the score inf is outside [0, 1]"),
        (["0.png,high"], "line 2: the score 'high' is not a number"),
        (["0.png,0.1", "0.png,0.2"], "line 3: 0.png has a second score"),
        (["a/0.png,0.1"], "none of the 1 scored paths, such as 'a/0.png'"),
        ([], "none of the 0 scored paths"),
    ],
)
def test_wrong_scores_are_refused(run, make, tmp_path, lines, message):
    scores = write_scores(tmp_path, lines)
    code, out, err = run("--data", make(), "--scores", scores, detector=None)
    assert (code, out) == (2, "")
    assert message in " ".join(err.split())
    assert not (tmp_path / "out").exists()


def test_a_file_without_the_columns_of_scores_is_refused(run, make, tmp_path):
    scores = write_scores(tmp_path, ["0.png,0.1"], "file,score")
    code, _, err = run("--data", make(), "--scores", scores, detector=None)
    assert (code, "lacks the column 'path'" in " ".join(err.split())) == (2, True)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--scores", "s.csv"], "--detector has no effect on --scores"),
        (["--threshold", "0.2"], "--threshold has no effect without --scores"),
        (["--scores", "s.csv", "--batch-size", "2"], "has no effect on --scores"),
    ],
)
def test_options_without_effect_are_refused(run, make, words, message):
    code, _, err = run("--data", make(), *words)
    assert (code, message in err) == (2, True)


def test_a_batch_size_changes_no_figure(run, make, tmp_path, monkeypatch):
    run("--data", make(), *FAST)
    before, sizes, judge = record(tmp_path), [], Detector.logits

    def count(self, inputs):
        sizes.append(len(inputs))
        return judge(self, inputs)

    monkeypatch.setattr(Detector, "logits", count)
    assert run("--data", make(), *FAST, "--batch-size", "5").code == 0
    assert sizes == [5, 5, 2]
    assert record(tmp_path) == before
    assert run("--data", make(), *FAST, "--batch-size", "0").code == 2


def test_quiet_keeps_the_table_and_the_cautions(run, make):
    loud = run("--data", make(), *FAST)
    quiet = run("--data", make(), *FAST, "--quiet")
    assert quiet.out == loud.out
    assert {"figures and intervals"} < set(loud.err.splitlines()) - set(quiet.err.splitlines())
    kept = ("caution: ", "left out: ", "* ")  # "*": the caution of a figure of the table
    assert all(line.startswith(kept) for line in quiet.err.splitlines())
