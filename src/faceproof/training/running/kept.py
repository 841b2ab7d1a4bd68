"""What a run has kept, read with care: a damaged file says what to do about it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from faceproof.errors import TrainingError
from faceproof.networks.checkpoints import UNREADABLE
from faceproof.training.state import State, averaged_state

LAST, BEST = "last.pt", "best.pt"


def restore(state: State, folder: Path) -> dict[str, Any] | None:
    """Take up the state where ``last.pt`` left it; return what that holds, None where none is.

    Raises:
        TrainingError: it is damaged, or of another network or optimiser.
    """
    path = folder / LAST
    if not path.exists():
        return None
    kept = _read(path, _without_last(folder))
    try:
        state.restore(kept)
    except UNREADABLE as error:
        raise TrainingError(
            f"{path} does not go with this recipe ({_first_line(error)}): give the recipe the "
            "network and optimizer that the run began with, or name another --output"
        ) from error
    return kept


def averaged_weights(folder: Path, *, keep: str) -> dict[str, Tensor]:
    """Return the averaged weights of the best validation, or with ``keep`` "last" of the last step.

    Raises:
        TrainingError: the file is damaged or missing.
    """
    if keep == "best":
        remedy = "set schedule.keep = 'last' to take the last weights instead"
        state: dict[str, Tensor] = _read(folder / BEST, remedy)
        return state
    return averaged_state(_read(folder / LAST, _without_last(folder)))


def _read(path: Path, remedy: str) -> dict[str, Any]:
    """Return what a checkpoint holds."""
    try:
        kept: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except UNREADABLE as error:
        what = "is damaged" if path.exists() else "is missing"
        raise TrainingError(f"{path} {what} ({_first_line(error)}): {remedy}") from error
    return kept


def _without_last(folder: Path) -> str:
    """Return what can be done without ``last.pt``."""
    anew = f"delete it, and the same command begins at step 0 in {folder}"
    best = folder / BEST
    if not best.exists():
        return anew
    return (
        f"{anew}; to begin with the best weights so far instead, name another --output and "
        f"--set network.starting_weights={best}"
    )


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0][:200] or type(error).__name__
