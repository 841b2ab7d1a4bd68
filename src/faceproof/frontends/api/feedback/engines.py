"""Connections to the database of feedback, with limits on how long anything may take."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event

from faceproof.frontends.api.feedback.address import Address

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
