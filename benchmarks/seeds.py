"""Both seeds' recipes as published against ours, on the same split of the same pictures.

Trains each recipe with each seed (a finished or interrupted run resumes), evaluates the test
split, and prints Markdown tables: accuracy, precision, recall, F1 and ROC-AUC with 95 % intervals,
the confusion matrix, the same pictures saved again as JPEG, and how far validation accuracy jumped.

    uv run --extra train python benchmarks/seeds.py --prepared data/slice/prepared

A recipe's figures pool the faces of its seeds; a column has the spread over seeds. A
published recipe decides at a logit of 0, ours at a calibrated probability of one half. `B as used`
is seed B's trained network fed as its own prediction script feeds it: 512 px, 0..255 minus 0.5;
the label swap of that script is left out.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np

from faceproof.data.manifest import Row
from faceproof.data.preparing.folder import read_prepared
from faceproof.errors import ExportError
from faceproof.evaluation import predictions
from faceproof.evaluation.formulas import HALF, count_scores
from faceproof.evaluation.intervals import resamples
from faceproof.evaluation.metrics import METRICS as METRIC_TABLE
from faceproof.evaluation.predictions import Faces
from faceproof.imaging.decode import decode
from faceproof.imaging.degradations import DEGRADATIONS
from faceproof.imaging.preprocessing import CropSpec, InputSpec, Preprocessing, prepare
from faceproof.networks.modules import Network
from faceproof.runs import RunFolder
from faceproof.training.fit import load_saved_network
from faceproof.training.optimizers import epochs_to_steps
from faceproof.training.recipe import Recipe, read_recipe
from faceproof.training.train import train

HERE = Path(__file__).parent
RECIPES = {
    "A as published": HERE / "recipes/seed-a-published.toml",
    "B as published": HERE / "recipes/seed-b-published.toml",
    "ours, DenseNet121": HERE.parent / "examples/seed-densenet121.toml",
    "ours, InceptionResnetV1": HERE.parent / "examples/seed-inception-resnet-v1.toml",
}
WEIGHTS = {
    "densenet121": "weights-init/densenet121_slidl.safetensors",
    "inception_resnet_v1": "weights-init/inception_resnet_v1_vggface2.safetensors",
}
AS_USED = Preprocessing(
    crop=CropSpec(method="whole", size=512),
    input=InputSpec(mean=(0.5 / 255,) * 3, std=(1 / 255,) * 3),
)
Planned = tuple[Recipe, RunFolder]
#: Whether a face is fake, and whether it is called so: TN, FP, FN, TP.
CELLS = ((False, False), (False, True), (True, False), (True, True))
METRICS = ("accuracy", "precision", "recall", "f1")


@dataclass(frozen=True)
class Answers:
    """Answers of one recipe's runs under one condition: fake bool [N], score [N], run [N]."""

    name: str
    condition: str
    fake: np.ndarray
    score: np.ndarray
    groups: np.ndarray
    run: np.ndarray


def main() -> None:
    """Train the requested runs and print the tables of all trained runs."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--prepared", type=Path, default=Path("data/slice/prepared"))
    parser.add_argument("--output", type=Path, default=Path("runs/seeds"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--only", nargs="+", choices=list(RECIPES), default=list(RECIPES))
    parser.add_argument("--table", action="store_true", help="train nothing, show what is there")
    asked = parser.parse_args()
    every: list[Answers] = []
    curves = []
    for name in asked.only:
        wanted = [planned(name, seed, asked.prepared, asked.output) for seed in asked.seeds]
        runs = [one for one in wanted if is_finished(one) or not asked.table]
        if not runs:
            continue
        for one in runs:
            finish(one)
        curves.append((name, runs))
        if name == "B as published":
            own = runs[0][0].network.preprocessing
            every += [
                by_torch(name, runs, asked.prepared, own, condition)
                for condition in runs[0][0].export.conditions
            ]
            every.append(by_torch("B as used", runs, asked.prepared, AS_USED, "clean"))
        else:
            every += answers(name, runs)
    print(quality_table(every))
    print(jumps_table(curves))


def planned(name: str, seed: int, prepared: Path, output: Path) -> Planned:
    """Return the recipe of one run, and its folder."""
    network = read_recipe(RECIPES[name], (f"data.prepared={prepared}",)).network.name
    overrides = (
        f"seed={seed}",
        f"data.prepared={prepared}",
        f"network.starting_weights={WEIGHTS[network]}",
        "device.threads=1",
    )
    recipe = read_recipe(RECIPES[name], overrides)
    recipe = epochs_to_steps(recipe, read_prepared(prepared).counts()["train"])
    return recipe, RunFolder(output / f"{RECIPES[name].stem}-{seed}")


def is_finished(run: Planned) -> bool:
    """Return whether a run has finished its schedule."""
    recipe, folder = run
    if (folder.path / "bundle").exists():
        return True
    return any(line["step"] == recipe.schedule.steps for line in folder.read_log())


def finish(run: Planned) -> None:
    """Train or resume one run, and export its bundle where possible.

    Seed B's input has so little contrast that torch and ONNX disagree by more than is allowed: its
    networks cannot be exported, and are scored by torch.
    """
    recipe, folder = run
    if is_finished(run):
        return
    tell = partial(print, f"{folder.path.name}:", file=sys.stderr)
    try:
        train(recipe, folder.path, progress=tell)
    except ExportError as error:
        tell(str(error))


def answers(name: str, runs: list[Planned]) -> Iterator[Answers]:
    """Yield the runs' answers on test, one for each condition."""
    tables = [
        predictions.judged_faces(predictions.read_table(run.path / "predictions-test.parquet"))
        for _, run in runs
    ]
    for condition in dict.fromkeys(tables[0].conditions.tolist()):
        degraded = [table.where(table.conditions == condition) for table in tables]
        yield pooled(name, condition, degraded, [scores(name, faces) for faces in degraded])


def scores(name: str, faces: Faces) -> np.ndarray:
    """Return the score that is compared with one half: published recipes are not calibrated."""
    return faces.probabilities if name.startswith("ours") else 1 / (1 + np.exp(-faces.logits))


def pooled(name: str, condition: str, faces: list[Faces], score: list[np.ndarray]) -> Answers:
    """Return the answers of several runs as one table; the same face is one group in all."""
    return Answers(
        name,
        condition,
        np.concatenate([one.fake for one in faces]),
        np.concatenate(score),
        np.concatenate([one.groups for one in faces]),
        np.repeat(np.arange(len(faces)), [len(one) for one in faces]),
    )


def by_torch(
    name: str, runs: list[Planned], prepared: Path, fed: Preprocessing, condition: str
) -> Answers:
    """Return the answers of networks without a bundle, on whole test pictures."""
    import torch

    rows = read_prepared(prepared).take("test", purpose="final-report")
    found = []
    for recipe, run in runs:
        network = load_saved_network(recipe, run)
        with torch.inference_mode():
            found.append(np.array([logit(network, row, prepared, fed, condition) for row in rows]))
    return Answers(
        name,
        condition,
        np.tile([row.is_fake for row in rows], len(runs)),
        1 / (1 + np.exp(-np.concatenate(found))),
        np.tile([row.group for row in rows], len(runs)),
        np.repeat(np.arange(len(runs)), len(rows)),
    )


def logit(network: Network, row: Row, prepared: Path, fed: Preprocessing, condition: str) -> float:
    """Return the logit of one whole picture under a condition."""
    import torch

    pixels = decode((prepared / row.path).read_bytes(), name=row.path).pixels
    degraded = DEGRADATIONS[condition](pixels, np.random.default_rng(0))
    return float(network(torch.from_numpy(prepare(degraded, None, fed))[None]))


def quality_table(every: list[Answers]) -> str:
    """Return the Markdown table of metrics, one line for each recipe and condition."""
    head = ["recipe", "test pictures as", *METRICS, "ROC-AUC", "over seeds", "TN FP / FN TP"]
    lines = [" | ".join(head), " | ".join("---" for _ in head)]
    for one in every:
        cells = [one.name, one.condition]
        cells += [
            format_value(value(one, name), interval(one, name)) for name in (*METRICS, "roc_auc")
        ]
        cells += [spread(one), matrix(one)]
        lines.append(" | ".join(cells))
    return "\n".join(f"| {line} |" for line in lines) + "\n"


def value(one: Answers, metric: str) -> float:
    """Return a metric of all runs together; areas under curves are averaged over them."""
    return float(measured(one, metric)[0])


def interval(one: Answers, metric: str) -> tuple[float, float]:
    """Return the 95 % percentile interval over resampled groups, which all runs share."""
    drawn = [measured(one, metric, weights) for weights in resamples(one.fake, one.groups)]
    low, high = np.quantile(np.concatenate(drawn), [0.025, 0.975])
    return float(low), float(high)


def measured(one: Answers, metric: str, weights: np.ndarray | None = None) -> np.ndarray:
    """Return a metric under each row of ``weights`` [B, N], float64 [B]; of one row without."""
    if metric != "roc_auc":
        return formula(metric, one.fake, one.score, weights)
    return np.asarray(np.mean([by_run(one, run, weights) for run in np.unique(one.run)], axis=0))


def by_run(one: Answers, run: int, weights: np.ndarray | None = None) -> np.ndarray:
    """Return the area under the ROC curve of one run, float64 [B]."""
    mine = one.run == run
    part = None if weights is None else weights[:, mine]
    return formula("roc_auc", one.fake[mine], one.score[mine], part)


def formula(
    metric: str, fake: np.ndarray, score: np.ndarray, weights: np.ndarray | None
) -> np.ndarray:
    """Return a metric of the evaluation's table, float64 [B]."""
    return np.asarray(METRIC_TABLE[metric].formula(count_scores(fake, score, weights), HALF))


def spread(one: Answers) -> str:
    """Return the lowest and highest ROC-AUC of the runs."""
    each = [float(by_run(one, run)[0]) for run in np.unique(one.run)]
    return f"{min(each):.3f} to {max(each):.3f}"


def format_value(value: float, bounds: tuple[float, float]) -> str:
    """Return a value with its interval.

    >>> format_value(0.5, (0.4, 0.6))
    '0.500 (0.400 to 0.600)'
    """
    return f"{value:.3f} ({bounds[0]:.3f} to {bounds[1]:.3f})"


def matrix(one: Answers) -> str:
    """Return the confusion matrix of all runs together: true and false reals and fakes."""
    called = one.score >= 0.5
    counts = [(one.fake == is_fake) & (called == is_called) for is_fake, is_called in CELLS]
    tn, fp, fn, tp = (int(cell.sum()) for cell in counts)
    return f"{tn} {fp} / {fn} {tp}"


def jumps_table(curves: list[tuple[str, list[Planned]]]) -> str:
    """Return the Markdown table of validation: figures in order, largest fall and highest loss."""
    head = ["recipe", "seed", "validation accuracy, in order", "validation AUC, in order"]
    head += ["largest fall of AUC", "highest loss"]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for name, runs in curves:
        for recipe, run in runs:
            accuracy, ranked, loss = (way(run, key) for key in ("accuracy", "auc", "loss"))
            fall = max([0.0, *(before - after for before, after in pairwise(ranked))])
            shown = [" ".join(f"{value:.2f}" for value in one) for one in (accuracy, ranked)]
            cells = [name, str(recipe.seed), *shown, f"{fall:.2f}", f"{max(loss):.2f}"]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def way(run: RunFolder, what: str) -> list[float]:
    """Return a figure of every validation, in order; a repeated step counts once."""
    key = f"validation_{what}"
    return list({one["step"]: one[key] for one in run.read_log() if key in one}.values())


if __name__ == "__main__":
    main()
