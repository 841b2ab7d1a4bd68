"""`Inputs`: the pictures behind files, folders, patterns, lists, archives, tables and stores."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from typing import BinaryIO, cast

from faceproof.errors import (
    SourceError,
    SourceNotFoundError,
    SourceUnreadableError,
    UnsupportedSourceError,
    UsageError,
)
from faceproof.imaging.decode import DEFAULT_LIMITS
from faceproof.scanning.archives import Container, tar_items
from faceproof.scanning.items import Item
from faceproof.scanning.picture_tables import table_items
from faceproof.sources import (
    PICTURE_SUFFIXES,
    RefusedSource,
    Sources,
    is_address,
    iterate_matches,
    read_error,
    read_names,
    to_printable,
)
from faceproof.stores import StoredFile, is_stored, list_stored, open_stored

#: From the end of a file's name to the kind of its content; anything else is a picture.
KINDS = {
    **dict.fromkeys((".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2"), "archive"),
    ".parquet": "table",
    **dict.fromkeys((".txt", ".lst", ".list"), "list"),
}


def content_kind(path: str) -> str:
    """Return what a file named by the user has: pictures in an archive or table, names, a picture.

    >>> content_kind("shards/0001.tar.gz"), content_kind("set.parquet"), content_kind("a.jpg")
    ('archive', 'table', 'picture')
    """
    name = path.lower()
    return next((kind for suffix, kind in KINDS.items() if name.endswith(suffix)), "picture")


def _never(_: Item) -> bool:
    return False


@dataclass
class Inputs:
    """The items behind names, found while iterating, so that no list is in memory.

    In folders, pictures are found as `Sources` finds them. Archives, Parquet files and lists of
    names are read where they are named or match a pattern. Relative paths in a list or a table are
    those of the working folder. ``is_done`` says of an item whether its bytes are not needed.
    ``skipped`` counts the other files in folders and archives.
    """

    names: Iterable[str]
    column: str | None = None
    is_done: Callable[[Item], bool] = _never
    max_bytes: int = DEFAULT_LIMITS.max_bytes
    skipped: int = field(default=0, init=False)

    def __iter__(self) -> Iterator[Item]:
        """Yield the items, also those of what cannot be listed or opened."""
        for name in self.names:
            yield from self._expand(name, in_list=False)

    def _expand(self, name: str, *, in_list: bool) -> Iterator[Item]:
        """Yield the items behind one name."""
        if is_stored(name):
            try:
                yield from self._expand_stored(name, in_list=in_list)
            except UsageError as wrong:
                if not in_list:
                    raise
                yield Item.from_error(name, UnsupportedSourceError(str(wrong)))
            return
        found = False
        for found, path in ((True, path) for path in iterate_matches(name)):  # noqa: B007
            if os.path.isdir(path):  # noqa: PTH112 (names that pathlib refuses)
                yield from self._below(path)
            else:
                yield from self._open(Item.from_file(path), in_list=in_list)
        if not found:
            error = SourceNotFoundError(f"{to_printable(name)}: nothing matches")
            yield Item.from_error(name, error)

    def _below(self, folder: str) -> Iterator[Item]:
        """Yield the pictures below a local folder."""
        sources = Sources([folder], ordered=False)
        for found in sources:
            if isinstance(found, RefusedSource):
                yield Item.from_refused(found)
            else:
                yield Item.from_file(str(found))
        self.skipped += sources.skipped

    def _expand_stored(self, address: str, *, in_list: bool) -> Iterator[Item]:
        """Yield the items behind an address in a store."""
        for one in list_stored(address):
            if isinstance(one, SourceError):
                yield Item.from_error(address, one)
            elif one.named:
                yield from self._open(_stored_item(one), in_list=in_list)
            elif _is_picture_name(one.address):
                yield _stored_item(one)
            else:
                self.skipped += 1

    def _open(self, item: Item, *, in_list: bool) -> Iterator[Item]:
        """Yield the items in a file, by the end of its name."""
        kind = "picture" if _is_fetched(item.path) else content_kind(item.path)
        if kind == "picture":
            yield item
            return
        opened = partial(open_file, item.path)
        container = Container(item.path, item.size, item.modified_ns, opened)
        if kind == "archive":
            yield from tar_items(container, max_bytes=self.max_bytes, skip=self._skip)
        elif kind == "table":
            yield from table_items(
                container,
                column=self.column,
                max_bytes=self.max_bytes,
                is_done=lambda one: self.is_done(one.identify()),
                expand=partial(self._expand, in_list=True),
            )
        elif in_list:
            message = f"{item.source}: a list in a list; name it on the command line"
            yield Item.from_error(item.path, UnsupportedSourceError(message))
        else:
            yield from self._listed(item)

    def _listed(self, item: Item) -> Iterator[Item]:
        """Yield the items behind the names in a text file, one a line."""
        try:
            with closing(open_file(item.path)) as file:
                for names in read_names(file):
                    for name in names:
                        yield from self._expand(name, in_list=True)
        except (OSError, SourceError) as error:
            yield Item.from_error(item.path, as_source_error(item.source, error))

    def _skip(self) -> None:
        self.skipped += 1


def open_file(path: str) -> BinaryIO:
    """Return a local file, or one in a store, opened for reading at any place.

    Raises:
        OSError, SourceError: it cannot be opened.
    """
    if is_stored(path):
        return open_stored(path)
    return cast("BinaryIO", open(path, "rb"))  # noqa: PTH123 (names that pathlib refuses)


def as_source_error(name: str, error: Exception) -> SourceError:
    """Return an error as one of a source."""
    if isinstance(error, SourceError):
        return error
    if isinstance(error, OSError):
        return read_error(name, error)
    return SourceUnreadableError(f"{to_printable(name)}: {error}")


def _stored_item(file: StoredFile) -> Item:
    name = to_printable(file.address)
    return Item(name, file.address, size=file.size, modified_ns=file.modified_ns)


def _is_picture_name(address: str) -> bool:
    """Return whether a file below a folder of a store has the name of a picture."""
    name = address.rpartition("/")[2]
    suffix = os.path.splitext(name)[1].lower()  # noqa: PTH122 (an address)
    return suffix in PICTURE_SUFFIXES and not name.startswith("._")


def _is_fetched(path: str) -> bool:
    """Return whether `Checker` fetches or reads the source by itself: a URL, a ``data:`` URL."""
    return (is_address(path) and not is_stored(path)) or path[:5].lower() == "data:"
