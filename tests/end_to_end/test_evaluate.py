"""`faceproof evaluate` as its users meet it: files, table, JSON, refusals and exit codes."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
import pytest
from PIL import Image

from faceproof.cli import main
from faceproof.evaluation.evaluate import Evaluation
from faceproof.evaluation.predictions import origin_of, read_table
from faceproof.records import Record

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
    tmp_path: Path,
) -> Callable[..., Answer]:
    """Run the command in this process, with the tiny detector and the output folder ``out``."""

    def run(*arguments: object, detector: object = tiny_bundle) -> Answer:
        words = ["--detector", detector, "--output", tmp_path / "out", *arguments]
        monkeypatch.setattr(sys, "argv", ["faceproof", "evaluate", *map(str, words)])
        with pytest.raises(SystemExit) as stop:
            main()
        return Answer(int(stop.value.code or 0), *capfd.readouterr())

    return run


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Path]:
    """Write a manifest of twelve grainy pictures, dark ones real and bright ones fake."""

    def make(split: str = "test", *, labels: str = "rf", broken: int = 0) -> Path:
        rows = []
        for n in range(12):
            label = labels[n % len(labels)]
            bright = 210 if label == "f" else 60
            grain = np.random.default_rng(n).integers(-40, 40, (48, 48, 3))
            path = tmp_path / f"{n}.png"
            Image.fromarray((bright + grain).clip(0, 255).astype(np.uint8)).save(path)
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            if n < broken:
                path.write_bytes(b"\x89PNG\r\n\x1a\nno more")
            rows.append(
                {
                    "path": path.name,
                    "label": {"r": "real", "f": "fake"}[label],
                    "generator": {"r": "none", "f": ("lamp", "torch")[n // 2 % 2]}[label],
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
    counts, figures = ["real", "fake"], ["ROC-AUC", "accuracy", "BPCER", "APCER", "unsure"]
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
    assert "<svg" in (tmp_path / "out" / "evaluation.html").read_text(encoding="utf-8")
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
    assert "NOT A TEST" in (tmp_path / "out" / "evaluation.html").read_text(encoding="utf-8")


def test_what_cannot_be_judged_is_counted(run, make, tmp_path):
    code, out, err = run("--data", make(broken=2), *FAST)
    assert code == 1
    assert out.splitlines()[1].split()[2:4] == ["5", "5"]
    assert "2 of 12 pictures were not judged" in err
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
    assert "No face was judged." in (tmp_path / "out" / "evaluation.html").read_text("utf-8")


def test_one_class_alone_leaves_out_what_needs_both(run, make, tmp_path):
    code, _, err = run("--data", make(labels="r"), *FAST)
    assert code == 0
    found = record(tmp_path)
    assert found.find("bpcer").n == 12
    assert found.find("roc_auc") is None
    assert found.find("apcer") is None
    assert "no fake face was judged; not computed: roc_auc" in err
    assert "all, clean: no fake face was judged" in found.left_out[0]


def test_json_is_the_record(run, make, tmp_path):
    code, out, _ = run("--data", make(), *FAST, "--format", "json")
    assert code == 0
    assert Evaluation.model_validate_json(out) == record(tmp_path)


def test_the_same_again_takes_the_place_of_the_first(run, make, tmp_path):
    manifest = make()
    files = []
    for _ in range(2):
        assert run("--data", manifest, *FAST).code == 0
        files.append({p.name: p.read_bytes() for p in (tmp_path / "out").iterdir()})
    assert files[0] == files[1]
    assert set(files[0]) == {"predictions.parquet", "evaluation.json", "evaluation.html"}


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
        (["--data", "no-such.csv"], "there is no manifest no-such.csv"),
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
