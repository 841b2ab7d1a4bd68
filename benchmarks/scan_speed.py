"""Speed, memory and losses of `faceproof scan`, locally and on Ray.

    uv run --extra ray python benchmarks/scan_speed.py speed [--count 20000] [--engine local ray]
    uv run --extra scan python benchmarks/scan_speed.py growth [--counts 1000 10000 100000]
    uv run --extra ray python benchmarks/scan_speed.py cluster [--count 2000]

* speed: pictures a second of whole scans, start and summary included, against the bare loop:
  `Checker.check_many` over the same files in one process, on all cores, its results discarded.
* growth: seconds and peak memory of scans of more and more small pictures, each in a fresh process:
  that of the process that lists and writes, and of the largest of the others.
* cluster: a Ray cluster of two nodes on this machine, of which one is killed when half of the
  pictures have results. Fails if a picture is lost or judged twice.

The pictures are those of check_speed.py. Run it on an idle machine. `--json FILE` adds the figures.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from check_speed import made
from faceproof import Checker, Detector
from faceproof.detector.scorers import usable_cores
from faceproof.scanning.scan import scan

SMALL = 64
PER_FOLDER = 1000
#: What `growth` runs in a fresh process; Linux counts memory in KiB.
ONE_SCAN = """
import json, resource, sys, time
from faceproof.scanning.scan import scan
folder, output, detector = sys.argv[1:4]
started = time.perf_counter()
scan([folder], output, detector=detector, faces="whole")
seconds = time.perf_counter() - started
own, other = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
peak = {"own_mib": own.ru_maxrss / 1024, "worker_mib": other.ru_maxrss / 1024}
print(json.dumps({"seconds": seconds} | peak))
"""


def main() -> None:
    """Measure and print."""
    wish = arguments()
    with tempfile.TemporaryDirectory() as folder:
        rows = MEASUREMENTS[wish.what](wish, Path(folder))
    print_table(rows)
    if wish.json:
        report = {"what": wish.what, "cores": usable_cores(), "rows": rows}
        wish.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


def arguments() -> argparse.Namespace:
    """Return the command line's arguments."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("what", choices=sorted(MEASUREMENTS))
    parser.add_argument("--detector", default="default", help="name or folder")
    parser.add_argument("--count", type=int, default=20_000, help="pictures of speed and cluster")
    parser.add_argument("--counts", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--engine", nargs="+", default=["local", "ray"], help="engines of speed")
    parser.add_argument("--side", type=int, default=256, help="px of the pictures of speed")
    parser.add_argument("--json", type=Path, help="write the figures there too")
    return parser.parse_args()


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


def measure_speed(wish: argparse.Namespace, folder: Path) -> list[dict[str, Any]]:
    """Return the pictures a second of the bare loop and of the engines."""
    paths = make_pictures(folder / "pictures", wish.side, wish.count)
    checker = Checker(Detector.load(wish.detector))
    list(checker.check_many(paths[:8]))
    rows = [{"what": "bare loop"} | rate(lambda: sum(1 for _ in checker.check_many(paths)))]
    for engine in wish.engine:
        output = folder / engine

        def run(engine: str = engine, output: Path = output) -> int:
            found = scan([folder / "pictures"], output, detector=wish.detector, engine=engine)
            return found.pictures

        rows.append({"what": engine} | rate(run))
    bare = rows[0]["a_second"]
    return [row | {"ratio": round(row["a_second"] / bare, 3)} for row in rows]


def rate(work: Any) -> dict[str, Any]:
    """Return pictures, seconds and pictures a second of what returns a number of pictures."""
    started = time.perf_counter()
    count = work()
    seconds = time.perf_counter() - started
    return {"pictures": count, "seconds": round(seconds, 2), "a_second": round(count / seconds, 2)}


def measure_growth(wish: argparse.Namespace, folder: Path) -> list[dict[str, Any]]:
    """Return seconds and peak memory for each number of pictures."""
    rows = []
    for count in wish.counts:
        pictures, output = folder / f"{count}", folder / f"{count}-out"
        make_pictures(pictures, SMALL, count)
        command = [sys.executable, "-c", ONE_SCAN, str(pictures), str(output), wish.detector]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        found = json.loads(done.stdout.splitlines()[-1])
        figures = {name: round(value, 1) for name, value in found.items()}
        each = {"ms_a_picture": round(1000 * found["seconds"] / count, 3)}
        rows.append({"pictures": count} | figures | each)
    return rows


def measure_cluster(wish: argparse.Namespace, folder: Path) -> list[dict[str, Any]]:
    """Return what is left of a scan of which one of two nodes is killed half-way: everything."""
    import ray
    from ray.cluster_utils import Cluster

    paths = make_pictures(folder / "pictures", wish.side, wish.count)
    output = folder / "out"
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    other = cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()
    killed: list[float] = []
    watching = threading.Event()
    kill = partial(cluster.remove_node, other, allow_graceful=False)
    killer = threading.Thread(
        target=kill_half_way, args=(kill, output, wish.count, killed, watching)
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
    sources = pl.read_parquet(output / "results" / "*.parquet")["source"]
    lost, twice = len(set(map(str, paths)) - set(sources)), len(sources) - sources.n_unique()
    row = {"pictures": len(paths), "rows": len(sources), "lost": lost, "judged twice": twice}
    if lost or twice or not killed:
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


def print_table(rows: list[dict[str, Any]]) -> None:
    """Print the measurements as a Markdown table."""
    names = list(rows[0])
    print(f"{usable_cores()} usable cores\n")
    print(f"| {' | '.join(names)} |")
    print("|---" * len(names) + "|")
    for row in rows:
        print(f"| {' | '.join(str(row[name]) for name in names)} |")


MEASUREMENTS = {"speed": measure_speed, "growth": measure_growth, "cluster": measure_cluster}


if __name__ == "__main__":
    main()
