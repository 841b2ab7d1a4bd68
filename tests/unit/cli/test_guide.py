"""The help of every verb: a panel, an example that parses, and a page that exists."""

from __future__ import annotations

import itertools
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
from typer.testing import CliRunner

from faceproof.cli import app
from faceproof.cli.guide import ADDRESS, GUIDE, PANELS, examples_of

ROOT = Path(__file__).parents[3]


def verbs(command: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every verb below a group with its name; ``train`` is a verb and a group."""
    for word, verb in getattr(command, "commands", {}).items():
        yield f"{name} {word}".strip(), verb
        yield from verbs(verb, f"{name} {word}".strip())


VERBS = dict(verbs(typer.main.get_command(app)))


def takes_arguments(verb: Any) -> bool:
    """Return whether a verb does something itself, and is not only a group of others."""
    return not hasattr(verb, "commands") or bool(verb.params)


def help_of(name: str, monkeypatch: pytest.MonkeyPatch, columns: int = 120) -> str:
    monkeypatch.setenv("COLUMNS", str(columns))
    answer = CliRunner().invoke(app, [*name.split(), "--help"])
    assert answer.exit_code == 0
    return answer.output


@pytest.mark.parametrize("name", VERBS)
def test_every_verb_has_a_guide_whose_page_exists(name):
    guide = GUIDE[name]
    assert (ROOT / guide.page).is_file()
    assert guide.panel in PANELS
    assert bool(guide.examples) == takes_arguments(VERBS[name])
    assert examples_of(name)


def test_the_guide_names_no_other_verb():
    assert set(GUIDE) == set(VERBS)


@pytest.mark.parametrize(
    ("name", "example"), [(name, one) for name, guide in GUIDE.items() for one in guide.examples]
)
def test_every_example_parses_and_is_of_its_verb(name, example):
    program, *words = shlex.split(example)
    assert (program, words[: name.count(" ") + 1]) == ("faceproof", name.split())
    command = typer.main.get_command(app)
    while words and words[0] in getattr(command, "commands", {}):
        command, words = command.commands[words[0]], words[1:]
    assert command.name == name.split()[-1]
    command.make_context(name, words)


@pytest.mark.parametrize("name", VERBS)
def test_the_help_of_a_verb_ends_with_its_examples_and_its_page(name, monkeypatch):
    lines = [line.strip() for line in help_of(name, monkeypatch).splitlines() if line.strip()]
    assert lines[-1] == f"Docs: {ADDRESS}{GUIDE[name].page}"
    examples = examples_of(name)
    end = lines[-1 - len(examples) : -1]
    assert [line.removeprefix("Example: ") for line in end] == list(examples)


def test_the_panels_and_the_verbs_in_them_are_in_the_order_of_the_guide(monkeypatch):
    output = help_of("", monkeypatch)
    titles = re.findall(r"╭─ (.+?) ─", output)
    assert titles == ["Options", *PANELS]
    shown = re.findall(r"^│ ([a-z]+) ", output, re.M)
    assert shown == [name for name in GUIDE if " " not in name]
    for variable in ("FACEPROOF_DETECTOR", "FACEPROOF_OPERATING_POINT", "FACEPROOF_QUIET"):
        assert variable in output


@pytest.mark.parametrize("name", VERBS)
def test_the_help_fits_80_columns(name, monkeypatch):
    lines = help_of(name, monkeypatch, columns=80).splitlines()
    assert max(map(len, lines)) <= 80
    assert not [line for line in lines if "\N{HORIZONTAL ELLIPSIS}" in line or "<bool>" in line]
    described = [
        line.strip() for line in lines[: next(n for n, line in enumerate(lines) if "╭" in line)]
    ]
    ragged = [
        (line, below)
        for line, below in itertools.pairwise(described)
        if line and below and len(line) + 1 + len(below.split()[0]) <= 78
    ]
    assert ragged == []


def options_of(name: str) -> list[Any]:
    return [one for one in VERBS[name].params if one.param_type_name == "option"]


TRAINS = ("train", "train leave-one-out", "update")


@pytest.mark.parametrize("name", TRAINS)
def test_what_trains_takes_a_device_and_a_batch_size(name):
    options = {word for one in options_of(name) for word in one.opts}
    assert {"--device", "--batch-size", "--set", "--output", "-o", "--quiet"} <= options


@pytest.mark.parametrize("name", VERBS)
def test_every_variable_is_named_with_its_option(name, monkeypatch):
    text = " ".join(help_of(name, monkeypatch, columns=80).split())
    for option in options_of(name):
        names = [option.envvar] if isinstance(option.envvar, str) else option.envvar or []
        assert [f"{one} ({option.opts[0]})" in text for one in names] == [True] * len(names)


@pytest.mark.parametrize("name", VERBS)
def test_the_choices_that_an_option_lists_are_completed(name):
    for option in options_of(name):
        if option.metavar and re.fullmatch(r"[a-z]+(\|[a-z]+)+", option.metavar):
            with typer.Context(VERBS[name]) as context:
                found = {one.value for one in option.shell_complete(context, "")}
            assert found == set(option.metavar.split("|")), option.opts


COMMON = ("--detector", "--at", "--scorer", "--device", "--quiet")


@pytest.mark.parametrize(("name", "option"), [(name, one) for name in VERBS for one in COMMON])
def test_the_common_options_have_a_variable_wherever_they_are(name, option):
    if (name, option) == ("data prepare", "--detector"):
        return  # whose crop, and not which detector runs
    if option == "--device" and name in TRAINS:
        return  # of the recipe: a variable for checks must not move a training
    for one in options_of(name):
        if option in one.opts:
            assert one.envvar, f"{name} {option}"
