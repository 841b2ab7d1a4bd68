"""`train`: one call from a recipe to a bundle; what is done already is not done again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from faceproof.data.prepare import prepare_data
from faceproof.detector.bundle import Bundle
from faceproof.runs import RunFolder
from faceproof.training.finish import finish
from faceproof.training.fit import fit
from faceproof.training.recipe import Recipe


def train(recipe: Recipe, output: Path, *, progress: Callable[[str], None]) -> Bundle:
    """Return the bundle in ``output/bundle`` that the recipe makes; a broken run goes on.

    Raises:
        RecipeError, ManifestError, TrainingError, ExportError: naming what to change.
    """
    data = recipe.data
    manifest = prepare_data(data.root, data.prepare_spec(), data.prepared, progress=progress)
    run = RunFolder(output)
    network = fit(recipe, manifest, run, progress=progress)
    return finish(recipe, manifest, network, run, progress=progress)
