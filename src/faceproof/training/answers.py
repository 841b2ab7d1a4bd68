"""What a detector answers about a split: the table that a run has kept, or a new one it keeps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from faceproof.data.manifest import Manifest
from faceproof.detector import Detector
from faceproof.detector.bundle import Bundle
from faceproof.detector.scorers import usable_cores
from faceproof.errors import DataError
from faceproof.evaluation import predictions
from faceproof.evaluation.predict import predict
from faceproof.evaluation.predictions import Origin

if TYPE_CHECKING:
    import pyarrow as pa

Progress = Callable[[str], None]

#: What each split is read for, see `Manifest.take`.
PURPOSES = {"validation": "choose", "calibration": "calibrate", "test": "final-report"}

_TOLD_EVERY = 1000


def answers(
    bundle: Bundle,
    manifest: Manifest,
    split: str,
    conditions: tuple[str, ...],
    path: Path,
    *,
    root: Path,
    progress: Progress,
) -> pa.Table:
    """Return a detector's predictions of a split: those in ``path``, or new ones written there.

    ``root`` is the folder that the manifest's paths start from.
    """
    if (found := kept(path, origin(bundle.sha256, manifest, split), conditions)) is not None:
        progress(f"the answers in {path.name} are this detector's: used again")
        return found
    made = predict(
        Detector.load(bundle.folder, threads=usable_cores()),
        manifest,
        conditions,
        split=split,
        purpose=PURPOSES[split],
        root=root,
        workers=usable_cores(),
        progress=now_and_then(progress, split),
    )
    predictions.write(made, path)
    return made


def origin(detector_sha256: str, manifest: Manifest, split: str) -> Origin:
    """Return where a detector's answers about a split come from."""
    return Origin(
        detector_sha256=detector_sha256, data_sha256=manifest.sha256, purpose=PURPOSES[split]
    )


def kept(path: Path, wanted: Origin, conditions: tuple[str, ...]) -> pa.Table | None:
    """Return the answers in a file, where they are of this origin and these conditions."""
    try:
        found = predictions.read(path)
    except DataError:
        return None
    worn = set(found["condition"].unique().to_pylist())
    same = predictions.origin_of(found) == wanted and worn == set(conditions)
    return found if same else None


def now_and_then(progress: Progress, split: str) -> Callable[[int], None]:
    """Return what tells every thousandth answer of all that it is told."""
    told = 0

    def tell(count: int) -> None:
        nonlocal told
        if count // _TOLD_EVERY > told:
            told = count // _TOLD_EVERY
            progress(f"{split}: {count} answers")

    return tell
