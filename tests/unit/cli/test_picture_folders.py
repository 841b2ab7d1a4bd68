"""``check --annotate DIR``: each checked picture with its faces marked, whatever its source."""

from __future__ import annotations

import base64
import io
import sys
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from faceproof.cli import app
from faceproof.sources import ANNOTATED_MARK


def picture(path: Path, level: int = 250) -> bytes:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (96, 96), (level,) * 3).save(path, "PNG")
    return path.read_bytes()


@pytest.fixture
def annotate(tiny_bundle: Path, tmp_path: Path):
    """Return what checks sources and returns the exit code and the files of the folder."""

    def run(*sources: object, faces: str = "whole", stdin: bytes | None = None):
        given = ["check", *map(str, sources), "-d", str(tiny_bundle), "--faces", faces]
        answer = CliRunner().invoke(
            app, [*given, "--annotate", str(tmp_path / "marked")], input=stdin
        )
        marked = tmp_path / "marked"
        files = sorted(path.name for path in marked.iterdir()) if marked.is_dir() else []
        return SimpleNamespace(code=answer.exit_code, files=files, text=answer.output)

    return run


def named(stem: str, data: bytes) -> str:
    return f"{stem}-{sha256(data).hexdigest()[:12]}.png"


def test_every_checked_picture_is_drawn_and_the_others_are_not(annotate, tmp_path):
    data = picture(tmp_path / "in" / "a.png")
    (tmp_path / "in" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n no more")
    found = annotate(tmp_path / "in", tmp_path / "none.jpg")
    assert (found.code, found.files) == (1, [named("a", data)])
    with Image.open(tmp_path / "marked" / found.files[0]) as image:
        assert image.info[ANNOTATED_MARK] == sha256(data).hexdigest()
        pixels = np.asarray(image.convert("RGB")).astype(int)
    assert np.abs(pixels - (176, 58, 0)).sum(axis=2).min() < 30, "the frame of a fake"


def test_a_picture_without_a_face_is_drawn_without_a_frame(annotate, tmp_path):
    picture(tmp_path / "blank.png")
    (name,) = annotate(tmp_path / "blank.png", faces="all").files
    with Image.open(tmp_path / "marked" / name) as image:
        assert np.ptp(np.asarray(image)) == 0


def test_names_neither_collide_nor_leave_the_folder(annotate, tmp_path):
    data = [picture(tmp_path / where / "a.png", 200 + n) for n, where in enumerate("xyz")]
    found = annotate(tmp_path / "x", tmp_path / "y" / ".." / "y" / "a.png", tmp_path / "z")
    assert found.files == sorted(named("a", one) for one in data)
    assert {one.name for one in tmp_path.iterdir()} == {*"xyz", "marked", "tiny-bundle"}


@pytest.mark.parametrize("content", [b"precious", None])
def test_another_file_of_that_name_is_kept(annotate, tmp_path, content):
    data = picture(tmp_path / "a.png")
    place = tmp_path / "marked" / named("a", data)
    place.parent.mkdir()
    place.write_bytes(content or picture(tmp_path / "b.png"))
    before = place.read_bytes()
    for _ in range(2):
        assert annotate(tmp_path / "a.png").files == sorted([place.name, f"{place.stem}-2.png"])
    assert place.read_bytes() == before


def test_a_picture_on_standard_input_and_a_data_address_are_drawn(annotate, tmp_path, monkeypatch):
    data = picture(tmp_path / "a.png")
    address = f"data:image/png;base64,{base64.b64encode(data).decode()}"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    assert len(annotate("-", stdin=data).files) == 1
    assert len(annotate(address).files) == 2, "the same picture under another name"


def test_an_address_is_fetched_again_and_drawn(annotate, tmp_path, monkeypatch):
    data = picture(tmp_path / "a.png")
    monkeypatch.setattr("faceproof.loading.fetch", lambda *_: SimpleNamespace(data=data))
    found = annotate("https://example.org/..%2f/party.png?x=/../y")
    assert (found.code, len(found.files)) == (0, 1), found.text


def test_the_folder_can_be_checked_again_without_what_was_drawn(annotate, tmp_path):
    picture(tmp_path / "a.png")
    assert len(annotate(tmp_path / "a.png").files) == 1
    again = annotate(tmp_path / "marked")
    assert again.code == 1
    assert "no picture in this folder" in again.text
