"""FeedbackStore: feedback kept in SQLite or PostgreSQL, safe for threads and for processes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, NamedTuple, Self

from sqlalchemy import Connection, Engine, Row, delete, func, or_, select, tuple_
from sqlalchemy.dialects import postgresql, sqlite

from faceproof.errors import FeedbackFullError, FeedbackNotFoundError, FeedbackStoreError
from faceproof.evaluation.feedback import Feedback, seconds
from faceproof.frontends.api.feedback.address import Address, address, made_private
from faceproof.frontends.api.feedback.engines import WRITES, engine_for
from faceproof.frontends.api.feedback.failures import told
from faceproof.frontends.api.feedback.rows import feedback_of, row_of
from faceproof.frontends.api.feedback.schema import FEEDBACK, make_tables
from faceproof.frontends.api.feedback.settings import MAX_ROWS

PAGE = 500

#: Both know how to leave a row alone that is there already.
INSERTS: dict[str, Any] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}


class Added(NamedTuple):
    """Under which name feedback is kept, and whether it is new."""

    id: str
    is_new: bool


class FeedbackStore:
    """Feedback in a database, which is connected to at the first use.

    Every method may be called from any thread, blocks, and raises `FeedbackStoreError` where the
    database refuses; the next call tries again.
    """

    def __init__(self, at: Address, *, max_rows: int = MAX_ROWS, create: bool = True) -> None:
        self.address = at
        self._max_rows = max_rows
        self._create = create
        self._lock = threading.Lock()
        self._engine: Engine | None = None

    @classmethod
    def open(cls, database: str, *, max_rows: int = MAX_ROWS, create: bool = True) -> Self:
        """Return the store in a database, connected; without ``create`` it must be there.

        Raises:
            UsageError: no address of a database that we keep feedback in.
            FeedbackStoreError: it cannot be opened, or a newer faceproof made it.
        """
        store = cls(address(database), max_rows=max_rows, create=create)
        store.connect()
        return store

    @property
    def is_there(self) -> bool:
        """Whether the database was made before, as far as its file tells."""
        return self.address.file is None or self.address.file.exists()

    def connect(self) -> None:
        """Connect, and make what is missing.

        Raises:
            FeedbackStoreError: it cannot be opened, or a newer faceproof made it.
        """
        self._connected()

    def add(self, feedback: Feedback) -> Added:
        """Keep feedback, and return its name; the same again is kept once, under its first name.

        Raises:
            FeedbackFullError: there is as much as may be kept.
            FeedbackStoreError: it could not be kept.
        """
        row = row_of(feedback)
        with self._transaction(writes=True) as connection:
            known = connection.execute(_by_key(row["key"])).scalar()
            if known is not None:
                return Added(known, is_new=False)
            self._refuse_when_full(connection)
            new = INSERTS[connection.dialect.name](FEEDBACK).values(row)
            done = connection.execute(new.on_conflict_do_nothing(index_elements=["key"]))
            if done.rowcount:
                return Added(feedback.id, is_new=True)
            # Another process was quicker, between the look and the writing.
            return Added(connection.execute(_by_key(row["key"])).scalar_one(), is_new=False)

    def get(self, name: str) -> Feedback:
        """Return the feedback of this name.

        Raises:
            FeedbackNotFoundError: there is none.
        """
        with self._transaction() as connection:
            row = connection.execute(select(FEEDBACK).where(FEEDBACK.c.id == name)).one_or_none()
        if row is None:
            raise FeedbackNotFoundError("there is no feedback of this name")
        return feedback_of(row)

    def erase(self, name: str) -> int:
        """Delete the feedback of this name, or all on the picture of this SHA-256; return how much.

        Raises:
            FeedbackNotFoundError: there is none.
        """
        wanted = or_(FEEDBACK.c.id == name, FEEDBACK.c.image_sha256 == name)
        if not (count := self._deleted(wanted)):
            raise FeedbackNotFoundError("there is no feedback of this name")
        return count

    def prune(self, before: datetime) -> int:
        """Delete the feedback received before a moment, and return how much that was."""
        return self._deleted(FEEDBACK.c.received < seconds(before))

    def count(self) -> int:
        """Return how much feedback is kept."""
        with self._transaction() as connection:
            return _count(connection)

    def __iter__(self) -> Iterator[Feedback]:
        """Yield all feedback, the oldest first; no transaction is open between pages."""
        last = (-1, "")
        while rows := self._page(last):
            yield from map(feedback_of, rows)
            last = (rows[-1].received, rows[-1].id)

    def close(self) -> None:
        """Close every connection; a later call opens new ones."""
        with self._lock:
            if self._engine is not None:
                self._engine.dispose()
            self._engine = None

    def _page(self, after: tuple[int, str]) -> list[Row[Any]]:
        place = FEEDBACK.c.received, FEEDBACK.c.id
        wanted = select(FEEDBACK).where(tuple_(*place) > after).order_by(*place).limit(PAGE)
        with self._transaction() as connection:
            return list(connection.execute(wanted).all())

    def _deleted(self, wanted: Any) -> int:
        with self._transaction(writes=True) as connection:
            count = connection.execute(delete(FEEDBACK).where(wanted)).rowcount
        if count and self.address.file is not None:
            self._forget()
        return count

    def _forget(self) -> None:
        """Take what was deleted out of SQLite's journal as well, as far as nobody reads it now."""
        with told(self.address), self._connected().connect() as connection:
            raw = connection.connection.driver_connection
            if raw is not None:
                raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").close()

    def _refuse_when_full(self, connection: Connection) -> None:
        if _count(connection) >= self._max_rows:
            raise FeedbackFullError(
                f"the store of feedback is full ({self._max_rows:,}): prune it with `faceproof "
                "feedback prune`, or let it hold more"
            )

    @contextmanager
    def _transaction(self, *, writes: bool = False) -> Iterator[Connection]:
        """Yield a connection in a transaction that is committed where nothing is raised."""
        with told(self.address):
            engine = self._connected().execution_options(**{WRITES: writes})
            with engine.begin() as connection:
                yield connection

    def _connected(self) -> Engine:
        """Return the engine of a database whose tables are ours."""
        with self._lock:
            if self._engine is None:
                self._engine = self._made()
            return self._engine

    def _made(self) -> Engine:
        if self._create:
            made_private(self.address)
        elif not self.is_there:
            raise FeedbackStoreError(f"there is no feedback in {self.address}: no such file")
        engine = engine_for(self.address)
        try:
            with told(self.address), engine.execution_options(**{WRITES: True}).begin() as one:
                make_tables(one, create=self._create)
        except FeedbackStoreError as error:
            engine.dispose()
            raise _naming(self.address, error) from error
        return engine


def _naming(at: Address, error: FeedbackStoreError) -> FeedbackStoreError:
    """Return the error with the database that it is about."""
    said = str(error)
    return error if str(at) in said else FeedbackStoreError(f"feedback: {at} {said}")


def _by_key(key: str) -> Any:
    return select(FEEDBACK.c.id).where(FEEDBACK.c.key == key)


def _count(connection: Connection) -> int:
    return int(connection.execute(select(func.count()).select_from(FEEDBACK)).scalar_one())
