"""faceproof train: a recipe makes a detector, several are made one, or one each is left out."""

from __future__ import annotations

import typer

from faceproof.cli.guide import help_of
from faceproof.cli.train import combine, leave_one_out, recipe
from faceproof.cli.train.recipe import RecipeOrVerb

app = typer.Typer(cls=RecipeOrVerb, invoke_without_command=True, subcommand_metavar="")

app.callback(help=help_of(recipe.train))(recipe.train)
app.command("combine")(combine.combine)
app.command("leave-one-out")(leave_one_out.leave_one_out)
