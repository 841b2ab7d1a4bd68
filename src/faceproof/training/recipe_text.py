"""`starter_recipe`: a recipe with every key and what it means, made from the recipe's Records."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo

from faceproof.records import Record
from faceproof.tables import choose
from faceproof.training.overrides import apply_override
from faceproof.training.recipe import Recipe, recipe_keys, record_in

_WIDTH = 98

#: The values of the recipe for a few hundred pictures of one's own, and what to know of them;
#: examples/own-data.toml has the same ones.
STARTER: Mapping[str, tuple[object, str]] = {
    "seed": (1, ""),
    "data.prepared": ("prepared", "The folder that `faceproof data prepare` has made."),
    "data.licence": (
        "Private: not for distribution.",
        "What the terms of your pictures allow: change this before you pass the detector on.",
    ),
    "network.name": ("densenet121", "Any network of timm."),
    "network.starting_weights": (
        "default",
        "The shipped detector, whose licence (research, non-commercial) then holds for yours too. "
        'For other uses start from ImageNet: "densenet121.tv_in1k" of timm\'s hub, which needs a '
        "connection.",
    ),
    "network.head.dropout": (0.3, ""),
    "network.head.hidden": (256, ""),
    "network.head.hidden_dropout": (0.3, ""),
    "network.preprocessing.crop.size": (160, ""),
    "network.preprocessing.crop.margin": (0.0, ""),
    "network.batch_norm_pictures": (192, ""),
    "schedule.epochs": (30, ""),
    "schedule.head_first_steps": (10, ""),
    "schedule.warmup_steps": (20, ""),
    "schedule.validate_steps": (50, ""),
    "schedule.validation_pictures": (300, ""),
    "export.name": ("own", ""),
    "export.version": ("1.0", ""),
}

#: Keys whose default is the network's own, whatever the Record says.
_OF_THE_NETWORK = ("network.preprocessing.crop.size", "network.preprocessing.input.")


def starter_recipe(*, name: str = "recipe.toml", overrides: Sequence[str] = ()) -> str:
    """Return the text of a recipe: the starter's values, and every other key as a comment.

    ``name`` is that of its file, for the commands in it. ``overrides`` such as
    ``data.prepared=faces`` replace values.

    Raises:
        RecipeError: an override has no value.
        UnknownChoiceError: it names no key of a recipe.
    """
    head = [
        "Recipe of a training. Keys behind a # have the default that is shown. Before this:",
        "    faceproof data import pictures/ -o set.parquet",
        "    faceproof data split set.parquet -o split.parquet",
        "    faceproof data prepare split.parquet -o prepared/",
        f"Plan and time: faceproof train {name} --dry-run.",
        "What it means: docs/how-to/train-a-detector.md.",
    ]
    chosen = {key: value for key, (value, _) in STARTER.items()}
    chosen["export.command"] = f"faceproof train {name}"
    chosen |= dict(_read_override(one) for one in overrides)
    lines = [f"# {line}" for line in head]
    sections = []
    for key, field in Recipe.model_fields.items():
        record = record_in(field.annotation)
        if record is None:
            if get_origin(field.annotation) is dict:
                sections += ["", f"# [{key}]", "# NAME = CHANCE"]
            else:
                lines += _key_lines(key, key, field, chosen)
        else:
            sections += ["", *_section(key, record, field, chosen)]
    return "\n".join([*lines, *sections]) + "\n"


def _read_override(override: str) -> tuple[str, object]:
    """Return the key and the value of ``section.key=value``."""
    content: dict[str, Any] = {}
    place, _ = apply_override(content, override)
    key = ".".join(map(str, place))
    choose(dict.fromkeys(recipe_keys()), key, what="key of a recipe")
    value: Any = content
    for part in place:
        value = value[part]
    return key, value


def _section(
    name: str, record: type[Record], field: FieldInfo, chosen: Mapping[str, object]
) -> Iterator[str]:
    """Yield the lines of a section: its title, what it is about, its keys."""
    kind: Any = get_origin(field.annotation)
    title = {dict: f"[{name}.NAME]", tuple: f"[[{name}]]"}.get(kind, f"[{name}]")
    optional = kind in (dict, tuple) or (not field.is_required() and field.default is None)
    yield f"# {title}" if optional else title
    yield from _comment(record.__doc__ or "")
    yield from _keys_of(name, "", record, chosen)


def _keys_of(
    section: str, prefix: str, record: type[Record], chosen: Mapping[str, object]
) -> Iterator[str]:
    """Yield the lines of a Record's keys; those of Records in it have dotted names."""
    for key, field in record.model_fields.items():
        inner = record_in(field.annotation)
        if inner is None:
            yield from _key_lines(f"{section}.{prefix}{key}", prefix + key, field, chosen)
        else:
            yield from _keys_of(section, f"{prefix}{key}.", inner, chosen)


def _key_lines(
    place: str, key: str, field: FieldInfo, chosen: Mapping[str, object]
) -> Iterator[str]:
    """Yield what is to be known of a key, and the key with its value or its default."""
    yield from _comment(STARTER.get(place, ("", ""))[1] or field.description or "")
    choices = _choices(field.annotation)
    note = f"  # {', '.join(choices)}" if choices else ""
    if place in chosen:
        yield f"{key} = {_toml(chosen[place])}{note}"
    elif place.startswith(_OF_THE_NETWORK):
        yield f"# {key}: that of the network"
    elif field.is_required():
        yield f"# {key} must be given{note}"
    elif (default := field.get_default(call_default_factory=True)) is None:
        yield f"# {key} is unset{note}"
    else:
        yield f"# {key} = {_toml(default)}{note}"


def _choices(kind: Any) -> list[str]:
    """Return the names that a key can have, where they are few and fixed."""
    if get_origin(kind) is Literal:
        return [str(one) for one in get_args(kind)]
    return [name for inner in get_args(kind) if inner is not ... for name in _choices(inner)]


def _comment(text: str) -> list[str]:
    plain = re.sub(r"`{1,2}", "", " ".join(text.split()))
    return textwrap.wrap(plain, _WIDTH, initial_indent="# ", subsequent_indent="# ")


def _toml(value: Any) -> str:
    """Return a value as TOML.

    >>> _toml(("clean", 0.5)), _toml({"train": 3}), _toml(True)
    ('["clean", 0.5]', '{ "train" = 3 }', 'true')
    """
    if isinstance(value, Mapping):
        inside = ", ".join(f"{json.dumps(key)} = {_toml(one)}" for key, one in value.items())
        return f"{{ {inside} }}" if inside else "{}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, PurePath):
        value = value.as_posix()
    return json.dumps(value, ensure_ascii=False)
