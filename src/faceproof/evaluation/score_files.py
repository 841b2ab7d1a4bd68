"""`read_scores`: the scores of another tool, a CSV with the columns path, score and condition."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from faceproof.errors import DataError
from faceproof.sources import decode_text, to_printable

_COLUMNS = {"path", "score", "condition"}


@dataclass(frozen=True)
class ScoreFile:
    """Scores of pictures: any finite numbers that are higher for fakes."""

    scores: dict[tuple[str, str], float]
    """By path and condition; NaN where the tool has none."""

    @property
    def without_score(self) -> int:
        """The number of rows whose score is empty or not finite."""
        return sum(map(math.isnan, self.scores.values()))

    @property
    def are_probabilities(self) -> bool:
        """Whether all scores lie in [0, 1]."""
        return all(0 <= one <= 1 for one in self.scores.values() if not math.isnan(one))


def read_scores(path: Path) -> ScoreFile:
    r"""Return the scores of a CSV in UTF-8 with a header: path, score, and optionally condition.

    Without the column ``condition`` all are `clean`. A score that is empty, NaN or infinite is
    kept as NaN. Paths are those of the manifest, with / or \.

    Raises:
        DataError: the file cannot be read, has other columns, a score that is not a number, or a
            picture twice.
        UsageError: it is not UTF-8.
    """
    shown = to_printable(str(path))
    try:
        text = decode_text(path.read_bytes(), shown)
        rows = csv.DictReader(io.StringIO(text, newline=""), strict=True)
        columns = set(rows.fieldnames or ())
        if not {"path", "score"} <= columns <= _COLUMNS:
            raise DataError(
                f"{shown}: columns are {', '.join(sorted(columns)) or 'missing'}, "
                "expected path, score and optionally condition"
            )
        return ScoreFile(dict(_keyed(rows, shown)))
    except (OSError, csv.Error) as error:
        raise DataError(f"{shown} cannot be read as a CSV of scores: {error}") from error


def _keyed(rows: csv.DictReader[str], shown: str) -> Iterator[tuple[tuple[str, str], float]]:
    seen: dict[tuple[str, str], int] = {}
    for row in rows:
        where = f"{shown}, line {rows.line_num}"
        if None in row or None in row.values():
            raise DataError(f"{where}: the number of cells differs from the header")
        name = row["path"].replace("\\", "/").removeprefix("./")
        key = (name, row.get("condition") or "clean")
        if not name:
            raise DataError(f"{where}: path is empty")
        if key in seen:
            raise DataError(f"{where}: {to_printable(name)} is also in line {seen[key]}")
        seen[key] = rows.line_num
        yield key, _parse(row["score"], where)


def _parse(text: str, where: str) -> float:
    if not text.strip():
        return math.nan
    try:
        score = float(text)
    except ValueError as error:
        raise DataError(f"{where}: score {text[:40]!r} is not a number") from error
    return score if math.isfinite(score) else math.nan
