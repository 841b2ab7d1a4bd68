"""A prepared data set of a hundred small faces, and a recipe that trains a tiny network on it."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from skimage import data

torch = pytest.importorskip("torch")
pytest.importorskip("lightning_fabric")

#: The astronaut's five points, and how many faces of each class a split has.
POINTS = np.array([[200, 102], [247, 103], [221, 125], [199, 143], [239, 144]], np.float32)
COUNTS = {"train": (12, 12), "validation": (8, 8), "calibration": (14, 64), "test": (8, 8)}
SIDE = 96

RECIPE = """
seed = 3
[data]
root = "raw"
prepared = "{prepared}"
licence = "MIT"
sources = {{ mini = {{ layout = "sdfd", share = 1.0 }} }}
[network]
name = "test_efficientnet_ln"
head = {{ dropout = 0.2, hidden = 8, hidden_dropout = 0.2 }}
preprocessing.crop = {{ size = 32 }}
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


def face(number: int, *, is_fake: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return a small portrait and its landmarks; a fake has rosy cheeks all over."""
    rng = np.random.default_rng(number)
    left, top, span = 110 + rng.integers(0, 30), 10 + rng.integers(0, 30), 190
    head = data.astronaut()[top : top + span, left : left + span]
    small = cv2.resize(head, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(float)
    small = small * rng.uniform(0.75, 1.0) + rng.normal(0, 3, small.shape)
    if is_fake:
        small = small * [1.0, 0.6, 0.6] + [40, 0, 0]
    points = (POINTS - [left, top] + 0.5) * (SIDE / span) - 0.5
    return small.clip(0, 255).astype(np.uint8), points.astype(np.float32)


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the prepared data set; nobody writes to it."""
    from faceproof.data.manifest import Manifest, Row
    from faceproof.data.manifest_files import write_manifest
    from faceproof.data.prepare import _Prepared, _write_faces
    from faceproof.imaging.degradations import encode_jpeg

    folder = tmp_path_factory.mktemp("prepared")
    items = []
    for split, counts in COUNTS.items():
        for label, count in zip(("real", "fake"), counts, strict=True):
            for _ in range(count):
                pixels, points = face(len(items), is_fake=label == "fake")
                content = encode_jpeg(pixels, 92)
                name = f"{len(items):03}.jpg"
                (folder / name).write_bytes(content)
                digest = hashlib.sha256(content).hexdigest()
                generator = "none" if label == "real" else "blush"
                row = Row(name, label, generator, "mini", name, digest, split)
                items.append(_Prepared(row, points, 0))
    write_manifest(Manifest(tuple(item.row for item in items)), folder / "manifest.parquet")
    _write_faces(items, folder / "faces.parquet")
    (folder / "recipe.toml").write_text(RECIPE.format(prepared=folder.as_posix()), encoding="utf-8")
    read(folder).data.prepare_spec().write(folder / "spec.json")
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
