"""Layout of folders named after their class, in any spelling of real and fake."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from faceproof.data.generators import canonical_name, find_known_name
from faceproof.data.layouts.listing import (
    RESERVED,
    UNKNOWN,
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
from faceproof.data.layouts.table_rows import refuse_both
from faceproof.data.layouts.words import (
    class_in_name,
    describe_folders,
    describe_tree,
    is_class_word,
    parse_split,
    suggest_layout,
    unexpected_layout_error,
)
from faceproof.errors import ManifestError, UsageError
from faceproof.sources import to_printable
from faceproof.tables import did_you_mean

_EXPECTED = "folders called real and fake, or in another spelling of these"
#: Levels that are not attributes.
_SPECIAL = frozenset({"generator", "group"})


@dataclass(frozen=True, slots=True)
class _ClassPlace:
    """A picture, its label and the folder that determined it: ``folders[at]``."""

    path: str
    folders: tuple[str, ...]
    label: str
    at: int


def class_folders(source: Path, options: ListingOptions) -> Iterator[Entry]:
    """Yield pictures in folders called real and fake, in any spelling, at any depth.

    ``options.real`` and ``options.fake`` name the folders if names are ambiguous, and take
    precedence. Otherwise the words in a name decide, or the name of a known generator. A folder
    train, val or test anywhere in the path is the split, one named after a generator is the
    generator. ``options.levels`` names the other folders below the class folder, from the top:
    `generator` and `group` are used as such, any other is an attribute.

    Raises:
        UsageError: names are ambiguous, or an option names no folder.
        ManifestError: there is no picture, or none of one class.
    """
    refuse_unused(options, "class-folders", used=("real", "fake", "generator", "levels"))
    refuse_both(options)
    _check_levels(options)
    tree = read_tree(source)
    if not tree.media:
        raise unexpected_layout_error(source, "class-folders", _EXPECTED, tree)
    _refuse_unknown_folders(tree, options)
    placed = [_find_class(path, options) for path in tree.media]
    unclear = [one.path for one in placed if not one.label]
    clear = [one for one in placed if one.label]
    _refuse_unclear(source, unclear, clear, options, tree)
    _refuse_empty(source, clear, options, tree)
    if (known_set := suggest_layout(tree)) not in ("", "class-folders", "columns"):
        yield Note(f"the layout {known_set} supports this set, with its groups and splits")
    yield from _polarity_notes(clear)
    yield from _unused_level_notes(clear, options)
    for one in clear:
        yield _list_picture(one, options)
    for path in unclear:
        reason = "its folder is called neither real nor fake: name it with --real or --fake"
        yield ListingProblem(path, "unknown_label", reason)
    yield from tree.problems


def _find_class(path: str, options: ListingOptions) -> _ClassPlace:
    """Return the label of a picture and the folder that determines it; "" if ambiguous."""
    folders = tuple(path.split("/")[:-1])
    if named := _folders_named_by_options(folders, options):
        return _ClassPlace(path, folders, named[-1][1], named[-1][0])
    spelt = _folders_with_class_words(folders) or _generator_folders(folders)
    if len({label for _, label in spelt}) != 1:
        return _ClassPlace(path, folders, "", 0)
    return _ClassPlace(path, folders, spelt[0][1], spelt[0][0])


def _folders_named_by_options(
    folders: tuple[str, ...], options: ListingOptions
) -> list[tuple[int, str]]:
    """Return the folders that the options name, with their labels, from the top.

    A name may be several folders (dataset/ai), and the dot is the source folder itself.
    """
    lower = tuple(name.casefold() for name in folders)
    found: list[tuple[int, str]] = []
    for label, names in (("real", options.real), ("fake", options.fake)):
        for parts in map(_split_folders, names):
            size = len(parts)
            ends = range(size, len(lower) + 1 if parts else 1)
            found += [(end - 1, label) for end in ends if lower[end - size : end] == parts]
    return sorted(found)


def _split_folders(name: str) -> tuple[str, ...]:
    """Return the folders of a name given by the user; none for the dot."""
    return tuple(part for part in name.casefold().split("/") if part not in ("", "."))


def _folders_with_class_words(folders: tuple[str, ...]) -> list[tuple[int, str]]:
    """Return the folders whose words name one class, from the top."""
    classes = [(at, class_in_name(name)) for at, name in enumerate(folders)]
    return [(at, label) for at, label in classes if label in ("real", "fake")]


def _generator_folders(folders: tuple[str, ...]) -> list[tuple[int, str]]:
    """Return the folders that are named after a known generator."""
    names = [(at, find_known_name(name)) for at, name in enumerate(folders)]
    return [(at, "fake") for at, name in names if name not in ("", "none")]


def _list_picture(one: _ClassPlace, options: ListingOptions) -> ListedFile:
    """Return a picture as a row."""
    splits = [split for name in one.folders if (split := parse_split(name))]
    levels = dict(zip(options.levels, _unexplained_levels(one, options), strict=False))
    attributes = {name: value for name, value in levels.items() if name not in _SPECIAL}
    return ListedFile(
        one.path,
        one.label,
        generator="none" if one.label == "real" else _find_generator(one, levels, options),
        group=levels.get("group") or strip_suffix(one.path),
        split=splits[0] if splits else "",
        attributes=attributes,
        video=is_video(one.path),
    )


def _unexplained_levels(one: _ClassPlace, options: ListingOptions) -> list[str]:
    """Return the folders below the class folder without a meaning so far."""
    below = [name for name in one.folders[one.at + 1 :] if not parse_split(name)]
    if "generator" in options.levels:
        return below
    return [name for name in below if not (find_known_name(name) or class_in_name(name))]


def _find_generator(one: _ClassPlace, levels: dict[str, str], options: ListingOptions) -> str:
    """Return the generator of a fake: its level's, a folder's, the user's, or `unknown`.

    The class folder itself is not one: `deepfakes` next to `real` may hold fakes of any kind.
    """
    if asked := levels.get("generator"):
        return canonical_name(asked)
    others = [
        name for at, name in enumerate(one.folders) if at != one.at or not is_class_word(name)
    ]
    found = [
        name for folder in reversed(others) if (name := find_known_name(folder)) not in ("", "none")
    ]
    return found[0] if found else canonical_name(options.generator) or UNKNOWN


def _check_levels(options: ListingOptions) -> None:
    """Reject names of levels that are repeated or reserved for the manifest."""
    for name in options.levels:
        if name in RESERVED - _SPECIAL or options.levels.count(name) > 1 or not name:
            reason = "is a column of the manifest" if name in RESERVED else "is repeated"
            raise UsageError(f"--levels: {name!r} {reason}; choose another name")
    if canonical_name(options.generator) == "none" and not options.real:
        raise UsageError("--generator none means real; use --real NAME of the folder instead")


def _refuse_unknown_folders(tree: Tree, options: ListingOptions) -> None:
    """Reject options that do not name a folder with a picture."""
    folders = {path.rpartition("/")[0] for path in tree.media}
    present = {f"/{folder.casefold()}/" for folder in folders}
    for option, names in (("real", options.real), ("fake", options.fake)):
        for name in names:
            asked = "".join(f"/{part}" for part in _split_folders(name)) + "/"
            if not any(asked in folder for folder in present):
                known_names = sorted({part for folder in folders for part in folder.split("/")})
                close = did_you_mean(name, known_names)
                raise UsageError(
                    f"--{option} {name}: no folder of that name has a picture{close or '.'} "
                    f"Folders: {describe_folders(tree.media)}"
                )


def _refuse_unclear(
    source: Path, unclear: list[str], clear: list[_ClassPlace], options: ListingOptions, tree: Tree
) -> None:
    """Reject folders that name neither class, or both; pictures above class folders are allowed."""
    above = {one.folders[:depth] for one in clear for depth in range(one.at + 1)}
    lost = [path for path in unclear if tuple(path.split("/")[:-1]) not in above]
    if not lost or options.real or options.fake:
        return
    raise UsageError(
        f"{to_printable(str(source))}: the names of these folders contain neither real nor "
        "fake, or "
        f"both: {describe_folders(lost)}; use --real NAME --fake NAME{_advice(tree)}"
    )


def _advice(tree: Tree) -> str:
    """Return advice to use a more specific layout of this folder, or an empty string."""
    other = suggest_layout(tree)
    return f"; the layout {other} fits it" if other not in ("", "class-folders") else ""


def _refuse_empty(
    source: Path, clear: list[_ClassPlace], options: ListingOptions, tree: Tree
) -> None:
    """Reject a class without a picture, unless the user named only the other class."""
    given = {label for label in ("real", "fake") if getattr(options, label)}
    missing = {"real", "fake"} - {one.label for one in clear}
    if missing and given != {"real", "fake"} - missing:
        label = min(missing)
        other = "fake" if label == "real" else "real"
        raise ManifestError(
            f"{to_printable(str(source))}: empty class: no picture is {label}, found "
            f"{describe_tree(tree)}; if that is intended, use only --{other} NAME of the folder"
            f"{_advice(tree)}"
        )


def _polarity_notes(clear: list[_ClassPlace]) -> Iterator[Note]:
    """Yield the folders of each class."""
    for label in ("real", "fake"):
        counts = Counter(
            one.folders[one.at] if one.at >= 0 else "." for one in clear if one.label == label
        )
        if folders := [f"{name!r} ({count} files)" for name, count in counts.most_common()]:
            yield Note(f"{label}: folders {', '.join(folders)}")


def _unused_level_notes(clear: list[_ClassPlace], options: ListingOptions) -> Iterator[Note]:
    """Yield a note if folders below the classes have no meaning."""
    deep = [one for one in clear if len(_unexplained_levels(one, options)) > len(options.levels)]
    if deep:
        shown = _unexplained_levels(deep[0], options)[len(options.levels)]
        yield Note(
            f"{len(deep)} files are in further folders, such as {shown!r}, without a meaning so "
            "far; --levels names them from the top ('group': pictures that must stay together)"
        )
