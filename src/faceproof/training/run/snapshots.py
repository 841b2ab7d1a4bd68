"""`Snapshot`: the averaged weights of one validation, kept beside the checkpoints of a run.

With ``schedule.snapshots`` a training keeps the weights of every validation as safetensors, as a
bundle stores them. So it can be measured afterwards what another choice of checkpoint would have
given. Each file states its step, its validation AUC and its validation loss.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from faceproof.detector.bundle import round_to_stored, sha256_of
from faceproof.errors import TrainingError
from faceproof.outputs import atomic_write
from faceproof.runs import SNAPSHOTS
from faceproof.training.run.checkpoint import convert_disk_errors

if TYPE_CHECKING:
    from torch import Tensor

_VALIDATED = ("validation_auc", "validation_loss")


@dataclass(frozen=True)
class Snapshot:
    """A file of weights, the step after which it was taken, and its AUC and loss on validation."""

    path: Path
    step: int
    validation_auc: float
    validation_loss: float

    def read(self) -> bytes:
        """Return the bytes of the file, for `faceproof.detector.bundle.put_weights`."""
        return self.path.read_bytes()

    @property
    def sha256(self) -> str:
        """The SHA-256 of the file."""
        return sha256_of(self.read())


def write_snapshot(
    run: Path, step: int, weights: Mapping[str, Tensor], validated: Mapping[str, float]
) -> None:
    """Write the weights of a validation; a resumed training writes the same bytes again.

    ``validated`` has ``validation_auc`` and ``validation_loss``.

    Raises:
        TrainingError: the disk is full.
    """
    from safetensors.torch import save

    facts = {"step": str(step)} | {name: repr(float(validated[name])) for name in _VALIDATED}
    data = save(round_to_stored(weights), facts)
    with convert_disk_errors(run, needed=len(data)):
        (run / SNAPSHOTS).mkdir(exist_ok=True)
        with atomic_write(run / SNAPSHOTS / f"step-{step:07}.safetensors", locked=True) as file:
            file.write(data)


def read_snapshots(run: Path) -> tuple[Snapshot, ...]:
    """Return the snapshots of a run, in the order of their steps.

    Raises:
        TrainingError: one is damaged.
    """
    return tuple(map(_read_snapshot, sorted((run / SNAPSHOTS).glob("step-*.safetensors"))))


def _read_snapshot(path: Path) -> Snapshot:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            facts = file.metadata() or {}
        return Snapshot(path, int(facts["step"]), *(float(facts[name]) for name in _VALIDATED))
    except (SafetensorError, OSError, LookupError, ValueError) as error:
        raise TrainingError(
            f"{path} is damaged ({error}): train again in another --output"
        ) from error


def kept_snapshot(snapshots: Sequence[Snapshot], keep: Literal["best", "last"]) -> Snapshot:
    """Return the one whose weights become the detector, by validation only (``schedule.keep``).

    Of equal AUCs the lowest loss counts, then the first step, as in `State.record_score`.
    """
    if keep == "last":
        return max(snapshots, key=lambda one: one.step)
    return max(snapshots, key=lambda one: (one.validation_auc, -one.validation_loss, -one.step))
