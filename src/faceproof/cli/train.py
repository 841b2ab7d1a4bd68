"""faceproof train: from a recipe to a detector."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def train(
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE.toml", help="What to train, on what.")],
    *,
    output: Annotated[
        Path | None, typer.Option(help="The run folder; runs/RECIPE where none is named.")
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a recipe key.")
    ] = None,
) -> None:
    """Train a detector; a broken run goes on where its last checkpoint left it."""
    from faceproof.training.recipe import read_recipe
    from faceproof.training.train import train as run

    resolved = read_recipe(recipe, tuple(set_ or ()))
    bundle = run(resolved, output or Path("runs") / recipe.stem, progress=_say)
    typer.echo(bundle.folder)


def _say(message: str) -> None:
    """Tell how far it is, on standard error."""
    typer.echo(message, err=True)
