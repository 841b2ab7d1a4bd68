"""Overrides: the ``--set section.key=value`` of a command, in a recipe and on the card."""

from __future__ import annotations

import shlex
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from faceproof.errors import RecipeError

if TYPE_CHECKING:
    from faceproof.training.recipe import Recipe

Place = tuple[str | int, ...]

#: Overrides that say where a training runs and how its command is called, not what it makes.
_NOT_ON_THE_CARD = ("device", "data.prepared", "data.reading", "data.store", "export.command")


def name_overrides(recipe: Recipe, overrides: tuple[str, ...]) -> Recipe:
    """Return the recipe whose command, which the card repeats, has the overrides.

    Of a path only its last part is named, as everywhere on the card.
    """
    said, added = recipe.export.command, []
    for key, _, value in (one.partition("=") for one in overrides):
        if not key.strip().startswith(_NOT_ON_THE_CARD):
            path = Path(value.strip(" \"'"))
            name = path.name if path.is_absolute() else value
            added.append(f" --set {shlex.quote(f'{key}={name}')}")
    command = said + "".join(one for one in added if one not in said)
    export = recipe.export.model_copy(update={"command": command})
    return recipe.model_copy(update={"export": export}) if command != said else recipe


def apply_override(content: dict[str, Any], override: str) -> tuple[Place, str]:
    """Set one ``section.key=value``, and return the key's parts and the value as written.

    The value is TOML, or else text.
    """
    key, equals, value = override.partition("=")
    if not equals:
        raise RecipeError(f"--set {override}: write it as section.key=value")
    place = tuple(key.strip().split("."))
    for section in place[:-1]:
        content = content.setdefault(section, {})
        if not isinstance(content, dict):
            raise RecipeError(f"--set {override}: {section!r} is no section")
    content[place[-1]] = _toml_value(value)
    return place, value.strip()


def _toml_value(text: str) -> Any:
    """Return the TOML value of ``text``, or the text itself."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
