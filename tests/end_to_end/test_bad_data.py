"""Data that cannot give good figures: an error or a warning in every output, never silence.

Each case is run by `faceproof evaluate` and `faceproof audit`. Its words must be in the terminal,
in the JSON that each writes and on the page, or both must refuse with them.
"""

from __future__ import annotations

import hashlib
import html
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image

from faceproof.cli import main
from faceproof.data.manifest_files import read_manifest
from faceproof.detector import Detector, DetectorSpec, TrainingData
from faceproof.detector.bundle import write_bundle
from faceproof.detector.spec import Finding
from faceproof.evaluation.audit_result import AuditResult
from faceproof.evaluation.evaluation_record import Evaluation

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Case:
    """What is wrong with the rows or the detector, and the words that must be shown."""

    words: tuple[str, ...]
    rows: Callable[[Rows], Rows] = lambda rows: rows
    spec: Callable[[DetectorSpec, str], dict[str, Any]] = lambda spec, sha256: {}
    options: tuple[str, ...] = ()
    refused: bool = False
    nan: bool = False
    in_audit: tuple[str, ...] = field(default=())
    """Other words of the audit, where it tells the same otherwise."""


def _without_fakes(rows: Rows) -> Rows:
    return [row for row in rows if row["label"] == "real"]


def _in_two_splits(rows: Rows) -> Rows:
    return [*rows, {**rows[0], "path": "copy.png", "sha256": "a" * 64, "split": "train"}]


def _trained_on(spec: DetectorSpec, sha256: str) -> dict[str, Any]:
    return {"trained_on": TrainingData(data_sha256=sha256, rows={})}


def _source_was_in_training(spec: DetectorSpec, sha256: str) -> dict[str, Any]:
    known = "source=home,generator=none,split=train"
    count = Finding(
        metric="pictures", value=9, low=9, high=9, n=9, slice=known, data_sha256="d" * 64
    )
    return {"results": (count,)}


CASES = {
    "one class only": Case(("ONE CLASS ONLY: no fake face was judged",), rows=_without_fakes),
    "a generator with five pictures": Case(
        ("generator=torch (5)", "only 5 groups of fake faces; 30 or more are advised"),
        in_audit=("torch (5)",),
    ),
    "scores that are NaN": Case(("status ok without logit",), nan=True, refused=True),
    "duplicate rows": Case(
        ("has 2 rows; remove duplicates",), rows=lambda rows: [*rows, rows[0]], refused=True
    ),
    "one picture in two files": Case(
        ("1 rows repeat a picture of another row", "twin.png"),
        rows=lambda rows: [*rows, {**rows[0], "path": "twin.png", "group": "twin"}],
    ),
    "one picture real and fake": Case(
        ("CONTRADICTION: 1 pictures are labelled both real and fake",),
        rows=lambda rows: [
            *rows,
            {**rows[0], "path": "twin.png", "label": "fake", "generator": "lamp"},
        ],
    ),
    "thresholds chosen on other data": Case(
        ("The thresholds of balanced were chosen on the data cccccccccccc",)
    ),
    "rows of the training": Case(
        ("NOT A TEST", "OWN DATA: by its hash, this is the data set that the detector was trained"),
        rows=lambda rows: [{**row, "split": "train"} for row in rows],
        spec=_trained_on,
        options=("--split", "train"),
    ),
    "other rows of a source of the training": Case(
        ("POSSIBLE LEAK", "home", "no hashes of pictures", "data inspect --against"),
        spec=_source_was_in_training,
    ),
    "a group in training and test": Case(
        ("occurs in test and train",), rows=_in_two_splits, refused=True
    ),
}


@pytest.fixture
def written(tmp_path: Path, tiny_spec: DetectorSpec, tiny_files: dict[str, bytes]):
    """Write the data and the detector of a case; return both paths."""

    def write(case: Case) -> tuple[Path, Path]:
        rows: Rows = []
        for n in range(22):
            label, place = ("real", "fake")[n % 2], tmp_path / f"{n}.png"
            grain = np.random.default_rng(n).integers(-20, 20, (24, 24, 3))
            light = 60 if label == "real" else 200
            Image.fromarray((light + grain).clip(0, 255).astype(np.uint8)).save(place)
            rows.append(
                {
                    "path": place.name,
                    "label": label,
                    "generator": "none" if label == "real" else ("lamp" if n > 10 else "torch"),
                    "source": "home",
                    "split": "test",
                    "group": f"g{n}",
                    "sha256": hashlib.sha256(place.read_bytes()).hexdigest(),
                }
            )
        (tmp_path / "twin.png").write_bytes((tmp_path / "0.png").read_bytes())
        pl.DataFrame(case.rows(rows)).write_csv(tmp_path / "m.csv")
        sha256 = "" if case.refused else read_manifest(tmp_path / "m.csv").sha256
        spec = tiny_spec.model_copy(update=case.spec(tiny_spec, sha256))
        return write_bundle(tmp_path / "bundle", spec, tiny_files).folder, tmp_path / "m.csv"

    return write


@pytest.mark.usefixtures("quick_charts")
@pytest.mark.parametrize("name", CASES)
def test_it_is_shown_or_refused_everywhere(name, written, tmp_path, monkeypatch, capfd):
    case = CASES[name]
    bundle, manifest = written(case)
    if case.nan:
        monkeypatch.setattr(Detector, "logits", lambda self, inputs: np.full(len(inputs), np.nan))

    def run(*words: object) -> tuple[int, str]:
        given = ["faceproof", *words, "-d", bundle, "--data", manifest, "--faces", "whole"]
        monkeypatch.setattr(sys, "argv", [*map(str, given), *case.options])
        with pytest.raises(SystemExit) as stop:
            main()
        return int(stop.value.code or 0), capfd.readouterr().err

    code, told = run("evaluate", "-o", tmp_path / "e", "--resamples", "100")
    audited, told_too = run("audit", "-o", tmp_path / "a", "--only", "generators")
    if case.refused:
        assert code
        assert audited
        assert all(words in _flat(text) for words in case.words for text in (told, told_too))
        assert not (tmp_path / "e" / "evaluation.json").exists()
        assert not (tmp_path / "a" / "generators.json").exists()
        return
    evaluation = Evaluation.read(tmp_path / "e" / "evaluation.json")
    page = html.unescape((tmp_path / "e" / "report.html").read_text(encoding="utf-8"))
    kept = " ".join((*evaluation.cautions, *(one.caution or "" for one in evaluation.findings)))
    for words in case.words:
        assert words in _flat(told), "terminal"
        assert words in kept, "evaluation.json"
        assert words in _flat(page), "page"
    result = AuditResult.read(tmp_path / "a" / "generators.json")
    for words in case.in_audit or case.words:
        assert words in " ".join(result.cautions), "audit JSON"
        assert words in _flat(told_too), "terminal of the audit"


def _flat(text: str) -> str:
    """Return text in one line, without markup."""
    plain = text.replace("<code>", "`").replace("</code>", "`")
    return " ".join(plain.split())


def test_the_warnings_are_kept_with_the_predictions(written, tmp_path):
    from faceproof.evaluation.evaluate import evaluate, evaluate_predictions

    bundle, manifest = written(CASES["other rows of a source of the training"])
    first = evaluate(bundle, manifest, faces="whole", output=tmp_path / "e", resamples=100)
    again = evaluate_predictions(tmp_path / "e" / "predictions.parquet", resamples=100)
    assert again.cautions == first.cautions
    assert any("POSSIBLE LEAK" in one for one in again.cautions)
