"""`Room` limits the pictures and bytes in memory; `Pace` estimates when to retry."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from faceproof.errors import BusyError, StoppingError

LONGEST_RETRY = 60
SMOOTHING = 0.1


class Pace:
    """Estimate of seconds per picture: the interval between responses under load."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seconds = 0.1
        self._last: float | None = None

    def answered(self, *, left: int) -> None:
        """Record a response; ``left`` pictures are still waiting (0 resets the estimate)."""
        now = self._clock()
        if self._last is not None:
            self._seconds += SMOOTHING * (now - self._last - self._seconds)
        self._last = now if left else None

    def seconds_for(self, pictures: int) -> int:
        """Return the estimated time for this many pictures in whole seconds, 1 to 60."""
        return min(max(math.ceil(pictures * self._seconds), 1), LONGEST_RETRY)


class Holding:
    """Byte counter of one request body, updated as chunks arrive."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self.bytes = 0

    def add(self, size: int) -> None:
        """Add received bytes.

        Raises:
            BusyError: all requests together would exceed the limit.
        """
        self._room.hold(size)
        self.bytes += size


class Room:
    """Capacity for pictures and bytes; use it only from the event loop's thread."""

    def __init__(self, *, places: int, bytes_: int, pace: Pace | None = None) -> None:
        self._places, self._bytes = places, bytes_
        self._pace = pace or Pace()
        self.waiting = 0
        self.held = 0
        self.closed = False

    @contextmanager
    def holding(self) -> Iterator[Holding]:
        """Yield a byte counter; its bytes are released at the end."""
        holding = Holding(self)
        try:
            yield holding
        finally:
            self.held -= holding.bytes

    def hold(self, size: int) -> None:
        """Reserve bytes, or raise BusyError."""
        if self.held + size > self._bytes:
            raise self._busy("the memory limit for request bodies is reached")
        self.held += size

    def check(self, pictures: int = 1) -> None:
        """Raise an error if there is no capacity for this many pictures.

        Raises:
            StoppingError: the service is shutting down.
            BusyError: the queue is full.
        """
        if self.closed:
            raise StoppingError("the service is shutting down")
        if self.waiting + pictures > self._places:
            raise self._busy(
                f"queue full: {self.waiting} pictures are waiting, limit {self._places}"
            )

    def take(self, pictures: int) -> None:
        """Reserve capacity for pictures; release each with `give_back`."""
        self.check(pictures)
        self.waiting += pictures

    def give_back(self) -> None:
        """Release one place after its picture was answered or cancelled."""
        self.waiting -= 1
        self._pace.answered(left=self.waiting)

    def _busy(self, why: str) -> BusyError:
        return BusyError(f"{why}; retry later", retry_after=self._pace.seconds_for(self.waiting))
