"""`exclude`: the rows and the recipe of a training that never sees a generator or a source.

A row of the left-out generator is removed from train, validation and calibration, whatever its
source and however its generator is spelled. So are fakes made of rows that are removed, and rows
that share a person, video, original or file with a row of the test.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import polars as pl

from faceproof.data.generators import canonical_name
from faceproof.data.manifest import LABELS, SPLITS, Manifest
from faceproof.data.splitting.protocols import portable_name
from faceproof.detector.bundle import Bundle
from faceproof.detector.detector import detectors, locate
from faceproof.errors import TrainingError, UsageError
from faceproof.networks.weights import bundle_and_member
from faceproof.records import Record
from faceproof.tables import choose
from faceproof.training.forging.pool import generator_of
from faceproof.training.forging.table import FORGERIES
from faceproof.training.origins import read_origin
from faceproof.training.recipe import Recipe

#: The splits that decide weights, checkpoint, calibration and thresholds.
SEEN_SPLITS = tuple(name for name in SPLITS if name != "test")

#: The generator of fakes whose layout names none.
UNKNOWN = "unknown"

#: The generators of made fakes, and how one names the groups of several people.
_MADE = frozenset(map(generator_of, FORGERIES))
_JOINT = " + "


class LeftOut(Record):
    """What is left out: a generator in all sources, or a source with its real faces and fakes."""

    kind: Literal["generator", "source"]
    name: str

    @property
    def folder(self) -> str:
        """The name of its run folder.

        >>> LeftOut(kind="generator", name="stylegan2").folder
        'generator-stylegan2'
        """
        return f"{self.kind}-{portable_name(self.name)}"

    @property
    def words(self) -> str:
        """It in words: ``generator stylegan2``."""
        return f"{self.kind} {self.name}"


class RowCounts(Record):
    """Numbers of real faces and fakes."""

    real: int = 0
    fake: int = 0


class Removed(Record):
    """Rows of train, validation and calibration that a training without something does not read.

    ``left_out`` are rows of it, ``made_of_it`` fakes made of its real faces, and ``shared`` other
    rows with a person, video, original or file of the test.
    """

    left_out: int
    made_of_it: int
    shared: int


@dataclass(frozen=True)
class Exclusion:
    """The data of one training: what it sees, and in the split test what it is tested on."""

    left_out: LeftOut
    manifest: Manifest
    removed: Removed

    @property
    def rows(self) -> dict[str, RowCounts]:
        """The numbers of rows in each split."""
        found = {
            (split, label): count
            for split, label, count in self.manifest.table.group_by("split", "label")
            .len()
            .iter_rows()
        }
        return {
            split: RowCounts(**{label: found.get((split, label), 0) for label in LABELS})
            for split in SPLITS
        }


def choose_left_out(
    manifest: Manifest, generators: Iterable[str], sources: Iterable[str]
) -> tuple[LeftOut, ...]:
    """Return what to leave out; without any name, every generator of training with test fakes.

    Raises:
        UnknownChoiceError: the manifest has no such generator or source.
        UsageError: a named one has no row in test, or nothing is left to leave out.
    """
    names, places = tuple(generators), tuple(sources)
    held = {kind: _splits_of(manifest, kind) for kind in ("generator", "source")}
    if not names and not places:
        names = tuple(
            name
            for name, splits in held["generator"].items()
            if name != UNKNOWN and _is_in_training_and_test(splits)
        )
        if not names:
            raise UsageError(
                "no generator has fakes both in test and in the other splits: nothing to leave out"
            )
    wanted = [
        *(LeftOut(kind="generator", name=canonical_name(name)) for name in names),
        *(LeftOut(kind="source", name=name) for name in places),
    ]
    for one in wanted:
        if "test" not in choose(held[one.kind], one.name, what=one.kind):
            raise UsageError(
                f"the {one.words} has no row in the split test: there is nothing to test on"
            )
    return tuple(dict.fromkeys(wanted))


def _splits_of(manifest: Manifest, kind: str) -> dict[str, set[str]]:
    """Return the splits in which each generator or source has rows; made fakes do not count."""
    found: dict[str, set[str]] = {}
    for name, split in manifest.table.select(kind, "split").unique().iter_rows():
        own = canonical_name(name) if kind == "generator" else name
        if own != "none" and own not in _MADE:
            found.setdefault(own, set()).add(split)
    return dict(sorted(found.items()))


def _is_in_training_and_test(splits: set[str]) -> bool:
    return "test" in splits and not splits.isdisjoint(SEEN_SPLITS)


def exclude(manifest: Manifest, left_out: LeftOut) -> Exclusion:
    """Return the rows of a training without ``left_out``, and those of its test.

    The test has the test rows of ``left_out``. A class that those lack comes from the other test
    rows, made fakes excepted: the fakes of a generator are tested against all real faces of test.
    """
    table = manifest.table
    table = table.with_columns(_is_left_out(table, left_out).alias("_out"))
    test, made = pl.col("split") == "test", pl.col("generator").is_in(list(_MADE))
    own = table.filter(pl.col("_out") & test)
    missing = [label for label in LABELS if label not in own["label"].unique()]
    beside = table.filter(~pl.col("_out") & test & ~made & pl.col("label").is_in(missing))
    tested, seen = pl.concat([own, beside]), table.filter(pl.col("split").is_in(SEEN_SPLITS))
    kept = seen.filter(~pl.col("_out"))
    made_of_it = _is_made_of(kept, table.filter("_out"))
    shared = ~made_of_it & _shares_original(kept, tested)
    whole = pl.concat([kept.filter(~made_of_it & ~shared), tested]).drop("_out")
    removed = Removed(
        left_out=seen.height - kept.height,
        made_of_it=int(made_of_it.sum()),
        shared=int(shared.sum()),
    )
    return Exclusion(left_out, manifest.with_table(whole), removed)


def _is_left_out(table: pl.DataFrame, left_out: LeftOut) -> pl.Series:
    """Return which rows are of the left-out generator, in any spelling, or source: bool [N]."""
    values = table[left_out.kind]
    if left_out.kind == "source":
        return values == left_out.name
    spellings = [name for name in values.unique() if canonical_name(name) == left_out.name]
    return values.is_in(spellings)


def _is_made_of(rows: pl.DataFrame, out: pl.DataFrame) -> pl.Series:
    """Return which rows are fakes made of real faces in ``out``: bool [N]."""
    reals = out.filter(pl.col("label") == "real")
    paths, people = set(reals["path"]), _people(reals["group"])
    origins = rows["origin"] if "origin" in rows.columns else rows["path"]
    found = [
        generator in _MADE and (origin in paths or not people.isdisjoint(_parts(group)))
        for generator, origin, group in zip(rows["generator"], origins, rows["group"], strict=True)
    ]
    return pl.Series("made", found, dtype=pl.Boolean)


def _shares_original(rows: pl.DataFrame, tested: pl.DataFrame) -> pl.Series:
    """Return which rows share a group, also one of several, or a file with the test: bool [N]."""
    people = _people(tested["group"])
    found = pl.Series(
        [not people.isdisjoint(_parts(group)) for group in rows["group"]], dtype=pl.Boolean
    )
    for column in ("sha256", "origin_sha256"):
        if column in rows.columns:
            files = [value for value in tested[column].unique() if value]
            found = found | rows[column].is_in(files)
    return found


def _people(groups: pl.Series) -> set[str]:
    return {part for group in groups.unique() for part in _parts(group)}


def _parts(group: str) -> tuple[str, ...]:
    """Return a group and, of a fake made of several people, the group of each."""
    return (group, *group.split(_JOINT)) if _JOINT in group else (group,)


def adapt_recipe(recipe: Recipe, whole: Manifest, exclusion: Exclusion) -> Recipe:
    """Return the recipe of a training on fewer rows, that keeps its checkpoints.

    A source without a training picture loses its share, and one without both classes its own
    widths, which would give away the class. The detector is named after what it lacks, and
    replaces no other.
    """
    before, after = (_training_classes(one) for one in (whole, exclusion.manifest))
    gone = before.keys() - after.keys()
    halved = {name for name in before if before[name] != after.get(name, set())}
    left_out, export = exclusion.left_out, recipe.export
    command = export.command.replace("faceproof train", "faceproof train leave-one-out", 1)
    changes: dict[str, object] = {
        "data": recipe.data.model_copy(update={"shares": _without(recipe.data.shares, gone)}),
        "stages": tuple(
            stage
            if stage.shares is None
            else stage.model_copy(update={"shares": _without(stage.shares, gone)})
            for stage in recipe.stages
        ),
        "schedule": recipe.schedule.model_copy(update={"snapshots": True}),
        "export": export.model_copy(
            update={
                "name": _detector_name(export.name, left_out),
                "command": f"{command} --{left_out.kind} {shlex.quote(left_out.name)}",
                "notes": (
                    f"Trained without the {left_out.words}, to measure what it costs: not for use.",
                    *export.notes,
                ),
                "replaces": None,
            }
        ),
    }
    if recipe.resolution is not None:
        own_width = _without(recipe.resolution.own_width, halved)
        changes["resolution"] = recipe.resolution.model_copy(update={"own_width": own_width})
    return recipe.model_copy(update=changes)


def _training_classes(manifest: Manifest) -> dict[str, set[str]]:
    """Return the classes that each source has in train."""
    found: dict[str, set[str]] = {}
    rows = manifest.table.filter(pl.col("split") == "train").select("source", "label").unique()
    for source, label in rows.iter_rows():
        found.setdefault(source, set()).add(label)
    return found


def _without(values: Mapping[str, float], names: Iterable[str]) -> dict[str, float]:
    return {name: value for name, value in values.items() if name not in set(names)}


def _detector_name(name: str, left_out: LeftOut) -> str:
    """Return the name of the detector, at most 64 characters."""
    return f"{name[:30]}-without-{portable_name(left_out.name)}"[:64].rstrip(".-")


def refuse_known_start(recipe: Recipe, left_out: Iterable[LeftOut]) -> None:
    """Refuse to start from, or to learn from, a detector that may have seen what is left out.

    Raises:
        TrainingError: naming the key of the recipe.
    """
    for key, source in (
        ("network.starting_weights", recipe.network.starting_weights),
        *(("network.averaged_with", other) for other in recipe.network.averaged_with),
        ("distil.teacher", recipe.distil.teacher),
    ):
        if source is None:
            continue
        for reason in _reasons_against(source, left_out):
            raise TrainingError(
                f"{key} = {source!r} {reason}, so nothing is left out: start from weights that "
                "were not trained on fakes, such as those of timm's hub "
                "(--set network.starting_weights=densenet121.tv_in1k), and learn from no detector"
            )


def _reasons_against(source: str, left_out: Iterable[LeftOut]) -> Iterator[str]:
    """Yield why weights may have seen what is left out."""
    known = locate(source) if source in detectors() else None
    if known is None and (found := bundle_and_member(source)):
        known = found[0]
    if known is None:
        if (kind := read_origin(source).kind) in ("detector", "training run"):
            yield f"is a checkpoint ({kind}) that may have seen any generator and source"
        return
    seen = {canonical_name(name) for name in Bundle.read(known).spec.generators_seen}
    for one in left_out:
        if one.kind == "source":
            yield f"is a detector, which may have seen the {one.words}"
        elif one.name in seen:
            yield f"is a detector that was trained on the {one.words}"
