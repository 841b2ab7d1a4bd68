"""What a training shows on a terminal: lines that stay, and one live block below them."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from faceproof.training.running.journal import Moment

_EVERY_SECONDS = 0.1


class TrainingDisplay:
    """Tells lines on a terminal, and shows the last moment of a training in a block below them.

    Nothing runs beside the training: a thread that draws would be copied, with its locks, into
    the processes that read pictures.
    """

    def __init__(self, console: Console) -> None:
        from rich.live import Live

        self._console = console
        self._live = Live(
            console=console, auto_refresh=False, transient=True, redirect_stdout=False
        )
        self._drawn = 0.0

    def __call__(self, text: str) -> None:
        """Tell a line, which stays."""
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def show(self, moment: Moment) -> None:
        """Show how far the training is, ten times a second at most."""
        if not self._live.is_started:
            self._live.start()
        if time.monotonic() - self._drawn >= _EVERY_SECONDS or moment.step == moment.steps:
            self._drawn = time.monotonic()
            self._live.update(block(moment), refresh=True)

    def hide(self) -> None:
        """Take the block away; the told lines stay."""
        self._live.stop()


def block(moment: Moment) -> RenderableType:
    """Return the block: how far, what training came to last, and what validation did."""
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    bar = Table.grid(padding=(0, 1), expand=True)
    bar.add_column(no_wrap=True)
    bar.add_column(ratio=1)
    bar.add_column(no_wrap=True)
    bar.add_row(
        f"step {moment.step:,}/{moment.steps:,}",
        ProgressBar(total=moment.steps, completed=moment.step),
        _left(moment.seconds_left),
    )
    lines = [Text(line, no_wrap=True, overflow="ellipsis") for line in told(moment)]
    return Group(bar, *lines)


def told(moment: Moment) -> list[str]:
    """Return the figures of a moment, one line for training and one for validation."""
    training = [
        said.format(value)
        for said, value in (
            ("loss {:.4f}", moment.loss),
            ("accuracy {:.3f}", moment.accuracy),
            ("{:.1f} pictures/s", moment.pictures_per_second),
        )
        if value is not None
    ]
    validation = []
    if moment.validation.get("validation_auc") is not None:
        validation = [f"validation AUC {moment.validation['validation_auc']:.4f}"]
    if moment.best_score is not None:
        validation.append(f"best {moment.best_score:.4f} at step {moment.best_step:,}")
    return [", ".join(line) for line in (training, validation) if line]


def training_progress() -> Callable[[str], None]:
    """Return what tells how far it is: a live display on a terminal, plain lines elsewhere."""
    from rich.console import Console

    console = Console(stderr=True)
    if sys.stderr.isatty() and not console.is_dumb_terminal:
        return TrainingDisplay(console)
    return _say


def _say(message: str) -> None:
    """Tell a line on standard error."""
    typer.echo(message, err=True)


def _left(seconds: float | None) -> str:
    return "" if seconds is None else f"{timedelta(seconds=round(seconds))} left"
