"""Which column of a table means what."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from faceproof.data.layouts.listing import RESERVED, ListingOptions, Note
from faceproof.data.layouts.table_files import TableFile
from faceproof.errors import ManifestError, UsageError
from faceproof.sources import printable
from faceproof.tables import nearest

#: Our columns that a table may fill; every other name is that of an attribute.
OURS = ("path", "image", "label", "generator", "group", "split")
#: What others call ours; named in the remedy, never taken without being told.
_THEIRS = {
    "path": {"file", "filename", "file_name", "filepath", "file_path", "image", "image_path"}
    | {"img", "img_path", "picture", "videoname", "video", "name", "id"},
    "label": {"labels", "class", "target", "y", "is_fake", "fake", "real", "type", "category"},
}


@dataclass(frozen=True)
class Columns:
    """Their column for each of ours, and for each attribute."""

    ours: Mapping[str, str]
    attributes: Mapping[str, str]
    notes: tuple[Note, ...] = ()


def match_columns(table: TableFile, options: ListingOptions) -> Columns:
    """Return which of the table's columns is which: as told, else those that are called like ours.

    Raises:
        UsageError: ``options.columns`` names a column that the table lacks.
        ManifestError: nothing says where the pictures are or whether they are real.
    """
    _refuse_unknown(table, options)
    told = {name: theirs for name, theirs in options.columns.items() if name in OURS}
    taken = set(options.columns.values())
    guessed = {name: name for name in OURS if name in table.columns and name not in taken}
    # A column called image may hold paths; only one of files is taken without being told.
    guessed.pop("image", None)
    if not {"path", "image"} & set(told):
        told |= _picture_column(table)
    if told.get("image"):
        guessed.pop("path", None)
    ours = {name: theirs for name, theirs in (guessed | told).items() if theirs}
    _require(table, ours, options)
    return Columns(ours, *_attributes(table, ours, options))


def _refuse_unknown(table: TableFile, options: ListingOptions) -> None:
    """Refuse a column map that names what the table lacks."""
    for ours, theirs in options.columns.items():
        if theirs and theirs not in table.columns:
            raise UsageError(
                f"--columns {ours}={theirs}: {_called(table)} has no column {theirs!r}"
                f"{nearest(theirs, list(table.columns)) or '.'} It has: {', '.join(table.columns)}"
            )


def _picture_column(table: TableFile) -> dict[str, str]:
    """Return the column of whole files, where there is exactly one or one called image."""
    if "image" in table.pictures:
        return {"image": "image"}
    if len(table.pictures) > 1:
        names = ", ".join(table.pictures)
        raise ManifestError(
            f"{_called(table)}: several columns hold files ({names}): say --columns image=NAME"
        )
    return {"image": table.pictures[0]} if table.pictures else {}


def _require(table: TableFile, ours: Mapping[str, str], options: ListingOptions) -> None:
    """Refuse a table that does not say where its pictures are or what they are."""
    if not {"path", "image"} & set(ours):
        raise _lacking(table, "path", "")
    if not ({"label", "generator"} & set(ours) or options.generator):
        raise _lacking(table, "label", ", or --generator NAME where all are fakes of one kind")


def _lacking(table: TableFile, ours: str, otherwise: str) -> ManifestError:
    """Return the error for a column that is needed, with the likeliest one of the table's."""
    known = [name for name in table.columns if name.lower() in _THEIRS[ours] | {ours}]
    guess = nearest(ours, list(table.columns)).partition("'")[2].partition("'")[0]
    likely = next(iter(known), guess)
    hint = f", did you mean {likely!r}?" if likely else "."
    return ManifestError(
        f"{_called(table)} has no column {ours!r}{hint} It has: {', '.join(table.columns)}. "
        f"Say --columns {ours}={likely or 'THEIRS'}{otherwise}"
    )


def _attributes(
    table: TableFile, ours: Mapping[str, str], options: ListingOptions
) -> tuple[dict[str, str], tuple[Note, ...]]:
    """Return their column for each attribute, and notes of columns that are left out."""
    renamed = {
        theirs: name for name, theirs in options.columns.items() if theirs and name not in OURS
    }
    rest = [
        name
        for name in table.columns
        if name not in {*ours.values(), *table.pictures, *table.nested}
    ]
    nameless = [name for name in rest if name.startswith("#") and name not in renamed]
    nameless += [name for name in rest if not name.strip()]
    kept = {_attribute(renamed.get(name, name)): name for name in rest if name not in nameless}
    return kept, (*_left_out(nameless), *_other_files(table, ours))


def _left_out(nameless: list[str]) -> Iterator[Note]:
    """Yield a note of columns without a name."""
    if nameless:
        shown = ", ".join(name or "''" for name in nameless)
        message = f"columns without a name are left out: {shown}; --columns NAME=THEIRS keeps one"
        yield Note(message)


def _other_files(table: TableFile, ours: Mapping[str, str]) -> Iterator[Note]:
    """Yield a note of columns that hold further files or lists, which are no attributes."""
    if others := [n for n in (*table.pictures, *table.nested) if n != ours.get("image")]:
        yield Note(f"columns that hold other files or lists are left out: {', '.join(others)}")


def _attribute(name: str) -> str:
    """Return the name of an attribute, which must not be that of a column of the manifest's."""
    return f"table_{name}" if name in RESERVED else name


def _called(table: TableFile) -> str:
    """Return the table's file name for a message."""
    return printable(table.path.name)
