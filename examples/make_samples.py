"""Make the manipulated pictures of `samples/` from the real ones beside them.

    python examples/make_samples.py            # into samples/
    python examples/make_samples.py FOLDER     # elsewhere, to compare

Seeds are fixed: the same versions of the libraries give the same bytes.
"""

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from faceproof.imaging.decode import load
from faceproof.imaging.faces import YuNet
from faceproof.training.forging.blending import self_blend, swap_face
from faceproof.training.forging.masks import Pixels, Points

SAMPLES = Path(__file__).resolve().parent.parent / "samples"


def real(name: str) -> tuple[Pixels, list[Points]]:
    """Return a real sample's pixels and the landmarks of its faces, the largest first."""
    pixels = load(SAMPLES / f"real-{name}.jpg").pixels
    return pixels, [face.landmarks for face in YuNet().find(pixels)]


def swapped(donor: str, target: str, seed: int, blend: str = "alpha") -> Pixels:
    """Return the target with the donor's inner face, uint8 [H, W, 3]."""
    pixels, (landmarks, *_) = real(target)
    other, (other_landmarks, *_) = real(donor)
    rng = np.random.default_rng(seed)
    return swap_face(pixels, landmarks, other, other_landmarks, rng, blend=blend, outline="face")


def swapped_within(name: str, seed: int) -> Pixels:
    """Return a picture whose two faces have changed places, uint8 [H, W, 3]."""
    pixels, (first, second, *_) = real(name)
    rng = np.random.default_rng(seed)
    once = swap_face(pixels, first, pixels, second, rng, outline="face")
    return swap_face(once, second, pixels, first, rng, outline="face")


def blended_with_itself(name: str, seed: int) -> Pixels:
    """Return a picture whose face is an altered copy of itself, uint8 [H, W, 3]."""
    pixels, (landmarks, *_) = real(name)
    return self_blend(pixels, landmarks, np.random.default_rng(seed), strength=2.0)


FAKES: dict[str, tuple[Callable[[], Pixels], int]] = {
    "fake-swap-hopper-on-astronaut": (lambda: swapped("hopper", "astronaut", 9), 90),
    "fake-swap-hopper-on-astronaut-jpeg-60": (lambda: swapped("hopper", "astronaut", 9), 60),
    "fake-swap-astronaut-on-hopper": (lambda: swapped("astronaut", "hopper", 7), 90),
    "fake-swap-astronaut-on-hopper-poisson": (
        lambda: swapped("astronaut", "hopper", 2, "poisson"),
        90,
    ),
    "fake-swap-brothers-small-faces": (lambda: swapped_within("brothers-small-faces", 1), 90),
    "fake-self-blend-astronaut": (lambda: blended_with_itself("astronaut", 6), 90),
}


def make(folder: Path) -> Iterator[Path]:
    """Write every fake as a JPEG and yield its path."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, (made, quality) in FAKES.items():
        path = folder / f"{name}.jpg"
        Image.fromarray(made()).save(path, quality=quality)
        yield path


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=SAMPLES)
    list(make(parser.parse_args().folder))
