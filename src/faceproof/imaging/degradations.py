"""DEGRADATIONS: named degradations of a picture, and random histories of them.

A degradation takes uint8 [H, W, 3] sRGB pixels and a numpy Generator, and returns pixels of
the same type; the size may change. The keys of `DEGRADATIONS` are the conditions in reports.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from io import BytesIO

import cv2
import numpy as np
import numpy.typing as npt
from PIL import AvifImagePlugin, Image, features

from faceproof.tables import choose

Pixels = npt.NDArray[np.uint8]
Points = npt.NDArray[np.float32]
Step = Callable[[Pixels, Points, np.random.Generator], tuple[Pixels, Points]]
_Degradation = Callable[[Pixels, np.random.Generator], Pixels]

# The longest side that each format allows; a longer picture is reduced to it before saving.
_JPEG_LONGEST = 65_500
_WEBP_LONGEST = 16_383
_AVIF_LONGEST = 16_384

# A picture is not enlarged beyond so many pixels.
_MOST_ENLARGED = 50_000_000

#: Chroma subsampling of JPEG: half the width and height, half of one of them, or full.
SUBSAMPLINGS: dict[str, int] = {
    "4:2:0": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420,
    "4:4:4": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
    "4:2:2": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_422,
    "4:4:0": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_440,
}
# Phones, programs and sites mostly use the first, cameras and editors the second.
_SUBSAMPLED = (0.6, 0.25, 0.1, 0.05)

# Largest enlargement of a side in one step.
_HIGHEST = 1.3
_REDUCE = (cv2.INTER_AREA, cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_LANCZOS4)


def encode_jpeg(pixels: Pixels, quality: int, *, subsampling: str = "4:2:0") -> bytes:
    """Return the picture as a baseline JPEG file, its chroma subsampled as `SUBSAMPLINGS` says."""
    bgr = cv2.cvtColor(reduce_to(pixels, _JPEG_LONGEST), cv2.COLOR_RGB2BGR)
    chroma = choose(SUBSAMPLINGS, subsampling, what="chroma subsampling")
    how = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, chroma]
    return bytes(cv2.imencode(".jpg", bgr, how)[1])


def jpeg(pixels: Pixels, quality: int, *, subsampling: str = "4:2:0") -> Pixels:
    """Return the picture after one save as JPEG."""
    return decode_saved(encode_jpeg(pixels, quality, subsampling=subsampling))


def encode_webp(pixels: Pixels, quality: int) -> bytes:
    """Return the picture as a lossy WebP file."""
    bgr = cv2.cvtColor(reduce_to(pixels, _WEBP_LONGEST), cv2.COLOR_RGB2BGR)
    return bytes(cv2.imencode(".webp", bgr, [cv2.IMWRITE_WEBP_QUALITY, quality])[1])


def webp(pixels: Pixels, quality: int) -> Pixels:
    """Return the picture after one save as lossy WebP."""
    return decode_saved(encode_webp(pixels, quality))


def avif(pixels: Pixels, quality: int) -> Pixels:
    """Return the picture after one save as AVIF; only where `AVIF_WORKS`."""
    file = BytesIO()
    small = Image.fromarray(reduce_to(pixels, _AVIF_LONGEST))
    # One thread: the bytes that several threads write may differ.
    small.save(file, "AVIF", quality=quality, speed=8, max_threads=1)
    with AvifImagePlugin.AvifImageFile(BytesIO(file.getvalue())) as saved:
        return np.array(saved.convert("RGB"), np.uint8)


def resize(pixels: Pixels, factor: float, interpolation: int = cv2.INTER_AREA) -> Pixels:
    """Return the picture with both sides scaled by ``factor`` (at least 16 px)."""
    size = (max(16, round(pixels.shape[1] * factor)), max(16, round(pixels.shape[0] * factor)))
    return np.asarray(cv2.resize(pixels, size, interpolation=interpolation), np.uint8)


def reduce_to(pixels: Pixels, longest: int) -> Pixels:
    """Return the picture with its longer side at most ``longest`` px."""
    factor = longest / max(pixels.shape[:2])
    return pixels if factor >= 1 else resize(pixels, factor)


def enlarge(pixels: Pixels, factor: float) -> Pixels:
    """Return the picture with both sides scaled by ``factor``, at most to 50 megapixels."""
    most = (_MOST_ENLARGED / (pixels.shape[0] * pixels.shape[1])) ** 0.5
    return resize(pixels, max(1.0, min(factor, most)), cv2.INTER_CUBIC)


def crop(pixels: Pixels, share: float) -> Pixels:
    """Return the middle of the picture: ``share`` of its width and height, at least 1 px."""
    height, width = (max(1, round(share * side)) for side in pixels.shape[:2])
    top, left = (pixels.shape[0] - height) // 2, (pixels.shape[1] - width) // 2
    return np.ascontiguousarray(pixels[top : top + height, left : left + width])


def rotate(pixels: Pixels, degrees: float) -> Pixels:
    """Return the picture turned anticlockwise about its middle, its size kept, corners black.

    It uses Pillow, because OpenCV takes no picture longer than 32767 px.
    """
    turned = Image.fromarray(pixels).rotate(degrees, Image.Resampling.BILINEAR)
    return np.array(turned, np.uint8)


def mirror(pixels: Pixels) -> Pixels:
    """Return the picture with left and right exchanged."""
    return np.ascontiguousarray(pixels[:, ::-1])


def grey(pixels: Pixels) -> Pixels:
    """Return the picture in shades of grey (ITU-R BT.601 luma), in three equal channels."""
    luma = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    return np.repeat(np.asarray(luma, np.uint8)[..., None], 3, axis=2)


def blur(pixels: Pixels, sigma: float) -> Pixels:
    """Return the picture after a Gaussian blur of ``sigma`` px."""
    return np.asarray(cv2.GaussianBlur(pixels, (0, 0), sigma), np.uint8)


def median(pixels: Pixels, side: int) -> Pixels:
    """Return the picture after a median filter of ``side`` px (odd), as smoothing programs use."""
    return np.asarray(cv2.medianBlur(pixels, side), np.uint8)


def sharpen(pixels: Pixels, amount: float, sigma: float) -> Pixels:
    """Return the picture after unsharp masking: ``amount``, and ``sigma`` px of the blur."""
    soft = cv2.GaussianBlur(pixels, (0, 0), sigma)
    return np.asarray(cv2.addWeighted(pixels, 1 + amount, soft, -amount, 0), np.uint8)


def noise(pixels: Pixels, sigma: float, rng: np.random.Generator) -> Pixels:
    """Return the picture with Gaussian noise of ``sigma`` grey levels."""
    grain = rng.standard_normal(pixels.shape, np.float32) * np.float32(sigma)
    return np.clip(pixels + grain, 0, 255).astype(np.uint8)


def tone(pixels: Pixels, *, gain: float = 1.0, offset: float = 0.0, gamma: float = 1.0) -> Pixels:
    """Return ``255 * (gain * x + offset) ** gamma`` of x = pixels / 255, clipped."""
    ramp = np.clip(gain * np.linspace(0, 1, 256) + offset, 0, 1) ** gamma
    return np.asarray(cv2.LUT(pixels, (255 * ramp).round().astype(np.uint8)), np.uint8)


def contrast(pixels: Pixels, factor: float) -> Pixels:
    """Return the picture with the distance of each value from mid-grey scaled by ``factor``."""
    return tone(pixels, gain=factor, offset=0.5 * (1 - factor))


_FONT = cv2.FONT_HERSHEY_SIMPLEX
_CAPTION = "SHARE THIS PICTURE"


def caption(pixels: Pixels) -> Pixels:
    """Return the picture with a line of white text with a black outline near its lower edge."""
    height, width = pixels.shape[:2]
    across, up = cv2.getTextSize(_CAPTION, _FONT, 1.0, 2)[0]
    scale = min(0.8 * width / across, 0.08 * height / up)
    at = (round((width - scale * across) / 2), round(0.94 * height))
    stroke = max(1, round(2 * scale))
    written = pixels.copy()
    for value, thickness in ((0, 3 * stroke), (255, stroke)):
        cv2.putText(written, _CAPTION, at, _FONT, scale, (value,) * 3, thickness, cv2.LINE_AA)
    return written


def watermark(pixels: Pixels) -> Pixels:
    """Return the picture with faint white text, three times on top of one another."""
    height, width = pixels.shape[:2]
    across, up = cv2.getTextSize(_CAPTION, _FONT, 1.0, 2)[0]
    scale = min(0.9 * width / across, 0.2 * height / up)
    written = pixels.copy()
    for place in (0.25, 0.5, 0.75):
        at = (round((width - scale * across) / 2), round(place * height))
        stroke = max(1, round(2 * scale))
        cv2.putText(written, _CAPTION, at, _FONT, scale, (255,) * 3, stroke, cv2.LINE_AA)
    return np.asarray(cv2.addWeighted(written, 0.25, pixels, 0.75, 0), np.uint8)


def messenger(pixels: Pixels) -> Pixels:
    """Return the picture as messengers send it: at most 1600 px, sides x 0.8, JPEG-70.

    Faces are small in many sets, whose pictures a limit in pixels would not reduce; so the sides
    are always scaled. No messenger's own code was run.
    """
    return jpeg(resize(reduce_to(pixels, 1600), 0.8), 70)


def social_media(pixels: Pixels) -> Pixels:
    """Return the picture as sites show it: at most 1080 px, sides x 0.6, sharpened, JPEG-75.

    No site's own code was run.
    """
    return jpeg(sharpen(resize(reduce_to(pixels, 1080), 0.6), 0.3, 0.8), 75)


def repost(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Return the picture shown by a site, taken as a screenshot and posted again as WebP-75."""
    return webp(screenshot(social_media(pixels), rng), 75)


def screenshot(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Return the picture as shown on a screen at another size, then saved as JPEG-80."""
    shown = resize(pixels, float(rng.uniform(0.7, 1.4)), cv2.INTER_LINEAR)
    return jpeg(shown, 80)


def history_with_points(
    pixels: Pixels, points: Points, rng: np.random.Generator, *, steps: int = 3
) -> tuple[Pixels, Points]:
    """Return the picture after up to ``steps`` random resizes, saves, chains and screenshots.

    The points [N, 2] are mapped to the result, float32 [N, 2]. Both classes of a training set
    must have the same distribution of histories, or the history predicts the label.
    """
    for _ in range(int(rng.integers(0, steps + 1))):
        step = str(rng.choice(list(HISTORY), p=_CHANCES))
        pixels, points = HISTORY[step](pixels, points, rng)
    return pixels, points


def _random_resize(
    pixels: Pixels, points: Points, rng: np.random.Generator
) -> tuple[Pixels, Points]:
    """Return the picture at 0.4 to 1.3 times its size, never below 96 px, by a random kernel."""
    factor = float(rng.uniform(_lowest_factor(pixels, 0.4), _HIGHEST))
    return _resize_with_points(pixels, points, factor, int(rng.choice(_REDUCE)))


def _random_jpeg(pixels: Pixels, points: Points, rng: np.random.Generator) -> tuple[Pixels, Points]:
    """Return the picture after a save as JPEG of any usual quality and chroma subsampling."""
    subsampling = str(rng.choice(list(SUBSAMPLINGS), p=_SUBSAMPLED))
    return jpeg(pixels, int(rng.integers(35, 99)), subsampling=subsampling), points


def _random_webp(pixels: Pixels, points: Points, rng: np.random.Generator) -> tuple[Pixels, Points]:
    """Return the picture after a save as WebP of any usual quality, by a quick or a slow encoder.

    It uses Pillow, because OpenCV has only the slow encoder.
    """
    small, file = reduce_to(pixels, _WEBP_LONGEST), BytesIO()
    quality, method = int(rng.integers(35, 96)), int(rng.integers(0, 5))
    Image.fromarray(small).save(file, "WEBP", quality=quality, method=method)
    return decode_saved(file.getvalue()), _follow(points, pixels, small)


def _random_chain(
    pixels: Pixels, points: Points, rng: np.random.Generator
) -> tuple[Pixels, Points]:
    """Return the picture after 2 to 4 rounds of cropping by some pixels and saving as JPEG.

    The crop shifts the grid of 8 x 8 blocks, so that a save does not repeat the last one.
    """
    for _ in range(int(rng.integers(2, 5))):
        pixels, points = _cut(pixels, points, rng.integers(0, 8, 4))
        pixels, points = _random_jpeg(pixels, points, rng)
    return pixels, points


def _random_screenshot(
    pixels: Pixels, points: Points, rng: np.random.Generator
) -> tuple[Pixels, Points]:
    """Return a simulated screenshot of the picture in a program.

    The border is cropped, the picture is scaled to a window, set between bars, sharpened slightly
    and saved as JPEG. Screenshots are first saved as PNG, which is lossless and therefore skipped.
    """
    height, width = pixels.shape[:2]
    pixels, points = _cut(pixels, points, rng.uniform(0, 0.05, 4) * [width, height, width, height])
    bars = float(rng.uniform(0, 0.15)) if rng.random() < 0.5 else 0.0
    factor = float(rng.uniform(_lowest_factor(pixels, 0.6), _HIGHEST / (1 + bars)))
    kernel = int(rng.choice((cv2.INTER_AREA, cv2.INTER_LINEAR)))
    pixels, points = _resize_with_points(pixels, points, factor, kernel)
    pixels, points = _add_bars(pixels, points, bars, rng)
    if rng.random() < 0.5:
        pixels = sharpen(pixels, float(rng.uniform(0.1, 0.5)), float(rng.uniform(0.6, 1.2)))
    return _random_jpeg(pixels, points, rng)


def _lowest_factor(pixels: Pixels, factor: float) -> float:
    """Return the smallest factor that leaves a usable face: 96 px, or its original size."""
    return float(min(1.0, max(factor, 96 / max(pixels.shape[:2]))))


def _resize_with_points(
    pixels: Pixels, points: Points, factor: float, interpolation: int
) -> tuple[Pixels, Points]:
    """Return the picture and its points, scaled."""
    small = resize(pixels, factor, interpolation)
    return small, _follow(points, pixels, small)


def _follow(points: Points, before: Pixels, after: Pixels) -> Points:
    """Return the points scaled to another picture size; integers are pixel centres."""
    ratio = np.array(after.shape[1::-1], np.float32) / np.array(before.shape[1::-1], np.float32)
    return np.asarray((points + 0.5) * ratio - 0.5, np.float32)


def _cut(pixels: Pixels, points: Points, margins: npt.NDArray[np.number]) -> tuple[Pixels, Points]:
    """Return the picture cropped by ``left``, ``top``, ``right`` and ``bottom`` pixels.

    A picture of which less than 64 px would remain is not cropped.
    """
    left, top, right, bottom = (int(margin) for margin in margins)
    height, width = pixels.shape[:2]
    if min(width - left - right, height - top - bottom) < 64:
        return pixels, points
    part = np.ascontiguousarray(pixels[top : height - bottom, left : width - right])
    return part, points - np.array([left, top], np.float32)


def _add_bars(
    pixels: Pixels, points: Points, share: float, rng: np.random.Generator
) -> tuple[Pixels, Points]:
    """Return the picture between two bars, above and below, with a total share of its height."""
    both = int(share * pixels.shape[0])
    above = int(rng.integers(0, both + 1))
    grey = (int(rng.choice((0, 18, 128, 242, 255))),) * 3
    sides = (above, both - above, 0, 0)
    barred = cv2.copyMakeBorder(pixels, *sides, cv2.BORDER_CONSTANT, value=grey)
    return np.asarray(barred, np.uint8), points + np.array([0, above], np.float32)


#: The steps that `history_with_points` draws from.
HISTORY: dict[str, Step] = {
    "resize": _random_resize,
    "jpeg": _random_jpeg,
    "webp": _random_webp,
    "chain": _random_chain,
    "screenshot": _random_screenshot,
}
_CHANCES = (0.35, 0.3, 0.15, 0.08, 0.12)


def decode_saved(data: bytes) -> Pixels:
    """Return the pixels of a file that this module has just encoded."""
    bgr = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)


def _ignore_rng(change: Callable[[Pixels], Pixels]) -> _Degradation:
    """Return a degradation that ignores its random generator."""
    return lambda pixels, _rng: change(pixels)


def _make_noise(sigma: float) -> _Degradation:
    return lambda pixels, rng: noise(pixels, sigma, rng)


def _chain_changes(*changes: Callable[[Pixels], Pixels]) -> _Degradation:
    """Return a degradation that applies ``changes`` one after another."""

    def apply(pixels: Pixels, _rng: np.random.Generator) -> Pixels:
        for change in changes:
            pixels = change(pixels)
        return pixels

    return apply


AVIF_WORKS = features.check("avif")
"""Whether this build of Pillow can write AVIF; otherwise `DEGRADATIONS` has none."""

_DOUBLE_SAVES = ((75, 90), (50, 80), (90, 60))

DEGRADATIONS: dict[str, _Degradation] = {
    "clean": _ignore_rng(lambda pixels: pixels),
    **{
        f"jpeg-{quality}": _ignore_rng(partial(jpeg, quality=quality))
        for quality in (95, 90, 75, 60, 50, 40, 30, 20)
    },
    **{
        f"jpeg-{first}+jpeg-{second}": _chain_changes(
            partial(jpeg, quality=first), partial(jpeg, quality=second)
        )
        for first, second in _DOUBLE_SAVES
    },
    **{
        f"webp-{quality}": _ignore_rng(partial(webp, quality=quality))
        for quality in (90, 75, 50, 30)
    },
    **{
        f"avif-{quality}": _ignore_rng(partial(avif, quality=quality))
        for quality in (75, 50, 30)
        if AVIF_WORKS
    },
    **{
        f"resize-{factor}": _ignore_rng(partial(resize, factor=factor))
        for factor in (0.75, 0.5, 0.35, 0.2)
    },
    **{f"resize-{factor}": _ignore_rng(partial(enlarge, factor=factor)) for factor in (1.5, 2.0)},
    "resize-0.75+jpeg-75": _chain_changes(partial(resize, factor=0.75), partial(jpeg, quality=75)),
    "resize-0.5+jpeg-60": _chain_changes(partial(resize, factor=0.5), partial(jpeg, quality=60)),
    **{f"blur-{sigma}": _ignore_rng(partial(blur, sigma=float(sigma))) for sigma in (1, 2, 3)},
    **{f"median-{side}": _ignore_rng(partial(median, side=side)) for side in (3, 5)},
    **{f"noise-{sigma}": _make_noise(float(sigma)) for sigma in (5, 10, 20)},
    "dark": _ignore_rng(partial(tone, gain=0.4)),
    "bright": _ignore_rng(partial(tone, gain=1.25, offset=0.08)),
    **{
        f"brightness-{gain}": _ignore_rng(partial(tone, gain=gain)) for gain in (0.6, 0.8, 1.2, 1.4)
    },
    **{
        f"contrast-{factor}": _ignore_rng(partial(contrast, factor=factor))
        for factor in (0.5, 0.75, 1.25, 1.5)
    },
    **{
        f"gamma-{gamma}": _ignore_rng(partial(tone, gamma=gamma)) for gamma in (0.6, 0.8, 1.25, 1.6)
    },
    **{f"crop-{share}": _ignore_rng(partial(crop, share=share)) for share in (0.9, 0.75)},
    "crop-0.9+jpeg-75": _chain_changes(partial(crop, share=0.9), partial(jpeg, quality=75)),
    **{f"rotate-{degrees}": _ignore_rng(partial(rotate, degrees=degrees)) for degrees in (5, 15)},
    "mirror": _ignore_rng(mirror),
    "grey": _ignore_rng(grey),
    "caption": _ignore_rng(caption),
    "watermark": _ignore_rng(watermark),
    "screenshot": screenshot,
    "messenger": _ignore_rng(messenger),
    "social-media": _ignore_rng(social_media),
    "repost": repost,
}
