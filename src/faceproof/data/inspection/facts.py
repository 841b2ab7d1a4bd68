"""Formats, sizes, qualities and attributes of the rows, by class and generator."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import polars as pl

from faceproof.data.inspection.association import association
from faceproof.data.inspection.faults import counted, fault
from faceproof.data.inspection.record import Association, Fault, Spread
from faceproof.data.inspection.rows import HAS_CLASS, attribute_columns, examples

#: From this Cramer's V on, a fact of the files or an attribute is told as a fault.
FILE_V, ATTRIBUTE_V = 0.3, 0.2
#: Fewer rows than this are no ground for saying that an attribute is unbalanced.
FEWEST = 50
MOST_VALUES = 20
_DEMOGRAPHIC = frozenset({"gender", "sex", "race", "ethnicity", "age", "skin", "fitzpatrick"})
SMALL_PX = 64

_SHORT_SIDE = pl.min_horizontal("width", "height")
_NUMBERS = {
    "shorter side, px": _SHORT_SIDE,
    "file size, bytes": pl.col("bytes"),
    "JPEG quality": pl.col("jpeg_quality"),
}


def file_associations(table: pl.DataFrame) -> tuple[Association, ...]:
    """Return how format, size, quality and length of the files go with the class."""
    size = pl.concat_str("width", "height", separator=" x ")
    found = (
        association(table, "format", pl.col("format")),
        association(table, "size", size),
        association(table, "JPEG quality", _quality(table), by_number=True),
        association(table, "file size", _bytes(table), by_number=True),
    )
    return tuple(one for one in found if one.n)


def spreads(table: pl.DataFrame) -> tuple[Spread, ...]:
    """Return quartiles of side, length and quality for each class and generator."""
    return tuple(one for name, number in _NUMBERS.items() for one in _spread(table, name, number))


def attribute_associations(table: pl.DataFrame) -> tuple[Association, ...]:
    """Return how attributes go with the class, age in bands of ten.

    Demographic ones come first, the least balanced ahead. An attribute of more than 20 values (a
    name, a number) is left out.
    """
    columns = {name: _banded(name) for name in attribute_columns(table)}
    values = table.select(value.n_unique().alias(name) for name, value in columns.items())
    few = [name for name in columns if values[name][0] <= MOST_VALUES + 1]  # one may be ""
    found = [association(table, name, columns[name], by_number=_is_age(name)) for name in few]
    known = [one for one in found if one.n]
    return tuple(
        sorted(known, key=lambda one: (not is_demographic(one.name), -(one.v or 0), one.name))
    )


def fact_faults(
    table: pl.DataFrame, files: Sequence[Association], attributes: Sequence[Association]
) -> Iterator[Fault]:
    """Yield what differs between the classes, and pictures that are too small."""
    if differing := _beyond(files, FILE_V):
        yield fault("format", _told(differing), [], count=len(differing))
    differing = _beyond(attributes, ATTRIBUTE_V)
    for kind, is_meant in (("demographic", True), ("attribute", False)):
        if meant := [one for one in differing if is_demographic(one.name) == is_meant]:
            yield fault(kind, _told(meant), [], count=len(meant))
    small = table.select((_SHORT_SIDE < SMALL_PX).arg_true().alias("at"))["at"].to_list()
    if small:
        sides = table[small[:20]].select(pl.concat_str("width", "height", separator=" x "))
        shown = [f"{size} px" for size in sides.to_series()]
        message = f"{counted(len(small), 'picture')} under {SMALL_PX} px on the shorter side."
        yield fault("small", message, examples(table, small[:20], shown), count=len(small))


def is_demographic(name: str) -> bool:
    """Return whether an attribute says what people are like.

    >>> is_demographic("perceived_gender"), is_demographic("take")
    (True, False)
    """
    return not _DEMOGRAPHIC.isdisjoint(name.lower().replace("-", "_").split("_"))


def _is_age(name: str) -> bool:
    return name.lower().split("_")[-1] == "age"


def _beyond(found: Sequence[Association], v: float) -> list[Association]:
    """Return what goes with the class at least that strongly, the strongest first."""
    strong = [one for one in found if one.v is not None and one.v >= v and one.n >= FEWEST]
    return sorted(strong, key=lambda one: -(one.v or 0))


def _told(differing: Sequence[Association]) -> str:
    """Return in words what differs, the worst with where it differs most."""
    worst = differing[0]
    real, fake = (sum(getattr(level, c) for level in worst.levels) for c in ("real", "fake"))
    level = max(worst.levels, key=lambda one: abs(one.real / real - one.fake / fake))
    rest = [f"{one.name} (V = {one.v:.2f}, n = {one.n:,})" for one in differing[1:]]
    also = f" Also: {', '.join(rest)}." if rest else ""
    return (
        f"{worst.name} differs most (Cramer's V = {worst.v:.2f}, n = {worst.n:,}): {level.value} "
        f"in {level.real / real:.0%} of real and {level.fake / fake:.0%} of fake pictures.{also}"
    )


def _quality(table: pl.DataFrame) -> pl.Expr:
    """Return JPEG qualities as text: by value where there are few, else in bands of five."""
    quality = pl.col("jpeg_quality")
    if table["jpeg_quality"].n_unique() <= MOST_VALUES:
        return quality.cast(pl.String)
    return _band(quality, 5)


def _bytes(table: pl.DataFrame) -> pl.Expr:
    """Return lengths of files in ten bands that hold as many rows each."""
    sizes = table.filter(HAS_CLASS)["bytes"].drop_nulls()
    if sizes.n_unique() <= 10:
        return pl.col("bytes").cast(pl.String)
    edges = sorted({int(sizes.quantile(tenth / 10) or 0) for tenth in range(1, 10)})
    names = ["shorter", *(f"from {low:,} bytes" for low in edges)]
    band = pl.sum_horizontal((pl.col("bytes") >= low).cast(pl.Int32) for low in edges)
    named = band.replace_strict(dict(enumerate(names)), return_dtype=pl.String)
    return pl.when(pl.col("bytes").is_not_null()).then(named)


def _banded(name: str) -> pl.Expr:
    """Return an attribute's values; ages in bands of ten years."""
    value = pl.col(name)
    if not _is_age(name):
        return value
    years = value.cast(pl.Float64, strict=False)
    older = pl.when(years >= 80).then(pl.lit("80 and older"))
    return older.otherwise(pl.when(years.is_not_null()).then(_band(years, 10)).otherwise(value))


def _band(value: pl.Expr, width: int) -> pl.Expr:
    """Return whole numbers as bands such as "70 to 79"."""
    low = (value // width * width).cast(pl.Int32)
    return pl.concat_str(low, pl.lit(" to "), low + (width - 1))


def _spread(table: pl.DataFrame, name: str, number: pl.Expr) -> Iterator[Spread]:
    """Yield the quartiles of one number for each class and generator."""
    known = table.filter(HAS_CLASS).select("label", "generator", number.alias("x")).drop_nulls()
    x = pl.col("x")
    found = known.group_by("label", "generator").agg(
        n=pl.len(),
        low=x.min().cast(pl.Float64),
        quarter=x.quantile(0.25),
        middle=x.quantile(0.5),
        three_quarters=x.quantile(0.75),
        high=x.max().cast(pl.Float64),
    )
    for one in found.sort("label", "generator", descending=[True, False]).iter_rows(named=True):
        yield Spread(name=name, **one)
