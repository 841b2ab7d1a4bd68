"""`FeedbackStore`: feedback in SQLite or PostgreSQL, safe for threads and processes."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, Self

from pydantic import TypeAdapter
from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Engine,
    Float,
    Index,
    Integer,
    MetaData,
    Row,
    String,
    Table,
    Text,
    delete,
    func,
    insert,
    inspect,
    or_,
    select,
    text,
    tuple_,
)
from sqlalchemy.dialects import postgresql, sqlite

from faceproof.errors import FeedbackFullError, FeedbackNotFoundError, FeedbackStoreError
from faceproof.evaluation.feedback import (
    Feedback,
    JudgedBy,
    JudgedFace,
    JudgedPicture,
    from_timestamp,
    to_timestamp,
)
from faceproof.frontends.api.feedback.database import (
    MAX_ROWS,
    OFF,
    WRITES,
    DatabaseAddress,
    FeedbackSettings,
    convert_database_errors,
    make_engine,
    make_private,
    parse_address,
)

VERSION = 1

_METADATA = MetaData()

FEEDBACK = Table(
    "faceproof_feedback",
    _METADATA,
    Column("id", String(32), primary_key=True),
    # Equal for equal feedback: `store.key_of`.
    Column("key", String(64), nullable=False, unique=True),
    # Whole seconds since 1970, UTC.
    Column("received", BigInteger, nullable=False),
    Column("truth", String(4), nullable=False),
    Column("generator", String(64)),
    Column("note", Text),
    Column("face", Integer),
    Column("image_sha256", String(64), nullable=False),
    Column("image_width", Integer),
    Column("image_height", Integer),
    Column("image_format", String(200)),
    Column("verdict", String(6)),
    Column("fake_probability", Float),
    # JSON: box, quality, verdict and probability of each face.
    Column("faces", Text, nullable=False),
    Column("detector_name", String(200), nullable=False),
    Column("detector_version", String(200), nullable=False),
    Column("detector_sha256", String(64), nullable=False),
    Column("operating_point", String(200), nullable=False),
    Index("faceproof_feedback_received", "received", "id"),
    Index("faceproof_feedback_image", "image_sha256"),
)

SCHEMA = Table("faceproof_feedback_schema", _METADATA, Column("version", Integer, nullable=False))

#: Lock for creating the tables: two services may start at once.
_LOCK = text("SELECT pg_advisory_xact_lock(706172011)")


def _make_tables(connection: Connection, *, create: bool) -> None:
    """Create missing tables, and check that their version is supported.

    Raises:
        FeedbackStoreError: a newer faceproof created them, or they are missing without ``create``.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(_LOCK)
    if not inspect(connection).has_table(SCHEMA.name):
        if not create:
            raise FeedbackStoreError("has no feedback tables: use the database of the service")
        _METADATA.create_all(connection)
        connection.execute(insert(SCHEMA).values(version=VERSION))
    version = connection.execute(select(SCHEMA.c.version)).scalar()
    if version != VERSION:
        raise FeedbackStoreError(
            f"has feedback tables of version {version}, this faceproof supports {VERSION}: "
            "install a newer faceproof, or use another database"
        )


_FACES = TypeAdapter(tuple[JudgedFace, ...])


def key_of(feedback: Feedback) -> str:
    """Return a hash that is equal for equal feedback: 64 hexadecimal digits."""
    face = "" if feedback.face is None else str(feedback.face)
    parts = (
        feedback.image.sha256,
        feedback.detector.sha256,
        feedback.operating_point,
        face,
        feedback.truth,
    )
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _feedback_to_row(feedback: Feedback) -> dict[str, Any]:
    """Return feedback as a row of the table."""
    return {
        "id": feedback.id,
        "key": key_of(feedback),
        "received": to_timestamp(feedback.received),
        "truth": feedback.truth,
        "generator": feedback.generator,
        "note": feedback.note,
        "face": feedback.face,
        "image_sha256": feedback.image.sha256,
        "image_width": feedback.image.width,
        "image_height": feedback.image.height,
        "image_format": feedback.image.format,
        "verdict": feedback.verdict,
        "fake_probability": feedback.fake_probability,
        "faces": _FACES.dump_json(feedback.faces).decode(),
        "detector_name": feedback.detector.name,
        "detector_version": feedback.detector.version,
        "detector_sha256": feedback.detector.sha256,
        "operating_point": feedback.operating_point,
    }


def _row_to_feedback(row: Row[Any]) -> Feedback:
    """Return a row of the table as feedback."""
    return Feedback(
        id=row.id,
        received=from_timestamp(row.received),
        truth=row.truth,
        generator=row.generator,
        note=row.note,
        face=row.face,
        image=JudgedPicture(
            sha256=row.image_sha256,
            width=row.image_width,
            height=row.image_height,
            format=row.image_format,
        ),
        verdict=row.verdict,
        fake_probability=row.fake_probability,
        faces=_FACES.validate_json(row.faces),
        detector=JudgedBy(
            name=row.detector_name, version=row.detector_version, sha256=row.detector_sha256
        ),
        operating_point=row.operating_point,
    )


PAGE = 500

#: Both support ON CONFLICT DO NOTHING.
_INSERTS: dict[str, Any] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}


class AddedFeedback(NamedTuple):
    """Id of stored feedback, and whether it is new."""

    id: str
    is_new: bool


class FeedbackStore:
    """Feedback in a database; the first use connects.

    Every method is thread-safe, blocks, and raises `FeedbackStoreError` if the database fails;
    the next call retries.
    """

    def __init__(
        self, at: DatabaseAddress, *, max_rows: int = MAX_ROWS, create: bool = True
    ) -> None:
        self.address = at
        self._max_rows = max_rows
        self._create = create
        self._lock = threading.Lock()
        self._engine: Engine | None = None

    @classmethod
    def open(cls, database: str, *, max_rows: int = MAX_ROWS, create: bool = True) -> Self:
        """Return a connected store; without ``create`` the database must exist.

        Raises:
            UsageError: the address is malformed or its database is not supported.
            FeedbackStoreError: it cannot be opened, or a newer faceproof created it.
        """
        store = cls(parse_address(database), max_rows=max_rows, create=create)
        store.connect()
        return store

    @property
    def is_there(self) -> bool:
        """Whether the database exists; always true for a server."""
        return self.address.file is None or self.address.file.exists()

    def connect(self) -> None:
        """Connect and create missing tables.

        Raises:
            FeedbackStoreError: it cannot be opened, or a newer faceproof created it.
        """
        self._connect_engine()

    def add(self, feedback: Feedback) -> AddedFeedback:
        """Store feedback and return its id; equal feedback is stored once, under its first id.

        Raises:
            FeedbackFullError: the store has reached its limit.
            FeedbackStoreError: the database failed.
        """
        row = _feedback_to_row(feedback)
        with self._transaction(writes=True) as connection:
            known = connection.execute(_select_by_key(row["key"])).scalar()
            if known is not None:
                return AddedFeedback(known, is_new=False)
            self._refuse_when_full(connection)
            new = _INSERTS[connection.dialect.name](FEEDBACK).values(row)
            done = connection.execute(new.on_conflict_do_nothing(index_elements=["key"]))
            if done.rowcount:
                return AddedFeedback(feedback.id, is_new=True)
            # Another process inserted it between the query and the insert.
            return AddedFeedback(
                connection.execute(_select_by_key(row["key"])).scalar_one(), is_new=False
            )

    def get(self, name: str) -> Feedback:
        """Return the feedback with this id.

        Raises:
            FeedbackNotFoundError: there is no such feedback.
        """
        with self._transaction() as connection:
            row = connection.execute(select(FEEDBACK).where(FEEDBACK.c.id == name)).one_or_none()
        if row is None:
            raise FeedbackNotFoundError("no feedback with this id")
        return _row_to_feedback(row)

    def erase(self, name: str) -> int:
        """Delete feedback by id, or by SHA-256 of its picture; return the number deleted.

        Raises:
            FeedbackNotFoundError: there is no such feedback.
        """
        wanted = or_(FEEDBACK.c.id == name, FEEDBACK.c.image_sha256 == name)
        if not (count := self._delete(wanted)):
            raise FeedbackNotFoundError("no feedback with this id")
        return count

    def prune(self, before: datetime) -> int:
        """Delete the feedback received before a time; return the number deleted."""
        return self._delete(FEEDBACK.c.received < to_timestamp(before))

    def count(self) -> int:
        """Return the number of stored feedback entries."""
        with self._transaction() as connection:
            return _count(connection)

    def __iter__(self) -> Iterator[Feedback]:
        """Yield all feedback, the oldest first; no transaction is open between pages."""
        last = (-1, "")
        while rows := self._read_page(last):
            yield from map(_row_to_feedback, rows)
            last = (rows[-1].received, rows[-1].id)

    def close(self) -> None:
        """Close every connection; a later call opens new ones."""
        with self._lock:
            if self._engine is not None:
                self._engine.dispose()
            self._engine = None

    def _read_page(self, after: tuple[int, str]) -> list[Row[Any]]:
        place = FEEDBACK.c.received, FEEDBACK.c.id
        wanted = select(FEEDBACK).where(tuple_(*place) > after).order_by(*place).limit(PAGE)
        with self._transaction() as connection:
            return list(connection.execute(wanted).all())

    def _delete(self, wanted: Any) -> int:
        with self._transaction(writes=True) as connection:
            count = connection.execute(delete(FEEDBACK).where(wanted)).rowcount
        if count and self.address.file is not None:
            self._forget()
        return count

    def _forget(self) -> None:
        """Remove deleted rows from SQLite's journal too, unless a reader holds it."""
        with convert_database_errors(self.address), self._connect_engine().connect() as connection:
            raw = connection.connection.driver_connection
            if raw is not None:
                raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").close()

    def _refuse_when_full(self, connection: Connection) -> None:
        if _count(connection) >= self._max_rows:
            raise FeedbackFullError(
                f"the feedback store is full (limit {self._max_rows:,}): prune it with `faceproof "
                "feedback prune`, or raise the limit"
            )

    @contextmanager
    def _transaction(self, *, writes: bool = False) -> Iterator[Connection]:
        """Yield a connection in a transaction; commit it if nothing is raised."""
        with convert_database_errors(self.address):
            engine = self._connect_engine().execution_options(**{WRITES: writes})
            with engine.begin() as connection:
                yield connection

    def _connect_engine(self) -> Engine:
        """Return the engine of a database with checked tables."""
        with self._lock:
            if self._engine is None:
                self._engine = self._make_tables_and_engine()
            return self._engine

    def _make_tables_and_engine(self) -> Engine:
        if self._create:
            make_private(self.address)
        elif not self.is_there:
            raise FeedbackStoreError(f"feedback database {self.address} not found: no such file")
        engine = make_engine(self.address)
        try:
            with (
                convert_database_errors(self.address),
                engine.execution_options(**{WRITES: True}).begin() as one,
            ):
                _make_tables(one, create=self._create)
        except FeedbackStoreError as error:
            engine.dispose()
            raise _add_address(self.address, error) from error
        return engine


def _add_address(at: DatabaseAddress, error: FeedbackStoreError) -> FeedbackStoreError:
    """Return the error with the database's address in its message."""
    message = str(error)
    return error if str(at) in message else FeedbackStoreError(f"feedback: {at} {message}")


def _select_by_key(key: str) -> Any:
    return select(FEEDBACK.c.id).where(FEEDBACK.c.key == key)


def _count(connection: Connection) -> int:
    return int(connection.execute(select(func.count()).select_from(FEEDBACK)).scalar_one())


_DAY_SECONDS = 24 * 60 * 60.0
_RETRY_SECONDS = 10 * 60.0

_log = logging.getLogger("faceproof.feedback")


def make_store(settings: FeedbackSettings) -> FeedbackStore | None:
    """Return the store of the settings, not connected yet; None if feedback is disabled.

    Raises:
        UsageError: the address is malformed.
        MissingExtraError: the address is PostgreSQL and psycopg is not installed.
    """
    if settings.database == OFF:
        return None
    return FeedbackStore(parse_address(settings.database), max_rows=settings.max_rows)


@asynccontextmanager
async def run_retention(
    store: FeedbackStore | None, settings: FeedbackSettings, *, every: float = _DAY_SECONDS
) -> AsyncIterator[None]:
    """Delete expired feedback while the service runs, then close the store."""
    if store is None:
        yield
        return
    task = asyncio.create_task(_prune_in_loop(store, settings.retention_days, every))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await asyncio.to_thread(store.close)


def prune(store: FeedbackStore, days: int) -> int:
    """Delete feedback older than ``days`` days; return the number deleted."""
    return store.prune(datetime.now(UTC) - timedelta(days=days))


async def _prune_in_loop(store: FeedbackStore, days: int, every: float) -> None:
    """Prune in a loop; after a database error retry sooner."""
    while True:
        await asyncio.sleep(every if await _try_prune(store, days) else min(every, _RETRY_SECONDS))


async def _try_prune(store: FeedbackStore, days: int) -> bool:
    """Prune once; return whether it succeeded."""
    if not store.is_there:  # no feedback yet: do not create a file
        return True
    try:
        count = await asyncio.to_thread(prune, store, days)
    except FeedbackStoreError as error:
        _log.error("old feedback could not be deleted: %s", error)
        return False
    if count:
        _log.info("deleted %d pieces of feedback, older than %d days", count, days)
    return True
