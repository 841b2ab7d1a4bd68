"""What happens to a picture between camera and judge: named conditions and random histories.

A degradation takes uint8 [H, W, 3] sRGB pixels and a numpy Generator, and returns pixels of
the same type; the size may change. The table `DEGRADATIONS` names the conditions of reports.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import cv2
import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
Degradation = Callable[[Pixels, np.random.Generator], Pixels]

# The longest side that each format can hold; a longer picture is reduced to it before a save.
_JPEG_LONGEST = 65_500
_WEBP_LONGEST = 16_383

_REDUCE = (cv2.INTER_AREA, cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_LANCZOS4)


def encode_jpeg(pixels: Pixels, quality: int) -> bytes:
    """Return the picture as a baseline 4:2:0 JPEG file."""
    bgr = cv2.cvtColor(reduce_to(pixels, _JPEG_LONGEST), cv2.COLOR_RGB2BGR)
    return bytes(cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])[1])


def jpeg(pixels: Pixels, quality: int) -> Pixels:
    """Return the picture after one save as JPEG."""
    return _decoded(encode_jpeg(pixels, quality))


def webp(pixels: Pixels, quality: int) -> Pixels:
    """Return the picture after one save as lossy WebP."""
    bgr = cv2.cvtColor(reduce_to(pixels, _WEBP_LONGEST), cv2.COLOR_RGB2BGR)
    return _decoded(bytes(cv2.imencode(".webp", bgr, [cv2.IMWRITE_WEBP_QUALITY, quality])[1]))


def resize(pixels: Pixels, factor: float, interpolation: int = cv2.INTER_AREA) -> Pixels:
    """Return the picture with both sides scaled by ``factor`` (at least 16 px)."""
    size = (max(16, round(pixels.shape[1] * factor)), max(16, round(pixels.shape[0] * factor)))
    return np.asarray(cv2.resize(pixels, size, interpolation=interpolation), np.uint8)


def reduce_to(pixels: Pixels, longest: int) -> Pixels:
    """Return the picture with its longer side at most ``longest`` px."""
    factor = longest / max(pixels.shape[:2])
    return pixels if factor >= 1 else resize(pixels, factor)


def blur(pixels: Pixels, sigma: float) -> Pixels:
    """Return the picture after a Gaussian blur of ``sigma`` px."""
    return np.asarray(cv2.GaussianBlur(pixels, (0, 0), sigma), np.uint8)


def noise(pixels: Pixels, sigma: float, rng: np.random.Generator) -> Pixels:
    """Return the picture with Gaussian noise of ``sigma`` grey levels."""
    grain = rng.standard_normal(pixels.shape, np.float32) * np.float32(sigma)
    return np.clip(pixels + grain, 0, 255).astype(np.uint8)


def tone(pixels: Pixels, *, gain: float = 1.0, offset: float = 0.0, gamma: float = 1.0) -> Pixels:
    """Return ``255 * (gain * x + offset) ** gamma`` of x = pixels / 255, clipped."""
    ramp = np.clip(gain * np.linspace(0, 1, 256) + offset, 0, 1) ** gamma
    return np.asarray(cv2.LUT(pixels, (255 * ramp).round().astype(np.uint8)), np.uint8)


def screenshot(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Return the picture as shown on a screen at another size, then saved as JPEG-80."""
    shown = resize(pixels, float(rng.uniform(0.7, 1.4)), cv2.INTER_LINEAR)
    return jpeg(shown, 80)


def random_history(pixels: Pixels, rng: np.random.Generator, *, steps: int = 3) -> Pixels:
    """Return the picture after up to ``steps`` random resizes and saves.

    Both classes of a training set must go through the same distribution of these, or the file's
    history gives the class away.
    """
    for _ in range(int(rng.integers(0, steps + 1))):
        pixels = _HISTORY[int(rng.integers(len(_HISTORY)))](pixels, rng)
    return pixels


def _random_resize(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Return the picture at 0.4 to 1.3 times its size, never below 96 px, by a random kernel."""
    lowest = max(0.4, 96 / max(pixels.shape[:2]))
    factor = float(rng.uniform(min(lowest, 1.0), 1.3))
    return resize(pixels, factor, int(rng.choice(_REDUCE)))


def _random_jpeg(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    return jpeg(pixels, int(rng.integers(35, 99)))


def _random_webp(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    return webp(pixels, int(rng.integers(35, 96)))


_HISTORY: tuple[Degradation, ...] = (
    _random_resize,
    _random_resize,
    _random_jpeg,
    _random_jpeg,
    _random_webp,
)


def _decoded(data: bytes) -> Pixels:
    """Return the pixels of a file that this module has just written."""
    bgr = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)


def _plain(change: Callable[[Pixels], Pixels]) -> Degradation:
    """Return a degradation that needs no randomness."""
    return lambda pixels, _rng: change(pixels)


def _chain(*changes: Callable[[Pixels], Pixels]) -> Degradation:
    """Return a degradation that applies ``changes`` one after another."""

    def apply(pixels: Pixels, _rng: np.random.Generator) -> Pixels:
        for change in changes:
            pixels = change(pixels)
        return pixels

    return apply


DEGRADATIONS: dict[str, Degradation] = {
    "clean": _plain(lambda pixels: pixels),
    "jpeg-90": _plain(partial(jpeg, quality=90)),
    "jpeg-75": _plain(partial(jpeg, quality=75)),
    "jpeg-60": _plain(partial(jpeg, quality=60)),
    "jpeg-40": _plain(partial(jpeg, quality=40)),
    "webp-75": _plain(partial(webp, quality=75)),
    "webp-50": _plain(partial(webp, quality=50)),
    "resize-0.75": _plain(partial(resize, factor=0.75)),
    "resize-0.5": _plain(partial(resize, factor=0.5)),
    "resize-0.5+jpeg-60": _chain(partial(resize, factor=0.5), partial(jpeg, quality=60)),
    "blur-1": _plain(partial(blur, sigma=1.0)),
    "noise-5": lambda pixels, rng: noise(pixels, 5.0, rng),
    "dark": _plain(partial(tone, gain=0.4)),
    "bright": _plain(partial(tone, gain=1.25, offset=0.08)),
    "screenshot": screenshot,
}
