"""The command line as its users meet it: what is printed where, and the exit code."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import cv2
import pytest
from PIL import Image
from skimage import data

from faceproof.checker import Checker
from faceproof.cli import doctor, main
from faceproof.cli.output import shorten_promise
from faceproof.detector import detector as detector_module
from faceproof.installation import install_command, this_installation
from faceproof.results import CheckResult

COMMAND = (sys.executable, "-c", "from faceproof.cli import main; main()")


class Answer(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def pictures(tmp_path: Path, tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a default detector that calls bright faces fake."""
    embedded = tmp_path / "embedded"
    embedded.mkdir()
    tiny_bundle.rename(embedded / "default")
    monkeypatch.setattr(detector_module, "EMBEDDED", embedded)
    folder = tmp_path / "work" / "pictures"
    folder.mkdir(parents=True)
    astronaut = data.astronaut()[:320, 60:380]
    for name, light in (("bright.png", 1.6), ("dark.jpg", 0.4)):
        Image.fromarray(cv2.convertScaleAbs(astronaut, alpha=light)).save(folder / name)
    Image.new("RGB", (64, 64), "grey").save(folder / "wall.webp")
    (folder / "notes.txt").write_text("no picture")
    monkeypatch.chdir(folder.parent)
    return folder


@pytest.fixture
def faceproof(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., Answer]:
    """Run the command in this process."""

    def run(*arguments: str, stdin: bytes = b"") -> Answer:
        monkeypatch.setattr(sys, "argv", ["faceproof", *arguments])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        with pytest.raises(SystemExit) as stop:
            main()
        return Answer(int(stop.value.code or 0), *capfd.readouterr())

    return run


def start(folder: Path, *arguments: str, **wishes: object) -> subprocess.Popen[bytes]:
    """Start the command in a process of its own, with the test's detector."""
    command = [*COMMAND, *arguments, "--detector", str(folder.parents[1] / "embedded" / "default")]
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    return subprocess.Popen(command, **(pipes | wishes))


def verdicts(jsonl: str) -> dict[str, str | None]:
    """Return the verdict of each source."""
    results = [CheckResult.model_validate_json(line) for line in jsonl.splitlines()]
    return {Path(result.source).name: result.verdict for result in results}


# what is printed


def test_a_folder_as_a_table(pictures, faceproof):
    answer = faceproof("check", "pictures")
    head, bright, dark, wall = answer.out.splitlines()
    assert head.split() == ["picture", "face", "verdict", "fake", "cautions"]
    assert bright.split()[:4] == [str(Path("pictures", "bright.png")), "1/1", "looks", "fake"]
    assert dark.split()[2:7] == ["no", "sign", "of", "a", "fake"]
    assert wall.endswith("no face found")
    assert [line.index(word) for line, word in ((head, "verdict"), (dark, "no sign"))] == [
        head.index("verdict")
    ] * 2
    counts = "looks fake 1, no sign of a fake 1, no face found 1 (1 other file skipped)"
    assert re.fullmatch(rf"3 sources in \d+\.\d s: {re.escape(counts)}", answer.err.splitlines()[0])
    promise = "bright 1.0, balanced: at most 1 real face in 100 called fake"
    assert answer.err.splitlines()[1] == promise
    assert answer.code == 0
    assert "\x1b" not in answer.out + answer.err


def test_json_is_one_array_and_csv_has_a_row_for_each_face(pictures, faceproof):
    results = json.loads(faceproof("check", "pictures", "--format", "json").out)
    rows = list(csv.DictReader(io.StringIO(faceproof("check", "pictures", "-f", "csv").out)))
    assert [result["verdict"] for result in results] == ["fake", "real", None]
    assert [row["verdict"] for row in rows] == ["fake", "real", ""]
    assert [float(row["fake_probability"] or -1) for row in rows] == [
        result["fake_probability"] or -1 for result in results
    ]
    assert [row["status"] for row in rows] == ["ok", "ok", "no_face"]


def test_results_go_to_a_file(pictures, faceproof):
    answer = faceproof("check", "pictures", "-f", "jsonl", "-o", "out.jsonl")
    assert (answer.code, answer.out) == (0, "")
    written = Path("out.jsonl").read_text(encoding="utf-8")
    assert verdicts(written) == {"bright.png": "fake", "dark.jpg": "real", "wall.webp": None}


def test_a_file_that_cannot_be_written_is_wrong_usage(pictures, faceproof):
    answer = faceproof("check", "pictures", "-o", str(Path("nowhere", "out.json")))
    assert answer.code == 2
    assert "cannot be written: No such file or directory" in answer.err


def test_strange_names_survive(pictures, faceproof):
    names = ["zażółć 日本.jpg", "a,b;\"c'.jpg", "[red]x[-1].jpg"]
    if sys.platform == "linux":
        names += ["new\nline\x1b[31m.jpg", os.fsdecode(b"caf\xe9.jpg")]
    for name in names:
        (pictures / name).write_bytes((pictures / "wall.webp").read_bytes())
    shown = [name.replace("\udce9", r"\xe9") for name in sorted(names)]
    paths = [f"pictures/{name}" for name in sorted(names)]
    lines = faceproof("check", *paths, "-f", "jsonl").out.splitlines()
    rows = csv.DictReader(io.StringIO(faceproof("check", *paths, "-f", "csv").out))
    table = faceproof("check", *paths).out
    assert [Path(json.loads(line)["source"]).name for line in lines] == shown
    assert [Path(row["source"]).name for row in rows] == shown
    assert table.count("no face found") == len(names)
    assert "\x1b" not in table
    assert len(table.splitlines()) == len(names) + 1


# which sources


def test_patterns_are_expanded_here_too(pictures, faceproof):
    answer = faceproof("check", "pictures/*.[jp]*g", "pictures/*.bmp", "-f", "jsonl")
    assert verdicts(answer.out) == {"bright.png": "fake", "dark.jpg": "real", "*.bmp": None}
    assert answer.code == 1


@pytest.mark.parametrize(("option", "end"), [((), b"\n"), ((), b"\r\n"), (("--null",), b"\0")])
def test_names_on_standard_input(pictures, faceproof, option, end):
    names = end.join([b"pictures/dark.jpg", b"", b"pictures"])
    answer = faceproof("check", "-", "-f", "jsonl", *option, stdin=names)
    assert len(answer.out.splitlines()) == 4
    assert "4 sources" in answer.err
    assert "1 other file skipped" in answer.err


def test_standard_input_can_stand_among_others_but_once(pictures, faceproof):
    answer = faceproof(
        *("check", "pictures/wall.webp", "-", "pictures/bright.png", "-f", "jsonl"),
        stdin=b"pictures/dark.jpg",
    )
    assert list(verdicts(answer.out)) == ["wall.webp", "dark.jpg", "bright.png"]
    assert faceproof("check", "-", "-").code == 2


def test_an_address_that_is_not_public_is_a_result_with_an_error(pictures, faceproof):
    answer = faceproof("check", "http://127.0.0.1/a.jpg", "-f", "jsonl")
    (line,) = answer.out.splitlines()
    assert json.loads(line)["error"]["code"] == "address_refused"
    assert answer.code == 1


def test_the_whole_picture_and_the_largest_face(pictures, faceproof):
    whole = faceproof("check", "pictures/wall.webp", "--faces", "whole", "-f", "jsonl")
    assert json.loads(whole.out)["faces"][0]["landmarks"] is None
    assert faceproof("check", "pictures/dark.jpg", "--faces", "largest").code == 0


# exit codes


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["pictures"], 0),
        (["pictures", "nowhere.jpg"], 1),
        (["pictures/notes.txt"], 1),
        (["pictures", "--fail-on", "fake"], 3),
        (["pictures", "nowhere.jpg", "--fail-on", "fake"], 3),
        (["pictures/dark.jpg", "--fail-on", "unsure"], 0),
        (["pictures/bright.png", "--fail-on", "unsure"], 3),
        (["pictures/bright.png", "--at", "strict", "--fail-on", "unsure"], 3),
        (["pictures/bright.png", "--at", "strict", "--fail-on", "fake"], 0),
        ([], 2),
        (["pictures", "--wrong"], 2),
    ],
)
def test_exit_codes(pictures, faceproof, arguments, code):
    assert faceproof("check", *arguments).code == code


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--format", "jsn"], "unknown format 'jsn', did you mean 'json'"),
        (["--faces", "bigest"], "unknown choice of faces 'bigest', did you mean 'largest'"),
        (["--at", "stict"], "unknown operating point 'stict', did you mean 'strict'"),
        (["--fail-on", "real"], "unknown --fail-on 'real'"),
        (["--detector", "nowhere"], "no detector 'nowhere'"),
    ],
)
def test_wrong_usage_is_one_line_that_names_the_choices(pictures, faceproof, arguments, message):
    answer = faceproof("check", "pictures", *arguments)
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.startswith(f"faceproof: {message}")
    assert len(answer.err.splitlines()) == 1


@pytest.mark.parametrize("format_", ["table", "json", "jsonl", "csv"])
def test_ctrl_c_leaves_what_was_finished(pictures, faceproof, monkeypatch, format_):
    real = Checker.check_many

    def interrupted(self, sources, **options):
        with closing(real(self, sources, **options)) as results:
            yield next(results)
            raise KeyboardInterrupt

    monkeypatch.setattr(Checker, "check_many", interrupted)
    answer = faceproof("check", "pictures", "-f", format_)
    assert answer.code == 130
    assert ": looks fake 1" in answer.err
    assert "bright.png" in answer.out
    assert "dark.jpg" not in answer.out
    if format_ == "json":
        assert len(json.loads(answer.out)) == 1


# processes, pipes and signals


needs_posix = pytest.mark.skipif(sys.platform == "win32", reason="signals and pipes of POSIX")


@needs_posix
def test_a_slow_writer_is_answered_at_once_and_ctrl_c_ends_it(pictures):
    with start(pictures, "check", "-", "-f", "jsonl") as process:
        process.stdin.write(b"pictures/dark.jpg\n")
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["verdict"] == "real"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=600)
    assert (process.returncode, out) == (130, b"")
    assert err.decode().startswith("1 source in ")
    assert b"Traceback" not in err


@needs_posix
def test_a_reader_that_goes_is_no_error(pictures):
    with start(pictures, "check", "-", "-f", "jsonl") as process:
        process.stdin.write(b"pictures/wall.webp\n")
        process.stdin.flush()
        assert process.stdout.readline()
        process.stdout.close()
        process.stdin.write(b"pictures/wall.webp\n" * 5)
        process.stdin.close()
        err = process.stderr.read()
    assert (process.returncode, err) == (141, b"")


@needs_posix
def test_the_bar_is_on_the_terminal_and_the_results_are_in_the_pipe(pictures):
    import pty

    ours, theirs = pty.openpty()
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "80"}
    with start(pictures, "check", "pictures", stderr=theirs, env=environment) as process:
        os.close(theirs)
        out, _ = process.communicate(timeout=600)
    shown = b""
    try:
        while chunk := os.read(ours, 65536):
            shown += chunk
    except OSError:  # Linux: the other end is closed
        pass
    os.close(ours)
    assert "━".encode() in shown
    assert b"3 sources in " in shown
    assert len(out.splitlines()) == 4
    assert b"\x1b" not in out


def test_a_pipe_that_knows_no_unicode_does_not_break_the_table(pictures):
    (pictures / "日本.webp").write_bytes((pictures / "wall.webp").read_bytes())
    environment = os.environ | {"PYTHONIOENCODING": "ascii"}
    with start(pictures, "check", "pictures", env=environment) as process:
        out, err = process.communicate(timeout=600)
    assert process.returncode == 0, err
    assert rb"\u65e5\u672c.webp" in out


# the other verbs


def test_detectors(pictures, faceproof):
    assert faceproof("detectors", "list").out == "default  bright 1.0  MIT\n"
    shown = faceproof("detectors", "show").out
    assert "default point    balanced: at most 1 real face in 100 called fake" in shown
    assert json.loads(faceproof("detectors", "show", "--json").out)["name"] == "bright"
    verified = faceproof("detectors", "verify", "default")
    assert (verified.code, len(verified.out.splitlines())) == (0, 4)


def test_a_detector_with_another_file_is_told(pictures, faceproof):
    card = pictures.parents[1] / "embedded" / "default" / "CARD.md"
    card.write_text("something else")
    answer = faceproof("detectors", "verify")
    assert answer.code == 1
    assert "CARD.md is not the file that detector.json names" in answer.err
    assert faceproof("check", "pictures").code == 1


@pytest.mark.usefixtures("pictures")
def test_the_doctor_finds_nothing_wrong(faceproof, monkeypatch):
    monkeypatch.setattr(doctor, "_torch_devices", lambda: "cpu")
    answer = faceproof("doctor")
    assert answer.code == 0, answer.out
    assert "detector default         bright 1.0, every file verified, runs" in answer.out
    assert answer.out.endswith("Everything that `faceproof check` needs works.\n")


@pytest.mark.usefixtures("pictures")
@pytest.mark.parametrize(
    ("missing", "code", "remedy"),
    [("timm", 0, install_command("train")), ("rich", 1, this_installation().reinstall())],
)
def test_the_doctor_says_what_to_do(faceproof, monkeypatch, missing, code, remedy):
    found = doctor.installed_version
    monkeypatch.setattr(doctor, "_torch_devices", lambda: "cpu")
    monkeypatch.setattr(
        doctor, "installed_version", lambda name: None if name == missing else found(name)
    )
    answer = faceproof("doctor")
    assert answer.code == code
    assert f"-> {remedy}" in answer.out


def test_the_doctor_misses_the_detector(pictures, faceproof, monkeypatch):
    monkeypatch.setattr(doctor, "_torch_devices", lambda: "cpu")
    monkeypatch.setattr(detector_module, "EMBEDDED", pictures)
    assert "none came with this installation" in faceproof("doctor").out
    listed = faceproof("detectors", "list")
    assert (listed.out, "no detector is installed" in listed.err) == ("", True)


def test_version(faceproof):
    import faceproof as package

    assert faceproof("--version").out == f"faceproof {package.__version__}\n"


# a picture on standard input, and streams that are closed


@needs_posix
@pytest.mark.parametrize("name", ["-", "/dev/stdin"])
def test_a_picture_on_standard_input_is_checked(pictures, name):
    words = ["check", name, "-f", "json", "--report", "case.html"]
    with start(pictures, *words) as process:
        out, err = process.communicate((pictures / "dark.jpg").read_bytes(), timeout=600)
    (result,) = json.loads(out)
    assert (process.returncode, result["source"], result["verdict"]) == (0, name, "real"), err
    assert b"data:image" in Path("case.html").read_bytes()


@needs_posix
@pytest.mark.parametrize(
    ("closed", "words", "message"),
    [
        ("<&-", "check -", "- cannot be read: standard input is closed"),
        (">&-", "check pictures/dark.jpg", "standard output is closed: open it, or name a file"),
        (">&- 2>&-", "check pictures/dark.jpg -o out.json -q", ""),
        (">&-", "detectors list", ""),
    ],
)
def test_a_closed_stream_is_one_line_at_most(pictures, closed, words, message):
    command = " ".join(map(shlex.quote, [*COMMAND, *words.split()]))
    detector = pictures.parents[1] / "embedded" / "default"
    option = f"-d {detector}" if words.startswith("check") else ""
    done = subprocess.run(
        ["/bin/sh", "-c", f"{command} {option} {closed}"], capture_output=True, check=False
    )
    err = done.stderr.decode()
    assert "Traceback" not in err
    assert len(err.splitlines()) == (1 if message else 0), err
    assert (done.returncode, message in err) == (2 if message else 0, True)
    if "out.json" in words:
        assert len(json.loads(Path("out.json").read_text())) == 1


def test_quiet_leaves_only_the_results(pictures, faceproof):
    answer = faceproof("check", "pictures", "--quiet", "-f", "jsonl")
    assert (answer.code, answer.err, len(answer.out.splitlines())) == (0, "", 3)


def test_an_empty_name_is_wrong_usage(pictures, faceproof):
    answer = faceproof("check", "")
    assert (answer.code, len(answer.err.splitlines())) == (2, 1)


@needs_posix
def test_help_and_results_in_a_pipe_have_no_escape_codes(pictures):
    environment = os.environ | {"FORCE_COLOR": "1", "GITHUB_ACTIONS": "true", "TERM": "xterm"}
    for words in (["check", "pictures"], ["check", "--help"]):
        with start(pictures, *words, env=environment) as process:
            out, err = process.communicate(timeout=600)
        assert process.returncode == 0, err
        assert b"\x1b" not in out


def test_the_promise_is_one_short_sentence(pictures, faceproof):
    promise = faceproof("check", "pictures/dark.jpg").err.splitlines()[1]
    assert len(promise) <= 120
    long = "at most 1 in 100 real faces called fake, on the calibration faces as clean; worst x; y"
    assert shorten_promise(long).count(";") == 1
    assert len(shorten_promise(long)) < 100
