"""The database of feedback: where it is, how it is connected to, and what its failures mean."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from faceproof.errors import FeedbackStoreError, UsageError
from faceproof.sources import printable
from faceproof.tables import require

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


OFF = "off"
RETENTION_DAYS = 180
MAX_ROWS = 100_000


class FeedbackSettings(BaseModel):
    """How the service keeps feedback; nothing is written before somebody sends some."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    database: str = Field(
        default=DEFAULT,
        min_length=1,
        description="Where feedback is kept: an SQLite file or postgresql:// address; `default` "
        "is a file in the user's data folder, `off` keeps none.",
    )
    retention_days: int = Field(
        default=RETENTION_DAYS,
        ge=1,
        le=36_500,
        description="Days after which feedback is deleted.",
    )
    max_rows: int = Field(
        default=MAX_ROWS, ge=1, description="Feedback kept at most; more is refused with 503."
    )
    keep_notes: bool = Field(
        default=False,
        description="Whether the free text of a note is kept; it may name people.",
    )


PATIENCE_SECONDS = 5
CONNECTIONS = 4

#: An option of a connection: the transaction that begins will write.
WRITES = "faceproof_writes"


def engine_for(address: Address) -> Engine:
    """Return the engine of a database; nothing is connected yet.

    No value that is kept ever stands in an error's words.
    """
    if address.file is None:
        return _postgresql(address)
    engine = create_engine(
        address.url,
        connect_args={"timeout": PATIENCE_SECONDS},
        pool_size=CONNECTIONS,
        max_overflow=0,
        pool_timeout=PATIENCE_SECONDS,
        hide_parameters=True,
    )
    event.listen(engine, "connect", _set_up_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _postgresql(address: Address) -> Engine:
    milliseconds = 1000 * PATIENCE_SECONDS
    limits = f"-c statement_timeout={milliseconds} -c lock_timeout={milliseconds}"
    arguments: dict[str, Any] = {"connect_timeout": PATIENCE_SECONDS, "options": limits}
    return create_engine(
        address.url,
        connect_args={key: said for key, said in arguments.items() if key not in address.url.query},
        pool_size=CONNECTIONS,
        max_overflow=0,
        pool_timeout=PATIENCE_SECONDS,
        pool_pre_ping=True,
        hide_parameters=True,
    )


def _set_up_sqlite(connection: Any, _: object) -> None:
    """Set what SQLite forgets with each connection; transactions are begun by `_begin_sqlite`."""
    connection.isolation_level = None
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "secure_delete = ON"):
        connection.execute(f"PRAGMA {pragma}").close()


def _begin_sqlite(connection: Connection) -> None:
    """Begin as a writer where there will be writing.

    A transaction that turned from reading to writing would be refused at once when another one
    wrote meanwhile; one that begins so waits for its turn.
    """
    writes = connection.get_execution_options().get(WRITES)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


#: From words of SQLite, libpq or SQLAlchemy to ours; the first that is found is told.
WORDS: tuple[tuple[str, str], ...] = (
    ("database is locked", "is held by another program for too long; end that, or try again"),
    ("disk is full", "cannot grow: its disk is full; make room, or prune the feedback"),
    ("disk i/o error", "cannot be read or written: its disk reports an error"),
    ("readonly database", "may not be written to: look at the permissions of file and folder"),
    ("unable to open", "cannot be opened: look at the folder and its permissions"),
    ("not a database", "is no SQLite database: name another file, or move this one away"),
    ("malformed", "is damaged: move it away (a new one is made), and restore what a backup has"),
    ("no such table", "has lost its tables: move it away, and a new one is made"),
    ("password authentication", "refuses the user or the password"),
    ("does not exist", "does not exist, or has lost its tables: create the database"),
    ("permission denied", "refuses the user: grant it the right to create and use tables"),
    ("timeout", "does not answer in time: is the server overloaded or the net slow"),
    ("resolve host", "cannot be reached: no machine has that name"),
    ("connection", "cannot be reached: is the server running, and is the address right"),
)


@contextmanager
def told(address: Address) -> Iterator[None]:
    """Turn the errors of a database into ours, which name the database and no password.

    Raises:
        FeedbackStoreError: whatever the database refused.
    """
    try:
        yield
    except (SQLAlchemyError, OSError) as error:
        raise FeedbackStoreError(f"feedback: {address} {reason(error)}") from error


def reason(error: Exception) -> str:
    """Return in words why a database refused.

    >>> reason(OSError("database is locked"))
    'is held by another program for too long; end that, or try again'
    """
    cause = getattr(error, "orig", None) or error
    said = str(cause).partition("\n")[0]
    return next((words for sign, words in WORDS if sign in said.lower()), f"cannot be used: {said}")
