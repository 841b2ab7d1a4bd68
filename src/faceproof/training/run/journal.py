"""`TrainingJournal`: writes training metrics to metrics.jsonl, terminal, TensorBoard and page."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from faceproof.errors import MissingExtraError
from faceproof.messages import ignore_message
from faceproof.reports import charts, training_page
from faceproof.reports.training_log import SCORE, read_history, read_run
from faceproof.runs import RunFolder

_TAGS = {
    "loss": "loss/training",
    "validation_loss": "loss/validation",
    "accuracy": "accuracy/training",
    "validation_accuracy": "accuracy/validation",
    "attacked_accuracy": "accuracy/attacked",
    "validation_auc": "auc/validation",
    "learning_rate": "schedule/learning_rate",
    "pictures_per_second": "speed/pictures_per_second",
}
"""A metric's name and its TensorBoard tag, grouped by prefix."""


class Scalars:
    """Writes TensorBoard metrics by step to a folder; does nothing without TensorBoard.

    ``first_step`` is the first step to write: TensorBoard then hides entries of a killed run for
    this step and later ones.
    """

    def __init__(self, folder: Path, *, first_step: int) -> None:
        self._writer = _make_writer(folder, first_step)

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Write the metrics of a step and flush them to disk.

        Raises:
            OSError: for example, the disk is full.
        """
        if self._writer is None:
            return
        for name, value in values.items():
            self._writer.add_scalar(_TAGS.get(name, name), value, step)
        self._writer.flush()

    def close(self) -> None:
        """Flush and close the writer."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None


def _make_writer(folder: Path, first_step: int) -> Any:
    """Return torch's writer, None without TensorBoard."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    resumed = folder.exists() and any(folder.iterdir())
    return SummaryWriter(folder, purge_step=first_step if resumed else None)


Progress = Callable[[str], None]

_SIGNIFICANT = 6


@dataclass(frozen=True)
class Moment:
    """Progress of a training, as shown by a live display."""

    step: int
    steps: int
    loss: float | None = None
    accuracy: float | None = None
    pictures_per_second: float | None = None
    seconds_left: float | None = None
    best_step: int | None = None
    best_score: float | None = None
    validation: Mapping[str, float] = field(default_factory=dict)


@runtime_checkable
class _Display(Protocol):
    """A progress callback with a live block below the reported lines."""

    def __call__(self, text: str) -> None:
        """Print a permanent line."""

    def show(self, moment: Moment) -> None:
        """Update the live block."""

    def hide(self) -> None:
        """Remove the live block."""


class TrainingJournal:
    """Stores and reports the metrics of a training; only the first process shows them.

    If ``progress`` is a `_Display`, the loss is updated in its live block; otherwise every call of
    `record_step` prints a line. A resumed run writes to the same files. ``run.html`` is written at
    every validation, and with ``curves.png`` at the end.
    """

    def __init__(self, run: RunFolder, progress: Progress, *, steps: int, show: bool) -> None:
        self._run = run
        self._writes = show
        self._tell = progress if show else ignore_message
        self._display = progress if show and isinstance(progress, _Display) else None
        self._moment = Moment(step=0, steps=steps)
        self._scalars: Scalars | None = None
        self._begun = False
        self._given_up: set[str] = set()
        if show:
            _end_torn_line(run.path / "metrics.jsonl")

    def record_step(
        self,
        step: int,
        *,
        loss: float,
        accuracy: float,
        pictures_per_second: float,
        seconds_left: float,
        rate: float,
    ) -> None:
        """Store and report the training metrics up to a step."""
        self._update_display(
            step,
            loss=loss,
            accuracy=accuracy,
            pictures_per_second=pictures_per_second,
            seconds_left=seconds_left,
        )
        self._store(
            step,
            loss=round(loss, 5),
            accuracy=round(accuracy, 5),
            pictures_per_second=round(pictures_per_second, 2),
            learning_rate=float(f"{rate:.{_SIGNIFICANT}g}"),
        )
        if self._display is None:
            left = timedelta(seconds=round(seconds_left))
            self._tell(
                f"step {step}/{self._moment.steps}: loss {loss:.4f}, accuracy {accuracy:.4f}, "
                f"{pictures_per_second:.1f} pictures/s, {left} left"
            )

    def advance(self, step: int) -> None:
        """Update the live display without storing; cheap enough for every step."""
        if self._display is not None:
            self._update_display(step)

    def record_validation(self, step: int, values: Mapping[str, float], *, best: bool) -> None:
        """Store and report the metrics of a validation, and whether it is the best so far."""
        self._begin(step)
        if best:
            self._moment = replace(self._moment, best_step=step, best_score=values[SCORE])
        self._update_display(step, validation=dict(values))
        marked = {"best": True} if best else {}
        self._store(step, **{name: round(value, 5) for name, value in values.items()}, **marked)
        figures = ", ".join(f"{_metric_words(name)} {value:.4f}" for name, value in values.items())
        self._tell(f"step {step}: validation {figures}; {self._compare_with_best(step)}")
        if self._writes:
            self._try(training_page.FILE, lambda: training_page.write(self._run.path))

    def note(self, text: str) -> None:
        """Store and report a note."""
        if self._writes:
            self._log(self._moment.step or read_history(self._run.path).step, note=text)
        self._tell(text)

    def close(self) -> None:
        """Restore the terminal and complete the files; also after an error."""
        if self._display is not None:
            self._display.hide()
        if self._scalars is not None:
            self._scalars.close()
            self._scalars = None
        if self._writes:
            self._try(charts.FILE, self._draw)
            self._try(training_page.FILE, lambda: training_page.write(self._run.path))

    def _update_display(self, step: int, **changes: object) -> None:
        """Update the live display."""
        self._begin(step)
        self._moment = replace(self._moment, step=step, **changes)  # type: ignore[arg-type]
        if self._display is not None:
            self._display.show(self._moment)

    def _begin(self, step: int) -> None:
        """Load the metrics that an earlier start wrote before this step."""
        if self._begun:
            return
        self._begun = True
        if found := read_history(self._run.path).best(before=step):
            score = found.get(SCORE)
            self._moment = replace(self._moment, best_step=found["step"], best_score=score)

    def _store(self, step: int, **values: float) -> None:
        """Append to ``metrics.jsonl`` and to TensorBoard's file, in the first process only."""
        if not self._writes:
            return
        self._log(step, **values)
        figures = {name: value for name, value in values.items() if name != "best"}
        self._try("tensorboard", lambda: self._add(step, figures))

    def _log(self, step: int, **values: object) -> None:
        """Append to ``metrics.jsonl``.

        Raises:
            TrainingError: the disk is full.
        """
        try:
            self._run.log(step=step, **values)
        except OSError:
            # Imported late: it imports torch, which a journal does not need.
            from faceproof.training.run.checkpoint import convert_disk_errors

            with convert_disk_errors(self._run.path):
                raise

    def _add(self, step: int, figures: Mapping[str, float]) -> None:
        if self._scalars is None:
            self._scalars = Scalars(self._run.path / "tensorboard", first_step=step)
        self._scalars.add(step, figures)

    def _draw(self) -> None:
        name = training_page.title(read_run(self._run.path))
        charts.write(self._run.path, title=name)

    def _try(self, what: str, write: Callable[[], object]) -> None:
        """Write an optional file; report a failure once."""
        if what in self._given_up:
            return
        try:
            write()
        except (MissingExtraError, OSError) as error:
            self._given_up.add(what)
            self._tell(f"{what} is not written: {error}")

    def _compare_with_best(self, step: int) -> str:
        """Return a comparison of a validation with the best one."""
        best = self._moment
        if best.best_score is None or best.best_step == step:
            return "the best so far"
        return f"best {best.best_score:.4f} at step {best.best_step}"


def _end_torn_line(path: Path) -> None:
    """Terminate a truncated last line, so that the next one starts on its own line."""
    if path.exists() and not path.read_bytes().endswith(b"\n"):
        with path.open("ab") as lines:
            lines.write(b"\n")


def _metric_words(name: str) -> str:
    """Return a metric's name as reported after the word "validation".

    >>> _metric_words("validation_auc"), _metric_words("validation_loss"), _metric_words(
    ...     "attacked_accuracy"
    ... )
    ('AUC', 'loss', 'attacked accuracy')
    """
    return name.removeprefix("validation_").replace("_", " ").replace("auc", "AUC")
