"""faceproof train: a recipe makes a detector, or several detectors are made one."""

from __future__ import annotations

import typer

from faceproof.cli.train import combine, recipe
from faceproof.cli.train.recipe import RecipeOrVerb

app = typer.Typer(cls=RecipeOrVerb, invoke_without_command=True, subcommand_metavar="")

app.callback()(recipe.train)
app.command("combine")(combine.combine)
