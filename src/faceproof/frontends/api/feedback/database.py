"""`DatabaseAddress` and `make_engine`: location, connection and error messages of the database."""

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
from faceproof.sources import to_printable
from faceproof.tables import require

DEFAULT = "default"
OFF = "off"
FILE = "feedback.sqlite"

_POSTGRES = {"postgres", "postgresql", "postgresql+psycopg"}
_ACCEPTED = "use an SQLite file, sqlite:///FILE or postgresql://USER@HOST/DATABASE"


@dataclass(frozen=True)
class DatabaseAddress:
    """Address of a database; ``file`` is None for a database server."""

    url: URL
    file: Path | None
    is_default: bool = False

    def __str__(self) -> str:
        """Return the address for display, without the password."""
        if self.file is not None:
            return to_printable(str(self.file))
        return self.url.set(query={}).render_as_string(hide_password=True)


def parse_address(database: str) -> DatabaseAddress:
    """Return the address of a database: a path, a URL, or ``default``.

    Raises:
        UsageError: the database is not supported, or the address is malformed.
        MissingExtraError: the address is PostgreSQL and psycopg is not installed.
    """
    if database == OFF:
        raise UsageError(f"feedback is {OFF} and has no database: {_ACCEPTED}, or {DEFAULT}")
    if database == DEFAULT:
        return _file_address(data_folder() / FILE, is_default=True)
    if "://" not in database and not database.startswith("sqlite:"):
        return _file_address(Path(database).expanduser())
    url = _parse_url(database)
    if url.get_backend_name() == "sqlite":
        return _sqlite_address(url)
    if url.drivername not in _POSTGRES:
        raise UsageError(f"feedback database {url.drivername} is not supported: {_ACCEPTED}")
    require("psycopg", extra="postgres")
    return DatabaseAddress(url.set(drivername="postgresql+psycopg"), file=None)


def data_folder() -> Path:
    """Return faceproof's user data folder on this platform."""
    home = Path.home()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local") / "faceproof"
    if sys.platform == "darwin":
        return home / "Library" / "Application Support" / "faceproof"
    return Path(os.environ.get("XDG_DATA_HOME") or home / ".local" / "share") / "faceproof"


def make_private(of: DatabaseAddress) -> None:
    """Create an empty SQLite file readable only by its owner; an existing file is not changed.

    Raises:
        FeedbackStoreError: its folder does not exist or is not writable.
    """
    if of.file is None or of.file.exists():
        return
    try:
        if of.is_default:
            of.file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(of.file, os.O_CREAT | os.O_WRONLY, 0o600))
    except OSError as error:
        remedy = "create its folder, or use another file"
        raise FeedbackStoreError(
            f"{of} cannot be created: {error.strerror or error}; {remedy}"
        ) from error


def _parse_url(database: str) -> URL:
    try:
        return make_url(database)
    except (ArgumentError, ValueError):
        # Do not repeat the address: it may contain a password.
        raise UsageError(f"the database address is malformed: {_ACCEPTED}") from None


def _sqlite_address(url: URL) -> DatabaseAddress:
    if not url.database or url.database == ":memory:" or url.query or url.host:
        raise UsageError("an SQLite address has only a file: use sqlite:///FILE")
    return _file_address(Path(url.database))


def _file_address(file: Path, *, is_default: bool = False) -> DatabaseAddress:
    return DatabaseAddress(URL.create("sqlite", database=str(file)), file, is_default)


RETENTION_DAYS = 180
MAX_ROWS = 100_000


class FeedbackSettings(BaseModel):
    """Storage settings for feedback; the first feedback creates the database."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    database: str = Field(
        default=OFF,
        min_length=1,
        description="Database for feedback: an SQLite file or postgresql:// address; `default` "
        "is a file in the user's data folder, `off` stores no feedback.",
    )
    retention_days: int = Field(
        default=RETENTION_DAYS,
        ge=1,
        le=36_500,
        description="Days after which feedback is deleted.",
    )
    max_rows: int = Field(
        default=MAX_ROWS, ge=1, description="Maximum number of feedback entries; beyond it 503."
    )
    keep_notes: bool = Field(
        default=False,
        description="Store the free text of notes; it may name people.",
    )


PATIENCE_SECONDS = 5
CONNECTIONS = 4

#: Connection option: the next transaction writes.
WRITES = "faceproof_writes"


def make_engine(address: DatabaseAddress) -> Engine:
    """Return the engine of a database, not connected yet.

    Error messages never contain stored values.
    """
    if address.file is None:
        return _make_postgresql_engine(address)
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


def _make_postgresql_engine(address: DatabaseAddress) -> Engine:
    milliseconds = 1000 * PATIENCE_SECONDS
    limits = f"-c statement_timeout={milliseconds} -c lock_timeout={milliseconds}"
    arguments: dict[str, Any] = {"connect_timeout": PATIENCE_SECONDS, "options": limits}
    return create_engine(
        address.url,
        connect_args={
            key: value for key, value in arguments.items() if key not in address.url.query
        },
        pool_size=CONNECTIONS,
        max_overflow=0,
        pool_timeout=PATIENCE_SECONDS,
        pool_pre_ping=True,
        hide_parameters=True,
    )


def _set_up_sqlite(connection: Any, _: object) -> None:
    """Set the pragmas of a new connection; `_begin_sqlite` begins the transactions."""
    connection.isolation_level = None
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "secure_delete = ON"):
        connection.execute(f"PRAGMA {pragma}").close()


def _begin_sqlite(connection: Connection) -> None:
    """Begin with a write lock if the transaction will write.

    SQLite rejects an upgrade from reading to writing at once if another transaction wrote
    meanwhile; a transaction that begins with the lock waits instead.
    """
    writes = connection.get_execution_options().get(WRITES)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


#: From messages of SQLite, libpq or SQLAlchemy to ours; the first match is used.
WORDS: tuple[tuple[str, str], ...] = (
    ("database is locked", "is locked by another program: stop it, or retry"),
    ("disk is full", "cannot grow: disk full; free space, or prune the feedback"),
    ("disk i/o error", "cannot be read or written: its disk reports an error"),
    ("readonly database", "is read-only: check the permissions of file and folder"),
    ("unable to open", "cannot be opened: check the folder and its permissions"),
    ("not a database", "is not an SQLite database: use another file, or move this one away"),
    ("malformed", "is corrupt: move it away (a new one is created), and restore a backup"),
    ("no such table", "has no tables: move it away, and a new one is created"),
    ("password authentication", "rejected the user or the password"),
    ("does not exist", "does not exist or has no tables: create the database"),
    ("permission denied", "denied permission: grant the user the right to create and use tables"),
    ("timeout", "timed out: check the server's load and the network"),
    ("resolve host", "cannot be reached: unknown host name"),
    ("connection", "cannot be reached: check that the server runs and that the address is right"),
)


@contextmanager
def convert_database_errors(address: DatabaseAddress) -> Iterator[None]:
    """Translate database errors into ours, which name the database without its password.

    Raises:
        FeedbackStoreError: the database raised an error.
    """
    try:
        yield
    except (SQLAlchemyError, OSError) as error:
        raise FeedbackStoreError(f"feedback: {address} {_describe_reason(error)}") from error


def _describe_reason(error: Exception) -> str:
    """Return a message for a database error.

    >>> _describe_reason(OSError("database is locked"))
    'is locked by another program: stop it, or retry'
    """
    cause = getattr(error, "orig", None) or error
    message = str(cause).partition("\n")[0]
    return next(
        (words for sign, words in WORDS if sign in message.lower()), f"cannot be used: {message}"
    )
