"""`evaluate_scores`: the figures of another tool from its scores, a CSV of ``path, score``.

The scores become a predictions table of the manifest's rows, so that all that reads such tables
works for other tools too. The SHA-256 of the file is that of the detector.
"""

from __future__ import annotations

import csv
import hashlib
import io
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from faceproof.data.manifest import Manifest, Row
from faceproof.detector.spec import ChosenOn, OperatingPoint
from faceproof.errors import UsageError
from faceproof.evaluation.evaluate import check_output, evaluate_predictions
from faceproof.evaluation.evaluation_record import Evaluation
from faceproof.evaluation.intervals import RESAMPLES
from faceproof.evaluation.predict import attributes_of
from faceproof.evaluation.predictions import Origin, Prediction, Scoring, make_table
from faceproof.evaluation.selection import (
    UNKNOWN_DATA,
    Selection,
    select_rows,
    selection_notes,
)
from faceproof.sources import decode_text, to_printable

if TYPE_CHECKING:
    import pyarrow as pa

NO_SCORE, NAN_SCORE = "no_score", "nan_score"
"""Reasons of rows without an answer: the file has no score of the picture, or NaN."""

# A logit must be finite; a score of exactly 0 or 1 has the logit of a number next to it.
_EDGE = 1e-15


@dataclass(frozen=True)
class Scores:
    """A tool's scores by path, NaN where the tool gave NaN; an empty score is left out."""

    name: str
    sha256: str
    by_path: Mapping[str, float]


def evaluate_scores(
    scores: str | Path,
    manifest: Manifest | str | Path,
    *,
    name: str | None = None,
    threshold: float = 0.5,
    split: str | None = None,
    root: str | Path | None = None,
    output: str | Path | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Evaluation:
    r"""Return the figures of another tool's scores on the rows of a manifest.

    ``scores`` is a CSV with the columns ``path`` (as in the manifest, or absolute) and ``score``,
    the probability of fake in [0, 1]. A face is fake from ``threshold`` on, and real below.
    ``name`` is the tool's, by default the file's. The rest is as in `evaluate`.

    Raises:
        UsageError: the file cannot be used, or none of its paths is in the manifest.
        ManifestError: the manifest breaks its contract.

    >>> import tempfile
    >>> from pathlib import Path
    >>> folder = Path(tempfile.mkdtemp())
    >>> rows, scores = ["path,label,generator,source,split,group,sha256"], ["path,score"]
    >>> for n, (label, generator) in enumerate([("real", "none"), ("fake", "lamp")] * 3):
    ...     rows.append(f"{n}.png,{label},{generator},home,test,{n},{n:064}")
    ...     scores.append(f"{n}.png,{0.9 if label == 'fake' else 0.2}")
    >>> _ = (folder / "faces.csv").write_text("\n".join(rows))
    >>> _ = (folder / "lamp.csv").write_text("\n".join(scores))
    >>> found = evaluate_scores(folder / "lamp.csv", folder / "faces.csv", resamples=100)
    >>> found.detector.name, found.find("roc_auc").value
    ('lamp', 1.0)
    """
    if not 0 < threshold < 1:
        raise UsageError(f"threshold {threshold} must be between 0 and 1")
    folder = check_output(output)
    selection = select_rows(manifest, root, split)
    given = read_scores(Path(scores), selection.root, name=name)
    table = join_scores(given, selection, threshold)
    return evaluate_predictions(table, output=folder, resamples=resamples, seed=seed)


def read_scores(path: Path, root: Path, *, name: str | None = None) -> Scores:
    """Return the scores in a CSV; absolute paths become relative to ``root``.

    Raises:
        UsageError: the file cannot be read, a column is missing, a path is repeated, or a score is
            not a number in [0, 1].
    """
    shown = to_printable(str(path))
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{shown} cannot be read as a CSV of scores: {error}") from error
    lines = csv.DictReader(io.StringIO(decode_text(data, shown), newline=""))
    if missing := [
        column for column in ("path", "score") if column not in (lines.fieldnames or ())
    ]:
        raise UsageError(f"{shown} lacks the column {missing[0]!r}; it must have path and score")
    found: dict[str, float] = {}
    seen: set[str] = set()
    for number, line in enumerate(lines, start=2):
        where = f"{shown}, line {number}"
        picture = _relative_path(line["path"] or "", root)
        if picture in seen:
            raise UsageError(f"{where}: {picture} has a second score; keep one")
        seen.add(picture)
        if (score := _parse_score(line["score"] or "", where)) is not None:
            found[picture] = score
    return Scores(name or path.stem or "scores", hashlib.sha256(data).hexdigest(), found)


def _relative_path(path: str, root: Path) -> str:
    """Return a path below the data folder as the manifest has it."""
    if not Path(path).is_absolute():
        return path
    given = Path(path)
    return given.relative_to(root).as_posix() if given.is_relative_to(root) else path


def _parse_score(text: str, where: str) -> float | None:
    """Return a score in [0, 1] or NaN; None for an empty one."""
    if not text.strip():
        return None
    try:
        score = float(text)
    except ValueError:
        raise UsageError(f"{where}: the score {text!r} is not a number") from None
    if not (math.isnan(score) or 0 <= score <= 1):
        raise UsageError(
            f"{where}: the score {text} is outside [0, 1]; write the probability of fake, for a "
            "logit x it is 1 / (1 + exp(-x))"
        )
    return score


def join_scores(scores: Scores, selection: Selection, threshold: float) -> pa.Table:
    """Return the predictions table of a selection's rows with a tool's scores.

    Raises:
        UsageError: none of the paths is in the selection, or a picture has several faces.
    """
    paths = [row.path for row in selection.rows]
    if len(set(paths)) < len(paths):
        raise UsageError(
            f"{selection.name} has several rows of one picture, but a score is of a whole picture; "
            "keep one row of each picture"
        )
    unused = scores.by_path.keys() - set(paths)
    if len(unused) == len(scores.by_path):
        example = f", such as {min(unused)!r}" if unused else ""
        raise UsageError(
            f"none of the {len(unused)} scored paths{example} is in the evaluated rows of "
            f"{selection.name}, such as {paths[0]!r}; write paths as in the manifest"
        )
    point = OperatingPoint(
        name=f"threshold-{threshold:g}",
        real_below=threshold,
        fake_from=threshold,
        promise="none: the threshold was given, and faceproof does not know what it was chosen on",
        chosen_on=ChosenOn(data_sha256=UNKNOWN_DATA, n=1),
    )
    scoring = Scoring(
        detector_name=scores.name,
        detector_version="scores of another tool",
        operating_points=(point,),
        operating_point=point.name,
        data_name=selection.file_name,
        split=selection.split,
        faces="chosen by the tool",
        notes=(*selection_notes(selection), *_notes(threshold, len(unused))),
    )
    origin = Origin(
        detector_sha256=scores.sha256,
        data_sha256=selection.sha256,
        purpose=selection.purpose,
        scoring=scoring,
    )
    return make_table((_prediction(row, scores.by_path) for row in selection.rows), origin)


def _notes(threshold: float, unused: int) -> Iterator[str]:
    yield (
        f"These are another tool's scores at the given threshold {threshold:g}: faceproof knows "
        "neither how the pictures were read nor what the threshold was chosen on."
    )
    if unused:
        yield f"{unused:,} scored paths are not in the evaluated rows and are not counted."


def _prediction(row: Row, scores: Mapping[str, float]) -> Prediction:
    score = scores.get(row.path, math.nan)
    missing = "" if math.isfinite(score) else NAN_SCORE if row.path in scores else NO_SCORE
    edged = float(np.clip(score, _EDGE, 1 - _EDGE))
    return Prediction(
        path=row.path,
        source=row.source,
        generator=row.generator,
        label=row.label,
        split=row.split,
        group=row.group,
        condition="clean",
        logit=None if missing else math.log(edged / (1 - edged)),
        fake_probability=None if missing else score,
        status="error" if missing else "ok",
        reason=missing,
        attributes=attributes_of(row),
    )
