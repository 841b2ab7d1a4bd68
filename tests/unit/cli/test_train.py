"""`train`: a wrong recipe is wrong usage at once; `--init` writes one file, never over another."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from faceproof.cli import app
from faceproof.training.recipe import read_recipe


def train(*words: str):
    return CliRunner().invoke(app, ["train", *words])


def test_init_writes_a_recipe_that_can_be_read(tmp_path):
    path = tmp_path / "own.toml"
    answer = train("--init", str(path))
    assert (answer.exit_code, answer.stdout) == (0, f"{path}\n")
    assert f"next: faceproof train {path} --dry-run" in answer.stderr
    assert read_recipe(path).export.command == "faceproof train own.toml"


def test_a_key_can_be_set_in_it_and_a_wrong_one_is_refused(tmp_path):
    path = tmp_path / "own.toml"
    wrong = train("--init", str(path), "--set", "data.prepard=faces")
    assert (wrong.exit_code, path.exists()) == (2, False)
    assert "did you mean 'data.prepared'" in wrong.output
    given = ("--set", "data.prepared=faces", "--set", "optimizer.learning_rate=0.01")
    assert train("--init", str(path), *given).exit_code == 0
    recipe = read_recipe(path)
    assert recipe.data.prepared == Path("faces")
    assert recipe.optimizer.learning_rate == 0.01


def test_its_file_is_called_recipe_unless_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert train("--init").exit_code == 0
    assert [one.name for one in tmp_path.iterdir()] == ["recipe.toml"]


@pytest.mark.parametrize("kind", ["file", "link"])
def test_nothing_is_overwritten(tmp_path, kind):
    path = tmp_path / "own.toml"
    if kind == "file":
        path.write_text("precious", encoding="utf-8")
    else:
        path.symlink_to(tmp_path / "gone")
    answer = train("--init", str(path))
    assert answer.exit_code == 2
    assert "exists and is not overwritten" in answer.output
    assert not Path(tmp_path / "gone").exists()


def test_a_folder_that_is_not_there_is_named(tmp_path):
    answer = train("--init", str(tmp_path / "none" / "own.toml"))
    assert answer.exit_code == 2
    assert "cannot be written" in answer.output


def test_without_a_recipe_the_way_to_one_is_named():
    answer = train()
    assert answer.exit_code == 2
    assert "faceproof train --init" in answer.output


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_a_fault_of_the_recipe_is_named_before_torch_is_imported(tmp_path, monkeypatch, encoding):
    pytest.importorskip("torch")
    monkeypatch.setitem(sys.modules, "faceproof.training.train", None)  # importing it would fail
    path = tmp_path / "own.toml"
    path.write_text("sead = 1\n", encoding=encoding)
    answer = train(str(path))
    assert answer.exit_code == 2
    assert "did you mean 'seed'" in answer.output
