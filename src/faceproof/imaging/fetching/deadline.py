"""One deadline over all that a fetch does."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from faceproof.errors import FetchTimeoutError


@dataclass(frozen=True)
class Deadline:
    """The moment ``seconds`` after it was made."""

    seconds: float
    _end: float = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_end", time.monotonic() + self.seconds)

    def left(self) -> float:
        """Return the seconds that are left, more than 0.

        Raises:
            FetchTimeoutError: none are.
        """
        left = self._end - time.monotonic()
        if left <= 0:
            raise self.missed()
        return left

    def missed(self) -> FetchTimeoutError:
        """Return the error for a deadline that was not kept."""
        return FetchTimeoutError(
            f"the picture did not arrive within {self.seconds:g} seconds; try again, or save it"
            " and check the file"
        )
