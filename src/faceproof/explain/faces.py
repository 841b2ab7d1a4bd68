"""The faces of a study: a seeded sample of a split, ready for the networks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from faceproof.data.manifest import Manifest, Row
from faceproof.errors import UsageError
from faceproof.evaluation.tally import Bools
from faceproof.imaging.decode import load
from faceproof.imaging.faces import FaceFinder, YuNet
from faceproof.imaging.preprocessing import Preprocessing, prepare

Names = npt.NDArray[np.str_]


@dataclass(frozen=True)
class StudiedFaces:
    """Network inputs float32 [N, 3, S, S], with which are fake, and who belongs together.

    ``without_face`` counts the sampled pictures in which no face was found; they are not here.
    """

    inputs: npt.NDArray[np.float32]
    fake: Bools
    groups: Names
    data_sha256: str
    without_face: int = 0

    def __len__(self) -> int:
        return len(self.inputs)

    def first(self, number: int) -> StudiedFaces:
        """Return the first faces alone."""
        return replace(
            self,
            inputs=self.inputs[:number],
            fake=self.fake[:number],
            groups=self.groups[:number],
        )


def studied(
    manifest: Manifest,
    preprocessing: Preprocessing,
    *,
    root: Path,
    number: int,
    split: str = "test",
    purpose: str = "final-report",
    seed: int = 0,
    finder: FaceFinder | None = None,
) -> StudiedFaces:
    """Return the largest face of each of ``number`` pictures, drawn from a split by ``seed``.

    Raises:
        SplitUseError: ``split`` may not be read for this ``purpose``.
        UsageError: not one face was found.
    """
    rows = sample(manifest.take(split, purpose=purpose), number, seed=seed)
    finder = finder or YuNet()
    found = [_largest(root / row.path, preprocessing, finder) for row in rows]
    kept = [(row, face) for row, face in zip(rows, found, strict=True) if face is not None]
    if not kept:
        raise UsageError(
            f"no face in {len(rows)} pictures of the split {split!r}: nothing to study"
        )
    return StudiedFaces(
        inputs=np.stack([face for _, face in kept]),
        fake=np.array([row.is_fake for row, _ in kept]),
        groups=np.array([row.group for row, _ in kept]),
        data_sha256=manifest.sha256,
        without_face=len(rows) - len(kept),
    )


def sample(rows: Sequence[Row], number: int, *, seed: int) -> list[Row]:
    """Return ``number`` rows in the order of a seeded shuffle; all where there are fewer."""
    order = np.random.default_rng(seed).permutation(len(rows))[:number]
    return [rows[place] for place in order]


def _largest(
    path: Path, preprocessing: Preprocessing, finder: FaceFinder
) -> npt.NDArray[np.float32] | None:
    """Return the network input of a picture's largest face; None where there is no face."""
    pixels = load(path).pixels
    faces = finder.find(pixels)
    return prepare(pixels, faces[0].landmarks, preprocessing) if faces else None
