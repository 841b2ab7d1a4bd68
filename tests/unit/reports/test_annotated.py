"""A result's picture with its faces marked: at hand or not, as a file, in a notebook."""

from __future__ import annotations

import base64
import io
import os
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import faceproof
from faceproof.checker import Checker
from faceproof.detector import Detector
from faceproof.errors import SourceError, UsageError
from faceproof.reports.annotated import notebook_html
from faceproof.results import CheckResult

HOSTILE = "<script>alert('x')</script> & \"party\".png"


@pytest.fixture
def checker(tiny_bundle: Path) -> Checker:
    return Checker(Detector.load(tiny_bundle), faces="whole")


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "party.png"
    Image.new("RGB", (800, 600), (250, 250, 250)).save(path)
    return path


def embedded(html: str) -> Image.Image:
    """Return the picture inside a piece of HTML."""
    (data,) = re.findall(r'src="data:image/jpeg;base64,([A-Za-z0-9+/=]+)"', html)
    return Image.open(io.BytesIO(base64.b64decode(data)))


class Names(HTMLParser):
    """The elements and the text of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.add(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


class TestAnnotate:
    def test_the_file_is_found_by_its_name_and_framed(self, checker, picture):
        image = checker.check(picture).annotate()
        assert image.size == (800, 600)
        frame = np.asarray(image)[300, :20].reshape(-1, 3)
        assert np.abs(frame.astype(int) - (176, 58, 0)).sum(axis=1).min() < 30, "fake is orange"

    @pytest.mark.parametrize("kind", ["bytes", "array", "image"])
    def test_what_was_never_a_file_is_passed_again(self, checker, picture, kind):
        with Image.open(picture) as opened:
            source = {
                "bytes": picture.read_bytes(),
                "array": np.asarray(opened),
                "image": opened.copy(),
            }[kind]
        result = checker.check(source)
        with pytest.raises(UsageError, match="is not a file here: pass the picture"):
            result.annotate()
        assert result.annotate(source).size == (800, 600)

    def test_another_picture_is_refused(self, checker, picture):
        result = checker.check(picture)
        Image.new("RGB", (800, 600)).save(picture)
        with pytest.raises(UsageError, match="pass it as it was checked, or check it again"):
            result.annotate()

    def test_an_unreadable_source_has_no_picture(self, checker, tmp_path):
        result = checker.check(tmp_path / "none.jpg")
        with pytest.raises(UsageError, match=r"has no picture: .*no such file"):
            result.annotate()

    def test_a_picture_that_cannot_be_read_is_a_source_error(self, checker, picture):
        with pytest.raises(SourceError):
            checker.check(picture).annotate(b"no picture")

    def test_show_hands_the_picture_to_the_viewer(self, checker, picture, monkeypatch):
        shown = []
        monkeypatch.setattr(Image.Image, "show", lambda image: shown.append(image.size))
        checker.check(picture).show()
        assert shown == [(800, 600)]


class TestSave:
    def test_a_second_time_replaces_the_first(self, checker, picture, tmp_path):
        for _ in range(2):
            checker.check(picture).save(tmp_path / "annotated.png")
        with Image.open(tmp_path / "annotated.png") as image:
            assert (image.format, image.size) == ("PNG", (800, 600))

    def test_the_picture_itself_and_other_files_are_kept(self, checker, picture, tmp_path):
        (tmp_path / "text.png").write_text("precious")
        (tmp_path / "link.png").symlink_to(tmp_path / "gone")
        other = tmp_path / "other.png"
        Image.new("RGB", (9, 9)).save(other)
        checker.check(other).save(tmp_path / "other-annotated.png")
        kept = {path: path.read_bytes() for path in tmp_path.glob("*.png") if path.exists()}
        result = checker.check(picture)
        for path in (*kept, tmp_path / "link.png"):
            with pytest.raises(UsageError, match="exists and is not overwritten; name a new file"):
                result.save(path)
        assert {path: path.read_bytes() for path in kept} == kept
        assert not (tmp_path / "gone").exists()

    def test_another_ending_is_refused(self, checker, picture, tmp_path):
        with pytest.raises(UsageError, match=r"end its name in \.png"):
            checker.check(picture).save(tmp_path / "annotated.jpg")

    def test_a_folder_that_is_not_there_is_named(self, checker, picture, tmp_path):
        with pytest.raises(UsageError, match="cannot be written"):
            checker.check(picture).save(tmp_path / "none" / "annotated.png")


class TestNotebook:
    def test_shows_verdict_faces_and_a_small_picture(self, checker, picture):
        html = checker.check(picture)._repr_html_()
        text = Names(html).text
        assert "▲ looks fake probability of a fake 9" in text
        assert "party.png" in text
        assert embedded(html).size == (480, 360)
        assert len(html) < 100_000

    @pytest.mark.skipif(os.name == "nt", reason="no such names there")
    def test_names_are_escaped(self, checker, picture, tmp_path):
        (tmp_path / "h").mkdir()
        path = tmp_path / "h" / HOSTILE.replace("/", "")
        path.write_bytes(picture.read_bytes())
        for source in (path, path.with_suffix(".gone")):
            page = Names(checker.check(source)._repr_html_())
            assert page.tags <= {"div", "p", "b", "span", "img", "table", "tr", "th", "td"}
            assert "<script>" in page.text

    def test_works_without_the_picture_and_reads_no_other_file(self, checker, picture):
        result = checker.check(picture.read_bytes())
        assert "Without its picture: &lt;bytes&gt; is not a file here" in result._repr_html_()
        named = result.model_copy(update={"source": __file__})
        assert "Without its picture" in named._repr_html_()
        assert "<img" not in named._repr_html_()

    def test_fetches_nothing(self, checker, picture, monkeypatch):
        asked = []
        monkeypatch.setattr("faceproof.loading.fetch", lambda *one: asked.append(one))
        result = checker.check(picture).model_copy(update={"source": "https://example.org/a.png"})
        assert "Without its picture" in result._repr_html_()
        assert asked == []

    def test_a_result_read_from_json_is_shown_too(self, checker, picture):
        text = checker.check(picture).model_dump_json()
        assert "<img" in notebook_html(CheckResult.model_validate_json(text))

    def test_without_a_face_or_with_an_error(self, tmp_path):
        blank = tmp_path / "blank.png"
        Image.new("RGB", (64, 64)).save(blank)
        assert "no face found" in faceproof.check(blank)._repr_html_()
        broken = faceproof.check(tmp_path / "none.png")._repr_html_()
        assert "source_not_found" in broken
        assert "<img" not in broken
