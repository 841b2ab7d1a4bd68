"""`train`: one call from a recipe to a bundle; what is done already is not done again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from faceproof.data.manifest import Manifest
from faceproof.data.preparing.folder import read_prepared, with_made
from faceproof.detector.bundle import Bundle
from faceproof.errors import TrainingError
from faceproof.messages import silent
from faceproof.reports import training_page
from faceproof.training.finish import finish
from faceproof.training.fit import fit
from faceproof.training.forging.pool import make_fakes
from faceproof.training.optimizers import with_steps
from faceproof.training.preflight import (
    crop_notes,
    promises_in_doubt,
    refuse_poor_data,
    start_notes,
)
from faceproof.training.recipe import Recipe, read_recipe
from faceproof.training.run.checkpoint import run_folder, telling_full_disk
from faceproof.training.run.processes import alone_in, first_process
from faceproof.training.step import is_out_of_memory


def train(
    recipe: Recipe | str | Path,
    output: str | Path,
    *,
    overrides: Sequence[str] = (),
    progress: Callable[[str], None] = silent,
) -> Bundle:
    """Return the bundle in ``output/bundle`` that the recipe makes; an interrupted run resumes.

    ``recipe`` is a `Recipe`, or a TOML file with ``overrides`` such as ``schedule.epochs=3``.
    ``progress`` is called with each message.

    Raises:
        RecipeError, ManifestError, TrainingError, ExportError: naming what to change.
        UsageError: the run folder cannot be made, or another training writes into it.
        Stopped: Ctrl-C or SIGTERM during the training itself; the state is saved.

    >>> from faceproof import train
    >>> bundle = train("examples/own-data.toml", "runs/own")  # doctest: +SKIP
    >>> bundle.spec.operating_point().promise  # doctest: +SKIP
    """
    if not isinstance(recipe, Recipe):
        recipe = read_recipe(Path(recipe), tuple(overrides))
    run = run_folder(Path(output))
    with alone_in(run.path), telling_full_disk(run.path), _telling_little_memory():
        manifest = read_prepared(recipe.data.prepared)
        made = make_fakes(recipe, manifest, progress=progress)
        manifest = with_made(manifest, made)
        recipe = with_steps(recipe, manifest.counts().get("train", 0))
        refuse_poor_data(recipe, manifest)
        if first_process():
            for doubt in _doubts(recipe, manifest):
                progress(doubt)
        network = fit(recipe, manifest, run, made=made, progress=progress)
        bundle = finish(recipe, manifest, network, run, progress=progress)
        training_page.write(run.path)
        return bundle


def _doubts(recipe: Recipe, manifest: Manifest) -> Iterator[str]:
    """Yield what to know before hours of training, though it forbids nothing."""
    crop = recipe.network.preprocessing.crop
    yield from crop_notes(crop, recipe.data.prepared)
    yield from start_notes(crop, recipe.network.starting_weights)
    yield from promises_in_doubt(recipe.calibration, manifest)


@contextmanager
def _telling_little_memory() -> Iterator[None]:
    """Tell in words of too little memory where no step is under way, which would take less."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise TrainingError(
            "too little memory, outside of a training step: set a smaller schedule.batch_size, "
            "which validation takes whole, a smaller crop or network, or fewer "
            "device.loader_workers, and run the same command again; last.pt is kept"
        ) from error
