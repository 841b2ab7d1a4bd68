"""What the pass over pictures tells of a data set: what is wrong with files, and shortcuts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from faceproof.data.inspection.faults import MOST_EXAMPLES, counted, fault
from faceproof.data.inspection.pictures import DARKEST_LUMA, Look, Wanted, look_at_all
from faceproof.data.inspection.presence import presence
from faceproof.data.inspection.record import Fault, Sample
from faceproof.data.inspection.rows import MANIFEST, Given, examples
from faceproof.data.inspection.sampling import sample
from faceproof.data.manifest import LABELS
from faceproof.data.shortcuts.features import FEATURES
from faceproof.data.shortcuts.folds import sample as drawn
from faceproof.data.shortcuts.probe import MOST, probe
from faceproof.data.shortcuts.result import ProbeResult
from faceproof.errors import DataError

_TROUBLES = {
    "missing": "{count} not there.",
    "unreadable": "{count} not readable.",
    "changed": "{count} with other bytes than the manifest was made of.",
}
_MEASURED = ("phash", "width", "height", "bytes", "format")


@dataclass(frozen=True)
class Opened:
    """The pictures that were opened, and those of all that are not there (place -> reason)."""

    sample: Sample | None = None
    looks: tuple[Look, ...] = ()
    troubles: tuple[tuple[str, int, str], ...] = ()
    """Kind of fault, place in the table, reason."""
    shortcut: ProbeResult | None = None
    shortcut_note: str = "no picture was opened"

    def filled(self, table: pl.DataFrame) -> pl.DataFrame:
        """Return the table with facts that it lacked and that were measured now."""
        read = [look for look in self.looks if look.is_read]
        if not read:
            return table
        measured = pl.DataFrame(
            {
                "#at": [look.place for look in read],
                "phash": [look.phash for look in read],
                "width": [look.shape[0] for look in read],
                "height": [look.shape[1] for look in read],
                "bytes": [look.bytes for look in read],
                "format": [look.format for look in read],
            },
            schema={"#at": pl.UInt32, **{name: table.schema[name] for name in _MEASURED}},
        )
        joined = table.with_row_index("#at").join(
            measured, on="#at", how="left", suffix="#new", maintain_order="left"
        )
        return joined.select(
            pl.coalesce(name, f"{name}#new").alias(name) if name in _MEASURED else name
            for name in table.columns
        )

    def faults(self, table: pl.DataFrame) -> Iterator[Fault]:
        """Yield what is wrong with files and pictures."""
        for kind, said in _TROUBLES.items():
            found = [(place, reason) for trouble, place, reason in self.troubles if trouble == kind]
            if found:
                places, reasons = zip(*found[:MOST_EXAMPLES], strict=True)
                where = examples(table, places, reasons)
                message = said.format(count=counted(len(found), "picture"))
                yield fault(kind, message, where, count=len(found))
        yield from self._contents(table)
        yield from self._shortcuts()

    def _contents(self, table: pl.DataFrame) -> Iterator[Fault]:
        """Yield what is wrong with what pictures show."""
        read = [look for look in self.looks if look.is_read]
        dark = [look for look in read if look.luma < DARKEST_LUMA]
        without = [look for look in read if not look.faces]
        of = f"of {counted(len(read), 'opened picture')}"
        if without:
            places = [look.place for look in without]
            message = f"{len(without):,} {of} without a face."
            where = examples(table, places[:MOST_EXAMPLES])
            yield fault("non-face", message, where, count=len(without))
        if dark:
            darkest = sorted(dark, key=lambda look: look.luma)[:MOST_EXAMPLES]
            lumas = [f"mean brightness {look.luma:.0f} of 255" for look in darkest]
            message = f"{len(dark):,} {of} darker than {DARKEST_LUMA:g} of 255 on average."
            where = examples(table, [look.place for look in darkest], lumas)
            yield fault("dark", message, where, count=len(dark))

    def _shortcuts(self) -> Iterator[Fault]:
        """Yield what the probe found, where it is grave."""
        kinds = {"severe": "shortcut", "warning": "weak-shortcut"}
        found = self.shortcut
        if found is None or found.severity not in kinds:
            return
        guilty = "; ".join(one.says for one in found.guilty[:3])
        message = (
            f"Without a look at faces, ROC-AUC {found.auc:.3f} [{found.low:.3f}, {found.high:.3f}] "
            f"(n = {found.n_real + found.n_fake:,}, as the files are)"
            f"{f': {guilty}' if guilty else ''}."
        )
        yield fault(kinds[found.severity], message, [], count=len(found.guilty))


NOT_OPENED = Opened()


def opened(
    table: pl.DataFrame, given: Sequence[Given], n: int, seed: int, done: Callable[[object], None]
) -> Opened:
    """Return what ``n`` pictures (0: all) were found to be, and which of all are not there."""
    absent = presence(table, [one.root for one in given])
    wanted = _wanted(table, given, sample(table, n=n, seed=seed).tolist(), seed)
    looks = look_at_all(wanted, done=done)
    shortcut, note = _probed(table, looks, seed)
    taken = {look.place for look in looks}
    troubles = [
        *((look.trouble, look.place, look.reason) for look in looks if look.trouble),
        *((kind, place, reason) for kind, place, reason in absent if place not in taken),
    ]
    return Opened(
        sample=Sample(
            n=len(looks),
            rows=table.height,
            seed=seed,
            unreadable=sum(not look.is_read for look in looks),
            without_face=sum(look.is_read and not look.faces for look in looks),
        ),
        looks=tuple(looks),
        troubles=tuple(sorted(troubles, key=lambda trouble: trouble[1])),
        shortcut=shortcut,
        shortcut_note=note,
    )


def _wanted(
    table: pl.DataFrame, given: Sequence[Given], places: list[int], seed: int
) -> list[Wanted]:
    """Return the pictures to open; one whose path leads elsewhere is left to the contract."""
    rows = table.select(MANIFEST, "path", "sha256", pl.col("phash").is_null())[places].rows()
    probed = _to_probe(table, places, seed)
    return [
        Wanted(
            place,
            (given[manifest].root or Path()) / path,
            sha256,
            hash_it=hash_it,
            probe_it=place in probed,
        )
        for place, (manifest, path, sha256, hash_it) in zip(places, rows, strict=True)
        if is_inside(path)
    ]


def _to_probe(table: pl.DataFrame, places: list[int], seed: int) -> set[int]:
    """Return the places that the shortcut probe looks at; others are spared the cost."""
    labels = table["label"]
    known = np.array([place for place in places if labels[place] in LABELS], np.int64)
    fake = np.array([labels[int(place)] == "fake" for place in known], np.bool_)
    return set(known[drawn(fake, most=MOST, seed=seed)].tolist())


def is_inside(path: str) -> bool:
    """Return whether a row's path stays inside of the data folder.

    >>> is_inside("a/b.jpg"), is_inside("../b.jpg"), is_inside("/b.jpg")
    (True, False, False)
    """
    return bool(path) and not Path(path).is_absolute() and ".." not in Path(path).parts


def _probed(
    table: pl.DataFrame, looks: Sequence[Look], seed: int
) -> tuple[ProbeResult | None, str]:
    """Return what the shortcut probe finds, or None and why it was not made."""
    labels = table["label"].to_list()
    read = [look for look in looks if look.features is not None and labels[look.place] in LABELS]
    places = [look.place for look in read]
    fakes = np.array([labels[place] == "fake" for place in places], np.bool_)
    if not fakes.any() or fakes.all():
        return None, "the probe needs pictures of both classes"
    groups = table["group"][places]
    measured = np.array([look.features for look in read], np.float64)
    floor = np.array([look.floor for look in read], np.float64)
    try:
        found = probe(measured, FEATURES, fakes, groups.to_numpy(), floor=floor, seed=seed)
    except DataError as error:
        return None, str(error)
    return found, ""
