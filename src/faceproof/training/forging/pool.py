"""The round trips of a prepared folder: made once, before the first step, and kept beside it.

A round trip costs a third of a second, too much for each draw. A few thousand are made of the
folder's own real faces, each at a drawn width, and lie in ``made/`` of the prepared folder with a
manifest and landmarks like any prepared set. A made fake stays in the split and the group of its
person. A run that is stopped resumes where it was and ends in the same bytes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import polars as pl

from faceproof.data.manifest import Manifest, Row
from faceproof.data.preparing.pictures import region_around
from faceproof.data.preparing.reading import MADE, landmarks_of
from faceproof.errors import TrainingError
from faceproof.imaging.decode import decode
from faceproof.imaging.preprocessing import CropSpec
from faceproof.pipeline import in_order
from faceproof.runs import replacing
from faceproof.training.feeding.resolution import WidthMatched, face_widths, reduce_face
from faceproof.training.recipe import Recipe, ResolutionRecipe

Points = npt.NDArray[np.float32]
Progress = Callable[[str], None]

SOURCE, GENERATOR = "round_trip", "taef2-round-trip"
_SPLITS = ("train", "validation", "calibration", "test")
_REPORTED_EVERY = 100
#: What is sent through the autoencoder: the crop with room for the shifts of augmentation.
_REGION = CropSpec(size=160, margin=0.15)


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
    folder = recipe.data.prepared / MADE / f"{SOURCE}-{_key(recipe, manifest)}"
    if (folder / "manifest.parquet").is_file():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    landmarks = landmarks_of(recipe.data.prepared)
    rows: list[dict[str, Any]] = []
    for split in _SPLITS:
        if wanted.counts.get(split, 0):
            rows += _split_of(recipe, manifest, split, landmarks, folder, progress)
    _write(rows, folder)
    return folder


def _key(recipe: Recipe, manifest: Manifest) -> str:
    """Return a short hash of all that decides the round trips."""
    wanted = recipe.round_trip
    assert wanted is not None
    decides = {
        "data": manifest.sha256,
        "seed": recipe.seed,
        "autoencoder": hashlib.sha256(wanted.autoencoder.read_bytes()).hexdigest(),
        "counts": dict(wanted.counts),
        "latent_noise": wanted.latent_noise,
        "widest": wanted.widest,
        "resolution": None
        if recipe.resolution is None
        else [recipe.resolution.narrowest, recipe.resolution.widest],
        "shares": dict(recipe.data.shares),
    }
    text = json.dumps(decides, sort_keys=True).encode()
    return hashlib.sha256(text).hexdigest()[:12]


def _split_of(
    recipe: Recipe,
    manifest: Manifest,
    split: str,
    landmarks: Mapping[str, Points],
    folder: Path,
    progress: Progress,
) -> list[dict[str, Any]]:
    """Return the rows of one split, in order."""
    wanted = recipe.round_trip
    assert wanted is not None
    rows = _real_rows(manifest, split, recipe.data.shares)
    if not rows:
        raise TrainingError(f"round_trip.counts names {split}, which has no real face with a share")
    widths = face_widths(np.stack([landmarks[row.path] for row in rows]))
    spec = recipe.resolution or ResolutionRecipe()
    widest = min(wanted.widest, spec.widest, float(widths.max()) * 0.99)
    shares = recipe.data.shares or dict.fromkeys((row.source for row in rows), 1.0)
    kept = {name: shares[name] for name in {row.source for row in rows}}
    draw = WidthMatched.of_class(rows, widths, spec.narrowest, widest, kept)
    jobs = []
    for number in range(wanted.counts[split]):
        rng = np.random.default_rng([recipe.seed, _SPLITS.index(split), number])
        drawn = draw.any_width("real", rng)
        row = rows[drawn.row]
        jobs.append(
            {
                "number": number,
                "seed": [recipe.seed, _SPLITS.index(split), number, 1],
                "file": str(recipe.data.prepared / row.path),
                "origin": row.path,
                "group": row.group or row.path,
                "split": split,
                "landmarks": landmarks[row.path].tolist(),
                "factor": drawn.width / float(widths[drawn.row]),
                "target": f"{split}/{number:05d}.png",
            }
        )
    made: list[dict[str, Any]] = []
    work = _Maker(wanted.autoencoder, wanted.latent_noise, folder)
    ahead = 4 * wanted.threads
    with closing(in_order(work, jobs, workers=wanted.threads, ahead=ahead)) as finished:
        for found in finished:
            made.append(found)
            if len(made) % _REPORTED_EVERY == 0:
                progress(f"round trips of {split}: {len(made)} of {len(jobs)}")
    return made


def _real_rows(manifest: Manifest, split: str, shares: Mapping[str, float]) -> list[Row]:
    """Return the real rows of a split whose source has a share in training."""
    return [
        row
        for row in manifest.rows
        if row.split == split and not row.is_fake and (not shares or row.source in shares)
    ]


class _Maker:
    """Makes one round trip; safe to share between threads."""

    def __init__(self, autoencoder: Path, latent_noise: float, folder: Path) -> None:
        import torch

        from faceproof.training.forging.autoencoder import load_autoencoder

        torch.set_num_threads(1)
        self._network = load_autoencoder(autoencoder)
        self._noise, self._folder = latent_noise, folder

    def __call__(self, job: dict[str, Any]) -> dict[str, Any]:
        """Return the row of the made fake; its picture lies in the folder."""
        from faceproof.training.forging.autoencoder import round_trip

        target = self._folder / job["target"]
        note = target.with_suffix(".json")
        if target.is_file() and note.is_file():
            return dict(json.loads(note.read_text(encoding="utf-8")))
        rng = np.random.default_rng(job["seed"])
        pixels = decode(Path(job["file"]).read_bytes()).pixels
        points = np.asarray(job["landmarks"], np.float32)
        pixels, points = reduce_face(pixels, points, job["factor"], rng)
        left, top, right, bottom = region_around(points, pixels.shape[1::-1], _REGION)
        pixels = np.ascontiguousarray(pixels[top:bottom, left:right])
        points = points - np.array([left, top], np.float32)
        fake = round_trip(pixels, self._network, rng, latent_noise=(0.0, self._noise))
        target.parent.mkdir(parents=True, exist_ok=True)
        data = bytes(cv2.imencode(".png", cv2.cvtColor(fake, cv2.COLOR_RGB2BGR))[1])
        with replacing(target) as file:
            file.write(data)
        made = {
            "target": job["target"],
            "sha256": hashlib.sha256(data).hexdigest(),
            "origin": job["origin"],
            "group": job["group"],
            "split": job["split"],
            "landmarks": points.tolist(),
            "width": int(fake.shape[1]),
            "height": int(fake.shape[0]),
            "bytes": len(data),
        }
        with replacing(note) as file:
            file.write(json.dumps(made).encode())
        return made


def _write(rows: list[dict[str, Any]], folder: Path) -> None:
    """Write landmarks and manifest; the manifest last, which says that all is there."""
    paths = [f"{MADE}/{folder.name}/{row['target']}" for row in rows]
    points = [np.asarray(row["landmarks"], np.float32).ravel().tolist() for row in rows]
    pl.DataFrame(
        {"path": paths, "landmarks": points},
        schema={"path": pl.String, "landmarks": pl.List(pl.Float32)},
    ).write_parquet(folder / "faces.parquet")
    table = pl.DataFrame(
        {
            "path": paths,
            "label": ["fake"] * len(rows),
            "generator": [GENERATOR] * len(rows),
            "source": [SOURCE] * len(rows),
            **{name: [row[name] for row in rows] for name in ("group", "sha256", "split")},
            "width": [row["width"] for row in rows],
            "height": [row["height"] for row in rows],
            "bytes": [row["bytes"] for row in rows],
            "format": ["PNG"] * len(rows),
            "origin": [row["origin"] for row in rows],
            "family": ["made"] * len(rows),
        }
    )
    with replacing(folder / "manifest.parquet") as file:
        table.write_parquet(file)
