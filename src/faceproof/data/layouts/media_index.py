"""From what a table calls a picture to the file that is meant."""

from __future__ import annotations

import posixpath
import re
from collections import defaultdict
from collections.abc import Iterable

from faceproof.data.layouts.listing import Problem, without_suffix


class MediaIndex:
    """The pictures and videos below a folder, by path, by name and by name without ending.

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
            for key in {name, without_suffix(name)}:
                self._named[key].append(path)

    def find(self, value: str, *, folder: str, row: int | None = None) -> str | Problem:
        """Return the file that a table in ``folder`` calls ``value``, or why there is none.

        A path counts from the table's folder, then from the source folder, then from any below
        it; a bare name is looked for everywhere. Where no such file is here, one with another
        ending is meant: a frame is called after its video.
        """
        path = relative(value)
        if path is None:
            reason = f"{value!r} leads out of the source folder: write paths relative to it"
            return Problem(value, "path_escapes", reason, row)
        from_table = relative(posixpath.join(folder, path)) or path
        exact = next((place for place in (from_table, path) if place in self._paths), None)
        if exact is not None:
            return exact
        found = self._called(path) or self._called(without_suffix(path))
        if len(found) == 1:
            return found[0]
        if found:
            reason = f"{value!r} is the name of {len(found)} files ({', '.join(found[:3])}): "
            return Problem(value, "ambiguous_name", f"{reason}write the path instead", row)
        return Problem(value, "missing_file", self._missing(value, path), row)

    def _called(self, path: str) -> list[str]:
        """Return the files that this is the whole or the last part of the path of."""
        named = self._named.get(path.rpartition("/")[2], [])
        if "/" not in path:
            return named
        return [one for one in named if f"/{one}".endswith(f"/{path}") or _ends(one, path)]

    def _missing(self, value: str, path: str) -> str:
        """Return why there is no such file, with the one whose name differs in case only."""
        if self._folded is None:
            self._folded = {name.casefold(): paths[0] for name, paths in self._named.items()}
        near = self._folded.get(path.rpartition("/")[2].casefold())
        hint = f" ({near!r} differs in upper and lower case)" if near else ""
        return f"{value!r} is not below the source folder{hint}: bring it there or mend the row"

    def named_after(self, names: Iterable[str]) -> dict[str, list[str]]:
        """Return for each name the files that are it, lie in a folder of it, or begin with it.

        >>> MediaIndex(["x.jpg", "x/1.jpg", "x_2.jpg", "xy.jpg"]).named_after(["x"])
        {'x': ['x.jpg', 'x/1.jpg', 'x_2.jpg']}
        """
        wanted = set(names)
        found: dict[str, list[str]] = {}
        for path in sorted(self._paths):
            folder, _, name = path.rpartition("/")
            stem = without_suffix(name)
            keys = (stem, folder.rpartition("/")[2], re.split(r"[_\-.]", stem)[0])
            if key := next((key for key in keys if key in wanted), None):
                found.setdefault(key, []).append(path)
        return found


def _ends(file: str, path: str) -> bool:
    """Return whether the path of a file ends with this one, but for the ending of its name."""
    return f"/{without_suffix(file)}".endswith(f"/{path}")


def relative(value: str) -> str | None:
    r"""Return the path with forward slashes, or nothing where it leads out of its folder.

    >>> relative("a/../b.jpg"), relative(r"train\x.jpg"), relative("./x.jpg")
    ('b.jpg', 'train/x.jpg', 'x.jpg')
    >>> relative("/etc/x.jpg"), relative("../x.jpg"), relative("C:/x.jpg"), relative("https://x/y")
    (None, None, None, None)
    """
    path = posixpath.normpath(value.replace("\\", "/"))
    outside = path.startswith(("/", "../")) or path == ".."
    return None if outside or re.match(r"[A-Za-z]:|[A-Za-z]+:/", path) else path
