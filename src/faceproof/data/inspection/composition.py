"""Composition of a data set: classes, generators, sources, attributes, and their faults."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from faceproof.data.generators import unknown_generator_warning
from faceproof.data.inspection.record import (
    MOST_EXAMPLES,
    Association,
    BalanceCell,
    DataFault,
    Example,
    Level,
    Spread,
    make_fault,
)
from faceproof.data.inspection.repeats import IS_SHA256
from faceproof.data.inspection.rows import (
    HAS_CLASS,
    IS_FAKE,
    MISFIT,
    NO_SPLIT,
    attribute_columns,
    row_examples,
    row_refs,
)
from faceproof.data.manifest import LABELS, SPLITS, contract_rules
from faceproof.messages import count_noun


def cramers_v(counts: npt.ArrayLike) -> float | None:
    """Return Cramer's V in [0, 1] of a table of counts [rows, columns], corrected for its bias.

    None if it is undefined: fewer than two non-empty rows or columns.

    Source: Bergsma, "A bias-correction for Cramer's V and Tschuprow's T", 2013.

    >>> cramers_v([[50, 0], [0, 50]])
    1.0
    >>> cramers_v([[50, 50], [50, 50]])
    0.0
    """
    table = np.asarray(counts, np.float64)
    table = table[table.sum(1) > 0][:, table.sum(0) > 0]
    n = table.sum()
    if min(table.shape) < 2 or n < 2:
        return None
    expected = np.outer(table.sum(1), table.sum(0)) / n
    phi2 = float(((table - expected) ** 2 / expected).sum() / n)
    rows, columns = table.shape
    unbiased = max(0.0, phi2 - (rows - 1) * (columns - 1) / (n - 1))
    narrowest = min(size - (size - 1) ** 2 / (n - 1) for size in table.shape) - 1
    return min(1.0, math.sqrt(unbiased / narrowest)) if narrowest > 0 else None


def association(
    table: pl.DataFrame, name: str, value: pl.Expr, *, most: int = 20, by_number: bool = False
) -> Association:
    """Return the association of a text column with the class; null and "" are unknown.

    Values after the ``most`` frequent ones are merged. The most frequent come first or, if sorted
    ``by_number``, the smallest.
    """
    of_class = table.filter(HAS_CLASS).select(IS_FAKE.alias("fake"), value.alias("value"))
    known = of_class.filter(pl.col("value").is_not_null() & (pl.col("value") != ""))
    counted = known.group_by("value").agg(
        real=(~pl.col("fake")).sum(), fake=pl.col("fake").sum(), n=pl.len()
    )
    ranked = counted.sort("n", "value", descending=[True, False])
    levels = [Level(value=v, real=r, fake=f) for v, r, f, _ in ranked.head(most).iter_rows()]
    if by_number:
        levels.sort(key=lambda level: _leading_number(level.value))
    if ranked.height > most:
        rest = ranked.slice(most)
        levels.append(_merge_rare_levels(rest))
    return Association(
        name=name,
        v=cramers_v([(level.real, level.fake) for level in levels] or [(0, 0)]),
        n=known.height,
        unknown=of_class.height - known.height,
        levels=tuple(levels),
    )


def _leading_number(value: str) -> tuple[float, str]:
    """Return the first number of a value, the sort key of bands."""
    found = re.search(r"\d+(\.\d+)?", value.replace(",", ""))
    return (float(found[0]) if found else -1.0, value)


def _merge_rare_levels(rest: pl.DataFrame) -> Level:
    """Return the rare values merged into one."""
    return Level(
        value=f"{rest.height} others", real=int(rest["real"].sum()), fake=int(rest["fake"].sum())
    )


#: The weight of a class may be at most this many times that of the other.
_MOST_UNEVEN = 3.0


def count_combinations(table: pl.DataFrame) -> tuple[BalanceCell, ...]:
    """Return the number of rows and their weight for each split, class, generator and source."""
    keys = ("split", "label", "generator", "source")
    found = table.group_by(keys).agg(rows=pl.len(), weight=pl.col("weight").fill_null(1.0).sum())
    places = {split: place for place, split in enumerate(SPLITS)}
    cells = [BalanceCell(**cell) for cell in found.iter_rows(named=True)]
    return tuple(
        sorted(
            cells,
            key=lambda cell: (
                places.get(cell.split, len(SPLITS)),
                cell.split,
                cell.label != "real",
                cell.generator,
                cell.source,
            ),
        )
    )


def balance_faults(table: pl.DataFrame) -> Iterator[DataFault]:
    """Yield the faults of the balance."""
    of_class = table.filter(HAS_CLASS)
    classes = of_class["label"].unique().to_list()
    if len(classes) < 2:
        yield _missing_class_fault(table, classes)
        return
    yield from _empty_class_faults(of_class)
    yield from _one_sided_source_faults(table)
    yield from _imbalance_faults(of_class)


def _missing_class_fault(table: pl.DataFrame, classes: list[str]) -> DataFault:
    """Return the fault of a set that lacks a class, or both."""
    lacking = " and no ".join(label for label in LABELS if label not in classes)
    return make_fault("one-class", f"There is no {lacking} picture.", [], count=table.height)


def _empty_class_faults(table: pl.DataFrame) -> Iterator[DataFault]:
    """Yield a fault if splits lack a class that the set has."""
    held = table.group_by("split").agg(pl.col("label").unique().sort(), pl.len()).sort("split")
    lacking = held.filter((pl.col("label").list.len() < 2) & (pl.col("split") != ""))
    if lacking.height:
        words = [
            f"{split} holds {n} {labels[0]} pictures and none of the other class"
            for split, labels, n in lacking.iter_rows()
        ]
        yield make_fault("empty-class", f"{'; '.join(words)}.", [], count=lacking.height)


def _one_sided_source_faults(table: pl.DataFrame) -> Iterator[DataFault]:
    """Yield a fault if sources have only one class."""
    of_class = table.with_row_index("#at").filter(HAS_CLASS)
    held = of_class.group_by("source").agg(
        pl.col("label").unique(), pl.len().alias("n"), pl.col("#at").min()
    )
    sided = held.filter(pl.col("label").list.len() < 2).sort(
        "n", "source", descending=[True, False]
    )
    if sided.is_empty():
        return
    words = [f"{source} ({n} {labels[0]})" for source, labels, n, _ in sided.iter_rows()]
    more = f" and {len(words) - 6} more" if len(words) > 6 else ""
    yield make_fault(
        "one-sided-source",
        f"{sided.height} of {count_noun(held.height, 'source')} with one class only: "
        f"{', '.join(words[:6])}{more}.",
        row_examples(table, sided["#at"].to_list()[:20], words[:20]),
        count=sided.height,
    )


def _imbalance_faults(table: pl.DataFrame) -> Iterator[DataFault]:
    """Yield a fault if one class outweighs the other in a split."""
    weight = pl.col("weight").fill_null(1.0)
    weighed = table.group_by("split").agg(
        real=weight.filter(~IS_FAKE).sum(), fake=weight.filter(IS_FAKE).sum()
    )
    uneven = [
        f"{split or NO_SPLIT}: {real:,.0f} real, {fake:,.0f} fake"
        for split, real, fake in weighed.sort("split").iter_rows()
        if 0 < min(real, fake) * _MOST_UNEVEN < max(real, fake)
    ]
    if uneven:
        yield make_fault("imbalance", f"By weight, {'; '.join(uneven)}.", [], count=len(uneven))


def contract_faults(table: pl.DataFrame) -> Iterator[DataFault]:
    """Yield a fault for all rows that `read_manifest` would reject, with the reasons."""
    broken = _find_broken_rows(table)
    if broken.is_empty():
        return
    kinds = broken["said"].n_unique()
    shown = broken.unique("said", keep="first", maintain_order=True).head(MOST_EXAMPLES)
    places = shown["at"].to_list()
    details = [
        message.format(**table.row(at, named=True))
        for at, message in zip(places, shown["said"].to_list(), strict=True)
    ]
    rows = broken["at"].n_unique()
    message = f"{count_noun(rows, 'row')} against the contract, in {count_noun(kinds, 'way')}."
    yield make_fault("contract", message, row_examples(table, places, details), count=rows)


def _find_broken_rows(table: pl.DataFrame) -> pl.DataFrame:
    """Return ``at`` (place in the table) and ``said`` (the message) of each broken rule."""
    misfit = (pl.col(MISFIT) != "", f"{{{MISFIT}}}")
    found = [
        table.select(rule.arg_true().alias("at")).with_columns(said=pl.lit(message))
        for rule, message in (*contract_rules(LABELS, SPLITS), misfit)
    ]
    return pl.concat(found).sort("at", maintain_order=True)


def generator_faults(table: pl.DataFrame) -> Iterator[DataFault]:
    """Yield a note if generators are unknown, with the nearest known name of each."""
    named = table.with_row_index("#at").filter(IS_FAKE & (pl.col("generator") != ""))
    names = named.group_by("generator").agg(pl.col("#at").min()).sort("#at")
    found = [
        (place, warning)
        for name, place in names.iter_rows()
        if (warning := unknown_generator_warning(name))
    ]
    if found:
        places, words = zip(*found, strict=True)
        of = count_noun(names.height, "generator")
        message = f"{len(found)} of {of} not in the table of known ones."
        yield make_fault("generator", message, row_examples(table, places, words), count=len(found))


#: From this Cramer's V on, a fact of the files or an attribute is reported as a fault.
_FILE_V, _ATTRIBUTE_V = 0.3, 0.2
#: Attributes with fewer rows than this are not reported as unbalanced.
_FEWEST = 50
_MOST_VALUES = 20
_DEMOGRAPHIC = frozenset({"gender", "sex", "race", "ethnicity", "age", "skin", "fitzpatrick"})
_SMALL_PX = 64

_SHORT_SIDE = pl.min_horizontal("width", "height")
_NUMBERS = {
    "shorter side, px": _SHORT_SIDE,
    "file size, bytes": pl.col("bytes"),
    "JPEG quality": pl.col("jpeg_quality"),
}


def file_associations(table: pl.DataFrame) -> tuple[Association, ...]:
    """Return the association of format, size, quality and length of files with the class."""
    size = pl.concat_str("width", "height", separator=" x ")
    found = (
        association(table, "format", pl.col("format")),
        association(table, "size", size),
        association(table, "JPEG quality", _quality_bands(table), by_number=True),
        association(table, "file size", _length_bands(table), by_number=True),
    )
    return tuple(one for one in found if one.n)


def spreads(table: pl.DataFrame) -> tuple[Spread, ...]:
    """Return quartiles of side, length and quality for each class and generator."""
    return tuple(one for name, number in _NUMBERS.items() for one in _spread(table, name, number))


def attribute_associations(table: pl.DataFrame) -> tuple[Association, ...]:
    """Return the association of attributes with the class, age in bands of ten.

    Demographic ones come first, then the least balanced. An attribute with more than 20 values (a
    name, a number) is excluded.
    """
    columns = {name: _band_ages(name) for name in attribute_columns(table)}
    values = table.select(value.n_unique().alias(name) for name, value in columns.items())
    few = [name for name in columns if values[name][0] <= _MOST_VALUES + 1]  # one may be ""
    found = [association(table, name, columns[name], by_number=_is_age(name)) for name in few]
    known = [one for one in found if one.n]
    return tuple(
        sorted(known, key=lambda one: (not _is_demographic(one.name), -(one.v or 0), one.name))
    )


def fact_faults(
    table: pl.DataFrame, files: Sequence[Association], attributes: Sequence[Association]
) -> Iterator[DataFault]:
    """Yield differences between the classes, and pictures that are too small."""
    if differing := _strong_associations(files, _FILE_V):
        yield make_fault("format", _describe_differences(differing), [], count=len(differing))
    differing = _strong_associations(attributes, _ATTRIBUTE_V)
    for kind, is_meant in (("demographic", True), ("attribute", False)):
        if meant := [one for one in differing if _is_demographic(one.name) == is_meant]:
            yield make_fault(kind, _describe_differences(meant), [], count=len(meant))
    small = table.select((_SHORT_SIDE < _SMALL_PX).arg_true().alias("at"))["at"].to_list()
    if small:
        sides = table[small[:20]].select(pl.concat_str("width", "height", separator=" x "))
        shown = [f"{size} px" for size in sides.to_series()]
        message = f"{count_noun(len(small), 'picture')} under {_SMALL_PX} px on the shorter side."
        yield make_fault("small", message, row_examples(table, small[:20], shown), count=len(small))


def _is_demographic(name: str) -> bool:
    """Return whether an attribute is demographic.

    >>> _is_demographic("perceived_gender"), _is_demographic("take")
    (True, False)
    """
    return not _DEMOGRAPHIC.isdisjoint(name.lower().replace("-", "_").split("_"))


def _is_age(name: str) -> bool:
    return name.lower().split("_")[-1] == "age"


def _strong_associations(found: Sequence[Association], v: float) -> list[Association]:
    """Return the associations with the class of at least this strength, the strongest first."""
    strong = [one for one in found if one.v is not None and one.v >= v and one.n >= _FEWEST]
    return sorted(strong, key=lambda one: -(one.v or 0))


def _describe_differences(differing: Sequence[Association]) -> str:
    """Return a description of the differences, with the largest difference of the worst."""
    worst = differing[0]
    real, fake = (sum(getattr(level, c) for level in worst.levels) for c in ("real", "fake"))
    level = max(worst.levels, key=lambda one: abs(one.real / real - one.fake / fake))
    rest = [f"{one.name} (V = {one.v:.2f}, n = {one.n:,})" for one in differing[1:]]
    also = f" Also: {', '.join(rest)}." if rest else ""
    return (
        f"{worst.name} differs most (Cramer's V = {worst.v:.2f}, n = {worst.n:,}): {level.value} "
        f"in {level.real / real:.0%} of real and {level.fake / fake:.0%} of fake pictures.{also}"
    )


def _quality_bands(table: pl.DataFrame) -> pl.Expr:
    """Return JPEG qualities as text: by value if there are few, else in bands of five."""
    quality = pl.col("jpeg_quality")
    if table["jpeg_quality"].n_unique() <= _MOST_VALUES:
        return quality.cast(pl.String)
    return _band_labels(quality, 5)


def _length_bands(table: pl.DataFrame) -> pl.Expr:
    """Return lengths of files in ten bands with equal numbers of rows."""
    sizes = table.filter(HAS_CLASS)["bytes"].drop_nulls()
    if sizes.n_unique() <= 10:
        return pl.col("bytes").cast(pl.String)
    edges = sorted({int(sizes.quantile(tenth / 10) or 0) for tenth in range(1, 10)})
    names = ["shorter", *(f"from {low:,} bytes" for low in edges)]
    band = pl.sum_horizontal((pl.col("bytes") >= low).cast(pl.Int32) for low in edges)
    named = band.replace_strict(dict(enumerate(names)), return_dtype=pl.String)
    return pl.when(pl.col("bytes").is_not_null()).then(named)


def _band_ages(name: str) -> pl.Expr:
    """Return an attribute's values; ages in bands of ten years."""
    value = pl.col(name)
    if not _is_age(name):
        return value
    years = value.cast(pl.Float64, strict=False)
    older = pl.when(years >= 80).then(pl.lit("80 and older"))
    return older.otherwise(
        pl.when(years.is_not_null()).then(_band_labels(years, 10)).otherwise(value)
    )


def _band_labels(value: pl.Expr, width: int) -> pl.Expr:
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


def contradiction_faults(table: pl.DataFrame) -> Iterator[DataFault]:
    """Yield a fault if the rows of one file differ in age, gender or the like."""
    names = [name for name in attribute_columns(table) if _is_demographic(name)]
    rows = table.select("sha256", *names).with_row_index("#at").filter(IS_SHA256)
    several = rows.filter(pl.col("sha256").is_duplicated())
    found = (
        pl.concat([_differing_rows(several, name) for name in names]) if names else pl.DataFrame()
    )
    if found.is_empty():
        return
    files = found["sha256"].n_unique()
    counts = found["name"].value_counts(sort=True).rows()
    message = (
        f"{count_noun(files, 'file')} with rows that contradict each other: "
        f"{', '.join(f'{name} of {count:,}' for name, count in counts)}."
    )
    shown = found.sort("first").head(MOST_EXAMPLES).iter_rows(named=True)
    yield make_fault(
        "contradiction", message, [_make_example(table, one) for one in shown], count=files
    )


def _differing_rows(several: pl.DataFrame, name: str) -> pl.DataFrame:
    """Return two rows, and their values, for each file whose rows differ in ``name``."""
    known = several.filter(pl.col(name) != "").group_by("sha256").agg("#at", name)
    first, last = (pl.col(name).list.get(pl.col(name).list.arg_min()), pl.col(name).list.max())
    place = [pl.col("#at").list.get(pl.col(name).list.arg_min())]
    place.append(pl.col("#at").list.get(pl.col(name).list.arg_max()))
    return known.filter(pl.col(name).list.n_unique() > 1).select(
        "sha256",
        name=pl.lit(name),
        first=place[0],
        last=place[1],
        says=pl.format("{}: {} and {}", pl.lit(name), first, last),
    )


def _make_example(table: pl.DataFrame, one: dict[str, object]) -> Example:
    """Return the two rows and their values."""
    places = [int(str(one["first"])), int(str(one["last"]))]
    return Example(rows=tuple(row_refs(table, places)), detail=str(one["says"]))
