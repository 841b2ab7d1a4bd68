"""One distribution of file histories for every picture, whatever its class.

The size, the kernel and the save that a picture had before give its class away where the two
classes come from different places. After this, the last reduction and the last save of each are
drawn alike, from a seed and the picture's own hash: the order of the rows does not matter.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from faceproof.imaging.degradations import encode_jpeg

Pixels = npt.NDArray[np.uint8]

#: All of them average over what they reduce: a kernel that does not leaves more aliasing in what
#: was larger, and the size would still be seen.
KERNELS = (
    Image.Resampling.BOX,
    Image.Resampling.BILINEAR,
    Image.Resampling.HAMMING,
    Image.Resampling.BICUBIC,
    Image.Resampling.LANCZOS,
)


@dataclass(frozen=True)
class History:
    """What happens to one picture: the kernel it is reduced by, the quality it is saved at."""

    kernel: Image.Resampling
    quality: int


def drawn_history(sha256: str, *, seed: int, quality: tuple[int, int]) -> History:
    """Return the history of the picture with this hash, both ends of ``quality`` included.

    >>> drawn_history("ab" * 32, seed=0, quality=(80, 80)).quality
    80
    """
    rng = np.random.default_rng([seed, int(sha256[:16], 16)])
    kernel = KERNELS[int(rng.integers(len(KERNELS)))]
    return History(kernel, int(rng.integers(quality[0], quality[1] + 1)))


def lived(pixels: Pixels, history: History, *, factor: float) -> bytes:
    """Return the JPEG file of uint8 [H, W, 3] pixels, both sides scaled by ``factor``.

    A picture is never enlarged: at a factor of 1 or more it keeps its size, and is saved all the
    same.
    """
    return encode_jpeg(_reduced(pixels, history.kernel, factor), history.quality)


def _reduced(pixels: Pixels, kernel: Image.Resampling, factor: float) -> Pixels:
    """Return the picture with both sides scaled by ``factor``, where that is below 1."""
    height, width = pixels.shape[:2]
    if factor >= 1:
        return pixels
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    return np.asarray(Image.fromarray(pixels).resize(size, kernel), np.uint8)
