"""How much one client may take: the generic cell rate algorithm, a token bucket in one number.

A client's number is the moment at which it will have paid for all it took, each unit costing
``interval``. A unit is granted while that moment lies less than ``burst`` intervals ahead, so that
in any time t no more than burst + t / interval are granted. Whole nanoseconds: nothing is rounded.

Source: ITU-T Recommendation I.371 (2004), annex A, "Generic Cell Rate Algorithm".
"""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock

NANOSECONDS = 1_000_000_000
_MINUTE = 60 * NANOSECONDS


@dataclass(frozen=True)
class Taken:
    """What came of asking: granted or not, units left, whole seconds until there is one more."""

    granted: bool
    left: int
    seconds: int


class Rate:
    """Units a minute for each of many clients, ``burst`` of them at once after a pause.

    No more than ``most_clients`` are remembered: the one that has asked for nothing longest is
    forgotten, and starts anew with a full burst. Threads may share it.

    >>> rate = Rate(60, burst=2, clock=lambda: 0)
    >>> [rate.take("a").granted for _ in range(3)], rate.take("b").granted
    ([True, True, False], True)
    """

    def __init__(
        self,
        per_minute: float,
        *,
        burst: int,
        most_clients: int = 100_000,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self.burst = burst
        self.interval = math.ceil(_MINUTE / per_minute)
        self._most, self._clock = most_clients, clock
        self._paid: OrderedDict[str, int] = OrderedDict()
        self._lock = Lock()

    def __len__(self) -> int:
        """Return how many clients are remembered."""
        return len(self._paid)

    @property
    def seconds_to_fill(self) -> int:
        """Whole seconds from nothing left to a full burst."""
        return _seconds(self.burst * self.interval)

    def take(self, client: str) -> Taken:
        """Take one unit, if there is one."""
        with self._lock:
            now = self._clock()
            paid = max(self._paid.pop(client, now), now) + self.interval
            granted = paid - now <= self.burst * self.interval
            if not granted:
                paid -= self.interval
            self._paid[client] = paid
            if len(self._paid) > self._most:
                self._paid.popitem(last=False)
        return self._taken(paid - now, granted=granted)

    def _taken(self, debt: int, *, granted: bool) -> Taken:
        """Return the answer to a client that owes ``debt`` nanoseconds."""
        left = (self.burst * self.interval - debt) // self.interval
        until_more = debt - (self.burst - left - 1) * self.interval
        return Taken(granted, left, max(1, _seconds(until_more)))


def _seconds(nanoseconds: int) -> int:
    """Return whole seconds, rounded up."""
    return -(-nanoseconds // NANOSECONDS)
