"""TensorBoard's files of a run, where TensorBoard is installed: the same figures once more."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

_TAGS = {
    "loss": "loss/training",
    "validation_loss": "loss/validation",
    "accuracy": "accuracy/training",
    "validation_accuracy": "accuracy/validation",
    "attacked_accuracy": "accuracy/attacked",
    "validation_auc": "auc/validation",
    "learning_rate": "schedule/learning_rate",
    "pictures_per_second": "speed/pictures_per_second",
}
"""A figure's name and its tag; figures of one group stand together."""


class Scalars:
    """Writes figures by step into a folder; writes nothing where TensorBoard is not installed.

    ``first_step`` is the first that will be written: TensorBoard then hides what a killed run
    left of this step and of later ones.
    """

    def __init__(self, folder: Path, *, first_step: int) -> None:
        self._writer = _writer(folder, first_step)

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Write the figures of a step; they are on disk when this returns.

        Raises:
            OSError: the disk is full, say.
        """
        if self._writer is None:
            return
        for name, value in values.items():
            self._writer.add_scalar(_TAGS.get(name, name), value, step)
        self._writer.flush()

    def close(self) -> None:
        """Write what is left."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None


def _writer(folder: Path, first_step: int) -> Any:
    """Return torch's writer, None without TensorBoard."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    resumed = folder.exists() and any(folder.iterdir())
    return SummaryWriter(folder, purge_step=first_step if resumed else None)
