"""faceproof scan as processes: killed ten times, and on both engines with the same rows."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pl = pytest.importorskip("polars")
pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

from support.scanning import picture, write_pictures, write_tar  # noqa: E402

pytestmark = pytest.mark.slow

#: Small files of results, so that each kill finds some.
SCAN = """
import sys
from faceproof.scanning.scan import scan
inputs, output, detector = sys.argv[1:4]
scan([inputs], output, detector=detector, faces="whole", resume=True, workers=1, part_rows=1)
"""
KILLS, PICTURES = 10, 640


@pytest.mark.skipif(os.name == "nt", reason="process groups of POSIX")
def test_after_ten_kills_no_picture_is_lost_or_judged_twice(tmp_path, tiny_bundle):
    """SIGKILL at random: before the start of the work, within it, and while a file is written."""
    rng = random.Random(15)
    paths = write_many(tmp_path / "a", PICTURES)
    output = tmp_path / "out"
    command = [sys.executable, "-c", SCAN, str(tmp_path / "a"), str(output), str(tiny_bundle)]
    rows_at_kills = []
    for number in range(KILLS):
        process = subprocess.Popen(command, start_new_session=True)
        before = len(parts(output))
        if number % 5:  # each fifth kill comes while the program still starts
            while process.poll() is None and len(parts(output)) == before:
                time.sleep(0.01)
        time.sleep(rng.uniform(0, 0.2))
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        wait_for_end_of_group(process.pid)
        rows_at_kills.append(count(output))
    assert len(set(rows_at_kills)) > KILLS / 2, "most kills came before or after the work"
    assert rows_at_kills[0] < PICTURES
    subprocess.run(command, check=True)
    sources = pl.read_parquet(output / "results" / "*.parquet")["source"].to_list()
    assert sorted(sources) == sorted(map(str, paths))


def write_many(folder: Path, count: int) -> list[Path]:
    """Write pictures that take a few milliseconds each."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 255, (256, 256, 3), np.uint8)).save(folder / "0000.png")
    data = (folder / "0000.png").read_bytes()
    paths = [folder / f"{number:04}.png" for number in range(count)]
    for path in paths:
        path.write_bytes(data)
    return paths


def parts(output: Path) -> list[Path]:
    return list((output / "results").glob("part-*.parquet"))


def count(output: Path) -> int:
    return sum(pq.read_metadata(path).num_rows for path in parts(output))


def wait_for_end_of_group(group: int) -> None:
    """Wait until the processes of a killed scan have ended, which they do by themselves."""
    deadline = time.monotonic() + 60
    with contextlib.suppress(ProcessLookupError):
        while time.monotonic() < deadline:
            os.killpg(group, 0)
            time.sleep(0.02)
        raise AssertionError("processes of the scan go on after it was killed")


def scan_rows(folder: Path, output: str, *words: object) -> tuple[int, list[dict[str, object]]]:
    """Return the exit code of a scan by the command line, and its rows without their times."""
    command = [sys.executable, "-m", "faceproof", "scan", *map(str, words), "-o", output]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=folder)
    assert done.returncode in {0, 1}, done.stderr
    found = pl.read_parquet(folder / output / "results" / "*.parquet")
    rows = found.drop("elapsed_ms").sort("source")
    return done.returncode, rows.to_dicts()


def test_both_engines_give_the_same_rows(tmp_path, tiny_bundle):
    pytest.importorskip("ray")
    paths = write_pictures(tmp_path / "a", 20)
    paths[3].write_bytes(b"")
    write_tar(tmp_path / "s.tar", {f"caf\udce9{n}.png": picture(n) for n in range(5)})
    pq.write_table(pa.table({"x": [picture(n) for n in range(7)]}), tmp_path / "t.parquet")
    words = ["a", "s.tar", "t.parquet", "none*.jpg", "--detector", tiny_bundle, "--faces", "whole"]
    words += ["--workers", "1"]
    local = scan_rows(tmp_path, "local", *words)
    on_ray = scan_rows(tmp_path, "ray", *words, "--engine", "ray")
    assert len(local[1]) == 33
    assert on_ray == local


@pytest.mark.nightly
@pytest.mark.skipif(sys.platform == "win32", reason="no named pipes in the file system")
def test_a_picture_on_which_an_actor_of_ray_hangs_costs_its_row(tmp_path, tiny_bundle):
    """An empty pipe blocks whoever reads it, for the timeout, twice."""
    pytest.importorskip("ray")
    paths = [*write_pictures(tmp_path / "a", 20), tmp_path / "pipe.png"]
    os.mkfifo(paths[-1])
    (tmp_path / "list.txt").write_text("\n".join(map(str, paths)), encoding="utf-8")
    words = ["list.txt", "--detector", tiny_bundle, "--faces", "whole", "--engine", "ray"]
    _, rows = scan_rows(tmp_path, "hangs", *words, "--workers", "1", "--timeout", "10")
    codes = {Path(row["source"]).name: row["error"] and row["error"]["code"] for row in rows}
    assert codes == {path.name: None for path in paths} | {"pipe.png": "check_timeout"}
