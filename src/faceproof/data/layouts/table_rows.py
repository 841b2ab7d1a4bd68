"""RowReader: from the rows of a table to listed pictures."""

from __future__ import annotations

import math
import posixpath
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from faceproof.data.generators import canonical_name
from faceproof.data.layouts.listing import (
    UNKNOWN,
    Entry,
    ListedFile,
    ListingOptions,
    ListingProblem,
    Note,
    is_video,
    strip_suffix,
)
from faceproof.data.layouts.table_files import Columns, TableFile
from faceproof.data.layouts.words import class_in_name, parse_split
from faceproof.errors import UsageError
from faceproof.sources import to_printable


class MediaIndex:
    """The pictures and videos below a folder, by path, by name and by name without suffix.

    >>> index = MediaIndex(["a/1.jpg", "b/2.jpg", "c/2.jpg"])
    >>> index.find("1", folder="")
    'a/1.jpg'
    >>> index.find("../1.jpg", folder="").code, index.find("2.jpg", folder="").code
    ('path_escapes', 'ambiguous_name')
    """

    def __init__(self, media: Iterable[str]) -> None:
        self._paths = frozenset(media)
        self._named: dict[str, list[str]] = defaultdict(list)
        self._folded: dict[str, str] | None = None
        for path in sorted(self._paths):
            name = path.rpartition("/")[2]
            for key in {name, strip_suffix(name)}:
                self._named[key].append(path)

    def find(self, value: str, *, folder: str, row: int | None = None) -> str | ListingProblem:
        """Return the file that ``value`` names in a table in ``folder``, or the reason of failure.

        A path is relative to the table's folder, else to the source folder, else to any folder
        below; a bare name is searched everywhere. If there is no such file, one with another suffix
        matches: a frame is named after its video.
        """
        path = relative_path(value)
        if path is None:
            reason = f"{value!r} is outside the source folder: write paths relative to it"
            return ListingProblem(value, "path_escapes", reason, row)
        from_table = relative_path(posixpath.join(folder, path)) or path
        exact = next((place for place in (from_table, path) if place in self._paths), None)
        if exact is not None:
            return exact
        found = self._files_ending_with(path) or self._files_ending_with(strip_suffix(path))
        if len(found) == 1:
            return found[0]
        if found:
            reason = f"{value!r} is the name of {len(found)} files ({', '.join(found[:3])}): "
            return ListingProblem(value, "ambiguous_name", f"{reason}write the path instead", row)
        return ListingProblem(value, "missing_file", self._missing_message(value, path), row)

    def _files_ending_with(self, path: str) -> list[str]:
        """Return the files whose path is or ends with this one."""
        named = self._named.get(path.rpartition("/")[2], [])
        if "/" not in path:
            return named
        return [one for one in named if f"/{one}".endswith(f"/{path}") or _ends_with(one, path)]

    def _missing_message(self, value: str, path: str) -> str:
        """Return the message for a missing file, with the one whose name differs only in case."""
        if self._folded is None:
            self._folded = {name.casefold(): paths[0] for name, paths in self._named.items()}
        near = self._folded.get(path.rpartition("/")[2].casefold())
        hint = f" ({near!r} differs in upper and lower case)" if near else ""
        return f"{value!r} is not below the source folder{hint}: add it or correct the row"

    def files_by_name(self, names: Iterable[str]) -> dict[str, list[str]]:
        """Return for each name the files with it as their name, their folder or their prefix.

        >>> MediaIndex(["x.jpg", "x/1.jpg", "x_2.jpg", "xy.jpg"]).files_by_name(["x"])
        {'x': ['x.jpg', 'x/1.jpg', 'x_2.jpg']}
        """
        wanted = set(names)
        found: dict[str, list[str]] = {}
        for path in sorted(self._paths):
            folder, _, name = path.rpartition("/")
            stem = strip_suffix(name)
            keys = (stem, folder.rpartition("/")[2], re.split(r"[_\-.]", stem)[0])
            if key := next((key for key in keys if key in wanted), None):
                found.setdefault(key, []).append(path)
        return found


def _ends_with(file: str, path: str) -> bool:
    """Return whether the path of a file ends with this one, ignoring the suffix."""
    return f"/{strip_suffix(file)}".endswith(f"/{path}")


def relative_path(value: str) -> str | None:
    r"""Return the path with forward slashes, or None if it is outside its folder.

    >>> relative_path("a/../b.jpg"), relative_path(r"train\x.jpg"), relative_path("./x.jpg")
    ('b.jpg', 'train/x.jpg', 'x.jpg')
    >>> relative_path("/etc/x.jpg"), relative_path("../x.jpg"), relative_path("C:/x.jpg"), relative_path("https://x/y")
    (None, None, None, None)
    """
    path = posixpath.normpath(value.replace("\\", "/"))
    outside = path.startswith(("/", "../")) or path == ".."
    return None if outside or re.match(r"[A-Za-z]:|[A-Za-z]+:/", path) else path


#: Number of first rows without a usable label after which the table is rejected.
_PATIENCE = 1000
_MAGIC = {b"\xff\xd8": ".jpg", b"\x89PNG": ".png", b"GIF8": ".gif", b"BM": ".bmp"}


@dataclass
class RowReader:
    """Reads the rows of one table; iterating yields what they list.

    ``place`` is the table's path below the source, ``split`` the split of rows without one;
    ``used`` collects the listed paths, ``said`` the values that were interpreted as a class.
    """

    table: TableFile
    columns: Columns
    options: ListingOptions
    index: MediaIndex
    place: str
    split: str = ""
    used: set[str] = field(default_factory=set)
    label_counts: Counter[tuple[str, str]] = field(default_factory=Counter)

    def __iter__(self) -> Iterator[Entry]:
        """Yield a listed picture or a Problem for every row.

        Raises:
            UsageError: no label means real or fake.
        """
        yield from _require_listable(self._entries(), self.place)

    def _entries(self) -> Iterator[ListedFile | ListingProblem]:
        """Yield one entry for each row."""
        for row in self.table.rows:
            yield row if isinstance(row, ListingProblem) else self._entry(*row)

    def _entry(self, row: int, values: Mapping[str, Any]) -> ListedFile | ListingProblem:
        """Return the picture of a row."""
        about = {name: self._text(theirs, values) for name, theirs in self.columns.ours.items()}
        found = self._picture(row, values, about)
        if isinstance(found, ListingProblem):
            return found
        path, data = found
        label = self._label(row, path, about)
        if isinstance(label, ListingProblem):
            return label
        split = parse_split(about.get("split", ""))
        if about.get("split") and not split:
            return _unknown_split_problem(path, about["split"], row)
        self.used.add(path)
        attributes = self._attributes(values)
        if data is not None and (name := _read_embedded(values[self.columns.ours["image"]])[0]):
            attributes["original_name"] = name
        generator = "none" if label == "real" else self._generator(about)
        if label == "real" and about.get("generator", "none") not in ("", "none"):
            attributes["table_generator"] = about["generator"]
        return ListedFile(
            path,
            label,
            generator,
            group=about.get("group") or strip_suffix(path),
            split=split or self.split,
            attributes=attributes,
            data=data,
            video=data is None and is_video(path),
        )

    def _picture(
        self, row: int, values: Mapping[str, Any], about: Mapping[str, str]
    ) -> tuple[str, bytes | None] | ListingProblem:
        """Return the path of a row's picture, with its bytes if the table has them."""
        name, data = about.get("path", ""), None
        if "image" in self.columns.ours:
            name, data = _read_embedded(values[self.columns.ours["image"]])
        if data is not None:
            return f"{_strip_table_suffix(self.place)}/{row:07d}{_suffix_of_bytes(data)}", data
        if not name:
            return ListingProblem(self.place, "missing_file", "the row has no picture: add it", row)
        folder = self.place.rpartition("/")[0]
        path = self.index.find(name, folder=folder, row=row)
        return path if isinstance(path, ListingProblem) else (path, None)

    def _label(self, row: int, path: str, about: Mapping[str, str]) -> str | ListingProblem:
        """Return the label that a row's values mean."""
        value = about.get("label", "")
        generator = canonical_name(about.get("generator", "") or self.options.generator)
        if "label" not in about:
            label = "real" if generator == "none" else "fake" if generator else ""
            value = about.get("generator") or generator
        else:
            label = parse_label(value, self.options)
        if not label:
            column = self.columns.ours.get("label", "generator")
            reason = f"{column} {value!r} is neither real nor fake: use --real {value or 'VALUE'}"
            return ListingProblem(
                path, "unknown_label", f"{reason} or --fake {value or 'VALUE'}", row
            )
        if label == "fake" and generator == "none":
            reason = f"label {value!r} is fake, but the generator is 'none': correct the row"
            return ListingProblem(path, "label_conflict", reason, row)
        self.label_counts[label, value] += 1
        return label

    def _generator(self, about: Mapping[str, str]) -> str:
        """Return the generator of a fake."""
        return canonical_name(about.get("generator", "") or self.options.generator) or UNKNOWN

    def _attributes(self, values: Mapping[str, Any]) -> dict[str, str]:
        """Return the other, non-empty columns of a row as text."""
        texts = {name: self._text(col, values) for name, col in self.columns.attributes.items()}
        return {name: text for name, text in texts.items() if text}

    def _text(self, column: str, values: Mapping[str, Any]) -> str:
        """Return a value as text; a class by its name."""
        value = values[column]
        names = self.table.classes.get(column, ())
        if names and isinstance(value, int) and 0 <= value < len(names):
            return names[value]
        return as_text(value)


def polarity_notes(label_counts: Counter[tuple[str, str]]) -> Iterator[Note]:
    """Yield the values of each class.

    >>> [note.message for note in polarity_notes(Counter({("fake", "AI"): 2}))]
    ["fake: values 'AI' (2 rows)"]
    """
    for label in ("real", "fake"):
        values = [
            f"{value!r} ({n} rows)"
            for (of, value), n in sorted(label_counts.items())
            if of == label
        ]
        if values:
            yield Note(f"{label}: values {', '.join(values)}")


def parse_label(value: str, options: ListingOptions) -> str:
    """Return the class of a label value, or ""; numbers and booleans only by the options.

    >>> parse_label("FAKE", ListingOptions()), parse_label("1", ListingOptions())
    ('fake', '')
    >>> parse_label("1", ListingOptions(real=("1",)))
    'real'
    """
    asked = value.strip().casefold()
    for label, names in (("real", options.real), ("fake", options.fake)):
        if asked in {name.strip().casefold() for name in names}:
            return label
    meaning = class_in_name(value, folder=False)
    return meaning if meaning != "both" else ""


def as_text(value: object) -> str:
    """Return a value of a table as text; "" for null and nested values.

    >>> as_text(1.0), as_text(0.25), as_text(True), as_text(None), as_text([1])
    ('1', '0.25', 'true', '', '')
    """
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        whole = str(int(value)) if value.is_integer() else str(value)
        return "" if math.isnan(value) else whole
    return "" if value is None or isinstance(value, list | dict | bytes) else str(value).strip()


def _strip_table_suffix(place: str) -> str:
    """Return the name under which a table's embedded pictures are listed.

    >>> _strip_table_suffix("train/data-00000-of-00001.arrow")
    'train/data-00000-of-00001'
    """
    return place.rpartition(".")[0] or place


def refuse_both(options: ListingOptions) -> None:
    """Reject a name given as both real and fake.

    Raises:
        UsageError: naming it.
    """
    both = {name.casefold() for name in options.real} & {name.casefold() for name in options.fake}
    if both:
        raise UsageError(f"--real and --fake both name {min(both)!r}: it can be only one of them")


def _require_listable(
    entries: Iterator[ListedFile | ListingProblem], place: str
) -> Iterator[ListedFile | ListingProblem]:
    """Yield the entries; raise if none of the first ones can be listed."""
    waiting: list[ListingProblem] = []
    for entry in entries:
        if isinstance(entry, ListedFile):
            yield from waiting
            yield entry
            break
        waiting.append(entry)
        if len(waiting) == _PATIENCE:
            raise _unlistable_error(waiting, place)
    else:
        if waiting and {problem.code for problem in waiting} == {"unknown_label"}:
            raise _unlistable_error(waiting, place)
        yield from waiting
    yield from entries


def _unlistable_error(problems: list[ListingProblem], place: str) -> UsageError:
    """Return the error for a table without a row that can be listed."""
    first = problems[0]
    return UsageError(
        f"{to_printable(place)}: none of the first {len(problems)} rows can be listed; "
        f"row {first.row}: {first.reason}"
    )


def _unknown_split_problem(path: str, value: str, row: int) -> ListingProblem:
    """Return the Problem of an unknown split."""
    reason = f"split {value!r} is not train, validation, calibration or test: correct it, or use "
    return ListingProblem(
        path, "unknown_split", f"{reason}--columns split= to exclude the column", row
    )


def _read_embedded(value: object) -> tuple[str, bytes | None]:
    """Return the name and the bytes of an embedded picture."""
    if isinstance(value, Mapping):
        return str(value.get("path") or ""), value.get("bytes") or None
    return ("", value) if isinstance(value, bytes) and value else (as_text(value), None)


def _suffix_of_bytes(data: bytes) -> str:
    """Return the suffix for the first bytes of a picture."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return ".webp"
    return next((suffix for magic, suffix in _MAGIC.items() if data.startswith(magic)), ".bin")
