"""What reading the provenance of a file adds to checking its picture.

For each picture: the CPU milliseconds of `read_provenance` beside those of the whole check, medians
of several rounds that take turns. With c2pa installed, a
signed copy of the largest picture is made and read too, and the first load of the library timed.

    uv run python benchmarks/provenance.py [PICTURES ...] [--rounds 9]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from faceproof import Checker, Detector
from faceproof.imaging.decode import load
from faceproof.imaging.picture import Picture
from faceproof.provenance import read_provenance

ROOT = Path(__file__).parents[1]
FIRST_LOAD = "import time; t = time.process_time(); import c2pa; print(time.process_time() - t)"


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "pictures", nargs="*", type=Path, default=sorted(ROOT.glob("samples/*.jpg"))
    )
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    checker = Checker(Detector.load("default"))
    print("| picture | kB | provenance, CPU ms | whole check, CPU ms | share |")
    print("|---|---|---|---|---|")
    for path in options.pictures:
        row(path.name, path.read_bytes(), checker, options.rounds)
    signed(max(options.pictures, key=lambda path: path.stat().st_size), checker, options.rounds)


def row(name: str, data: bytes, checker: Checker, rounds: int) -> None:
    """Print the medians for one file."""
    picture = load(data)
    reading, checking = [], []
    for _ in range(rounds + 1):
        reading.append(cpu(lambda picture=picture: provenance(picture)))
        checking.append(cpu(lambda: checker.check(data)))
    own, whole = 1000 * median(reading[1:]), 1000 * median(checking[1:])
    print(f"| {name} | {len(data) / 1000:.0f} | {own:.2f} | {whole:.1f} | {own / whole:.2%} |")


def provenance(picture: Picture) -> object:
    """Read what the file says."""
    return read_provenance(picture.data, kind=picture.format, pixels=picture.pixels)


def cpu(work: Callable[[], object]) -> float:
    """Return the CPU seconds of this process that some work takes."""
    started = time.process_time()
    work()
    return time.process_time() - started


def signed(path: Path, checker: Checker, rounds: int) -> None:
    """Print the same for a signed copy, and what loading c2pa costs once."""
    sys.path.insert(0, str(ROOT / "tests"))
    from support.signing import Authority

    data = Authority.new().signed(path.read_bytes())
    row(f"{path.name}, signed", data, checker, rounds)
    command = [sys.executable, "-c", FIRST_LOAD]
    times = [float(subprocess.check_output(command, text=True)) for _ in range(3)]
    print(f"\nloading c2pa, once a process: {1000 * min(times):.0f} CPU ms")


if __name__ == "__main__":
    main()
