"""Which rows of a manifest an evaluation may read, and what its reader must be told of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from faceproof.data.manifest import SPLITS, Manifest, Row
from faceproof.detector import DetectorSpec
from faceproof.errors import UsageError
from faceproof.evaluation.evaluate import On
from faceproof.tables import choose

if TYPE_CHECKING:
    import pyarrow as pa

#: What reading a split comes to; nothing but `test` gives figures that chose nothing.
_PURPOSES = {
    "train": "fit",
    "validation": "choose",
    "calibration": "calibrate",
    "test": "final-report",
}
_CHOSE = {
    "train": "a detector trained on it has seen these very faces",
    "validation": "a detector's epochs were or could have been chosen on it",
    "calibration": "a detector's probabilities and thresholds were or could have been chosen on it",
}


@dataclass(frozen=True)
class Selection:
    """The rows to judge, where their pictures lie, and what they are."""

    rows: tuple[Row, ...]
    root: Path
    sha256: str
    purpose: str
    split: str
    """The split that they are, "" where the manifest has none."""
    name: str

    @property
    def on(self) -> On:
        """The rows as they stand in an evaluation's record."""
        return On(name=self.name, sha256=self.sha256, split=self.split, rows=len(self.rows))


def select(manifest: Manifest, split: str | None, *, name: str) -> Selection:
    """Return the rows of ``split``; where it is None `test`, or all where there are no splits.

    Raises:
        UsageError: there is no such split, or no row in it.
    """
    if split is not None:
        choose(dict.fromkeys(SPLITS), split, what="split")
    if not len(manifest):
        raise UsageError(f"{name} has no rows")
    counts = manifest.counts()
    if split is None and not any(counts.values()):
        return _selection(manifest, manifest.rows, "final-report", "", name)
    wanted = split or "test"
    rows = manifest.take(wanted, purpose=_PURPOSES[wanted])
    if not rows:
        held = ", ".join(f"{count:,} {key}" for key, count in counts.items() if count)
        raise UsageError(
            f"{name} has no row in the split {wanted!r}: it holds {held or 'no splits'}; "
            f"{'leave --split out' if not held else 'name another with --split'}"
        )
    return _selection(manifest, rows, _PURPOSES[wanted], wanted, name)


def cautions(selection: Selection, spec: DetectorSpec, predictions: pa.Table) -> tuple[str, ...]:
    """Return what a reader must know before any figure, the gravest first."""
    return tuple(_cautions(selection, spec, predictions))


def _selection(
    manifest: Manifest, rows: tuple[Row, ...], purpose: str, split: str, name: str
) -> Selection:
    if manifest.root is None:
        raise UsageError(f"{name}: the data folder is not known; name it with --root")
    return Selection(rows, manifest.root, manifest.sha256, purpose, split, name)


def _cautions(selection: Selection, spec: DetectorSpec, predictions: pa.Table) -> Iterator[str]:
    if said := _CHOSE.get(selection.split):
        yield (
            f"NOT A TEST: these are figures of the split {selection.split!r}, and {said}. "
            "They do not say how good the detector is on new faces."
        )
    yield _kinship(selection, spec)
    statuses = predictions["status"].to_pylist()
    gone = sum(status != "ok" for status in statuses)
    if gone == len(statuses):
        yield "No picture could be judged: is the data folder right? --root names it."
    elif gone:
        yield (
            f"{gone:,} of {len(statuses):,} pictures were not judged (no face, or not readable) "
            "and are in no figure; each stands in the predictions table."
        )


def _kinship(selection: Selection, spec: DetectorSpec) -> str:
    """Return how the data stands to what the detector was trained on."""
    if selection.sha256 != spec.trained_on.data_sha256:
        return (
            "This is not the manifest that the detector was trained on, by its hash. Whether it "
            "shares pictures with it, `faceproof data inspect --against` tells who has both."
        )
    if selection.split == "test":
        return (
            "This is the very data set that the detector was trained on, by its hash; these are "
            "its test rows: other people and originals, but the same makers. New data is harder."
        )
    return (
        "THE DETECTOR'S OWN DATA: by its hash, this is the very data set that the detector was "
        "trained on, and these are not its test rows."
    )
