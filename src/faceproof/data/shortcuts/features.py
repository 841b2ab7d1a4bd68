"""FAMILIES: the features of a picture file for the shortcut probe, and their descriptions.

Large pictures are reduced to 512 px first; only the 8-px grid is measured in a part of the picture
at full size.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from faceproof.imaging.containers.base import Container
from faceproof.imaging.containers.jpeg_header import JpegHeader
from faceproof.imaging.decode import Picture, decode
from faceproof.imaging.degradations import encode_jpeg, reduce_to
from faceproof.imaging.faces import Face

Pixels = npt.NDArray[np.uint8]

#: Pictures are reduced to this side before their pixels are measured.
LARGEST_SIDE = 512

_GRID = 8
_RING = 0.02
_BLACK, _WHITE = 8, 247
_DARK, _BRIGHT = 3, 252
_SMALL = 64
_FLAT = 3
_NOISE_MASK = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)


def _appearance(pixels: Pixels) -> dict[str, float]:
    """Return sharpness, brightness and borders of uint8 [H, W, 3] sRGB pixels, by name."""
    small = reduce_to(pixels, LARGEST_SIDE)
    luma = _to_grey(small)
    return {
        **_sharpness(luma),
        **blockiness(pixels, luma if small is pixels else None),
        **_brightness(small, luma),
        **_borders(luma),
        **constant_corners(luma),
    }


def _sharpness(luma: Pixels) -> dict[str, float]:
    return {
        "laplacian": _log_laplacian(luma),
        "high_frequency": _high_frequency_share(luma),
        "noise": _noise_level(luma),
    }


def _brightness(small: Pixels, luma: Pixels) -> dict[str, float]:
    """Return means, contrast, saturation and clipped shares."""
    mean, deviation = cv2.meanStdDev(luma)
    red, green, blue, _ = cv2.mean(small)
    return {
        "luma": float(mean[0, 0]),
        "contrast": float(deviation[0, 0]),
        "saturation": _mean_saturation(small),
        "red": red,
        "green": green,
        "blue": blue,
        "clipped_dark": float(np.count_nonzero(luma <= _DARK) / luma.size),
        "clipped_bright": float(np.count_nonzero(luma >= _BRIGHT) / luma.size),
    }


def _borders(luma: Pixels) -> dict[str, float]:
    """Return mean and spread of grey in the outer 2 % of each side, and black and white shares."""
    depth = max(1, round(_RING * min(luma.shape)))
    sides = {
        "top": luma[:depth],
        "bottom": luma[-depth:],
        "left": luma[:, :depth],
        "right": luma[:, -depth:],
    }
    ring = np.concatenate([side.ravel() for side in sides.values()])
    means = {f"{name}_luma": float(side.mean()) for name, side in sides.items()}
    spreads = {f"{name}_spread": float(side.std()) for name, side in sides.items()}
    shares = {
        "black_border": float(np.mean(ring <= _BLACK)),
        "white_border": float(np.mean(ring >= _WHITE)),
    }
    return {**means, **spreads, **shares}


def _to_grey(pixels: Pixels) -> Pixels:
    """Return the luma uint8 [H, W] of uint8 [H, W, 3] sRGB pixels."""
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), np.uint8)


def _log_laplacian(luma: Pixels) -> float:
    """Return the natural logarithm of the Laplacian's variance, at least that of 0.001."""
    _, deviation = cv2.meanStdDev(cv2.Laplacian(luma, cv2.CV_16S))
    return math.log(float(deviation[0, 0]) ** 2 + 1e-3)


def _high_frequency_share(luma: Pixels) -> float:
    """Return the share of the spectrum above half of the highest frequency, in [0, 1]; 0 if flat.

    The spectrum is that of a cosine transform, whose mirrored edges add no frequencies. It uses
    magnitudes instead of energies, because a few low frequencies have nearly all the energy.
    """
    even = luma[: luma.shape[0] // 2 * 2, : luma.shape[1] // 2 * 2]
    if even.size == 0:
        return 0.0
    waves = cv2.dct(cv2.subtract(even, cv2.mean(even)[0], dtype=cv2.CV_32F))
    waves[0, 0] = 0
    total = float(cv2.norm(waves, cv2.NORM_L1))
    return (
        float(cv2.norm(waves, cv2.NORM_L1, _high_frequency_mask(even.shape))) / total
        if total > 0
        else 0.0
    )


def _mean_saturation(pixels: Pixels) -> float:
    """Return the mean of HSV's saturation, 0 to 255."""
    return float(cv2.mean(cv2.cvtColor(pixels, cv2.COLOR_RGB2HSV))[1])


def _noise_level(luma: Pixels) -> float:
    """Return the standard deviation of the noise in grey levels, as if all of it were Gaussian.

    Source: Immerkaer 1996, Computer Vision and Image Understanding 64:300.
    """
    grains = cv2.filter2D(luma, cv2.CV_16S, _NOISE_MASK)
    return math.sqrt(math.pi / 2) / 6 * float(cv2.norm(grains, cv2.NORM_L1)) / luma.size


def blockiness(pixels: Pixels, luma: Pixels | None = None) -> dict[str, float]:
    """Return the log ratio of steps at an 8-px grid to steps between its lines.

    ``blockiness`` is that of the grid that begins in the corner, as the blocks of a JPEG do.
    ``blockiness_off_grid`` is the largest of other grids: the blocks of a JPEG that was cropped
    later. For a large picture, a part from the middle is measured, at full size.
    """
    height, width = (side // _GRID * _GRID for side in pixels.shape[:2])
    if min(height, width) < 2 * _GRID:
        return {"blockiness": math.nan, "blockiness_off_grid": math.nan}
    piece = (_middle_slice(height), _middle_slice(width))
    seen = _to_grey(pixels[piece]) if luma is None else luma[piece]
    down, across = _steps(seen[:-1], seen[1:], axis=1), _steps(seen[:, :-1], seen[:, 1:], axis=0)
    off_grid = max(float(down[:-1].max()), float(across[:-1].max()))
    return {"blockiness": float(down[-1] + across[-1]) / 2, "blockiness_off_grid": off_grid}


def _middle_slice(side: int) -> slice:
    """Return the middle part of a side: a multiple of 8 px, beginning on the grid."""
    start = max(0, side - LARGEST_SIDE) // 2 // _GRID * _GRID
    return slice(start, min(start + LARGEST_SIDE, side))


def _steps(before: Pixels, after: Pixels, *, axis: int) -> npt.NDArray[np.float64]:
    """Return the logarithm of the mean step at each of 8 phases over the median of all phases.

    The last phase is the one between two blocks of a JPEG.
    """
    steps = cv2.reduce(cv2.absdiff(before, after), axis, cv2.REDUCE_SUM, dtype=cv2.CV_32S).ravel()
    phases = np.array([steps[phase::_GRID].mean() for phase in range(_GRID)]) + 1e-6
    return np.asarray(np.log(phases / np.median(phases)))


@lru_cache(maxsize=16)
def _high_frequency_mask(shape: tuple[int, int]) -> Pixels:
    """Return 1 where an entry of a cosine transform is above half of the highest frequency."""
    down, across = (np.arange(side) / side for side in shape)
    return np.asarray(np.hypot(down[:, None], across[None, :]) > 0.5, np.uint8)


def constant_corners(luma: Pixels) -> dict[str, float]:
    """Return the shares of the picture in areas of one grey that begin in a corner.

    ``constant_corners`` is for any grey, ``black_wedge`` for black, as in rotated or padded
    pictures. Measured in a copy of 64 px a side.
    """
    small = cv2.resize(luma, (_SMALL, _SMALL), interpolation=cv2.INTER_AREA)
    seen = np.zeros((_SMALL + 2, _SMALL + 2), np.uint8)
    black = 0
    last = _SMALL - 1
    for corner in ((0, 0), (last, 0), (0, last), (last, last)):
        grey = int(small[corner[1], corner[0]])
        if not seen[corner[1] + 1, corner[0] + 1]:
            flags = 4 | 1 << 8 | cv2.FLOODFILL_MASK_ONLY | cv2.FLOODFILL_FIXED_RANGE
            filled = cv2.floodFill(small, seen, corner, 0, _FLAT, _FLAT, flags)[0]
            black += filled if grey <= _BLACK else 0
    inside = seen[1:-1, 1:-1]
    return {"constant_corners": float(inside.mean()), "black_wedge": black / small.size}


#: The formats whose metadata is measured.
METADATA_FORMATS = frozenset({"JPEG", "PNG", "WEBP"})
_METADATA_KINDS = ("exif", "icc", "xmp", "iptc", "comment", "jfif", "adobe", "credentials")

#: Each family, its features, and their words in "WORDS is lower in fakes". A feature whose words
#: end in "?" is 1 for yes and 0 for no, and is reported as a share of the pictures.
FAMILIES: dict[str, dict[str, str]] = {
    "file": {"bytes": "file size in bytes", "bytes_per_pixel": "bytes a pixel"},
    "dimensions": {
        "width": "width in px",
        "height": "height in px",
        "aspect": "width over height",
        "square": "square?",
        "multiple_of_8": "both sides multiples of 8 px?",
        "multiple_of_16": "both sides multiples of 16 px?",
        "power_of_two": "both sides powers of two?",
    },
    "format": {
        "is_jpeg": "JPEG file?",
        "is_png": "PNG file?",
        "is_webp": "WebP file?",
        "is_gif": "GIF file?",
        "is_bmp": "BMP file?",
        "is_tiff": "TIFF file?",
        "is_avif": "AVIF file?",
        "is_heic": "HEIC file?",
        "channels": "number of channels in the file",
    },
    "quantisation": {
        "quality": "estimated JPEG quality",
        "standard_table": "table of a standard JPEG quality?",
        "tables": "number of quantisation tables",
        "luma_sum": "sum of the luma table",
        "luma_first": "first entry of the luma table",
        "luma_second": "second entry of the luma table",
        "luma_last": "last entry of the luma table",
        "chroma_sum": "sum of the chroma table",
        "chroma_first": "first entry of the chroma table",
        "chroma_last": "last entry of the chroma table",
        "sampling_across": "chroma subsampling across",
        "sampling_down": "chroma subsampling down",
        "progressive": "progressive JPEG?",
        "restart_interval": "restart interval",
        "optimised": "own Huffman tables?",
    },
    "metadata": {
        **{f"has_{kind}": f"{kind} block?" for kind in _METADATA_KINDS},
        "metadata_bytes": "size of the metadata in bytes",
        "trailing_bytes": "data behind the end of the JPEG in bytes",
        "density_unit": "unit of the density field",
        "density": "density field",
    },
    "sharpness": {
        "laplacian": "sharpness (logarithm of the Laplacian's variance)",
        "high_frequency": "share of high frequencies",
        "noise": "noise level in grey levels",
        "blockiness": "blockiness at the 8-px grid",
        "blockiness_off_grid": "blockiness at a shifted 8-px grid",
    },
    "brightness": {
        "luma": "mean brightness",
        "contrast": "contrast",
        "saturation": "mean saturation",
        "red": "mean of red",
        "green": "mean of green",
        "blue": "mean of blue",
        "clipped_dark": "share of pixels that are quite dark",
        "clipped_bright": "share of pixels that are quite bright",
    },
    "borders": {
        "top_luma": "brightness of the upper border",
        "bottom_luma": "brightness of the lower border",
        "left_luma": "brightness of the left border",
        "right_luma": "brightness of the right border",
        "top_spread": "spread of grey along the upper border",
        "bottom_spread": "spread of grey along the lower border",
        "left_spread": "spread of grey along the left border",
        "right_spread": "spread of grey along the right border",
        "black_border": "black share of the border",
        "white_border": "white share of the border",
        "constant_corners": "share of the picture in constant areas at corners",
        "black_wedge": "share of the picture in black wedges at corners",
    },
    "framing": {
        "face_x": "place of the face across",
        "face_y": "place of the face down",
        "face_size": "size of the face over that of the picture",
        "face_tilt": "tilt of the eyes in degrees",
        "faces": "number of faces",
    },
}
#: The names of all features, in the order of a row.
FEATURES: tuple[str, ...] = tuple(name for names in FAMILIES.values() for name in names)

#: The five trivial statistics of the floor, after a common re-encoding.
FLOOR: dict[str, str] = {
    "floor_bytes": "file size in bytes",
    "floor_laplacian": "sharpness (logarithm of the Laplacian's variance)",
    "floor_high_frequency": "share of high frequencies",
    "floor_luma": "mean brightness",
    "floor_saturation": "mean saturation",
}
_FLOOR_SIDE, _FLOOR_QUALITY = 256, 75

Floats = npt.NDArray[np.float64]


def measure_shortcuts(
    data: bytes, *, picture: Picture | None = None, faces: Sequence[Face] | None = None
) -> dict[str, float]:
    """Return the `FEATURES` of one picture file by name; NaN where one does not apply.

    ``picture`` is the decoded picture, if available. ``faces`` are the faces found in it, the
    largest first: None without face detection, empty if there are none.

    Raises:
        PictureError: the bytes are not a usable picture.
    """
    seen = picture or decode(data)
    container = seen.container
    jpeg = container.jpeg_header if container else None
    return {
        **_file(data, seen),
        **_dimensions(seen.width, seen.height),
        **_format(seen.format, container),
        **(_quantisation(jpeg) if jpeg else dict.fromkeys(FAMILIES["quantisation"], math.nan)),
        **_metadata(seen.format, container),
        **_appearance(seen.pixels),
        **_framing(seen, faces),
    }


def floor_features(picture: Picture) -> dict[str, float]:
    """Return the five statistics of `FLOOR` for the middle square at 256 px saved as JPEG 75."""
    side = min(picture.width, picture.height)
    top, left = (picture.height - side) // 2, (picture.width - side) // 2
    square = picture.pixels[top : top + side, left : left + side]
    kernel = cv2.INTER_AREA if side > _FLOOR_SIDE else cv2.INTER_CUBIC
    same = cv2.resize(square, (_FLOOR_SIDE, _FLOOR_SIDE), interpolation=kernel)
    data = encode_jpeg(np.asarray(same, np.uint8), _FLOOR_QUALITY)
    pixels = decode(data).pixels
    luma = _to_grey(pixels)
    return {
        "floor_bytes": float(len(data)),
        "floor_laplacian": _log_laplacian(luma),
        "floor_high_frequency": _high_frequency_share(luma),
        "floor_luma": float(luma.mean()),
        "floor_saturation": _mean_saturation(pixels),
    }


def as_row(measured: Mapping[str, float], names: Sequence[str] = FEATURES) -> Floats:
    """Return measured numbers as float64 [F], in the order of ``names``."""
    return np.array([measured[name] for name in names], np.float64)


def _file(data: bytes, picture: Picture) -> dict[str, float]:
    size = float(len(data))
    return {"bytes": size, "bytes_per_pixel": size / (picture.width * picture.height)}


def _dimensions(width: int, height: int) -> dict[str, float]:
    sides = (width, height)
    return {
        "width": float(width),
        "height": float(height),
        "aspect": width / height,
        "square": float(width == height),
        "multiple_of_8": float(all(side % 8 == 0 for side in sides)),
        "multiple_of_16": float(all(side % 16 == 0 for side in sides)),
        "power_of_two": float(all(side.bit_count() == 1 for side in sides)),
    }


def _format(kind: str, container: Container | None) -> dict[str, float]:
    one_hot = {name: float(name == f"is_{kind.lower()}") for name in FAMILIES["format"]}
    channels = container.channels if container else None
    return {**one_hot, "channels": math.nan if channels is None else float(channels)}


def _quantisation(jpeg: JpegHeader) -> dict[str, float]:
    luma, chroma = (_table_entries(table) for table in (jpeg.luma, jpeg.chroma))
    return {
        "quality": jpeg.quality,
        "standard_table": jpeg.standard,
        "tables": float(jpeg.tables),
        "luma_sum": float(luma.sum()),
        "luma_first": float(luma[0]),
        "luma_second": float(luma[1]),
        "luma_last": float(luma[-1]),
        "chroma_sum": float(chroma.sum()),
        "chroma_first": float(chroma[0]),
        "chroma_last": float(chroma[-1]),
        "sampling_across": float(jpeg.sampling[0]),
        "sampling_down": float(jpeg.sampling[1]),
        "progressive": float(jpeg.progressive),
        "restart_interval": float(jpeg.restart_interval),
        "optimised": jpeg.optimised,
    }


def _table_entries(table: tuple[int, ...]) -> Floats:
    return np.array(table or (math.nan,) * 64, np.float64)


def _metadata(kind: str, container: Container | None) -> dict[str, float]:
    if container is None or kind not in METADATA_FORMATS:
        return dict.fromkeys(FAMILIES["metadata"], math.nan)
    size: Counter[str] = Counter()
    for part in container.parts:
        if part.kind != "pixels":
            size[part.kind] += container.size_of(part)
    unit, density = container.density or (math.nan, math.nan)
    trailing = container.trailing_bytes
    return {
        **{f"has_{name}": float(size[name] > 0) for name in _METADATA_KINDS},
        "metadata_bytes": float(size.total()),
        "trailing_bytes": math.nan if trailing is None else float(trailing),
        "density_unit": float(unit),
        "density": float(density),
    }


def _framing(picture: Picture, faces: Sequence[Face] | None) -> dict[str, float]:
    """Return the place of the first face, in shares of the picture, and the number of faces.

    The detection score is excluded: a network computes it from the face, so it is not a shortcut.
    """
    measured = dict.fromkeys(FAMILIES["framing"], math.nan)
    if faces is None:
        return measured
    measured["faces"] = float(len(faces))
    if faces:
        x, y, width, height = faces[0].box
        (left_x, left_y), (right_x, right_y) = faces[0].landmarks[:2].tolist()
        measured |= {
            "face_x": (x + width / 2) / picture.width,
            "face_y": (y + height / 2) / picture.height,
            "face_size": math.sqrt(max(width * height, 0.0) / (picture.width * picture.height)),
            "face_tilt": math.degrees(math.atan2(right_y - left_y, right_x - left_x)),
        }
    return measured
