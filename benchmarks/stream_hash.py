"""SHA-256 of the first batches that a recipe's training reads, inputs and targets.

    uv run --extra train python benchmarks/stream_hash.py RECIPE.toml [--batches 100]

Two checkouts with the same hash train on the same pixels: run it in the clone that a long training
runs from and in the one that is worked on. The prepared folder must be there; made fakes that are
missing are made first.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from pathlib import Path

from faceproof.data.preparing.folder import add_made_fakes
from faceproof.messages import ignore_message
from faceproof.training.fit import make_streams
from faceproof.training.forging.pool import make_fakes
from faceproof.training.recipe import read_recipe
from faceproof.training.run.prepared import open_prepared
from faceproof.training.stream import make_loader


def main() -> None:
    """Print the hash after every tenth batch and after the last."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--batches", type=int, default=100)
    options = parser.parse_args()
    recipe = read_recipe(options.recipe, ())
    manifest = open_prepared(recipe, progress=ignore_message)
    made = make_fakes(recipe, manifest, progress=ignore_message)
    stream, _ = make_streams(recipe, add_made_fakes(manifest, made), made)
    size, found = recipe.schedule.batch_size, hashlib.sha256()
    numbers = range(options.batches * size)
    for count, (inputs, targets) in enumerate(
        make_loader(stream, numbers, size=size, workers=0), 1
    ):
        found.update(inputs.contiguous().numpy().tobytes() + targets.numpy().tobytes())
        if count % 10 == 0 or count == options.batches:
            sys.stdout.write(f"{count} batches of {size}: {found.hexdigest()}\n")


if __name__ == "__main__":
    main()
