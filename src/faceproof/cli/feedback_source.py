"""Where a command reads feedback from: a file of JSON Lines, or the database of a service."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from faceproof.evaluation.feedback import Feedback
    from faceproof.frontends.api.feedback.store import FeedbackStore

JSON_LINES = ".jsonl"


def read(name: str) -> tuple[Feedback, ...]:
    """Return the feedback of a .jsonl file, or of a database.

    Raises:
        DataError: the file cannot be read, or a line is no feedback.
        FeedbackStoreError: the database cannot be read.
    """
    if name.endswith(JSON_LINES):
        from faceproof.evaluation.feedback import read_feedback

        return read_feedback(Path(name))
    with closing(opened(name)) as store:
        return tuple(store)


def opened(database: str) -> FeedbackStore:
    """Return the store in a database, which must be there.

    Raises:
        MissingExtraError: the service is not installed.
        FeedbackStoreError: there is none, or it cannot be opened.
    """
    from faceproof.networks.requirements import require

    require("sqlalchemy", "fastapi", "pydantic_settings", extra="serve")
    from faceproof.frontends.api.feedback.store import FeedbackStore

    return FeedbackStore.open(database, create=False)


def shown(database: str) -> str:
    """Return how a source of feedback is named in a report, without a password."""
    if "://" not in database:
        return database
    from faceproof.frontends.api.feedback.address import address

    return str(address(database))
