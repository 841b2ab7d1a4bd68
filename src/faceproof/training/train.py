"""`train`: one call from a recipe to a bundle; what is done already is not done again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from faceproof.data.manifest import Manifest
from faceproof.data.preparing.folder import add_made_fakes
from faceproof.detector.bundle import Bundle
from faceproof.errors import TrainingError
from faceproof.messages import ignore_message
from faceproof.reports import training_page
from faceproof.runs import RunFolder
from faceproof.training.finish import finish
from faceproof.training.fit import fit
from faceproof.training.forging.pool import make_fakes
from faceproof.training.optimizers import epochs_to_steps
from faceproof.training.preflight import (
    find_doubts,
    refuse_contradicted_origin,
    refuse_poor_data,
)
from faceproof.training.recipe import Recipe, read_recipe
from faceproof.training.run.checkpoint import convert_disk_errors, run_folder
from faceproof.training.run.prepared import open_prepared
from faceproof.training.run.processes import is_first_process, lock_run
from faceproof.training.step import is_out_of_memory


def train(
    recipe: Recipe | str | Path,
    output: str | Path,
    *,
    overrides: Sequence[str] = (),
    progress: Callable[[str], None] = ignore_message,
) -> Bundle:
    """Return the bundle in ``output/bundle`` that the recipe makes; an interrupted run resumes.

    ``recipe`` is a `Recipe`, or a TOML file with ``overrides`` such as ``schedule.epochs=3``.
    ``progress`` is called with each message.

    Raises:
        RecipeError, ManifestError, TrainingError, ExportError: naming what to change.
        UsageError: the run folder cannot be made, or another training writes into it.
        TrainingStopped: Ctrl-C or SIGTERM during the training itself; the state is saved.

    >>> from faceproof import train
    >>> train("examples/own-data.toml", "runs/own", overrides=["schedule.epoch=3"])
    Traceback (most recent call last):
    ...
    faceproof.errors.RecipeError: examples/own-data.toml: schedule.epoch is no key of a recipe, \
did you mean 'epochs'?
    >>> bundle = train("examples/own-data.toml", "runs/own")  # doctest: +SKIP
    >>> bundle.spec.operating_point().promise  # doctest: +SKIP
    """
    if not isinstance(recipe, Recipe):
        recipe = read_recipe(Path(recipe), tuple(overrides))
    run = run_folder(Path(output))
    with hold_run(run):
        manifest = open_prepared(recipe, progress=progress)
        refuse_contradicted_origin(recipe, run)
        made = make_fakes(recipe, manifest, progress=progress)
        return train_on(recipe, add_made_fakes(manifest, made), run, made=made, progress=progress)


def train_on(
    recipe: Recipe,
    manifest: Manifest,
    run: RunFolder,
    *,
    made: Sequence[Path] = (),
    progress: Callable[[str], None],
) -> Bundle:
    """Return the bundle in the run folder, trained and tested on the rows of ``manifest`` only.

    They are rows of the recipe's prepared folder, and of ``made``, the folders of fakes made from
    it. `hold_run` holds the run folder.

    Raises:
        TrainingError, ExportError, TrainingStopped: as `train` does.
    """
    recipe = epochs_to_steps(recipe, manifest.counts().get("train", 0))
    refuse_poor_data(recipe, manifest)
    if is_first_process():
        for doubt in find_doubts(recipe, manifest):
            progress(doubt)
    network = fit(recipe, manifest, run, made=made, progress=progress)
    bundle = finish(recipe, manifest, network, run, progress=progress)
    training_page.write(run.path)
    return bundle


@contextmanager
def hold_run(run: RunFolder) -> Iterator[None]:
    """Lock a run folder, and translate errors of its disk and of memory.

    Raises:
        UsageError: another training writes into it.
        TrainingError: the disk is full, or there is too little memory.
    """
    with lock_run(run.path), convert_disk_errors(run.path), _convert_memory_errors():
        yield


@contextmanager
def _convert_memory_errors() -> Iterator[None]:
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
