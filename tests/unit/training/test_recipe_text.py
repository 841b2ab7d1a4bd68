"""The recipe of `train --init`: that of examples/own-data.toml, with every other key shown."""

from __future__ import annotations

import re
from pathlib import Path

from faceproof.training.recipe import Recipe, read_recipe, recipe_keys
from faceproof.training.recipe_text import starter_recipe

OWN_DATA = Path(__file__).parents[3] / "examples" / "own-data.toml"


def read(path: Path, text: str) -> Recipe:
    """Return a recipe without the command that the card repeats."""
    path.write_text(text, encoding="utf-8")
    recipe = read_recipe(path)
    return recipe.model_copy(update={"export": recipe.export.model_copy(update={"command": ""})})


def test_it_is_the_recipe_of_the_example(tmp_path):
    example = read(tmp_path / "example.toml", OWN_DATA.read_text(encoding="utf-8"))
    assert read(tmp_path / "own.toml", starter_recipe(name="own.toml")) == example
    assert read_recipe(tmp_path / "own.toml").export.command == "faceproof train own.toml"


def test_the_defaults_that_it_shows_are_the_defaults(tmp_path):
    """With every ``# key = default`` of the sections that are there, the recipe is the same."""
    text = starter_recipe()
    shown, section_is_there = [], True
    for line in text.splitlines():
        if re.match(r"(# )?\[", line):
            section_is_there = not line.startswith("#")
        default = re.match(r"# ([a-z_.]+ = .*)", line)
        shown.append(default[1] if default and section_is_there else line)
    assert "learning_rate = 0.001" in shown
    whole = read(tmp_path / "whole.toml", "\n".join(shown))
    assert whole == read(tmp_path / "own.toml", text)


def test_every_key_is_in_it():
    text = starter_recipe()
    missing = [
        key
        for key in recipe_keys()
        if not re.search(rf"^(# )?{re.escape(key.partition('.')[2] or key)}( =|:| )", text, re.M)
    ]
    assert missing == []
    for section in ("[resolution]", "[made.NAME]", "[[stages]]", "[forgeries]"):
        assert f"\n# {section}\n" in text


def test_choices_are_listed_and_lines_are_short():
    text = starter_recipe()
    assert re.search(r'^# name = "adamw"  # adamw, adam, sgd$', text, re.M)
    assert max(map(len, text.splitlines())) < 130
