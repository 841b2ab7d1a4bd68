"""Share of the networks' bare speed that remains when whole pictures are checked.

Measures in one run, in turns, so that a busy machine slows all of them alike:

* bare: the forward pass on tensors that are ready, with onnxruntime, its threads spinning or not,
  and with OpenVINO where it is installed (also with bfloat16 where the CPU has it), each at the
  fastest of several batch sizes; with ``--int8`` also OpenVINO after NNCF's quantisation, which is
  not shipped (docs/decisions/0014-inference-backends.md);
* 256 px, 1024 px: `Checker.check_many` over as many JPEG files: reading, decoding, finding
  faces, cropping, preprocessing, forward pass, verdict;
* cold start: the CPU seconds of `faceproof check one.jpg` in a fresh process;
* stages: where the CPU time of one picture goes, in one thread.

    uv run python benchmarks/check_speed.py [--detector NAME|FOLDER] [--count 200] [--json FILE]
    uv run python benchmarks/check_speed.py --threads 1 --count 12 --int8    # on a busy machine
    uv run python benchmarks/check_speed.py --scorer openvino-bf16 --batch-size 8

The pictures are crops of scikit-image's astronaut, each shifted, lit and compressed a little
differently. "CPU ratio" compares CPU seconds instead of the clock's: on a busy machine it
varies less. With more than one thread it counts the time that a network's threads spin while they
wait for each other, which flatters all beside the bare pass: use ``--threads 1`` for it.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from functools import partial, wraps
from pathlib import Path
from statistics import median
from typing import Any
from unittest import mock

import numpy as np
import numpy.typing as npt
import onnxruntime
from PIL import Image
from skimage import data

from faceproof import Checker, Detector, checker
from faceproof.detector import SCORERS, RunOptions, Scorer
from faceproof.detector.scorers import member_onnx, usable_cores
from faceproof.imaging import decode, faces
from faceproof.imaging.decode import load
from faceproof.imaging.faces import YuNet
from faceproof.imaging.preprocessing import prepare

SIDES = (256, 1024)
BATCH_SIZES = (1, 2, 4, 8, 16)
FACE = (180, 30, 420, 270)  # left, top, right, bottom of the face in the astronaut's picture
COLD_START = "import sys; from faceproof.cli import main; sys.argv[0] = 'faceproof'; main()"

#: What is timed, and the functions that do it; time within another one of them is not counted.
STAGES: dict[str, tuple[object, str]] = {
    "read the file": (decode, "read_file"),
    "decode": (decode, "_pixels"),
    "convert to sRGB": (decode, "to_srgb"),
    "look for damage": (decode, "find_damage"),
    "reduce to find faces": (faces, "_resize"),
    "find faces": (YuNet, "find"),
    "crop and normalise": (checker, "prepare"),
    "quality": (checker, "assess"),
    "provenance": (checker, "read_provenance"),
    "forward pass": (Detector, "fake_probabilities"),
}

Inputs = npt.NDArray[np.float32]
Forward = Callable[[Inputs], object]


@dataclass(frozen=True)
class Timing:
    """Seconds of the clock and of the CPU for ``count`` pictures."""

    what: str
    count: int
    seconds: float
    cpu_seconds: float

    @property
    def a_second(self) -> float:
        """Pictures a second."""
        return self.count / self.seconds

    @property
    def cpu_ms(self) -> float:
        """CPU milliseconds a picture."""
        return 1000 * self.cpu_seconds / self.count


def main() -> None:
    """Measure and print."""
    wish = arguments()
    detector = Detector.load(wish.detector, scorer=wish.scorer)
    with tempfile.TemporaryDirectory() as folder:
        files = {side: list(made(Path(folder), side, wish.count)) for side in SIDES}
        timings = measured(detector, files, wish)
        stages = {
            side: stage_ms(Checker(detector), paths[: wish.staged], rounds=wish.rounds)
            for side, paths in files.items()
        }
        cold = cold_start_seconds(files[SIDES[0]][0], wish.detector)
    report = {
        "detector": f"{detector.spec.name} {detector.spec.version}",
        "scorer": detector.scorer,
        "threads": wish.threads,
        "timings": [asdict(timing) for timing in timings],
        "cold_start_cpu_s": cold,
        "stages_ms": stages,
    }
    print_table(report, timings)
    print_stages(stages)
    if wish.json:
        wish.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


def arguments() -> argparse.Namespace:
    """Return the command line's arguments."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--detector", default="default", help="name or folder")
    parser.add_argument("--scorer", default="auto", help="what runs the networks of whole checks")
    parser.add_argument("--batch-size", type=int, help="faces at a time; default: check's own")
    parser.add_argument("--count", type=int, default=200, help="pictures of each size")
    parser.add_argument("--threads", type=int, default=usable_cores(), help="default: all cores")
    parser.add_argument("--rounds", type=int, default=3, help="turns; the median of each counts")
    parser.add_argument("--staged", type=int, default=20, help="pictures for the table of stages")
    parser.add_argument("--int8", action="store_true", help="bare also with NNCF's quantisation")
    parser.add_argument("--json", type=Path, help="write the figures there too")
    return parser.parse_args()


def made(folder: Path, side: int, count: int) -> Iterator[Path]:
    """Yield ``count`` JPEG files of one side: one face, shifted, lit and compressed differently."""
    rng = np.random.default_rng(side)
    astronaut = Image.fromarray(data.astronaut())
    for number in range(count):
        x, y = rng.integers(-12, 13, 2).tolist()
        box = (FACE[0] + x, FACE[1] + y, FACE[2] + x, FACE[3] + y)
        picture = astronaut.resize((side, side), Image.Resampling.BICUBIC, box=box)
        lit = picture.point(
            [min(255, round(level * rng.uniform(0.9, 1.1))) for level in range(256)] * 3
        )
        path = folder / f"{side}-{number:05}.jpg"
        lit.save(path, quality=int(rng.integers(75, 96)))
        yield path


def measured(
    detector: Detector, files: dict[int, list[Path]], wish: argparse.Namespace
) -> tuple[Timing, ...]:
    """Return the median timing of each kind: bare with each backend, then each side of ``files``.

    The first is bare, with the scorer of the detector.
    """
    inputs = ready_inputs(detector, files[SIDES[0]])
    kinds: dict[str, Callable[[], object]] = {}
    bare = bare_forwards(detector, inputs, threads=wish.threads, int8=wish.int8)
    for backend in sorted(bare, key=lambda name: name != detector.scorer):
        name, way = fastest_bare(bare[backend], inputs[: BATCH_SIZES[-1]], by_cpu=wish.threads == 1)
        kinds[name] = partial(way, inputs)
    workers = 0 if wish.threads == 1 else wish.threads
    kinds |= {
        f"{side} px": partial(
            check_all, Checker(detector), paths, workers=workers, batch=wish.batch_size
        )
        for side, paths in files.items()
    }
    turns = [
        [timed(what, work, len(inputs)) for what, work in kinds.items()] for _ in range(wish.rounds)
    ]
    return tuple(median_timing(kind) for kind in zip(*turns, strict=True))


def median_timing(turns: Sequence[Timing]) -> Timing:
    """Return the medians of the clock's and of the CPU's seconds of one kind's turns."""
    seconds, cpu = zip(*((turn.seconds, turn.cpu_seconds) for turn in turns), strict=True)
    return Timing(turns[0].what, turns[0].count, median(seconds), median(cpu))


def bare_forwards(
    detector: Detector, inputs: Inputs, *, threads: int, int8: bool
) -> dict[str, dict[str, Forward]]:
    """Return the forward passes of each backend, by the name of what is varied."""
    waits = {"not spinning": False} | ({"spinning": True} if threads > 1 else {})
    backends = {
        "onnxruntime": {
            f"onnxruntime {word}": bare_forward(detector, threads=threads, spinning=spinning)
            for word, spinning in waits.items()
        }
    }
    for name, word in {"openvino": "openvino fp32", "openvino-bf16": "openvino bf16"}.items():
        if SCORERS[name].can_use("cpu"):
            networks = [
                SCORERS[name].open(detector.bundle, member, RunOptions(threads=threads))
                for member in detector.spec.members
            ]
            backends[name] = {word: partial(run_all, networks)}
    if int8:
        from backends import openvino_int8, subject_of

        quantised = openvino_int8(subject_of(detector, inputs, threads))
        backends["int8"] = {"openvino int8": quantised}
    return backends


def run_all(networks: Sequence[Scorer], inputs: Inputs) -> list[object]:
    """Run every network of a detector."""
    return [network(inputs) for network in networks]


def bare_forward(detector: Detector, *, threads: int, spinning: bool) -> Forward:
    """Return a function that only runs every network of the detector."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", str(int(spinning)))
    sessions = [
        onnxruntime.InferenceSession(
            member_onnx(detector.bundle, member), options, providers=["CPUExecutionProvider"]
        )
        for member in detector.spec.members
    ]
    ends = [(one.get_outputs()[0].name, one.get_inputs()[0].name) for one in sessions]
    return lambda inputs: [
        session.run([logit], {pixels: inputs})
        for session, (logit, pixels) in zip(sessions, ends, strict=True)
    ]


def ready_inputs(detector: Detector, paths: Sequence[Path]) -> Inputs:
    """Return the network inputs of the largest face of each picture, float32 [N, 3, S, S]."""
    finder, spec = YuNet(), detector.preprocessing
    pictures = (load(path).pixels for path in paths)
    return np.stack([prepare(p, finder.find(p)[0].landmarks, spec) for p in pictures])


def fastest_bare(
    forwards: dict[str, Forward], inputs: Inputs, *, by_cpu: bool = False
) -> tuple[str, Callable[[Inputs], None]]:
    """Return the fastest way to run the bare networks, by name and as a function of the inputs.

    ``by_cpu`` compares CPU seconds instead of the clock's.
    """
    ways = {
        f"bare {word}, {size} at a time": partial(in_batches, forward, size=size)
        for word, forward in forwards.items()
        for size in BATCH_SIZES
    }
    seconds = dict.fromkeys(ways, float("inf"))
    for _ in range(3):
        for what, way in ways.items():
            turn = timed(what, partial(way, inputs), 1)
            seconds[what] = min(seconds[what], turn.cpu_seconds if by_cpu else turn.seconds)
    best = min(ways, key=lambda what: seconds[what])
    return best, ways[best]


def in_batches(forward: Forward, inputs: Inputs, *, size: int) -> None:
    """Run the inputs ``size`` at a time."""
    for start in range(0, len(inputs), size):
        forward(inputs[start : start + size])


def check_all(
    checker: Checker, paths: Sequence[Path], *, workers: int | None, batch: int | None
) -> None:
    """Check the files; each must show one face."""
    results = list(checker.check_many(paths, workers=workers, batch_size=batch))
    if any(len(result.faces) != 1 for result in results):
        raise SystemExit("a picture of the benchmark has not exactly one face")


def timed(what: str, work: Callable[[], object], count: int) -> Timing:
    """Return the seconds of the work."""
    started, cpu = time.perf_counter(), time.process_time()
    work()
    return Timing(what, count, time.perf_counter() - started, time.process_time() - cpu)


@dataclass
class StageClock:
    """CPU seconds of this thread in each stage, without those in stages within it."""

    spent: dict[str, float] = field(default_factory=lambda: dict.fromkeys(STAGES, 0.0))
    inner: list[float] = field(default_factory=list)

    def wrap(self, stage: str, work: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function with its time counted."""

        @wraps(work)
        def timed_work(*args: Any, **options: Any) -> Any:
            started = time.thread_time()
            self.inner.append(0.0)
            try:
                return work(*args, **options)
            finally:
                whole = time.thread_time() - started
                self.spent[stage] += whole - self.inner.pop()
                if self.inner:
                    self.inner[-1] += whole

        return timed_work


def stage_ms(checker: Checker, paths: Sequence[Path], *, rounds: int) -> dict[str, float]:
    """Return the CPU milliseconds a picture of each stage, in the fastest of the rounds."""
    list(checker.check_many(paths[:2], workers=0))
    found = []
    for _ in range(rounds):
        clock = StageClock()
        with ExitStack() as stack:
            for stage, (owner, name) in STAGES.items():
                timed_work = clock.wrap(stage, getattr(owner, name))
                stack.enter_context(mock.patch.object(owner, name, timed_work))
            started = time.thread_time()
            list(checker.check_many(paths, workers=0))
            whole = time.thread_time() - started
        rest = whole - sum(clock.spent.values())
        spent = {**clock.spent, "the rest": rest, "all": whole}
        found.append({stage: 1000 * one / len(paths) for stage, one in spent.items()})
    return min(found, key=lambda spent: spent["all"])


def print_stages(stages: dict[int, dict[str, float]]) -> None:
    """Print where the CPU time goes as a Markdown table."""
    sides = list(stages)
    print("\n| CPU ms/picture, one thread | " + " | ".join(f"{side} px" for side in sides) + " |")
    print("|---|" + "---|" * len(sides))
    for stage in stages[sides[0]]:
        cells = (
            f"{stages[side][stage]:.2f} ({stages[side][stage] / stages[side]['all']:.0%})"
            for side in sides
        )
        print(f"| {stage} | {' | '.join(cells)} |")


def cold_start_seconds(path: Path, detector: str) -> float | None:
    """Return the least CPU seconds of three fresh processes; None where they are unavailable."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    command = [sys.executable, "-c", COLD_START, "check", str(path), "--detector", detector]

    def spent() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    return min(spent() for _ in range(3))


def print_table(report: dict[str, object], timings: Sequence[Timing]) -> None:
    """Print the measurements as a Markdown table."""
    bare = timings[0]
    fastest = min((one for one in timings if "bare" in one.what), key=lambda one: one.cpu_ms)
    print(
        f"{report['detector']} on {report['scorer']}, {report['threads']} thread(s), "
        f"{bare.count} pictures\n"
    )
    print("| | pictures/s | ratio to bare | CPU ms/picture | CPU ratio | to the fastest |")
    print("|---|---|---|---|---|---|")
    for one in timings:
        ratio, cpu_ratio = one.a_second / bare.a_second, bare.cpu_ms / one.cpu_ms
        to_fastest = fastest.cpu_ms / one.cpu_ms
        numbers = (ratio, one.cpu_ms, cpu_ratio, to_fastest)
        cells = (f"{one.a_second:.1f}", *(f"{number:.2f}" for number in numbers))
        print(f"| {one.what} | {' | '.join(cells)} |")
    if report["cold_start_cpu_s"] is not None:
        print(
            f"\ncold start of `faceproof check one.jpg`: {report['cold_start_cpu_s']:.2f} s of CPU"
        )


if __name__ == "__main__":
    main()
