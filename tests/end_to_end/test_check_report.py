"""``check --report``: a case report beside the results, whatever the sources are."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import cv2
import pytest
from PIL import Image
from pypdf import PdfReader
from skimage import data

from faceproof.cli import case, main
from faceproof.detector import detector as detector_module
from faceproof.installation import install_command


class Answer(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def work(tmp_path: Path, tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a default detector that calls bright faces fake."""
    embedded = tmp_path / "embedded"
    embedded.mkdir()
    tiny_bundle.rename(embedded / "default")
    monkeypatch.setattr(detector_module, "EMBEDDED", embedded)
    folder = tmp_path / "work"
    folder.mkdir()
    astronaut = data.astronaut()[:320, 60:380]
    for name, light in (("bright party.png", 1.6), ("dark.jpg", 0.4)):
        Image.fromarray(cv2.convertScaleAbs(astronaut, alpha=light)).save(folder / name)
    Image.new("RGB", (64, 64), "grey").save(folder / "wall.webp")
    monkeypatch.chdir(folder)
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


def test_one_picture_as_html(work, faceproof):
    answer = faceproof("check", "bright party.png", "--format", "json", "--report", "case.html")
    assert answer.code == 0
    actual = json.loads(answer.out)
    page = (work / "case.html").read_text(encoding="utf-8")
    assert actual[0]["image"]["sha256"] in page
    assert actual[0]["detector"]["sha256"] in page
    assert "This face looks fake: generated or manipulated." in page
    assert page.count("data:image/jpeg;base64,") == 2
    assert "faceproof check &#39;bright party.png&#39; --detector default --at balanced" in page
    assert "The verdict stayed the same in " in page


def test_several_sources_and_what_is_no_picture(work, faceproof):
    answer = faceproof("check", ".", "nothere.png", "--faces", "largest", "--report", "case.htm")
    assert answer.code == 1
    page = (work / "case.htm").read_text(encoding="utf-8")
    for part in ("dark.jpg", "wall.webp", "No face was found", "nothere.png: nothing matches"):
        assert part in page or part.replace("nothing matches", "no such file") in page
    assert "--faces largest" in page


def test_as_pdf_from_names_on_standard_input(work, faceproof):
    answer = faceproof("check", "-", "--report", "case.PDF", stdin=b"dark.jpg\n")
    assert answer.code == 0
    made = PdfReader(work / "case.PDF")
    assert made.metadata.title == "Case report: dark.jpg"
    assert "No sign of a fake was found in this face." in made.pages[0].extract_text()


def test_only_the_first_pictures_are_shown_and_the_others_counted(work, faceproof, monkeypatch):
    monkeypatch.setattr(case, "MOST_PICTURES", 1)
    answer = faceproof("check", ".", "--report", "case.html")
    assert answer.code == 0
    assert "case.html holds the first 1 sources; 2 more were checked" in answer.err
    page = (work / "case.html").read_text(encoding="utf-8")
    assert "Case report: 3 pictures" in page
    assert "2 more were checked" in page


def test_a_file_that_changes_after_it_was_judged_is_not_shown(work, faceproof, monkeypatch):
    read = []

    def read_file(path: Path, limits: object) -> bytes:
        """Return the file as it is for the check, and changed for the report."""
        read.append(path)
        return path.read_bytes() + b"\0" * (len(read) > 1)

    monkeypatch.setattr("faceproof.imaging.decode.read_file", read_file)
    assert faceproof("check", "dark.jpg", "--report", "case.html").code == 0
    page = (work / "case.html").read_text(encoding="utf-8")
    assert "The file was changed after it was checked" in page
    assert "data:image/jpeg" not in page


@pytest.mark.parametrize(
    ("report", "message"),
    [
        ("case.docx", "must end in .html or .pdf"),
        ("case", "must end in .html or .pdf"),
        ("nowhere/case.html", "the folder does not exist"),
    ],
)
def test_a_report_that_cannot_be_is_refused_before_anything_is_checked(
    work, faceproof, report, message
):
    answer = faceproof("check", "dark.jpg", "--report", report)
    assert (answer.code, answer.out) == (2, "")
    assert message in answer.err


def test_a_folder_in_the_place_of_the_report(work, faceproof):
    (work / "case.html").mkdir()
    answer = faceproof("check", "dark.jpg", "--report", "case.html")
    assert (answer.code, answer.out) == (2, "")
    assert "it is a folder" in answer.err


def test_without_the_extra_nothing_is_checked(work, faceproof, monkeypatch):
    monkeypatch.setitem(sys.modules, "reportlab", None)
    answer = faceproof("check", "dark.jpg", "--report", "case.pdf")
    assert (answer.code, answer.out) == (2, "")
    assert install_command("report") in answer.err


def test_nothing_checked_is_no_report(work, faceproof):
    answer = faceproof("check", "-", "--report", "case.html", stdin=b"")
    assert answer.code == 0
    assert "no report written" in answer.err
    assert not (work / "case.html").exists()


def test_a_report_is_whole_or_the_old_one(work, faceproof, monkeypatch):
    (work / "case.html").write_text("old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("faceproof.outputs.os.fsync", full)
    answer = faceproof("check", "dark.jpg", "--report", "case.html")
    assert answer.code == 1
    assert "dark.jpg" in answer.out
    assert "No space left on device" in answer.err
    assert (work / "case.html").read_text() == "old"
    assert [path.name for path in work.glob("case*")] == ["case.html"]
