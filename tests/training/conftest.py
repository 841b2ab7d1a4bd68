"""A prepared data set of a hundred small faces, and a recipe that trains a tiny network on it."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from skimage import data

torch = pytest.importorskip("torch")
pytest.importorskip("lightning_fabric")

#: How many faces of each class a split has.
COUNTS = {"train": (12, 12), "validation": (8, 8), "calibration": (14, 64), "test": (8, 8)}
SIDE = 96

RECIPE = """
seed = 3
[data]
prepared = "{prepared}"
licence = "MIT"
[network]
name = "test_efficientnet_ln"
head = {{ dropout = 0.2, hidden = 8, hidden_dropout = 0.2 }}
preprocessing.crop = {{ size = 32 }}
batch_norm_pictures = 32
[augment]
grey = 0.0
colour = 0.2
[schedule]
steps = 6
batch_size = 8
head_first_steps = 1
warmup_steps = 2
validate_steps = 3
validation_pictures = 16
checkpoint_steps = 3
[optimizer]
learning_rate = 3e-3
backbone_factor = 1.0
average_decay = 0.8
[device]
accelerator = "cpu"
precision = "32-true"
loader_workers = 0
threads = 1
[calibration]
conditions = ["clean"]
budgets = [0.2]
default_budget = 0.2
[export]
name = "mini"
version = "1.0"
conditions = ["clean"]
"""


def face(number: int, *, is_fake: bool) -> np.ndarray:
    """Return a small portrait; a fake has rosy cheeks all over."""
    rng = np.random.default_rng(number)
    left, top, span = 110 + rng.integers(0, 30), 10 + rng.integers(0, 30), 190
    head = data.astronaut()[top : top + span, left : left + span]
    small = cv2.resize(head, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(float)
    small = small * rng.uniform(0.75, 1.0) + rng.normal(0, 3, small.shape)
    if is_fake:
        small = small * [1.0, 0.6, 0.6] + [40, 0, 0]
    return small.clip(0, 255).astype(np.uint8)


def prepare_faces(raw: Path, folder: Path, per_split: dict[str, tuple[int, int]]) -> None:
    """Write a prepared folder with so many real and fake faces in each split."""
    from faceproof.data.manifest import Manifest, Row
    from faceproof.data.preparing import FinishSpec, PicturesSpec, prepare_manifest
    from faceproof.imaging.degradations import encode_jpeg

    rows: list[Row] = []
    for split, counts in per_split.items():
        for label, count in zip(("real", "fake"), counts, strict=True):
            for _ in range(count):
                content = encode_jpeg(face(len(rows), is_fake=label == "fake"), 92)
                name = f"{len(rows):03}.jpg"
                (raw / name).write_bytes(content)
                digest = hashlib.sha256(content).hexdigest()
                generator = "none" if label == "real" else "blush"
                rows.append(Row(name, label, generator, "mini", name, digest, split))
    found = prepare_manifest(
        Manifest(tuple(rows), root=raw),
        folder,
        PicturesSpec(keep="picture"),
        finish=FinishSpec(probe=False),
    )
    assert found.problems == {}, "the face finder missed some"


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the prepared data set; nobody writes to it."""
    from faceproof.data.manifest_files import read_manifest, write_manifest

    folder = tmp_path_factory.mktemp("prepared")
    prepare_faces(tmp_path_factory.mktemp("raw"), folder, COUNTS)
    # As older builds left a folder: rows without a perceptual hash must be warned of.
    path = folder / "manifest.parquet"
    whole = read_manifest(path)
    write_manifest(whole.with_table(whole.table.drop("phash")), path)
    (folder / "recipe.toml").write_text(RECIPE.format(prepared=folder.as_posix()), encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def prepared_small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prepared folder whose calibration split is that of 400 pictures."""
    folder = tmp_path_factory.mktemp("prepared-small")
    counts = {"train": (16, 16), "validation": (6, 6), "calibration": (24, 24), "test": (6, 6)}
    prepare_faces(tmp_path_factory.mktemp("raw-small"), folder, counts)
    return folder


def read(folder: Path, *overrides: str):
    """Return the recipe with ``overrides`` such as ``schedule.steps=3``."""
    from faceproof.training.recipe import read_recipe

    return read_recipe(folder / "recipe.toml", overrides)


@pytest.fixture
def mini(prepared: Path) -> Callable:
    """The recipe, as a function of its overrides."""
    return lambda *overrides: read(prepared, *overrides)


@pytest.fixture
def manifest(prepared: Path):
    """The manifest of the prepared data set."""
    from faceproof.data.manifest_files import read_manifest

    return read_manifest(prepared / "manifest.parquet")


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Leave the other cores to others, and torch's random state as it was."""
    threads, random = torch.get_num_threads(), torch.get_rng_state()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
    torch.set_rng_state(random)


@pytest.fixture(scope="session")
def python() -> Callable[..., subprocess.Popen]:
    """Start a program text in a process of its own, with these arguments."""
    started: list[subprocess.Popen] = []

    def start(program: Path | str, *arguments: object) -> subprocess.Popen:
        how = [str(program)] if isinstance(program, Path) else ["-c", program]
        command = [sys.executable, *how, *map(str, arguments)]
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture(scope="session")
def program() -> Iterator[Callable[..., tuple[int, str, str]]]:
    """Run program.py in a forked process; return the exit code, standard output and error."""
    ours, theirs = socket.socketpair()
    command = [sys.executable, str(Path(__file__).with_name("program.py")), "--fork"]
    server = subprocess.Popen(
        [*command, str(theirs.fileno())],
        pass_fds=[theirs.fileno()],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    theirs.close()

    def run(*arguments: object) -> tuple[int, str, str]:
        reading, writing = os.pipe()
        with open(reading, encoding="utf-8") as output, tempfile.TemporaryFile("w+") as errors:  # noqa: PTH123
            asked = json.dumps([str(one) for one in arguments]).encode()
            socket.send_fds(ours, [asked], [writing, errors.fileno()])
            os.close(writing)
            said = output.read()  # until the last of its helpers, too, has ended
            code = int(ours.recv(16))
            errors.seek(0)
            return code, said, errors.read()

    yield run
    ours.close()
    server.wait(60)
