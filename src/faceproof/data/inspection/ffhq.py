"""The known numbering of FFHQ: a photograph is recognised by its number, and by its looks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import polars as pl

from faceproof.data.generators import GENERATORS
from faceproof.data.inspection.faults import MOST_EXAMPLES, counted, fault
from faceproof.data.inspection.near import IS_PHASH, differing_bits
from faceproof.data.inspection.record import Example, Fault, Ffhq
from faceproof.data.inspection.rows import IS_FAKE, examples, refs

#: FFHQ's photographs are 00000 to 69999; the first 60,000 are its official training part.
PHOTOGRAPHS, TRAINING_PART = 70_000, 60_000
#: Two rows of one number are the same photograph where at most so many of 256 bits differ:
#: other crops and colours of one portrait stay below, other people's portraits above.
LOOSELY_NEAR = 90
# A number that many reals bear is a frame's, not a photograph's.
_MOST_ALIKE = 8


def numbered(table: pl.DataFrame) -> pl.DataFrame:
    """Return ``at`` (place), ``number``, ``phash``, ``sha256`` and ``split`` of FFHQ's reals.

    The number is the attribute ``ffhq_id``, or the file's name where that is five digits.
    """
    stem = pl.col("path").str.extract(r"(?:^|/)(\d{5})\.[^./]+$")
    given = pl.col("ffhq_id") if "ffhq_id" in table.columns else pl.lit(None, pl.String)
    number = pl.coalesce(given.replace("", None), stem).cast(pl.Int64, strict=False)
    phash = pl.when(IS_PHASH).then(pl.col("phash"))
    rows = table.select("sha256", "split", "label", number.alias("number"), phash.alias("phash"))
    reals = rows.with_row_index("at").filter(
        (pl.col("label") == "real") & pl.col("number").is_between(0, PHOTOGRAPHS - 1)
    )
    return reals.filter(pl.len().over("number") <= _MOST_ALIKE).drop("label")


def ffhq(table: pl.DataFrame) -> Ffhq:
    """Return how many real rows bear FFHQ's numbers."""
    numbers = numbered(table)["number"]
    training = int((numbers < TRAINING_PART).sum())
    return Ffhq(
        numbered=len(numbers), training_part=training, validation_part=len(numbers) - training
    )


def meetings(one: pl.DataFrame, other: pl.DataFrame) -> pl.DataFrame:
    """Return pairs of rows of one number in two splits: ``at``, ``at_2``, ``bits``, both splits.

    Both are results of `numbered`; the same file is left out, ``bits`` is null without a hash.
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


def ffhq_faults(table: pl.DataFrame) -> Iterator[Fault]:
    """Yield what FFHQ's numbers tell about the splits of one set."""
    rows = numbered(table)
    with_split = rows.filter(pl.col("split") != "")
    met = meetings(with_split, with_split).filter(pl.col("at") < pl.col("at_2"))
    yield from meeting_faults(table, table, met)
    yield from _trained(table, rows)


def meeting_faults(table: pl.DataFrame, other: pl.DataFrame, met: pl.DataFrame) -> Iterator[Fault]:
    """Yield faults for pairs of `meetings`: those that look alike, and the others."""
    alike = (pl.col("bits") <= LOOSELY_NEAR).fill_null(value=False)
    kinds = {
        "ffhq": (met.filter(alike), "the same photograph by their looks, too"),
        "ffhq-unconfirmed": (met.filter(~alike), "unlike in looks or without a hash"),
    }
    for kind, (pairs, words) in kinds.items():
        if pairs.height:
            message = (
                f"{counted(pairs.height, 'pair')} of rows on two sides of a split with one FFHQ "
                f"number, {words}."
            )
            yield fault(kind, message, _shown(table, other, pairs), count=pairs.height)


def _shown(table: pl.DataFrame, other: pl.DataFrame, pairs: pl.DataFrame) -> Sequence[Example]:
    """Return examples of pairs."""
    shown = pairs.head(MOST_EXAMPLES)
    first, second = refs(table, shown["at"].to_list()), refs(other, shown["at_2"].to_list())
    details = [
        f"FFHQ {number:05d}" + ("" if bits is None else f", {bits} of 256 bits differ")
        for number, bits in shown.select("number", "bits").iter_rows()
    ]
    return [
        Example(rows=(a, b), detail=detail)
        for a, b, detail in zip(first, second, details, strict=True)
    ]


def _trained(table: pl.DataFrame, rows: pl.DataFrame) -> Iterator[Fault]:
    """Yield a note where fakes of generators that learned from FFHQ stand beside its reals."""
    learned = [name for name, one in GENERATORS.items() if "ffhq" in _trained_on(one)]
    fakes = table.with_row_index("#at").filter(IS_FAKE & pl.col("generator").is_in(learned))
    named = (pl.col("label") == "real") & pl.col("source").str.to_lowercase().str.contains("ffhq")
    reals = max(rows.height, int(table.select(named.sum()).item()))
    if fakes.height and reals:
        names = ", ".join(fakes["generator"].unique().sort())
        beside = f"beside {counted(reals, 'photograph')} of FFHQ"
        message = f"{counted(fakes.height, 'fake')} of {names} {beside}."
        places = fakes["#at"].head(2).to_list()
        yield fault("ffhq-trained", message, examples(table, places), count=fakes.height)


def _trained_on(generator: object) -> str:
    """Return what a generator is known to have learned from, in small letters."""
    return str(getattr(generator, "trained_on", None) or "").lower()
