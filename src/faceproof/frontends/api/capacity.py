"""`Capacity` limits pictures and bytes in memory; `ThroughputEstimate` says when to retry."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from faceproof.errors import BusyError, StoppingError

LONGEST_RETRY = 60
SMOOTHING = 0.1


class ThroughputEstimate:
    """Estimate of seconds per picture: the interval between responses under load."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seconds = 0.1
        self._last: float | None = None

    def record_answer(self, *, left: int) -> None:
        """Record a response; ``left`` pictures are still waiting (0 resets the estimate)."""
        now = self._clock()
        if self._last is not None:
            self._seconds += SMOOTHING * (now - self._last - self._seconds)
        self._last = now if left else None

    def estimate_seconds(self, pictures: int) -> int:
        """Return the estimated time for this many pictures in whole seconds, 1 to 60."""
        return min(max(math.ceil(pictures * self._seconds), 1), LONGEST_RETRY)


class BodyBudget:
    """Byte counter of one request body, updated as chunks arrive."""

    def __init__(self, capacity: Capacity) -> None:
        self._capacity = capacity
        self.bytes = 0

    def add(self, size: int) -> None:
        """Add received bytes.

        Raises:
            BusyError: all requests together would exceed the limit.
        """
        self._capacity.reserve_bytes(size)
        self.bytes += size


class Capacity:
    """Capacity for pictures and bytes; use it only from the event loop's thread."""

    def __init__(
        self, *, places: int, bytes_: int, throughput: ThroughputEstimate | None = None
    ) -> None:
        self._places, self._bytes = places, bytes_
        self._throughput = throughput or ThroughputEstimate()
        self.waiting = 0
        self.bytes_in_use = 0
        self.closed = False

    @contextmanager
    def open_budget(self) -> Iterator[BodyBudget]:
        """Yield a byte counter; its bytes are released at the end."""
        budget = BodyBudget(self)
        try:
            yield budget
        finally:
            self.bytes_in_use -= budget.bytes

    def reserve_bytes(self, size: int) -> None:
        """Reserve bytes, or raise BusyError."""
        if self.bytes_in_use + size > self._bytes:
            raise self._busy_error("the memory limit for request bodies is reached")
        self.bytes_in_use += size

    def check(self, pictures: int = 1) -> None:
        """Raise an error if there is no capacity for this many pictures.

        Raises:
            StoppingError: the service is shutting down.
            BusyError: the queue is full.
        """
        if self.closed:
            raise StoppingError("the service is shutting down")
        if self.waiting + pictures > self._places:
            raise self._busy_error(
                f"queue full: {self.waiting} pictures are waiting, limit {self._places}"
            )

    def reserve(self, pictures: int) -> None:
        """Reserve capacity for pictures; release each with `release`."""
        self.check(pictures)
        self.waiting += pictures

    def release(self) -> None:
        """Release one place after its picture was answered or cancelled."""
        self.waiting -= 1
        self._throughput.record_answer(left=self.waiting)

    def _busy_error(self, why: str) -> BusyError:
        return BusyError(
            f"{why}; retry later", retry_after=self._throughput.estimate_seconds(self.waiting)
        )
