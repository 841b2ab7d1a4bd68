"""Conversion of any Pillow mode and any orientation to upright 8-bit sRGB."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms

_Convert = Callable[[Image.Image], Image.Image]
_Pixels = npt.NDArray[np.uint8]

# By EXIF orientation: the transposition to upright, whether the rows of the result are columns of
# the file, and whether they are in reverse order.
_TURNS = {
    2: (Image.Transpose.FLIP_LEFT_RIGHT, False, False),
    3: (Image.Transpose.ROTATE_180, False, True),
    4: (Image.Transpose.FLIP_TOP_BOTTOM, False, True),
    5: (Image.Transpose.TRANSPOSE, True, False),
    6: (Image.Transpose.ROTATE_270, True, False),
    7: (Image.Transpose.TRANSVERSE, True, True),
    8: (Image.Transpose.ROTATE_90, True, True),
}
_TURNS_OF_ARRAYS: dict[int, Callable[[_Pixels], cv2.typing.MatLike]] = {
    2: lambda pixels: cv2.flip(pixels, 1),
    3: lambda pixels: cv2.rotate(pixels, cv2.ROTATE_180),
    4: lambda pixels: cv2.flip(pixels, 0),
    5: cv2.transpose,
    6: lambda pixels: cv2.rotate(pixels, cv2.ROTATE_90_CLOCKWISE),
    7: lambda pixels: cv2.transpose(cv2.rotate(pixels, cv2.ROTATE_180)),
    8: lambda pixels: cv2.rotate(pixels, cv2.ROTATE_90_COUNTERCLOCKWISE),
}
# Measured: bands that fit into the cache take a third of the time of one large copy.
_BAND_PIXELS = 65_536
# The largest printing profiles have 3 MB; larger ones are ignored, and never cached below.
_MAX_PROFILE_BYTES = 4 << 20
_DEEP = frozenset({"I", "F", "I;16", "I;16B", "I;16L", "I;16N"})
_GREY = _DEEP | {"1", "L", "LA", "La"}
_WITH_ALPHA = frozenset({"LA", "La", "PA", "RGBA", "RGBa"})
_MAY_HAVE_A_CLEAR_COLOUR = frozenset({"1", "L", "P", "RGB"})
_PLAIN = frozenset({"L", "RGB", "CMYK", "LAB"})


def to_srgb(image: Image.Image, *, orientation: int = 1) -> npt.NDArray[np.uint8]:
    """Return the pixels of a loaded picture, uint8 [H, W, 3] in sRGB, turned upright.

    Transparent pixels are composed on white. A colour profile is applied if it is valid and matches
    the mode. 16-bit greys span 0 to 65535, 32-bit and float greys the smallest usual range that
    contains them. The picture is converted in bands of rows to limit memory.

    >>> to_srgb(Image.new("LA", (2, 1), (0, 0))).tolist()
    [[[255, 255, 255], [255, 255, 255]]]
    """
    convert = _converter(image)
    turn, across, far = _TURNS.get(orientation, (None, False, False))
    height, width = image.size if across else image.size[::-1]
    pixels = np.empty((height, width, 3), np.uint8)
    step = max(1, _BAND_PIXELS // width)
    for top in range(0, height, step):
        bottom = min(top + step, height)
        first, last = (height - bottom, height - top) if far else (top, bottom)
        box = (first, 0, last, width) if across else (0, first, width, last)
        band = image.crop(box) if step < height else image
        upright = band if turn is None else band.transpose(turn)
        pixels[top:bottom] = np.asarray(convert(upright))
    return pixels


def turn_upright(pixels: _Pixels, orientation: int) -> _Pixels:
    """Return pixels [H, W, 3] of a file with this EXIF orientation, turned upright.

    >>> turn_upright(np.array([[[1, 1, 1], [2, 2, 2]]], np.uint8), 6)[..., 0].tolist()
    [[1], [2]]
    """
    turn = _TURNS_OF_ARRAYS.get(orientation)
    return pixels if turn is None else np.asarray(turn(pixels), np.uint8)


def is_srgb(image: Image.Image) -> bool:
    """Return whether the values of an opened 8-bit grey or RGB picture are those of `to_srgb`."""
    if image.mode not in {"L", "RGB"} or _has_clear_colour(image):
        return False
    return _applied_profile(image.info.get("icc_profile"), image.mode) is None


def _converter(image: Image.Image) -> _Convert:
    """Return the function that converts bands of a picture to sRGB."""
    plain = _plain_converter(image)
    managed = _managed_converter(image.info.get("icc_profile"), image.mode)
    return lambda band: managed(plain(band))


def _plain_converter(image: Image.Image) -> _Convert:
    """Return the function that converts a band to 8-bit L, RGB, CMYK or LAB without alpha."""
    if image.mode in _DEEP:
        white = _white_value(image)
        return lambda band: _scale_band(band, white)
    if image.mode in _WITH_ALPHA or _has_clear_colour(image):
        return _flatten_on_white
    if image.mode in _PLAIN:
        return lambda band: band
    mode = "L" if image.mode == "1" else "RGB"
    return lambda band: band.convert(mode)


def _white_value(image: Image.Image) -> float:
    """Return the value of white."""
    if image.mode.startswith("I;16"):
        return 65535.0
    brightest = float(np.max(image.getextrema()))
    ranges = (1.0, 255.0, 65535.0) if image.mode == "F" else (255.0, 65535.0, 2.0**31)
    fallback = brightest if np.isfinite(brightest) else 1.0
    return next((end for end in ranges if brightest <= end), fallback)


def _scale_band(band: Image.Image, white: float) -> Image.Image:
    with np.errstate(all="ignore"):  # floats in files are unbounded
        values = np.nan_to_num(np.asarray(band, dtype=np.float32) * np.float32(255.0 / white))
    return Image.fromarray(np.clip(np.rint(values), 0, 255).astype(np.uint8))


def _has_clear_colour(image: Image.Image) -> bool:
    """Return whether one colour is transparent; a 16-bit colour cannot occur in 8-bit pixels."""
    clear = image.info.get("transparency")
    if clear is None or image.mode not in _MAY_HAVE_A_CLEAR_COLOUR:
        return False
    return isinstance(clear, bytes) or bool(np.max(clear) <= 255)


def _flatten_on_white(band: Image.Image) -> Image.Image:
    coloured = band.convert("RGBA")
    white = Image.new("RGB", band.size, (255, 255, 255))
    white.paste(coloured, mask=coloured.getchannel("A"))
    return white


def _managed_converter(profile: object, mode: str) -> _Convert:
    """Return the function that converts a band from its own colours to sRGB."""
    followed = _applied_profile(profile, mode)
    if followed is not None:
        return followed
    return _lab_converter() if mode == "LAB" else lambda band: band.convert("RGB")


def _applied_profile(profile: object, mode: str) -> _Convert | None:
    """Return the transform from the profile of a picture to sRGB; None if none is to be applied."""
    if not isinstance(profile, bytes) or len(profile) > _MAX_PROFILE_BYTES:
        return None
    kind = "grey" if mode in _GREY else mode if mode in {"CMYK", "LAB"} else "RGB"
    return _profile_converter(profile, kind)


@lru_cache(maxsize=8)
def _profile_converter(profile: bytes, kind: str) -> _Convert | None:
    """Return the transform from a profile to sRGB; None if it is invalid, unsuitable or is sRGB.

    Transforms are cached: building one takes longer than decoding a small picture, and pictures of
    one camera have the same profile. Little CMS transforms are thread-safe.
    """
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        space = source.profile.xcolor_space.strip()
        mode = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK", "Lab": "LAB"}.get(space, "")
        is_srgb = mode == "RGB" and (source.profile.profile_description or "").startswith("sRGB")
        if mode not in {kind, *(("L", "RGB") if kind == "grey" else ())} or is_srgb:
            return None
        return _make_transform(source, mode)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError, AttributeError):
        return None


def _make_transform(source: ImageCms.ImageCmsProfile, mode: str) -> _Convert:
    transform = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB")
    return lambda band: transform.apply(band if band.mode == mode else band.convert(mode))


@lru_cache(maxsize=1)
def _lab_converter() -> _Convert:
    return _make_transform(ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")), "LAB")
