"""Meaning of names of folders, classes and splits, and messages for invalid ones."""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Collection, Iterable
from pathlib import Path

import numpy as np

from faceproof.data.duplicates import merge_clusters
from faceproof.data.generators import find_known_name
from faceproof.data.layouts.listing import (
    TABLE_SUFFIXES,
    ListingProblem,
    Tree,
    read_tree,
    suffix_of,
)
from faceproof.errors import ManifestError, UsageError
from faceproof.sources import to_printable

_REAL = frozenset(
    {
        *("real", "reals", "authentic", "genuine", "original", "originals", "live", "pristine"),
        *("bonafide", "nature", "natural", "untampered", "unaltered", "unedited"),
    }
)
_FAKE = frozenset(
    {
        *("fake", "fakes", "faked", "ai", "aigc", "generated", "synthetic", "synthesized"),
        *("synthesised", "synthesis", "gan", "spoof", "spoofs", "spoofed", "deepfake"),
        *("deepfakes", "manipulated", "manipulation", "manipulations", "forged", "forgery"),
        *("forgeries", "tampered", "altered", "edited", "swapped", "artificial", "df"),
    }
)
#: Clear as names of folders, but ambiguous as values of a column.
_FOLDER_ONLY = {"true": "real", "false": "fake"}
_NEGATIONS = frozenset({"not", "non", "no", "anti", "un", "without"})
#: Words joined to a class: realfaces, FakeImages.
_TAIL = re.compile(r"(?<=.)(images?|imgs?|faces?|photos?|pictures?|pics?|videos?|frames?|data)$")
_TOKEN = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")

_SPLITS = {
    **dict.fromkeys(("train", "training", "trn", "trainset"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "validate", "dev", "valset"), "validation"),
    **dict.fromkeys(("calibration", "calib"), "calibration"),
    **dict.fromkeys(("test", "testing", "tst", "testset"), "test"),
}


@functools.lru_cache(maxsize=4096)
def class_in_name(name: str, *, folder: bool = True) -> str:
    """Return the class in a name: ``real``, ``fake``, ``both`` or "" for none.

    In a value of a column (``folder=False``) true and false are not classes; numbers never are.

    >>> [class_in_name(name) for name in ("training_real", "0_real", "FakeImages", "AI", "nature")]
    ['real', 'real', 'fake', 'fake', 'real']
    >>> [class_in_name(name) for name in ("real_vs_fake", "not_fake", "1", "unreal", "women")]
    ['both', 'both', '', '', '']
    >>> class_in_name("true"), class_in_name("true", folder=False)
    ('real', '')
    """
    tokens = [_TAIL.sub("", token.lower()) for token in _TOKEN.findall(name)]
    meanings = {meaning for token in tokens if (meaning := _class_of_word(token, folder=folder))}
    if len(meanings) == 2 or (meanings and _NEGATIONS & set(tokens)):
        return "both"
    return meanings.pop() if meanings else ""


def is_class_word(name: str) -> bool:
    """Return whether the name is only one word for a class.

    >>> is_class_word("Deepfakes"), is_class_word("StyleGAN")
    (True, False)
    """
    return name.strip().lower() in _REAL | _FAKE


@functools.lru_cache(maxsize=4096)
def parse_split(name: str) -> str:
    """Return our name of a split, or an empty string for another name.

    >>> [parse_split(name) for name in ("Train", "valid", "testing", "faces")]
    ['train', 'validation', 'test', '']
    """
    return _SPLITS.get(name.strip().lower(), "")


def _class_of_word(token: str, *, folder: bool) -> str:
    """Return the class that one word means."""
    if token in _REAL:
        return "real"
    if token in _FAKE:
        return "fake"
    return _FOLDER_ONLY.get(token, "") if folder else ""


class Identities:
    """Groups of names, joined pair by pair.

    >>> people = Identities()
    >>> people.join(["id3", "id1"])
    >>> people.join(["id2", "id3"])
    >>> people.group("id2"), people.group("id9")
    ('id1', 'id9')
    """

    def __init__(self) -> None:
        self._pairs: set[tuple[str, str]] = set()
        self._groups: dict[str, str] | None = None

    def join(self, names: Iterable[str]) -> None:
        """Join all of these into one group."""
        first, *others = names
        self._pairs |= {(first, other) for other in others}
        self._groups = None

    def group(self, name: str) -> str:
        """Return the smallest name of the group; a name that was never joined is its own."""
        if self._groups is None:
            self._groups = _group_pairs(self._pairs)
        return self._groups.get(name, name)


def _group_pairs(pairs: Collection[tuple[str, str]]) -> dict[str, str]:
    """Return name -> smallest name of its group, for all names of these pairs."""
    names = sorted({name for pair in pairs for name in pair})
    number = {name: place for place, name in enumerate(names)}
    links = np.array([(number[one], number[other]) for one, other in pairs], np.int64)
    roots = merge_clusters(np.arange(len(names)), links.reshape(-1, 2))
    return {name: names[root] for name, root in zip(names, roots.tolist(), strict=True)}


#: Names of files or folders that identify a set, in lower case.
_SIGNS = {
    "faceforensics": {"original_sequences", "manipulated_sequences"},
    "celeb-df": {"celeb-real", "celeb-synthesis", "youtube-real"},
    "ciplab": {"training_real", "training_fake"},
    "kaggle-140k": {"real_vs_fake", "real-vs-fake"},
    "hf-datasets": {"dataset_dict.json", "state.json"},
    "dfdc": {"metadata.json", "dfdc_train_part_0"},
}
#: Layouts whose own folder names contain the words of both classes, and that nobody else uses.
_WITH_CLASS_WORDS = frozenset({"celeb-df", "faceforensics"})
_UTKFACE = re.compile(r"\d{1,3}_[01]_[0-4]_\d+")
_LFW = re.compile(r"(.+)/\1_\d{4}\.jpg$")


def unexpected_layout_error(
    source: Path, layout: str, expected: str, tree: Tree | None = None
) -> ManifestError:
    """Return the error with what was expected, what was found, and a layout that fits."""
    tree = tree or read_tree(source, tables=_is_table)
    other = suggest_layout(tree)
    advice = f"; the layout {other} fits it" if other not in ("", layout) else ""
    return ManifestError(
        f"{to_printable(str(source))}: the layout {layout} expects {expected}; "
        f"found {describe_tree(tree)}{advice}"
    )


def describe_tree(tree: Tree) -> str:
    """Return a short description of a folder's content.

    >>> describe_tree(Tree(Path(), ("a/1.jpg", "a/2.jpg", "b/c/3.jpg"), (), ()))
    "3 pictures or videos in 'a' (2), 'b/c' (1)"
    """
    if not tree.media:
        others = [p.path for p in tree.problems] + list(tree.tables)
        return f"no picture or video, only {', '.join(others[:5])}" if others else "an empty folder"
    return f"{len(tree.media)} pictures or videos in {describe_folders(tree.media)}"


def describe_folders(paths: tuple[str, ...] | list[str], *, most: int = 8) -> str:
    """Return the folders of these paths with their counts, the fullest first."""
    counts = Counter(path.rpartition("/")[0] or "." for path in paths)
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    shown = ", ".join(f"{folder!r} ({count})" for folder, count in ranked[:most])
    return shown + (f" and {len(ranked) - most} more folders" if len(ranked) > most else "")


def suggest_layout(tree: Tree) -> str:
    """Return the layout that this folder evidently has, or an empty string.

    >>> suggest_layout(Tree(Path(), ("x/training_fake/easy_1_1111.jpg",), (), ()))
    'ciplab'
    >>> suggest_layout(Tree(Path(), ("holiday/1.jpg",), (), ()))
    ''
    """
    names = _folder_names(tree)
    by_name = next((layout for layout, signs in _SIGNS.items() if names & signs), "")
    return (
        by_name
        or _layout_by_pattern(tree.media)
        or _layout_by_class(names)
        or _layout_by_table(tree)
    )


def guess_layout(source: Path, *, classes_named: bool = False) -> str:
    """Return the layout of a folder or table that leaves no doubt.

    ``classes_named`` is set if the user has named the folders or labels of a class. Pictures in
    folders called real and fake leave doubt if another layout would also fit, since that one may
    have other labels, groups or generators.

    Raises:
        UsageError: no layout is evident, or several are.
        ManifestError: the folder does not exist.
    """
    if source.is_file():
        return "columns"
    tree = read_tree(source)
    names = _folder_names(tree)
    evident = [layout for layout, signs in _SIGNS.items() if names & signs]
    evident += filter(None, (_layout_by_pattern(tree.media),))
    by_class = "class-folders" if classes_named else _layout_by_class(names)
    if by_class and not set(evident) & _WITH_CLASS_WORDS:
        evident.append(by_class)
    if not evident and (by_table := _layout_by_table(tree)):
        evident.append(by_table)
    if len(evident) == 1:
        return evident[0]
    where = to_printable(str(source))
    if evident:
        raise UsageError(
            f"{where}: several layouts fit ({', '.join(evident)}): choose one with --layout"
        )
    raise UsageError(
        f"{where}: no layout is evident in {describe_tree(tree)}: name the folders of both classes "
        "with --real NAME --fake NAME, or the layout with --layout NAME"
    )


def _folder_names(tree: Tree) -> set[str]:
    """Return the names of folders, and of files that are not media, in lower case."""
    others = [*tree.tables, *(problem.path for problem in tree.problems)]
    parts = {part for path in others for part in path.lower().split("/")}
    folders = {path.lower().rpartition("/")[0] for path in tree.media}
    return parts | {part for folder in folders for part in folder.split("/")}


def _layout_by_pattern(media: tuple[str, ...]) -> str:
    """Return the layout whose pattern most of the names follow."""
    utkface = sum(_UTKFACE.match(path.rpartition("/")[2]) is not None for path in media)
    lfw = sum(_LFW.search(path) is not None for path in media)
    if 2 * utkface > len(media):
        return "utkface"
    return "lfw" if 2 * lfw > len(media) else ""


def _layout_by_class(names: set[str]) -> str:
    """Return class-folders if the names contain both classes; a generator's name is a fake's."""
    folders = [name for name in names if "." not in name]
    classes = {class_in_name(name) for name in folders}
    if any(find_known_name(name) not in ("", "none") for name in folders):
        classes.add("fake")
    return "class-folders" if {"real", "fake"} <= classes else ""


def _layout_by_table(tree: Tree) -> str:
    """Return columns if there is a table."""
    listed = [*tree.tables, *(problem.path for problem in tree.problems)]
    return "columns" if any(_is_table(path) for path in listed) else ""


def _is_table(name: str) -> bool:
    """Return whether the name is a table's."""
    return suffix_of(name) in TABLE_SUFFIXES


def misplaced_problem(path: str, expected: str) -> ListingProblem:
    """Return the Problem of a picture with an unexpected name or place."""
    reason = f"not {expected}: move or rename it, or import it with another layout"
    return ListingProblem(path, "not_in_layout", reason)
