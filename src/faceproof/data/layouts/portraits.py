"""Layouts of portrait sets with facts in names: 140k, UTKFace, LFW, CIPLab, OpenForensics."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from faceproof.data.layouts.listing import (
    Entry,
    ListedFile,
    ListingOptions,
    ListingProblem,
    Note,
    Tree,
    is_video,
    read_tree,
    refuse_unused,
    strip_suffix,
)
from faceproof.data.layouts.table_files import TableFile, open_table
from faceproof.data.layouts.table_rows import MediaIndex
from faceproof.data.layouts.words import misplaced_problem, parse_split, unexpected_layout_error
from faceproof.errors import ManifestError

_TABLES = {"train.csv": "train", "valid.csv": "validation", "test.csv": "test"}
_CLASSES = {"real": "real", "fake": "fake", "ai": "fake", "1": "real", "0": "fake"}
_PLACE = "{train,valid,test}/{real,fake}/*.jpg (or train.csv, valid.csv, test.csv)"
#: FFHQ has 70,000 photographs, and their numbers are the names of the real ones here.
_FFHQ = 70_000


@dataclass(frozen=True, slots=True)
class _FolderFacts:
    """The facts of a picture from a folder or a table."""

    label: str
    split: str


def kaggle_140k(source: Path, options: ListingOptions) -> Iterator[Entry]:
    """Yield the 140k set or a slice of it: {train,valid,test}/{real,fake} at any depth.

    Folders take precedence; the set's train.csv, valid.csv and test.csv (path, label_str, label
    with 1 = real) confirm them, or apply to pictures outside such folders. A slice without split
    folders (real, fake or ai) has no split. The number of a real picture is that of FFHQ and
    becomes `ffhq_id` and the group.

    Source: xhlulu, 140k Real and Fake Faces, Kaggle, 2020; FFHQ and StyleGAN: Karras, Laine, Aila,
    CVPR 2019, arXiv:1812.04948. Columns and polarity are those of public code that reads the
    tables.
    """
    refuse_unused(options, "kaggle-140k")
    tree = read_tree(source, tables=_TABLES.__contains__)
    placed = {path: facts for path in tree.media if (facts := _facts_from_folders(path))}
    tabled, problems = _read_tables(tree)
    torn = {path for path, facts in tabled.items() if placed.get(path, facts).label != facts.label}
    if not placed and not tabled:
        raise unexpected_layout_error(source, "kaggle-140k", _PLACE, tree)
    _require_both(source, tree, list({**tabled, **placed}.values()))
    yield from problems
    for path in tree.media:
        facts = placed.get(path) or tabled.get(path)
        if path in torn:
            yield _conflict_problem(path)
        else:
            yield _list_picture(path, facts) if facts else misplaced_problem(path, _PLACE)
    yield from tree.problems


def _require_both(source: Path, tree: Tree, facts: list[_FolderFacts]) -> None:
    """Reject a set with an empty class."""
    labels = {one.label for one in facts}
    if missing := sorted({"real", "fake"} - labels):
        expected = f"both classes, but the class {missing[0]!r} is empty"
        raise unexpected_layout_error(source, "kaggle-140k", expected, tree)


def _facts_from_folders(path: str) -> _FolderFacts | None:
    """Return the facts from the folders of a picture, or None."""
    *_, split, label = ("", "", *PurePosixPath(path.lower()).parent.parts)
    if label not in {"real", "fake", "ai"}:
        return None
    return _FolderFacts(_CLASSES[label], parse_split(split))


def _list_picture(path: str, facts: _FolderFacts) -> ListedFile:
    """Return a picture as a row."""
    stem = strip_suffix(PurePosixPath(path).name)
    is_ffhq = facts.label == "real" and stem.isdecimal() and int(stem) < _FFHQ
    return ListedFile(
        path,
        facts.label,
        generator="none" if facts.label == "real" else "stylegan",
        group=f"ffhq/{int(stem)}" if is_ffhq else strip_suffix(path),
        split=facts.split,
        attributes={"ffhq_id": str(int(stem))} if is_ffhq else {},
    )


def _conflict_problem(path: str) -> ListingProblem:
    """Return the Problem of a picture whose folder and table disagree."""
    reason = "its folder and the table have different labels: correct the table or move the picture"
    return ListingProblem(path, "label_conflict", reason)


def _read_tables(tree: Tree) -> tuple[dict[str, _FolderFacts], list[ListingProblem]]:
    """Return the facts of each picture in the tables, and the Problems of rows."""
    index = MediaIndex(tree.media)
    tabled: dict[str, _FolderFacts] = {}
    problems: list[ListingProblem] = []
    for place in tree.tables:
        for found in _open(tree, place).rows:
            entry = found if isinstance(found, ListingProblem) else _parse_row(index, place, *found)
            if isinstance(entry, ListingProblem):
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


def _parse_row(
    index: MediaIndex, place: str, row: int, values: Mapping[str, str]
) -> tuple[str, _FolderFacts] | ListingProblem:
    """Return the picture of a row and its facts."""
    name = values.get("path") or values.get("id") or ""
    folder = place.rpartition("/")[0]
    path = index.find(name, folder=folder, row=row)
    if isinstance(path, ListingProblem) and path.code == "missing_file" and values.get("id"):
        by_number = index.find(values["id"], folder=folder, row=row)
        path = path if isinstance(by_number, ListingProblem) else by_number
    if isinstance(path, ListingProblem):
        return path
    value = values.get("label_str") or values.get("label") or ""
    if not (label := _CLASSES.get(value.strip().lower(), "")):
        reason = f"label {value!r} is neither real nor fake, 1 (real) nor 0 (fake): correct the row"
        return ListingProblem(path, "unknown_label", reason, row)
    return path, _FolderFacts(label, _TABLES[place.rpartition("/")[2]])


_UTKFACE = re.compile(r"(\d{1,3})_([01])_([0-4])_")
_GENDERS = {"0": "male", "1": "female"}
_ETHNICITIES = {"0": "white", "1": "black", "2": "asian", "3": "indian", "4": "other"}
_LFW = re.compile(r"(.+)_\d{4}$")
_CIPLAB = re.compile(r"(easy|mid|hard)_\d+_([01]{4})$")
_REGIONS = ("left_eye", "right_eye", "nose", "mouth")
#: Crops of one photograph have consecutive numbers in OpenForensics.
_BLOCK = 20


def utkface(source: Path, options: ListingOptions) -> Iterator[Entry]:
    """Yield UTKFace: photographs, named AGE_GENDER_RACE_DATE, at any depth; all real.

    The few names with a missing part are listed without attributes.

    Source: Zhang, Song, Qi, Age Progression/Regression by Conditional Adversarial Autoencoder,
    CVPR 2017; the numbers are explained on the set's home page.
    """
    refuse_unused(options, "utkface")
    tree = read_tree(source)
    named = {path: _UTKFACE.match(_file_name(path)) for path in tree.media}
    _require_most(named.values(), source, "utkface", "names like 25_0_1_20170116.jpg", tree)
    for path, found in named.items():
        if not found:
            yield Note(f"{path}: not named AGE_GENDER_RACE_DATE, listed without attributes")
        yield _list_real(path, strip_suffix(path), _utkface_facts(found))
    yield from tree.problems


def lfw(source: Path, options: ListingOptions) -> Iterator[Entry]:
    """Yield Labeled Faces in the Wild: Name_Surname/Name_Surname_0001.jpg; all real.

    A person is a group. The aligned versions (funneled, deep funneled) have the same names.

    Source: Huang, Ramesh, Berg, Learned-Miller, Labeled Faces in the Wild, University of
    Massachusetts, Technical Report 07-49, 2007.
    """
    refuse_unused(options, "lfw")
    tree = read_tree(source)
    named = {path: _LFW.match(strip_suffix(_file_name(path))) for path in tree.media}
    expected = "Name_Surname/Name_Surname_0001.jpg"
    _require_most(named.values(), source, "lfw", expected, tree)
    for path, found in named.items():
        if found:
            yield _list_real(path, found[1], {"person": found[1]})
        else:
            yield Note(f"{path}: not named {expected}, listed as a person of its own")
            yield _list_real(path, strip_suffix(path), {})
    yield from tree.problems


def ciplab(source: Path, options: ListingOptions) -> Iterator[Entry]:
    """Yield CIPLab's real and fake faces: training_real and training_fake (easy_12_1110.jpg).

    Fakes were composed by hand from parts of other photographs. The word is the difficulty for
    people; the digits are whether left eye, right eye, nose and mouth were replaced.

    Source: Computational Intelligence and Photography Lab, Yonsei University, Real and Fake
    Face Detection, Kaggle, 2019. The order of the digits is from memory: the set's page shows it
    only in a picture.
    """
    refuse_unused(options, "ciplab")
    tree = read_tree(source)
    if not any(_ciplab_class(path) for path in tree.media):
        raise unexpected_layout_error(source, "ciplab", "training_real and training_fake", tree)
    for path in tree.media:
        match _ciplab_class(path):
            case "training_real":
                yield _list_real(path, strip_suffix(path), {})
            case "training_fake":
                yield from _list_composite(path)
            case _:
                yield misplaced_problem(path, "below training_real or training_fake")
    yield from tree.problems


def openforensics(source: Path, options: ListingOptions) -> Iterator[Entry]:
    """Yield the crops of OpenForensics: Dataset/{Train,Validation,Test}/{Real,Fake}/real_1.jpg.

    A GAN face is blended into the photograph. The set does not name the photographs, but crops of
    one have consecutive numbers, so 20 numbers are a group. Its own parts share pictures, so they
    are not used as splits, but as the attribute `part`.

    Source: Le, Nguyen, Yamagishi, Echizen, OpenForensics, ICCV 2021, arXiv:2107.14480; the
    folders are those of Kaggle's "deepfake and real images".
    """
    refuse_unused(options, "openforensics")
    tree = read_tree(source)
    listed = {path: _crop(path) for path in tree.media}
    if not any(listed.values()):
        raise unexpected_layout_error(
            source, "openforensics", "{Train,Validation}/{Real,Fake}/real_1.jpg", tree
        )
    yield Note("the set's Train and Validation share pictures: kept as attribute 'part'")
    for path, crop in listed.items():
        yield crop or misplaced_problem(path, "{Train,Validation,Test}/{Real,Fake}/NUMBER.jpg")
    yield from tree.problems


def _file_name(path: str) -> str:
    """Return the last part of a path."""
    return path.rpartition("/")[2]


def _require_most(
    found: Iterable[re.Match[str] | None], source: Path, layout: str, expected: str, tree: Tree
) -> None:
    """Reject a folder in which fewer than half of the names are as the layout expects."""
    hits = [match is not None for match in found]
    if not hits or 2 * sum(hits) < len(hits):
        raise unexpected_layout_error(source, layout, expected, tree)


def _list_real(path: str, group: str, attributes: dict[str, str]) -> ListedFile:
    """Return a photograph."""
    return ListedFile(path, "real", "none", group, attributes=attributes, video=is_video(path))


def _utkface_facts(found: re.Match[str] | None) -> dict[str, str]:
    """Return the facts in a name of UTKFace."""
    if not found:
        return {}
    age, gender, ethnicity = found.groups()
    return {"age": age, "gender": _GENDERS[gender], "ethnicity": _ETHNICITIES[ethnicity]}


def _ciplab_class(path: str) -> str:
    """Return the class folder of a picture, or an empty string."""
    folders = PurePosixPath(path.lower()).parent.parts
    return next((name for name in folders if name in ("training_real", "training_fake")), "")


def _list_composite(path: str) -> Iterator[Entry]:
    """Yield a fake of CIPLab, with a note if its name is not as expected."""
    about: dict[str, str] = {}
    if found := _CIPLAB.match(strip_suffix(_file_name(path))):
        edited = [name for name, digit in zip(_REGIONS, found[2], strict=True) if digit == "1"]
        about = {"difficulty": found[1], "edited_regions": ",".join(edited)}
    else:
        yield Note(f"{path}: not named like easy_12_1110.jpg, listed without attributes")
    group = strip_suffix(path)
    yield ListedFile(path, "fake", "photoshop-composite", group, attributes=about)


def _crop(path: str) -> ListedFile | None:
    """Return a crop of OpenForensics, or None for another place or name."""
    *_, part, label, name = ("", "", *PurePosixPath(path.lower()).parts)
    number = re.search(r"\d+", name)
    known = part in {"train", "validation", "test"} and label in {"real", "fake"}
    if not (known and number):
        return None
    generator = "none" if label == "real" else "openforensics-swap"
    group = f"{part}/{label}/{int(number[0]) // _BLOCK}"
    return ListedFile(path, label, generator, group, attributes={"part": part})
