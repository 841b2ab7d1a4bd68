"""faceproof scan: options, messages, exit codes, the progress and its total."""

import io
import time

import pytest
from typer.testing import CliRunner

pytest.importorskip("pyarrow")
pytest.importorskip("polars")

from faceproof.cli import app
from faceproof.cli.scan import _scan_progress
from faceproof.scanning.scan import ENGINES
from support.scanning import InlineEngine, write_pictures


@pytest.fixture
def scan(monkeypatch, tiny_bundle, tmp_path):
    """Return the function that calls the command in this process."""
    monkeypatch.setitem(ENGINES, "local", (InlineEngine, 4))

    def call(*words: object):
        given = ["scan", *map(str, words), "-o", str(tmp_path / "out"), "-d", str(tiny_bundle)]
        return CliRunner().invoke(app, [*given, "--faces", "whole"])

    return call


def test_the_summary_and_the_exit_codes(scan, tmp_path):
    paths = write_pictures(tmp_path / "a", 4)
    done = scan(tmp_path / "a")
    assert done.exit_code == 0
    assert done.stdout == ""
    assert done.stderr.startswith("4 pictures: ")
    assert "4 checked now in" in done.stderr
    assert str(tmp_path / "out" / "summary.html") in done.stderr.replace("\n", "")
    assert scan(tmp_path / "a").exit_code == 2
    paths[0].write_bytes(b"no picture")
    again = scan(tmp_path / "a", "--resume", "--quiet")
    assert (again.exit_code, again.output) == (1, "")


def test_scorer_device_and_timeout_reach_the_engine(scan, tmp_path, monkeypatch):
    seen = []

    def note(options, *_):
        seen.append((options.scorer, options.device, options.timeout))
        return InlineEngine(options)

    monkeypatch.setitem(ENGINES, "local", (note, 4))
    write_pictures(tmp_path / "a", 1)
    done = scan(tmp_path / "a", "--scorer", "onnxruntime", "--device", "cpu", "--timeout", "2.5")
    assert done.exit_code == 0
    monkeypatch.setenv("FACEPROOF_SCORER", "torch")
    refused = scan(tmp_path / "a", "--resume")
    assert refused.exit_code == 2
    assert "scorer onnxruntime there, torch now" in " ".join(refused.stderr.split())
    assert seen == [("onnxruntime", "cpu", 2.5)]


def test_a_signal_prints_the_command_that_continues(scan, tmp_path, monkeypatch):
    write_pictures(tmp_path / "a", 1)

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(InlineEngine, "run", stop)
    monkeypatch.setattr("sys.argv", ["faceproof", "scan", "a b", "-o", "out"])
    done = scan(tmp_path / "a")
    assert done.exit_code == 130
    assert "stopped; next: faceproof scan 'a b' -o out --resume" in done.stderr


def test_the_bar_has_rate_total_and_time_left(monkeypatch):
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    monkeypatch.setattr("sys.stderr", terminal)
    with _scan_progress(quiet=False) as progress:
        progress.start(3, [[1, 2], [3, 4, 5]])
        task = progress._progress.tasks[0]
        for _ in range(100):
            if task.total is not None:
                break
            time.sleep(0.01)
        progress.advance([1, 2])
        assert (task.completed, task.total, progress.checked) == (5, 5, 2)
    assert "5/5" in terminal.getvalue()


def test_there_is_no_bar_in_a_pipe(capsys):
    with _scan_progress(quiet=False) as progress:
        progress.start(0, [[1]])
        progress.advance([1])
    assert progress.checked == 1
    assert capsys.readouterr().err == ""
