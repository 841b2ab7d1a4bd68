"""faceproof data: from a folder of pictures to a set one can trust; one short file per verb."""

from __future__ import annotations

import typer

from faceproof.cli.data import import_, inspect, prepare, split

app = typer.Typer(
    help="Turn folders of pictures into a data set whose faults are known.",
    no_args_is_help=True,
)

app.command("import")(import_.import_)
app.command("inspect")(inspect.inspect)
app.command("split")(split.split)
app.command("prepare")(prepare.prepare)
