"""Compare weights, and means of weights, on the validation faces of a recipe's prepared folder.

    uv run --extra train python benchmarks/compare_weights.py RECIPE.toml A=default B=run+default

Each column is NAME=WEIGHTS[+WEIGHTS...]; the mean of several is that of `network.averaged_with`.
WEIGHTS is what `network.starting_weights` takes, or the folder of a run, for the weights that it
would ship. Rows: ROC-AUC of all sources together; its mean over generators, each against all real
faces; the share of fakes above the threshold that accuses at most 1 % of each family of real
faces; and the ROC-AUC of each kind of made fake. Only validation is read.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import save_file
from sklearn.metrics import roc_auc_score

from faceproof.data.manifest import Row
from faceproof.data.preparing.folder import add_made_fakes, read_landmarks
from faceproof.messages import ignore_message
from faceproof.networks import build
from faceproof.networks.modules import Network
from faceproof.networks.weight_averaging import average_weights
from faceproof.networks.weights import load_starting_weights
from faceproof.training.forging.pool import make_fakes
from faceproof.training.recipe import Recipe, read_recipe
from faceproof.training.run.checkpoint import averaged_weights
from faceproof.training.run.prepared import open_prepared
from faceproof.training.stream import PlainFaces, make_loader, make_pictures

MADE = "made-"
BATCH = 48
Logits = npt.NDArray[np.float32]
Names = npt.NDArray[np.str_]


def main() -> None:
    """Print a Markdown table, a column for each name."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("recipe", type=Path)
    parser.add_argument("weights", nargs="+", metavar="NAME=WEIGHTS[+WEIGHTS...]")
    parser.add_argument("--most", type=int, default=60, help="faces of each source and generator")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    recipe = read_recipe(options.recipe, ())
    columns = dict(one.partition("=")[::2] for one in options.weights)
    with tempfile.TemporaryDirectory() as folder:
        networks = {
            name: network_of(
                recipe, [as_weights(recipe, one, Path(folder)) for one in text.split("+")]
            )
            for name, text in columns.items()
        }
    faces, rows = validation_faces(recipe, options.most)
    logits = score(networks, faces)
    tables = {name: measures(rows, found, recipe) for name, found in logits.items()}
    sys.stdout.write(f"| {len(rows)} validation faces, clean | {' | '.join(tables)} |\n")
    sys.stdout.write("|---" * (len(tables) + 1) + "|\n")
    for title in next(iter(tables.values())):
        cells = " | ".join(f"{table[title]:.4f}" for table in tables.values())
        sys.stdout.write(f"| {title} | {cells} |\n")


def as_weights(recipe: Recipe, weights: str, folder: Path) -> str:
    """Return what `load_starting_weights` takes: of a run, a file of its weights in the folder."""
    run = Path(weights)
    if not (run / "last.pt").is_file():
        return weights
    path = folder / f"{len(list(folder.iterdir()))}.safetensors"
    state = averaged_weights(run, keep=recipe.schedule.keep)
    save_file({name: value.contiguous() for name, value in state.items()}, path)
    return str(path)


def network_of(recipe: Recipe, weights: Sequence[str]) -> Network:
    """Return the network with the mean of these weights."""
    network = build(recipe.network.name, head=recipe.network.head)
    first, *others = weights
    load_starting_weights(network, first)
    average_weights(network, others)
    return network.eval().to(memory_format=torch.channels_last)


def validation_faces(recipe: Recipe, most: int) -> tuple[PlainFaces, tuple[Row, ...]]:
    """Return at most ``most`` faces of each source, label and generator."""
    manifest = open_prepared(recipe, progress=ignore_message)
    made = make_fakes(recipe, manifest, progress=ignore_message)
    part = add_made_fakes(manifest, made).at_most({"validation": most})
    rows = part.take("validation", purpose="choose")
    pictures = make_pictures(recipe.data, rows, read_landmarks(recipe.data.prepared, made))
    return PlainFaces(pictures, recipe.network.preprocessing), rows


def score(networks: Mapping[str, Network], faces: PlainFaces) -> dict[str, Logits]:
    """Return the logits [N] of each network; every face is read once for all."""
    found: dict[str, list[Any]] = {name: [] for name in networks}
    with torch.inference_mode():
        for inputs, _ in make_loader(faces, range(len(faces)), size=BATCH, workers=0):
            ready = inputs.to(memory_format=torch.channels_last)
            for name, network in networks.items():
                found[name].append(network(ready).flatten().numpy())
    return {name: np.concatenate(parts) for name, parts in found.items()}


def measures(rows: Sequence[Row], logits: Logits, recipe: Recipe) -> dict[str, float]:
    """Return the rows of a column."""
    fake = np.array([row.is_fake for row in rows])
    sources = np.array([row.source for row in rows])
    generators = np.array([row.generator for row in rows])
    is_made = np.char.startswith(generators, MADE)
    given = ~fake | ~is_made
    by_generator = dict(generator_aucs(fake, generators, logits))
    means = [value for name, value in by_generator.items() if not name.startswith(MADE)]
    strictest = max(
        np.quantile(logits[~fake & np.isin(sources, family)], 0.99)
        for family in recipe.calibration.families.values()
    )
    return {
        "ROC-AUC, all sources together": float(roc_auc_score(fake[given], logits[given])),
        "mean over generators of ROC-AUC": float(np.mean(means)),
        "fakes above a threshold with at most 1 % of each real family accused": float(
            (logits[fake & ~is_made] > strictest).mean()
        ),
        **{f"ROC-AUC of {name}": value for name, value in by_generator.items()},
    }


def generator_aucs(
    fake: npt.NDArray[np.bool_], generators: Names, logits: Logits
) -> Iterator[tuple[str, float]]:
    """Yield each generator and the ROC-AUC of its fakes against all real faces."""
    for name in sorted(set(generators[fake])):
        part = ~fake | (generators == name)
        yield str(name), float(roc_auc_score(fake[part], logits[part]))


if __name__ == "__main__":
    main()
