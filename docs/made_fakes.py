"""Draw docs/made-fakes.jpg: each kind of made fake, of two public-domain portraits.

uv run --extra train python docs/made_fakes.py weights-init/taef2.safetensors

The argument is the autoencoder; docs/explanation/made-fakes.md explains how to get it.
"""

import sys
from pathlib import Path

from faceproof.imaging.decode import load
from faceproof.imaging.degradations import reduce_to
from faceproof.imaging.faces import YuNet
from faceproof.training.forging.autoencoder import load_autoencoder
from faceproof.training.forging.sheet import draw_sheet
from faceproof.training.forging.table import ForgingResources, RealFace

ROOT = Path(__file__).parents[1]
#: The first is scikit-image's astronaut, a work of NASA; the second is a portrait by the US Navy.
PICTURES = {"real-astronaut": 512, "real-hopper": 420}
SEED = 6


def main(autoencoder: str) -> None:
    """Write the sheet."""
    faces = [face(name, side) for name, side in PICTURES.items()]
    sheet = draw_sheet(faces, ForgingResources(load_autoencoder(autoencoder)), seed=SEED)
    sheet.save(ROOT / "docs" / "made-fakes.jpg", quality=90, optimize=True)


def face(name: str, side: int) -> RealFace:
    """Return a real picture of samples/, its longer side at most ``side`` px, and its face."""
    pixels = reduce_to(load(ROOT / "samples" / f"{name}.jpg").pixels, side)
    return RealFace(pixels, YuNet().find(pixels)[0].landmarks, groups=(name,))


if __name__ == "__main__":
    main(sys.argv[1])
