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
from faceproof.errors import BundleHashError, WorkerDiedError
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
def test_a_detector_that_cannot_be_loaded_ends_the_run(options):
    lost = options.model_copy(update={"detector": "nowhere"})
    message = "ends while it loads the detector"
    with pytest.raises(WorkerDiedError, match=message), LocalEngine(lost, workers=1):
        pass
