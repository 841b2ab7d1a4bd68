"""Speed and memory of `faceproof data` on a set.

Each line is a fresh process with its own memory:

* import: `faceproof data import` of drawn 256 px JPEG files: reading, SHA-256, decoding,
  perceptual hash, JPEG quality;
* inspect: `faceproof data inspect` of all of them with its HTML page: reading, decoding, looking
  for faces, measuring, the shortcut probe;
* near-duplicates: all pairs within 31 of 256 bits among 100,000 hashes, of which one in a hundred
  is a near copy of another; the other bits are drawn;
* manifest: a Parquet and a CSV file of a million rows, read and checked.

    uv run python benchmarks/data_speed.py [--count 20000] [--hashes 100000] [--rows 1000000]

A busy machine increases wall-clock seconds; CPU seconds vary less.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from skimage import data

FACE = (180, 30, 420, 270)  # left, top, right, bottom of the face in the astronaut's picture
SIDE = 256

FACEPROOF = "from faceproof.cli import main; main()"
NEAR_PAIRS = """
import sys, numpy as np
from faceproof.data.duplicates import NEAR_BITS, near_pairs
pairs = near_pairs(np.load(sys.argv[1]), distance=NEAR_BITS)
print(len(pairs))
"""
OPEN = """
import sys
from pathlib import Path
from faceproof.data.manifest_files import read_manifest
print(len(read_manifest(Path(sys.argv[1]))))
"""


@dataclass(frozen=True)
class Timing:
    """Cost of one process: wall-clock and CPU seconds, and peak MB."""

    what: str
    count: int
    seconds: float
    cpu_seconds: float
    peak_mb: float

    @property
    def a_second(self) -> float:
        """Items a second."""
        return self.count / self.seconds


def main() -> None:
    """Measure and print."""
    wish = arguments()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        timings = [
            *pictures(folder, wish.count),
            near_duplicates(folder, wish.hashes),
            *manifests(folder, wish.rows),
        ]
    print_table(timings)
    if wish.json:
        lines = [asdict(timing) for timing in timings]
        wish.json.write_text(json.dumps(lines, indent=2) + "\n", encoding="utf-8")


def arguments() -> argparse.Namespace:
    """Return the command line's arguments."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--count", type=int, default=20_000, help="pictures of 256 px")
    parser.add_argument("--hashes", type=int, default=100_000)
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows of the manifest")
    parser.add_argument("--json", type=Path, help="write the figures there too")
    return parser.parse_args()


def pictures(folder: Path, count: int) -> list[Timing]:
    """Return the timings of import and inspection of ``count`` drawn pictures."""
    draw(folder / "set", count)
    verb = [sys.executable, "-c", FACEPROOF, "data"]
    manifest, page = folder / "set.parquet", folder / "set.html"
    imported = [*verb, "import", folder / "set", "--layout", "class-folders", "-o", manifest]
    inspected = [*verb, "inspect", manifest, "--report", page, "--sample", "0"]
    return [timed("import", imported, count), timed("inspect", inspected, count)]


def near_duplicates(folder: Path, count: int) -> Timing:
    """Return the timing of the near-duplicate search."""
    rng = np.random.default_rng(0)
    hashes = rng.integers(0, 256, (count, 32), np.uint8)
    copies = rng.choice(count, count // 100, replace=False)
    hashes[copies] = hashes[rng.permutation(count)[: len(copies)]]
    hashes[copies, rng.integers(32, size=len(copies))] ^= 0b1011
    np.save(folder / "hashes.npy", hashes)
    command = [sys.executable, "-c", NEAR_PAIRS, folder / "hashes.npy"]
    return timed("near-duplicates", command, count)


def manifests(folder: Path, count: int) -> list[Timing]:
    """Return the timings of opening a large manifest, in both file formats."""
    from faceproof.data.manifest import Manifest
    from faceproof.data.manifest_files import write_manifest

    manifest = Manifest(large_table(count), root=folder)
    timings = []
    for suffix in ("parquet", "csv"):
        path = folder / f"large.{suffix}"
        write_manifest(manifest, path)
        timings.append(timed(f"manifest, {suffix}", [sys.executable, "-c", OPEN, path], count))
    return timings


def large_table(count: int):
    """Return the table of a made-up set of two classes, three rows to a group."""
    import polars as pl

    rng = np.random.default_rng(0)
    number, is_fake = np.arange(count), rng.random(count) < 0.5
    return pl.DataFrame(
        {
            "path": [f"pictures/{n // 1000}/{n}.jpg" for n in number],
            "label": np.where(is_fake, "fake", "real"),
            "generator": np.where(is_fake, "stylegan2", "none"),
            "source": np.where(number % 3 == 0, "press", "web"),
            "group": [f"person-{n // 3}" for n in number],
            "sha256": [rng.bytes(32).hex() for _ in number],
            "split": np.where(number // 3 % 2 == 0, "train", "test"),
            "phash": [rng.bytes(32).hex() for _ in number],
            "width": np.full(count, SIDE),
            "height": np.full(count, SIDE),
            "format": np.full(count, "JPEG"),
            "gender": np.where(rng.random(count) < 0.5, "female", "male"),
        }
    )


def draw(folder: Path, count: int) -> None:
    """Write ``count`` JPEG files: one face, shifted and compressed differently, in its own light.

    The light is a random pattern, so that the pictures are not near-duplicates of each other.
    """
    rng = np.random.default_rng(SIDE)
    astronaut = Image.fromarray(data.astronaut())
    for number in range(count):
        x, y = rng.integers(-12, 13, 2).tolist()
        box = (FACE[0] + x, FACE[1] + y, FACE[2] + x, FACE[3] + y)
        picture = astronaut.resize((SIDE, SIDE), Image.Resampling.BICUBIC, box=box)
        spots = Image.fromarray(rng.integers(0, 256, (16, 16, 3), np.uint8))
        light = spots.resize((SIDE, SIDE), Image.Resampling.BICUBIC)
        path = folder / ("real", "fake")[number % 2] / f"{number:06}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.blend(picture, light, 0.4).save(path, quality=int(rng.integers(75, 96)))


def timed(what: str, command: list[object], count: int) -> Timing:
    """Return the cost of a process; it must exit with code 0."""
    started = time.perf_counter()
    words = [str(word) for word in command]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    output = process.stderr.read() if process.stderr else b""
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{what} failed:\n{output.decode(errors='replace')}")
    scale = 1e6 if sys.platform == "darwin" else 1e3
    return Timing(what, count, seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / scale)


def print_table(timings: list[Timing]) -> None:
    """Print one line for each timing."""
    print(f"{'':18} {'items':>9} {'seconds':>8} {'a second':>9} {'CPU s':>7} {'peak MB':>8}")
    for t in timings:
        print(
            f"{t.what:18} {t.count:>9,} {t.seconds:>8.1f} {t.a_second:>9,.0f} "
            f"{t.cpu_seconds:>7.1f} {t.peak_mb:>8,.0f}"
        )
    both = [t for t in timings if t.what in ("import", "inspect")]
    rate = both[0].count / sum(t.seconds for t in both)
    print(f"\nimport and inspect together: {rate:,.0f} pictures a second")


if __name__ == "__main__":
    main()
