"""``check --stability``: in every format, for what has a face, and only when asked for."""

from __future__ import annotations

import csv
import io
import json
import sys
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from skimage import data

from faceproof import Checker, Detector, audits
from faceproof.cli import main, stability
from faceproof.results import CheckResult

TWO = ("jpeg-75", "brightness-0.6")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with a face that the tiny detector calls fake, and a wall."""
    face = cv2.convertScaleAbs(data.astronaut()[:320, 60:380], alpha=1.6)
    (tmp_path / "in").mkdir()
    Image.fromarray(face).save(tmp_path / "in" / "face.png")
    Image.new("RGB", (64, 64), "grey").save(tmp_path / "in" / "wall.webp")
    return tmp_path / "in"


@pytest.fixture
def two(monkeypatch: pytest.MonkeyPatch) -> None:
    """Check two copies only, where a test is not about their number."""
    monkeypatch.setattr(audits, "check_resaved", partial(audits.check_resaved, conditions=TWO))


@pytest.fixture
def check(monkeypatch, capfd, tiny_bundle):
    def check(*words: object) -> tuple[int, str, str]:
        words = ("check", "--detector", tiny_bundle, *words)
        monkeypatch.setattr(sys, "argv", ["faceproof", *map(str, words)])
        with pytest.raises(SystemExit) as stop:
            main()
        return int(stop.value.code or 0), *capfd.readouterr()

    return check


def test_the_table_counts_the_copies_with_the_same_verdict(check, folder):
    code, out, _ = check(folder, "--stability")
    assert code == 0
    face, wall = out.splitlines()[1:]
    assert " fake " in face
    assert "of 24 copies" in face
    assert "copies" not in wall


@pytest.mark.usefixtures("two")
def test_json_has_the_answer_on_every_copy_and_only_when_asked_for(check, folder):
    asked = ("--format", "jsonl")
    lines = [json.loads(line) for line in check(folder, "--stability", *asked)[1].splitlines()]
    assert [one["condition"] for one in lines[0]["resaved"]] == list(TWO)
    assert {one["verdict"] for one in lines[0]["resaved"]} == {"fake", "real"}
    assert "resaved" not in lines[1]
    assert "resaved" not in check(folder, *asked)[1]
    result = CheckResult.model_validate(lines[0])
    assert len(result.at(Detector.load("default").operating_point(None)).resaved) == 2


@pytest.mark.usefixtures("two")
def test_csv_counts_the_copies(check, folder):
    _, out, _ = check(folder, "--stability", "--format", "csv")
    face, wall = csv.DictReader(io.StringIO(out))
    assert (face["copies"], face["copies_same_verdict"]) == ("2", "1")
    assert (wall["copies"], wall["copies_same_verdict"]) == ("", "")


@pytest.mark.usefixtures("two")
def test_a_file_that_changed_since_is_stated_and_has_no_copies(folder, tiny_bundle, capfd):
    checker = Checker(Detector.load(tiny_bundle))
    found = stability.StabilityCheck(checker)
    sources = list(found.record_sources([folder / "face.png"] * 2))
    results = list(checker.check_many(sources))
    assert len(found.add(results[0]).resaved) == 2
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(folder / "face.png")
    assert found.add(results[1]) == results[1]
    assert "changed since it was judged: not saved again" in capfd.readouterr().err
