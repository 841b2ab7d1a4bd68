"""What the verbs write: nothing of the user's is lost, on a full disk or after a signal either."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
import pytest
from PIL import Image

from faceproof.checker import Checker
from faceproof.cli import main

COMMAND = (sys.executable, "-c", "from faceproof.cli import main; main()")
needs_posix = pytest.mark.skipif(os.name == "nt", reason="devices and signals of POSIX")
TEXT_FORMATS = ("table", "json", "jsonl", "csv")


class Answer(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def work(tmp_path: Path, tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with two pictures, and a detector beside it."""
    folder = tmp_path / "work"
    folder.mkdir()
    for number in range(2):
        grain = np.random.default_rng(number).integers(0, 255, (48, 48, 3), np.uint8)
        Image.fromarray(grain).save(folder / f"{number}.jpg")
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def faceproof(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., Answer]:
    """Run the command in this process."""

    def run(*arguments: object) -> Answer:
        monkeypatch.setattr(sys, "argv", ["faceproof", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            main()
        return Answer(int(stop.value.code or 0), *capfd.readouterr())

    return run


@pytest.fixture
def check(faceproof: Callable[..., Answer], tiny_bundle: Path) -> Callable[..., Answer]:
    return lambda *words: faceproof("check", "--faces", "whole", "-d", tiny_bundle, *words)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# an output is never an input


@pytest.mark.parametrize(
    "words",
    [
        ("1.jpg", "-o", "0.jpg"),
        ("1.jpg", "-f", "json", "-o", "0.jpg"),
        ("1.jpg", "-f", "json", "-o", "1.jpg"),
        ("raw", "-f", "json", "-o", "raw"),
        ("r*", "-f", "json", "-o", "raw"),
        ("1.jpg", "-f", "json", "-o", "raw"),
        ("1.jpg", "-f", "json", "-o", "hard.json"),
        ("1.jpg", "-f", "json", "-o", "link.json"),
        ("1.jpg", "--report", "hard.json.html"),
        ("1.jpg", "-o", "new.txt", "--report", "new.txt"),
        ("notes.txt", "-o", "notes.txt"),
    ],
)
def test_check_touches_nothing_of_the_users(work, check, words):
    (work / "raw").write_bytes((work / "0.jpg").read_bytes())
    (work / "notes.txt").write_text("precious")
    os.link(work / "1.jpg", work / "hard.json")
    os.link(work / "1.jpg", work / "hard.json.html")
    (work / "link.json").symlink_to("1.jpg")
    before = contents(work)
    answer = check(*words)
    assert (answer.code, answer.out) == (2, "")
    assert len(answer.err.splitlines()) == 1
    assert contents(work) == before
    assert (work / "link.json").is_symlink()


@needs_posix
@pytest.mark.parametrize("words", [("-", "-o", "list.txt"), ("-",)])
def test_the_list_on_standard_input_is_no_output(work, tiny_bundle, words):
    """``check - -o list.txt < list.txt``, and ``check - < list.txt >> list.txt``."""
    (work / "list.txt").write_text("0.jpg\n")
    with (work / "list.txt").open("rb") as given, (work / "list.txt").open("ab") as taken:
        done = subprocess.run(
            [*COMMAND, "check", "-d", str(tiny_bundle), *words],
            stdin=given,
            stdout=taken,
            stderr=subprocess.PIPE,
            timeout=60,
            check=False,
        )
    assert done.returncode == 2
    assert b"would overwrite the input standard input" in done.stderr
    assert (work / "list.txt").read_text() == "0.jpg\n"


@pytest.fixture
def manifest(work) -> Path:
    """A manifest in a folder of its own, which is also the name of what the verbs write."""
    folder = work / "set"
    folder.mkdir()
    rows = "path,label,generator,source,split,group,sha256\n"
    (folder / "m.csv").write_text(f"{rows}../0.jpg,real,none,home,,a,{'a' * 64}\n")
    (folder / "table.csv").write_text("path,label\n../0.jpg,real\n")
    (folder / "precious.txt").write_text("precious")
    (folder / "leave-one-source-out-home.csv").write_text(rows)
    (folder / "feedback.jsonl").write_text("")
    return folder


IMPORT = ("data", "import", "table.csv", "-l", "columns")


@pytest.mark.parametrize(
    "words",
    [
        (*IMPORT, "-o", "table.csv"),
        (*IMPORT, "-o", "new.parquet", "--problems", "table.csv"),
        (*IMPORT, "-o", "new.parquet", "--problems", "precious.txt"),
        (*IMPORT, "-o", "new.parquet", "--problems", "new.parquet"),
        (*IMPORT, "-o", "new.parquet", "--extract", "."),
        ("data", "split", "m.csv", "-o", "m.csv"),
        ("data", "split", "leave-one-source-out-home.csv", "-o", "n.csv", "--protocols", "."),
        ("data", "inspect", "m.csv", "--report", "m.csv"),
        ("feedback", "export", "--database", "feedback.jsonl", "-o", "feedback.jsonl"),
    ],
)
def test_other_verbs_touch_nothing_of_the_users(manifest, faceproof, monkeypatch, words):
    pytest.importorskip("sqlalchemy")
    monkeypatch.chdir(manifest)
    before = contents(manifest)
    answer = faceproof(*words)
    assert answer.code == 2, answer.err
    assert contents(manifest) == before


@pytest.mark.parametrize("words", [(), ("--anew",)])
def test_a_prepared_folder_is_no_input_of_itself(work, faceproof, words):
    prepared = work / "prepared"
    prepared.mkdir()
    pl.DataFrame({"path": ["0.png"]}).write_parquet(prepared / "manifest.parquet")
    before = contents(prepared)
    answer = faceproof("data", "prepare", prepared / "manifest.parquet", "-o", prepared, *words)
    assert answer.code == 2
    assert "would overwrite the input" in answer.err
    assert contents(prepared) == before


def test_an_evaluation_does_not_replace_its_manifest(work, faceproof, tiny_bundle):
    pl.DataFrame({"path": ["0.jpg"]}).write_parquet(work / "predictions.parquet")
    answer = faceproof(
        *("evaluate", "-d", tiny_bundle, "--data", "predictions.parquet", "-o", work)
    )
    assert (answer.code, "would overwrite the input" in answer.err) == (2, True)


@pytest.mark.train
@pytest.mark.parametrize("verb", ["export", "combine", "update"])
def test_a_detector_does_not_replace_itself(work, faceproof, tiny_bundle, verb):
    words = {
        "export": ("export", "-d", tiny_bundle, "-o", tiny_bundle),
        "combine": ("train", "combine", tiny_bundle, tiny_bundle, "-o", tiny_bundle),
        "update": (*("update", "-d", "run/bundle", "--data", "m.csv", "--no-replay", "-o", "run"),),
    }[verb]
    (work / "run").mkdir()
    (work / "run" / "bundle").symlink_to(tiny_bundle)
    before = contents(tiny_bundle)
    answer = faceproof(*words)
    assert (answer.code, "would overwrite the input" in answer.err) == (2, True), answer.err
    assert contents(tiny_bundle) == before


# a full disk


@needs_posix
@pytest.mark.parametrize("format_", TEXT_FORMATS)
def test_a_full_disk_is_one_line(work, check, format_):
    answer = check("0.jpg", "1.jpg", "-f", format_, "-o", "/dev/full")
    assert (answer.code, answer.out) == (1, "")
    assert answer.err.startswith("faceproof: /dev/full cannot be written: No space left on device")
    assert len(answer.err.splitlines()) == 1


@needs_posix
@pytest.mark.parametrize(
    "words", [("check", "0.jpg"), ("detectors", "list"), ("--version",), ("check", "--help")]
)
def test_a_full_disk_behind_standard_output_is_one_line(work, words):
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [*COMMAND, *words], stdout=full, stderr=subprocess.PIPE, timeout=60, check=False
        )
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert b"No space left on device" in done.stderr


@needs_posix
@pytest.mark.parametrize(("format_", "named"), [("json", False), ("jsonl", True)])
def test_results_before_the_disk_was_full_are_kept(work, tiny_bundle, format_, named):
    """A limit of the size of files stands for the disk."""
    for number in range(2, 9):
        (work / f"{number}.jpg").write_bytes((work / "0.jpg").read_bytes())
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000)); "
    program = [sys.executable, "-c", limit + "from faceproof.cli import main; main()"]
    words = ["check", ".", "--faces", "whole", "-f", format_, "-d", str(tiny_bundle)]
    with (work / "piped").open("wb") as out:
        done = subprocess.run(
            [*program, *words, *(["-o", "named"] if named else [])],
            stdout=out,
            stderr=subprocess.PIPE,
            timeout=60,
            check=False,
        )
    text = (work / ("named" if named else "piped")).read_text()
    lines = text.split("\n")[:-1]
    results = json.loads(text) if format_ == "json" else list(map(json.loads, lines))
    assert 2 <= len(results) < 9
    assert [one["source"] for one in results] == [f"./{n}.jpg" for n in range(len(results))]
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1), done.stderr
    assert not list(work.glob(".*.part"))


@pytest.mark.parametrize("what", ["--report", "-o"])
def test_other_files_of_check_report_a_full_disk_in_one_line(work, check, monkeypatch, what):
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("faceproof.outputs.os.fsync", full)
    name = {"--report": "case.html", "-o": "rows.parquet"}[what]
    (work / name).write_text("old")
    answer = check("0.jpg", what, name)
    assert answer.code == 1
    assert "No space left on device" in answer.err.splitlines()[-1]
    assert "Traceback" not in answer.err
    assert (work / name).read_text() == "old"


@pytest.mark.parametrize(
    ("verb", "kept"), [("import", "new.parquet"), ("feedback", "out.jsonl"), ("inspect", "r.html")]
)
def test_other_verbs_report_a_full_disk_in_one_line(manifest, faceproof, monkeypatch, verb, kept):
    pytest.importorskip("sqlalchemy")
    monkeypatch.chdir(manifest)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    words = {
        "import": ("data", "import", "one", "-l", "columns", "-o", "new.parquet"),
        "feedback": ("feedback", "export", "--database", "feedback.jsonl", "-o", "out.jsonl"),
        "inspect": ("data", "inspect", "m.csv", "--no-pictures", "--report", "r.html"),
    }[verb]
    if verb == "import":
        (manifest / "one").mkdir()
        (manifest / "one" / "0.jpg").write_bytes(Path("../0.jpg").read_bytes())
        (manifest / "one" / "t.jsonl").write_text('{"path": "0.jpg", "label": "real"}')
    (manifest / kept).write_text("old")
    monkeypatch.setattr("faceproof.outputs.os.fsync", full)
    answer = faceproof(*words)
    assert answer.code == 1
    assert "No space left on device" in answer.err.splitlines()[-1]
    assert "Traceback" not in answer.err
    assert (manifest / kept).read_text() == "old"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES])
def test_a_refusal_of_the_file_system_anywhere_is_one_line(work, faceproof, monkeypatch, number):
    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number), "somewhere/file.bin")

    monkeypatch.setattr("faceproof.detector.detector.locate", refuse)
    monkeypatch.setattr("faceproof.detector.Bundle.read", refuse)
    answer = faceproof("detectors", "show")
    assert answer.code == 1
    assert answer.err.startswith("faceproof: somewhere/file.bin cannot be used: ")
    assert len(answer.err.splitlines()) == 1


# signals


def test_a_file_is_there_whole_or_as_it_was(work, check, monkeypatch):
    (work / "out.json").write_text("old")
    real = Checker.check_many

    def failing(self, sources, **options):
        with closing(real(self, sources, **options)) as results:
            yield next(results)
        assert (work / "out.json").read_text() == "old"
        raise ZeroDivisionError

    monkeypatch.setattr(Checker, "check_many", failing)
    with pytest.raises(ZeroDivisionError):
        check("0.jpg", "-o", "out.json")
    assert len(json.loads((work / "out.json").read_text())) == 1
    assert [path.name for path in work.iterdir() if path.name.startswith(".")] == []


@pytest.fixture
def _interruptible():
    """Ctrl-C raises, also where the tests run in the background of a shell, which ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@needs_posix
@pytest.mark.usefixtures("_interruptible")
@pytest.mark.parametrize("format_", TEXT_FORMATS)
@pytest.mark.parametrize("stop", [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129)])
def test_a_signal_leaves_the_results_so_far(work, check, monkeypatch, format_, stop):
    number, code = stop
    real = Checker.check_many

    def interrupted(self, sources, **options):
        with closing(real(self, sources, **options)) as results:
            yield next(results)
            signal.raise_signal(getattr(signal, number))
            yield from results

    monkeypatch.setattr(Checker, "check_many", interrupted)
    before = signal.getsignal(signal.SIGTERM)
    answer = check("0.jpg", "1.jpg", "-f", format_)
    assert (answer.code, "0.jpg" in answer.out, "1.jpg" in answer.out) == (code, True, False)
    if format_ == "json":
        assert len(json.loads(answer.out)) == 1
    assert signal.getsignal(signal.SIGTERM) is before


@needs_posix
def test_a_signal_before_the_first_result_gives_an_empty_array(work, check, monkeypatch):
    """`timeout 2 faceproof check`, while the detector is being loaded."""
    monkeypatch.setattr(
        "faceproof.checker.make_checker", lambda *_, **__: signal.raise_signal(signal.SIGTERM)
    )
    answer = check("0.jpg", "-f", "json")
    assert (answer.code, answer.out, answer.err) == (143, "[]\n", "")


@needs_posix
def test_a_signal_that_is_ignored_stays_ignored(work, check, monkeypatch):
    """`nohup faceproof check`: the terminal is closed, and the run goes on."""
    real = Checker.check_many

    def hung_up(self, sources, **options):
        signal.raise_signal(signal.SIGHUP)
        return real(self, sources, **options)

    monkeypatch.setattr(Checker, "check_many", hung_up)
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert check("0.jpg", "-f", "json").code == 0
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


@needs_posix
def test_sigterm_from_outside_ends_a_run_with_a_valid_array(work, tiny_bundle):
    for number in range(2, 400):
        os.link(work / "0.jpg", work / f"{number:03}.jpg")
    command = [*COMMAND, "check", ".", "--faces", "whole", "-f", "json", "-d", str(tiny_bundle)]
    with (work / "out.json").open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.PIPE)
        end = time.monotonic() + 60
        while (work / "out.json").stat().st_size < 3000 and time.monotonic() < end:
            time.sleep(0.01)
        process.terminate()
        err = process.communicate(timeout=60)[1]
    assert (process.returncode, b"Traceback" in err) == (143, False), err
    assert 1 <= len(json.loads((work / "out.json").read_text())) < 400
