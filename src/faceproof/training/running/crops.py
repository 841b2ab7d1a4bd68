"""Whether the prepared pictures hold what the recipe's crop shows."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import ValidationError

from faceproof.data.preparing.folder import RECORD
from faceproof.data.preparing.spec import PicturesSpec
from faceproof.detector.bundle import Bundle
from faceproof.detector.inputs import crop_difference
from faceproof.errors import TrainingError
from faceproof.imaging.preprocessing import CropSpec
from faceproof.networks.bundle_weights import bundle_and_member

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
