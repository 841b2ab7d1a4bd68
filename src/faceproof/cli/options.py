"""Options that several verbs share, their environment variables, and the completion of values."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib import import_module
from pathlib import Path

import typer

from faceproof.errors import FaceproofError

_Completion = Callable[[str], list[str]]


def complete_from(*tables: str) -> _Completion:
    """Return the completion of a choice from ``module:TABLE``, imported when a shell asks.

    Without the extra that a module needs there is nothing to choose.

    >>> complete_from("faceproof.cli.output:FORMATS")("json")
    ['json', 'jsonl']
    """

    def complete(incomplete: str) -> list[str]:
        return [name for name in _names_in(tables) if name.startswith(incomplete)]

    return complete


def complete_words(words: str) -> _Completion:
    """Return the completion of the words that a metavar lists, separated by bars.

    >>> complete_words("table|json")("t")
    ['table']
    """

    def complete(incomplete: str) -> list[str]:
        return [word for word in words.split("|") if word.startswith(incomplete)]

    return complete


def _names_in(tables: Iterable[str]) -> Iterable[str]:
    try:
        for table in tables:
            module, _, name = table.partition(":")
            yield from getattr(import_module(module), name)
    except (ImportError, FaceproofError):
        return


def complete_detectors(incomplete: str) -> list[str]:
    """Return the embedded detectors and the folders whose names begin so."""
    from faceproof.detector import detectors

    names = [name for name in detectors() if name.startswith(incomplete)]
    path = Path(incomplete or ".")
    parent = path if not incomplete or incomplete.endswith("/") else path.parent
    try:
        folders = sorted(one for one in parent.iterdir() if one.is_dir())
    except OSError:
        return names
    shown = [f"{one.as_posix()}/" for one in folders if not one.name.startswith(".")]
    before = "./" if incomplete.startswith("./") else ""
    return [*names, *(before + one for one in shown if (before + one).startswith(incomplete))]


def complete_points(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the operating points of the detector that the command names so far."""
    from faceproof.detector import Bundle
    from faceproof.detector.detector import locate

    try:
        points = Bundle.read(locate(ctx.params.get("detector") or "default")).spec.operating_points
    except FaceproofError:
        return []
    return [name for name in points if name.startswith(incomplete)]


def complete_recipe_keys(incomplete: str) -> list[str]:
    """Return the keys of a recipe that begin so, each with its equals sign."""
    try:
        from faceproof.training.recipe import recipe_keys
    except ImportError:
        return []
    return [f"{key}=" for key in recipe_keys() if key.startswith(incomplete)]


def format_option(words: str) -> typer.models.OptionInfo:
    """Return the option ``--format`` of a verb that prints; ``words`` are its choices.

    >>> format_option("table|json").metavar
    'table|json'
    """
    option: typer.models.OptionInfo = typer.Option(
        "--format",
        "-f",
        metavar=words,
        autocompletion=complete_words(words),
        help="Output format.",
    )
    return option


DETECTOR_VARIABLE = "FACEPROOF_DETECTOR"
POINT_VARIABLE = "FACEPROOF_OPERATING_POINT"
QUIET_VARIABLE = "FACEPROOF_QUIET"
SCORER_VARIABLE = "FACEPROOF_SCORER"
DEVICE_VARIABLE = "FACEPROOF_DEVICE"


def detector_option(
    words: str = "Detector: a name, or a folder.", *, variables: tuple[str, ...] = ()
) -> typer.models.OptionInfo:
    """Return the option ``--detector``; ``variables`` are read before `DETECTOR_VARIABLE`."""
    option: typer.models.OptionInfo = typer.Option(
        "--detector",
        "-d",
        metavar="NAME|FOLDER",
        envvar=[*variables, DETECTOR_VARIABLE],
        autocompletion=complete_detectors,
        help=words,
    )
    return option


DETECTOR = detector_option()

AT = typer.Option(
    "--at",
    metavar="POINT",
    envvar=POINT_VARIABLE,
    autocompletion=complete_points,
    help="Operating point (thresholds); default: the detector's own.",
)

CONDITION = typer.Option(
    "--condition",
    metavar="NAME",
    autocompletion=complete_from("faceproof.imaging.degradations:DEGRADATIONS"),
    help="Degradation to apply before scoring, such as jpeg-60 or resize-0.5 (a wrong name lists "
    "all); repeatable.",
)

QUIET = typer.Option(
    "--quiet", "-q", envvar=QUIET_VARIABLE, help="No progress; cautions and errors only."
)

QUIET_SUMMARY = typer.Option(
    "--quiet", "-q", envvar=QUIET_VARIABLE, help="No progress bar and no summary; errors only."
)

FACES_TO_CHECK = typer.Option(
    "--faces",
    metavar="all|largest|whole",
    autocompletion=complete_from("faceproof.checker:FACES"),
    help="Faces to check; whole: the picture is already a face crop.",
)


def batch_size_option(default: str) -> typer.models.OptionInfo:
    """Return the option ``--batch-size``, with the words of its default."""
    option: typer.models.OptionInfo = typer.Option(
        "--batch-size",
        min=1,
        metavar="N",
        help=f"Faces per run of the networks; default: {default}.",
    )
    return option


# Of the verbs that judge labelled pictures.
BATCH = 32
"""Faces per run of the networks, unless another number is given."""

BATCH_SIZE = batch_size_option(str(BATCH))

MANIFEST = typer.Option("--data", metavar="MANIFEST", help="Manifest of labelled pictures.")

SPLIT = typer.Option(
    "--split",
    autocompletion=complete_from("faceproof.data.manifest:SPLITS"),
    help="Split to judge; default: test, or all rows of a manifest without splits.",
)

ROOT = typer.Option("--root", metavar="FOLDER", help="Data folder, if the manifest names none.")

LABELLED_FACES = typer.Option(
    "--faces",
    metavar="largest|whole",
    autocompletion=complete_from("faceproof.evaluation.scored_faces:FACES"),
    help="Faces to judge; default: largest; whole: the picture is already a face crop.",
)

PICTURES = typer.Option(
    "--pictures/--no-pictures",
    help="Pictures of the worst errors in the report, or none for privacy.",
)

SET = typer.Option(
    "--set",
    metavar="KEY=VALUE",
    autocompletion=complete_recipe_keys,
    help="Override a recipe key; repeatable.",
)

_ACCELERATORS = "auto|cpu|cuda|gpu|mps"

TRAINING_DEVICE = typer.Option(
    "--device",
    metavar=_ACCELERATORS,
    autocompletion=complete_words(_ACCELERATORS),
    help="Device, instead of the recipe's device.accelerator.",
)

TRAINING_BATCH_SIZE = typer.Option(
    "--batch-size",
    min=2,
    metavar="N",
    help="Pictures of a batch, instead of the recipe's schedule.batch_size.",
)


def training_overrides(
    set_: list[str] | None, device: str | None, batch_size: int | None
) -> tuple[str, ...]:
    """Return the overrides of a recipe that ``--set``, ``--device`` and ``--batch-size`` ask for.

    >>> training_overrides(["data.seed=1"], "cuda", None)
    ('data.seed=1', 'device.accelerator=cuda')
    """
    named = {"device.accelerator": device, "schedule.batch_size": batch_size}
    given = (f"{key}={value}" for key, value in named.items() if value is not None)
    return (*(set_ or ()), *given)
