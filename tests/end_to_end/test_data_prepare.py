"""faceproof data prepare as its users meet it: what is printed where, exit codes, broken runs."""

from __future__ import annotations

import hashlib
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pytest
from skimage import data

from faceproof.cli import main
from faceproof.data.manifest import Manifest, Row
from faceproof.data.manifest_files import read_manifest, write_manifest
from faceproof.data.preparing import PreparationRecord
from faceproof.detector import detector as detector_module
from faceproof.imaging.degradations import encode_jpeg
from faceproof.imaging.preprocessing import CropSpec

COMMAND = (sys.executable, "-c", "from faceproof.cli import main; main()", "data", "prepare")


class Answer(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def prepare(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., Answer]:
    """Run the command in this process."""

    def run(*arguments: str | Path) -> Answer:
        monkeypatch.setattr(sys, "argv", ["faceproof", "data", "prepare", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            main()
        return Answer(int(stop.value.code or 0), *capfd.readouterr())

    return run


def portrait(seed: int, side: int) -> np.ndarray:
    """Return the astronaut's head, each seed another picture."""
    left, top = (int(n) for n in np.random.default_rng(seed).integers(0, 30, 2))
    head = data.astronaut()[top : top + 230, 100 + left : 330 + left]
    return cv2.resize(head, (side, side), interpolation=cv2.INTER_AREA)


def make_manifest(folder: Path, count: int, *, name: str = "m", split: str = "train") -> Path:
    """Write heads, every second one fake and larger, and return their manifest."""
    rows = []
    for number in range(count):
        fake = number % 2 == 1
        pixels = portrait(number, 200 if fake else 150)
        content = encode_jpeg(pixels, 95 if fake else 70 + number % 20)
        path = f"{name}/{number}.jpg"
        (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
        digest = hashlib.sha256(content + str(number).encode()).hexdigest()
        sha256 = hashlib.sha256(content).hexdigest()
        kinds = ("fake", "stylegan") if fake else ("real", "none")
        rows.append(Row(path, *kinds, name, digest, sha256, split))
    write_manifest(Manifest(rows, root=folder), folder / f"{name}.parquet")
    return folder / f"{name}.parquet"


def contents(folder: Path) -> dict[str, bytes]:
    """Return every file of a folder."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_a_whole_run_equalised_weighted_sharded_and_probed(prepare, tmp_path):
    manifest = make_manifest(tmp_path, 40)
    answer = prepare(
        *(manifest, "-o", tmp_path / "out", "--equalise", "--balance", "class,generator"),
        *("--shards", "webdataset", "--shard-size", "25"),
    )
    assert answer.code == 0
    assert answer.out == f"{tmp_path / 'out' / 'manifest.parquet'}\n"
    lines = answer.err.splitlines()
    assert lines[0] == "common side of faces: 61 px"
    assert "40 rows: 40 prepared (20 real, 20 fake)" in lines
    made = PreparationRecord.read(tmp_path / "out" / "prepare.json")
    assert made.probe_before
    assert made.probe_after
    assert made.probe_before.auc > 0.9
    assert made.probe_after.auc < made.probe_before.auc
    (dimensions,) = [line for line in lines if line.startswith("  dimensions ")]
    assert dimensions.endswith("the same for all")
    assert sorted(path.name for path in (tmp_path / "out" / "shards").iterdir()) == [
        *("shards.json", "train-000000.tar", "train-000001.tar"),
    ]
    assert "\x1b" not in answer.out + answer.err


def test_several_manifests_become_one_set(prepare, tmp_path):
    first = make_manifest(tmp_path, 2, name="one")
    second = make_manifest(tmp_path / "deep", 3, name="two", split="")
    answer = prepare(first, second, "-o", tmp_path / "out", "--no-probe", "--balance", "source")
    made = read_manifest(tmp_path / "out" / "manifest.parquet")
    assert answer.code == 0
    assert made.table["source"].to_list() == ["one", "one", "two", "two", "two"]
    assert made.table["origin"][4] == "deep/two/2.jpg"
    assert "weights in train: " not in answer.err


def test_a_set_without_splits_is_prepared_and_told(prepare, tmp_path):
    answer = prepare(make_manifest(tmp_path, 2, split=""), "-o", tmp_path / "out", "--no-probe")
    assert answer.code == 0
    assert answer.err.startswith("no row has a split yet: `faceproof data split`")


def test_what_cannot_be_read_ends_in_1_and_what_has_no_face_in_0(prepare, tmp_path):
    manifest = make_manifest(tmp_path, 2)
    (tmp_path / "m" / "0.jpg").unlink()
    answer = prepare(manifest, "-o", tmp_path / "out", "--no-probe")
    assert answer.code == 1
    assert "2 rows: 1 prepared (0 real, 1 fake); excluded: 1 source_not_found" in answer.err
    cup = encode_jpeg(data.coffee()[:200, :300], 90)
    (tmp_path / "cup.jpg").write_bytes(cup)
    rows = [Row("cup.jpg", "real", "none", "s", "g", hashlib.sha256(cup).hexdigest())]
    write_manifest(Manifest(rows, root=tmp_path), tmp_path / "cup.csv")
    answer = prepare(tmp_path / "cup.csv", "-o", tmp_path / "none", "--no-probe")
    assert answer.code == 0
    assert "1 rows: 0 prepared (0 real, 0 fake); excluded: 1 no_face" in answer.err


def test_a_detectors_crop_is_taken_as_it_is(prepare, tmp_path, tiny_bundle, monkeypatch):
    (tmp_path / "embedded").mkdir()
    tiny_bundle.rename(tmp_path / "embedded" / "default")
    monkeypatch.setattr(detector_module, "EMBEDDED", tmp_path / "embedded")
    manifest = make_manifest(tmp_path, 1)
    for number, name in enumerate(("default", tmp_path / "embedded" / "default")):
        out = tmp_path / f"out{number}"
        answer = prepare(manifest, "-o", out, "--detector", name, "--no-probe")
        assert answer.code == 0
        spec = PreparationRecord.read(out / "prepare.json").spec
        assert spec.crop == CropSpec(size=32, margin=0.0, fill=(0, 0, 0))
    answer = prepare(manifest, "-o", tmp_path / "x", "--detector", "defualt")
    assert answer.code == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            "--detector default --size 256",
            "--size conflicts with --detector: leave --size out",
        ),
        ("--keep picture --margin 0.1", "--margin is for crops: leave it out with --keep picture"),
        ("--keep picture --format png", "--format is for crops"),
        ("--keep nose", "--keep 'nose': Input should be 'crop', 'picture' or 'face'"),
        ("--format bmp", "--format 'bmp': Input should be 'png', 'webp' or 'jpeg'"),
        ("--size 8", "--size 8: Input should be greater than or equal to 16"),
        ("--margin 3", "--margin 3.0: Input should be less than or equal to 1"),
        ("--equalise-side 200", "--equalise-side requires --equalise: add it"),
        ("--quality 70-95", "--quality requires --equalise: add it"),
        ("--equalise --quality 70", "--quality '70': write two JPEG qualities, as in 70-95"),
        ("--equalise --quality 95-70", "the lower quality must come first"),
        ("--equalise --quality 0-70", "--quality 0: Input should be greater than or equal to 1"),
        ("--equalise --equalise-side 8", "--equalise-side 8: Input should be greater than"),
        ("--balance clas", "unknown --balance 'clas', did you mean 'class'?"),
        ("--shards tar", "unknown --shards 'tar'"),
        ("--shards parquet --shard-size 1.5GB", "shard size '1.5GB': use 512MB"),
        ("--shard-size 1GB", "--shard-size requires --shards: add --shards"),
    ],
)
def test_wrong_usage_is_told_before_anything_is_written(prepare, tmp_path, arguments, message):
    manifest = make_manifest(tmp_path, 1)
    answer = prepare(manifest, "-o", tmp_path / "out", *arguments.split())
    assert answer.code == 2
    assert message in answer.err
    assert not (tmp_path / "out").exists()


def wait_for(holds: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    """Return as soon as something holds of a running process."""
    end = time.monotonic() + 60
    while not holds():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.005)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_stopped_run_goes_on_where_it_was(tmp_path, prepare, number):
    """Killed or interrupted: at the end every byte is that of an unbroken run."""
    manifest, out = make_manifest(tmp_path, 90), tmp_path / "out"
    options = ("--workers", "2", "--no-probe", "--shards", "parquet", "--equalise")
    process = subprocess.Popen(
        [*COMMAND, str(manifest), "-o", str(out), *options], stderr=subprocess.PIPE
    )
    journal = out / "journal.jsonl"
    wait_for(lambda: journal.exists() and journal.read_bytes().count(b"\n") > 5, process)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    lines = journal.read_bytes().count(b"\n")
    assert 5 < lines < 91
    assert not (out / "prepare.json").exists()
    if number == signal.SIGINT:
        assert process.returncode == 130
        assert b"run the same command again to resume" in err
    answer = prepare(manifest, "-o", out, *options)
    assert answer.code == 0
    assert f"{lines - 1} of 90 rows were finished before" in answer.err
    assert prepare(manifest, "-o", tmp_path / "unbroken", *options).code == 0
    assert contents(out) == contents(tmp_path / "unbroken")
