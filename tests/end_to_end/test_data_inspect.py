"""`faceproof data inspect` as its users meet it: what is printed where, and the exit code."""

from __future__ import annotations

import hashlib
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import polars as pl
import pytest
from PIL import Image
from skimage import data

from faceproof.cli import main
from faceproof.data.inspection.record import Inspection


class Answer(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def run(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., Answer]:
    """Run the command in this process."""

    def run(*arguments: object) -> Answer:
        words = [str(argument) for argument in arguments]
        monkeypatch.setattr(sys, "argv", ["faceproof", "data", "inspect", *words])
        with pytest.raises(SystemExit) as stop:
            main()
        return Answer(int(stop.value.code or 0), *capfd.readouterr())

    return run


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """Eight pictures: sound, but for a file that stands in train and in test."""
    face = Image.fromarray(data.astronaut()[:256, 90:346])
    rows = []
    for n in range(8):
        name = f"{('real', 'fake')[n % 2]} & <{n}>.jpg"
        file = io.BytesIO()
        face.rotate(n if n < 6 else n - 6).save(file, "JPEG", quality=80)
        (tmp_path / name).write_bytes(file.getvalue())
        rows.append(
            {
                "path": name,
                "label": ("real", "fake")[n % 2],
                "generator": ("none", "faceswap")[n % 2],
                "source": "home",
                "split": "train" if n < 4 else "test",
                "group": f"g{n}",
                "sha256": hashlib.sha256(file.getvalue()).hexdigest(),
                "phash": hashlib.sha256(f"{n}".encode()).hexdigest(),
            }
        )
    pl.DataFrame(rows).write_parquet(tmp_path / "m.parquet")
    return tmp_path / "m.parquet"


def test_faults_are_printed_with_examples_and_what_to_do(run, manifest):
    code, out, err = run(manifest)
    assert code == 0
    lines = out.splitlines()
    assert lines[0].split()[:3] == ["error", "leak", "2"]
    assert "row 1 (real & <0>.jpg) and row 7 (real & <6>.jpg): the same file" in out
    assert "-> Split again with `faceproof data split`" in out
    assert out.count("the same file") == 2
    assert "8 rows, 8 pictures opened; 1 error, 0 warnings, 0 notes" in err


def test_json_is_the_record(run, manifest):
    code, out, _ = run(manifest, "--format", "json")
    assert code == 0
    assert json.loads(out)["schema"] == "faceproof.inspection/1"
    found = Inspection.model_validate_json(out)
    assert found.manifests[0].sha256 == hashlib.sha256(manifest.read_bytes()).hexdigest()
    assert (found.rows, found.sample.n) == (8, 8)


@pytest.mark.parametrize(
    ("words", "code"),
    [("leak", 3), ("conflict,leak", 3), ("error", 3), ("any", 3), ("conflict", 0), ("group", 0)],
)
def test_fail_on_decides_the_exit_code(run, manifest, words, code):
    assert run(manifest, "--no-pictures", "--fail-on", words).code == code


def test_a_picture_that_is_gone_is_told_of_in_the_exit_code(run, manifest):
    (manifest.parent / "fake & <1>.jpg").unlink()
    code, out, _ = run(manifest)
    assert code == 1
    assert "row 2 (fake & <1>.jpg): no such file" in out
    assert run(manifest, "--fail-on", "missing").code == 3
    assert run(manifest, "--no-pictures").code == 0


def test_the_report_shows_the_pictures(run, manifest, tmp_path):
    page = tmp_path / "report.html"
    code, out, err = run(manifest, "--report", page, "--format", "json")
    assert code == 0
    *_, written, following = err.splitlines()
    assert written == f"report: {page}"
    assert following == f"next: faceproof data prepare {manifest} -o {tmp_path / 'prepared'}"
    html = page.read_text(encoding="utf-8")
    sheets = Inspection.model_validate_json(out).sheets
    assert html.count("data:image/webp;base64,") == sum(len(sheet.tiles) for sheet in sheets) > 8
    assert "real &amp; &lt;0&gt;.jpg" in html
    assert "<0>" not in html


def test_the_data_folder_can_be_named(run, manifest, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    moved = manifest.rename(elsewhere / "m.parquet")
    assert run(moved).code == 1
    assert run(moved, "--root", tmp_path).code == 0


def test_other_manifests_are_searched_for_leaks(run, manifest, tmp_path):
    table = pl.read_parquet(manifest)
    table[:4].write_parquet(tmp_path / "train.parquet")
    table[6:].write_csv(tmp_path / "test.csv")
    code, out, _ = run(
        tmp_path / "test.csv", "--against", tmp_path / "train.parquet", "--no-pictures"
    )
    assert code == 0
    assert f"row 1 of {tmp_path / 'test.csv'} (real & <6>.jpg)" in out
    assert f"row 1 of {tmp_path / 'train.parquet'} (real & <0>.jpg): the same file" in out


def test_several_manifests_are_one_set(run, manifest, tmp_path):
    table = pl.read_parquet(manifest)
    parts = [tmp_path / "a.parquet", tmp_path / "b.parquet"]
    table[:4].write_parquet(parts[0])
    table[4:].write_parquet(parts[1])
    answer = run(*parts, "--no-pictures", "--fail-on", "leak")
    assert answer.code == 3
    assert "8 rows, no picture opened" in answer.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--fail-on", "leek"], "unknown fault 'leek', did you mean 'leak'"),
        (["--format", "tabel"], "did you mean 'table'"),
        (["--report", "no/such/folder/r.html"], "does not exist; make it first"),
        (["--near-bits", "65"], "less than or equal to 64"),
    ],
)
def test_wrong_usage_is_refused_before_any_work(run, manifest, words, message):
    code, out, err = run(manifest, *words)
    assert (code, out) == (2, "")
    assert message in err


def test_a_file_that_is_no_manifest_is_refused(run, tmp_path):
    (tmp_path / "m.csv").write_text("path,label\na.jpg,real\n")
    code, _, err = run(tmp_path / "m.csv")
    assert code == 1
    assert "lacks the columns generator, source, group, sha256, split" in err
