"""`Item`, a picture to check, wherever it is; `SeenIndex`, which pictures were listed or judged."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b

from faceproof.errors import SourceError
from faceproof.sources import RefusedSource, to_printable

#: Between a container and its member in the name of a picture: ``shard.tar::0001.jpg``.
MEMBER = "::"
_IDENTITY_BYTES = 16


@dataclass(frozen=True, slots=True)
class Item:
    """A picture to check: a file, a part of a file, bytes, or a source that cannot be read.

    ``source`` is its name in the result, and ``path`` the file or address that it is read from.
    ``offset`` is where it begins in an archive; None: the file is the picture. ``data`` are its
    bytes if they were read with the list, from a compressed archive or a table. ``size`` is in
    bytes, and ``modified_ns`` the file's time of modification, if they are known. ``error`` is the
    code and message of an item that was refused.
    """

    source: str
    path: str
    offset: int | None = None
    size: int | None = None
    modified_ns: int | None = None
    data: bytes | None = field(default=None, repr=False)
    error: tuple[str, str] | None = None
    identity: str = ""

    @classmethod
    def from_file(cls, path: str) -> Item:
        """Return the item of a local file, or of an address that is fetched."""
        try:
            status = os.stat(path)  # noqa: PTH116 (names that pathlib refuses)
        except (OSError, ValueError):
            return cls(to_printable(path), path)
        return cls(to_printable(path), path, size=status.st_size, modified_ns=status.st_mtime_ns)

    @classmethod
    def from_refused(cls, refused: RefusedSource) -> Item:
        """Return the item of a source that was rejected before it was opened."""
        name = to_printable(refused.source)
        return cls(name, name, error=(refused.error.code, str(refused.error)))

    @classmethod
    def from_error(cls, source: str, error: SourceError) -> Item:
        """Return the item of a file or folder that cannot be listed."""
        return cls.from_refused(RefusedSource(source, error))

    def identify(self) -> Item:
        """Return the item with its identity, of name, size and time of modification."""
        facts = (self.source, self.path, self.offset, self.size, self.modified_ns)
        return replace(self, identity=_hash(repr(facts).encode("utf-8", "surrogateescape")))

    def identify_by_content(self, data: bytes) -> Item:
        """Return the item with its bytes and its identity, the hash of the bytes."""
        return replace(self, data=data, identity=_hash(b"content\0" + data))

    @property
    def weight(self) -> int:
        """The item's share of a chunk: 1, and 1 more for each MiB of bytes that it carries."""
        return 1 + len(self.data or b"") // 2**20


def _hash(data: bytes) -> str:
    """Return 32 hexadecimal digits."""
    return blake2b(data, digest_size=_IDENTITY_BYTES).hexdigest()


class SeenIndex:
    """Identities of pictures, in a temporary file of SQLite's, so that memory does not grow.

    The file ends with the process, also when that is killed.
    """

    def __init__(self, identities: Iterable[Sequence[str]] = ()) -> None:
        """Take the identities of pictures that were judged before, in batches."""
        # Listing may run in another thread than the one that made the index, never in two at once.
        self._database = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._database.execute("PRAGMA journal_mode = OFF")
        self._database.execute("PRAGMA synchronous = OFF")
        self._database.execute("CREATE TABLE seen (identity BLOB PRIMARY KEY) WITHOUT ROWID")
        self._database.execute("BEGIN")
        for batch in identities:
            self._database.executemany(
                "INSERT OR IGNORE INTO seen VALUES (?)",
                [(bytes.fromhex(identity),) for identity in sorted(batch)],
            )

    def __contains__(self, identity: str) -> bool:
        """Return whether a picture was listed or judged before."""
        found = self._database.execute(
            "SELECT 1 FROM seen WHERE identity = ?", (bytes.fromhex(identity),)
        )
        return found.fetchone() is not None

    def add(self, identity: str) -> bool:
        """Add a picture, and return whether it was not there before."""
        added = self._database.execute(
            "INSERT OR IGNORE INTO seen VALUES (?)", (bytes.fromhex(identity),)
        )
        return added.rowcount == 1

    def close(self) -> None:
        """Remove the file."""
        self._database.close()
