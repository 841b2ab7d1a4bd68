"""`make_fakes`: the made fakes that a prepared folder keeps, made once, before the first step.

A round trip takes up to a second, too long for each draw, and fakes in validation and test must
not change between runs. So some are made of the folder's own real faces, each at a drawn width,
and are saved in ``made/`` of the prepared folder with a manifest and landmarks like any prepared
set. A made fake is in the split of its people, and in their groups. A stopped run resumes and ends
in the same bytes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import numpy.typing as npt
import polars as pl

from faceproof.data.manifest import Manifest, Row
from faceproof.data.preparing.folder import MADE, read_landmarks
from faceproof.data.preparing.pictures import region_around
from faceproof.errors import TrainingError
from faceproof.imaging.decode import decode
from faceproof.imaging.preprocessing import CropSpec
from faceproof.outputs import atomic_write
from faceproof.pipeline import map_in_order
from faceproof.records import Record
from faceproof.tables import choose
from faceproof.training.forging.table import FORGERIES, ForgingResources, RealFace
from faceproof.training.recipe import Recipe
from faceproof.training.recipe_pictures import MadeRecipe, ResolutionRecipe
from faceproof.training.resolution import WidthMatchedSampler, face_widths, reduce_face

if TYPE_CHECKING:
    from faceproof.training.forging.tiny_autoencoder import TinyAutoencoder

Points = npt.NDArray[np.float32]
Progress = Callable[[str], None]

_REPORTED_EVERY = 100
#: What is kept of the picture: the crop with room for the shifts of augmentation.
_REGION = CropSpec(size=160, margin=0.15)
#: How many people are tried before a fake is given up: a donor may be the same person.
_ATTEMPTS = 20


def generator_of(forgery: str) -> str:
    """Return the generator that the manifest names for a made fake.

    >>> generator_of("self_blend")
    'made-self-blend'
    """
    return f"made-{forgery.replace('_', '-')}"


@dataclass(frozen=True)
class _RealFacePool:
    """The real rows of a split, their face widths in px, and what draws from them."""

    split: str
    rows: list[Row]
    landmarks: list[Points]
    widths: npt.NDArray[np.float64]
    draw: WidthMatchedSampler


@dataclass(frozen=True)
class _MakingJob:
    """One fake to make of a pool's real faces."""

    number: int
    seed: tuple[int, ...]
    pool: _RealFacePool

    @property
    def target(self) -> str:
        """The made picture's path in the pool's folder."""
        return f"{self.pool.split}/{self.number:05d}.png"


class _MadeRecord(Record):
    """One made picture, as it is noted beside it."""

    target: str
    sha256: str
    origin: str
    group: str
    split: str
    landmarks: tuple[tuple[float, float], ...]
    width: int
    height: int
    bytes: int


def make_fakes(recipe: Recipe, manifest: Manifest, *, progress: Progress) -> list[Path]:
    """Return the folders of the recipe's made fakes, made where they are missing.

    Raises:
        UnknownChoiceError: a key of ``made`` is not in `FORGERIES`.
        TrainingError: an autoencoder is missing or damaged, or a split has no real face.
    """
    for name, wanted in recipe.made.items():
        _validate(name, wanted)
    return [_make(name, recipe, manifest, progress) for name in recipe.made]


def _validate(name: str, wanted: MadeRecipe) -> None:
    """Refuse a forgery that is not there, or lacks its autoencoder."""
    forgery = choose(FORGERIES, name, what="forgery")
    if not forgery.needs_autoencoder:
        return
    if wanted.autoencoder is None or not wanted.autoencoder.is_file():
        found = "not given" if wanted.autoencoder is None else f"no file {wanted.autoencoder}"
        raise TrainingError(
            f"made.{name}.autoencoder: {found}; docs/explanation/made-fakes.md describes how to "
            f"convert one, and without [made.{name}] none is needed"
        )


def _make(name: str, recipe: Recipe, manifest: Manifest, progress: Progress) -> Path:
    """Return the folder of the fakes of one forgery."""
    wanted = recipe.made[name]
    folder = recipe.data.prepared / MADE / f"{name}-{_key(name, recipe, manifest)}"
    if (folder / "manifest.parquet").is_file():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    jobs = list(_jobs(recipe, wanted, manifest))
    work = _Maker(name, wanted, recipe.data.prepared, folder)
    made: list[_MadeRecord] = []
    with closing(
        map_in_order(work, jobs, workers=wanted.threads, ahead=4 * wanted.threads)
    ) as found:
        for one in found:
            made.append(one)
            if len(made) % _REPORTED_EVERY == 0:
                progress(f"{name}: {len(made)} of {len(jobs)} made")
    _write(name, made, folder)
    return folder


def _key(name: str, recipe: Recipe, manifest: Manifest) -> str:
    """Return a short hash of all that decides the fakes of one forgery."""
    spec, wanted = recipe.resolution, recipe.made[name]
    weights = wanted.autoencoder.read_bytes() if wanted.autoencoder else b""
    decides = {
        "forgery": name,
        "data": manifest.sha256,
        "seed": recipe.seed,
        "autoencoder": hashlib.sha256(weights).hexdigest(),
        "counts": dict(wanted.counts),
        "latent_noise": wanted.latent_noise,
        "widest": wanted.widest,
        "resolution": None if spec is None else [spec.narrowest, spec.widest],
        "shares": dict(recipe.data.shares),
    }
    return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()[:12]


def _jobs(recipe: Recipe, wanted: MadeRecipe, manifest: Manifest) -> Iterator[_MakingJob]:
    """Yield what is to be made for every split: real faces by the shares of training."""
    landmarks = read_landmarks(recipe.data.prepared)
    for place, (split, count) in enumerate(wanted.counts.items()):
        rows = _real_rows(manifest, split, recipe.data.shares)
        if not rows and count:
            raise TrainingError(f"made: {split} has no real face of a known source")
        if not count:
            continue
        points = [landmarks[row.path] for row in rows]
        widths = face_widths(np.stack(points))
        pool = _RealFacePool(split, rows, points, widths, _draw(rows, widths, recipe, wanted))
        for number in range(count):
            yield _MakingJob(number=number, seed=(recipe.seed, place, number), pool=pool)


def _real_rows(manifest: Manifest, split: str, shares: Mapping[str, float]) -> list[Row]:
    """Return the real rows of a split whose source has a share in training."""
    return [
        row
        for row in manifest.rows
        if row.split == split and not row.is_fake and (not shares or row.source in shares)
    ]


def _draw(
    rows: list[Row], widths: npt.NDArray[np.float64], recipe: Recipe, wanted: MadeRecipe
) -> WidthMatchedSampler:
    """Return what draws a width and a real picture that has it."""
    spec = recipe.resolution or ResolutionRecipe()
    widest = min(wanted.widest, spec.widest, float(widths.max()) * 0.99)
    sources = {row.source for row in rows}
    shares = {name: recipe.data.shares.get(name, 1.0) for name in sorted(sources)}
    return WidthMatchedSampler.for_class(
        rows, widths, min(spec.narrowest, widest / 2), widest, shares
    )


class _Maker:
    """Makes one fake of a forgery; safe to share between threads."""

    def __init__(self, name: str, wanted: MadeRecipe, prepared: Path, folder: Path) -> None:
        self._forgery = FORGERIES[name]
        self._name, self._prepared, self._folder = name, prepared, folder
        network: TinyAutoencoder | None = None
        if self._forgery.needs_autoencoder and wanted.autoencoder is not None:
            import torch

            from faceproof.training.forging.autoencoder import load_autoencoder

            torch.set_num_threads(1)
            network = load_autoencoder(wanted.autoencoder)
        self._resources = ForgingResources(network, latent_noise=(0.0, wanted.latent_noise))

    def __call__(self, job: _MakingJob) -> _MadeRecord:
        """Return the made fake; its picture lies in the folder.

        Raises:
            TrainingError: none of the people who were tried gave a fake.
        """
        note = (self._folder / job.target).with_suffix(".json")
        if (self._folder / job.target).is_file() and note.is_file():
            return _MadeRecord.read(note)
        for attempt in range(_ATTEMPTS):
            if (made := self._attempt(job, attempt)) is not None:
                made.write(note)
                return made
        raise TrainingError(
            f"made.{self._name}: no fake can be made of the real faces of {job.pool.split}, "
            f"{_ATTEMPTS} were tried"
        )

    def _attempt(self, job: _MakingJob, attempt: int) -> _MadeRecord | None:
        """Return the fake of one drawn face, written; None where nothing could be forged."""
        rng = np.random.default_rng((*job.seed, attempt))
        drawn = job.pool.draw.draw_any_width("real", rng)
        row = job.pool.rows[drawn.row]
        real = self._reduce_face(job.pool, drawn.row, drawn.width, rng)

        def draw_donor() -> RealFace:
            return self._reduce_face(
                job.pool, job.pool.draw.draw_real(drawn.width, rng), drawn.width, rng
            )

        fake = self._forgery.make(real, draw_donor, rng, self._resources)
        if not fake.is_fake:
            return None
        data = bytes(cv2.imencode(".png", cv2.cvtColor(fake.pixels, cv2.COLOR_RGB2BGR))[1])
        target = self._folder / job.target
        target.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(target) as file:
            file.write(data)
        return _MadeRecord(
            target=job.target,
            sha256=hashlib.sha256(data).hexdigest(),
            origin=row.path,
            group=" + ".join(fake.groups),
            split=row.split,
            landmarks=tuple((float(x), float(y)) for x, y in real.landmarks),
            width=int(fake.pixels.shape[1]),
            height=int(fake.pixels.shape[0]),
            bytes=len(data),
        )

    def _reduce_face(
        self, pool: _RealFacePool, number: int, width: float, rng: np.random.Generator
    ) -> RealFace:
        """Return a row's face at ``width`` px, and what surrounds it."""
        row = pool.rows[number]
        picture = decode((self._prepared / row.path).read_bytes(), name=row.path)
        pixels = picture.require_whole(row.path).pixels
        factor = width / float(pool.widths[number])
        pixels, points = reduce_face(pixels, pool.landmarks[number], factor, rng)
        left, top, right, bottom = region_around(points, pixels.shape[1::-1], _REGION)
        pixels = np.ascontiguousarray(pixels[top:bottom, left:right])
        points = np.asarray(points - (left, top), np.float32)
        return RealFace(pixels, points, (row.group or row.path,))


def _write(name: str, made: Sequence[_MadeRecord], folder: Path) -> None:
    """Write landmarks and manifest; the manifest last, which says that all is there."""
    paths = [f"{MADE}/{folder.name}/{one.target}" for one in made]
    points = [[value for point in one.landmarks for value in point] for one in made]
    listed = pl.Series("landmarks", points, dtype=pl.List(pl.Float32))
    with atomic_write(folder / "faces.parquet") as file:
        pl.DataFrame([pl.Series("path", paths), listed]).write_parquet(file)
    same: dict[str, Any] = {
        "label": "fake",
        "generator": generator_of(name),
        "source": name,
        "format": "PNG",
        "family": "made",
    }
    facts = ("group", "sha256", "split", "width", "height", "bytes", "origin")
    table = pl.DataFrame(
        {"path": paths, **{fact: [getattr(one, fact) for one in made] for fact in facts}}
    ).with_columns(**{column: pl.lit(value) for column, value in same.items()})
    with atomic_write(folder / "manifest.parquet") as file:
        table.write_parquet(file)
