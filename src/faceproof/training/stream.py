"""The endless, repeatable stream of training pictures.

Sample number i is decided by the seed and i alone: which picture, and all that happens to it.
So a resumed training sees what an unbroken one would have seen, on any number of devices.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import polars as pl
import torch
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]
from torch.utils.data import DataLoader, Dataset, default_collate

from faceproof.data.manifest import Row
from faceproof.data.preparing.folder import is_made
from faceproof.data.preparing.shard_access import find_place, index_shards
from faceproof.data.preparing.spec import balanced_weights
from faceproof.errors import FaceproofError, TrainingError
from faceproof.imaging.decode import decode
from faceproof.imaging.preprocessing import Preprocessing, network_input, prepare
from faceproof.training.augment import Pixels, Points, Sample, augment_crop, match_crop
from faceproof.training.forging.table import ForgingResources, validate_forgeries
from faceproof.training.recipe import Recipe
from faceproof.training.recipe_pictures import AugmentRecipe, DataRecipe, StageRecipe
from faceproof.training.resolution import (
    DrawnFace,
    WidthMatchedSampler,
    face_widths,
    reduce_face,
    sharpness,
)
from faceproof.training.run.stopping import ignore_signals

_Numbers = npt.NDArray[np.int64]
Weights = npt.NDArray[np.float64]
_Pools = dict[tuple[str, str], _Numbers]
Draw = Callable[[np.random.Generator], int]


def make_draw(data: DataRecipe, rows: tuple[Row, ...]) -> Draw:
    """Return what draws the number of a row: by ``balance``, or by the prepared weights."""
    return (
        WeightedDraw(balanced_row_weights(rows, data.balance))
        if data.balance
        else PreparedWeightDraw(rows)
    )


def balanced_row_weights(rows: tuple[Row, ...], order: Sequence[str]) -> Weights:
    """Return the weight of each row, float64 [N], by `balanced_weights` in ``order``."""
    return balanced_weights(_balance_table(rows), order)


def select_balanced(rows: tuple[Row, ...], count: int, seed: int) -> tuple[Row, ...]:
    """Return at most ``count`` rows, as evenly over source and class as they allow."""
    rng = np.random.default_rng(seed)
    pools = {key: list(rng.permutation(pool)) for key, pool in sorted(_make_pools(rows).items())}
    chosen: list[int] = []
    while pools and len(chosen) < count:
        for key in list(pools):
            chosen.append(int(pools[key].pop()))
            if not pools[key]:
                del pools[key]
    return tuple(rows[index] for index in sorted(chosen[:count]))


class WeightedDraw:
    """Draws a row by its weight, whatever it is."""

    def __init__(self, weights: Weights) -> None:
        self._edges = np.cumsum(weights)

    def __call__(self, rng: np.random.Generator) -> int:
        """Return the number of a row."""
        return _find_place(self._edges, rng)


class PreparedWeightDraw:
    """Draws a row: the class evenly, then a picture by the weight that `data prepare` gave it."""

    def __init__(self, rows: tuple[Row, ...]) -> None:
        self._pools: list[_Numbers] = []
        self._edges: list[Weights] = []
        weights = np.array([float(row.attributes.get("weight", 1.0)) for row in rows])
        fake = np.array([row.is_fake for row in rows], np.bool_)
        for pool in (np.flatnonzero(~fake), np.flatnonzero(fake)):
            if weights[pool].sum() > 0:
                self._pools.append(pool)
                self._edges.append(np.cumsum(weights[pool]))

    def __call__(self, rng: np.random.Generator) -> int:
        """Return the number of a row."""
        label = int(rng.integers(len(self._pools)))
        return int(self._pools[label][_find_place(self._edges[label], rng)])


def _make_pools(rows: tuple[Row, ...]) -> _Pools:
    """Return the row numbers of each source and class."""
    pools: dict[tuple[str, str], list[int]] = defaultdict(list)
    for index, row in enumerate(rows):
        pools[row.source, row.label].append(index)
    return {key: np.array(pool) for key, pool in pools.items()}


def _find_place(edges: Weights, rng: np.random.Generator) -> int:
    """Return the number of the weight, of which ``edges`` are the sums, that a draw falls on."""
    place = int(np.searchsorted(edges, rng.random() * edges[-1], "right"))
    # The product may round up to the last edge.
    return min(place, len(edges) - 1)


def _balance_table(rows: tuple[Row, ...]) -> pl.DataFrame:
    """Return what balance is made of: split, label, generator and source of each training row."""
    facts = [(row.label, row.generator, row.source) for row in rows]
    names = ("label", "generator", "source")
    columns = zip(*facts, strict=True)
    return pl.DataFrame({"split": ["train"] * len(rows), **dict(zip(names, columns, strict=True))})


Pair = tuple[torch.Tensor, float]


class PreparedPictures:
    """The prepared pictures of some rows, decoded on request.

    Raises:
        TrainingError: a row has no landmarks.
    """

    def __init__(self, root: Path, rows: tuple[Row, ...], landmarks: Mapping[str, Points]) -> None:
        if nowhere := next((row.path for row in rows if row.path not in landmarks), None):
            raise TrainingError(
                f"faces.parquet of {root} has no landmarks of {nowhere}, which its manifest names: "
                "run `faceproof data prepare` again"
            )
        self._root = root
        self.rows = rows
        self.landmarks = landmarks

    def __getitem__(self, index: int) -> Sample:
        """Return the picture of row ``index``.

        Raises:
            TrainingError: it cannot be read any more.
        """
        row = self.rows[index]
        try:
            pixels = decode(self._file(index), name=row.path).require_whole(row.path).pixels
        except (FaceproofError, OSError) as error:
            raise TrainingError(
                f"a prepared picture of {self._root} cannot be read any more ({error}): run "
                "`faceproof data prepare` again, or copy it anew; the training then goes on"
            ) from error
        return Sample(pixels, self.landmarks[row.path], row.is_fake, row.group)

    def _file(self, index: int) -> bytes:
        """Return the bytes of the file of row ``index``."""
        return (self._root / self.rows[index].path).read_bytes()


class ShardedPictures(PreparedPictures):
    """The same pictures, read from the shards of the prepared folder.

    Raises:
        DataError: there are no shards, or not of these rows.
    """

    def __init__(self, root: Path, rows: tuple[Row, ...], landmarks: Mapping[str, Points]) -> None:
        super().__init__(root, rows, landmarks)
        found = index_shards(root, {row.split for row in rows})
        self._places = [
            None if is_made(row.path) else find_place(found, row.path, root) for row in rows
        ]

    def _file(self, index: int) -> bytes:
        """Return the bytes that the shard holds for row ``index``, which must be those prepared."""
        place, row = self._places[index], self.rows[index]
        if place is None:  # made from the prepared pictures later, as a file
            return super()._file(index)
        data = place.read()
        if hashlib.sha256(data).hexdigest() != row.sha256:
            raise TrainingError(f"{row.path}: its sha256 differs in {place.shard}")
        return data


def make_pictures(
    data: DataRecipe, rows: tuple[Row, ...], landmarks: Mapping[str, Points]
) -> PreparedPictures:
    """Return the prepared pictures of the rows, from files or from shards as the recipe says."""
    kind = ShardedPictures if data.reading == "shards" else PreparedPictures
    return kind(data.prepared, rows, landmarks)


@dataclass(frozen=True)
class StreamFacts:
    """What a training sample gives away besides the face.

    ``width`` is the drawn face width in px, ``quality`` and ``bytes_per_pixel`` are those of the
    last save (NaN without one), and ``sharpness`` is that of the crop.
    """

    source: str
    is_fake: bool
    group: str
    width: float
    quality: float
    bytes_per_pixel: float
    sharpness: float


@dataclass(frozen=True)
class _Stage:
    """How samples are drawn from number ``first`` on, and the strength of their augmentation."""

    first: int
    draw: WidthMatchedSampler
    strength: float


def _make_stages(recipe: Recipe, pictures: PreparedPictures) -> list[_Stage]:
    """Return the stages of a recipe with matched resolution, the first at 0; none without.

    Raises:
        TrainingError: a share names a source without training pictures, or a width none has.
    """
    if recipe.resolution is None:
        return []
    rows = pictures.rows
    labels = [(row.source, row.label) for row in rows]
    widths = face_widths(np.stack([pictures.landmarks[row.path] for row in rows]))
    shares, forgeries, strength = recipe.data.shares, recipe.forgeries, 1.0
    stages: list[_Stage] = []
    starts = recipe.stages
    if not starts or starts[0].from_step > 0:
        starts = (StageRecipe(from_step=0), *starts)
    for stage in starts:
        shares = shares if stage.shares is None else stage.shares
        forgeries = forgeries if stage.forgeries is None else stage.forgeries
        strength = strength if stage.strength is None else stage.strength
        validate_forgeries(forgeries, ForgingResources())
        draw = WidthMatchedSampler(labels, widths, recipe.resolution, shares, forgeries)
        stages.append(_Stage(stage.from_step * recipe.schedule.batch_size, draw, strength))
    return stages


class TrainingStream(Dataset[Pair]):
    """Training samples by number: normalised crop float32 [3, S, S] and target 0.0 or 1.0."""

    def __init__(self, pictures: PreparedPictures, recipe: Recipe) -> None:
        self._pictures = pictures
        self._augment: AugmentRecipe = recipe.augment
        self._preprocessing = recipe.network.preprocessing
        self._seed = recipe.seed
        pools = sorted(_make_pools(pictures.rows).items())
        self._real = [pool for (_, label), pool in pools if label == "real"]
        if not self._real:
            raise TrainingError("the training split holds no real face")
        self._stages = _make_stages(recipe, pictures)
        self._draw = None if self._stages else make_draw(recipe.data, pictures.rows)

    def __getitem__(self, number: int) -> Pair:
        """Return sample ``number`` of the stream."""
        rng = np.random.default_rng([self._seed, number])
        spec = self._preprocessing
        if self._draw is None:
            _, crop, shown = self._matched_sample(number, rng)
            is_fake = shown.is_fake
        else:
            sample, donor = self._pictures[self._draw(rng)], partial(self._draw_donor, rng)
            crop, is_fake = augment_crop(sample, donor, self._augment, spec.crop, rng)
        return torch.from_numpy(network_input(crop, spec.input)), float(is_fake)

    def facts_of(self, number: int) -> StreamFacts:
        """Return what sample ``number`` of a stream with matched resolution looks like.

        Raises:
            TrainingError: the recipe has no section [resolution].
        """
        if self._draw is not None:
            raise TrainingError("the stream has no matched resolution: add [resolution]")
        rng = np.random.default_rng([self._seed, number])
        drawn, crop, shown = self._matched_sample(number, rng)
        return StreamFacts(
            source=self._pictures.rows[drawn.row].source,
            is_fake=shown.is_fake,
            group=shown.group,
            width=drawn.width,
            quality=float("nan") if shown.saved is None else shown.saved.quality,
            bytes_per_pixel=float("nan") if shown.saved is None else shown.saved.bytes_per_pixel,
            sharpness=sharpness(crop),
        )

    def _matched_sample(
        self, number: int, rng: np.random.Generator
    ) -> tuple[DrawnFace, Pixels, Sample]:
        """Return sample ``number`` of a stream with matched resolution, as its stage has it."""
        stage = next(one for one in reversed(self._stages) if number >= one.first)
        drawn = stage.draw(rng)
        crop, shown = match_crop(
            self._pictures[drawn.row],
            drawn,
            partial(self._draw_reduced_donor, stage, drawn.width, rng),
            rng,
            recipe=self._augment,
            crop=self._preprocessing.crop,
            strength=stage.strength,
        )
        return drawn, crop, shown

    def _draw_reduced_donor(self, stage: _Stage, width: float, rng: np.random.Generator) -> Sample:
        """Return another real face at the drawn width."""
        sample = self._pictures[stage.draw.draw_real(width, rng)]
        factor = width / float(face_widths(sample.landmarks[None])[0])
        pixels, points = reduce_face(sample.pixels, sample.landmarks, factor, rng)
        return Sample(pixels, points, is_fake=False, group=sample.group)

    def _draw_donor(self, rng: np.random.Generator) -> Sample:
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


def make_loader(
    samples: Dataset[Pair], numbers: Sequence[int], *, size: int, workers: int
) -> DataLoader[Pair]:
    """Return a loader of batches: inputs float32 [size, 3, S, S] and targets [size].

    Draws nothing from torch's random state, and gives the same with any number of ``workers``.
    An error of ours is raised by the iteration as it is, whichever process met it.
    """
    return _Loader(
        _ErrorCatchingDataset(samples),
        collate_fn=_collate,
        batch_size=size,
        sampler=numbers,
        num_workers=workers,
        prefetch_factor=4 if workers else None,
        worker_init_fn=_start_worker,
        generator=torch.Generator(),
    )


class _ErrorCatchingDataset(Dataset[Pair | FaceproofError]):
    """Samples, or the error that was met in their place.

    Torch wraps what a worker raises into its own traceback; so nothing is raised there.
    """

    def __init__(self, samples: Dataset[Pair]) -> None:
        self._samples = samples

    def __getitem__(self, number: int) -> Pair | FaceproofError:
        """Return sample ``number``, or why there is none."""
        try:
            return self._samples[number]
        except FaceproofError as error:
            return error


class _Loader(DataLoader[Any]):
    """A loader that raises the errors which its workers met."""

    def __iter__(self) -> Iterator[Pair]:  # type: ignore[override]
        """Yield the batches.

        Raises:
            FaceproofError: the first that takes the place of a sample.
        """
        for batch in super().__iter__():
            if isinstance(batch, FaceproofError):
                raise batch
            yield batch


def _collate(samples: list[Pair | FaceproofError]) -> Pair | FaceproofError:
    """Return a batch, or the first error in it."""
    errors = (sample for sample in samples if isinstance(sample, FaceproofError))
    return next(errors, None) or default_collate(samples)


def _start_worker(_: int) -> None:
    """Leave the cores to the network, and the signals to the process that trains."""
    cv2.setNumThreads(0)
    threadpool_limits(1)
    ignore_signals()
