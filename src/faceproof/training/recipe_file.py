"""Reading a recipe: TOML and ``--set`` overrides into the closed Records of `recipe`."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeGuard, get_args

from pydantic import ValidationError

from faceproof.errors import RecipeError
from faceproof.records import Record
from faceproof.tables import nearest
from faceproof.training.recipe import Recipe

Place = tuple[str | int, ...]


def read_recipe(path: Path, overrides: tuple[str, ...] = ()) -> Recipe:
    """Return the recipe of a TOML file with ``key.path=value`` overrides applied.

    Raises:
        RecipeError: naming the key at fault and the nearest right one.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path} cannot be read as a recipe: {error}") from error
    written = dict(_override(content, override) for override in overrides)
    try:
        return _validated(content, written)
    except ValidationError as error:
        raise RecipeError(f"{path}: {_explain(error)}") from error


def _override(content: dict[str, Any], override: str) -> tuple[Place, str]:
    """Set one ``section.key=value``, and return the key's parts and the value as written.

    The value is TOML, or text where it is no TOML.
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


def _validated(content: dict[str, Any], written: Mapping[Place, str]) -> Recipe:
    """Return the recipe; where text is wanted, ``--set export.version=2.0`` means the text."""
    try:
        return Recipe.model_validate(content)
    except ValidationError as error:
        texts = {fault["loc"] for fault in error.errors() if fault["type"] == "string_type"}
        if texts.isdisjoint(written):
            raise
    for place in texts & written.keys():
        section: Any = content
        for part in place[:-1]:
            section = section[part]
        section[place[-1]] = written[place]
    return Recipe.model_validate(content)


def _toml_value(text: str) -> Any:
    """Return the TOML value of ``text``, or the text itself."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _explain(error: ValidationError) -> str:
    """Return one fault in words, a misspelt key before any other, with the nearest right one."""
    faults = error.errors()
    fault = next((one for one in faults if one["type"] == "extra_forbidden"), faults[0])
    where = ".".join(str(part) for part in fault["loc"])
    if fault["type"] != "extra_forbidden":
        return f"{where}: {fault['msg'].removeprefix('Value error, ')}"
    *section, key = (str(part) for part in fault["loc"])
    guess = nearest(key, list(_record_at(section).model_fields)) or nearest(
        key, list(_keys(Recipe))
    )
    return f"{where} is no key of a recipe{guess}"


def _record_at(section: list[str]) -> type[Record]:
    """Return the Record that a section of the recipe is read into."""
    kind: Any = Recipe
    for part in section:
        # In a table such as data.sources any key holds the same Record.
        kind = kind.model_fields[part].annotation if _is_record(kind) else get_args(kind)[1]
    record: type[Record] = kind
    return record


def _keys(record: type[Record]) -> Iterator[str]:
    """Yield every key that may stand in a recipe, with its sections: ``schedule.steps``."""
    for name, field in record.model_fields.items():
        yield name
        if _is_record(field.annotation):
            yield from (f"{name}.{key}" for key in _keys(field.annotation))


def _is_record(kind: Any) -> TypeGuard[type[Record]]:
    return isinstance(kind, type) and issubclass(kind, Record)
