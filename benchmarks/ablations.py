"""Effect of each augmentation and each optimiser option, switched one at a time.

A small network learns from two sources (StyleGAN portraits against FFHQ, faces blended into
photographs against such photographs) and is tested on held-out pictures of both, clean and saved
again, and on three kinds of fakes that it never saw: DFDC's swaps against their originals, and
StyleGAN2 and Stable Diffusion 2.1 against the test reals. Every figure is a ROC-AUC
with a 95 % bootstrap interval over groups; the fakes of other resolution than the reals are judged
with both at half size, so that the file's history predicts nothing.

    uv run --extra train python benchmarks/ablations.py --data data/prepared [--only NAME ...]

A finished or interrupted run resumes. ``--table`` prints the existing results and trains nothing.
Rows of seed 2 and 3 of "all of it" show how much a figure varies by chance.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl

from faceproof.data.manifest_files import read_manifest, write_manifest
from faceproof.evaluation import predictions
from faceproof.evaluation.intervals import bootstrap
from faceproof.evaluation.metrics import measure
from faceproof.evaluation.predictions import Faces
from faceproof.training.recipe import read_recipe
from faceproof.training.train import train

RECIPE = Path(__file__).parent / "recipes/ablation.toml"
SEEN = ("ffhq_stylegan140k", "openforensics")
UNSEEN = ("dfdc", "stylegan2_hmdghoul", "sdfd")
TEST_EACH, SPLITS_EACH = 160, {"validation": 80, "calibration": 80}
CONDITIONS = ("clean", "jpeg-40", "resize-0.5")

#: name -> what differs from the recipe.
VARIANTS: dict[str, tuple[str, ...]] = {
    "all of it": (),
    "all of it, seed 2": ("seed=2",),
    "without file history": ("augment.history_steps=0",),
    "without blur and noise": ("augment.blur=0.0", "augment.noise=0.0"),
    "without cuts and jitter": (
        "augment.cut=0.0",
        "augment.shift=0.0",
        "augment.scale=0.0",
        "augment.turn_degrees=0.0",
    ),
    "without colour": ("augment.colour=0.0", "augment.grey=0.0"),
    "without self-blended images": ("augment.self_blend=0.0",),
    "without reconstruction fakes": ("augment.reconstruct=0.0",),
    "none of it": (
        "augment.history_steps=0",
        "augment.blur=0.0",
        "augment.noise=0.0",
        "augment.cut=0.0",
        "augment.shift=0.0",
        "augment.scale=0.0",
        "augment.turn_degrees=0.0",
        "augment.flip=0.0",
        "augment.colour=0.0",
        "augment.grey=0.0",
        "augment.self_blend=0.0",
        "augment.reconstruct=0.0",
    ),
    "with mixup": ("augment.mixup=0.5",),
    "with cutmix": ("augment.cutmix=0.5",),
    "without balance": ("data.balance=[]",),
    "without averaging": ("optimizer.average_decay=0.0",),
    "with focal loss": ("optimizer.loss=focal",),
    "with CVaR 0.5": ("optimizer.cvar=0.5",),
    "with SAM": ("optimizer.sam_radius=0.05",),
}


def main() -> None:
    """Train the requested variants and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, default=Path("data/prepared"))
    parser.add_argument("--work", type=Path, default=Path("data/ablations"))
    parser.add_argument("--output", type=Path, default=Path("runs/ablations"))
    parser.add_argument("--only", nargs="+", choices=list(VARIANTS), default=list(VARIANTS))
    parser.add_argument("--table", action="store_true", help="train nothing")
    asked = parser.parse_args()
    prepared = view(asked.data, asked.work / "prepared")
    if not asked.table:
        for name in asked.only:
            run(name, prepared, asked.output, VARIANTS[name])
    print(table(asked.output))


def view(data: Path, folder: Path) -> Path:
    """Return a folder with a part of the prepared set; its pictures are linked."""
    if (folder / "manifest.parquet").exists():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    whole = read_manifest(data / "manifest.parquet")
    shown = whole.with_table(pl.concat(list(parts(whole.table))))
    for part in ("pictures", "faces.parquet"):
        (folder / part).symlink_to((data / part).resolve())
    write_manifest(shown, folder / "manifest.parquet")
    return folder


def parts(table: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Yield the used rows: all training rows of the seen sources, some of the other splits."""
    seen = pl.col("source").is_in(SEEN)
    yield table.filter(seen & (pl.col("split") == "train"))
    for split, count in SPLITS_EACH.items():
        yield some(table.filter(seen & (pl.col("split") == split)), count)
    every = pl.col("source").is_in((*SEEN, *UNSEEN))
    yield some(table.filter(every & (pl.col("split") == "test")), TEST_EACH)


def some(table: pl.DataFrame, count: int) -> pl.DataFrame:
    """Return at most ``count`` rows of each source and class, drawn by their hashes."""
    order = pl.col("sha256").rank().over("source", "label")
    return table.filter(order <= count)


def run(name: str, prepared: Path, output: Path, overrides: tuple[str, ...]) -> None:
    """Train one variant to its final report; skip finished work."""
    recipe = read_recipe(RECIPE, (f"data.prepared={prepared}", "device.threads=1", *overrides))
    folder = output / slug(name)
    train(recipe, folder, progress=partial(print, f"{folder.name}:", file=sys.stderr))


def slug(name: str) -> str:
    """Return a folder's name.

    >>> slug("with CVaR 0.5")
    'with-cvar-0-5'
    """
    return "".join(c if c.isalnum() else "-" for c in name.lower()).replace("--", "-")


def table(output: Path) -> str:
    """Return the Markdown table of the trained variants."""
    columns = list(cells(None))
    lines = [f"| variant | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    for name in VARIANTS:
        path = output / slug(name) / "predictions-test.parquet"
        if path.exists():
            found = cells(predictions.judged_faces(predictions.read_table(path)))
            lines.append(f"| {name} | {' | '.join(found.values())} |")
    return "\n".join(lines) + "\n"


def cells(faces: Faces | None) -> dict[str, str]:
    """Return column -> ROC-AUC with its interval; only the columns without faces."""
    columns: dict[str, tuple[str, tuple[str, ...], tuple[str, ...]]] = {}
    for condition in CONDITIONS:
        columns[f"seen, {condition}"] = (condition, SEEN, SEEN)
    columns["unseen swaps (DFDC)"] = ("clean", ("dfdc",), ("dfdc",))
    columns["unseen StyleGAN2, resize-0.5"] = ("resize-0.5", SEEN, ("stylegan2_hmdghoul",))
    columns["unseen SD 2.1, resize-0.5"] = ("resize-0.5", SEEN, ("sdfd",))
    if faces is None:
        return dict.fromkeys(columns, "")
    return {name: auc(faces, *chosen) for name, chosen in columns.items()}


def auc(faces: Faces, condition: str, reals: tuple[str, ...], fakes: tuple[str, ...]) -> str:
    """Return the ROC-AUC of some sources' fakes against some sources' reals."""
    real = ~faces.fake & np.isin(faces.sources, reals)
    fake = faces.fake & np.isin(faces.sources, fakes)
    part = faces.where((faces.conditions == condition) & (real | fake))
    value = measure(part.fake, part.probabilities, names=["roc_auc"])["roc_auc"]
    bounds = bootstrap(part.fake, part.probabilities, part.groups, names=["roc_auc"])["roc_auc"]
    return f"{value:.3f} ({bounds.low:.3f} to {bounds.high:.3f})"


if __name__ == "__main__":
    main()
