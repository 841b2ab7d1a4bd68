"""faceproof update: a detector learns a new generator, and a gate measures what it forgot."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from faceproof.cli.exits import ALL_CHECKED, FOUND
from faceproof.cli.options import (
    AT,
    QUIET,
    SET,
    TRAINING_BATCH_SIZE,
    TRAINING_DEVICE,
    detector_option,
    format_option,
    training_overrides,
)
from faceproof.cli.progress import print_lines
from faceproof.cli.streams import print_json, set_up_output
from faceproof.errors import UsageError
from faceproof.messages import align_rows, escape_unprintable
from faceproof.outputs import refuse_overwriting
from faceproof.sources import to_printable
from faceproof.tables import choose

if TYPE_CHECKING:
    from faceproof.evaluation.gate import Update
    from faceproof.training.updating.regression import FeedbackSource


def update(
    *,
    data: Annotated[
        Path,
        typer.Option(metavar="NEW", help="New pictures: a manifest, or a prepared folder."),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Run folder.")],
    detector: Annotated[
        str,
        detector_option("Detector to update: a name, or a folder."),
    ] = "default",
    replay: Annotated[
        Path | None,
        typer.Option(
            metavar="OLD", help="Old pictures with their splits, for replay and the gate."
        ),
    ] = None,
    no_replay: Annotated[
        bool,
        typer.Option("--no-replay", help="Run without old pictures; forgetting is not measured."),
    ] = False,
    replay_share: Annotated[
        float,
        typer.Option(
            min=0,
            max=0.99,
            metavar="SHARE",
            help="Share of old fakes in training; 0: OLD is only for the gate.",
        ),
    ] = 0.5,
    margin: Annotated[
        float,
        typer.Option(metavar="POINTS", help="Largest accepted loss, in percentage points."),
    ] = 2.0,
    feedback: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|URL",
            help="Feedback for the gate: a .jsonl of `feedback export`, or a database.",
        ),
    ] = None,
    feedback_pictures: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Folder with your copies of the pictures."),
    ] = None,
    feedback_margin: Annotated[
        float,
        typer.Option(
            metavar="POINTS", help="Largest accepted loss on feedback, in percentage points."
        ),
    ] = 2.0,
    strict: Annotated[
        bool, typer.Option("--strict", help="Reject also if there are too few faces to decide.")
    ] = False,
    at: Annotated[str | None, AT] = None,
    device: Annotated[str | None, TRAINING_DEVICE] = None,
    batch_size: Annotated[int | None, TRAINING_BATCH_SIZE] = None,
    set_: Annotated[list[str] | None, SET] = None,
    format_: Annotated[str, format_option("table|json")] = "table",
    quiet: Annotated[bool, QUIET] = False,
) -> None:
    """Train a detector on a new generator; reject the result if it forgets old ones.

    Writes an accepted detector to DIR/bundle, a rejected one to DIR/refused, and the report to
    DIR/update.html. Exit codes: 0 accepted, 1 something failed, 2 wrong usage, 3 rejected.
    """
    from faceproof.tables import require

    require("torch", "timm", "lightning_fabric", "onnx", "pyarrow", "safetensors")
    write = choose(FORMATS, format_, what="format")
    _check_replay(replay, no_replay=no_replay)
    _refuse_inputs(detector, [data, *([replay] if replay else [])], output)
    from faceproof.evaluation.gate import GateRule
    from faceproof.training.run.stopping import TrainingStopped
    from faceproof.training.updating.update import UpdateOptions
    from faceproof.training.updating.update import update as run

    if not 0 < margin < 100:
        raise UsageError(f"--margin {margin:g}: write percentage points, between 0 and 100")
    if not 0 <= feedback_margin < 100:
        raise UsageError(
            f"--feedback-margin {feedback_margin:g}: write percentage points, 0 to 100"
        )
    wish = UpdateOptions(
        detector=detector,
        data=data,
        replay=replay,
        replay_share=replay_share,
        rule=GateRule(margin=margin / 100, strict=strict, feedback_margin=feedback_margin / 100),
        at=at,
        overrides=training_overrides(set_, device, batch_size),
        feedback=_feedback_source(feedback, feedback_pictures),
    )
    say = print_lines(quiet=quiet)
    try:
        done = run(wish, output, progress=say)
    except TrainingStopped as stop:
        say(str(stop))
        raise typer.Exit(stop.exit_code) from None
    write(done, output)
    raise typer.Exit(ALL_CHECKED if done.accepted else FOUND)


def _refuse_inputs(detector: str, data: list[Path], output: Path) -> None:
    """Refuse a run folder in which an input would be replaced.

    Raises:
        UsageError: naming the input.
    """
    from faceproof.data.preparing.folder import MANIFEST
    from faceproof.detector.detector import locate

    written = ("bundle", "refused", "data", f"data/{MANIFEST}")
    outputs = {f"--output {name}": output / name for name in written}
    refuse_overwriting(outputs, [locate(detector), *data])


def _feedback_source(feedback: str | None, pictures: Path | None) -> FeedbackSource | None:
    """Return the feedback that the gate judges, None where none was named.

    Raises:
        UsageError: feedback without a folder of pictures, or the other way round.
    """
    if (feedback is None) != (pictures is None):
        raise UsageError(
            "--feedback and --feedback-pictures go together: feedback is kept without pictures, "
            "which are found in that folder by their SHA-256"
        )
    if feedback is None or pictures is None:
        return None
    from faceproof.cli.feedback import display_name, read
    from faceproof.training.updating.regression import FeedbackSource

    return FeedbackSource(read(feedback), display_name(feedback), pictures)


def _check_replay(replay: Path | None, *, no_replay: bool) -> None:
    """Refuse an update whose forgetting nobody decided to leave unseen.

    Raises:
        UsageError: neither old pictures nor the word that there are none, or both.
    """
    if replay is None and not no_replay:
        raise UsageError(
            "no --replay: without old pictures a detector forgets, and nothing shows it. Name the "
            "manifest that it was trained on, or add --no-replay"
        )
    if replay is not None and no_replay:
        raise UsageError("--no-replay and --replay exclude each other: leave one out")


def write_json(update: Update, _: Path) -> None:
    """Write the whole record."""
    print_json(update)


def write_table(update: Update, folder: Path) -> None:
    """Write the guarded figures, the decision of the gate, and the detector's folder."""
    from faceproof.reports.update_page import verdict

    set_up_output(for_people=True)
    for line in table_lines(update):
        typer.echo(line)
    for caution in update.gate.cautions:
        typer.echo(f"caution: {escape_unprintable(caution)}", err=True)
    decision = "accepted" if update.accepted else "REFUSED"
    typer.echo(f"{decision}: {escape_unprintable(verdict(update.gate))}", err=True)
    typer.echo(f"report: {to_printable(str(folder / 'update.html'))}", err=True)
    typer.echo(folder / ("bundle" if update.accepted else "refused"))


FORMATS: dict[str, Callable[[Update, Path], None]] = {"table": write_table, "json": write_json}


def table_lines(update: Update) -> Iterator[str]:
    """Return the aligned lines of the table, the head first: what is guarded, then the rest."""
    from faceproof.reports.update_page import HEAD, change_cells

    rows = [
        (*HEAD, "gate"),
        *((*change_cells(one.change), one.outcome) for one in update.gate.guarded),
        *((*change_cells(change), "-") for change in update.gate.others),
    ]
    return align_rows([tuple(map(escape_unprintable, row)) for row in rows])
