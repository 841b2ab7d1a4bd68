"""The numbers that are measured of a picture file, by family, and what each says in words."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

import cv2
import numpy as np
import numpy.typing as npt

from faceproof.data.shortcuts.appearance import (
    appearance,
    grey,
    high_frequency_share,
    log_laplacian,
    mean_saturation,
)
from faceproof.imaging.containers.base import Container
from faceproof.imaging.containers.jpeg_header import JpegHeader
from faceproof.imaging.decode import decode
from faceproof.imaging.degradations import encode_jpeg
from faceproof.imaging.faces import Face
from faceproof.imaging.picture import Picture

#: The formats whose metadata is measured.
METADATA_FORMATS = frozenset({"JPEG", "PNG", "WEBP"})
_METADATA_KINDS = ("exif", "icc", "xmp", "iptc", "comment", "jfif", "adobe", "credentials")

#: Each family, its features, and their words in "WORDS is lower in fakes". What ends in "?" is 1
#: where it is so and 0 where it is not, and is told as a share of the pictures.
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

    ``picture`` is what the bytes decode to, where that is at hand. ``faces``, the largest first,
    are those found in it: None where nobody looked, empty where there are none.

    Raises:
        PictureError: the bytes are no usable picture.
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
        **appearance(seen.pixels),
        **_framing(seen, faces),
    }


def floor_features(picture: Picture) -> dict[str, float]:
    """Return the five statistics of `FLOOR`, of the middle square at 256 px saved as JPEG 75."""
    side = min(picture.width, picture.height)
    top, left = (picture.height - side) // 2, (picture.width - side) // 2
    square = picture.pixels[top : top + side, left : left + side]
    kernel = cv2.INTER_AREA if side > _FLOOR_SIDE else cv2.INTER_CUBIC
    same = cv2.resize(square, (_FLOOR_SIDE, _FLOOR_SIDE), interpolation=kernel)
    data = encode_jpeg(np.asarray(same, np.uint8), _FLOOR_QUALITY)
    pixels = decode(data).pixels
    luma = grey(pixels)
    return {
        "floor_bytes": float(len(data)),
        "floor_laplacian": log_laplacian(luma),
        "floor_high_frequency": high_frequency_share(luma),
        "floor_luma": float(luma.mean()),
        "floor_saturation": mean_saturation(pixels),
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
    luma, chroma = (_entries(table) for table in (jpeg.luma, jpeg.chroma))
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


def _entries(table: tuple[int, ...]) -> Floats:
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
    """Return where the first face lies, in shares of the picture, and how many there are.

    The detection score is left out: it is a network's look at the face itself, and no shortcut.
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
