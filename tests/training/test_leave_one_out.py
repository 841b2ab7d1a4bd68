"""`faceproof train leave-one-out` on drawn faces: what each training reads, and resuming."""

from __future__ import annotations

import hashlib
import json
import signal
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from skimage import data
from typer.testing import CliRunner

torch = pytest.importorskip("torch")
pytest.importorskip("lightning_fabric")
pytestmark = pytest.mark.train

from faceproof.cli import app  # noqa: E402
from faceproof.data.manifest import Manifest, Row  # noqa: E402
from faceproof.data.preparing import FinishSpec, PicturesSpec, prepare_manifest  # noqa: E402
from faceproof.detector import Detector  # noqa: E402
from faceproof.detector.bundle import round_to_stored  # noqa: E402
from faceproof.errors import TrainingError, UsageError  # noqa: E402
from faceproof.evaluation import predict as predicting  # noqa: E402
from faceproof.evaluation.audit_result import AuditResult  # noqa: E402
from faceproof.evaluation.predictions import read_table  # noqa: E402
from faceproof.imaging.degradations import encode_jpeg  # noqa: E402
from faceproof.training.leave_one_out.leave_one_out import (  # noqa: E402
    LeftOutRun,
    leave_one_out,
    plan_leave_one_out,
)
from faceproof.training.recipe import read_recipe  # noqa: E402
from faceproof.training.run.snapshots import (  # noqa: E402
    Snapshot,
    kept_snapshot,
    read_snapshots,
    write_snapshot,
)
from faceproof.training.stream import PreparedPictures  # noqa: E402

#: How many faces of each kind a split has: generator, source and number.
KINDS = {
    "train": (("none", "home", 8), ("none", "away", 4), ("blush", "home", 5), ("Blush", "away", 4)),
    "validation": (("none", "home", 4), ("none", "away", 2), ("blush", "home", 2)),
    "calibration": (("none", "home", 14), ("none", "away", 2), ("Blush", "away", 14)),
    "test": (("none", "home", 4), ("none", "away", 3), ("blush", "home", 3), ("Blush", "away", 2)),
}
CHILL = {"train": 8, "validation": 4, "calibration": 14, "test": 5}
TINTS = {
    "none": ((1.0, 1.0, 1.0), (0, 0, 0)),
    "blush": ((1.0, 0.6, 0.6), (40, 0, 0)),
    "chill": ((0.6, 0.6, 1.0), (0, 0, 40)),
}
RECIPE = """
seed = 3
data = {{ prepared = "{prepared}", licence = "MIT" }}
device = {{ accelerator = "cpu", precision = "32-true", loader_workers = 0, threads = 1 }}
calibration = {{ conditions = ["clean"], budgets = [0.2] }}
export = {{ name = "mini", version = "1.0", conditions = ["clean", "grey"] }}
[network]
name = "test_efficientnet_ln"
head = {{ hidden = 8 }}
preprocessing.crop = {{ size = 32 }}
batch_norm_pictures = 16
[schedule]
steps = 6
batch_size = 8
head_first_steps = 1
warmup_steps = 2
validate_steps = 2
validation_pictures = 12
checkpoint_steps = 2
[optimizer]
learning_rate = 3e-3
backbone_factor = 1.0
average_decay = 0.8
"""


def face(number: int, generator: str) -> np.ndarray:
    """Return a small portrait, uint8 [96, 96, 3]; a fake has a tint all over."""
    rng = np.random.default_rng(number)
    left, top = 110 + rng.integers(0, 30), 10 + rng.integers(0, 30)
    head = data.astronaut()[top : top + 190, left : left + 190]
    small = cv2.resize(head, (96, 96), interpolation=cv2.INTER_AREA).astype(float)
    factor, more = TINTS[generator.lower()]
    small = (small * rng.uniform(0.75, 1.0) + rng.normal(0, 3, small.shape)) * factor + more
    return small.clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The recipe of a prepared set with two generators, one of them in two sources."""
    raw, prepared = tmp_path_factory.mktemp("raw"), tmp_path_factory.mktemp("prepared")
    rows: list[Row] = []
    for split, kinds in KINDS.items():
        for generator, source, count in (*kinds, ("chill", "home", CHILL[split])):
            for _ in range(count):
                name, content = f"{len(rows):03}.jpg", encode_jpeg(face(len(rows), generator), 92)
                (raw / name).write_bytes(content)
                label = "real" if generator == "none" else "fake"
                digest = hashlib.sha256(content).hexdigest()
                rows.append(Row(name, label, generator, source, name, digest, split))
    found = prepare_manifest(
        Manifest(tuple(rows), root=raw),
        prepared,
        PicturesSpec(keep="picture"),
        finish=FinishSpec(probe=False),
    )
    assert found.problems == {}
    path = prepared / "recipe.toml"
    path.write_text(RECIPE.format(prepared=prepared.as_posix()), encoding="utf-8")
    return path


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def faceproof(*words: object):
    return CliRunner().invoke(app, ["train", "leave-one-out", *map(str, words)])


class TestPlan:
    def test_a_dry_run_prints_rows_and_steps_and_writes_nothing(self, recipe, tmp_path):
        result = faceproof(recipe, "-o", tmp_path / "out", "--dry-run")
        assert result.exit_code == 0, result.output
        head, *rows = result.stdout.splitlines()
        assert head.split()[-4:] == ["removed", "steps", "checkpoints", "state"]
        blush = next(row for row in rows if row.startswith("generator blush")).split("  ")
        cells = [cell.strip() for cell in blush if cell.strip()]
        # chill stays: 8 + 4 + 14 fakes; removed are 9 + 2 + 14 fakes of blush.
        assert cells == [
            *("generator blush", "12 + 8", "6 + 4", "16 + 14", "7 + 5", "25", "6", "3", "to do")
        ]
        assert rows[-1].startswith("2 trainings to run, 96 faces in all")
        assert not (tmp_path / "out").exists()

    @pytest.mark.parametrize(
        ("words", "code", "message"),
        [
            (("--generator", "blsh"), 2, "did you mean 'blush'"),
            (("--set", "schedule.validate_steps=6"), 1, "there is no choice of a checkpoint"),
            (("--set", "device.devices=2"), 1, "set device.devices = 1"),
            (("--set", "schedule.snapshot=true"), 2, "did you mean 'snapshots'"),
            (("--format", "page"), 2, "unknown format"),
        ],
    )
    def test_what_cannot_be_done_is_refused_first(self, recipe, tmp_path, words, code, message):
        result = faceproof(recipe, "-o", tmp_path / "out", *words)
        assert result.exit_code == code, result.output
        assert message in result.stderr
        assert not (tmp_path / "out").exists()

    def test_a_folder_of_something_else_or_another_recipe_is_refused(
        self, recipe, tmp_path, monkeypatch
    ):
        (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
        with pytest.raises(UsageError, match="is not empty"):
            leave_one_out(recipe, tmp_path)
        refused = ("calibration.budgets=[0.01]",)
        with pytest.raises(TrainingError, match=r"without the generator blush: .*calibration has"):
            leave_one_out(recipe, tmp_path / "out", overrides=refused)
        with pytest.raises(UsageError, match=r"another recipe \(calibration.budgets, seed differs"):
            leave_one_out(recipe, tmp_path / "out", overrides=("seed=4",))


def validated(auc: float, loss: float) -> dict[str, float]:
    """What a validation measured."""
    return {"validation_auc": auc, "validation_accuracy": 0.5, "validation_loss": loss}


class TestSnapshots:
    def test_the_kept_one_is_chosen_by_validation_and_ties_go_to_the_lowest_loss(self):
        found = ((2, 0.8, 0.1), (4, 0.9, 0.6), (6, 0.9, 0.4), (8, 0.9, 0.4), (10, 0.9, 0.5))
        taken = [Snapshot(Path(), *one) for one in found]
        assert kept_snapshot(taken, "best").step == 6
        assert kept_snapshot(taken, "last").step == 10

    def test_they_state_step_and_score_exactly(self, tmp_path):
        weights = {"a": torch.tensor([[1 / 3, 2.0]]), "n": torch.tensor(7)}
        for step in (200, 1000):
            write_snapshot(tmp_path, step, weights, validated(1 / 3, 2 / 3))
        first, second = read_snapshots(tmp_path)
        assert (first.step, second.step) == (200, 1000)
        assert (second.validation_auc, second.validation_loss) == (1 / 3, 2 / 3)
        assert first.path.name == "step-0000200.safetensors"

    def test_a_damaged_one_is_an_error(self, tmp_path):
        write_snapshot(tmp_path, 2, {"a": torch.zeros(2)}, validated(0.5, 0.7))
        (snapshot,) = read_snapshots(tmp_path)
        snapshot.path.write_bytes(snapshot.read()[:20])
        with pytest.raises(TrainingError, match="is damaged"):
            read_snapshots(tmp_path)


@pytest.fixture
def read_rows(monkeypatch) -> dict[str, list[Row]]:
    """The rows whose pictures are read: in training and validation, and for predictions."""
    seen: dict[str, list[Row]] = {"learned": [], "judged": []}
    file, faces = PreparedPictures._file, predicting.read_faces

    def learn(self, index: int) -> bytes:
        seen["learned"].append(self.rows[index])
        return file(self, index)

    def judge(root, find, preprocessing, names, picture, **more):
        seen["judged"] += picture
        return faces(root, find, preprocessing, names, picture, **more)

    monkeypatch.setattr(PreparedPictures, "_file", learn)
    monkeypatch.setattr(predicting, "read_faces", judge)
    return seen


@pytest.mark.slow
def test_no_picture_of_what_is_left_out_is_read_before_the_test(recipe, tmp_path, read_rows):
    """The actual pictures: those of each batch, each validation, and of the calibration."""
    result = leave_one_out(recipe, tmp_path, generators=["blush"])
    learned, judged = read_rows["learned"], read_rows["judged"]
    assert {row.split for row in learned} == {"train", "validation"}
    assert {row.generator for row in learned} == {"none", "chill"}
    assert {row.source for row in learned} == {"home", "away"}
    by_split = {split: {row.generator for row in judged if row.split == split} for split in KINDS}
    assert by_split["calibration"] == {"none", "chill"}
    assert by_split["test"] == {"none", "blush", "Blush"}
    figures = result.table("leave-one-out").frame().to_dicts()
    assert [(one["left_out"], one["condition"]) for one in figures] == [
        *(("blush", "clean"), ("blush", "grey"), ("mean", "clean"), ("mean", "grey"))
    ]
    assert (figures[0]["fakes"], figures[0]["reals"], figures[0]["no_verdict"]) == (5, 7, 0)
    assert figures[0]["roc_auc"] == figures[2]["roc_auc"]
    read_rows["learned"].clear()
    away = leave_one_out(recipe, tmp_path, sources=["away"])
    assert {row.source for row in read_rows["learned"]} == {"home"}
    row = away.table("leave-one-out").frame().row(0, named=True)
    assert (row["left_out"], row["fakes"], row["reals"]) == ("away", 2, 3)
    assert row["bpcer"] is not None
    assert "Trained without the source away" in away.answer


KILLED = """
import os, signal, sys
from faceproof.training.leave_one_out.leave_one_out import leave_one_out
def watch(text):
    watch.number += text.startswith("step 4: validation")
    if watch.number == 2:
        os.kill(os.getpid(), signal.SIGKILL)
watch.number = 0
leave_one_out(sys.argv[1], sys.argv[2], progress=watch)
"""


@pytest.mark.slow
def test_killed_in_the_second_training_it_resumes_there(recipe, tmp_path, python):
    out = tmp_path / "out"
    process = python(KILLED, recipe, out)
    _, errors = process.communicate(timeout=500)
    assert process.returncode == -signal.SIGKILL, errors
    first, second = out / "generator-blush", out / "generator-chill"
    assert (first / "left-out.json").is_file()
    assert torch.load(second / "last.pt", weights_only=True)["step"] == 2
    assert not (out / "leave-one-out.json").exists()
    states = [one.state for one in plan_leave_one_out(read_recipe(recipe), out)]
    assert states == ["done", "started"]
    before = (first / "last.pt").stat().st_mtime_ns

    result = faceproof(recipe, "-o", out, "--format", "json")
    assert result.exit_code == 0, result.output
    assert (first / "last.pt").stat().st_mtime_ns == before
    assert "1 of 2: without the generator blush\nfinished before" in result.stderr
    found = AuditResult.model_validate_json(result.stdout)
    assert found == AuditResult.read(out / "leave-one-out.json")
    assert found.answer.startswith("Trained without each of 2 generators in turn")

    record = LeftOutRun.read(second / "left-out.json")
    assert [one.step for one in record.checkpoints] == [2, 4, 6]
    snapshots = read_snapshots(second)
    kept = kept_snapshot(snapshots, "best")
    assert [one.kept for one in record.checkpoints] == [one is kept for one in snapshots]
    best = torch.load(second / "best.pt", weights_only=True)
    from safetensors.torch import load

    stored = load(kept.read())
    assert stored.keys() == best.keys()
    assert all(torch.equal(stored[name], one) for name, one in round_to_stored(best).items())
    tables = sorted(path.stem for path in (second / "snapshots").glob("*.parquet"))
    assert tables == [one.path.stem for one in snapshots if one is not kept]
    for name in tables:
        assert set(read_table(second / "snapshots" / f"{name}.parquet")["split"].to_pylist()) == {
            "test"
        }
    spec = Detector.load(second / "bundle").spec
    assert (spec.name, spec.generators_seen) == ("mini-without-chill", ("Blush", "blush"))
    inflation = found.table("inflation").frame().to_dicts()
    assert len(inflation) == 9
    for one in inflation:
        assert one["inflation"] == pytest.approx(one["test"] - one["seen"])
        assert one["inflation_low"] <= one["inflation"] <= one["inflation_high"]
    chosen = [one for one in inflation if one["chosen_on_test"] == "checkpoint"]
    assert all(one["inflation"] >= 0 for one in chosen)
    assert chosen[2]["seen"] == pytest.approx(np.mean([one["seen"] for one in chosen[:2]]))
    assert json.loads(result.stdout)["plots"][0]["series"][0]["x"] == ["blush", "chill", "mean"]

    again = faceproof(recipe, "-o", out)
    assert again.exit_code == 0
    assert again.stderr.count("finished before") == 2
    assert AuditResult.read(out / "leave-one-out.json") == found
