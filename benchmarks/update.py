"""Gain on a new generator from few pictures, and loss on the old ones, after an update.

A detector that never saw the fakes of one source is updated with 50, 200 and 800 of them, with and
without replay of old pictures. The new fakes come with as many real faces of one source, or half
of the available ones. Without replay these are the only training data; the old pictures are used
only for calibration, gate and test. Every row of the table is the *test* split, which decided
nothing, also of refused candidates. Changes are paired, with 95 % intervals over groups, each
detector at its own thresholds with the same promise.

    uv run --extra train python benchmarks/update.py --detector runs/base/bundle --old SOURCE ...

``--old`` names the sources that the detector was trained and calibrated on: with others its
thresholds also move for a reason other than training. A finished or interrupted run resumes.
``--table`` prints the existing results and trains nothing.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from faceproof.data.manifest import Manifest
from faceproof.data.manifest_files import read_manifest, write_manifest
from faceproof.data.splitting.stratified import unit_hash
from faceproof.detector import Bundle
from faceproof.errors import UsageError
from faceproof.evaluation.gate import Update, both_thresholds
from faceproof.evaluation.paired import Change, find_changes, pair_predictions
from faceproof.reports.update_page import format_difference, format_value
from faceproof.training.finish import load_or_predict
from faceproof.training.updating.update import RECORD, UpdateOptions, update

COUNTS = (50, 200, 800)
UNSUPPORTED = "unsupported.txt"
#: name -> the share of old fakes, and what differs from the recipe of an update.
MODES: dict[str, tuple[float, tuple[str, ...]]] = {
    "replay": (0.5, ()),
    "no replay": (0.0, ()),
    "neither replay nor teacher": (0.0, ("distil.weight=0.0",)),
}
#: Old pictures of each source and class that are used of each split.
EACH = {"train": 800, "validation": 280, "calibration": 250, "test": 300}
#: New fakes that are set aside; those of the test split stay there.
ASIDE = {"validation": 39, "calibration": 39}


@dataclass(frozen=True)
class Sets:
    """The manifests of one measurement: new pictures by count, old ones, and the test set."""

    new: dict[int, Path]
    old: Path
    test: Manifest


def main() -> None:
    """Run the requested updates, and print the table."""
    asked = arguments()
    sets = manifests(asked)
    if not asked.table:
        for count in asked.counts:
            for mode in asked.modes:
                run(asked, sets, count, mode)
    print("\n".join(table(asked, sets)))


def arguments() -> argparse.Namespace:
    """Return the command line's arguments."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--detector", required=True, help="a detector that never saw the source")
    parser.add_argument("--data", type=Path, default=Path("data/prepared"))
    parser.add_argument("--source", default="sdfd", help="whose fakes are new")
    parser.add_argument(
        "--reals", default="ffhq_stylegan140k", help="whose real faces go with them"
    )
    parser.add_argument("--old", nargs="+", help="the old sources; all others if not given")
    parser.add_argument("--counts", type=int, nargs="+", default=list(COUNTS))
    parser.add_argument("--modes", nargs="+", choices=list(MODES), default=list(MODES)[:2])
    parser.add_argument("--steps", type=int, default=None, help="those of an update if not given")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--work", type=Path, default=Path("runs/update"))
    parser.add_argument("--table", action="store_true", help="train nothing")
    return parser.parse_args()


def manifests(asked: argparse.Namespace) -> Sets:
    """Write the manifests of the measurement, over the pictures of the prepared set."""
    folder, source, counts = asked.work / "sets", asked.source, asked.counts
    folder.mkdir(parents=True, exist_ok=True)
    whole = read_manifest(asked.data / "manifest.parquet")
    fakes = divided(whole.table.filter(source=source, label="fake"))
    pool = in_order(whole.table.filter(source=asked.reals, label="real", split="train"))
    beside = pool.head(min(max(counts), pool.height // 2))
    is_old = pl.col("source").is_in(asked.old) if asked.old else pl.col("source") != source
    rest = whole.table.filter(is_old).join(beside, on="path", how="anti")
    old = whole.with_table(pl.concat(some(rest)))
    new = {count: folder / f"new-{count}.parquet" for count in counts}
    for count, path in new.items():
        train = fakes.filter(split="train").head(count)
        if train.height < count:
            sys.exit(f"{source} has {train.height} pictures to learn from: ask for fewer")
        held_out = fakes.filter(pl.col("split") != "train")
        parts = [train, beside.head(count), held_out]
        write_manifest(whole.with_table(pl.concat(parts)), path)
    write_manifest(old, folder / "old.parquet")
    tested = pl.concat([fakes.filter(split="test"), old.table.filter(split="test")])
    return Sets(new, folder / "old.parquet", whole.with_table(tested))


def divided(fakes: pl.DataFrame) -> pl.DataFrame:
    """Return the new fakes with new splits: test unchanged, some held out, the rest for training.

    The detector never saw any of them, so those of other splits may move; groups stay whole.
    """
    left = in_order(fakes.filter(pl.col("split") != "test"))
    groups = left["group"].unique(maintain_order=True).to_list()
    sizes = dict(left.group_by("group").len().iter_rows())
    places: dict[str, str] = {}
    waiting = dict(ASIDE)
    for group in groups:
        split = next((name for name, room in waiting.items() if room >= sizes[group]), "train")
        places[group] = split
        if split in waiting:
            waiting[split] -= sizes[group]
    moved = left.with_columns(split=pl.col("group").replace_strict(places))
    return pl.concat([moved, fakes.filter(split="test")])


def in_order(table: pl.DataFrame) -> pl.DataFrame:
    """Return the rows, ordered by the hashes of their groups."""
    keys = [unit_hash(group, 4) for group in table["group"]]
    return table.with_columns(pl.Series("key", keys)).sort("key", "path").drop("key")


def some(table: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Yield the used old pictures: a fixed number of each source and class of each split."""
    for split, count in EACH.items():
        for _, cell in in_order(table.filter(split=split)).group_by(
            "source", "label", maintain_order=True
        ):
            yield cell.head(count)


def run(asked: argparse.Namespace, sets: Sets, count: int, mode: str) -> None:
    """Update the detector once, unless that is done already."""
    folder = place(asked, count, mode)
    if (folder / RECORD).exists() or (folder / UNSUPPORTED).exists():
        return
    replay_share, overrides = MODES[mode]
    steps = () if asked.steps is None else (f"schedule.steps={asked.steps}",)
    wish = UpdateOptions(
        detector=asked.detector,
        data=sets.new[count],
        replay=sets.old,
        replay_share=replay_share,
        overrides=(*steps, *overrides, *asked.set),
    )
    try:
        update(wish, folder, progress=lambda line: print(f"{folder.name}: {line}", file=sys.stderr))
    except UsageError as error:
        # Too few independent faces for the promise, seen only once the candidate has answered.
        (folder / UNSUPPORTED).write_text(str(error), encoding="utf-8")


def place(asked: argparse.Namespace, count: int, mode: str) -> Path:
    """Return the run folder of one update."""
    work: Path = asked.work
    return work / f"{count}-{mode.replace(' ', '-')}"


def table(asked: argparse.Namespace, sets: Sets) -> Iterator[str]:
    """Yield the lines of the table in Markdown, of all runs that are finished."""
    head = (
        *("pictures", "with", "new: AUC", "new: recall", "worst old generator: recall"),
        *("worst real source: BPCER", "gate"),
    )
    yield f"| {' | '.join(head)} |"
    yield "|---" * len(head) + "|"
    for count in asked.counts:
        for mode in asked.modes:
            folder = place(asked, count, mode)
            if (folder / RECORD).exists():
                yield f"| {' | '.join((str(count), mode, *row(asked, sets, folder)))} |"
            elif (folder / UNSUPPORTED).exists():
                cells = ("-", "-", "-", "-", "no thresholds: the calibration faces are too few")
                yield f"| {' | '.join((str(count), mode, *cells))} |"
    yield ""
    yield f"n: {counts_of(sets.test)}; data SHA-256 {sets.test.sha256[:12]}."


def row(asked: argparse.Namespace, sets: Sets, folder: Path) -> tuple[str, ...]:
    """Return the figures of one update on the test split."""
    done = Update.read(folder / RECORD)
    made = folder / ("bundle" if done.accepted else "refused")
    old = tested(Path(asked.detector), sets, asked.work / "old.parquet")
    new = tested(made, sets, folder / "tested.parquet")
    found = find_changes(
        pair_predictions(old, new), both_thresholds(done.gate.old_point, done.gate.new_point)
    )
    (folder / "tested.json").write_text(json.dumps([one.model_dump() for one in found], indent=1))
    names = {f"generator={name}" for name in done.new_data.training_fakes}
    auc, recall = (
        next(one for one in found if one.slice in names and one.metric == metric)
        for metric in ("roc_auc", "recall")
    )
    old_ones = [
        one
        for one in found
        if one.metric == "recall" and one.slice.startswith("generator=") and one.slice not in names
    ]
    reals = [one for one in found if one.metric == "bpcer" and one.slice != "all"]
    output = "accepted" if done.accepted else "refused"
    lost = ", ".join(change.slice.partition("=")[2] for change in done.gate.with_outcome("lost"))
    return (
        moved(auc),
        moved(recall),
        worst(old_ones),
        worst(reals),
        f"{output}{f' ({lost})' if lost else ''}",
    )


def tested(detector: Path, sets: Sets, path: Path) -> Any:
    """Return a detector's answers for the test pictures, stored next to the run."""
    bundle, root = Bundle.read(detector), sets.test.picture_path("")
    tell = partial(print, file=sys.stderr)
    return load_or_predict(bundle, sets.test, "test", ("clean",), path, root=root, progress=tell)


def moved(change: Change) -> str:
    """Return a figure before and after, and the change with its interval."""
    return (
        f"{format_value(change, change.old)} to {format_value(change, change.new)} "
        f"({format_difference(change)}, "
        f"n {change.n:,})"
    )


def worst(found: Sequence[Change]) -> str:
    """Return the largest loss, and its generator or source."""
    one = max(found, key=lambda change: change.losses)
    return f"{one.slice.partition('=')[2]}: {moved(one)}"


def counts_of(manifest: Manifest) -> str:
    """Return the number of test pictures of each source and class."""
    cells = manifest.table.group_by("source", "label").len().sort("source", "label")
    return ", ".join(f"{n:,} {label} of {source}" for source, label, n in cells.iter_rows())


if __name__ == "__main__":
    main()
