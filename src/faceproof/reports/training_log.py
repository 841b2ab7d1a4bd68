"""`Run` and `TrainingHistory`: a training run read from its folder, with ``metrics.jsonl``.

A killed run resumes from its last checkpoint and repeats the steps after it. The file is never
rewritten; a line supersedes earlier lines of the same step and of later steps.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from faceproof.detector import Bundle
from faceproof.errors import BundleError

Line = dict[str, Any]

SCORE = "validation_auc"
"""The metric that selects the best step."""


@dataclass(frozen=True)
class Curve:
    """Finite values of one metric by step."""

    steps: tuple[int, ...]
    values: tuple[float, ...]

    def __len__(self) -> int:
        return len(self.steps)


@dataclass(frozen=True)
class TrainingHistory:
    """The valid lines of a run, in the order of steps.

    ``written`` are all lines in the file. ``superseded`` counts those of repeated steps,
    ``unreadable`` those that cannot be parsed (after a full disk, or a process killed while
    writing).
    """

    training: tuple[Line, ...] = ()
    validations: tuple[Line, ...] = ()
    notes: tuple[Line, ...] = ()
    written: tuple[Line, ...] = ()
    superseded: int = 0
    unreadable: int = 0

    @property
    def step(self) -> int:
        """The last logged step; 0 before the first."""
        return max((int(line["step"]) for line in (*self.training, *self.validations)), default=0)

    def curve(self, name: str) -> Curve:
        """Return a metric of training or validation by step."""
        lines = self.validations if _is_of_validation(name) else self.training
        kept = [line for line in lines if _is_number(line.get(name))]
        steps, values = ([line[key] for line in kept] for key in ("step", name))
        return Curve(tuple(steps), tuple(map(float, values)))

    def best(self, *, before: float = math.inf) -> Line | None:
        """Return the validation that selected ``best.pt`` before a step, or None.

        The loop marks it; in runs of older versions it is the first with the highest AUC.
        """
        seen = [line for line in self.validations if line["step"] < before]
        marked = [line for line in seen if line.get("best")]
        if marked or not (scored := [line for line in seen if _is_number(line.get(SCORE))]):
            return marked[-1] if marked else None
        return max(scored, key=lambda line: (line[SCORE], -line["step"]))


def read_history(run: Path) -> TrainingHistory:
    """Return the history in ``metrics.jsonl`` of a run folder; empty without the file."""
    path = run / "metrics.jsonl"
    text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
    lines = [_parse_line(one) for one in text.splitlines() if one.strip()]
    written = tuple(line for line in lines if line is not None)
    notes = tuple(line for line in written if "note" in line)
    kept = _drop_superseded([line for line in written if "note" not in line])
    return TrainingHistory(
        training=tuple(line for line in kept if not _validates(line)),
        validations=tuple(line for line in kept if _validates(line)),
        notes=notes,
        written=written,
        superseded=len(written) - len(notes) - len(kept),
        unreadable=len(lines) - len(written),
    )


def _drop_superseded(lines: list[Line]) -> list[Line]:
    """Return the lines that are not superseded."""
    kept: list[Line] = []
    for line in lines:
        while kept and _supersedes(line, kept[-1]):
            kept.pop()
        kept.append(line)
    return kept


def _parse_line(text: str) -> Line | None:
    """Return a line's values, None if it cannot be parsed."""
    try:
        line = json.loads(text)
    except ValueError:
        return None
    known = isinstance(line, dict) and type(line.get("step")) is int
    return line if known and line["step"] >= 0 else None


def _supersedes(line: Line, earlier: Line) -> bool:
    """Return whether a later line repeats an earlier one; validation follows the loss of a step."""
    if line["step"] != earlier["step"]:
        return bool(line["step"] < earlier["step"])
    return not _validates(line) or _validates(earlier)


def _validates(line: Line) -> bool:
    return any(_is_of_validation(name) for name in line)


def _is_of_validation(name: str) -> bool:
    return name.startswith(("validation_", "attacked_"))


def _is_number(value: object) -> bool:
    return type(value) in {int, float} and math.isfinite(value)  # type: ignore[arg-type]


_Flat = dict[str, str]

_ENVIRONMENT = {
    "python": "Python",
    "system": "system",
    "cpus": "processor cores",
    "device": "device",
    "devices": "processes",
    "precision": "precision",
    "commit": "commit",
}

_NEVER = "9999"
"""Upper bound of the time of a line."""


@dataclass(frozen=True)
class _RunStart:
    """One start of the training: time, machine and logged steps, including repeated ones."""

    started: str
    where: str
    commit: str
    first: int | None
    last: int | None
    took: timedelta
    changed: tuple[str, ...]


@dataclass(frozen=True)
class Run:
    """The content of a run's page, without drawings."""

    name: str
    history: TrainingHistory
    facts: Mapping[str, Any]
    """The entry of the last start in ``run.json``."""
    starts: tuple[_RunStart, ...]
    started_from: str
    bundle: Bundle | None
    faults: tuple[str, ...]
    files: tuple[str, ...]

    @property
    def recipe(self) -> Mapping[str, Any]:
        """The recipe of the last start, with all its defaults."""
        return _section(self.facts, "recipe")

    @property
    def data_sha256(self) -> str:
        """The hash of the prepared data set, empty if unknown."""
        return str(self.facts.get("data_sha256") or "")

    @property
    def rows(self) -> _Flat:
        """Number of rows by split."""
        rows = _section(self.facts, "rows")
        return {split: f"{n:,}" for split, n in rows.items() if isinstance(n, int)}

    @property
    def versions(self) -> _Flat:
        """Library versions of the last start."""
        return flatten(_section(self.facts, "versions"))

    @property
    def environment(self) -> _Flat:
        """Machine, device and source code of the last start."""
        return {
            name: _format_value(self.facts.get(key))
            for key, name in _ENVIRONMENT.items()
            if key in self.facts
        }

    @property
    def steps(self) -> int:
        """Number of steps of the schedule; 0 if unknown."""
        found = _section(self.recipe, "schedule").get("steps")
        return found if isinstance(found, int) else 0

    @property
    def stopped_early(self) -> str:
        """The note of early stopping, empty without one or if the training continued."""
        last = [
            str(line["note"]) for line in self.history.notes if line["step"] >= self.history.step
        ]
        return next((note for note in last if note.startswith("stopped early")), "")

    @property
    def keeps_last(self) -> bool:
        """Whether the detector gets the last weights, independent of validation."""
        return _section(self.recipe, "schedule").get("keep") == "last"

    @property
    def is_done(self) -> bool:
        """Whether the training has ended, early or not."""
        return bool(self.stopped_early) or 0 < self.steps <= self.history.step

    @property
    def took(self) -> timedelta:
        """Total time of all starts, each up to its last logged line."""
        return sum((start.took for start in self.starts), timedelta())

    @property
    def pictures(self) -> int:
        """Number of training pictures seen up to the last logged step."""
        size = _section(self.recipe, "schedule").get("batch_size")
        return self.history.step * size if isinstance(size, int) else 0


def read_run(folder: Path) -> Run:
    """Read a run folder; unreadable parts are listed in ``faults``."""
    faults: list[str] = []
    run = read_history(folder)
    starts = [one for one in _read_json(folder / "run.json", list, faults) if isinstance(one, dict)]
    last = starts[-1] if starts else {}
    return Run(
        name=folder.resolve().name,
        history=run,
        facts=last,
        starts=tuple(_read_starts(starts, run)),
        started_from=_origins(folder / "started_from.json", faults),
        bundle=_read_bundle(folder / "bundle", faults),
        faults=(*faults, *_journal_faults(run)),
        files=tuple(name for name in ("curves.png", "tensorboard") if (folder / name).exists()),
    )


def flatten(content: Mapping[str, Any], place: str = "") -> _Flat:
    """Return dotted keys and their values as text.

    >>> flatten({"a": {"b": 1, "c": None}, "d": ["x", 2]})
    {'a.b': '1', 'a.c': 'none', 'd': 'x, 2'}
    """
    found: _Flat = {}
    for key, value in content.items():
        name = f"{place}{key}"
        found |= (
            flatten(value, f"{name}.")
            if isinstance(value, Mapping) and value
            else {name: _format_value(value)}
        )
    return found


def _format_value(value: object) -> str:
    """Return a value as readable text."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(map(_format_value, value)) or "none"
    if value is None or value in ({}, ""):
        return "none"
    return str(value)


def _read_starts(starts: Sequence[dict[str, Any]], run: TrainingHistory) -> Iterator[_RunStart]:
    """Yield every start with its lines up to the next start."""
    ends = [*(str(start.get("started", "")) for start in starts[1:]), _NEVER]
    before: _Flat = {}
    for start, end in zip(starts, ends, strict=False):
        began = str(start.get("started", ""))
        lines = [line for line in run.written if began <= str(line.get("time", "")) < end]
        now = flatten(_section(start, "recipe"))
        yield _RunStart(
            began,
            _describe_devices(start),
            str(start.get("commit") or "unknown"),
            lines[0]["step"] if lines else None,
            lines[-1]["step"] if lines else None,
            _time_between(began, lines),
            tuple(_changes(before, now)) if before else (),
        )
        before = now


def _changes(before: _Flat, now: _Flat) -> Iterator[str]:
    """Yield the keys of the recipe that differ from those of the start before."""
    for key in sorted(before.keys() | now.keys()):
        old, new = before.get(key, "unset"), now.get(key, "unset")
        if old != new:
            yield f"{key}: {old} \N{RIGHTWARDS ARROW} {new}"


def _describe_devices(start: Mapping[str, Any]) -> str:
    """Return a description of the devices of a start."""
    count, device = start.get("devices"), start.get("device")
    if not device:
        return "unknown"
    several = (
        f"{count} processes, first on {device}" if isinstance(count, int) and count > 1 else device
    )
    return ", ".join(str(part) for part in (several, start.get("precision")) if part)


def _time_between(began: str, lines: Sequence[Line]) -> timedelta:
    """Return the time from a start to its last line; zero if either is unknown."""
    try:
        end = datetime.fromisoformat(str(lines[-1]["time"]))
        return max(end - datetime.fromisoformat(began), timedelta())
    except (IndexError, KeyError, ValueError, TypeError):
        return timedelta()


def _journal_faults(run: TrainingHistory) -> Iterator[str]:
    """Yield the faults of ``metrics.jsonl``."""
    if run.unreadable:
        yield (f"{run.unreadable:,} unreadable lines of `metrics.jsonl` are not in the curves.")
    if run.superseded:
        yield (
            "Lines of `metrics.jsonl` for steps that a later start repeated: "
            f"{run.superseded:,}. The curves show the later ones."
        )


def _origins(path: Path, faults: list[str]) -> str:
    """Return a description of the starting weights and of their own, empty if not recorded."""
    content = _read_json(path, list, faults, or_kind=dict)  # a dict in runs of earlier versions
    starts = [content] if isinstance(content, dict) else content
    described = (_origin(start) for start in starts if isinstance(start, dict))
    return "; ".join(filter(None, described))


def _origin(start: Mapping[str, Any]) -> str:
    """Return a description of one origin."""
    known = {"name": "{}", "licence": "licence {}", "source": "from {}", "sha256": "SHA-256 {}"}
    return ", ".join(
        template.format(start[key]) for key, template in known.items() if start.get(key)
    )


def _read_json(path: Path, kind: type, faults: list[str], *, or_kind: type | None = None) -> Any:
    """Return a file's content, empty if it is missing or of another type."""
    if not path.exists():
        return kind()
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, OSError):
        content = None
    if not isinstance(content, (kind, or_kind or kind)):
        faults.append(f"`{path.name}` cannot be read; its content is missing here.")
        return kind()
    return content


def _read_bundle(folder: Path, faults: list[str]) -> Bundle | None:
    """Return the detector of the run, None before export."""
    if not folder.exists():
        return None
    try:
        return Bundle.read(folder)
    except BundleError as error:
        faults.append(f"The detector in `bundle` cannot be read: {error}")
        return None


def _section(content: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return a nested table, empty if missing."""
    found = content.get(name)
    return found if isinstance(found, dict) else {}
