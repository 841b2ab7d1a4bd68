"""`update_recipe`: a short training at low rates from the old detector, for few pictures."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from faceproof.detector.bundle import Bundle
from faceproof.detector.spec import DetectorSpec, OperatingPoint
from faceproof.errors import RecipeError, UsageError
from faceproof.outputs import write_text
from faceproof.training.promises import Budget
from faceproof.training.recipe import Recipe, read_recipe

_DEFAULTS: dict[str, Any] = {
    "schedule": {
        "steps": 300,
        "batch_size": 32,
        "head_first_steps": 0,
        "warmup_steps": 20,
        "validate_steps": 300,
        "keep": "last",
    },
    "optimizer": {
        "learning_rate": 3e-4,
        "backbone_factor": 0.3,
        "average_decay": 0.98,
    },
    "distil": {"weight": 0.5, "temperature": 2.0, "follow": "where_right"},
}
"""Defaults for few pictures; ``--set`` overrides them. The last step is used, not the best."""

_VERSION = re.compile(r"(?P<before>.*)-u(?P<number>\d+)")
_MOST_VERSION = 60


def update_recipe(
    old: Bundle, point: OperatingPoint, prepared: Path, *, overrides: tuple[str, ...], file: Path
) -> Recipe:
    """Return the recipe that updates a detector with the promise of one operating point.

    It is written to ``file`` first.

    Raises:
        RecipeError: an override is not a key, or must not be changed in an update.
        UsageError: the detector is an ensemble, or the point promises no false-alarm rate.
    """
    _refuse_other_promises(old.spec, point)
    content = _recipe_content(old, prepared) | {
        "calibration": {"default_budget": point.bpcer_budget}
    }
    lines = _toml_lines(content)
    write_text(file, "".join(f"{line}\n" for line in lines))
    licence = tuple(one for one in overrides if one.startswith("data.licence="))
    plain, wanted = read_recipe(file, licence), read_recipe(file, overrides)
    _refuse_misfits(plain, wanted)
    return wanted


def require_single_member(spec: DetectorSpec) -> None:
    """Reject an ensemble: an update trains only one network.

    Raises:
        UsageError: it has several members.
    """
    if len(spec.members) > 1:
        raise UsageError(
            f"{spec.name} is an ensemble of {len(spec.members)} networks, but an update trains "
            "one: distil it into a single network first (a recipe with distil.teacher), and "
            "update that"
        )


def candidate_point_name(point: OperatingPoint) -> str:
    """Return the name of the candidate's operating point with the same promise."""
    return Budget(bpcer=point.bpcer_budget or 0.0).name


def _next_version(version: str) -> str:
    """Return the version of a detector after one more update.

    >>> _next_version("1.0"), _next_version("1.0-u1")
    ('1.0-u1', '1.0-u2')
    """
    found = _VERSION.fullmatch(version)
    before, number = (found["before"], int(found["number"])) if found else (version, 0)
    return f"{before[:_MOST_VERSION]}-u{number + 1}"


def _recipe_content(old: Bundle, prepared: Path) -> dict[str, Any]:
    """Return the content of the recipe's file."""
    spec = old.spec
    require_single_member(spec)
    (member,) = spec.members
    preprocessing = spec.preprocessing.model_dump(mode="json")
    if member.input is not None:
        preprocessing["input"] = member.input.model_dump(mode="json")
    folder = str(old.folder)
    return {
        **_DEFAULTS,
        "data": {"prepared": str(prepared), "licence": spec.licence},
        "network": {
            "name": member.network,
            "head": member.head.model_dump(mode="json"),
            "preprocessing": preprocessing,
            "starting_weights": str(old.folder / member.weights.name),
            "batch_norm": "frozen",
            "batch_norm_pictures": 0,
        },
        "distil": {**_DEFAULTS["distil"], "teacher": folder},
        "export": {
            "name": spec.name,
            "version": _next_version(spec.version),
            "command": "faceproof update",
            "notes": [
                *spec.notes,
                f"Updated from {spec.name} {spec.version}, whose detector.json has SHA-256 "
                f"{old.sha256}.",
            ],
        },
    }


def _refuse_other_promises(spec: DetectorSpec, point: OperatingPoint) -> None:
    """Reject an operating point whose promise an update cannot repeat."""
    if point.bpcer_budget:
        return
    names = [one.name for one in spec.operating_points.values() if one.bpcer_budget]
    raise UsageError(
        f"the operating point {point.name!r} has no budget of real faces called fake that the "
        f"update could repeat: choose another with --at ({', '.join(names) or 'none'})"
    )


def _toml_lines(content: dict[str, Any], place: str = "") -> Iterator[str]:
    """Yield a recipe as lines of TOML with dotted keys, without None values."""
    for name, value in content.items():
        if isinstance(value, dict):
            yield from _toml_lines(value, f"{place}{name}.")
        elif value is not None:
            yield f"{place}{name} = {json.dumps(value, ensure_ascii=False)}"


def _refuse_misfits(plain: Recipe, wanted: Recipe) -> None:
    """Reject overrides that an update of this detector does not allow."""
    fixed = {
        "data.prepared": (plain.data.prepared, wanted.data.prepared),
        "data.balance": (plain.data.balance, wanted.data.balance),
        "data.reading": (plain.data.reading, wanted.data.reading),
        "network.name": (plain.network.name, wanted.network.name),
        "network.head": (plain.network.head, wanted.network.head),
        "network.preprocessing": (plain.network.preprocessing, wanted.network.preprocessing),
        "network.starting_weights": (
            plain.network.starting_weights,
            wanted.network.starting_weights,
        ),
        "network.started_from": (plain.network.started_from, wanted.network.started_from),
        "network.started_from_licence": (
            plain.network.started_from_licence,
            wanted.network.started_from_licence,
        ),
        "calibration.default_budget": (
            plain.calibration.default_budget,
            wanted.calibration.default_budget,
        ),
        "export.most": (plain.export.most, wanted.export.most),
        "schedule.keep": (plain.schedule.keep, wanted.schedule.keep),
        "schedule.patience": (plain.schedule.patience, wanted.schedule.patience),
    }
    if wanted.device.devices * wanted.device.nodes > 1:
        raise RecipeError("an update runs on one device: set device.devices and device.nodes to 1")
    for key, (before, after) in fixed.items():
        if before != after:
            raise RecipeError(
                f"--set {key}: an update cannot change it. Network and promise stay those of the "
                "old detector (--at selects another promise), and the last step is used: the "
                "gate needs validation faces that selected nothing"
            )
