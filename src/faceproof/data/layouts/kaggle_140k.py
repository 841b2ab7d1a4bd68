"""Kaggle's "140k Real and Fake Faces": FFHQ photographs against StyleGAN portraits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from faceproof.data.layouts.listing import (
    Entry,
    Listed,
    ListingOptions,
    Problem,
    refuse_unused,
    without_suffix,
)
from faceproof.data.layouts.media_index import MediaIndex
from faceproof.data.layouts.signs import misplaced, unexpected
from faceproof.data.layouts.table_files import TableFile, open_table
from faceproof.data.layouts.tree import Tree, read_tree
from faceproof.data.layouts.words import split_called
from faceproof.errors import ManifestError

_TABLES = {"train.csv": "train", "valid.csv": "validation", "test.csv": "test"}
_CLASSES = {"real": "real", "fake": "fake", "ai": "fake", "1": "real", "0": "fake"}
_PLACE = "{train,valid,test}/{real,fake}/*.jpg (or train.csv, valid.csv, test.csv)"
#: FFHQ has 70,000 photographs, and their numbers are the names of the real ones here.
_FFHQ = 70_000


@dataclass(frozen=True, slots=True)
class _Said:
    """What a folder or a table says of a picture."""

    label: str
    split: str


def kaggle_140k(source: Path, options: ListingOptions) -> Iterator[Entry]:
    """Yield the 140k set or a slice of it: {train,valid,test}/{real,fake} at any depth.

    Folders decide; the set's train.csv, valid.csv and test.csv (path, label_str, label with
    1 = real) confirm them, or speak where pictures lie in no such folders. A slice without folders
    of splits (real, fake or ai) has no split. The number of a real picture is that of FFHQ and
    becomes `ffhq_id` and the group.

    Source: xhlulu, 140k Real and Fake Faces, Kaggle, 2020; FFHQ and StyleGAN: Karras, Laine, Aila,
    CVPR 2019, arXiv:1812.04948. Columns and polarity as public code that reads the tables has them.
    """
    refuse_unused(options, "kaggle-140k")
    tree = read_tree(source, tables=_TABLES.__contains__)
    placed = {path: said for path in tree.media if (said := _folders(path))}
    tabled, problems = _read_tables(tree)
    torn = {path for path, said in tabled.items() if placed.get(path, said).label != said.label}
    if not placed and not tabled:
        raise unexpected(source, "kaggle-140k", _PLACE, tree)
    _require_both(source, tree, list({**tabled, **placed}.values()))
    yield from problems
    for path in tree.media:
        said = placed.get(path) or tabled.get(path)
        if path in torn:
            yield _conflict(path)
        else:
            yield _listed(path, said) if said else misplaced(path, _PLACE)
    yield from tree.problems


def _require_both(source: Path, tree: Tree, said: list[_Said]) -> None:
    """Refuse a set with an empty class."""
    labels = {one.label for one in said}
    if missing := sorted({"real", "fake"} - labels):
        expected = f"both classes, but the class {missing[0]!r} is empty"
        raise unexpected(source, "kaggle-140k", expected, tree)


def _folders(path: str) -> _Said | None:
    """Return what the folders of a picture say, or nothing."""
    *_, split, label = ("", "", *PurePosixPath(path.lower()).parent.parts)
    if label not in {"real", "fake", "ai"}:
        return None
    return _Said(_CLASSES[label], split_called(split))


def _listed(path: str, said: _Said) -> Listed:
    """Return a picture as a row."""
    stem = without_suffix(PurePosixPath(path).name)
    is_ffhq = said.label == "real" and stem.isdecimal() and int(stem) < _FFHQ
    return Listed(
        path,
        said.label,
        generator="none" if said.label == "real" else "stylegan",
        group=f"ffhq/{int(stem)}" if is_ffhq else without_suffix(path),
        split=said.split,
        attributes={"ffhq_id": str(int(stem))} if is_ffhq else {},
    )


def _conflict(path: str) -> Problem:
    """Return the Problem of a picture whose folder and table disagree."""
    reason = "its folder and the table give it two labels: mend the table or move the picture"
    return Problem(path, "label_conflict", reason)


def _read_tables(tree: Tree) -> tuple[dict[str, _Said], list[Problem]]:
    """Return what the tables say of which picture, and the rows that are wrong."""
    index = MediaIndex(tree.media)
    tabled: dict[str, _Said] = {}
    problems: list[Problem] = []
    for place in tree.tables:
        for found in _open(tree, place).rows:
            entry = found if isinstance(found, Problem) else _row(index, place, *found)
            if isinstance(entry, Problem):
                problems.append(entry)
            else:
                tabled[entry[0]] = entry[1]
    return tabled, problems


def _open(tree: Tree, place: str) -> TableFile:
    """Return one of the set's tables.

    Raises:
        ManifestError: it has other columns.
    """
    table = open_table(tree.root / place)
    has = set(table.columns)
    if not (has & {"label", "label_str"} and has & {"path", "id"}):
        expected = "the columns path or id, and label or label_str"
        raise ManifestError(f"{place}: expected {expected}; it has {', '.join(table.columns)}")
    return table


def _row(
    index: MediaIndex, place: str, row: int, values: Mapping[str, str]
) -> tuple[str, _Said] | Problem:
    """Return the picture of a row and what the row says of it."""
    name = values.get("path") or values.get("id") or ""
    folder = place.rpartition("/")[0]
    path = index.find(name, folder=folder, row=row)
    if isinstance(path, Problem) and path.code == "missing_file" and values.get("id"):
        by_number = index.find(values["id"], folder=folder, row=row)
        path = path if isinstance(by_number, Problem) else by_number
    if isinstance(path, Problem):
        return path
    value = values.get("label_str") or values.get("label") or ""
    if not (label := _CLASSES.get(value.strip().lower(), "")):
        reason = f"label {value!r} is neither real nor fake, 1 (real) nor 0 (fake): mend the row"
        return Problem(path, "unknown_label", reason, row)
    return path, _Said(label, _TABLES[place.rpartition("/")[2]])
