"""Print the targets of the default detector, and what it reaches on its test split.

    uv run --extra train python benchmarks/default_targets.py RUN [--left-out FOLDER]

RUN is the run folder of ``faceproof train examples/default.toml``, or the output folder of
``faceproof evaluate`` on its data. Each row has the value with its 95 % interval over groups, n,
and whether the target is met. FOLDER is the output of ``faceproof train leave-one-out``: generators
that models of the same recipe, not the shipped weights, have never seen.
"""

from __future__ import annotations

import argparse
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from faceproof.detector import Bundle
from faceproof.detector.detector import locate
from faceproof.evaluation import predictions
from faceproof.evaluation.formulas import HALF, Thresholds
from faceproof.evaluation.intervals import bootstrap, rate_interval
from faceproof.evaluation.metrics import measure
from faceproof.evaluation.predictions import Faces
from faceproof.statistics import Interval

RECIPE = Path(__file__).parent.parent / "examples" / "default.toml"
SLICES_140K = ("ffhq_stylegan140k", "ffhq_stylegan140k_b")
#: Sources with real faces that are sharp: what one-class fakes are measured against.
SHARP = ("sharp_portraits", "studio_and_retouched")
MADE = "made-"
RESAVED = ("jpeg-60", "resize-0.5")


@dataclass(frozen=True)
class Line:
    """One measured target: ``limit`` is met from below or from above."""

    name: str
    value: float
    interval: Interval
    n: int
    limit: float
    at_most: bool = False

    @property
    def is_met(self) -> bool:
        """Whether the measured value reaches the target."""
        return self.value <= self.limit if self.at_most else self.value >= self.limit

    def __str__(self) -> str:
        sign = "at most" if self.at_most else "at least"
        low, high = self.interval
        met = "yes" if self.is_met else "no"
        return (
            f"| {self.name} | {self.value:.4f} [{low:.4f}, {high:.4f}] | {self.n:,} "
            f"| {sign} {self.limit:g} | {met} |"
        )


def main() -> None:
    """Print the table; exit code 0 also where targets are missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path, help="run folder, or output of faceproof evaluate")
    parser.add_argument("--detector", help="name or folder of the bundle; default: RUN/bundle")
    parser.add_argument("--left-out", type=Path, help="output of faceproof train leave-one-out")
    options = parser.parse_args()
    found = [options.folder / name for name in ("predictions-test.parquet", "predictions.parquet")]
    table = next((path for path in found if path.is_file()), None)
    if table is None:
        raise SystemExit(f"{options.folder} has no predictions table")
    spec = Bundle.read(locate(options.detector or str(options.folder / "bundle"))).spec
    point = spec.operating_point()
    at = Thresholds(point.real_below, point.fake_from)
    families = tomllib.loads(RECIPE.read_text(encoding="utf-8"))["calibration"]["families"]
    rows = predictions.labelled_rows(predictions.read_table(table))
    every = predictions.judged_faces(rows)
    sys.stdout.write(f"{spec.name} {spec.version} at {point.name}\n\n")
    sys.stdout.write("| measure | value [95 %] | n | target | met |\n|---|---|--:|---|---|\n")
    paths = np.asarray(rows.filter(_is_judged(rows))["path"].to_pylist())
    unseen = left_out_lines(options.left_out) if options.left_out else ()
    for line in (*lines(every, at, families), *flips(every, paths, at), *unseen):
        sys.stdout.write(f"{line}\n")


def lines(every: Faces, at: Thresholds, families: Mapping[str, Sequence[str]]) -> Iterator[Line]:
    """Yield the targets that one condition at a time decides."""
    clean = every.where((every.conditions == "clean") & ~_made(every))
    seeds = clean.where(np.isin(clean.sources, SLICES_140K))
    yield _metric("140k slices: accuracy at probability 0.5", seeds, "accuracy", 0.97)
    yield _metric("140k slices: ROC-AUC", seeds, "roc_auc", 0.995)
    for source, limit in (("openforensics", 0.99), ("dfdc", 0.90)):
        part = clean.where(clean.sources == source)
        yield _metric(f"{source}: ROC-AUC", part, "roc_auc", limit)
    sharp = np.isin(clean.sources, [source for name in SHARP for source in families[name]])
    for source in sorted(set(clean.sources) - set(clean.where(~clean.fake).sources)):
        part = clean.where(sharp | (clean.sources == source))
        yield _metric(f"{source} against all sharp reals: ROC-AUC", part, "roc_auc", 0.98)
    for name, sources in families.items():
        for condition, limit in (("clean", 0.01), *((one, 0.02) for one in _degraded(every))):
            here = every.where((every.conditions == condition) & ~every.fake)
            part = here.where(np.isin(here.sources, sources))
            if len(part):
                title = f"{name}, {condition}: real faces called fake"
                yield _rate(title, part, part.probabilities >= at.fake_from, limit, at_most=True)
    fakes = clean.where(clean.fake)
    caught = fakes.probabilities >= at.fake_from
    means = []
    for generator in sorted(set(fakes.generators)):
        is_one = fakes.generators == generator
        limit = 0.3 if generator == "dfdc-swap" else 0.7
        title = f"{generator}: fakes called fake"
        line = _rate(title, fakes.where(is_one), caught[is_one], limit)
        means.append(line)
        yield line
    yield _mean("mean over generators: fakes called fake", means, 0.9)
    made = every.where((every.conditions == "clean") & _made(every))
    for generator in sorted(set(made.generators)):
        part = made.where(made.generators == generator)
        title = f"{generator}: fakes called fake"
        yield _rate(title, part, part.probabilities >= at.fake_from, 0.7)
    unsure = (clean.probabilities >= at.real_below) & (clean.probabilities < at.fake_from)
    yield _rate("all faces: unsure", clean, unsure, 0.15, at_most=True)
    yield _metric("expected calibration error", clean, "ece", 0.02, at_most=True)


def flips(every: Faces, paths: npt.NDArray[np.str_], at: Thresholds) -> Iterator[Line]:
    """Yield how often a verdict changes when the picture is saved again or halved."""
    called = np.digitize(every.probabilities, [at.real_below, at.fake_from])
    places = {
        condition: {
            path: index
            for index, path in zip(
                np.flatnonzero(every.conditions == condition),
                paths[every.conditions == condition],
                strict=True,
            )
        }
        for condition in ("clean", *RESAVED)
    }
    for condition in RESAVED:
        both = sorted(places["clean"].keys() & places[condition].keys())
        if not both:
            continue
        clean = np.array([places["clean"][path] for path in both])
        other = np.array([places[condition][path] for path in both])
        part = _at(every, clean)
        differs = called[clean] != called[other]
        yield _rate(f"{condition}: verdict differs from clean", part, differs, 0.03, at_most=True)
        accused = (called[clean] == 0) & (called[other] == 2)
        yield _rate(f"{condition}: real becomes fake", part, accused, 0.001, at_most=True)


def left_out_lines(folder: Path) -> Iterator[Line]:
    """Yield what models without a generator make of its test fakes, each and on the mean."""
    runs = sorted(path.parent for path in folder.glob("generator-*/predictions-test.parquet"))
    for metric, words, limit in (
        ("roc_auc", "ROC-AUC", 0.85),
        ("tpr_at_fpr_1", "TPR at 1 % FPR", 0.25),
    ):
        each = []
        for run in runs:
            faces = predictions.judged_faces(
                predictions.read_table(run / "predictions-test.parquet")
            )
            name = run.name.removeprefix("generator-")
            clean = faces.where(faces.conditions == "clean")
            each.append(_metric(f"{name} left out: {words}", clean, metric, limit))
        yield from (
            *each,
            _mean(f"mean over left-out generators: {words}", each, limit, share_faces=True),
        )


def _mean(name: str, lines: Sequence[Line], limit: float, *, share_faces: bool = False) -> Line:
    """Return the mean of lines and its interval, the widest possible if they share faces."""
    value = float(np.mean([line.value for line in lines]))
    halves = [(line.interval.high - line.interval.low) / 2 for line in lines]
    error = float(np.mean(halves) if share_faces else np.linalg.norm(halves) / len(lines))
    interval = Interval(max(0.0, value - error), min(1.0, value + error))
    return Line(name, value, interval, sum(line.n for line in lines), limit)


def _metric(
    name: str,
    part: Faces,
    metric: str,
    limit: float,
    *,
    at: Thresholds = HALF,
    at_most: bool = False,
) -> Line:
    value = measure(part.fake, part.probabilities, at, names=[metric])[metric]
    interval = bootstrap(part.fake, part.probabilities, part.groups, at, names=[metric])[metric]
    return Line(name, value, interval, len(part), limit, at_most)


def _rate(
    name: str, part: Faces, hits: npt.NDArray[np.bool_], limit: float, *, at_most: bool = False
) -> Line:
    interval = rate_interval(hits, part.groups)
    return Line(name, float(np.mean(hits)), interval, len(part), limit, at_most)


def _made(faces: Faces) -> npt.NDArray[np.bool_]:
    return np.char.startswith(faces.generators.astype(np.str_), MADE)


def _degraded(faces: Faces) -> list[str]:
    return [name for name in dict.fromkeys(faces.conditions.tolist()) if name != "clean"]


def _at(faces: Faces, index: npt.NDArray[np.int64]) -> Faces:
    mask = np.zeros(len(faces), np.bool_)
    mask[index] = True
    order = np.argsort(np.argsort(index))
    part = faces.where(mask)
    return Faces(**{name: getattr(part, name)[order] for name in part.__dataclass_fields__})


def _is_judged(rows: object) -> object:
    import pyarrow.compute as pc

    return pc.equal(rows["status"], "ok")  # type: ignore[index]


if __name__ == "__main__":
    main()
