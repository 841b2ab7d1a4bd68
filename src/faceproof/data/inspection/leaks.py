"""Overlap of a data set with other manifests: files, near-duplicates, groups, FFHQ numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from faceproof.data.duplicates import near_pairs_between
from faceproof.data.generators import GENERATORS
from faceproof.data.inspection.record import (
    MOST_EXAMPLES,
    DataFault,
    Example,
    Ffhq,
    Leak,
    make_fault,
)
from faceproof.data.inspection.repeats import (
    IS_PHASH,
    IS_SHA256,
    HashedRows,
    differing_bits,
    select_hashed,
)
from faceproof.data.inspection.rows import IS_FAKE, row_examples, row_refs
from faceproof.messages import count_noun

#: FFHQ's photographs are 00000 to 69999; the first 60,000 are its official training part.
_PHOTOGRAPHS, _TRAINING_PART = 70_000, 60_000
#: Two rows of one number are the same photograph if at most this many of 256 bits differ: other
#: crops and colours of one portrait are below, portraits of other people above.
_LOOSELY_NEAR = 90
# A number shared by many reals is that of a frame, not of a photograph.
_MOST_ALIKE = 8


def _ffhq_rows(table: pl.DataFrame) -> pl.DataFrame:
    """Return ``at`` (place), ``number``, ``phash``, ``sha256`` and ``split`` of FFHQ's reals.

    The number is the attribute ``ffhq_id``, or the file's name if that is five digits.
    """
    stem = pl.col("path").str.extract(r"(?:^|/)(\d{5})\.[^./]+$")
    given = pl.col("ffhq_id") if "ffhq_id" in table.columns else pl.lit(None, pl.String)
    number = pl.coalesce(given.replace("", None), stem).cast(pl.Int64, strict=False)
    phash = pl.when(IS_PHASH).then(pl.col("phash"))
    rows = table.select("sha256", "split", "label", number.alias("number"), phash.alias("phash"))
    reals = rows.with_row_index("at").filter(
        (pl.col("label") == "real") & pl.col("number").is_between(0, _PHOTOGRAPHS - 1)
    )
    return reals.filter(pl.len().over("number") <= _MOST_ALIKE).drop("label")


def count_ffhq(table: pl.DataFrame) -> Ffhq:
    """Return how many real rows have FFHQ numbers."""
    numbers = _ffhq_rows(table)["number"]
    training = int((numbers < _TRAINING_PART).sum())
    return Ffhq(
        numbered=len(numbers), training_part=training, validation_part=len(numbers) - training
    )


def _split_meetings(one: pl.DataFrame, other: pl.DataFrame) -> pl.DataFrame:
    """Return pairs of rows of one number in two splits: ``at``, ``at_2``, ``bits``, both splits.

    Both are results of `_ffhq_rows`; equal files are excluded, ``bits`` is null without a hash.
    """
    met = one.join(other, on="number", suffix="_2")
    split, split_2 = pl.col("split"), pl.col("split_2")
    apart = met.filter(
        (pl.col("sha256") != pl.col("sha256_2")) & ((split != split_2) | (split == ""))
    )
    bits = [
        differing_bits(a, b) if a and b else None
        for a, b in apart.select("phash", "phash_2").iter_rows()
    ]
    return apart.with_columns(pl.Series("bits", bits, pl.Int64)).sort("at", "at_2")


def ffhq_faults(table: pl.DataFrame) -> Iterator[DataFault]:
    """Yield the faults in the splits of one set from FFHQ numbers."""
    rows = _ffhq_rows(table)
    with_split = rows.filter(pl.col("split") != "")
    met = _split_meetings(with_split, with_split).filter(pl.col("at") < pl.col("at_2"))
    yield from _meeting_faults(table, table, met)
    yield from _training_set_faults(table, rows)


def _meeting_faults(
    table: pl.DataFrame, other: pl.DataFrame, met: pl.DataFrame
) -> Iterator[DataFault]:
    """Yield faults for pairs of `_split_meetings`: near-duplicates, and the others."""
    alike = (pl.col("bits") <= _LOOSELY_NEAR).fill_null(value=False)
    kinds = {
        "ffhq": (met.filter(alike), "the same photograph by their looks, too"),
        "ffhq-unconfirmed": (met.filter(~alike), "unlike in looks or without a hash"),
    }
    for kind, (pairs, words) in kinds.items():
        if pairs.height:
            message = (
                f"{count_noun(pairs.height, 'pair')} of rows on two sides of a split with one FFHQ "
                f"number, {words}."
            )
            yield make_fault(kind, message, _pair_examples(table, other, pairs), count=pairs.height)


def _pair_examples(
    table: pl.DataFrame, other: pl.DataFrame, pairs: pl.DataFrame
) -> Sequence[Example]:
    """Return examples of pairs."""
    shown = pairs.head(MOST_EXAMPLES)
    first, second = row_refs(table, shown["at"].to_list()), row_refs(other, shown["at_2"].to_list())
    details = [
        f"FFHQ {number:05d}" + ("" if bits is None else f", {bits} of 256 bits differ")
        for number, bits in shown.select("number", "bits").iter_rows()
    ]
    return [
        Example(rows=(a, b), detail=detail)
        for a, b, detail in zip(first, second, details, strict=True)
    ]


def _training_set_faults(table: pl.DataFrame, rows: pl.DataFrame) -> Iterator[DataFault]:
    """Yield a note if the set has both reals of FFHQ and fakes of generators trained on it."""
    learned = [name for name, one in GENERATORS.items() if "ffhq" in _training_set_of(one)]
    fakes = table.with_row_index("#at").filter(IS_FAKE & pl.col("generator").is_in(learned))
    named = (pl.col("label") == "real") & pl.col("source").str.to_lowercase().str.contains("ffhq")
    reals = max(rows.height, int(table.select(named.sum()).item()))
    if fakes.height and reals:
        names = ", ".join(fakes["generator"].unique().sort())
        beside = f"next to {count_noun(reals, 'photograph')} of FFHQ"
        message = f"{count_noun(fakes.height, 'fake')} of {names} {beside}."
        places = fakes["#at"].head(2).to_list()
        yield make_fault("ffhq-trained", message, row_examples(table, places), count=fakes.height)


def _training_set_of(generator: object) -> str:
    """Return the known training set of a generator, in lower case."""
    return str(getattr(generator, "trained_on", None) or "").lower()


_KEYS = ("split", "split_2")
_COUNTED = ("same", "near", "groups", "ffhq")


@dataclass(frozen=True, eq=False)
class _Overlap:
    """The overlap of this set with one other.

    Each table holds ``at`` (place here), ``at_2`` (place there), ``split`` and ``split_2``.
    """

    table: pl.DataFrame
    other: pl.DataFrame
    same: pl.DataFrame
    near: pl.DataFrame
    groups: pl.DataFrame
    numbers: pl.DataFrame


def compare_sets(
    table: pl.DataFrame, own: HashedRows, other: pl.DataFrame, *, distance: int
) -> _Overlap:
    """Return the overlap of two sets."""
    return _Overlap(
        table=table,
        other=other,
        same=_same_files(table, other),
        near=_near_duplicates(table, own, other, distance),
        groups=_shared_groups(table, other),
        numbers=_split_meetings(_ffhq_rows(table), _ffhq_rows(other)),
    )


def count_leaks(found: _Overlap, place: int) -> tuple[Leak, ...]:
    """Return the overlap of every two splits; ``place`` is that of the other manifest."""
    alike = found.numbers.filter((pl.col("bits") <= _LOOSELY_NEAR).fill_null(value=False))
    tables = (found.same, found.near, found.groups, alike)
    counted = [
        shared.group_by(_KEYS).agg(pl.len().cast(pl.Int64).alias(name))
        for name, shared in zip(_COUNTED, tables, strict=True)
    ]
    whole = pl.concat(counted, how="diagonal").group_by(_KEYS).agg(pl.col(_COUNTED).sum())
    return tuple(
        Leak(manifest=place, split=split, other_split=other, **counts)
        for split, other, counts in _iterate_rows(whole.sort(_KEYS))
    )


def leak_faults(found: _Overlap, name: str) -> Iterator[DataFault]:
    """Yield the leaks between two sets; pictures in the same split of both are not leaks."""
    same, near, groups = (_split_mismatches(one) for one in (found.same, found.near, found.groups))
    if same.height or near.height:
        message = (
            f"Shared with {name}: {count_noun(same.height, 'picture')} and "
            f"{count_noun(near.height, 'pair')} of near-duplicates."
        )
        shown = [*_make_examples(found, same, "the same file"), *_make_examples(found, near, "")]
        yield make_fault("leak", message, _spread(shown), count=same.height + near.height)
    if groups.height:
        message = f"Shared with {name}: {count_noun(groups.height, 'group')}."
        shown = _make_examples(found, groups, "the same group")
        yield make_fault("group", message, shown, count=groups.height)
    yield from _meeting_faults(found.table, found.other, found.numbers)


def _same_files(table: pl.DataFrame, other: pl.DataFrame) -> pl.DataFrame:
    """Return rows of the same file: each row here with the first there, for each split."""
    mine = _keyed_rows(table, IS_SHA256, "sha256")
    theirs = _keyed_rows(other, IS_SHA256, "sha256").unique(["sha256", "split"], keep="first")
    return mine.join(theirs, on="sha256", suffix="_2").sort("at", "at_2")


def _shared_groups(table: pl.DataFrame, other: pl.DataFrame) -> pl.DataFrame:
    """Return groups of one source that occur in both sets, by their first rows in each split."""
    keys = ["source", "group"]
    mine, theirs = (
        _keyed_rows(one, pl.col("group") != "", *keys).unique(
            [*keys, "split"], keep="first", maintain_order=True
        )
        for one in (table, other)
    )
    return mine.join(theirs, on=keys, suffix="_2").sort("at", "at_2")


def _near_duplicates(
    table: pl.DataFrame, own: HashedRows, other: pl.DataFrame, distance: int
) -> pl.DataFrame:
    """Return near-duplicate rows that are not the same file."""
    theirs = select_hashed(other)
    pairs = near_pairs_between(own.hashes, theirs.hashes, distance=distance)
    at, at_2 = own.places[pairs[:, 0]], theirs.places[pairs[:, 1]]
    found = pl.DataFrame(
        {
            "at": at,
            "at_2": at_2,
            "split": table["split"][at],
            "split_2": other["split"][at_2],
            "bits": np.bitwise_count(own.hashes[pairs[:, 0]] ^ theirs.hashes[pairs[:, 1]]).sum(
                1, dtype=np.int64
            ),
            "different": table["sha256"][at] != other["sha256"][at_2],
        }
    )
    return found.filter("different").sort("bits", "at")


def _keyed_rows(table: pl.DataFrame, keep: pl.Expr, *keys: str) -> pl.DataFrame:
    """Return places, keys and splits of the rows to keep."""
    placed = table.select(*keys, "split").with_row_index("at")
    return placed.filter(keep).with_columns(pl.col("at").cast(pl.Int64))


def _split_mismatches(shared: pl.DataFrame) -> pl.DataFrame:
    """Return the rows that are not in the same, known split of both sets."""
    return shared.filter((pl.col("split") != pl.col("split_2")) | (pl.col("split") == ""))


def _make_examples(found: _Overlap, shared: pl.DataFrame, detail: str) -> list[Example]:
    """Return examples; without a given detail, it is the number of differing bits."""
    shown = shared.head(MOST_EXAMPLES)
    mine, theirs = shown["at"].to_list(), shown["at_2"].to_list()
    details = [
        detail
        or f"{differing_bits(found.table['phash'][a], found.other['phash'][b])} of 256 bits differ"
        for a, b in zip(mine, theirs, strict=True)
    ]
    both = zip(row_refs(found.table, mine), row_refs(found.other, theirs), details, strict=True)
    return [Example(rows=(a, b), detail=text) for a, b, text in both]


def _spread(shown: Sequence[Example]) -> list[Example]:
    """Return the examples, beginning with one of the same file and one of near-duplicates."""
    same = [one for one in shown if one.detail == "the same file"]
    near = [one for one in shown if one.detail != "the same file"]
    return [*same[:1], *near[:1], *same[1:], *near[1:]]


def _iterate_rows(whole: pl.DataFrame) -> Iterator[tuple[str, str, dict[str, int]]]:
    """Yield both splits and the counts of each row."""
    for row in whole.iter_rows(named=True):
        yield row["split"], row["split_2"], {name: row[name] or 0 for name in _COUNTED}
