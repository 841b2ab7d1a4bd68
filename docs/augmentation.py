"""Draw docs/augmentation.png: the effect of each augmentation on a picture.

uv run --extra data python docs/augmentation.py

Rows: a picture each. Columns: one step each, by a seed, cropped as for a network with a margin; the
last one is the difference of the reconstruction, eight times as strong.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from faceproof.imaging.decode import load
from faceproof.imaging.degradations import HISTORY, blur, noise, reduce_to
from faceproof.imaging.faces import YuNet
from faceproof.imaging.preprocessing import CropSpec, crop_face
from faceproof.training.augment import Sample, cut_out, jitter_colour, jitter_landmarks
from faceproof.training.forging.blending import self_blend, swap_face
from faceproof.training.forging.reconstruction import reconstruct
from faceproof.training.recipe import AugmentRecipe

ROOT = Path(__file__).parents[1]
PICTURES = ("real-astronaut", "real-photographer", "real-hopper")
CROP = CropSpec(size=112, margin=0.35)
LABEL = 14
Pixels = npt.NDArray[np.uint8]
Change = Callable[[Sample, Sample, np.random.Generator], Sample]


def main() -> None:
    """Write the picture."""
    samples = [sample(name) for name in PICTURES]
    donors = samples[1:] + samples[:1]
    width, height = CROP.size * (len(COLUMNS) + 1), LABEL + CROP.size * len(samples)
    sheet = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(sheet)
    for column, (name, change) in enumerate(COLUMNS.items()):
        draw.text((CROP.size * column + 3, 1), name, fill="black")
        for row, (one, donor) in enumerate(zip(samples, donors, strict=True)):
            after = change(one, donor, np.random.default_rng(9 + row))
            paste(sheet, crop_face(after.pixels, after.landmarks, CROP), column, row)
    draw.text((CROP.size * len(COLUMNS) + 3, 1), "its change x 8", fill="black")
    for row, one in enumerate(samples):
        after = COLUMNS["reconstruct"](one, one, np.random.default_rng(9 + row))
        change = after.pixels.astype(int) - one.pixels
        shown = (128 + 8 * change).clip(0, 255).astype(np.uint8)
        paste(sheet, crop_face(shown, one.landmarks, CROP), len(COLUMNS), row)
    sheet.quantize(192, dither=Image.Dither.NONE).save(
        ROOT / "docs" / "augmentation.png", optimize=True
    )


def sample(name: str) -> Sample:
    """Return a real picture of samples/ at the size of a prepared one, and its face."""
    pixels = reduce_to(load(ROOT / "samples" / f"{name}.jpg").pixels, 320)
    return Sample(pixels, YuNet().find(pixels)[0].landmarks, is_fake=False)


def paste(sheet: Image.Image, crop: Pixels, column: int, row: int) -> None:
    """Lay a crop into its cell."""
    sheet.paste(Image.fromarray(crop), (CROP.size * column, LABEL + CROP.size * row))


def with_pixels(one: Sample, pixels: Pixels) -> Sample:
    """Return the sample with other pixels."""
    return Sample(pixels, one.landmarks, one.is_fake)


def step(name: str) -> Change:
    """Return a step of the file history as a change of a sample."""
    return lambda one, _, rng: Sample(*HISTORY[name](one.pixels, one.landmarks, rng), one.is_fake)


def grey(one: Sample, _: Sample, __: np.random.Generator) -> Sample:
    """Return the sample without colour."""
    luma = np.asarray(Image.fromarray(one.pixels).convert("L"))
    return with_pixels(one, np.repeat(luma[..., None], 3, axis=2))


def swapped(one: Sample, donor: Sample, rng: np.random.Generator) -> Sample:
    """Return the sample with the inner face of the next row."""
    mixed = swap_face(one.pixels, one.landmarks, donor.pixels, donor.landmarks, rng)
    return with_pixels(one, mixed)


def jitter(one: Sample, _: Sample, rng: np.random.Generator) -> Sample:
    """Return the sample with its landmarks moved three times as far as the recipe moves them."""
    recipe = AugmentRecipe(shift=0.09, scale=0.24, turn_degrees=15)
    return Sample(one.pixels, jitter_landmarks(one.landmarks, recipe, rng), one.is_fake)


COLUMNS: dict[str, Change] = {
    "as it is": lambda one, _, __: one,
    "cut": lambda one, _, rng: cut_out(one, rng),
    "colour": lambda one, _, rng: with_pixels(one, jitter_colour(one.pixels, rng)),
    "grey": grey,
    "blur": lambda one, _, __: with_pixels(one, blur(one.pixels, 1.3)),
    "noise": lambda one, _, rng: with_pixels(one, noise(one.pixels, 7.0, rng)),
    "shift, scale x 3": jitter,
    **{f"history: {name}": step(name) for name in HISTORY},
    "self_blend": lambda one, _, rng: with_pixels(
        one, self_blend(one.pixels, one.landmarks, rng, ratio=1.0)
    ),
    "swap": swapped,
    "reconstruct": lambda one, _, rng: with_pixels(
        one, reconstruct(one.pixels, rng, coder="transposed")
    ),
}


if __name__ == "__main__":
    main()
