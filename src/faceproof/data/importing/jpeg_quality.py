"""At which quality a JPEG was saved, read off its quantisation tables."""

from __future__ import annotations

import struct
from functools import lru_cache

import numpy as np
import numpy.typing as npt

# The luminance table of the standard, in the zigzag order of the file.
# Source: ITU-T T.81, annex K.1, table K.1.
_ZIGZAG_LUMINANCE = (
    *(16, 11, 12, 14, 12, 10, 16, 14, 13, 14, 18, 17, 16, 19, 24, 40),
    *(26, 24, 22, 22, 24, 49, 35, 37, 29, 40, 58, 51, 61, 60, 57, 51),
    *(56, 55, 64, 72, 92, 78, 64, 68, 87, 69, 55, 56, 80, 109, 81, 87),
    *(95, 98, 103, 104, 103, 62, 77, 113, 121, 112, 100, 120, 92, 101, 103, 99),
)
_COEFFICIENTS = 64
_TABLES = 0xDB
_START_OF_SCAN = 0xDA
_NO_SEGMENT = frozenset({0x00, 0x01, 0xFF})  # stuffing, TEM, padding
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}

Table = tuple[int, ...]


def jpeg_quality(data: bytes) -> int | None:
    """Return the quality, 1 to 100, of the bytes of a JPEG; None where it has no such table.

    It is exact for the encoders that scale the standard's table as libjpeg does (libjpeg-turbo,
    Pillow, OpenCV), whatever the subsampling. For others (Photoshop, cameras, MozJPEG) it is the
    libjpeg quality whose luminance table lies nearest.
    """
    tables: dict[int, Table] = {}
    luminance = 0
    for marker, segment in _header(data):
        if marker == _TABLES:
            tables.update(_tables(segment))
        elif marker in _FRAMES and len(segment) > 8:
            luminance = segment[8]  # the table of the first layer
    return nearest_quality(tables[luminance]) if luminance in tables else None


@lru_cache(maxsize=1024)
def nearest_quality(table: Table) -> int:
    """Return the libjpeg quality whose luminance table lies nearest to one of 64 steps.

    Near is meant in ratios, so that the small steps of the low frequencies count.

    >>> nearest_quality(tuple(scaled_luminance(75)))
    75
    """
    ratios = np.abs(np.log(np.maximum(table, 1)) - _logarithms())
    return 1 + int(ratios.mean(axis=1).argmin())


def scaled_luminance(quality: int) -> npt.NDArray[np.int64]:
    """Return the luminance table of a libjpeg quality: int64 [64] in zigzag order, 1 to 255.

    Source: IJG libjpeg, jcparam.c, jpeg_quality_scaling and jpeg_add_quant_table (baseline).
    """
    percent = 5000 // quality if quality < 50 else 200 - 2 * quality
    scaled = (np.array(_ZIGZAG_LUMINANCE, np.int64) * percent + 50) // 100
    return np.clip(scaled, 1, 255).astype(np.int64)


@lru_cache(maxsize=1)
def _logarithms() -> npt.NDArray[np.float64]:
    """Return the logarithms of the tables of the qualities 1 to 100, [100, 64]."""
    tables = np.array([scaled_luminance(quality) for quality in range(1, 101)], np.float64)
    return np.asarray(np.log(tables))


def _header(data: bytes) -> list[tuple[int, bytes]]:
    """Return marker and content of the segments before the first scan, as far as they are whole."""
    segments = []
    position = data.find(b"\xff", 2)
    while 0 <= position < len(data) - 4:
        marker = data[position + 1]
        end = position + 2 + int.from_bytes(data[position + 2 : position + 4], "big")
        if marker == _START_OF_SCAN:
            break
        if marker in _NO_SEGMENT or end < position + 4:
            end = position + 1
        else:
            segments.append((marker, data[position + 4 : end]))
        position = data.find(b"\xff", end)  # as decoders do: what lies between is passed over
    return segments


def _tables(segment: bytes) -> dict[int, Table]:
    """Return the whole quantisation tables in a segment, by their number."""
    tables = {}
    position = 0
    while position < len(segment):
        deep, number = segment[position] >> 4, segment[position] & 15
        layout = f">{_COEFFICIENTS}{'H' if deep else 'B'}"
        if position + 1 + struct.calcsize(layout) > len(segment):
            break
        tables[number] = struct.unpack_from(layout, segment, position + 1)
        position += 1 + struct.calcsize(layout)
    return tables
