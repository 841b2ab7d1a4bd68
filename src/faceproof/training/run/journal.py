"""The journal of a training: metrics.jsonl, terminal, TensorBoard and page are told the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from faceproof.errors import MissingExtraError
from faceproof.messages import silent
from faceproof.reports import charts, training_page
from faceproof.reports.training_log import SCORE, history, read
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
"""A figure's name and its tag; figures of one group stand together."""


class Scalars:
    """Writes figures by step into a folder; writes nothing where TensorBoard is not installed.

    ``first_step`` is the first that will be written: TensorBoard then hides what a killed run
    left of this step and of later ones.
    """

    def __init__(self, folder: Path, *, first_step: int) -> None:
        self._writer = _writer(folder, first_step)

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Write the figures of a step; they are on disk when this returns.

        Raises:
            OSError: the disk is full, say.
        """
        if self._writer is None:
            return
        for name, value in values.items():
            self._writer.add_scalar(_TAGS.get(name, name), value, step)
        self._writer.flush()

    def close(self) -> None:
        """Write what is left."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None


def _writer(folder: Path, first_step: int) -> Any:
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
    """How far a training is: what a live display shows of it."""

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
class Display(Protocol):
    """A progress that shows moments in one live block, and told lines above it."""

    def __call__(self, text: str) -> None:
        """Tell a line, which stays."""

    def show(self, moment: Moment) -> None:
        """Show how far it is, in place of what was shown before."""

    def hide(self) -> None:
        """Take the block away."""


class Journal:
    """Keeps and tells the figures of a training; ``show`` is for the first process alone.

    Where ``progress`` is a `Display`, the loss moves in its live block; elsewhere every call of
    `step` is a line. A run that goes on writes to the same files. ``run.html`` is made anew at
    every validation, and with ``curves.png`` at the end.
    """

    def __init__(self, run: RunFolder, progress: Progress, *, steps: int, show: bool) -> None:
        self._run = run
        self._writes = show
        self._tell = progress if show else silent
        self._display = progress if show and isinstance(progress, Display) else None
        self._moment = Moment(step=0, steps=steps)
        self._scalars: Scalars | None = None
        self._begun = False
        self._given_up: set[str] = set()
        if show:
            _end_torn_line(run.path / "metrics.jsonl")

    def step(
        self,
        step: int,
        *,
        loss: float,
        accuracy: float,
        pictures_per_second: float,
        seconds_left: float,
        rate: float,
    ) -> None:
        """Keep and tell the figures of training up to a step."""
        self._at(
            step,
            loss=loss,
            accuracy=accuracy,
            pictures_per_second=pictures_per_second,
            seconds_left=seconds_left,
        )
        self._keep(
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
        """Move the live display on; cheap enough for every step, and nothing is kept."""
        if self._display is not None:
            self._at(step)

    def validated(self, step: int, values: Mapping[str, float], *, best: bool) -> None:
        """Keep and tell the figures of a validation, and whether it is the best so far."""
        self._begin(step)
        if best:
            self._moment = replace(self._moment, best_step=step, best_score=values[SCORE])
        self._at(step, validation=dict(values))
        marked = {"best": True} if best else {}
        self._keep(step, **{name: round(value, 5) for name, value in values.items()}, **marked)
        figures = ", ".join(f"{_word(name)} {value:.4f}" for name, value in values.items())
        self._tell(f"step {step}: validation {figures}; {self._standing(step)}")
        if self._writes:
            self._try(training_page.FILE, lambda: training_page.write(self._run.path))

    def note(self, text: str) -> None:
        """Keep and tell what happened, in words."""
        if self._writes:
            self._log(self._moment.step or history(self._run.path).step, note=text)
        self._tell(text)

    def close(self) -> None:
        """Leave the terminal as it was and the files whole; also after an error."""
        if self._display is not None:
            self._display.hide()
        if self._scalars is not None:
            self._scalars.close()
            self._scalars = None
        if self._writes:
            self._try(charts.FILE, self._draw)
            self._try(training_page.FILE, lambda: training_page.write(self._run.path))

    def _at(self, step: int, **changes: object) -> None:
        """Show where the training is."""
        self._begin(step)
        self._moment = replace(self._moment, step=step, **changes)  # type: ignore[arg-type]
        if self._display is not None:
            self._display.show(self._moment)

    def _begin(self, step: int) -> None:
        """Take up what an earlier start left of the steps before this one."""
        if self._begun:
            return
        self._begun = True
        if found := history(self._run.path).best(before=step):
            score = found.get(SCORE)
            self._moment = replace(self._moment, best_step=found["step"], best_score=score)

    def _keep(self, step: int, **values: float) -> None:
        """Append to ``metrics.jsonl`` and to TensorBoard's file; the first process alone."""
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
            # Imported late: it imports torch, and a journal can be kept and read without.
            from faceproof.training.run.checkpoint import telling_full_disk

            with telling_full_disk(self._run.path):
                raise

    def _add(self, step: int, figures: Mapping[str, float]) -> None:
        if self._scalars is None:
            self._scalars = Scalars(self._run.path / "tensorboard", first_step=step)
        self._scalars.add(step, figures)

    def _draw(self) -> None:
        name = training_page.title(read(self._run.path))
        charts.write(self._run.path, title=name)

    def _try(self, what: str, write: Callable[[], object]) -> None:
        """Write what a training can do without; say it once where that is not possible."""
        if what in self._given_up:
            return
        try:
            write()
        except (MissingExtraError, OSError) as error:
            self._given_up.add(what)
            self._tell(f"{what} is not written: {error}")

    def _standing(self, step: int) -> str:
        """Return how a validation stands beside the best one."""
        best = self._moment
        if best.best_score is None or best.best_step == step:
            return "the best so far"
        return f"best {best.best_score:.4f} at step {best.best_step}"


def _end_torn_line(path: Path) -> None:
    """Give a line that a full disk cut short its end, so that the next one stands for itself."""
    if path.exists() and not path.read_bytes().endswith(b"\n"):
        with path.open("ab") as lines:
            lines.write(b"\n")


def _word(name: str) -> str:
    """Return a figure's name as it is told after the word "validation".

    >>> _word("validation_auc"), _word("validation_loss"), _word("attacked_accuracy")
    ('AUC', 'loss', 'attacked accuracy')
    """
    return name.removeprefix("validation_").replace("_", " ").replace("auc", "AUC")
