"""Share of PyTorch's bare speed in our training loop, and the throughput of the loader.

Measures in one run, in turns, so that a busy machine slows all of them alike:

* bare: forward, loss, backward and optimiser step on batches that are ready in memory;
* ours, ready: our loop on the same batches, network, precision and optimiser, with its additions:
  schedule, label smoothing, clipping, the averaged weights, the journal;
* ours, loaded: our loop with its loader, which decodes, augments and crops; the batches that the
  workers have ready when the clock starts are taken before;
* loader: only the loader, in the process itself: the maximum of one worker.

    uv run python benchmarks/train_speed.py [--network densenet121] [--side 160] [--batch 16]
        [--steps 10] [--repeats 5] [--workers 1] [--threads N] [--json FILE]

It runs on the GPU where there is one. "ratio" is the median over the turns of pictures a second
over the bare loop's of the same turn. "CPU ratio" compares the CPU seconds of this process, and
is more accurate where the network runs on the CPU of a busy machine. Pictures are crops of
scikit-image's astronaut, each shifted and lit a little differently.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from statistics import median

import cv2
import numpy as np
import torch
from lightning_fabric import Fabric
from skimage import data
from torch import Tensor

from faceproof.data.manifest import Row
from faceproof.imaging.degradations import encode_jpeg
from faceproof.networks import build, parameter_groups
from faceproof.runs import RunFolder
from faceproof.training.loop import Trainer
from faceproof.training.optimizers import make_optimizer
from faceproof.training.recipe import Recipe
from faceproof.training.run.journal import TrainingJournal
from faceproof.training.stream import PlainFaces, PreparedPictures, TrainingStream, make_loader

Batch = tuple[Tensor, Tensor]

POINTS = np.array([[200, 102], [247, 103], [221, 125], [199, 143], [239, 144]], np.float32)
PICTURES, PICTURE_SIDE = 64, 256
LEFT, TOP, SPAN = 125, 25, 190
FAR = 10**6


@dataclass(frozen=True)
class Turn:
    """Cost of a number of pictures: wall-clock seconds and CPU seconds of this process."""

    pictures: int
    seconds: float
    cpu_seconds: float

    @property
    def a_second(self) -> float:
        """Pictures a second."""
        return self.pictures / self.seconds


class Loop(Trainer):
    """Our loop on given batches, without validations and checkpoints."""

    given: Iterable[Batch] = ()

    def _remaining_batches(self, stream: TrainingStream) -> Iterable[Batch]:  # noqa: ARG002
        return self.given


def main() -> None:
    """Measure and print."""
    wish = arguments()
    torch.set_num_threads(wish.threads)
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as name:
        turns = measured(wish, Path(name))
    print_table(turns, wish)
    if wish.json:
        rates = {what: [turn.a_second for turn in found] for what, found in turns.items()}
        wish.json.write_text(json.dumps(rates, indent=2) + "\n", encoding="utf-8")


def arguments() -> argparse.Namespace:
    """Return the command line's arguments."""
    parser = argparse.ArgumentParser(description="The speed of our training loop.")
    parser.add_argument("--network", default="densenet121")
    parser.add_argument("--side", type=int, default=160)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--steps", type=int, default=10, help="steps in a turn")
    parser.add_argument("--repeats", type=int, default=5, help="turns of each")
    parser.add_argument("--workers", type=int, default=1, help="loader processes")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--precision", choices=["32-true", "bf16-mixed"])
    parser.add_argument("--json", type=Path)
    wish = parser.parse_args()
    wish.precision = wish.precision or ("bf16-mixed" if torch.cuda.is_available() else "32-true")
    return wish


def measured(wish: argparse.Namespace, folder: Path) -> dict[str, list[Turn]]:
    """Return the turns of each contender."""
    recipe = recipe_of(wish)
    fabric = Fabric(devices=1, precision=wish.precision)
    stream = TrainingStream(pictures(folder), recipe)
    ready = list(islice(loaded(stream, wish, 0), min(4, wish.steps)))
    loop, bare = our_loop(fabric, recipe, folder), bare_loop(fabric, recipe)

    def ours(given: Iterable[Batch]) -> None:
        loop.given = given
        loop.run(stream, PlainFaces(stream._pictures, recipe.network.preprocessing))  # noqa: SLF001

    cycled = [ready[number % len(ready)] for number in range(wish.steps)]
    contenders: dict[str, Callable[[], Turn]] = {
        "bare": lambda: timed(wish, lambda: bare(cycled)),
        "ours, ready": lambda: timed(wish, lambda: ours(cycled)),
        "ours, loaded": lambda: from_loader(stream, wish, ours),
        "loader": lambda: timed(wish, lambda: drain(islice(loaded(stream, wish, 0), wish.steps))),
    }
    bare(cycled[:2])
    ours(cycled[:2])
    turns: dict[str, list[Turn]] = {name: [] for name in contenders}
    for _ in range(wish.repeats):
        for name, turn in contenders.items():
            turns[name].append(turn())
    return turns


def recipe_of(wish: argparse.Namespace) -> Recipe:
    """Return the default recipe with the requested settings."""
    return Recipe.model_validate(
        {
            "data": {"licence": "for this measurement only"},
            "network": {"name": wish.network, "preprocessing": {"crop": {"size": wish.side}}},
            "schedule": {
                "steps": FAR,
                "batch_size": wish.batch,
                "head_first_steps": 0,
                "validate_steps": FAR,
                "checkpoint_steps": FAR,
            },
            "device": {"loader_workers": wish.workers},
            "export": {"name": "speed", "version": "1"},
        }
    )


def our_loop(fabric: Fabric, recipe: Recipe, folder: Path) -> Loop:
    """Return our loop, whose journal writes but prints nothing."""
    run = RunFolder(folder / "run")
    journal = TrainingJournal(run, lambda _: None, steps=FAR, show=True)
    network = build(recipe.network.name, head=recipe.network.head)
    return Loop(fabric, network, recipe, run, journal=journal)


def bare_loop(fabric: Fabric, recipe: Recipe) -> Callable[[Iterable[Batch]], None]:
    """Return the minimal loop: the same network, groups, optimiser and precision only."""
    network = build(recipe.network.name, head=recipe.network.head)
    network = network.to(fabric.device).to(memory_format=torch.channels_last).train()
    wished = recipe.optimizer
    groups = parameter_groups(
        network, learning_rate=wished.learning_rate, weight_decay=wished.weight_decay
    )
    optimizer = make_optimizer(groups, wished)

    def run(given: Iterable[Batch]) -> None:
        for inputs, targets in given:
            ready = inputs.to(fabric.device, memory_format=torch.channels_last)
            with fabric.autocast():
                logits = network(ready)
            wanted = targets.to(fabric.device, torch.float32)
            loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, wanted)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

    return run


def loaded(stream: TrainingStream, wish: argparse.Namespace, workers: int) -> Iterator[Batch]:
    """Return batches as they come from the loader."""
    return iter(make_loader(stream, range(FAR * wish.batch), size=wish.batch, workers=workers))


def from_loader(
    stream: TrainingStream, wish: argparse.Namespace, ours: Callable[[Iterable[Batch]], None]
) -> Turn:
    """Return a turn with the real loader, which starts with nothing prefetched."""
    source = loaded(stream, wish, wish.workers)
    drain(islice(source, 4 * wish.workers))
    return timed(wish, lambda: ours(islice(source, wish.steps)))


def drain(given: Iterable[Batch]) -> None:
    """Take all."""
    for _ in given:
        pass


def timed(wish: argparse.Namespace, run: Callable[[], None]) -> Turn:
    """Return the timing of one turn, until the device has finished."""
    wait()
    started, cpu = time.perf_counter(), time.process_time()
    run()
    wait()
    seconds = time.perf_counter() - started
    return Turn(wish.steps * wish.batch, seconds, time.process_time() - cpu)


def wait() -> None:
    """Wait until the device has finished."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def pictures(folder: Path) -> PreparedPictures:
    """Return drawn portraits, half of them called fake, as prepared pictures."""
    rng, rows, points = np.random.default_rng(0), [], {}
    for number in range(PICTURES):
        left, top = LEFT + int(rng.integers(-12, 13)), TOP + int(rng.integers(-12, 13))
        head = data.astronaut()[top : top + SPAN, left : left + SPAN]
        large = cv2.resize(head, (PICTURE_SIDE, PICTURE_SIDE), interpolation=cv2.INTER_CUBIC)
        pixels = (large * rng.uniform(0.75, 1.0)).astype(np.uint8)
        name, label = f"{number:03}.jpg", ("real", "fake")[number % 2]
        (folder / name).write_bytes(encode_jpeg(pixels, 92))
        generator = "none" if label == "real" else "none at all"
        rows.append(Row(name, label, generator, "drawn", name, f"{number:064x}", "train"))
        points[name] = (POINTS - [left, top]).astype(np.float32) * (PICTURE_SIDE / SPAN)
    return PreparedPictures(folder, tuple(rows), points)


def print_table(turns: dict[str, list[Turn]], wish: argparse.Namespace) -> None:
    """Print a Markdown table, and the hardware of the measurement."""
    where = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"
    print(
        f"{wish.network}, {wish.side} px, batch {wish.batch}, {wish.precision}, {where}, "
        f"{wish.threads} threads, {wish.workers} loader workers, torch {torch.__version__}; "
        f"{wish.repeats} turns of {wish.steps} steps\n"
    )
    print("| | pictures/s | ratio | lowest to highest | CPU ratio |\n|---|---|---|---|---|")
    for name, found in turns.items():
        pairs = list(zip(found, turns["bare"], strict=True))
        ratios = [one.a_second / bare.a_second for one, bare in pairs]
        cpu = median(bare.cpu_seconds / one.cpu_seconds for one, bare in pairs)
        print(
            f"| {name} | {median(turn.a_second for turn in found):.1f} | {median(ratios):.2f} "
            f"| {min(ratios):.2f} to {max(ratios):.2f} | {cpu:.2f} |"
        )
    sys.stdout.flush()


if __name__ == "__main__":
    main()
