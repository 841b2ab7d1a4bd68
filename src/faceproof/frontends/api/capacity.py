"""Room: how many pictures and bytes the service holds at once, and when to ask again."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from faceproof.errors import BusyError, StoppingError

LONGEST_RETRY = 60
SMOOTHING = 0.1


class Pace:
    """How long the service takes for one picture, from one answer to the next under load."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seconds = 0.1
        self._last: float | None = None

    def answered(self, *, left: int) -> None:
        """Note an answer; ``left`` pictures are still waiting, with none there is no pace."""
        now = self._clock()
        if self._last is not None:
            self._seconds += SMOOTHING * (now - self._last - self._seconds)
        self._last = now if left else None

    def seconds_for(self, pictures: int) -> int:
        """Return whole seconds in which so many pictures will be done, 1 to 60."""
        return min(max(math.ceil(pictures * self._seconds), 1), LONGEST_RETRY)


class Holding:
    """Bytes of one request's body, counted as they arrive."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self.bytes = 0

    def add(self, size: int) -> None:
        """Count bytes that have arrived.

        Raises:
            BusyError: all requests together would hold too many.
        """
        self._room.hold(size)
        self.bytes += size


class Room:
    """Places for pictures and bytes; all of it happens in the event loop's thread."""

    def __init__(self, *, places: int, bytes_: int, pace: Pace | None = None) -> None:
        self._places, self._bytes = places, bytes_
        self._pace = pace or Pace()
        self.waiting = 0
        self.held = 0
        self.closed = False

    @contextmanager
    def holding(self) -> Iterator[Holding]:
        """Give a counter of bytes, which are free again at the end."""
        holding = Holding(self)
        try:
            yield holding
        finally:
            self.held -= holding.bytes

    def hold(self, size: int) -> None:
        """Count bytes, or refuse them."""
        if self.held + size > self._bytes:
            raise self._busy("the service holds as many bytes as it may")
        self.held += size

    def check(self, pictures: int = 1) -> None:
        """Refuse pictures for which there is no place now.

        Raises:
            StoppingError: the service is shutting down.
            BusyError: too many are waiting.
        """
        if self.closed:
            raise StoppingError("the service is shutting down")
        if self.waiting + pictures > self._places:
            raise self._busy(f"{self.waiting} pictures are waiting, and {self._places} may")

    def take(self, pictures: int) -> None:
        """Take places for pictures, each of which is given back with `give_back`."""
        self.check(pictures)
        self.waiting += pictures

    def give_back(self) -> None:
        """Free one place: its picture was answered, or nobody waits for it any more."""
        self.waiting -= 1
        self._pace.answered(left=self.waiting)

    def _busy(self, why: str) -> BusyError:
        return BusyError(
            f"{why}; ask again later", retry_after=self._pace.seconds_for(self.waiting)
        )
