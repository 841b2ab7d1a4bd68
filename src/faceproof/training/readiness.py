"""Asked before hours of training: what would otherwise fail after them."""

from __future__ import annotations

from typing import Any

from faceproof.data.manifest import Manifest
from faceproof.errors import TrainingError
from faceproof.evaluation.intervals import faces_needed
from faceproof.runs import RunFolder
from faceproof.training.operating_points import Budget
from faceproof.training.recipe import Recipe

#: What may change between two starts of one run without making it another training.
_FREE_SECTIONS = ("calibration", "device", "export")
_FREE_KEYS = ("data.licence", "data.prepared", "data.root")


def refuse_poor_data(recipe: Recipe, manifest: Manifest) -> None:
    """Refuse data that cannot be trained, calibrated or tested on.

    Raises:
        TrainingError: a split lacks a class, or has too few faces for the recipe's promises.
    """
    tightest = min(recipe.calibration.budgets)
    needed = {
        "train": {"real": 1, "fake": 1},
        "validation": {"real": 1, "fake": 1},
        "calibration": {
            "real": faces_needed(tightest),
            "fake": faces_needed(Budget(bpcer=tightest).apcer),
        },
        "test": {"real": 1, "fake": 1},
    }
    for split, classes in needed.items():
        for label, count in classes.items():
            found = sum(row.split == split and row.label == label for row in manifest.rows)
            if found < count:
                raise TrainingError(
                    f"the split {split} holds {found} {label} faces and needs {count} or more: "
                    "take more pictures, or ask for larger calibration.budgets"
                )


def changes(run: RunFolder, recipe: Recipe, manifest: Manifest) -> list[str]:
    """Return the keys in which the recipe differs from the one that the run was started with.

    Raises:
        TrainingError: the run's weights do not go with this recipe's network or data.
    """
    starts = run.starts()
    if not starts or not (run.path / "last.pt").exists():
        return []
    if starts[0]["data_sha256"] != manifest.sha256:
        raise TrainingError(f"{run.path} was trained on other data: name another --output")
    changed = _differences(starts[0]["recipe"], recipe.model_dump(mode="json"))
    if misfits := [key for key in changed if key.startswith(("network.name", "network.head"))]:
        raise TrainingError(
            f"{run.path} holds another network ({misfits[0]} differs): name another --output"
        )
    return changed


def _differences(before: Any, after: Any, place: str = "") -> list[str]:
    """Return the dotted keys whose values differ, but for those that decide no weight."""
    if place in (*_FREE_SECTIONS, *_FREE_KEYS) or before == after:
        return []
    if not (isinstance(before, dict) and isinstance(after, dict)):
        return [place]
    return [
        key
        for name in sorted(before.keys() | after.keys())
        for key in _differences(before.get(name), after.get(name), f"{place}.{name}".lstrip("."))
    ]
