"""Opened: a source on its way to the networks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from faceproof.imaging.faces import Face
from faceproof.imaging.quality import Quality
from faceproof.results import CheckedImage, CheckError, Provenance

#: Of a source that is no file: an array, or what could not be opened.
UNREAD = Provenance()


@dataclass(frozen=True)
class Opened:
    """A source's faces, ready for the networks as float32 [N, 3, S, S], or its error.

    ``seconds`` is what opening it took.
    """

    source: str
    inputs: npt.NDArray[np.float32]
    faces: tuple[tuple[Face, Quality], ...] = ()
    image: CheckedImage | None = None
    provenance: Provenance = UNREAD
    error: CheckError | None = None
    seconds: float = 0.0

    @property
    def weight(self) -> int:
        """How much of a batch this source fills: its faces, and one where there is none."""
        return max(len(self.faces), 1)
