"""Generators whose names the table of known ones lacks."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from faceproof.data.generators import unknown_generator_warning
from faceproof.data.inspection.faults import counted, fault
from faceproof.data.inspection.record import Fault
from faceproof.data.inspection.rows import IS_FAKE, examples


def generator_faults(table: pl.DataFrame) -> Iterator[Fault]:
    """Yield a note where generators are unknown, with the nearest known name of each."""
    named = table.with_row_index("#at").filter(IS_FAKE & (pl.col("generator") != ""))
    names = named.group_by("generator").agg(pl.col("#at").min()).sort("#at")
    found = [
        (place, said)
        for name, place in names.iter_rows()
        if (said := unknown_generator_warning(name))
    ]
    if found:
        places, words = zip(*found, strict=True)
        of = counted(names.height, "generator")
        message = f"{len(found)} of {of} not in the table of known ones."
        yield fault("generator", message, examples(table, places, words), count=len(found))
