"""The tutorial's own commands and lines of Python, run in order as a reader would."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from faceproof.cli import main
from support.portraits import draw_pictures

ROOT = Path(__file__).parents[2]
LESSONS = ROOT / "docs" / "tutorial"
BLOCK = re.compile(r"^```(bash|python)\n(.*?)^```", re.MULTILINE | re.DOTALL)
Run = Callable[..., str]


def steps(lesson: str) -> Iterator[tuple[str, str]]:
    """Yield each command (its words) and each block of Python of a lesson, in order."""
    for language, body in BLOCK.findall((LESSONS / lesson).read_text(encoding="utf-8")):
        if language == "python":
            yield language, body
            continue
        for line in body.splitlines():
            assert line.startswith("faceproof "), f"{lesson}: a test cannot run {line}"
            yield language, line


def follow(lesson: str, run: Run) -> str:
    """Run a lesson from its first to its last block; return all that was printed."""
    printed, names = [], {}
    for language, body in steps(lesson):
        if language == "python":
            exec(compile(body, lesson, "exec"), names)
        else:
            printed.append(run(*shlex.split(body)[1:]))
    return "\n".join(printed)


@pytest.fixture
def run(tmp_path, monkeypatch, capfd) -> Run:
    """Run a command in a folder of its own, and return what it printed."""
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> str:
        # What makes the training small; all else is the lesson's command.
        more = SMALL if words[0] == "train" else ()
        monkeypatch.setattr(sys, "argv", ["faceproof", *words, *more])
        with pytest.raises(SystemExit) as stop:
            main()
        printed = "".join(capfd.readouterr())
        assert stop.value.code == 0, f"{words}: {printed}"
        return printed

    return run


@pytest.mark.slow
def test_the_first_lesson(tmp_path, run):
    pytest.importorskip("reportlab")
    (tmp_path / "samples").symlink_to(ROOT / "samples", target_is_directory=True)
    printed = follow("first-picture.md", run)
    assert re.search(r"samples/real-hopper\.jpg +1/1 +no sign of a fake", printed)
    assert {path.name for path in tmp_path.iterdir()} == {
        *("samples", "results.csv", "results.json", "case.html", "maps")
    }


#: Another network at 32 px, started from random numbers, few steps, one condition.
SMALL = tuple(
    word
    for value in (
        *("network.name=test_efficientnet_ln", "network.starting_weights=weights.safetensors"),
        *("network.started_from=random numbers", "network.started_from_licence=MIT"),
        *("network.preprocessing.crop={ size = 32 }", "network.batch_norm_pictures=16"),
        *("schedule.epochs=1", "schedule.batch_size=8", "schedule.validate_steps=10"),
        *("device.accelerator=cpu", "device.loader_workers=0", "device.threads=1"),
        *("calibration.conditions=['clean']", "export.conditions=['clean']"),
    )
    for word in ("--set", value)
)


@pytest.mark.train
@pytest.mark.slow
def test_the_second_lesson(tmp_path, run):
    import torch
    from safetensors.torch import save_file

    from faceproof.detector import Bundle
    from faceproof.networks import build

    draw_pictures(tmp_path / "pictures", 125)
    (tmp_path / "examples").mkdir()
    recipe = (ROOT / "examples" / "own-data.toml").read_text(encoding="utf-8")
    (tmp_path / "examples" / "own-data.toml").write_text(recipe, encoding="utf-8")
    torch.manual_seed(0)
    save_file(build("test_efficientnet_ln").backbone.state_dict(), "weights.safetensors")
    follow("own-detector.md", run)
    spec = Bundle.read(tmp_path / "runs" / "own-data" / "bundle").spec
    assert list(spec.operating_points) == ["1-in-5"]
    assert sum(spec.trained_on.rows.values()) == 250
    assert len((tmp_path / "own.csv").read_text(encoding="utf-8").splitlines()) == 126


def test_the_second_lesson_has_the_commands_of_the_recipe():
    """What the example's first lines advise is what the lesson does."""
    recipe = (ROOT / "examples" / "own-data.toml").read_text(encoding="utf-8")
    advised = [line[1:].strip() for line in recipe.splitlines() if "  faceproof" in line]
    commands = [body for language, body in steps("own-detector.md") if language == "bash"]
    assert commands[: len(advised)] == advised
