"""Contact sheets: the pictures to show, by fault or group."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl

from faceproof.data.inspection.pictures import (
    PictureInspection,
    PictureReading,
    is_inside,
    thumbnail,
)
from faceproof.data.inspection.record import DataFault, Example, RowRef, Sheet, Tile
from faceproof.data.inspection.rows import InputManifest, row_refs
from faceproof.pipeline import map_in_order

#: Limits: tiles of a combination, combinations, pairs and tiles of other sheets.
_SAMPLED, _COMBINATIONS, PAIRS, OTHERS = 8, 24, 8, 16
_THUMBNAIL_SIDE = 144

_PAIRS = {
    "leak": ("On both sides of a split", "The same or nearly the same picture in two splits."),
    "ffhq": ("One FFHQ photograph on both sides", "The same number, and near-duplicates."),
    "conflict": ("Two labels", "The same or nearly the same picture, labelled real and fake."),
    "near-duplicate": ("Near-duplicates in two groups", "Nearly the same picture, one class."),
    "pair": ("Fakes and their originals", "Near-duplicates of two classes in one group."),
}


def contact_sheets(
    table: pl.DataFrame, seen: PictureInspection, faults: Sequence[DataFault]
) -> tuple[Sheet, ...]:
    """Return the sheets that are not empty; none if no picture was opened."""
    if seen.sample is None:
        return ()
    of_pairs = (_pair_sheet(kind, title, why, faults) for kind, (title, why) in _PAIRS.items())
    made = [*of_pairs, *_content_sheets(table, seen), *_sample_sheets(table, seen)]
    return tuple(sheet for sheet in made if sheet.tiles)


def draw(shown: Sequence[Sheet], given: Sequence[InputManifest]) -> dict[RowRef, bytes]:
    """Return a WebP thumbnail of each tile's row whose picture can be read."""
    wanted = list(dict.fromkeys(tile.at for sheet in shown for tile in sheet.tiles))

    def one(ref: RowRef) -> bytes | None:
        root = given[ref.manifest].root or Path()
        return thumbnail(root / ref.path, side=_THUMBNAIL_SIDE) if is_inside(ref.path) else None

    drawn = map_in_order(one, wanted, workers=2, ahead=16)
    return {ref: data for ref, data in zip(wanted, drawn, strict=True) if data}


def _pair_sheet(kind: str, title: str, why: str, faults: Sequence[DataFault]) -> Sheet:
    """Return the pairs among a fault's examples, side by side."""
    shown = [
        example
        for fault in faults
        if fault.kind == kind
        for example in fault.examples
        if len(example.rows) == 2
    ]
    tiles = tuple(tile for example in shown[:PAIRS] for tile in _pair_tiles(example))
    return Sheet(name=kind, title=title, explanation=why, pairs=True, tiles=tiles)


def _pair_tiles(example: Example) -> Iterator[Tile]:
    """Yield both rows of an example."""
    for ref in example.rows:
        where = f" in {ref.split}" if ref.split else ""
        yield Tile(at=ref, caption=f"{ref.label}{where}: {example.detail}")


def _content_sheets(table: pl.DataFrame, seen: PictureInspection) -> Iterator[Sheet]:
    """Yield sheets of pictures without a face, dark ones and small ones."""
    read = [look for look in seen.looks if look.is_read]
    faceless = [look for look in read if not look.faces]
    yield _make_sheet(
        table, "non-face", "No face found", "Drawings, wrong crops, very hard pictures.", faceless
    )
    why = "The opened pictures with the lowest mean brightness."
    yield _make_sheet(table, "darkest", "Darkest", why, sorted(read, key=lambda look: look.luma))
    if len({look.shape for look in read}) > 1:
        why = "The opened pictures with the fewest pixels."
        smallest = sorted(read, key=lambda look: look.shape[0] * look.shape[1])
        yield _make_sheet(table, "smallest", "Smallest", why, smallest)


def _make_sheet(
    table: pl.DataFrame, name: str, title: str, why: str, looks: Sequence[PictureReading]
) -> Sheet:
    """Return a sheet of the first looks, with class and size of each."""
    shown = looks[:OTHERS]
    places = [look.place for look in shown]
    captions = [
        f"{label}, {look.shape[0]} x {look.shape[1]} px, brightness {look.luma:.0f}"
        for look, label in zip(shown, table["label"][places], strict=True)
    ]
    return Sheet(
        name=name, title=title, explanation=why, tiles=_make_tiles(table, places, captions)
    )


def _sample_sheets(table: pl.DataFrame, seen: PictureInspection) -> Iterator[Sheet]:
    """Yield a sheet for each class, generator and source: opened pictures at equal distances."""
    places = [look.place for look in seen.looks if look.is_read]
    keys = ("label", "generator", "source")
    rows = table.select(keys)[places].with_columns(pl.Series("#at", places, pl.Int64))
    combined = (
        rows.group_by(keys).agg(pl.col("#at")).sort(pl.col("#at").list.len(), descending=True)
    )
    largest = combined.head(_COMBINATIONS).sort(
        "source", "label", "generator", descending=[False, True, False]
    )
    for label, generator, source, at in largest.iter_rows():
        made = f" by {generator}" if label == "fake" else ""
        shown = at[:: max(1, len(at) // _SAMPLED)][:_SAMPLED]
        captions = [f"{label}{made}"] * len(shown)
        title = f"{source}: {label}{made}"
        tiles = _make_tiles(table, shown, captions)
        yield Sheet(
            name="sample",
            title=title,
            explanation=f"{len(shown)} of {len(at):,} opened pictures.",
            tiles=tiles,
        )


def _make_tiles(
    table: pl.DataFrame, places: Sequence[int], captions: Sequence[str]
) -> tuple[Tile, ...]:
    """Return a tile for each place."""
    found = zip(row_refs(table, places), captions, strict=True)
    return tuple(Tile(at=ref, caption=caption) for ref, caption in found)
