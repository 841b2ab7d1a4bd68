"""Speed, memory and losses of `faceproof scan`, locally and on Ray, on this machine.

    uv run --extra ray python benchmarks/scan_speed.py --pictures 20000
    uv run --extra scan python benchmarks/scan_speed.py --growth 1000,10000,100000
    uv run --extra ray python benchmarks/scan_speed.py --kill-node

Each can be asked for alone, or all in one command; each prints a table, and `--json FILE` adds the
figures to what an earlier command left there.

* `--pictures N`: pictures a second of whole scans of N pictures, start and summary included, by
  each `--engine`, against the bare loop: `Checker.check_many` over files in one process, on all
  cores, its results discarded. The bare loop runs over a tenth of them before, between and after
  the scans, and each scan is divided by the mean of the two beside it: so a machine that becomes
  busier meanwhile favours none. `picture_bytes` and `row_bytes` are those of docs/scale.toml.
  20,000 pictures are 46,000 checks: 12 minutes at 65 a second.
* `--growth N,N,...`: seconds and peak memory of scans of more and more pictures of 64 px, each in
  a fresh process: of the process that lists and writes, and of the largest of the others. Checked
  by `tiny`, a detector without a network that is worth the name, and without a search for faces,
  so that 100,000 pictures take minutes and the scan's own work shows.
* `--kill-node [N]`: a Ray cluster of two nodes on this machine, of which one is killed when half
  of the N pictures (2,000) have results. Exits with 1 if a picture is lost or judged twice.

The pictures are those of check_speed.py. `--detector tiny` is for trying this out.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from pyarrow import parquet
from safetensors.numpy import save

from check_speed import made
from faceproof import Checker, Detector
from faceproof.detector import OnnxFile, WeightsFile, write_bundle
from faceproof.detector.scorers import usable_cores
from faceproof.scanning.scan import scan

# Ray gives its workers a niceness of 15: on a machine that does other work they would wait for it,
# and the bare loop would not. It is read when Ray starts.
os.environ.setdefault("RAY_worker_niceness", "0")

SMALL = 64
PER_FOLDER = 1000
#: The bare loop runs over one picture in so many, at least over so many.
ONE_IN, AT_LEAST = 10, 50
TINY = "tiny"
BRIGHT = Path(__file__).parents[1] / "tests" / "fixtures" / "bright.onnx"
#: A scan in a fresh process; Linux counts memory in KiB.
ONE_SCAN = """
import json, resource, sys, time
from faceproof.scanning.scan import scan
folder, output, options = sys.argv[1:4]
started = time.perf_counter()
found = scan([folder], output, **json.loads(options))
seconds = time.perf_counter() - started
own, other = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
peak = {"own_mib": own.ru_maxrss / 1024, "worker_mib": other.ru_maxrss / 1024}
counts = {"pictures": found.pictures, "errors": found.verdicts.get("error", 0)}
print(json.dumps(counts | {"seconds": seconds} | peak))
"""
Row = dict[str, Any]


def main() -> None:
    """Measure and print."""
    wish = arguments()
    asked = {name: work for name, work in MEASUREMENTS.items() if getattr(wish, name)}
    if not asked:
        raise SystemExit("ask for --pictures N, --growth N,N,... or --kill-node")
    for name, work in asked.items():
        with tempfile.TemporaryDirectory() as folder:
            if wish.detector == TINY:
                wish.detector = str(tiny_detector(Path(folder)))
                rows = work(wish, Path(folder))
                wish.detector = TINY
            else:
                rows = work(wish, Path(folder))
        print_table(name, rows)
        if wish.json:
            add_to(wish.json, {name: {"cores": usable_cores(), "rows": rows}})


def arguments() -> argparse.Namespace:
    """Return the command line's arguments."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--pictures", type=int, metavar="N", help="measure speed over so many")
    parser.add_argument("--growth", type=numbers, metavar="N,N,...", help="measure growth")
    parser.add_argument(
        "--kill-node", type=int, nargs="?", const=2000, metavar="N", help="kill a node of two"
    )
    parser.add_argument("--detector", default="default", help=f"name, folder, or {TINY}")
    parser.add_argument("--engine", nargs="+", default=["local", "ray"], help="of --pictures")
    parser.add_argument("--side", type=int, default=256, help="px; of --growth always 64")
    parser.add_argument("--json", type=Path, help="add the figures to this file")
    return parser.parse_args()


def numbers(text: str) -> list[int]:
    """Return the numbers of an option.

    >>> numbers("1000,20000")
    [1000, 20000]
    """
    return [int(word) for word in text.split(",")]


def tiny_detector(folder: Path) -> Path:
    """Return the folder of the default detector with a mean of the input in place of networks."""
    weights = save({"scale": np.float32([4.0]), "bias": np.float32([0.5])})
    (first, *_) = Detector.load("default").spec.members
    member = first.model_copy(
        update={
            "name": "bright",
            "weights": WeightsFile(name="bright.safetensors", sha256="0" * 64),
            "onnx": OnnxFile(name="bright.onnx", sha256="0" * 64),
        }
    )
    spec = Detector.load("default").spec.model_copy(update={"name": TINY, "members": (member,)})
    files = {"bright.onnx": BRIGHT.read_bytes(), "bright.safetensors": weights, "CARD.md": b"tiny"}
    return write_bundle(folder / "detector", spec, files).folder


def make_pictures(folder: Path, side: int, count: int) -> list[Path]:
    """Return ``count`` pictures in folders of 1,000; 500 differ, the others are copies."""
    different = list(made(make_folder(folder / "0"), side, min(count, 500)))
    data = [path.read_bytes() for path in different]
    paths = list(different)
    for number in range(len(different), count):
        path = make_folder(folder / str(number // PER_FOLDER)) / f"copy-{number:07}.jpg"
        path.write_bytes(data[number % len(data)])
        paths.append(path)
    return paths


def make_folder(folder: Path) -> Path:
    """Return a folder that exists."""
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def measure_speed(wish: argparse.Namespace, folder: Path) -> list[Row]:
    """Return the pictures a second of the bare loop and of the engines."""
    paths = make_pictures(folder / "pictures", wish.side, wish.pictures)
    sample = paths[: max(len(paths) // ONE_IN, AT_LEAST)]
    checker = Checker(Detector.load(wish.detector))
    list(checker.check_many(paths[:8]))
    rows = [bare_loop(checker, sample)]
    for engine in wish.engine:
        options = {"detector": wish.detector, "engine": engine}
        found = scan_apart(folder / "pictures", folder / engine, options)
        require_all(found, len(paths))
        row = speed_row(engine, len(paths), found["seconds"])
        sizes = {
            "picture_bytes": round(sum(path.stat().st_size for path in paths) / len(paths)),
            "row_bytes": round(row_bytes(folder / engine / "results")),
        }
        rows += [row | sizes, bare_loop(checker, sample)]
    return add_ratios(rows)


def row_bytes(folder: Path) -> float:
    """Return the compressed bytes of a row, without the footers of the files of results."""
    files = [parquet.read_metadata(path) for path in folder.glob("*.parquet")]
    groups = [file.row_group(number) for file in files for number in range(file.num_row_groups)]
    columns = [group.column(place) for group in groups for place in range(group.num_columns)]
    return sum(one.total_compressed_size for one in columns) / sum(one.num_rows for one in files)


def bare_loop(checker: Checker, paths: Sequence[Path]) -> Row:
    """Return the speed of the bare loop."""
    started = time.perf_counter()
    count = sum(1 for _ in checker.check_many(paths))
    return speed_row("bare loop", count, time.perf_counter() - started)


def speed_row(what: str, count: int, seconds: float) -> Row:
    """Return a row of the table of speed."""
    rate = round(count / seconds, 2)
    measured = {"pictures": count, "seconds": round(seconds, 2), "a_second": rate}
    return {"what": what} | measured | {"picture_bytes": "", "row_bytes": ""}


def add_ratios(rows: list[Row]) -> list[Row]:
    """Return rows, every other one of the bare loop, with ratios to the mean of those beside.

    >>> found = add_ratios([{"a_second": 10}, {"a_second": 9}, {"a_second": 8}])
    >>> [row["ratio"] for row in found]
    ['', 1.0, '']
    """
    ratios: list[float | str] = [""] * len(rows)
    for place in range(1, len(rows), 2):
        beside = (rows[place - 1]["a_second"] + rows[place + 1]["a_second"]) / 2
        ratios[place] = round(rows[place]["a_second"] / beside, 3)
    return [row | {"ratio": ratio} for row, ratio in zip(rows, ratios, strict=True)]


def scan_apart(pictures: Path, output: Path, options: Row) -> Row:
    """Return seconds, pictures, errors and peak memory of a scan in a fresh process."""
    command = [sys.executable, "-c", ONE_SCAN, str(pictures), str(output), json.dumps(options)]
    done = subprocess.run(command, check=False, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise SystemExit(f"a scan ended with {done.returncode}")
    found: Row = json.loads(done.stdout.splitlines()[-1])
    return found


def require_all(found: Row, count: int) -> None:
    """Exit with 1 unless each picture was checked; the speed of errors is none."""
    if found["pictures"] != count or found["errors"]:
        raise SystemExit(f"{count} pictures, but {found}")


def measure_growth(wish: argparse.Namespace, folder: Path) -> list[Row]:
    """Return seconds and peak memory for each number of pictures."""
    options = {"detector": str(tiny_detector(folder / "tiny")), "faces": "whole"}
    rows = []
    for count in wish.growth:
        pictures, output = folder / f"{count}", folder / f"{count}-out"
        make_pictures(pictures, SMALL, count)
        found = scan_apart(pictures, output, options)
        require_all(found, count)
        figures = {name: round(found[name], 1) for name in ("seconds", "own_mib", "worker_mib")}
        each = {"ms_a_picture": round(1000 * found["seconds"] / count, 3)}
        rows.append({"pictures": count} | figures | each)
    return rows


def measure_killed_node(wish: argparse.Namespace, folder: Path) -> list[Row]:
    """Return what is left of a scan of which one of two nodes is killed half-way: everything."""
    import ray
    from ray.cluster_utils import Cluster

    paths = make_pictures(folder / "pictures", wish.side, wish.kill_node)
    output = folder / "out"
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    other = cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()
    killed: list[float] = []
    watching = threading.Event()
    kill = partial(cluster.remove_node, other, allow_graceful=False)
    killer = threading.Thread(
        target=kill_half_way, args=(kill, output, wish.kill_node, killed, watching)
    )
    killer.start()
    started = time.perf_counter()
    try:
        scan(
            [folder / "pictures"],
            output,
            detector=wish.detector,
            engine="ray",
            address=cluster.address,
            part_seconds=1.0,
        )
    finally:
        watching.set()
        killer.join()
        ray.shutdown()
        cluster.shutdown()
    seconds = time.perf_counter() - started
    results = pl.read_parquet(output / "results" / "*.parquet")
    sources = results["source"]
    faults = {
        "lost": len(set(map(str, paths)) - set(sources)),
        "judged twice": len(sources) - sources.n_unique(),
        "errors": results.filter(pl.col("status") == "error").height,
    }
    row = {"pictures": len(paths), "rows": len(sources)} | faults
    if any(faults.values()) or not killed or killed[0] >= 1:
        raise SystemExit(f"{row}, node killed at {killed} of the pictures")
    return [row | {"killed at": killed[0], "seconds": round(seconds, 1)}]


def kill_half_way(
    kill: Callable[[], object],
    output: Path,
    count: int,
    killed: list[float],
    ended: threading.Event,
) -> None:
    """Kill a node when half of the pictures have results; note at which share."""
    while not ended.wait(0.2):
        parts = list((output / "results").glob("part-*.parquet"))
        rows = pl.scan_parquet(parts).select(pl.len()).collect().item() if parts else 0
        if rows >= count / 2:
            kill()
            killed.append(round(rows / count, 3))
            return


def print_table(what: str, rows: list[Row]) -> None:
    """Print the measurements as a Markdown table."""
    names = list(rows[0])
    print(f"\n{what}, {usable_cores()} usable cores\n")
    print(f"| {' | '.join(names)} |")
    print("|---" * len(names) + "|")
    for row in rows:
        print(f"| {' | '.join(str(row[name]) for name in names)} |")


def add_to(file: Path, figures: Row) -> None:
    """Add figures to a JSON file; those of the same name are replaced."""
    known = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    file.write_text(json.dumps(known | figures, indent=2) + "\n", encoding="utf-8")


#: What an option asks for.
MEASUREMENTS = {
    "pictures": measure_speed,
    "growth": measure_growth,
    "kill_node": measure_killed_node,
}


if __name__ == "__main__":
    main()
