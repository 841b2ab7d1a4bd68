"""A training as its run folder tells it: ``metrics.jsonl``, and the facts beside its curves.

A run that was killed goes on from its last checkpoint and repeats the steps after it. The file is
never rewritten; a line supersedes what stands before it of its own step and of later ones.
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


Flat = dict[str, str]

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
"""Later than any time of a line."""


@dataclass(frozen=True)
class Start:
    """One start of the training: when, where, and the steps that it logged, also repeated ones."""

    started: str
    where: str
    commit: str
    first: int | None
    last: int | None
    took: timedelta
    changed: tuple[str, ...]


@dataclass(frozen=True)
class Run:
    """All that the page of a run is made of, but for the drawing."""

    name: str
    history: History
    facts: Mapping[str, Any]
    """What ``run.json`` holds of the last start."""
    starts: tuple[Start, ...]
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
        """The hash of the prepared data set, empty where it is not known."""
        return str(self.facts.get("data_sha256") or "")

    @property
    def rows(self) -> Flat:
        """The rows of each split."""
        rows = _section(self.facts, "rows")
        return {split: f"{n:,}" for split, n in rows.items() if isinstance(n, int)}

    @property
    def versions(self) -> Flat:
        """The libraries of the last start."""
        return flat(_section(self.facts, "versions"))

    @property
    def environment(self) -> Flat:
        """The machine, the device and the source code of the last start."""
        return {
            name: _word(self.facts.get(key))
            for key, name in _ENVIRONMENT.items()
            if key in self.facts
        }

    @property
    def steps(self) -> int:
        """The steps of the schedule; 0 where it is not known."""
        found = _section(self.recipe, "schedule").get("steps")
        return found if isinstance(found, int) else 0

    @property
    def stopped_early(self) -> str:
        """The note of early stopping, empty where there is none or the training went on."""
        last = [
            str(line["note"]) for line in self.history.notes if line["step"] >= self.history.step
        ]
        return next((note for note in last if note.startswith("stopped early")), "")

    @property
    def keeps_last(self) -> bool:
        """Whether the last weights become the detector, whatever validation says."""
        return _section(self.recipe, "schedule").get("keep") == "last"

    @property
    def is_done(self) -> bool:
        """Whether the training has come to its end, early or not."""
        return bool(self.stopped_early) or 0 < self.steps <= self.history.step

    @property
    def took(self) -> timedelta:
        """The time of all starts, each to its last logged line."""
        return sum((start.took for start in self.starts), timedelta())

    @property
    def pictures(self) -> int:
        """The training pictures seen on the way to the last logged step."""
        size = _section(self.recipe, "schedule").get("batch_size")
        return self.history.step * size if isinstance(size, int) else 0


def read(folder: Path) -> Run:
    """Return what a run folder holds; what cannot be read there is named in ``faults``."""
    faults: list[str] = []
    run = history(folder)
    starts = [one for one in _json(folder / "run.json", list, faults) if isinstance(one, dict)]
    last = starts[-1] if starts else {}
    return Run(
        name=folder.resolve().name,
        history=run,
        facts=last,
        starts=tuple(_starts(starts, run)),
        started_from=_origin(_json(folder / "started_from.json", dict, faults)),
        bundle=_bundle(folder / "bundle", faults),
        faults=(*faults, *_of_journal(run)),
        files=tuple(name for name in ("curves.png", "tensorboard") if (folder / name).exists()),
    )


def flat(content: Mapping[str, Any], place: str = "") -> Flat:
    """Return dotted keys and their values in words.

    >>> flat({"a": {"b": 1, "c": None}, "d": ["x", 2]})
    {'a.b': '1', 'a.c': 'none', 'd': 'x, 2'}
    """
    found: Flat = {}
    for key, value in content.items():
        name = f"{place}{key}"
        found |= (
            flat(value, f"{name}.")
            if isinstance(value, Mapping) and value
            else {name: _word(value)}
        )
    return found


def _word(value: object) -> str:
    """Return a value as a person would write it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(map(_word, value)) or "none"
    if value is None or value in ({}, ""):
        return "none"
    return str(value)


def _starts(starts: Sequence[dict[str, Any]], run: History) -> Iterator[Start]:
    """Yield every start with the lines that were written until the next one."""
    ends = [*(str(start.get("started", "")) for start in starts[1:]), _NEVER]
    before: Flat = {}
    for start, end in zip(starts, ends, strict=False):
        began = str(start.get("started", ""))
        lines = [line for line in run.written if began <= str(line.get("time", "")) < end]
        now = flat(_section(start, "recipe"))
        yield Start(
            began,
            _where(start),
            str(start.get("commit") or "unknown"),
            lines[0]["step"] if lines else None,
            lines[-1]["step"] if lines else None,
            _between(began, lines),
            tuple(_changes(before, now)) if before else (),
        )
        before = now


def _changes(before: Flat, now: Flat) -> Iterator[str]:
    """Yield the keys of the recipe that differ from those of the start before."""
    for key in sorted(before.keys() | now.keys()):
        old, new = before.get(key, "unset"), now.get(key, "unset")
        if old != new:
            yield f"{key}: {old} \N{RIGHTWARDS ARROW} {new}"


def _where(start: Mapping[str, Any]) -> str:
    """Return the devices of a start in words."""
    count, device = start.get("devices"), start.get("device")
    if not device:
        return "unknown"
    several = (
        f"{count} processes, first on {device}" if isinstance(count, int) and count > 1 else device
    )
    return ", ".join(str(part) for part in (several, start.get("precision")) if part)


def _between(began: str, lines: Sequence[Line]) -> timedelta:
    """Return the time from a start to its last line; none where either is not known."""
    try:
        end = datetime.fromisoformat(str(lines[-1]["time"]))
        return max(end - datetime.fromisoformat(began), timedelta())
    except (IndexError, KeyError, ValueError, TypeError):
        return timedelta()


def _of_journal(run: History) -> Iterator[str]:
    """Yield what is wrong with ``metrics.jsonl``."""
    if run.unreadable:
        yield (
            "Lines of `metrics.jsonl` that cannot be read, and are in no curve: "
            f"{run.unreadable:,}."
        )
    if run.superseded:
        yield (
            "Lines of `metrics.jsonl` of steps that a later start repeated: "
            f"{run.superseded:,}. The curves show the later ones."
        )


def _origin(start: Mapping[str, Any]) -> str:
    """Return the starting weights in words, empty where none are recorded."""
    known = {"name": "{}", "licence": "licence {}", "source": "from {}", "sha256": "SHA-256 {}"}
    return ", ".join(said.format(start[key]) for key, said in known.items() if start.get(key))


def _json(path: Path, kind: type, faults: list[str]) -> Any:
    """Return a file's content, empty where it is missing or of another kind."""
    if not path.exists():
        return kind()
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, OSError):
        content = None
    if not isinstance(content, kind):
        faults.append(f"`{path.name}` cannot be read; what it says is missing here.")
        return kind()
    return content


def _bundle(folder: Path, faults: list[str]) -> Bundle | None:
    """Return the detector that came of the run, None before there is one."""
    if not folder.exists():
        return None
    try:
        return Bundle.read(folder)
    except BundleError as error:
        faults.append(f"The detector in `bundle` cannot be read: {error}")
        return None


def _section(content: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return a table inside of another one, empty where there is none."""
    found = content.get(name)
    return found if isinstance(found, dict) else {}
