"""What a database says when it cannot, in our words: what is wrong and what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import SQLAlchemyError

from faceproof.errors import FeedbackStoreError
from faceproof.frontends.api.feedback.address import Address

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
