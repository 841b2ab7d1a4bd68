"""Asked before hours of training: what would otherwise fail after them."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from faceproof.data.manifest import SPLITS, Manifest
from faceproof.data.preparing.folder import RECORD
from faceproof.data.preparing.spec import PicturesSpec
from faceproof.detector.bundle import Bundle
from faceproof.detector.detector import crop_difference
from faceproof.errors import TrainingError
from faceproof.imaging.preprocessing import CropSpec
from faceproof.networks.weights import bundle_and_member
from faceproof.runs import RunFolder
from faceproof.training.promises import Budget
from faceproof.training.recipe import CalibrationRecipe, Recipe

_ENLARGED = 1.05


def crop_notes(crop: CropSpec, prepared: Path) -> list[str]:
    """Return in words where training would see other crops than the detector does in use.

    Raises:
        TrainingError: the pictures were cut more tightly than the recipe's crop reaches.
    """
    cut = _cut(prepared)
    if cut is None:
        return []
    if crop.method == "whole":
        return [
            f"network.preprocessing.crop.method is 'whole', and {prepared} holds faces that were "
            "cut out: in use the detector is shown whole pictures, which it has never seen. "
            "Prepare with --keep picture, or use the method 'five_point'"
        ]
    if crop.margin > cut.margin:
        raise TrainingError(
            f"network.preprocessing.crop.margin = {crop.margin:g} reaches beyond the pictures in "
            f"{prepared}, which were cut with a margin of {cut.margin:g}: set it to "
            f"{cut.margin:g} or less, or prepare again with --margin {crop.margin:g}"
        )
    factor = _pixels_of_a_face(crop) / _pixels_of_a_face(cut)
    if factor <= _ENLARGED:
        return []
    fits = int(cut.size * (1 + 2 * crop.margin) / (1 + 2 * cut.margin))
    return [
        f"the pictures in {prepared} are enlarged {factor:.2f} times for crops of {crop.size} px, "
        "those in use mostly are not, and the detector may take that for a trace: set "
        f"network.preprocessing.crop.size = {fits} or less, or prepare again with --size "
        f"{round(cut.size * factor)}"
    ]


def start_notes(crop: CropSpec, starting_weights: str | None) -> list[str]:
    """Return in words how the crop differs from that of the detector that training starts from.

    Raises:
        BundleError: the detector's folder cannot be trusted.
    """
    found = bundle_and_member(starting_weights) if starting_weights else None
    if found is None:
        return []
    differs = crop_difference(crop, Bundle.read(found[0]).spec.preprocessing.crop)
    if not differs:
        return []
    return [
        f"the recipe's crop is not that of {found[0]}, which it starts from ({differs}): what the "
        "detector knows holds for its own crop; set network.preprocessing.crop to that"
    ]


def _cut(prepared: Path) -> CropSpec | None:
    """Return the crop that the prepared pictures reach; None for whole ones and older folders."""
    try:
        said = json.loads((prepared / RECORD).read_bytes())["spec"]
        spec = PicturesSpec.model_validate(said)
    except (OSError, ValueError, LookupError, TypeError, ValidationError):
        return None
    if spec.keep == "face":  # its size is the width of a face, not the side of a crop
        side = round(spec.crop.size * (1 + 2 * spec.crop.margin))
        return spec.crop.model_copy(update={"size": side})
    return spec.crop if spec.keep == "crop" else None


def _pixels_of_a_face(crop: CropSpec) -> float:
    """Return the side in px of what a crop without margin would show."""
    return crop.size / (1 + 2 * crop.margin)


#: Keys that earlier versions wrote into run.json, and that decide nothing on a prepared folder.
_REMOVED_KEYS = ("data.root", "data.split_seed")

#: What may change between two starts of one run without making it another training.
_FREE_SECTIONS = ("calibration", "device", "export")
_FREE_KEYS = ("data.licence", "data.prepared", "data.reading", *_REMOVED_KEYS)

#: What the tensors in a checkpoint are of.
_DECIDE_THE_STATE = ("network.name", "network.head", "optimizer.name")


def refuse_poor_data(recipe: Recipe, manifest: Manifest) -> None:
    """Refuse data that cannot be trained, calibrated or tested on.

    Raises:
        TrainingError: a split lacks a class, or has too few faces for the recipe's promises.
    """
    refuse_few_faces(recipe.calibration, manifest, splits=SPLITS)


def refuse_few_faces(
    promised: CalibrationRecipe, manifest: Manifest, *, splits: Collection[str]
) -> None:
    """Refuse data whose ``splits`` lack a class, or have too few faces for what is promised.

    Raises:
        TrainingError: naming the split, what it holds and what it takes.
    """
    budgets = _without_which_nothing(promised)
    needed = {
        "train": {"real": 1, "fake": 1},
        "validation": {"real": 1, "fake": 1},
        "calibration": {
            "real": max(budget.reals_needed for budget in budgets),
            "fake": max(budget.fakes_needed for budget in budgets),
        },
        "test": {"real": 1, "fake": 1},
    }
    for split, classes in ((name, needed[name]) for name in splits):
        for label, count in classes.items():
            found = sum(row.split == split and row.label == label for row in manifest.rows)
            if found < count:
                raise TrainingError(
                    f"the split {split} holds {found} {label} faces and needs {count} or more: "
                    f"{_takes(budgets) if split == 'calibration' else ''}"
                    f"{_remedy(manifest, split, label)}"
                )


def promises_in_doubt(promised: CalibrationRecipe, manifest: Manifest) -> list[str]:
    """Return in words which promises the calibration split cannot or may not support.

    Faces of one group may be worth less than their number; how much less, only the answers tell.
    """
    rows = [row for row in manifest.rows if row.split == "calibration" and not row.is_fake]
    groups = len({row.group or row.path for row in rows})
    budgets = [Budget(bpcer=share) for share in promised.asked]
    held = f"calibration holds {len(rows):,} of {groups:,} groups"
    return [
        f"the promise {budget.name} takes {budget.reals_needed:,} independent real faces and "
        f"{held}: it {'will' if len(rows) < budget.reals_needed else 'may'} not be made"
        for budget in budgets
        if groups < budget.reals_needed
    ]


def _remedy(manifest: Manifest, split: str, label: str) -> str:
    """Return what helps a split that has too few faces of a class."""
    rows = [row for row in manifest.rows if row.label == label]
    if not rows:
        return f"the whole manifest holds none, and there is no learning without: add {label} faces"
    if not any(row.split == split for row in rows):
        return "divide the manifest anew with `faceproof data split`, and prepare what it writes"
    return "take more pictures, or ask for larger calibration.budgets"


def _without_which_nothing(promised: CalibrationRecipe) -> list[Budget]:
    """Return the budgets that must be kept: those named, and where none is, the mildest."""
    shares = promised.required or (max(promised.asked),)
    return [Budget(bpcer=share) for share in shares]


def _takes(budgets: Sequence[Budget]) -> str:
    """Return how many real and fake faces each promise takes, in words."""
    reals = ", ".join(f"{budget.name} takes {budget.reals_needed:,}" for budget in budgets)
    return f"of real faces {reals}, of fakes each {budgets[0].fakes_needed:,}; "


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
    if misfits := [key for key in changed if key.startswith(_DECIDE_THE_STATE)]:
        what = "optimiser" if misfits[0] == "optimizer.name" else "network"
        raise TrainingError(
            f"{run.path} holds another {what} ({misfits[0]} differs): name another --output"
        )
    return changed


def _differences(before: Any, after: Any, place: str = "") -> list[str]:
    """Return the dotted keys whose values differ, but for those that decide no weight."""
    if place in (*_FREE_SECTIONS, *_FREE_KEYS) or before == after:
        return []
    if before == {} and after is None:  # an empty table that earlier versions wrote
        return []
    if not (isinstance(before, dict) and isinstance(after, dict)):
        return [place]
    return [
        key
        for name in sorted(before.keys() | after.keys())
        for key in _differences(before.get(name), after.get(name), f"{place}.{name}".lstrip("."))
    ]
