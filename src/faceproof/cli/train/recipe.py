"""faceproof train RECIPE.toml: from a recipe to a detector."""

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
    """Train a detector; a broken run goes on where its last checkpoint left it.

    `faceproof train combine A B -o C` makes one detector of several instead.
    """
    from faceproof.cli.training_display import training_progress
    from faceproof.networks.requirements import require

    require("torch", "timm", "lightning_fabric", "onnx", "pyarrow", "safetensors")
    from faceproof.training.recipe_file import read_recipe
    from faceproof.training.running.stopping import Stopped
    from faceproof.training.train import train as run

    resolved = read_recipe(recipe, tuple(set_ or ()))
    say = training_progress()
    try:
        bundle = run(resolved, output or Path("runs") / recipe.stem, progress=say)
    except Stopped as stop:
        say(str(stop))
        raise typer.Exit(stop.exit_code) from None
    typer.echo(bundle.folder)
