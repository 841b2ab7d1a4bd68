"""What goes wrong in a training is told in one line with a remedy, and nothing is lost by it."""

from __future__ import annotations

import errno
import importlib.util
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

torch = pytest.importorskip("torch")
pytest.importorskip("lightning_fabric")
pytestmark = pytest.mark.train

from lightning_fabric.utilities.exceptions import MisconfigurationException  # noqa: E402

from faceproof.cli import app  # noqa: E402
from faceproof.data.manifest import Manifest  # noqa: E402
from faceproof.data.manifest_files import read_manifest, write_manifest  # noqa: E402
from faceproof.data.preparing.spec import PicturesSpec  # noqa: E402
from faceproof.detector.bundle import Bundle  # noqa: E402
from faceproof.detector.detector import locate  # noqa: E402
from faceproof.imaging.preprocessing import CropSpec  # noqa: E402
from faceproof.networks.modules import Network  # noqa: E402
from faceproof.runs import RunFolder  # noqa: E402
from faceproof.training import fit as fitting  # noqa: E402
from faceproof.training import loop  # noqa: E402
from faceproof.training import train as training  # noqa: E402
from faceproof.training.origins import read_starting_points  # noqa: E402
from faceproof.training.run import processes  # noqa: E402
from faceproof.training.run.checkpoint import convert_disk_errors  # noqa: E402
from faceproof.training.run.journal import TrainingJournal  # noqa: E402

#: Limits of file sizes and locks between processes, as on Linux and macOS.
UNIX = importlib.util.find_spec("resource") is not None
on_unix = pytest.mark.skipif(not UNIX, reason="limits and locks as on Linux and macOS")


@pytest.fixture(autouse=True)
def without_what_comes_before_and_after(monkeypatch):
    """Leave out the trial export, pages and curves, and all that follows the training itself."""
    monkeypatch.setattr(fitting, "_try_export", lambda *_: None)
    monkeypatch.setattr(TrainingJournal, "_try", lambda *_: None)
    done = SimpleNamespace(folder="the bundle")
    monkeypatch.setattr(training, "finish", lambda *_, **__: done)


@pytest.fixture
def own(prepared, tmp_path) -> Path:
    """A copy of the prepared folder as `data prepare` leaves it, to break."""
    return Path(shutil.copytree(prepared, tmp_path / "own"))


@pytest.fixture
def train(prepared, tmp_path) -> Callable:
    """Run ``faceproof train`` in this process with overrides."""

    def run(*overrides: str, output: Path = tmp_path / "run", recipe: Path | None = None):
        wanted = [part for override in overrides for part in ("--set", override)]
        said = CliRunner().invoke(
            app,
            ["train", str(recipe or prepared / "recipe.toml"), "--output", str(output), *wanted],
        )
        assert said.exception is None or isinstance(said.exception, SystemExit), said.output
        return said

    return run


def warnings_of(output) -> list[str]:
    """Return the lines on standard error but the one that names the next command."""
    *lines, following = output.stderr.splitlines()
    assert following.startswith("next: faceproof check PICTURES --detector ")
    return lines


def from_folder(folder: Path) -> tuple[str]:
    """Return the override that trains on another prepared folder."""
    return (f"data.prepared={folder.as_posix()!r}",)


def refused(message, code: int, *expected: str) -> None:
    """Assert that a run ended with this code and one last line that tells all of this."""
    assert message.exit_code == code, message.output
    last = message.stderr.splitlines()[-1]
    assert last.startswith("faceproof: ")
    for text in expected:
        assert text in last


def step_of(run: Path) -> int:
    return int(torch.load(run / "last.pt", weights_only=True)["step"])


def weights(run: Path) -> dict:
    return torch.load(run / "last.pt", weights_only=True)["network"]


def alike(one: dict, other: dict) -> bool:
    return all(torch.equal(value, other[name]) for name, value in one.items())


class TestData:
    @pytest.mark.parametrize(
        ("dropped", "expected"),
        [
            (
                lambda row: row.is_fake,
                "whole manifest has none",
            ),
            (lambda row: row.split == "validation" and not row.is_fake, "`faceproof data split`"),
            (lambda row: row.split == "test", "`faceproof data split`"),
        ],
        ids=["one class", "a class of validation", "a split"],
    )
    def test_a_class_is_missing(self, train, own, dropped, expected):
        rows = read_manifest(own / "manifest.parquet").rows
        kept = tuple(row for row in rows if not dropped(row))
        write_manifest(Manifest(kept), own / "manifest.parquet")
        refused(train(*from_folder(own)), 1, "has 0 ", expected)

    @pytest.mark.parametrize("workers", [0, 1])
    def test_a_picture_is_gone_and_comes_back(self, train, own, tmp_path, workers):
        how = (*from_folder(own), f"device.loader_workers={workers}")
        assert train(*how, "schedule.steps=3").exit_code == 0
        gone = [row.path for row in read_manifest(own / "manifest.parquet").rows]
        aside = shutil.copytree(own, tmp_path / "aside")
        for name in gone:
            (own / name).unlink()
        refused(train(*how), 1, "cannot be read any more", "`faceproof data prepare`")
        assert step_of(tmp_path / "run") == 3
        for name in gone:
            shutil.copy(aside / name, own / name)
        assert train(*how).exit_code == 0
        assert step_of(tmp_path / "run") == 6


def cut(folder: Path, *, size: int, margin: float) -> None:
    """Say that the prepared pictures were cut so."""
    spec = PicturesSpec(crop=CropSpec(size=size, margin=margin), keep="crop")
    content = {"spec": spec.model_dump(mode="json"), "schema": "faceproof.prepared/1"}
    (folder / "prepare.json").write_text(json.dumps(content), encoding="utf-8")


class TestCropsThatWereCutOtherwise:
    """The recipe reads 32 px; nothing is trained."""

    @pytest.fixture(autouse=True)
    def without_training(self, monkeypatch):
        monkeypatch.setattr(training, "fit", lambda *_, **__: None)

    def test_a_margin_beyond_the_pictures(self, train, own):
        cut(own, size=64, margin=0.1)
        how = (*from_folder(own), "network.preprocessing.crop.margin=0.2")
        refused(train(*how), 1, "margin = 0.2", "set it to 0.1", "--margin 0.2")

    @pytest.mark.parametrize(("size", "margin", "fits"), [(20, 0.0, 20), (40, 0.5, 20)])
    def test_crops_that_are_enlarged(self, train, own, size, margin, fits):
        cut(own, size=size, margin=margin)
        output = train(*from_folder(own))
        assert output.exit_code == 0
        assert "enlarged 1.60 times for crops of 32 px" in output.stderr
        assert f"network.preprocessing.crop.size = {fits} or less" in output.stderr
        assert f"--size {round(size * 1.6)}" in output.stderr

    @pytest.mark.parametrize(("size", "margin"), [(32, 0.0), (48, 0.25), (64, 0.0)])
    def test_crops_that_hold_enough(self, train, own, size, margin):
        cut(own, size=size, margin=margin)
        output = train(*from_folder(own))
        assert (output.exit_code, warnings_of(output)) == (0, [])

    def test_whole_pictures_asked_of_crops(self, train, own):
        cut(own, size=64, margin=0.1)
        output = train(*from_folder(own), "network.preprocessing.crop.method=whole")
        assert "--keep picture" in output.stderr

    def test_a_folder_of_whole_pictures_or_of_unknown_origin_is_not_judged(self, train, own):
        spec = PicturesSpec(crop=CropSpec(size=16), keep="picture").model_dump(mode="json")
        for content in (json.dumps({"spec": spec}), "{}", "no JSON"):
            (own / "prepare.json").write_text(content, encoding="utf-8")
            output = train(*from_folder(own))
            assert (output.exit_code, warnings_of(output)) == (0, [])


def test_a_crop_unlike_that_of_the_detector_to_start_from(train, monkeypatch):
    monkeypatch.setattr(training, "fit", lambda *_, **__: None)
    folder = locate("default")
    crop = Bundle.read(folder).spec.preprocessing.crop
    start = f"network.starting_weights={folder.as_posix()!r}"
    same = (f"network.preprocessing.crop.{key}={value}" for key, value in like(crop))
    output = train(start, *same)
    assert (output.exit_code, warnings_of(output)) == (0, [])
    output = train(start, f"network.preprocessing.crop.size={crop.size + 32}")
    assert output.exit_code == 0
    assert f"size {crop.size + 32} against {crop.size}" in output.stderr
    assert "set network.preprocessing.crop to that" in output.stderr


def like(crop: CropSpec) -> Iterator[tuple[str, object]]:
    """Yield the keys and values of a crop as ``--set`` takes them."""
    yield from crop.model_dump(mode="json").items()


class TestNumbersAndMemory:
    def test_a_loss_that_is_no_number_leaves_the_last_checkpoint(self, train, tmp_path):
        assert train("schedule.steps=3").exit_code == 0
        wild = ("optimizer.learning_rate=1e30", "schedule.warmup_steps=0")
        refused(train(*wild), 1, "not finite at step", "lower optimizer.learning_rate")
        assert step_of(tmp_path / "run") == 3
        assert train().exit_code == 0
        assert step_of(tmp_path / "run") == 6

    def test_too_little_memory_halves_the_batch_and_remembers(self, train, tmp_path, monkeypatch):
        forward = Network.forward

        def hungry(network, pictures):
            if len(pictures) > 2 and network.training:
                raise MemoryError
            return forward(network, pictures)

        monkeypatch.setattr(Network, "forward", hungry)
        output = train("schedule.steps=3")
        assert output.exit_code == 0
        assert "too little memory for 8 pictures at once: batches are" in output.stderr
        assert "in 4 parts from now on (schedule.accumulate = 4)" in output.stderr
        assert torch.load(tmp_path / "run" / "last.pt", weights_only=True)["parts"] == 4
        again = train()
        assert again.exit_code == 0
        assert "too little memory" not in again.stderr

    def test_too_little_memory_for_anything_says_what_to_set(self, train, monkeypatch):
        forward = Network.forward

        def hungry(network, pictures):
            if network.training:
                raise MemoryError
            return forward(network, pictures)

        monkeypatch.setattr(Network, "forward", hungry)
        refused(train(), 1, "too little memory for 2 pictures", "smaller schedule.batch_size")

    def test_too_little_memory_for_validation(self, train, monkeypatch):
        def hungry(*_: object) -> None:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB")

        monkeypatch.setattr(loop, "validate", hungry)
        refused(train(), 1, "outside of a training step", "smaller schedule.batch_size")


@contextmanager
def file_limit(size: int) -> Iterator[None]:
    """Let no file grow beyond ``size`` bytes: the system refuses as a full disk does."""
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.slow
class TestAFullDisk:
    @on_unix
    def test_while_the_first_checkpoint_is_written(self, train, tmp_path):
        with file_limit(50_000):
            output = train()
        refused(
            output, 1, "the disk is full", "MB are needed", "MB are free", "it starts from scratch"
        )
        left = {path.name for path in (tmp_path / "run").iterdir()}
        assert not {name for name in left if name.endswith((".part", ".pt"))}

    @on_unix
    def test_while_a_later_one_is_written(self, train, tmp_path):
        assert train(output=tmp_path / "unbroken").exit_code == 0
        assert train("schedule.steps=3").exit_code == 0
        before = (tmp_path / "run" / "last.pt").read_bytes()
        with file_limit(50_000):
            output = train()
        refused(output, 1, "MB are needed", "it resumes from last.pt, which is intact")
        assert (tmp_path / "run" / "last.pt").read_bytes() == before
        assert train().exit_code == 0
        assert step_of(tmp_path / "run") == 6
        assert not list((tmp_path / "run").glob("*.part"))

    @pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
    def test_while_the_metrics_are_written(self, train, tmp_path, monkeypatch, number):
        assert train("schedule.steps=3").exit_code == 0

        def full(*_: object, **__: object) -> None:
            raise OSError(number, os.strerror(number))

        with monkeypatch.context() as patch:
            patch.setattr(RunFolder, "log", full)
            refused(train(), 1, "a checkpoint of this run takes", "MB are free")
        assert train().exit_code == 0

    def test_while_the_bundle_is_written(self, train, tmp_path, monkeypatch):
        def full(*_: object, **__: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(training, "finish", full)
            refused(train("schedule.steps=3"), 1, "the disk is full", "resumes from last.pt")
        assert train("schedule.steps=3").stdout == "the bundle\n"

    def test_another_refusal_is_not_taken_for_it(self, tmp_path):
        with pytest.raises(OSError, match="Input/output"), convert_disk_errors(tmp_path):
            raise OSError(errno.EIO, "Input/output error")


class TestTheRunFolder:
    @on_unix
    def test_one_training_at_a_time(self, train, python, tmp_path, monkeypatch):
        monkeypatch.setattr(training, "fit", lambda *_, **__: None)
        (tmp_path / "run").mkdir()
        other = python(
            "import sys, time, pathlib\n"
            "from faceproof.runs import lock_folder\n"
            "with lock_folder(pathlib.Path(sys.argv[1]), name='run.lock', busy='busy'):\n"
            "    print(True, flush=True)\n"
            "    time.sleep(600)\n",
            tmp_path / "run",
        )
        assert other.stdout.readline() == "True\n"
        refused(train(), 2, "another training is writing to", "another --output")
        other.kill()
        other.wait()
        assert train().exit_code == 0, "the lock went with the process"

    def test_its_own_helper_process_may_enter(self, tmp_path, monkeypatch):
        monkeypatch.setenv("LOCAL_RANK", "1")
        with processes.lock_run(tmp_path):
            assert list(tmp_path.iterdir()) == []

    def test_a_file_in_its_place(self, train, tmp_path):
        (tmp_path / "run").write_bytes(b"")
        refused(train(), 2, "cannot be created", "another --output")

    @pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 no checkpoint", None])
    def test_a_damaged_checkpoint(self, train, tmp_path, damage):
        assert train("schedule.steps=3").exit_code == 0
        last = tmp_path / "run" / "last.pt"
        whole = last.read_bytes()
        last.write_bytes(whole[: len(whole) // 2] if damage is None else damage)
        best = tmp_path / "run" / "best.pt"
        actual = ("last.pt is damaged", "delete it", f"--set network.starting_weights={best}")
        refused(train(), 1, *actual)
        last.unlink()
        assert train().exit_code == 0
        assert step_of(tmp_path / "run") == 6

    def test_the_best_weights_start_another_run(self, train, tmp_path):
        assert train("schedule.steps=3").exit_code == 0
        best = tmp_path / "run" / "best.pt"
        output = train(f"network.starting_weights={best}", output=tmp_path / "other")
        assert output.exit_code == 0
        assert "started from best.pt" in output.stderr
        (start,) = read_starting_points(tmp_path / "other")
        assert (start.name, start.licence) == ("mini 1.0, checkpoint best.pt", "MIT")

    @pytest.mark.parametrize("name", ["best.pt", "last.pt"])
    def test_weights_that_cannot_be_read_at_the_end(self, train, tmp_path, name):
        keep = f"schedule.keep={name.removesuffix('.pt')}"
        assert train("schedule.steps=3", keep).exit_code == 0
        (tmp_path / "run" / name).write_bytes(b"no weights")
        refused(train("schedule.steps=3", keep), 1, f"{name} is damaged")

    def test_best_weights_that_are_gone(self, train, tmp_path):
        assert train("schedule.steps=3").exit_code == 0
        (tmp_path / "run" / "best.pt").unlink()
        refused(train("schedule.steps=3"), 1, "best.pt is missing", "schedule.keep = 'last'")
        assert train("schedule.steps=3", "schedule.keep=last").exit_code == 0

    def test_another_optimiser(self, train):
        assert train("schedule.steps=3").exit_code == 0
        refused(train("optimizer.name=sgd"), 1, "optimizer.name", "another --output")


class TestTheRecipe:
    def test_a_folder(self, train, tmp_path):
        refused(train(recipe=tmp_path), 2, "cannot be read as a recipe")

    def test_an_override_without_a_value(self, train):
        refused(train("schedule.steps"), 2, "write it as section.key=value")
        refused(train("schedule.steps="), 2, "schedule.steps: Input should be a valid integer")

    def test_a_misspelt_key(self, train):
        refused(train("schedule.stepps=3"), 2, "schedule.stepps is no key", "steps")

    def test_starting_weights_of_another_network(self, train, tmp_path):
        from safetensors.torch import save_file

        save_file({"conv.weight": torch.zeros(2, 2)}, tmp_path / "other.safetensors")
        other = f"network.starting_weights={tmp_path / 'other.safetensors'}"
        said = ("network.started_from=Net", "network.started_from_licence=MIT")
        output = train(other, *said)
        refused(output, 1, "does not fit the network", "name a checkpoint of the same network")

    def test_weights_of_another_origin_than_the_recipe_says(self, train):
        said = ("network.started_from=timm", "network.started_from_licence=Apache-2.0")
        output = train("network.starting_weights=default", *said)
        refused(output, 2, "of another origin", "Delete network.started_from")


class TestDevices:
    def test_a_batch_that_does_not_divide(self, train):
        how = ("device.devices=2", "schedule.batch_size=5")
        refused(train(*how), 1, "batch_size 5 is not divisible by 2 devices", "set it to 4")

    def test_a_picture_for_each(self, train):
        how = ("device.devices=2", "schedule.batch_size=2")
        refused(train(*how), 1, "gives 1 picture to each of 2 devices", "set it to 4")

    def test_processes_that_nobody_asked_for(self, train, monkeypatch):
        settings = {"TORCHELASTIC_RUN_ID": "1", "WORLD_SIZE": "4", "LOCAL_WORLD_SIZE": "2"}
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        actual = "torchrun started 4 processes", "device.devices=2 and device.nodes=2"
        refused(train(), 1, *actual)

    @pytest.mark.parametrize("kind", [MisconfigurationException, RuntimeError])
    def test_a_device_that_is_not_there(self, train, monkeypatch, kind):
        def refuse(**_: object) -> None:
            raise kind("No supported gpu backend found!\nmore")

        monkeypatch.setattr(processes, "Fabric", refuse)
        refused(train(), 1, "No supported gpu backend found!)", "`faceproof doctor`")
