"""How a training went, read from ``metrics.jsonl``: each step once, whatever killed it on the way.

A run that was killed goes on from its last checkpoint and repeats the steps after it. The file is
never rewritten; a line supersedes what stands before it of its own step and of later ones.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Line = dict[str, Any]

SCORE = "validation_auc"
"""The figure that chooses the best step."""


@dataclass(frozen=True)
class Curve:
    """Values of one figure by step; what is no finite number is left out."""

    steps: tuple[int, ...]
    values: tuple[float, ...]

    def __len__(self) -> int:
        return len(self.steps)


@dataclass(frozen=True)
class History:
    """The lines of a run that count, in the order of their steps.

    ``written`` are all lines as they stand in the file. ``superseded`` counts those of steps that
    were repeated, ``unreadable`` those that are no line of a journal (a full disk, a process
    killed while it wrote).
    """

    training: tuple[Line, ...] = ()
    validations: tuple[Line, ...] = ()
    notes: tuple[Line, ...] = ()
    written: tuple[Line, ...] = ()
    superseded: int = 0
    unreadable: int = 0

    @property
    def step(self) -> int:
        """The last step of which anything is known; 0 before the first."""
        return max((int(line["step"]) for line in (*self.training, *self.validations)), default=0)

    def curve(self, name: str) -> Curve:
        """Return a figure by step, of training or of validation as its name says."""
        lines = self.validations if _is_of_validation(name) else self.training
        kept = [line for line in lines if _is_number(line.get(name))]
        steps, values = ([line[key] for line in kept] for key in ("step", name))
        return Curve(tuple(steps), tuple(map(float, values)))

    def best(self, *, before: float = math.inf) -> Line | None:
        """Return the validation that chose ``best.pt``, of those before a step; None before one.

        The loop marks it; in a run of an older version it is the first of the highest AUC.
        """
        seen = [line for line in self.validations if line["step"] < before]
        marked = [line for line in seen if line.get("best")]
        if marked or not (scored := [line for line in seen if _is_number(line.get(SCORE))]):
            return marked[-1] if marked else None
        return max(scored, key=lambda line: (line[SCORE], -line["step"]))


def history(run: Path) -> History:
    """Return what ``metrics.jsonl`` in a run folder tells; empty where there is none."""
    path = run / "metrics.jsonl"
    text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
    lines = [_line(one) for one in text.splitlines() if one.strip()]
    written = tuple(line for line in lines if line is not None)
    notes = tuple(line for line in written if "note" in line)
    kept = _kept([line for line in written if "note" not in line])
    return History(
        training=tuple(line for line in kept if not _validates(line)),
        validations=tuple(line for line in kept if _validates(line)),
        notes=notes,
        written=written,
        superseded=len(written) - len(notes) - len(kept),
        unreadable=len(lines) - len(written),
    )


def _kept(lines: list[Line]) -> list[Line]:
    """Return the lines that no later one supersedes."""
    kept: list[Line] = []
    for line in lines:
        while kept and _supersedes(line, kept[-1]):
            kept.pop()
        kept.append(line)
    return kept


def _line(text: str) -> Line | None:
    """Return a line's values, None for one that is no line of a journal."""
    try:
        line = json.loads(text)
    except ValueError:
        return None
    known = isinstance(line, dict) and type(line.get("step")) is int
    return line if known and line["step"] >= 0 else None


def _supersedes(line: Line, earlier: Line) -> bool:
    """Return whether a later line repeats an earlier one; a step is validated after its loss."""
    if line["step"] != earlier["step"]:
        return bool(line["step"] < earlier["step"])
    return not _validates(line) or _validates(earlier)


def _validates(line: Line) -> bool:
    return any(_is_of_validation(name) for name in line)


def _is_of_validation(name: str) -> bool:
    return name.startswith(("validation_", "attacked_"))


def _is_number(value: object) -> bool:
    return type(value) in {int, float} and math.isfinite(value)  # type: ignore[arg-type]
