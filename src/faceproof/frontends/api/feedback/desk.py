"""The desk between the event loop and the database: few threads, a short queue, no details out."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

from anyio import CapacityLimiter, to_thread

from faceproof.errors import BusyError, FeedbackOffError, FeedbackStoreError
from faceproof.frontends.api.feedback.engines import CONNECTIONS, PATIENCE_SECONDS
from faceproof.frontends.api.feedback.store import FeedbackStore

MOST_WAITING = 64

_log = logging.getLogger("faceproof.feedback")

T = TypeVar("T")


class Desk:
    """Runs what blocks in threads of its own; None for a store means that feedback is off."""

    def __init__(self, store: FeedbackStore | None) -> None:
        self._store = store
        self._limiter = CapacityLimiter(CONNECTIONS)
        self._here = 0

    async def run(self, work: Callable[[FeedbackStore], T]) -> T:
        """Return what the work returns, done on the store in a thread.

        Raises:
            FeedbackOffError: no feedback is kept.
            BusyError: too many wait for the database.
            FeedbackStoreError: it refused; why stands in the log, and not in the answer.
        """
        store = self._store
        if store is None:
            raise FeedbackOffError("this service keeps no feedback")
        if self._here >= CONNECTIONS + MOST_WAITING:
            raise BusyError("too much feedback at once", retry_after=PATIENCE_SECONDS)
        self._here += 1
        try:
            return await to_thread.run_sync(work, store, limiter=self._limiter)
        except FeedbackStoreError as error:
            _log.error("%s", error)
            raise FeedbackStoreError(
                "feedback cannot be kept or read just now: send it again later"
            ) from None
        finally:
            self._here -= 1
