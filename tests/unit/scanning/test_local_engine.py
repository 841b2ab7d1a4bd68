"""The processes of a scan: one that ends costs the row of its picture, and not the run."""

import contextlib
import os
import signal
import sys
import threading
import time
from concurrent.futures.process import BrokenProcessPool

import pytest

pytest.importorskip("pyarrow")

from faceproof.detector import Detector
from faceproof.errors import BundleHashError, CheckTimeoutError, WorkerDiedError
from faceproof.scanning.items import Item
from faceproof.scanning.local_engine import LocalEngine, _Chunk
from faceproof.scanning.worker import CheckOptions
from support.scanning import write_pictures


@pytest.fixture
def options(tiny_bundle):
    detector = Detector.load(tiny_bundle)
    by = {"name": "bright", "version": "1.0", "sha256": detector.sha256}
    return CheckOptions(detector=str(tiny_bundle), operating_point="balanced", faces="whole", by=by)


def test_items_of_a_process_that_ended_are_checked_again_alone(options):
    engine = LocalEngine(options, workers=0)
    items = [Item(name, name) for name in "abc"]
    again = []
    assert engine._take(_Chunk(items), BrokenProcessPool("killed"), again) is None
    assert [(chunk.items, chunk.again) for chunk in again] == [([item], True) for item in items]


def test_an_item_that_ends_two_processes_gets_a_row(options):
    engine = LocalEngine(options, workers=0)
    chunk = _Chunk([Item("a.jpg", "a.jpg").identify()], again=True)
    (row,) = engine._take(chunk, BrokenProcessPool("killed"), []).to_pylist()
    assert (row["source"], row["status"], row["error"]["code"]) == ("a.jpg", "error", "worker_died")
    assert row["input"]["identity"] == chunk.items[0].identity
    (row,) = engine._take(chunk, BundleHashError("changed"), []).to_pylist()
    assert row["error"] == {"code": "bundle_hash", "message": "changed"}
    (row,) = engine._take(
        chunk, CheckTimeoutError("the check took longer than 9 s"), []
    ).to_pylist()
    assert row["error"]["code"] == "check_timeout"
    assert row["error"]["message"].startswith("a.jpg: the check took longer than 9 s, twice")


def test_failures_of_all_pictures_end_the_run(options):
    engine = LocalEngine(options, workers=0)
    chunk = _Chunk([Item("a.jpg", "a.jpg").identify()], again=True)
    for _ in range(19):
        engine._take(chunk, BrokenProcessPool("killed"), [])
    with pytest.raises(WorkerDiedError, match="20 pictures in a row"):
        engine._take(chunk, BrokenProcessPool("killed"), [])


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="no named pipes in the file system")
def test_a_process_that_dies_twice_on_a_picture_costs_its_row(options, tmp_path):
    """A pipe without a writer blocks whoever opens it, until it is killed."""
    paths = write_pictures(tmp_path / "a", 5)
    pipe = tmp_path / "pipe.png"
    os.mkfifo(pipe)
    items = [Item.from_file(str(path)).identify() for path in [*paths[:2], pipe, *paths[2:]]]
    with LocalEngine(options, workers=1) as engine:
        killer = threading.Thread(target=kill_twice, args=(engine, pipe), daemon=True)
        killer.start()
        tables = list(engine.run([items[:4], items[4:]]))
        killer.join(timeout=10)
    rows = [row for table in tables for row in table.to_pylist()]
    assert sorted(row["source"] for row in rows) == sorted(item.source for item in items)
    codes = {row["source"]: row["error"] and row["error"]["code"] for row in rows}
    assert codes == {item.source: None for item in items} | {str(pipe): "worker_died"}


def kill_twice(engine, pipe):
    """Kill the process that opens the pipe, and the one that opens it again."""
    killed = set()
    deadline = time.monotonic() + 120
    while len(killed) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
        running = set(engine._workers[0]._pool._processes or ()) - killed
        with contextlib.suppress(OSError):  # nobody reads
            writer = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
            for pid in running:
                os.kill(pid, signal.SIGKILL)
            killed |= running
            os.close(writer)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="no named pipes in the file system")
def test_a_picture_that_takes_too_long_costs_its_row(options, tmp_path, monkeypatch):
    """An empty pipe blocks whoever reads it; the pictures beside it have verdicts.

    Time passes only while the pipe is read, so that a busy machine changes nothing.
    """
    clock = [0.0]
    monkeypatch.setattr("faceproof.scanning.local_engine.monotonic", lambda: clock[0])
    paths = write_pictures(tmp_path / "a", 5)
    pipe = tmp_path / "pipe.png"
    os.mkfifo(pipe)
    items = [Item.from_file(str(path)).identify() for path in [*paths[:2], pipe, *paths[2:]]]
    with LocalEngine(options, workers=1) as engine:
        passing = threading.Thread(target=pass_time_twice, args=(engine, pipe, clock), daemon=True)
        passing.start()
        tables = list(engine.run([items[:4], items[4:]]))
        passing.join(timeout=10)
    rows = [row for table in tables for row in table.to_pylist()]
    assert sorted(row["source"] for row in rows) == sorted(item.source for item in items)
    codes = {row["source"]: row["error"] and row["error"]["code"] for row in rows}
    assert codes == {item.source: None for item in items} | {str(pipe): "check_timeout"}


def pass_time_twice(engine, pipe, clock):
    """Let 301 s pass when a process reads the pipe, and when the next one does."""
    worker = engine._workers[0]
    deadline = time.monotonic() + 300
    for _ in range(2):
        writer = None
        while writer is None and time.monotonic() < deadline:
            time.sleep(0.05)
            with contextlib.suppress(OSError):  # nobody reads
                writer = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
        time.sleep(1)  # the engine looks twice at the old time
        reader = worker._state[0]
        clock[0] += 301
        while worker._state[0] == reader and time.monotonic() < deadline:
            time.sleep(0.05)
        os.close(writer)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="no named pipes in the file system")
def test_a_scan_that_is_stopped_does_not_wait_for_a_stuck_process(options, tmp_path):
    pipe = tmp_path / "pipe.png"
    os.mkfifo(pipe)
    (path,) = write_pictures(tmp_path / "a", 1)
    chunks = [[Item.from_file(str(one)).identify()] for one in (path, pipe)]
    with LocalEngine(options, workers=1) as engine:
        running = engine.run(chunks)
        assert next(running).num_rows == 1
        running.close()
        started = time.monotonic()
    assert time.monotonic() - started < 60  # the timeout is 300 s


@pytest.mark.slow
def test_a_detector_that_cannot_be_loaded_ends_the_run(options):
    lost = options.model_copy(update={"detector": "nowhere"})
    message = "ends while it loads the detector"
    with pytest.raises(WorkerDiedError, match=message), LocalEngine(lost, workers=1):
        pass
