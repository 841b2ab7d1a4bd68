"""`faceproof train combine` from folders to a folder, beside `faceproof train RECIPE.toml`."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from skimage import data
from typer.testing import CliRunner

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.train

from faceproof.cli import app  # noqa: E402
from faceproof.data.manifest import Manifest, Row  # noqa: E402
from faceproof.data.manifest_files import read_manifest, write_manifest  # noqa: E402
from faceproof.detector import Detector, DetectorSpec, write_bundle  # noqa: E402
from faceproof.imaging.degradations import encode_jpeg  # noqa: E402
from faceproof.imaging.preprocessing import InputSpec, Preprocessing  # noqa: E402
from faceproof.training import combine as combining  # noqa: E402

#: Real and fake faces: as few as a promise of one false alarm in five takes.
COUNTS = {"calibration": (14, 59), "test": (6, 6)}
OPTIONS = ("--budget", "0.2", "--condition", "clean")


def faceproof(*arguments: object):
    """Run the command line in this process."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def face(number: int, *, is_fake: bool) -> bytes:
    """Return a small portrait as JPEG; a fake has more red and more blue, each by its own luck."""
    rng = np.random.default_rng(number)
    left, top = 110 + rng.integers(0, 30), 10 + rng.integers(0, 30)
    head = data.astronaut()[top : top + 190, left : left + 190]
    small = cv2.resize(head, (96, 96), interpolation=cv2.INTER_AREA) * 0.8
    red, blue = rng.normal(30 if is_fake else -10, 12, 2)
    return encode_jpeg((small + np.array([red, 0, blue])).clip(0, 255).astype(np.uint8), 92)


@pytest.fixture(scope="module")
def set_of_faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A manifest of calibration and test faces, with their pictures beside it."""
    folder, rows = tmp_path_factory.mktemp("faces"), []
    for split, counts in COUNTS.items():
        for label, count in zip(("real", "fake"), counts, strict=True):
            for _ in range(count):
                content, name = face(len(rows), is_fake=label == "fake"), f"{len(rows):03}.jpg"
                (folder / name).write_bytes(content)
                generator = "none" if label == "real" else "blush"
                digest = hashlib.sha256(content).hexdigest()
                rows.append(Row(name, label, generator, "mini", name, digest, split))
    write_manifest(Manifest(rows, root=folder), folder / "set.parquet")
    return folder / "set.parquet"


def detector(
    folder: Path,
    spec: DetectorSpec,
    files: dict[str, bytes],
    manifest: Manifest,
    *,
    std: tuple[float, float, float],
) -> Path:
    """Write a detector to which one colour counts more than the others, by its normalisation."""
    trained = spec.trained_on.model_copy(update={"data_sha256": manifest.sha256})
    reads = Preprocessing(
        crop=spec.preprocessing.crop, input=InputSpec(mean=(0.5, 0.5, 0.5), std=std)
    )
    own = spec.model_copy(
        update={"name": folder.name, "trained_on": trained, "preprocessing": reads}
    )
    return write_bundle(folder, own, files).folder


@pytest.fixture
def pair(
    tmp_path: Path, tiny_spec: DetectorSpec, tiny_files: dict[str, bytes], set_of_faces: Path
) -> tuple[Path, Path]:
    """Two detectors: one looks at red, the other at blue."""
    manifest = read_manifest(set_of_faces)
    stds = {"red": (0.1, 1.0, 1.0), "blue": (1.0, 1.0, 0.1)}
    red, blue = (
        detector(tmp_path / name, tiny_spec, tiny_files, manifest, std=std)
        for name, std in stds.items()
    )
    return red, blue


def test_from_two_folders_to_one(pair, set_of_faces, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    command = ("train", "combine", *pair, "--data", set_of_faces, "-o", "both", *OPTIONS)
    result = faceproof(*command)
    assert result.exit_code == 0, result.output
    assert result.stdout == "both\n"
    assert "calibration: bright, bright-2 on clean" in result.stderr
    assert "weights (" in result.stderr

    whole = Detector.load(tmp_path / "both")
    assert [member.name for member in whole.spec.members] == ["bright", "bright-2"]
    assert whole.spec.name == "both"
    assert whole.spec.default_operating_point == "1-in-5"
    actual = json.loads((tmp_path / "both" / "detector.json").read_text(encoding="utf-8"))
    (auc,) = [f for f in actual["results"] if (f["metric"], f["slice"]) == ("roc_auc", "all")]
    assert auc["n"] == sum(COUNTS["test"])
    assert auc["value"] > 0.9
    card = (tmp_path / "both" / "CARD.md").read_text(encoding="utf-8")
    assert "| bright-2 |" in card
    assert "faceproof train combine red blue --data set.parquet --output both" in card

    monkeypatch.setattr(combining, "predict_with_all", None)
    again = faceproof(*command)
    assert again.exit_code == 0, again.output  # by the answers in runs/both


def test_what_it_makes_checks_pictures(pair, set_of_faces, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    faceproof("train", "combine", *pair, "--data", set_of_faces, "-o", "both", *OPTIONS)
    result = faceproof("check", "--detector", "both", "--format", "json", set_of_faces.parent)
    verdicts = [one["verdict"] for one in json.loads(result.stdout)]
    assert {"real", "fake"} <= set(verdicts)


class TestUsage:
    def test_help_shows_the_recipe_and_the_verb(self):
        shown = faceproof("train", "--help").output
        for part in ("RECIPE.toml", "--set", "--output", "combine"):
            assert part in shown

    @pytest.mark.parametrize(
        "arguments",
        [("./combine",), ("--set", "seed=1", "combine"), ("COMBINE",), ("combin",)],
    )
    def test_what_is_not_the_verb_is_a_recipe(self, arguments, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        result = faceproof("train", *arguments)
        assert result.exit_code == 2
        assert "cannot be read as a recipe" in result.stderr

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ((), "RECIPE.toml"),
            (("a.toml", "b.toml"), "unexpected extra argument"),
            (("combine",), "DETECTOR"),
            (("combine", "a", "b"), "--output"),
            (("combine", "a", "b", "-o", "c", "--data", "none"), "--data none does not exist"),
            (("combine", "a", "b", "-o", "no name"), "--name 'no name'"),
            (("combine", "a", "b", "-o", "c", "--budget", "2"), "--budget"),
            (("combine", "a", "b", "-o", "c", "--condition", "jpeg-6"), "--condition"),
        ],
    )
    def test_wrong_usage_says_what_is_wrong(self, arguments, message, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        result = faceproof("train", *arguments)
        assert result.exit_code == 2
        assert message in result.output

    def test_no_such_detector(self, set_of_faces, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        result = faceproof("train", "combine", "a", "b", "--data", set_of_faces, "-o", "c")
        assert result.exit_code == 2
        assert "no detector 'a'" in result.stderr
