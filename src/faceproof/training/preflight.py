"""`refuse_poor_data` and `recipe_changes`: checks of what would otherwise fail late."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
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
from faceproof.training.origins import resolve_origin
from faceproof.training.promises import COARSE, Budget, least_faces
from faceproof.training.recipe import CalibrationRecipe, Recipe

_ENLARGED = 1.05


def crop_notes(crop: CropSpec, prepared: Path) -> list[str]:
    """Return warnings if the crops in training differ from those in use.

    Raises:
        TrainingError: the prepared crops are tighter than the recipe's crop.
    """
    cut = _recorded_crop(prepared)
    if cut is None:
        return []
    if crop.method == "whole":
        return [
            f"network.preprocessing.crop.method is 'whole', but {prepared} has cropped faces: in "
            "use the detector gets whole pictures, which differ from its training data. "
            "Prepare with --keep picture, or set the method 'five_point'"
        ]
    if crop.margin > cut.margin:
        raise TrainingError(
            f"network.preprocessing.crop.margin = {crop.margin:g} exceeds the margin "
            f"{cut.margin:g} of the pictures in {prepared}: set it to "
            f"{cut.margin:g} or less, or prepare again with --margin {crop.margin:g}"
        )
    factor = _face_side(crop) / _face_side(cut)
    if factor <= _ENLARGED:
        return []
    fits = int(cut.size * (1 + 2 * crop.margin) / (1 + 2 * cut.margin))
    return [
        f"the pictures in {prepared} are enlarged {factor:.2f} times for crops of {crop.size} px, "
        "those in use mostly are not, and the detector may learn that difference: set "
        f"network.preprocessing.crop.size = {fits} or less, or prepare again with --size "
        f"{round(cut.size * factor)}"
    ]


def find_doubts(recipe: Recipe, manifest: Manifest) -> Iterator[str]:
    """Yield what to know before hours of training, though it forbids nothing."""
    crop = recipe.network.preprocessing.crop
    yield from crop_notes(crop, recipe.data.prepared)
    yield from start_notes(crop, recipe.network.starting_weights)
    yield from doubtful_promises(recipe.calibration, manifest.at_most(recipe.export.most))


def start_notes(crop: CropSpec, starting_weights: str | None) -> list[str]:
    """Return warnings if the crop differs from that of the starting detector.

    Raises:
        BundleError: the detector's folder is invalid.
    """
    found = bundle_and_member(starting_weights) if starting_weights else None
    if found is None:
        return []
    differs = crop_difference(crop, Bundle.read(found[0]).spec.preprocessing.crop)
    if not differs:
        return []
    return [
        f"the recipe's crop differs from that of the starting detector {found[0]} ({differs}): "
        "its weights fit its own crop; set network.preprocessing.crop to that"
    ]


def refuse_contradicted_origin(recipe: Recipe, run: RunFolder) -> None:
    """Refuse starting weights of another origin than the recipe's, before hours of work.

    Raises:
        RecipeError: the recipe contradicts the weights, or both state nothing.
    """
    network = recipe.network
    if network.starting_weights is not None and not (run.path / "last.pt").exists():
        resolve_origin(network.starting_weights, network.started_from, network.started_from_licence)


def _recorded_crop(prepared: Path) -> CropSpec | None:
    """Return the crop of the prepared pictures; None for whole ones and older folders."""
    try:
        recorded = json.loads((prepared / RECORD).read_bytes())["spec"]
        spec = PicturesSpec.model_validate(recorded)
    except (OSError, ValueError, LookupError, TypeError, ValidationError):
        return None
    if spec.keep == "face":  # its size is the width of a face, not the side of a crop
        side = round(spec.crop.size * (1 + 2 * spec.crop.margin))
        return spec.crop.model_copy(update={"size": side})
    return spec.crop if spec.keep == "crop" else None


def _face_side(crop: CropSpec) -> float:
    """Return the side in px of the part of a crop without its margin."""
    return crop.size / (1 + 2 * crop.margin)


#: Keys that earlier versions wrote into run.json, and that decide nothing on a prepared folder.
_REMOVED_KEYS = ("data.root", "data.split_seed")

#: Sections that may change between two starts of the same run.
_FREE_SECTIONS = ("calibration", "device", "export")
_FREE_KEYS = (
    *("data.licence", "data.prepared", "data.reading", "data.store", *_REMOVED_KEYS),
    *("network.started_from", "network.started_from_licence", "schedule.snapshots"),
)

#: Keys that determine the tensors of a checkpoint.
_DECIDE_THE_STATE = ("network.name", "network.head", "optimizer.name")


def refuse_poor_data(recipe: Recipe, manifest: Manifest) -> None:
    """Reject data that cannot be used for training, calibration and test.

    Raises:
        TrainingError: a split lacks a class, or has too few faces for the recipe's promises.
    """
    judged = manifest.at_most(recipe.export.most)
    try:
        refuse_few_faces(recipe.calibration, judged, splits=SPLITS)
    except TrainingError as error:
        if judged is manifest:
            raise
        raise TrainingError(f"{error}; or raise export.most") from error


def refuse_few_faces(
    promised: CalibrationRecipe, manifest: Manifest, *, splits: Collection[str]
) -> None:
    """Reject data whose ``splits`` lack a class, or have too few faces for the promises.

    Raises:
        TrainingError: with the split, its number of faces and the required number.
    """
    budgets = _required_budgets(promised)
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
                    f"the split {split} has {found} {label} faces and needs at least {count}: "
                    f"{_describe_needs(budgets) if split == 'calibration' else ''}"
                    f"{_remedy(promised, manifest, split, label)}"
                )


def doubtful_promises(promised: CalibrationRecipe, manifest: Manifest) -> list[str]:
    """Return warnings about promises that the calibration split may not support.

    Faces of one group may count less than their number, which only predictions can show.
    """
    counts = {label: _count_calibration(manifest, label) for label in ("real", "fake")}
    doubts = []
    for budget in (Budget(bpcer=share) for share in promised.asked):
        needed = {"real": budget.reals_needed, "fake": budget.fakes_needed}
        for label, (rows, groups) in counts.items():
            if groups < needed[label]:
                doubts.append(
                    f"the promise {budget.name} needs {needed[label]:,} independent {label} faces, "
                    f"but calibration has {rows:,} in {groups:,} groups: it "
                    f"{'will' if rows < needed[label] else 'may'} be omitted"
                )
                break
    if promised.fallback and len(doubts) == len(promised.asked):
        return [_describe_fallback(promised, counts)]
    return doubts


def _count_calibration(manifest: Manifest, label: str) -> tuple[int, int]:
    """Return the number of calibration faces of a class, and of their groups."""
    rows = [row for row in manifest.rows if row.split == "calibration" and row.label == label]
    return len(rows), len({row.group or row.path for row in rows})


def _describe_fallback(promised: CalibrationRecipe, counts: Mapping[str, tuple[int, int]]) -> str:
    """Return which promise a small set supports at most, and how to get a stricter one."""
    groups = min(groups for _, groups in counts.values())
    budgets = [Budget(bpcer=share) for share in promised.fallback]
    kept = [one for one in budgets if one.reals_needed <= groups] or budgets[:1]
    usual = Budget(bpcer=max(promised.asked))
    reals, fakes = (rows for rows, _ in counts.values())
    return (
        f"calibration has {reals:,} real and {fakes:,} fake faces: the strictest promise that they "
        f"may support is {kept[-1].name}. {usual.name} needs {usual.reals_needed} independent "
        "faces of each class: add pictures, or enlarge the split with `faceproof data split "
        f"MANIFEST --anew --shares {_LARGE_CALIBRATION} -o NEW`"
    )


#: The shares of a split that spends as much on calibration as a small set can.
_LARGE_CALIBRATION = "train=0.5,validation=0.1,calibration=0.3,test=0.1"
_LARGE_SHARE = 0.3


def _remedy(promised: CalibrationRecipe, manifest: Manifest, split: str, label: str) -> str:
    """Return the fix for a split with too few faces of a class."""
    rows = [row for row in manifest.rows if row.label == label]
    found = sum(row.split == split for row in rows)
    if not rows:
        return f"the whole manifest has none, but training needs both classes: add {label} faces"
    if not found:
        return "split the manifest again with `faceproof data split`, and prepare the result"
    least = least_faces(max(COARSE))
    if promised.required and found >= least:
        keys = ("budgets", "default_budget")
        named = [key for key in keys if getattr(promised, key) is not None]
        sets = " ".join(f"--set calibration.{key}=auto" for key in named)
        return f"add more pictures, or promise what this data supports: {sets}"
    if found < least <= _LARGE_SHARE * len(rows):
        return (
            f"enlarge it with `faceproof data split MANIFEST --anew --shares {_LARGE_CALIBRATION} "
            "-o NEW`, and prepare the result"
        )
    return f"add more {label} pictures"


def _required_budgets(promised: CalibrationRecipe) -> list[Budget]:
    """Return the budgets that must be kept: the required ones, or else the mildest."""
    shares = promised.required or (max((*promised.asked, *promised.fallback)),)
    return [Budget(bpcer=share) for share in shares]


def _describe_needs(budgets: Sequence[Budget]) -> str:
    """Return the numbers of real faces that each promise needs, and of fakes, as text."""
    reals = ", ".join(f"{budget.name} needs {budget.reals_needed:,}" for budget in budgets)
    fakes = max(budget.fakes_needed for budget in budgets)
    return f"real faces: {reals}; fakes: {fakes:,}; "


def recipe_changes(run: RunFolder, recipe: Recipe, manifest: Manifest) -> list[str]:
    """Return the recipe keys that differ from the previous start of the run.

    Raises:
        TrainingError: the run's weights do not match this recipe's network or data.
    """
    starts = run.read_starts()
    if not starts or not (run.path / "last.pt").exists():
        return []
    if starts[0]["data_sha256"] != manifest.sha256:
        raise TrainingError(f"{run.path} was trained on other data: use another --output")
    changed = _differences(starts[0]["recipe"], recipe.model_dump(mode="json"))
    if misfits := [key for key in changed if key.startswith(_DECIDE_THE_STATE)]:
        what = "optimiser" if misfits[0] == "optimizer.name" else "network"
        raise TrainingError(
            f"{run.path} has another {what} ({misfits[0]} differs): use another --output"
        )
    return changed


def _differences(before: Any, after: Any, place: str = "") -> list[str]:
    """Return the dotted keys whose values differ, except those without effect on weights."""
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
