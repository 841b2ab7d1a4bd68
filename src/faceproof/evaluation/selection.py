"""`Selection`: the rows of a manifest to judge, and warnings about what they can show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

import numpy as np

from faceproof.data.manifest import SPLITS, Manifest, Row
from faceproof.data.manifest_files import read_manifest
from faceproof.detector import DetectorSpec, OperatingPoint
from faceproof.errors import UsageError
from faceproof.evaluation.evaluation_record import DatasetRef, describe_reasons
from faceproof.evaluation.findings import COMPOSITION
from faceproof.evaluation.predictions import Faces, Texts, all_faces, reasons_of
from faceproof.evaluation.sample_size import FEW_GROUPS
from faceproof.evaluation.scored_faces import BOX_COLUMNS
from faceproof.sources import to_printable
from faceproof.tables import choose

if TYPE_CHECKING:
    import pyarrow as pa


UNKNOWN_DATA = "0" * 64
"""The hash of data that thresholds were chosen on, where it is not known."""

#: Purpose of reading each split; only `test` gives unbiased figures.
_PURPOSES = {
    "train": "fit",
    "validation": "choose",
    "calibration": "calibrate",
    "test": "final-report",
}
_CHOSE = {
    "train": "a detector trained on it has seen these faces",
    "validation": "it may have selected the detector's epochs",
    "calibration": "it may have set the detector's calibration and thresholds",
}


@dataclass(frozen=True)
class Selection:
    """The rows to judge, the folder of their pictures, and their split."""

    rows: tuple[Row, ...]
    root: Path
    sha256: str
    purpose: str
    split: str
    """The split of the rows, "" if the manifest has no splits."""
    name: str
    """The manifest as the user named it, for messages."""

    @property
    def file_name(self) -> str:
        """The manifest's file name: records are passed on, and folders of a machine are not."""
        return PurePath(self.name).name

    @property
    def dataset_ref(self) -> DatasetRef:
        """The rows as an evaluation records them."""
        return DatasetRef(
            name=self.file_name, sha256=self.sha256, split=self.split, rows=len(self.rows)
        )


def select_rows(
    manifest: Manifest | str | Path, root: str | Path | None, split: str | None
) -> Selection:
    """Return the rows to judge of a manifest or of its file.

    Raises:
        UsageError: the file is missing, or the split is unknown or empty.
        ManifestError: the manifest breaks its contract.
    """
    if isinstance(manifest, Manifest):
        return select(manifest, split, name="<Manifest>")
    path, shown = Path(manifest), to_printable(str(manifest))
    if not path.is_file():
        raise UsageError(f"{shown}: manifest not found; name a .parquet or .csv")
    folder = None if root is None else Path(root)
    return select(read_manifest(path, root=folder), split, name=shown)


def select(manifest: Manifest, split: str | None, *, name: str) -> Selection:
    """Return the rows of ``split``; None selects `test`, or all rows without splits.

    Raises:
        UsageError: the split is unknown or empty.
    """
    if split is not None:
        choose(dict.fromkeys(SPLITS), split, what="split")
    if not len(manifest):
        raise UsageError(f"{name} has no rows")
    counts = manifest.counts()
    if split is None and not any(counts.values()):
        return _make_selection(manifest, manifest.rows, "final-report", "", name)
    wanted = split or "test"
    rows = manifest.take(wanted, purpose=_PURPOSES[wanted])
    if not rows:
        held = ", ".join(f"{count:,} {key}" for key, count in counts.items() if count)
        raise UsageError(
            f"{name} has no rows in the split {wanted!r}; it has {held or 'no splits'}: "
            f"{'omit --split' if not held else 'choose another with --split'}"
        )
    return _make_selection(manifest, rows, _PURPOSES[wanted], wanted, name)


def cautions(
    selection: Selection, spec: DetectorSpec, point: OperatingPoint, predictions: pa.Table
) -> tuple[str, ...]:
    """Return warnings to read before any figure, most serious first."""
    return (
        *data_cautions(selection.split, selection.sha256, spec.trained_on.data_sha256, predictions),
        *selection_notes(selection, spec),
        *threshold_cautions(point, selection.sha256),
        *withheld_cautions(all_faces(predictions)),
    )


def selection_notes(selection: Selection, spec: DetectorSpec | None = None) -> Iterator[str]:
    """Yield warnings that need the rows or the detector's record, most serious first."""
    if spec is not None and selection.sha256 != spec.trained_on.data_sha256:
        yield from _compare_sources(selection.rows, spec)
    yield from _repeated_pictures(selection.rows)


def _compare_sources(rows: Sequence[Row], spec: DetectorSpec) -> Iterator[str]:
    """Yield a warning if sources of the rows are among those that the detector was trained on.

    A bundle has the names and sizes of its sources, and neither hashes of pictures nor groups.
    """
    trained = {
        part.removeprefix("source=")
        for one in spec.results
        if one.metric == COMPOSITION and one.slice.endswith(",split=train")
        for part in one.slice.split(",")
        if part.startswith("source=")
    }
    if shared := sorted(trained & {row.source for row in rows}):
        named = ", ".join(shared[:6]) + (f" and {len(shared) - 6} more" if len(shared) > 6 else "")
        yield (
            f"POSSIBLE LEAK: the detector was trained on other rows of sources with these names: "
            f"{named}. Its record has no hashes of pictures, so this cannot tell whether some were "
            "in training. Compare both manifests with `faceproof data inspect --against`."
        )


def _repeated_pictures(rows: Sequence[Row]) -> Iterator[str]:
    """Yield warnings about rows that are of the same picture and the same face."""
    alike: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        face = tuple(row.attributes.get(name, "") for name in BOX_COLUMNS)
        alike.setdefault((row.sha256, *face), []).append(row)
    repeated = [same for same in alike.values() if len(same) > 1]
    torn = [same for same in repeated if len({row.label for row in same}) > 1]
    if torn:
        yield (
            f"CONTRADICTION: {len(torn):,} pictures are labelled both real and fake, such as "
            f"{torn[0][0].path} and {torn[0][1].path} (same SHA-256): one label of each is wrong, "
            "and so is every figure that counts it."
        )
    if more := sum(len(same) - 1 for same in repeated):
        yield (
            f"{more:,} rows repeat a picture of another row, such as {repeated[0][1].path} and "
            f"{repeated[0][0].path} (same SHA-256): they count twice, and intervals are too narrow "
            "unless they share a group."
        )


def threshold_cautions(point: OperatingPoint, data_sha256: str) -> Iterator[str]:
    """Yield a warning if the thresholds were chosen on other data than these."""
    chosen = point.chosen_on.data_sha256
    if chosen not in {data_sha256, UNKNOWN_DATA}:
        yield (
            f"The thresholds of {point.name} were chosen on the data {chosen[:12]}, and these are "
            f"{data_sha256[:12]}: what it promises is not known to hold for them."
        )


def class_cautions(faces: Faces) -> Iterator[str]:
    """Yield a warning if only one class was judged."""
    judged = faces.where(faces.statuses == "ok")
    if len(judged) and (judged.fake.all() or not judged.fake.any()):
        held, missing = ("fake", "real") if judged.fake.all() else ("real", "fake")
        yield (
            f"ONE CLASS ONLY: no {missing} face was judged. Figures that need both classes are "
            f"left out, and the others describe {held} faces only."
        )


def few_groups_cautions(faces: Faces) -> Iterator[str]:
    """Yield a warning that names the sources and generators with too few groups, if any."""
    judged = faces.where(faces.statuses == "ok")
    parts = [
        *_count_parts("source", judged.where(~judged.fake), judged.sources[~judged.fake]),
        *_count_parts("generator", judged.where(judged.fake), judged.generators[judged.fake]),
    ]
    if small := [f"{name} ({count})" for name, count in parts if count < FEW_GROUPS]:
        named = ", ".join(small[:6]) + (f" and {len(small) - 6} more" if len(small) > 6 else "")
        yield (
            f"Fewer than {FEW_GROUPS} groups (people, videos, originals) of real faces of a "
            f"source, or of fakes of a generator: {named}. Read their intervals, not their values."
        )


def _count_parts(kind: str, faces: Faces, names: Texts) -> Iterator[tuple[str, int]]:
    for name in np.unique(names):
        yield f"{kind}={name}", len(np.unique(faces.groups[names == name]))


def _make_selection(
    manifest: Manifest, rows: tuple[Row, ...], purpose: str, split: str, name: str
) -> Selection:
    if manifest.root is None:
        raise UsageError(f"{name}: data folder unknown; set it with --root")
    return Selection(rows, manifest.root, manifest.sha256, purpose, split, name)


def data_cautions(
    split: str, data_sha256: str, trained_on_sha256: str | None, predictions: pa.Table
) -> Iterator[str]:
    """Yield warnings about the split, the training data and the faces that were not judged."""
    if message := _CHOSE.get(split):
        yield (
            f"NOT A TEST: these figures are from the split {split!r}: {message}. "
            "They do not measure the detector on new faces."
        )
    yield _compare_with_training_data(split, data_sha256, trained_on_sha256)
    yield from class_cautions(all_faces(predictions))
    reasons = np.asarray(reasons_of(predictions), dtype=np.str_)
    gone = int((reasons != "").sum())
    if gone == len(reasons):
        yield (
            f"No picture could be judged ({describe_reasons(count_reasons(reasons))}): check the "
            "data folder (--root)."
        )
    elif gone:
        yield (
            f"{gone:,} of {len(reasons):,} pictures were not judged "
            f"({describe_reasons(count_reasons(reasons))}) and are excluded from all figures; the "
            "predictions table lists them."
        )


def withheld_cautions(faces: Faces) -> Iterator[str]:
    """Yield a warning that faces have no verdict because of a caution, if there are any."""
    if withheld := int(faces.withheld.sum()):
        yield (
            f"{withheld:,} judged faces have a caution that withholds the verdict: they are unsure "
            "in all figures at the thresholds."
        )


def count_reasons(reasons: Texts) -> tuple[tuple[str, int], ...]:
    """Return each reason, but "", with its number, the most frequent first."""
    found = Counter(reasons.tolist())
    del found[""]
    return tuple(sorted(found.items(), key=lambda item: (-item[1], item[0])))


def _compare_with_training_data(split: str, data_sha256: str, trained_on_sha256: str | None) -> str:
    """Return a sentence that compares the data with the detector's training data."""
    if trained_on_sha256 is None:
        return (
            "The training data of this detector is unknown. It may have seen these pictures or "
            "others like them."
        )
    if data_sha256 != trained_on_sha256:
        return (
            "By its hash, this is not the manifest that the detector was trained on. Check for "
            "shared pictures with `faceproof data inspect --against`, if you have both."
        )
    if split == "test":
        return (
            "By its hash, this is the data set that the detector was trained on. These are its "
            "test rows: other people and originals, but the same generators. New data is harder."
        )
    return (
        "THE DETECTOR'S OWN DATA: by its hash, this is the data set that the detector was "
        "trained on, and these are not its test rows."
    )
