"""faceproof train leave-one-out: what a generator costs for being new."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from faceproof.cli.options import (
    QUIET,
    SET,
    TRAINING_BATCH_SIZE,
    TRAINING_DEVICE,
    format_option,
    training_overrides,
)
from faceproof.cli.progress import print_next
from faceproof.cli.streams import print_json, set_up_output
from faceproof.cli.train.recipe import make_progress
from faceproof.messages import align_rows, escape_unprintable
from faceproof.tables import choose

if TYPE_CHECKING:
    from faceproof.evaluation.audit_result import AuditResult
    from faceproof.training.leave_one_out.leave_one_out import PlannedRun


def leave_one_out(
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE.toml", help="Recipe of the trainings.")],
    *,
    generator: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Generator to leave out; repeatable. Default: each with fakes in train and test.",
        ),
    ] = None,
    source: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Source to leave out, real and fake; repeatable."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="DIR", help="Output folder; default: runs/RECIPE-left-out."
        ),
    ] = None,
    device: Annotated[str | None, TRAINING_DEVICE] = None,
    batch_size: Annotated[int | None, TRAINING_BATCH_SIZE] = None,
    set_: Annotated[list[str] | None, SET] = None,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Random seed of bootstrap.")] = 0,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print rows and steps of each training, and stop.")
    ] = False,
    format_: Annotated[str, format_option("text|json")] = "text",
    quiet: Annotated[bool, QUIET] = False,
) -> None:
    """Train without each generator in turn, and test on it.

    Checkpoint and thresholds are chosen without what is left out; what choosing on the test set
    would have added is shown beside. The same command resumes, and skips finished trainings.
    """
    from faceproof.tables import require

    require("torch", "timm", "lightning_fabric", "onnx", "pyarrow", "safetensors")
    write = choose(FORMATS, format_, what="format")
    from faceproof.training.leave_one_out.leave_one_out import RESULT, plan_leave_one_out
    from faceproof.training.leave_one_out.leave_one_out import leave_one_out as run
    from faceproof.training.recipe import read_recipe
    from faceproof.training.run.stopping import TrainingStopped

    folder = output or Path("runs") / f"{recipe.stem}-left-out"
    names, places = tuple(generator or ()), tuple(source or ())
    read = read_recipe(recipe, training_overrides(set_, device, batch_size))
    if dry_run:
        set_up_output(for_people=True)
        for line in plan_lines(plan_leave_one_out(read, folder, generators=names, sources=places)):
            typer.echo(escape_unprintable(line))
        return
    say = make_progress(quiet=quiet)
    try:
        found = run(read, folder, generators=names, sources=places, seed=seed, progress=say)
    except TrainingStopped as stop:
        say(str(stop))
        raise typer.Exit(stop.exit_code) from None
    write(found)
    if not quiet:
        print_next("faceproof", "audit", "--data", "MANIFEST", "--leave-one-out", folder / RESULT)


def plan_lines(plan: Sequence[PlannedRun]) -> Iterator[str]:
    """Yield the rows and steps of each training, real faces and fakes, and their sum."""
    from faceproof.data.manifest import SPLITS

    rows: list[tuple[str, ...]] = [
        ("left out", *SPLITS, "removed", "steps", "checkpoints", "state")
    ]
    for one in plan:
        counts, removed = one.exclusion.rows, one.exclusion.removed
        rows.append(
            (
                one.exclusion.left_out.words,
                *(f"{counts[split].real:,} + {counts[split].fake:,}" for split in SPLITS),
                f"{removed.left_out + removed.made_of_it + removed.shared:,}",
                f"{one.steps:,}",
                f"{one.checkpoints:,}",
                one.state,
            )
        )
    yield from align_rows(rows, left=1)
    waiting = [one for one in plan if one.state != "done"]
    faces = sum(one.steps * one.recipe.schedule.batch_size for one in waiting)
    yield f"{len(waiting)} trainings to run, {faces:,} faces in all; rows are real + fake"
    if made := sum(sum(one.counts.values()) for one in plan[0].recipe.made.values()):
        yield f"the rows do not count {made:,} fakes that are made before the first training"


def write_text(result: AuditResult) -> None:
    """Write the answer, the figures and the inflation; cautions go to standard error."""
    set_up_output(for_people=True)
    typer.echo(result.question)
    for sentence in (result.answer, *result.details):
        typer.echo(f"  {escape_unprintable(sentence)}")
    for name in (result.name, "inflation"):
        table = result.table(name)
        cells = [[_show(cell) for cell in row] for row in table.rows]
        typer.echo()
        for line in align_rows([table.columns, *cells], left=2):
            typer.echo(escape_unprintable(line))
    for caution in result.cautions:
        typer.echo(f"caution: {escape_unprintable(caution)}", err=True)


def _show(cell: str | float | None) -> str:
    """Return a cell of a table as text.

    >>> [_show(cell) for cell in (None, 0.25, 12, "mean")]
    ['-', '0.250', '12', 'mean']
    """
    if cell is None:
        return "-"
    return f"{cell:.3f}" if isinstance(cell, float) else str(cell)


def write_json(result: AuditResult) -> None:
    """Write the whole record."""
    print_json(result)


FORMATS: dict[str, Callable[[AuditResult], None]] = {"text": write_text, "json": write_json}
