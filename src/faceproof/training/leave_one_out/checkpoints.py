"""`score_checkpoints`: the test faces of one training, scored by all of its checkpoints.

The checkpoint that was kept is the finished detector, whose predictions the training has saved.
The others are run by torch from their snapshots, all on the same crops, in one pass over the
pictures. Each gets a predictions table beside its weights.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from faceproof.data.manifest import Manifest
from faceproof.detector import DetectorSpec, Identity
from faceproof.detector.bundle import Bundle, put_weights
from faceproof.detector.scorers import usable_cores
from faceproof.errors import UsageError
from faceproof.evaluation.formulas import Bools, Floats, count_scores
from faceproof.evaluation.paired import row_numbers
from faceproof.evaluation.predict import Input, predict_with_all
from faceproof.evaluation.predictions import (
    Faces,
    judged_faces,
    labelled_rows,
    read_table,
    write_table,
)
from faceproof.imaging.preprocessing import Preprocessing
from faceproof.messages import show_clock
from faceproof.networks import build
from faceproof.training.finish import (
    PURPOSES,
    Progress,
    make_origin,
    report_now_and_then,
    saved_predictions,
)
from faceproof.training.leave_one_out.inflation import CheckpointScores, choose_threshold
from faceproof.training.recipe import Recipe
from faceproof.training.run.snapshots import Snapshot, kept_snapshot, read_snapshots

if TYPE_CHECKING:
    import pyarrow as pa


class _SnapshotPredictor:
    """A checkpoint as a `Predictor`: it gives logits, without calibration."""

    def __init__(self, snapshot: Snapshot, bundle: Bundle) -> None:
        (member,) = bundle.spec.members
        self._network = build(member.network, head=member.head)
        put_weights(self._network, snapshot.read(), name=snapshot.path.name)
        self._network.eval()
        self.sha256 = snapshot.sha256
        self.spec: DetectorSpec = bundle.spec.model_copy(update={"calibration": Identity()})

    @property
    def preprocessing(self) -> Preprocessing:
        """The preprocessing from picture to network input."""
        return self.spec.preprocessing

    @torch.no_grad()
    def logits(self, inputs: Input) -> Floats:
        """Return the logits float64 [N] of network inputs float32 [N, 3, S, S]."""
        return np.asarray(self._network(torch.from_numpy(inputs)).double().numpy())


def condition_of(recipe: Recipe) -> str:
    """Return the condition under which checkpoints are compared: ``clean`` if it is reported."""
    conditions = recipe.export.conditions
    return "clean" if "clean" in conditions else conditions[0]


def score_checkpoints(
    recipe: Recipe, manifest: Manifest, bundle: Bundle, run: Path, *, progress: Progress
) -> tuple[Snapshot, tuple[Snapshot, ...]]:
    """Predict the test faces with each checkpoint that has no table yet.

    Return the kept checkpoint, and all of them.
    """
    snapshots, condition = read_snapshots(run), condition_of(recipe)
    kept = kept_snapshot(snapshots, recipe.schedule.keep)
    waiting = [
        one
        for one in snapshots
        if one is not kept
        and saved_predictions(
            table_path(one), make_origin(one.sha256, manifest, "test"), (condition,)
        )
        is None
    ]
    if waiting:
        text = f"test: predictions of {len(waiting)} other checkpoints"
        progress(text)
        with show_clock(progress, text):
            tables = predict_with_all(
                [_SnapshotPredictor(one, bundle) for one in waiting],
                manifest,
                (condition,),
                split="test",
                purpose=PURPOSES["test"],
                root=recipe.data.prepared,
                workers=usable_cores(),
                progress=report_now_and_then(progress, "test"),
            )
        for one, table in zip(waiting, tables, strict=True):
            write_table(table, table_path(one))
    return kept, snapshots


def table_path(snapshot: Snapshot) -> Path:
    """Return the file of a checkpoint's predictions, beside its weights."""
    return snapshot.path.with_suffix(".parquet")


def read_scores(recipe: Recipe, run: Path, *, by_source: bool) -> dict[str, CheckpointScores]:
    """Return the scores of the judged test faces under each condition, from the run folder.

    The first condition, `condition_of`, has those of all checkpoints, the others those of the kept
    one. A condition under which no face of a class was judged is left out.

    Raises:
        UsageError: it is the first one.
    """
    main, snapshots = condition_of(recipe), read_snapshots(run)
    kept = kept_snapshot(snapshots, recipe.schedule.keep)
    every = read_table(run / "predictions-test.parquet")
    found: dict[str, CheckpointScores] = {}
    for condition in (main, *(one for one in recipe.export.conditions if one != main)):
        ours = _judged_under(every, condition)
        faces = judged_faces(ours)
        if faces.fake.all() or not faces.fake.any():
            continue
        tables = [ours]
        if condition == main:
            tables = [
                ours if one is kept else _judged_under(read_table(table_path(one)), condition)
                for one in snapshots
            ]
        found[condition] = CheckpointScores(
            faces=faces,
            paths=_face_names(ours),
            logits=np.stack([_aligned_logits(one, ours) for one in tables]),
            kept=snapshots.index(kept) if condition == main else 0,
            threshold=_chosen_threshold(run, condition),
            by_source=by_source,
        )
    if main not in found:
        raise UsageError(f"{run.name}: no {main} test face of one class was judged")
    return found


def _judged_under(table: pa.Table, condition: str) -> pa.Table:
    """Return the judged rows of labelled faces under a condition."""
    import pyarrow.compute as pc

    rows = labelled_rows(table)
    return rows.filter(
        pc.and_(pc.equal(rows["condition"], condition), pc.equal(rows["status"], "ok"))
    )


def _aligned_logits(table: pa.Table, like: pa.Table) -> Floats:
    """Return the logits of a table, float64 [N], in the order of the faces of another."""
    places = row_numbers(table)
    return judged_faces(table.take([places[key] for key in row_numbers(like)])).logits


def _face_names(table: pa.Table) -> np.ndarray[tuple[int], np.dtype[np.str_]]:
    """Return a name for each face, str [N]: its picture and its number there."""
    return np.array([f"{path}\x1f{face}" for path, _, face in row_numbers(table)], dtype=np.str_)


def _chosen_threshold(run: Path, condition: str) -> float:
    """Return the logit of the best balanced accuracy on calibration, under the same condition."""
    every = judged_faces(read_table(run / "predictions-calibration.parquet"))
    same: Bools = every.conditions == condition
    faces: Faces = every.where(same) if same.any() else every
    return choose_threshold(count_scores(faces.fake, faces.logits))
