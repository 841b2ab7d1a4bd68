"""The endless, repeatable stream of training pictures.

Sample number i is decided by the seed and i alone: which picture, and all that happens to it.
So a resumed training sees what an unbroken one would have seen, on any number of devices.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from faceproof.data.manifest import Row
from faceproof.errors import TrainingError
from faceproof.imaging.decode import decode
from faceproof.imaging.preprocessing import Preprocessing, network_input, prepare
from faceproof.training.augment import Points, Sample, augmented_crop
from faceproof.training.recipe import AugmentRecipe, Recipe
from faceproof.training.stopping import ignore_signals

Pair = tuple[torch.Tensor, float]
Numbers = np.ndarray[tuple[int], np.dtype[np.int64]]
Pools = dict[tuple[str, str], Numbers]


class PreparedPictures:
    """The prepared pictures of some rows, decoded on request."""

    def __init__(self, root: Path, rows: tuple[Row, ...], landmarks: Mapping[str, Points]) -> None:
        self._root = root
        self.rows = rows
        self._landmarks = landmarks

    def __getitem__(self, index: int) -> Sample:
        """Return the picture of row ``index``."""
        row = self.rows[index]
        pixels = decode((self._root / row.path).read_bytes(), name=row.path).pixels
        return Sample(pixels, self._landmarks[row.path], row.is_fake)


class TrainingStream(Dataset[Pair]):
    """Training samples by number: normalised crop float32 [3, S, S] and target 0.0 or 1.0."""

    def __init__(self, pictures: PreparedPictures, recipe: Recipe) -> None:
        self._pictures = pictures
        self._augment: AugmentRecipe = recipe.augment
        self._preprocessing = recipe.network.preprocessing
        self._seed = recipe.seed
        pools = _pools(pictures.rows)
        shares = {name: source.share for name, source in recipe.data.sources.items()}
        self._draw = BySource(pools, shares) if shares else ByWeight(pictures.rows)
        self._real = [pool for (_, label), pool in sorted(pools.items()) if label == "real"]
        if not self._real:
            raise TrainingError("the training split holds no real face")

    def __getitem__(self, number: int) -> Pair:
        """Return sample ``number`` of the stream."""
        rng = np.random.default_rng([self._seed, number])
        sample = self._pictures[self._draw(rng)]
        donor = partial(self._donor, rng)
        spec = self._preprocessing
        crop, is_fake = augmented_crop(sample, donor, self._augment, spec.crop, rng)
        return torch.from_numpy(network_input(crop, spec.input)), float(is_fake)

    def _donor(self, rng: np.random.Generator) -> Sample:
        """Return any real face."""
        pool = self._real[int(rng.integers(len(self._real)))]
        return self._pictures[int(pool[int(rng.integers(len(pool)))])]


class PlainFaces(Dataset[Pair]):
    """Faces as in use, without augmentation, for validation."""

    def __init__(self, pictures: PreparedPictures, preprocessing: Preprocessing) -> None:
        self._pictures = pictures
        self._preprocessing = preprocessing

    def __len__(self) -> int:
        return len(self._pictures.rows)

    def __getitem__(self, index: int) -> Pair:
        """Return the face of row ``index``."""
        sample = self._pictures[index]
        ready = prepare(sample.pixels, sample.landmarks, self._preprocessing)
        return torch.from_numpy(ready), float(sample.is_fake)


def batches(
    samples: Dataset[Pair], numbers: Sequence[int], *, size: int, workers: int
) -> DataLoader[Pair]:
    """Return a loader of batches: inputs float32 [size, 3, S, S] and targets [size].

    Draws nothing from torch's random state, and gives the same with any number of ``workers``.
    """
    return DataLoader(
        samples,
        batch_size=size,
        sampler=numbers,
        num_workers=workers,
        prefetch_factor=4 if workers else None,
        worker_init_fn=_start_worker,
        generator=torch.Generator(),
    )


def _start_worker(_: int) -> None:
    """Leave the cores to the network, and the signals to the process that trains."""
    cv2.setNumThreads(0)
    ignore_signals()


def balanced(rows: tuple[Row, ...], count: int, seed: int) -> tuple[Row, ...]:
    """Return at most ``count`` rows, as evenly over source and class as they allow."""
    rng = np.random.default_rng(seed)
    pools = {key: list(rng.permutation(pool)) for key, pool in sorted(_pools(rows).items())}
    chosen: list[int] = []
    while pools and len(chosen) < count:
        for key in list(pools):
            chosen.append(int(pools[key].pop()))
            if not pools[key]:
                del pools[key]
    return tuple(rows[index] for index in sorted(chosen[:count]))


class BySource:
    """Draws a row: the source by its share, then the class, then any picture of it."""

    def __init__(self, pools: Pools, shares: Mapping[str, float]) -> None:
        self._pools = pools
        self._sources = sorted({source for source, _ in pools})
        weights = np.array([shares[name] for name in self._sources])
        self._chances = weights / weights.sum()

    def __call__(self, rng: np.random.Generator) -> int:
        """Return the number of a row."""
        source = self._sources[int(rng.choice(len(self._sources), p=self._chances))]
        labels = [label for label in ("real", "fake") if (source, label) in self._pools]
        pool = self._pools[source, labels[int(rng.integers(len(labels)))]]
        return int(pool[int(rng.integers(len(pool)))])


class ByWeight:
    """Draws a row: the class evenly, then a picture by the weight that `data prepare` gave it."""

    def __init__(self, rows: tuple[Row, ...]) -> None:
        self._pools: list[Numbers] = []
        self._edges: list[np.ndarray[tuple[int], np.dtype[np.float64]]] = []
        weights = np.array([float(row.attributes.get("weight", 1.0)) for row in rows])
        fake = np.array([row.is_fake for row in rows], np.bool_)
        for pool in (np.flatnonzero(~fake), np.flatnonzero(fake)):
            if weights[pool].sum() > 0:
                self._pools.append(pool)
                self._edges.append(np.cumsum(weights[pool]))

    def __call__(self, rng: np.random.Generator) -> int:
        """Return the number of a row."""
        label = int(rng.integers(len(self._pools)))
        edges = self._edges[label]
        return int(self._pools[label][np.searchsorted(edges, rng.random() * edges[-1], "right")])


def _pools(rows: tuple[Row, ...]) -> Pools:
    """Return the row numbers of each source and class."""
    pools: dict[tuple[str, str], list[int]] = defaultdict(list)
    for index, row in enumerate(rows):
        pools[row.source, row.label].append(index)
    return {key: np.array(pool) for key, pool in pools.items()}
