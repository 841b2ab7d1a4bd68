"""`faceproof data import` as users meet it: what is printed where, what is written, the code."""

from __future__ import annotations

import csv
import io
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
import pytest
from PIL import Image
from skimage import data

from faceproof.cli import main
from faceproof.data.importing import import_data as importing
from faceproof.data.manifest_files import read_manifest

COMMAND = (sys.executable, "-c", "from faceproof.cli import main; main()")
IMPORT = ("data", "import", "faces", "-l", "class-folders", "-o", "m.parquet")
NEXT = "next: faceproof data inspect m.parquet"


class Answer(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def faces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with three real pictures and two fakes, each another."""
    folder = tmp_path / "faces"
    astronaut = data.astronaut()
    for number, name in enumerate(("real/a", "real/b", "real/c", "stylegan2/d", "stylegan2/e")):
        path = folder / f"{name}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        quality = 75 if name.startswith("real") else 92
        picture = Image.fromarray(astronaut[number * 9 : number * 9 + 60, 60:140])
        picture.save(path, quality=quality)
    monkeypatch.chdir(tmp_path)
    return folder


@pytest.fixture
def faceproof(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., Answer]:
    """Run the command in this process."""

    def run(*arguments: str) -> Answer:
        monkeypatch.setattr(sys, "argv", ["faceproof", *arguments])
        with pytest.raises(SystemExit) as stop:
            main()
        return Answer(int(stop.value.code or 0), *capfd.readouterr())

    return run


def problems(name: str = "m.problems.csv") -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(Path(name).read_text(encoding="utf-8"))))


def test_a_folder_becomes_a_manifest_and_a_table(faces, faceproof):
    answer = faceproof(*IMPORT)
    assert answer.code == 0
    lines = [line.split() for line in answer.out.splitlines()]
    assert lines[0] == ["real", "fake", "all"]
    assert lines[1] == ["pictures", "3", "2", "5"]
    assert ["generator", "none", "3", "3"] in lines
    assert ["stylegan2", "2", "2"] in lines
    assert ["JPEG", "quality", "75", "3", "3"] in lines
    assert ["height", "60", "60", "60"] in lines
    assert "\x1b" not in answer.out + answer.err
    assert answer.err.splitlines()[0].startswith("real: ")
    assert answer.err.splitlines()[-2:] == ["m.parquet: 5 pictures", NEXT]
    manifest = read_manifest(Path("m.parquet"))
    assert manifest.table["source"].unique().to_list() == ["faces"]
    assert manifest.table["path"].to_list()[0] == "real/a.jpg"
    assert manifest.picture_path("real/a.jpg").is_file()
    assert not Path("m.problems.csv").exists()
    assert sorted(path.name for path in Path().iterdir()) == ["faces", "m.parquet"]


def test_numbers_stand_below_their_class(faces, faceproof):
    lines = faceproof(*IMPORT).out.splitlines()
    ends = {line.index(word) + len(word) for line, word in ((lines[0], "real"), (lines[1], "3"))}
    assert len(ends) == 1
    assert {len(line) for line in lines[:2]} == {lines[0].index("all") + 3}


def test_the_summary_as_json(faces, faceproof):
    answer = faceproof(*IMPORT, "--format", "json", "--name", "my faces")
    summary = json.loads(answer.out)
    assert summary["schema"] == "faceproof.import/1"
    assert (summary["source"], summary["layout"]) == ("my faces", "class-folders")
    assert summary["fake"]["generators"] == {"stylegan2": 2}
    assert summary["all"]["jpeg_qualities"] == {"75": 3, "92": 2}
    assert any("real" in note for note in summary["notes"])
    assert read_manifest(Path("m.parquet")).sha256 == summary["sha256"]


def test_what_cannot_be_read_is_listed_and_the_rest_is_written(faces, faceproof):
    whole = (faces / "real" / "a.jpg").read_bytes()
    (faces / "real" / "cut.jpg").write_bytes(whole[:-100])
    (faces / "real" / "empty, or not.jpg").write_bytes(b"")
    answer = faceproof(*IMPORT)
    assert answer.code == 1
    assert [line.split() for line in answer.out.splitlines()[-2:]] == [
        ["problem", "truncated_picture", "1"],
        ["problem", "empty_file", "1"],
    ]
    written = "m.parquet: 5 pictures; 2 problems in m.problems.csv"
    assert answer.err.splitlines()[-2:] == [written, NEXT]
    assert [(one["path"], one["code"]) for one in problems()] == [
        ("real/cut.jpg", "truncated_picture"),
        ("real/empty, or not.jpg", "empty_file"),
    ]
    assert all("fetch the file again" in one["reason"] for one in problems())
    (faces / "real" / "cut.jpg").unlink()
    assert faceproof(*IMPORT, "--problems", "elsewhere.csv").code == 1
    assert [one["code"] for one in problems("elsewhere.csv")] == ["empty_file"]


def test_a_list_of_problems_goes_with_the_last_of_them(faces, faceproof):
    (faces / "real" / "empty.jpg").write_bytes(b"")
    assert faceproof(*IMPORT).code == 1
    (faces / "real" / "empty.jpg").unlink()
    assert faceproof(*IMPORT).code == 0
    assert not Path("m.problems.csv").exists()


def test_a_file_that_is_no_picture_is_listed_and_fails_nothing(faces, faceproof):
    (faces / "README.txt").write_text("about these pictures")
    assert faceproof(*IMPORT).code == 0
    assert [one["code"] for one in problems()] == ["not_a_picture"]


def test_a_manifest_inside_of_its_source_is_not_taken_for_a_part_of_it(faces, faceproof):
    inside = (*IMPORT[:-1], "faces/m.csv")
    first = faceproof(*inside)
    written = Path("faces/m.csv").read_bytes()
    again = faceproof(*inside)
    assert (first.code, again) == (0, first)
    assert Path("faces/m.csv").read_bytes() == written
    assert not Path("faces/m.problems.csv").exists()


def test_all_broken_writes_the_problems_and_no_manifest(faces, faceproof):
    for path in faces.rglob("*.jpg"):
        path.write_bytes(b"")
    answer = faceproof(*IMPORT)
    assert (answer.code, answer.out) == (1, "")
    assert "m.parquet is not written: no picture could be read, see m.problems.csv" in answer.err
    assert "the first is real/a.jpg: the file is empty" in answer.err
    assert len(problems()) == 5
    assert not Path("m.parquet").exists()


@pytest.mark.parametrize(
    ("change", "code", "message"),
    [
        ({2: "nowhere"}, 2, "nowhere: no such folder"),
        ({2: "faces/real/a.jpg"}, 2, "a.jpg is a file; give the folder"),
        ({2: "empty"}, 1, "empty"),
        ({4: "class-folder"}, 2, "unknown layout 'class-folder', did you mean 'class-folders'"),
        ({6: "nowhere/m.parquet"}, 2, "the folder nowhere does not exist; make it first"),
        ({6: "m.xlsx"}, 2, "m.xlsx: a manifest must be named NAME.parquet or NAME.csv"),
        ({6: "m"}, 2, "m: a manifest must be named"),
        ({6: "folder.csv"}, 2, "folder.csv is a folder"),
        ({6: "empty/m.csv"}, 2, "write .parquet, which stores the data folder"),
        ({7: "--columns=label"}, 2, "--columns 'label': write OURS=THEIRS"),
        ({7: "--columns=a=b", 8: "--columns=a=c"}, 2, "a is already b"),
        ({7: "--columns=label=x"}, 2, "takes no --columns"),
        ({7: "--real=human"}, 2, "human"),
        ({7: "--format=yaml"}, 2, "unknown format 'yaml'"),
        ({7: "--frames=0"}, 2, "--frames"),
    ],
)
def test_bad_input_is_a_message_with_a_remedy(faces, faceproof, change, code, message):
    Path("empty").mkdir()
    Path("folder.csv").mkdir()
    arguments = dict(enumerate(IMPORT)) | change
    answer = faceproof(*arguments.values())
    assert (answer.code, answer.out) == (code, "")
    assert message in answer.err
    assert "Traceback" not in answer.err
    assert not Path("m.parquet").exists()


def test_ctrl_c_leaves_the_older_manifest_and_no_half_one(faces, faceproof, monkeypatch):
    assert faceproof(*IMPORT).code == 0
    before = Path("m.parquet").read_bytes()

    def stop(*_: object, advance: Callable[[object], None], **__: object) -> None:
        advance(None)
        raise KeyboardInterrupt

    monkeypatch.setattr(importing, "import_data", stop)
    answer = faceproof(*IMPORT)
    assert (answer.code, answer.out) == (130, "")
    assert "stopped after 1 file; no manifest was written" in answer.err
    assert Path("m.parquet").read_bytes() == before
    assert sorted(path.name for path in Path().iterdir()) == ["faces", "m.parquet"]


def test_a_picture_in_two_official_splits_fails_nothing(faces, faceproof):
    for split in ("train", "test"):
        for label in ("real", "fake"):
            (faces / split / label).mkdir(parents=True)
    a, d = (faces / "real" / "a.jpg").read_bytes(), (faces / "stylegan2" / "d.jpg").read_bytes()
    for folder in ("real", "stylegan2"):
        for path in (faces / folder).iterdir():
            path.unlink()
        (faces / folder).rmdir()
    for name, content in (("train/real/a", a), ("test/real/b", a), ("train/fake/d", d)):
        (faces / f"{name}.jpg").write_bytes(content)
    answer = faceproof(*IMPORT, "--generator", "stylegan2")
    assert answer.code == 0
    assert "1 file occurs in more than one official split" in answer.err
    assert "official split" in answer.out
    table = read_manifest(Path("m.parquet")).table
    assert set(table["split"]) == {""}
    assert sorted(table["official_split"]) == ["test", "train", "train"]


def test_videos_are_sampled_beside_the_manifest_and_not_again(faces, faceproof):
    with av.open(str(faces / "real" / "talk.mp4"), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(20):
            pixels = data.astronaut()[number : number + 48, :64]
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
    answer = faceproof(*IMPORT, "--frames", "4")
    assert (answer.code, answer.err.splitlines()[-2:]) == (0, ["m.parquet: 9 pictures", NEXT])
    kept = sorted(Path("m_pictures/real/talk.mp4").glob("*.png"))
    assert [path.name for path in kept] == [f"frame-{n:06d}.png" for n in (2, 7, 12, 17)]
    manifest = read_manifest(Path("m.parquet"))
    assert all(manifest.picture_path(path).is_file() for path in manifest.table["path"])
    before = [path.stat().st_mtime_ns for path in kept]
    assert faceproof(*IMPORT, "--frames", "4") == answer
    assert [path.stat().st_mtime_ns for path in kept] == before
    assert read_manifest(Path("m.parquet")) == manifest
    faceproof(*IMPORT, "--frames", "1", "--extract", "elsewhere")
    assert len(list(Path("elsewhere").rglob("*.png"))) == 1


needs_posix = pytest.mark.skipif(sys.platform == "win32", reason="signals and pipes of POSIX")


@needs_posix
def test_a_real_ctrl_c_ends_it_quickly(faces):
    import pty

    for number in range(4000):
        os.link(faces / "real" / "a.jpg", faces / "real" / f"{number}.jpg")
    ours, theirs = pty.openpty()
    process = subprocess.Popen([*COMMAND, *IMPORT], stdout=subprocess.PIPE, stderr=theirs)
    os.close(theirs)
    shown = b""
    while b"imported" not in shown:
        shown += os.read(ours, 65536)
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    shown += os.read(ours, 65536)
    os.close(ours)
    assert (process.returncode, out) == (130, b"")
    assert "━".encode() in shown
    assert sorted(path.name for path in faces.parent.iterdir()) == ["faces"]


def test_help_names_every_option(faceproof):
    text = faceproof("data", "import", "--help").out
    options = ("layout", "output", "name", "real", "fake", "generator", "columns", "levels")
    more = ("frames", "extract", "workers", "problems", "format")
    assert all(f"--{option}" in text for option in (*options, *more))


@pytest.mark.slow
def test_each_verb_ends_with_the_command_that_follows_up_to_the_training(faces, faceproof):
    """What a newcomer types first, and then what each last line says."""
    rng = np.random.default_rng(0)
    for number in range(40):
        picture = Image.fromarray(rng.integers(0, 255, (6, 6, 3), np.uint8)).resize((256, 256))
        face = Image.fromarray(data.astronaut()[20:180, 150:290]).resize((105, 120))
        picture.paste(face, (int(rng.integers(0, 150)), int(rng.integers(0, 135))))
        picture.save(faces / ("real" if number % 2 else "stylegan2") / f"{number}.png")
    said = faceproof("data", "import", "faces", "-o", "set.parquet")
    assert said.code == 0, said.err
    assert "layout: class-folders (guessed; --layout NAME sets another)" in said.err
    verbs = []
    while (command := shlex.split(said.err.splitlines()[-1]))[:3] == ["next:", "faceproof", "data"]:
        verbs.append(command[3])
        said = faceproof(*command[2:])
        assert said.code == 0, said.err
    assert verbs == ["inspect", "split", "prepare"]
    assert command[:3] == ["next:", "faceproof", "train"]
    assert command[-2:] == ["--set", "data.prepared=prepared"]
    assert all(read_manifest(Path("prepared", "manifest.parquet")).counts().values())


def test_a_folder_in_doubt_is_not_guessed(faces, faceproof):
    (faces / "metadata.json").write_text("{}", encoding="utf-8")
    said = faceproof("data", "import", "faces", "-o", "m.parquet")
    assert said.code == 2
    assert "several layouts fit (dfdc, class-folders): choose one with --layout" in said.err
    assert not Path("m.parquet").exists()
    assert faceproof("data", "import", "nowhere", "-o", "m.parquet").code == 2
