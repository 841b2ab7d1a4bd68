"""faceproof data: from a folder of pictures to a checked data set; one short file per verb."""

from __future__ import annotations

import typer

from faceproof.cli.data import import_, inspect, prepare, split

app = typer.Typer(
    help="Import, inspect, split and prepare data sets.",
    no_args_is_help=True,
)

app.command("import")(import_.import_)
app.command("inspect")(inspect.inspect)
app.command("split")(split.split)
app.command("prepare")(prepare.prepare)
