"""What the help of each verb says besides its options: its panel, examples and page of the docs."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import typer

from faceproof.cli.options import (
    DETECTOR_VARIABLE,
    DEVICE_VARIABLE,
    POINT_VARIABLE,
    QUIET_VARIABLE,
    SCORER_VARIABLE,
)

CHECK = "Check pictures"
SERVE = "Serve and page"
DATA = "Data sets"
TRAIN = "Train"
EVALUATE = "Evaluate"
INSTALLATION = "Detectors and installation"

#: What is before the pages of docs/ in help: with a public address, that of the repository's files.
ADDRESS = ""

#: The panels of ``faceproof --help``, in order.
PANELS = (CHECK, SERVE, DATA, TRAIN, EVALUATE, INSTALLATION)


class VerbGuide(NamedTuple):
    """A verb's panel, its page and its examples; a group has the examples of its verbs."""

    panel: str
    page: str
    examples: tuple[str, ...]


GUIDE: Mapping[str, VerbGuide] = {
    "check": VerbGuide(
        CHECK,
        "docs/how-to/check-on-the-command-line.md",
        (
            "faceproof check photos/ -o results.csv",
            "faceproof check party.jpg --annotate marked --report party.html",
        ),
    ),
    "scan": VerbGuide(
        CHECK,
        "docs/how-to/scan-many-pictures.md",
        (
            "faceproof scan photos/ -o scanned",
            "faceproof scan photos/ -o scanned --resume",
        ),
    ),
    "app": VerbGuide(SERVE, "docs/how-to/use-the-page.md", ("faceproof app --detector default",)),
    "serve": VerbGuide(SERVE, "docs/how-to/run-the-service.md", ("faceproof serve --port 8000",)),
    "keys": VerbGuide(SERVE, "docs/how-to/secure-the-service.md", ()),
    "keys new": VerbGuide(
        SERVE,
        "docs/how-to/secure-the-service.md",
        ("faceproof keys new --name newsroom --file keys.json --days 90",),
    ),
    "keys list": VerbGuide(
        SERVE, "docs/how-to/secure-the-service.md", ("faceproof keys list --file keys.json",)
    ),
    "keys rotate": VerbGuide(
        SERVE,
        "docs/how-to/secure-the-service.md",
        ("faceproof keys rotate ID --file keys.json --overlap-days 7",),
    ),
    "keys retire": VerbGuide(
        SERVE, "docs/how-to/secure-the-service.md", ("faceproof keys retire ID --file keys.json",)
    ),
    "feedback": VerbGuide(SERVE, "docs/how-to/feedback.md", ()),
    "feedback list": VerbGuide(
        SERVE, "docs/how-to/feedback.md", ("faceproof feedback list --database feedback.sqlite",)
    ),
    "feedback export": VerbGuide(
        SERVE,
        "docs/how-to/feedback.md",
        ("faceproof feedback export --database feedback.sqlite -o feedback.jsonl",),
    ),
    "feedback prune": VerbGuide(
        SERVE, "docs/how-to/feedback.md", ("faceproof feedback prune --older-than 365",)
    ),
    "feedback erase": VerbGuide(
        SERVE, "docs/how-to/feedback.md", ("faceproof feedback erase SHA256",)
    ),
    "data": VerbGuide(DATA, "docs/how-to/a-data-set-to-trust.md", ()),
    "data import": VerbGuide(
        DATA,
        "docs/reference/layouts.md",
        ("faceproof data import pictures/ -o set.parquet",),
    ),
    "data inspect": VerbGuide(
        DATA,
        "docs/reference/faults.md",
        ("faceproof data inspect set.parquet --report set.html --fail-on error",),
    ),
    "data split": VerbGuide(
        DATA,
        "docs/how-to/a-data-set-to-trust.md",
        ("faceproof data split set.parquet -o split.parquet",),
    ),
    "data prepare": VerbGuide(
        DATA,
        "docs/how-to/a-data-set-to-trust.md",
        ("faceproof data prepare split.parquet -o prepared/",),
    ),
    "train": VerbGuide(
        TRAIN,
        "docs/how-to/train-a-detector.md",
        (
            "faceproof train --init own.toml",
            "faceproof train own.toml --dry-run",
            "faceproof train own.toml --set schedule.epochs=3",
        ),
    ),
    "train combine": VerbGuide(
        TRAIN,
        "docs/how-to/combine-detectors.md",
        ("faceproof train combine runs/a/bundle runs/b/bundle --data prepared/ -o both",),
    ),
    "train leave-one-out": VerbGuide(
        TRAIN,
        "docs/how-to/leave-one-out.md",
        (
            "faceproof train leave-one-out own.toml -o left-out --dry-run",
            "faceproof train leave-one-out own.toml --generator sdxl -o left-out",
        ),
    ),
    "update": VerbGuide(
        TRAIN,
        "docs/how-to/update-a-detector.md",
        ("faceproof update --data new.parquet --replay old.parquet -o updated",),
    ),
    "evaluate": VerbGuide(
        EVALUATE,
        "docs/how-to/evaluate-a-detector.md",
        (
            "faceproof evaluate --data set.parquet --condition clean --condition jpeg-60 -o out",
            "faceproof evaluate --data set.parquet --scores other.csv --threshold 0.5 -o other",
        ),
    ),
    "audit": VerbGuide(
        EVALUATE,
        "docs/how-to/audit-a-detector.md",
        ("faceproof audit --data set.parquet --only robustness --most 100 -o audit",),
    ),
    "compare": VerbGuide(
        EVALUATE, "docs/how-to/compare-detectors.md", ("faceproof compare out other scores.csv",)
    ),
    "detectors": VerbGuide(INSTALLATION, "docs/reference/detector-json.md", ()),
    "detectors list": VerbGuide(
        INSTALLATION, "docs/reference/detector-json.md", ("faceproof detectors list",)
    ),
    "detectors show": VerbGuide(
        INSTALLATION,
        "docs/explanation/accuracy.md",
        ("faceproof detectors show default --all",),
    ),
    "detectors verify": VerbGuide(
        INSTALLATION,
        "docs/reference/detector-json.md",
        ("faceproof detectors verify runs/own/bundle",),
    ),
    "schema": VerbGuide(INSTALLATION, "docs/reference/index.md", ("faceproof schema check",)),
    "detectors card": VerbGuide(
        INSTALLATION,
        "docs/how-to/audit-a-detector.md",
        ("faceproof detectors card runs/own/bundle --report audit/report.json --write",),
    ),
    "export": VerbGuide(
        INSTALLATION,
        "docs/how-to/train-a-detector.md",
        ("faceproof export --detector runs/own/bundle -o exported",),
    ),
    "doctor": VerbGuide(INSTALLATION, "docs/index.md", ("faceproof doctor",)),
}

#: The end of ``faceproof --help``.
EPILOG = "\n\n".join(
    (
        "Example: faceproof check photo.jpg",
        "Environment variables set the common options: "
        f"{DETECTOR_VARIABLE}, {POINT_VARIABLE}, {SCORER_VARIABLE}, {DEVICE_VARIABLE}, "
        f"{QUIET_VARIABLE}.",
        "Documentation: docs/index.md in the repository; the help of each verb names its page.",
        "Completion of verbs, options and values: faceproof --install-completion",
    )
)


def help_of(verb: Callable[..., None] | None) -> str | None:
    """Return a verb's docstring with each paragraph on one line, as the terminal breaks lines."""
    paragraphs = inspect.cleandoc(verb.__doc__ or "").split("\n\n") if verb else []
    return "\n\n".join(" ".join(one.split()) for one in paragraphs) or None


#: The names of the option that prints help.
HELP_NAMES = ("-h", "--help")


def fit_help(command: Any) -> None:
    """Make the help of a verb, and of those below it, fit a terminal of 80 columns.

    An option without a value has no type, and environment variables, which are too long for a
    column, are listed below the options.
    """
    context = typer.Context(command, help_option_names=list(HELP_NAMES))
    variables = []
    for option in command.get_params(context):
        if getattr(option, "is_flag", False) and option.metavar is None:
            option.metavar = ""
        if option.envvar and getattr(option, "show_envvar", False):
            option.show_envvar = False
            variables += _variables_of(option)
    if variables:
        lines = [f"Environment variables: {', '.join(variables)}", command.epilog or ""]
        command.epilog = "\n\n".join(filter(None, lines))
    for below in getattr(command, "commands", {}).values():
        fit_help(below)


def _variables_of(option: Any) -> list[str]:
    """Return the environment variables of an option, each with the option in brackets."""
    names = [option.envvar] if isinstance(option.envvar, str) else option.envvar
    return [f"{name} ({option.opts[0]})" for name in names]


def panel_of(verb: str) -> str:
    """Return the panel of a verb; the last one for a verb without a guide."""
    return GUIDE[verb].panel if verb in GUIDE else PANELS[-1]


def epilog_of(verb: str) -> str | None:
    """Return the end of a verb's help: its examples, each on a line, and its page."""
    guide = GUIDE.get(verb)
    if guide is None:
        return None
    examples = examples_of(verb)
    shown = ["Examples:", *examples] if len(examples) > 1 else [f"Example: {examples[0]}"]
    return "\n\n".join([*shown, f"Docs: {ADDRESS}{guide.page}"])


def examples_of(verb: str) -> tuple[str, ...]:
    """Return the examples of a verb; those of a group are the first ones of its verbs."""
    below = (guide.examples[0] for name, guide in GUIDE.items() if name.startswith(f"{verb} "))
    return GUIDE[verb].examples or tuple(below)


def add_epilogs(group: typer.Typer, name: str) -> None:
    """Give the verbs of a group, such as ``data import``, their help and its end."""
    for command in group.registered_commands:
        command.help = command.help or help_of(command.callback)
        command.epilog = epilog_of(f"{name} {command.name or _verb_name(command)}")


def _verb_name(command: typer.models.CommandInfo) -> str:
    return command.callback.__name__.rstrip("_") if command.callback else ""
