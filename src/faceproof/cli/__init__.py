"""The command line; one short file per verb.

What a verb needs beyond typer is imported when it runs, so that ``--help`` stays quick.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Annotated, Any, NoReturn

import typer

from faceproof.cli import (
    audit,
    check,
    compare,
    data,
    detectors,
    doctor,
    evaluate,
    export,
    feedback,
    guide,
    keys,
    scan,
    schema,
    serve,
    train,
    update,
    webapp,
)
from faceproof.cli.exits import (
    ALL_CHECKED,
    ErrorHandlingGroup,
    handle_errors,
    hold_standard_descriptors,
)
from faceproof.cli.progress import is_terminal

#: The verbs: each is a function, or an app with verbs of its own.
_VERBS: dict[str, Callable[..., None] | typer.Typer] = {
    "app": webapp.webapp,
    "audit": audit.audit,
    "check": check.check,
    "compare": compare.compare,
    "data": data.app,
    "detectors": detectors.app,
    "doctor": doctor.doctor,
    "evaluate": evaluate.evaluate,
    "export": export.export,
    "feedback": feedback.app,
    "keys": keys.app,
    "scan": scan.scan,
    "schema": schema.schema,
    "serve": serve.serve,
    "train": train.app,
    "update": update.update,
}


class _VerbsByPanel(ErrorHandlingGroup):
    """The verbs in the order of the guide, so that the panels are in theirs."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names in order; a verb without a guide comes last."""
        order = {name: place for place, name in enumerate(guide.GUIDE)}
        return sorted(super().list_commands(ctx), key=lambda name: order.get(name, len(order)))

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments; by now typer has added its own options, and help can be printed."""
        guide.fit_help(self)
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_VerbsByPanel,
    help="Detect generated and manipulated faces in pictures.",
    epilog=guide.EPILOG,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": list(guide.HELP_NAMES)},
)


def main() -> None:
    """Run the command line; the console script's entry."""
    hold_standard_descriptors()
    _keep_help_plain()
    try:
        with handle_errors():  # of help and version too, which are printed before a verb runs
            _run_app()
    except typer.Exit as stop:
        sys.exit(stop.exit_code)


def _run_app() -> NoReturn:
    """Run the app; its end is that of a verb."""
    try:
        app()
    except SystemExit as stop:
        raise typer.Exit(int(stop.code or ALL_CHECKED)) from None
    raise typer.Exit


def _keep_help_plain() -> None:
    """Write no escape codes into pipes and files, also where FORCE_COLOR or a CI asks for them."""
    if not is_terminal(sys.stdout):
        os.environ.setdefault("_TYPER_FORCE_DISABLE_TERMINAL", "1")


def _version(value: bool) -> None:  # noqa: FBT001 (typer calls it so)
    """Print the version and stop."""
    if value:
        import faceproof

        typer.echo(f"faceproof {faceproof.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    *,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """Detect generated and manipulated faces in pictures."""


for _name, _verb in _VERBS.items():
    _panel, _epilog = guide.panel_of(_name), guide.epilog_of(_name)
    if isinstance(_verb, typer.Typer):
        guide.add_epilogs(_verb, _name)
        app.add_typer(_verb, name=_name, rich_help_panel=_panel, epilog=_epilog)
    else:
        app.command(_name, help=guide.help_of(_verb), rich_help_panel=_panel, epilog=_epilog)(_verb)
