"""Keeping feedback no longer than was said: old rows go at the start and once a day."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta

from faceproof.errors import FeedbackStoreError
from faceproof.frontends.api.feedback.address import address
from faceproof.frontends.api.feedback.settings import OFF, FeedbackSettings
from faceproof.frontends.api.feedback.store import FeedbackStore

DAY_SECONDS = 24 * 60 * 60.0
RETRY_SECONDS = 10 * 60.0

_log = logging.getLogger("faceproof.feedback")


def store_for(settings: FeedbackSettings) -> FeedbackStore | None:
    """Return the store that settings ask for, not connected yet; None where feedback is off.

    Raises:
        UsageError: the address is none.
        MissingExtraError: it is one of PostgreSQL, and psycopg is not installed.
    """
    if settings.database == OFF:
        return None
    return FeedbackStore(address(settings.database), max_rows=settings.max_rows)


@asynccontextmanager
async def kept(
    store: FeedbackStore | None, settings: FeedbackSettings, *, every: float = DAY_SECONDS
) -> AsyncIterator[None]:
    """Delete what is too old while the service runs, then close the store."""
    if store is None:
        yield
        return
    task = asyncio.create_task(_clean(store, settings.retention_days, every))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await asyncio.to_thread(store.close)


def prune(store: FeedbackStore, days: int) -> int:
    """Delete what was received more than so many days ago, and return how much that was."""
    return store.prune(datetime.now(UTC) - timedelta(days=days))


async def _clean(store: FeedbackStore, days: int, every: float) -> None:
    """Prune for ever; where the database refuses, sooner again."""
    while True:
        await asyncio.sleep(every if await _cleaned(store, days) else min(every, RETRY_SECONDS))


async def _cleaned(store: FeedbackStore, days: int) -> bool:
    """Prune once, and return whether that was possible."""
    if not store.is_there:  # nothing was given yet: no file is made for that
        return True
    try:
        count = await asyncio.to_thread(prune, store, days)
    except FeedbackStoreError as error:
        _log.error("old feedback could not be deleted: %s", error)
        return False
    if count:
        _log.info("deleted %d pieces of feedback, older than %d days", count, days)
    return True
