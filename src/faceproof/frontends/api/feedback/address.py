"""Where feedback is kept: an SQLite file, by its path or URL, or a PostgreSQL database."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from faceproof.errors import FeedbackStoreError, UsageError
from faceproof.networks.requirements import require
from faceproof.sources import printable

DEFAULT = "default"
FILE = "feedback.sqlite"

_POSTGRES = {"postgres", "postgresql", "postgresql+psycopg"}
_ACCEPTED = "name an SQLite file, sqlite:///FILE or postgresql://USER@HOST/DATABASE"


@dataclass(frozen=True)
class Address:
    """A database; ``file`` is None where a server keeps it."""

    url: URL
    file: Path | None
    is_default: bool = False

    def __str__(self) -> str:
        """Return the address as it may be shown, without a password."""
        if self.file is not None:
            return printable(str(self.file))
        return self.url.set(query={}).render_as_string(hide_password=True)


def address(database: str) -> Address:
    """Return the address of a database: a path, a URL, or ``default``.

    Raises:
        UsageError: another kind of database, or no address at all.
        MissingExtraError: PostgreSQL, and psycopg is not installed.
    """
    if database == DEFAULT:
        return _of_file(data_folder() / FILE, is_default=True)
    if "://" not in database and not database.startswith("sqlite:"):
        return _of_file(Path(database).expanduser())
    url = _url(database)
    if url.get_backend_name() == "sqlite":
        return _of_sqlite(url)
    if url.drivername not in _POSTGRES:
        raise UsageError(f"feedback is not kept in {url.drivername}: {_ACCEPTED}")
    require("psycopg", extra="postgres")
    return Address(url.set(drivername="postgresql+psycopg"), file=None)


def data_folder() -> Path:
    """Return the folder in which the platform keeps a user's data of faceproof."""
    home = Path.home()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local") / "faceproof"
    if sys.platform == "darwin":
        return home / "Library" / "Application Support" / "faceproof"
    return Path(os.environ.get("XDG_DATA_HOME") or home / ".local" / "share") / "faceproof"


def made_private(of: Address) -> None:
    """Make the file of an SQLite database, empty, for its owner alone; one that is there stays.

    Raises:
        FeedbackStoreError: its folder does not exist, or may not be written to.
    """
    if of.file is None or of.file.exists():
        return
    try:
        if of.is_default:
            of.file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(of.file, os.O_CREAT | os.O_WRONLY, 0o600))
    except OSError as error:
        remedy = "make its folder first, or name another file"
        raise FeedbackStoreError(
            f"{of} cannot be made: {error.strerror or error}; {remedy}"
        ) from error


def _url(database: str) -> URL:
    try:
        return make_url(database)
    except (ArgumentError, ValueError):
        # The words of such an address are not repeated: a password may be among them.
        raise UsageError(f"the address of the database cannot be read: {_ACCEPTED}") from None


def _of_sqlite(url: URL) -> Address:
    if not url.database or url.database == ":memory:" or url.query or url.host:
        raise UsageError("an SQLite database is named by its file alone: sqlite:///FILE")
    return _of_file(Path(url.database))


def _of_file(file: Path, *, is_default: bool = False) -> Address:
    return Address(URL.create("sqlite", database=str(file)), file, is_default)
