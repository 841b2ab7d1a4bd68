"""The round trips of a prepared folder: made once, before the first step, and kept in it.

A round trip takes up to a second, too long for each draw. Some thousand are made of the folder's
own real faces, each at a drawn width, and lie in ``made/`` of the prepared folder with a manifest
and landmarks like any prepared set. A made fake stays in the split and the group of its person. A
stopped run resumes and ends in the same bytes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import numpy.typing as npt
import polars as pl

from faceproof.data.manifest import Manifest, Row
from faceproof.data.preparing.folder import MADE, landmarks_of
from faceproof.data.preparing.pictures import region_around
from faceproof.errors import TrainingError
from faceproof.imaging.decode import decode
from faceproof.imaging.preprocessing import CropSpec
from faceproof.pipeline import in_order
from faceproof.records import Record
from faceproof.runs import atomic_write
from faceproof.training.recipe import Recipe, ResolutionRecipe, RoundTripRecipe
from faceproof.training.resolution import WidthMatched, face_widths, reduce_face

if TYPE_CHECKING:
    from faceproof.training.forging.tiny_autoencoder import TinyAutoencoder

Points = npt.NDArray[np.float32]
Progress = Callable[[str], None]

SOURCE, GENERATOR = "round_trip", "taef2-round-trip"

_REPORTED_EVERY = 100
#: What is sent through the autoencoder: the crop with room for the shifts of augmentation.
_REGION = CropSpec(size=160, margin=0.15)


@dataclass(frozen=True)
class _Job:
    """One round trip to make: its real picture, and how it is reduced."""

    number: int
    seed: tuple[int, ...]
    row: Row
    file: Path
    landmarks: Points
    factor: float

    @property
    def target(self) -> str:
        """The made picture's path in the pool."""
        return f"{self.row.split}/{self.number:05d}.png"


class _Made(Record):
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


def make_round_trips(recipe: Recipe, manifest: Manifest, *, progress: Progress) -> Path | None:
    """Return the folder of the recipe's round trips, made where they are missing.

    None where the recipe asks for none.

    Raises:
        TrainingError: the autoencoder is missing or damaged, or a split has no real face.
    """
    wanted = recipe.round_trip
    if wanted is None:
        return None
    if not wanted.autoencoder.is_file():
        raise TrainingError(
            f"round_trip.autoencoder: there is no file {wanted.autoencoder}; docs/made-fakes.md "
            "says how to convert one, and without [round_trip] none is needed"
        )
    folder = recipe.data.prepared / MADE / f"{SOURCE}-{_key(recipe, wanted, manifest)}"
    if (folder / "manifest.parquet").is_file():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    jobs = list(_jobs(recipe, wanted, manifest))
    work = _Maker(wanted, folder)
    made: list[_Made] = []
    with closing(in_order(work, jobs, workers=wanted.threads, ahead=4 * wanted.threads)) as found:
        for one in found:
            made.append(one)
            if len(made) % _REPORTED_EVERY == 0:
                progress(f"round trips: {len(made)} of {len(jobs)}")
    _write(made, folder)
    return folder


def _key(recipe: Recipe, wanted: RoundTripRecipe, manifest: Manifest) -> str:
    """Return a short hash of all that decides the round trips."""
    spec = recipe.resolution
    decides = {
        "data": manifest.sha256,
        "seed": recipe.seed,
        "autoencoder": hashlib.sha256(wanted.autoencoder.read_bytes()).hexdigest(),
        "counts": dict(wanted.counts),
        "latent_noise": wanted.latent_noise,
        "widest": wanted.widest,
        "resolution": None if spec is None else [spec.narrowest, spec.widest],
        "shares": dict(recipe.data.shares),
    }
    return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()[:12]


def _jobs(recipe: Recipe, wanted: RoundTripRecipe, manifest: Manifest) -> Iterator[_Job]:
    """Yield the round trips of every split: real faces by the shares of training, widths drawn."""
    landmarks = landmarks_of(recipe.data.prepared)
    for place, (split, count) in enumerate(wanted.counts.items()):
        rows = _real_rows(manifest, split, recipe.data.shares)
        if not rows and count:
            raise TrainingError(f"round_trip.counts: {split} has no real face of a known source")
        if not count:
            continue
        widths = face_widths(np.stack([landmarks[row.path] for row in rows]))
        draw = _draw(rows, widths, recipe, wanted)
        for number in range(count):
            seed = (recipe.seed, place, number)
            drawn = draw.any_width("real", np.random.default_rng(seed))
            row = rows[drawn.row]
            yield _Job(
                number=number,
                seed=(*seed, 1),
                row=row,
                file=recipe.data.prepared / row.path,
                landmarks=landmarks[row.path],
                factor=drawn.width / float(widths[drawn.row]),
            )


def _real_rows(manifest: Manifest, split: str, shares: Mapping[str, float]) -> list[Row]:
    """Return the real rows of a split whose source has a share in training."""
    return [
        row
        for row in manifest.rows
        if row.split == split and not row.is_fake and (not shares or row.source in shares)
    ]


def _draw(
    rows: list[Row], widths: npt.NDArray[np.float64], recipe: Recipe, wanted: RoundTripRecipe
) -> WidthMatched:
    """Return what draws a width and a real picture that has it."""
    spec = recipe.resolution or ResolutionRecipe()
    widest = min(wanted.widest, spec.widest, float(widths.max()) * 0.99)
    sources = {row.source for row in rows}
    shares = {name: recipe.data.shares.get(name, 1.0) for name in sorted(sources)}
    return WidthMatched.of_class(rows, widths, min(spec.narrowest, widest / 2), widest, shares)


class _Maker:
    """Makes one round trip; safe to share between threads."""

    def __init__(self, wanted: RoundTripRecipe, folder: Path) -> None:
        import torch

        from faceproof.training.forging.autoencoder import load_autoencoder

        torch.set_num_threads(1)
        self._network: TinyAutoencoder = load_autoencoder(wanted.autoencoder)
        self._noise, self._folder = wanted.latent_noise, folder

    def __call__(self, job: _Job) -> _Made:
        """Return the made fake; its picture lies in the folder."""
        from faceproof.training.forging.autoencoder import round_trip

        target = self._folder / job.target
        note = target.with_suffix(".json")
        if target.is_file() and note.is_file():
            return _Made.read(note)
        rng = np.random.default_rng(job.seed)
        pixels = decode(job.file.read_bytes(), name=job.row.path).pixels
        pixels, points = reduce_face(pixels, job.landmarks, job.factor, rng)
        left, top, right, bottom = region_around(points, pixels.shape[1::-1], _REGION)
        pixels = np.ascontiguousarray(pixels[top:bottom, left:right])
        fake = round_trip(pixels, self._network, rng, latent_noise=(0.0, self._noise))
        data = bytes(cv2.imencode(".png", cv2.cvtColor(fake, cv2.COLOR_RGB2BGR))[1])
        target.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(target) as file:
            file.write(data)
        made = _Made(
            target=job.target,
            sha256=hashlib.sha256(data).hexdigest(),
            origin=job.row.path,
            group=job.row.group or job.row.path,
            split=job.row.split,
            landmarks=tuple((float(x - left), float(y - top)) for x, y in points),
            width=int(fake.shape[1]),
            height=int(fake.shape[0]),
            bytes=len(data),
        )
        made.write(note)
        return made


def _write(made: list[_Made], folder: Path) -> None:
    """Write landmarks and manifest; the manifest last, which says that all is there."""
    paths = [f"{MADE}/{folder.name}/{one.target}" for one in made]
    points = [[value for point in one.landmarks for value in point] for one in made]
    listed = pl.Series("landmarks", points, dtype=pl.List(pl.Float32))
    pl.DataFrame([pl.Series("path", paths), listed]).write_parquet(folder / "faces.parquet")
    same: dict[str, Any] = {
        "label": "fake",
        "generator": GENERATOR,
        "source": SOURCE,
        "format": "PNG",
        "family": "made",
    }
    names = ("group", "sha256", "split", "width", "height", "bytes", "origin")
    table = pl.DataFrame(
        {"path": paths, **{name: [getattr(one, name) for one in made] for name in names}}
    ).with_columns(**{name: pl.lit(value) for name, value in same.items()})
    with atomic_write(folder / "manifest.parquet") as file:
        table.write_parquet(file)
