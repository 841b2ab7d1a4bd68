"""What a run of `check` comes to: counts, a line of summary and the exit code."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING

from faceproof.cli.exits import ALL_CHECKED, FOUND, NOT_ALL_CHECKED

if TYPE_CHECKING:
    from faceproof.checker import Checker
    from faceproof.results import CheckResult

#: With --fail-on, the verdicts that end in exit code 3.
FAIL_ON: dict[str, frozenset[str]] = {
    "fake": frozenset({"fake"}),
    "unsure": frozenset({"fake", "unsure"}),
}


class Tally:
    """Counts of pictures by verdict, or by why there is none."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._started = time.perf_counter()

    def add(self, result: CheckResult) -> None:
        """Count one result."""
        self.counts[outcome(result)] += 1

    def exit_code(self, fail_on: frozenset[str] = frozenset()) -> int:
        """Return 3 where a verdict of ``fail_on`` was given, else 1 after an error, else 0."""
        if any(self.counts[verdict] for verdict in fail_on):
            return FOUND
        return NOT_ALL_CHECKED if self.counts["error"] else ALL_CHECKED

    def summary(self, checker: Checker, *, skipped: int) -> str:
        """Return the two lines that end a run: the counts, and the promise behind them."""
        total, seconds = self.counts.total(), time.perf_counter() - self._started
        words = ("real", "fake", "unsure", "no face")
        counted = ", ".join(f"{self.counts[word]} {word}" for word in words)
        lines = [
            f"{counting(total, 'source')}: {counted}, {counting(self.counts['error'], 'error')}",
            f" in {seconds:.1f} s",
            f" ({counting(skipped, 'other file')} skipped)" if skipped else "",
        ]
        spec, point = checker.detector.spec, checker.operating_point
        return "".join(lines) + f"\n{spec.name} {spec.version}, {point.name}: {point.promise}"


def outcome(result: CheckResult) -> str:
    """Return the result in a word or two: its verdict, `no face` or `error`."""
    return result.verdict or {"no_face": "no face"}.get(result.status, result.status)


def counting(count: int, noun: str) -> str:
    """Return a count with its noun.

    >>> counting(1, "error"), counting(2, "error")
    ('1 error', '2 errors')
    """
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
