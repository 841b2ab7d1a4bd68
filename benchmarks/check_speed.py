"""Share of the networks' bare speed that remains when whole pictures are checked.

Measures in one run, in turns, so that a busy machine slows all of them alike:

* bare: onnxruntime's forward pass on tensors that are ready, at the fastest of several batch
  sizes, its threads spinning or not;
* 256 px, 1024 px: `Checker.check_many` over as many JPEG files: reading, decoding, finding
  faces, cropping, preprocessing, forward pass, verdict;
* cold start: the CPU seconds of `faceproof check one.jpg` in a fresh process.

    uv run python benchmarks/check_speed.py [--detector NAME|FOLDER] [--count 200] [--json FILE]

The pictures are crops of scikit-image's astronaut, each shifted, lit and compressed a little
differently. "CPU ratio" compares CPU seconds instead of the clock's: on a busy machine it
varies less.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime
from PIL import Image
from skimage import data

from faceproof import Checker, Detector
from faceproof.detector.scorers import usable_cores
from faceproof.imaging.decode import load
from faceproof.imaging.faces import YuNet
from faceproof.imaging.preprocessing import prepare

SIDES = (256, 1024)
BATCH_SIZES = (1, 2, 4, 8, 16)
FACE = (180, 30, 420, 270)  # left, top, right, bottom of the face in the astronaut's picture
COLD_START = "import sys; from faceproof.cli import main; sys.argv[0] = 'faceproof'; main()"

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
    detector = Detector.load(wish.detector)
    with tempfile.TemporaryDirectory() as folder:
        files = {side: list(made(Path(folder), side, wish.count)) for side in SIDES}
        timings = measured(detector, files, rounds=wish.rounds)
        cold = cold_start_seconds(files[SIDES[0]][0], wish.detector)
    report = {
        "detector": f"{detector.spec.name} {detector.spec.version}",
        "cores": usable_cores(),
        "timings": [asdict(timing) for timing in timings],
        "cold_start_cpu_s": cold,
    }
    print_table(report, timings)
    if wish.json:
        wish.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


def arguments() -> argparse.Namespace:
    """Return the command line's arguments."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--detector", default="default", help="name or folder")
    parser.add_argument("--count", type=int, default=200, help="pictures of each size")
    parser.add_argument("--rounds", type=int, default=3, help="turns; the best of each counts")
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
    detector: Detector, files: dict[int, list[Path]], *, rounds: int
) -> tuple[Timing, ...]:
    """Return the best timing of each kind: bare, then each side of ``files``."""
    checker = Checker(detector)
    inputs = ready_inputs(detector, files[SIDES[0]])
    bare, run_bare = fastest_bare(detector, inputs[: BATCH_SIZES[-1]])
    kinds: dict[str, Callable[[], object]] = {
        bare: partial(run_bare, inputs),
        **{f"{side} px": partial(check_all, checker, paths) for side, paths in files.items()},
    }
    turns = [
        [timed(what, work, len(inputs)) for what, work in kinds.items()] for _ in range(rounds)
    ]
    return tuple(min(kind, key=lambda timing: timing.seconds) for kind in zip(*turns, strict=True))


def bare_forward(detector: Detector, *, spinning: bool) -> Forward:
    """Return a function that only runs every network of the detector."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = usable_cores()
    options.add_session_config_entry("session.intra_op.allow_spinning", str(int(spinning)))
    sessions = [
        onnxruntime.InferenceSession(
            detector.bundle.read_file(member.onnx), options, providers=["CPUExecutionProvider"]
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


def fastest_bare(detector: Detector, inputs: Inputs) -> tuple[str, Callable[[Inputs], None]]:
    """Return the fastest way to run the bare networks, by name and as a function of the inputs."""
    ways = {
        f"bare, {size} at a time, {word}": partial(in_batches, forward, size=size)
        for word, forward in (
            ("spinning", bare_forward(detector, spinning=True)),
            ("not spinning", bare_forward(detector, spinning=False)),
        )
        for size in BATCH_SIZES
    }
    seconds = dict.fromkeys(ways, float("inf"))
    for _ in range(3):
        for what, way in ways.items():
            seconds[what] = min(seconds[what], timed(what, partial(way, inputs), 1).seconds)
    best = min(ways, key=lambda what: seconds[what])
    return best, ways[best]


def in_batches(forward: Forward, inputs: Inputs, *, size: int) -> None:
    """Run the inputs ``size`` at a time."""
    for start in range(0, len(inputs), size):
        forward(inputs[start : start + size])


def check_all(checker: Checker, paths: Sequence[Path]) -> None:
    """Check the files; each must show one face."""
    results = list(checker.check_many(paths))
    if any(len(result.faces) != 1 for result in results):
        raise SystemExit("a picture of the benchmark has not exactly one face")


def timed(what: str, work: Callable[[], object], count: int) -> Timing:
    """Return the seconds of the work."""
    started, cpu = time.perf_counter(), time.process_time()
    work()
    return Timing(what, count, time.perf_counter() - started, time.process_time() - cpu)


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
    print(f"{report['detector']}, {report['cores']} usable cores, {bare.count} pictures\n")
    print("| | pictures/s | ratio to bare | CPU ms/picture | CPU ratio |")
    print("|---|---|---|---|---|")
    for one in timings:
        ratio, cpu_ratio = one.a_second / bare.a_second, bare.cpu_ms / one.cpu_ms
        cells = (f"{one.a_second:.1f}", f"{ratio:.2f}", f"{one.cpu_ms:.1f}", f"{cpu_ratio:.2f}")
        print(f"| {one.what} | {' | '.join(cells)} |")
    if report["cold_start_cpu_s"] is not None:
        print(
            f"\ncold start of `faceproof check one.jpg`: {report['cold_start_cpu_s']:.2f} s of CPU"
        )


if __name__ == "__main__":
    main()
