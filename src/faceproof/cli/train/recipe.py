"""faceproof train RECIPE.toml: from a recipe to a detector."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from faceproof.cli.options import (
    QUIET,
    SET,
    TRAINING_BATCH_SIZE,
    TRAINING_DEVICE,
    training_overrides,
)
from faceproof.cli.progress import ProgressPrinter, is_terminal, print_next, running_clock
from faceproof.errors import UsageError
from faceproof.messages import ignore_message
from faceproof.sources import to_printable

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from faceproof.training.run.journal import Moment


class RecipeOrVerb(TyperGroup):
    """A group whose first word is one of its verbs, or else the file that it takes itself.

    A file that is called like a verb is reached as ``./combine``.
    """

    allow_extra_args = False
    allow_interspersed_args = True

    def make_context(
        self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any
    ) -> Any:
        """Return the context of the verb that the first word names, or of the group itself."""
        if args and args[0] in self.commands:
            verb = self.commands[args[0]]
            return verb.make_context(f"{info_name} {args[0]}", args[1:], parent=parent, **extra)
        return super().make_context(info_name, args, parent=parent, **extra)


_EVERY_SECONDS = 0.1


class TrainingDisplay:
    """Prints lines on a terminal, with the latest state of a training in a block below them.

    Nothing runs next to the steps of the training: a thread that draws would be copied, with its
    locks, into the processes that read pictures.
    """

    def __init__(self, console: Console) -> None:
        from rich.live import Live

        self._console = console
        self._live = Live(
            console=console, auto_refresh=False, transient=True, redirect_stdout=False
        )
        self._drawn = 0.0

    def __call__(self, text: str) -> None:
        """Print a line, which stays."""
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    @contextmanager
    def clock(self, text: str) -> Iterator[None]:
        """Show the text and a running clock; its thread ends with the block."""
        self.hide()
        with running_clock(text, self._console):
            yield

    def show(self, moment: Moment) -> None:
        """Show how far the training is, ten times a second at most."""
        if not self._live.is_started:
            self._live.start()
        if time.monotonic() - self._drawn >= _EVERY_SECONDS or moment.step == moment.steps:
            self._drawn = time.monotonic()
            self._live.update(_render_block(moment), refresh=True)

    def hide(self) -> None:
        """Remove the block; the printed lines stay."""
        self._live.stop()


def _render_block(moment: Moment) -> RenderableType:
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
        _time_left(moment.seconds_left),
    )
    lines = [Text(line, no_wrap=True, overflow="ellipsis") for line in describe_moment(moment)]
    return Group(bar, *lines)


def describe_moment(moment: Moment) -> list[str]:
    """Return the figures of a moment, one line for training and one for validation."""
    training = [
        title.format(value)
        for title, value in (
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


def make_progress(*, quiet: bool = False) -> Callable[[str], None]:
    """Return the progress reporter: a live display on a terminal, lines elsewhere, or nothing."""
    if quiet:
        return ignore_message
    from rich.console import Console

    console = Console(stderr=True)
    if is_terminal(sys.stderr) and not console.is_dumb_terminal:
        return TrainingDisplay(console)
    return ProgressPrinter()


def _time_left(seconds: float | None) -> str:
    return "" if seconds is None else f"{timedelta(seconds=round(seconds))} left"


def train(
    recipe: Annotated[
        Path | None,
        typer.Argument(metavar="RECIPE.toml", help="Recipe of the training.", show_default=False),
    ] = None,
    *,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="DIR", help="Run folder; default: runs/RECIPE."),
    ] = None,
    device: Annotated[str | None, TRAINING_DEVICE] = None,
    batch_size: Annotated[int | None, TRAINING_BATCH_SIZE] = None,
    set_: Annotated[list[str] | None, SET] = None,
    init: Annotated[
        bool,
        typer.Option(
            "--init",
            help="Write a commented recipe to RECIPE.toml (default: recipe.toml), and stop.",
        ),
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Print plan, disk and time, from a few steps measured now, and stop."
        ),
    ] = False,
    quiet: Annotated[bool, QUIET] = False,
) -> None:
    """Train a detector; an interrupted run resumes from its last checkpoint.

    `faceproof train combine A B -o C` makes one detector of several instead, and `faceproof train
    leave-one-out RECIPE.toml` trains without each generator in turn.
    """
    overrides = training_overrides(set_, device, batch_size)
    if init:
        _write_starter(recipe or Path("recipe.toml"), overrides)
        return
    if recipe is None:
        raise UsageError(
            "RECIPE.toml is missing: name one, or write one with faceproof train --init"
        )
    from faceproof.tables import require

    require("torch", "timm", "lightning_fabric", "onnx", "pyarrow", "safetensors")
    if dry_run:
        _print_plan(recipe, overrides)
        return
    from faceproof.training.recipe import read_recipe

    read = read_recipe(recipe, overrides)  # before torch is imported: a wrong recipe fails at once
    from faceproof.training.run.stopping import TrainingStopped
    from faceproof.training.train import train as run

    say, folder = make_progress(quiet=quiet), output or Path("runs") / recipe.stem
    try:
        bundle = run(read, folder, progress=say)
    except TrainingStopped as stop:
        typer.echo(str(stop), err=True)
        raise typer.Exit(stop.exit_code) from None
    typer.echo(bundle.folder)
    if not quiet:
        print_next("faceproof", "check", "PICTURES", "--detector", bundle.folder)


def _write_starter(path: Path, overrides: Sequence[str]) -> None:
    """Write a recipe to start from.

    Raises:
        UsageError: the file exists, or cannot be written; or an override is none.
    """
    from faceproof.outputs import write_error, write_text
    from faceproof.training.recipe_text import starter_recipe

    if os.path.lexists(path):
        raise UsageError(
            f"{to_printable(str(path))} exists and is not overwritten; name a new file"
        )
    text = starter_recipe(name=path.name, overrides=overrides)
    try:
        write_text(path, text)
    except OSError as error:
        raise write_error(path, error) from error
    typer.echo(path)
    print_next("faceproof", "train", path, "--dry-run")


def _print_plan(recipe: Path, overrides: Sequence[str]) -> None:
    """Write the plan to standard output, and what is doubtful to standard error."""
    from faceproof.training.plan import plan
    from faceproof.training.recipe import read_recipe

    found = plan(read_recipe(recipe, tuple(overrides)), progress=ProgressPrinter())
    for line in found.lines():
        typer.echo(line)
    for doubt in found.doubts:
        typer.echo(f"caution: {doubt}", err=True)
