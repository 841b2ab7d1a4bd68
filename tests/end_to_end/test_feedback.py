"""`faceproof feedback` from end to end: what a service kept is listed, written out, deleted."""

from __future__ import annotations

import hashlib
import stat
from contextlib import closing
from pathlib import Path

import pytest

pytest.importorskip("sqlalchemy")
pytest.importorskip("fastapi")
pytest.importorskip("pyarrow")

from typer.testing import CliRunner

from faceproof.cli import app
from faceproof.data.manifest_files import read_manifest
from faceproof.evaluation.feedback import read_feedback
from faceproof.frontends.api.feedback import FeedbackStore
from support.feedback import a_face, feedback, sha


def faceproof(*arguments: object):
    """Run the command line in this process."""
    return CliRunner().invoke(app, ["feedback", *(str(argument) for argument in arguments)])


@pytest.fixture
def kept(tmp_path) -> Path:
    """A folder with two of the three pictures that feedback was given on."""
    folder = tmp_path / "kept"
    folder.mkdir()
    for number in (1, 2):
        (folder / f"{number}.png").write_bytes(str(number).encode())
    return folder


@pytest.fixture
def database(tmp_path) -> Path:
    """Three pieces of feedback, on the pictures 1, 2 and 3; one from five years ago."""
    file = tmp_path / "feedback.sqlite"
    with closing(FeedbackStore.open(str(file))) as store:
        store.add(feedback(1, truth="fake", generator="stylegan2"))
        store.add(feedback(2, result={"faces": [a_face(), a_face(left=300)]}, face=1))
        store.add(feedback(3, days=-2000))
    return file


def test_list_shows_all_from_the_oldest_on(database):
    result = faceproof("list", "--database", database)
    assert result.exit_code == 0, result.output
    head, first, *rows = result.stdout.splitlines()
    assert head.split()[:4] == ["id", "received", "truth", "verdict"]
    assert sha(3)[:12] in first
    assert len(rows) == 2
    assert "stylegan2" in rows[0]
    assert f"{sha(2)[:12]} face 1" in rows[1]
    assert str(database) in result.stderr


def test_the_environment_of_the_service_names_the_database(database, monkeypatch):
    monkeypatch.setenv("FACEPROOF_SERVE_FEEDBACK__DATABASE", str(database))
    assert len(faceproof("list").stdout.splitlines()) == 4


def test_export_of_json_lines_is_all_of_it_for_the_user_alone(database, tmp_path):
    file = tmp_path / "told.jsonl"
    result = faceproof("export", "--output", file, "--database", database)
    assert result.exit_code == 0, result.output
    with closing(FeedbackStore.open(str(database))) as store:
        assert read_feedback(file) == tuple(store)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.parametrize("name", ["told.csv", "told.parquet"])
def test_export_of_a_manifest_has_the_pictures_that_are_there(database, kept, name):
    file = kept.parent / name
    words = ("--output", file, "--database", database, "--pictures", kept)
    result = faceproof("export", *words)
    assert result.exit_code == 0, result.output
    (row,) = read_manifest(file).rows
    assert (row.sha256, row.label, row.generator, row.source) == (
        hashlib.sha256(b"1").hexdigest(),
        "fake",
        "stylegan2",
        "feedback",
    )
    assert (file.parent / row.path if name.endswith("csv") else kept / row.path).is_file()
    assert "1 not in the folder" in result.stderr
    assert "1 with several faces" in result.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--output", "told.csv"), "add --pictures FOLDER"),
        (("--output", "told.xlsx"), "name a .jsonl"),
        (("--output", "no/such/folder/told.jsonl"), "cannot be written"),
    ],
)
def test_export_that_cannot_be(database, words, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = faceproof("export", *words, "--database", database)
    assert result.exit_code == 2
    assert message in result.stderr


def test_prune_deletes_what_is_old(database):
    result = faceproof("prune", "--older-than", 1000, "--database", database)
    assert (result.exit_code, result.stderr) == (0, "1 deleted\n")
    with closing(FeedbackStore.open(str(database))) as store:
        assert {one.image.sha256 for one in store} == {sha(1), sha(2)}


def test_erase_one_and_all_of_a_picture(database):
    assert faceproof("erase", f"{1:032x}", "--database", database).exit_code == 0
    assert faceproof("erase", sha(2), "--database", database).stderr == "1 deleted\n"
    again = faceproof("erase", sha(2), "--database", database)
    assert again.exit_code == 1
    assert "no feedback with this id" in again.stderr


@pytest.mark.parametrize("verb", [("list",), ("prune", "--older-than", "1"), ("erase", "0" * 32)])
def test_a_database_that_is_not_there_is_not_made(verb, tmp_path):
    result = faceproof(*verb, "--database", tmp_path / "no.sqlite")
    assert result.exit_code == 1
    assert "no such file" in result.stderr
    assert list(tmp_path.iterdir()) == []
