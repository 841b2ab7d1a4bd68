"""What a shell offers for a value, what the help lists, and what the environment sets."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer.main
from PIL import Image
from typer.testing import CliRunner

from faceproof.cli import app
from faceproof.cli.options import complete_detectors
from faceproof.detector import Bundle


def parameter(verb: str, option: str) -> tuple[Any, Any]:
    """Return a verb's command and one of its parameters."""
    command = typer.main.get_command(app)
    for word in verb.split():
        command = command.commands[word]
    return command, next(one for one in command.params if option in (*one.opts, one.name))


def offered(verb: str, option: str, incomplete: str = "", **given: object) -> list[str]:
    """Return what a shell offers for the value of an option."""
    command, found = parameter(verb, option)
    context = command.context_class(command)
    context.params = given
    return [item.value for item in found.shell_complete(context, incomplete)]


def names(table: str) -> Iterable[str]:
    from importlib import import_module

    module, _, name = table.partition(":")
    return getattr(import_module(module), name)


#: The options with names from a table, and the tables.
CHOICES = {
    ("check", "--faces"): ["faceproof.checker:FACES"],
    ("check", "--format"): ["faceproof.cli.output:FORMATS", "faceproof.cli.formats:TABLE_FILES"],
    ("check", "--fail-on"): ["faceproof.cli.output:FAIL_ON"],
    ("scan", "--faces"): ["faceproof.checker:FACES"],
    ("audit", "--only"): ["faceproof.audits.audit:AUDITS"],
    ("audit", "--faces"): ["faceproof.evaluation.scored_faces:FACES"],
    ("audit", "--split"): ["faceproof.data.manifest:SPLITS"],
    ("evaluate", "--condition"): ["faceproof.imaging.degradations:DEGRADATIONS"],
    ("evaluate", "--faces"): ["faceproof.evaluation.scored_faces:FACES"],
    ("evaluate", "--split"): ["faceproof.data.manifest:SPLITS"],
    ("train combine", "--condition"): ["faceproof.imaging.degradations:DEGRADATIONS"],
    ("data import", "--layout"): ["faceproof.data.layouts:LAYOUTS"],
}


@pytest.mark.parametrize(
    ("place", "tables"), CHOICES.items(), ids=[" ".join(place) for place in CHOICES]
)
def test_a_shell_completes_the_names_of_the_table(place, tables):
    pytest.importorskip("polars")
    known = [name for table in tables for name in names(table)]
    assert offered(*place) == known
    assert offered(*place, known[0][:2]) == [one for one in known if one.startswith(known[0][:2])]
    assert offered(*place, "no such name") == []


@pytest.mark.parametrize("place", [place for place in CHOICES if place[1] != "--condition"])
def test_the_help_lists_every_choice(place):
    pytest.importorskip("polars")
    _, found = parameter(*place)
    if place == ("data import", "--layout"):
        assert "a wrong name lists them all" in found.help.lower()
        return
    shown = f"{found.metavar or ''} {found.help}"
    missing = [name for table in CHOICES[place] for name in names(table) if name not in shown]
    assert missing == [] or place[1] == "--split"


def test_without_an_extra_nothing_is_offered(monkeypatch):
    monkeypatch.setattr(
        "faceproof.cli.options.import_module", lambda name: (_ for _ in ()).throw(ImportError(name))
    )
    assert offered("audit", "--only") == []


def test_detectors_are_names_and_folders(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("runs/own/bundle", "default-of-ours", ".git"):
        Path(name).mkdir(parents=True)
    assert complete_detectors("") == ["default", "default-of-ours/", "runs/"]
    assert complete_detectors("runs/") == ["runs/own/"]
    assert complete_detectors("./ru") == ["./runs/"]
    assert complete_detectors("none/x") == []


@pytest.mark.parametrize(
    "verb", ["check", "serve", "app", "audit", "evaluate", "export", "update", "scan"]
)
def test_every_verb_with_a_detector_completes_and_reads_it(verb):
    assert "default" in offered(verb, "--detector", "def")
    _, found = parameter(verb, "--detector")
    assert "FACEPROOF_DETECTOR" in found.envvar


@pytest.mark.parametrize("verb", ["check", "serve", "audit", "evaluate", "update", "scan"])
def test_operating_points_are_those_of_the_named_detector(verb, tiny_bundle):
    points = list(Bundle.read(tiny_bundle).spec.operating_points)
    assert offered(verb, "--at", detector=str(tiny_bundle)) == points
    assert "1-in-100" in offered(verb, "--at", "1-in-1")
    assert offered(verb, "--at", detector="no such folder") == []
    assert parameter(verb, "--at")[1].envvar == "FACEPROOF_OPERATING_POINT"


def test_keys_of_a_recipe_are_completed():
    keys = offered("train", "--set", "schedule.")
    assert "schedule.epochs=" in keys
    assert offered("train", "--set", "network.preprocessing.crop.s") == [
        "network.preprocessing.crop.size="
    ]


class TestEnvironment:
    @pytest.fixture
    def picture(self, tmp_path: Path) -> Path:
        path = tmp_path / "a.png"
        Image.fromarray(np.full((48, 48, 3), 250, np.uint8)).save(path)
        return path

    @pytest.fixture
    def check(self, picture: Path):
        def run(*words: str, **variables: str):
            given = ["check", str(picture), "--faces", "whole", "-f", "csv", *words]
            return CliRunner().invoke(app, given, env=variables)

        return run

    def test_sets_the_detector_and_the_operating_point(self, check, tiny_bundle):
        other = [*Bundle.read(tiny_bundle).spec.operating_points][-1]
        found = check(FACEPROOF_DETECTOR=str(tiny_bundle), FACEPROOF_OPERATING_POINT=other)
        assert found.exit_code == 0, found.output
        assert f",bright,1.0,{other}," in found.stdout

    def test_the_command_line_wins(self, check, tiny_bundle):
        found = check("-d", str(tiny_bundle), FACEPROOF_DETECTOR="none")
        assert found.exit_code == 0
        assert check(FACEPROOF_DETECTOR="none").exit_code == 2

    def test_quiet(self, check, tiny_bundle):
        assert "1 source in" in check("-d", str(tiny_bundle)).stderr
        assert check("-d", str(tiny_bundle), FACEPROOF_QUIET="1").stderr == ""

    def test_a_batch_size_changes_no_answer(self, check, tiny_bundle):
        answers = [check("-d", str(tiny_bundle), *more) for more in ((), ("--batch-size", "64"))]
        first, second = (one.stdout.rpartition(",operating_point")[2] for one in answers)
        assert first.split(",")[:13] == second.split(",")[:13]
        assert check("--batch-size", "0").exit_code == 2

    def test_scores_of_another_tool_ignore_a_detector_in_the_environment(self, tmp_path):
        pytest.importorskip("polars")
        (tmp_path / "scores.csv").write_text("path,score\n", encoding="utf-8")
        given = ["evaluate", "--data", "none.csv", "--scores", str(tmp_path / "scores.csv")]
        given += ["-o", str(tmp_path / "out")]
        found = CliRunner().invoke(app, given, env={"FACEPROOF_DETECTOR": "default"})
        assert "no effect" not in found.output
        assert "none.csv" in found.output
        named = CliRunner().invoke(app, [*given, "--detector", "default"])
        assert "--detector has no effect on --scores; remove it" in named.output
