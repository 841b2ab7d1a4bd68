"""JpegHeader: how a JPEG is compressed, and the quality of its quantisation table."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

Table = tuple[int, ...]

#: Markers of frames (SOF0 to SOF15), as the byte behind FF. Source: ITU-T T.81, table B.1.
FRAMES = frozenset(bytes([marker]) for marker in range(0xC0, 0xD0)) - {b"\xc4", b"\xc8", b"\xcc"}
_TABLES, _HUFFMAN, _RESTART = b"\xdb", b"\xc4", b"\xdd"
_PROGRESSIVE = frozenset({b"\xc2", b"\xc6", b"\xca", b"\xce"})

# ITU-T T.81, tables K.1 and K.2, row by row.
_LUMA = (
    *(16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55),
    *(14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51, 87, 80, 62),
    *(18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92),
    *(49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99),
)
_CHROMA = (
    *(17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99),
    *(24, 26, 56, 99, 99, 99, 99, 99, 47, 66, 99, 99, 99, 99, 99, 99),
    *(99,) * 32,
)
# Numbers of codes of 1 to 16 bits in the usual luma AC table: ITU-T T.81, table K.5.
_USUAL_CODES = bytes((0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 125))
_LUMA_AC = 0x10


@dataclass(frozen=True, slots=True)
class JpegHeader:
    """The header before the first scan; tables have 64 entries in zigzag order, or none.

    ``tables`` and ``layers`` count quantisation tables and components, ``sampling`` is luma
    samples for each chroma sample across and down, (0, 0) without chroma. ``optimised`` is 1.0 for
    Huffman tables of the file's own, 0.0 for the usual ones, NaN without any.
    """

    luma: Table
    chroma: Table
    tables: int
    layers: int
    sampling: tuple[int, int]
    progressive: bool
    restart_interval: int
    optimised: float

    @property
    def quality(self) -> float:
        """The quality, 1 to 100, whose luma table is nearest; NaN without a table."""
        return _nearest_quality(self.luma)[0]

    @property
    def standard(self) -> float:
        """1.0 where the luma table is exactly libjpeg's for that quality, 0.0 for any other."""
        return _nearest_quality(self.luma)[1]


def read_header(segments: Iterable[tuple[bytes, bytes]]) -> JpegHeader:
    """Return how a JPEG is compressed, from the markers and bodies of its segments.

    Values missing from the segments are empty, 0 or NaN.

    Source: ITU-T T.81, annex B.2.
    """
    tables: dict[int, Table] = {}
    frame, progressive, restart, optimised = b"", False, 0, math.nan
    for marker, body in segments:
        if marker == _TABLES:
            tables.update(_quantisation(body))
        elif marker in FRAMES:
            frame, progressive = body, marker in _PROGRESSIVE
        elif marker == _RESTART:
            restart = int.from_bytes(body[:2], "big")
        elif marker == _HUFFMAN and (codes := _luma_codes(body)):
            optimised = float(codes != _USUAL_CODES)
    layers = _layers(frame)
    used = [tables.get(table, ()) for _, table in layers] + [(), ()]
    sampling = _sampling([factors for factors, _ in layers])
    return JpegHeader(
        used[0], used[1], len(tables), len(layers), sampling, progressive, restart, optimised
    )


@lru_cache(maxsize=1024)
def _nearest_quality(table: Table) -> tuple[float, float]:
    """Return the quality whose luma table is nearest to this one, and 1.0 if it is equal.

    NaN twice for an empty table. The quality is exact for libjpeg, libjpeg-turbo, Pillow and
    OpenCV. Photoshop, cameras and MozJPEG have tables of their own: 0.0 marks the quality as an
    estimate.

    Source: the scaling of the Independent JPEG Group's library, jcparam.c.

    >>> _nearest_quality(standard_table(75))
    (75.0, 1.0)
    """
    if len(table) != 64:
        return math.nan, math.nan
    differences = np.abs(_all_tables() - np.array(table)).sum(axis=1)
    best = 100 - int(np.argmin(differences[::-1]))
    return float(best), float(differences[best - 1] == 0)


@lru_cache(maxsize=256)
def standard_table(quality: int, *, chroma: bool = False) -> Table:
    """Return the 64 entries, in zigzag order, that libjpeg writes for a quality, 1 to 100."""
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality
    base = _CHROMA if chroma else _LUMA
    return tuple(min(max((base[i] * scale + 50) // 100, 1), 255) for i in _zigzag())


@lru_cache(maxsize=1)
def _all_tables() -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    return np.array([standard_table(quality) for quality in range(1, 101)])


@lru_cache(maxsize=1)
def _zigzag() -> list[int]:
    """Return the row-major indices of an 8 x 8 block in zigzag order."""

    def order(place: int) -> tuple[int, int]:
        row, column = divmod(place, 8)
        diagonal = row + column
        return diagonal, row if diagonal % 2 else column

    return sorted(range(64), key=order)


def _quantisation(body: bytes) -> Iterator[tuple[int, Table]]:
    """Yield number and entries of each quantisation table in a segment."""
    position = 0
    while position < len(body):
        wide, number = body[position] >> 4, body[position] & 15
        entries = body[position + 1 : position + 1 + (128 if wide else 64)]
        if len(entries) < (128 if wide else 64):
            return
        yield number, tuple(_sixteen_bits(entries) if wide else entries)
        position += 1 + len(entries)


def _sixteen_bits(entries: bytes) -> list[int]:
    return [int.from_bytes(entries[i : i + 2], "big") for i in range(0, len(entries), 2)]


def _layers(frame: bytes) -> list[tuple[tuple[int, int], int]]:
    """Return sampling factors (across, down) and quantisation table of each layer of a frame."""
    heads = range(6, len(frame) - 2, 3)
    return [((frame[i + 1] >> 4, frame[i + 1] & 15), frame[i + 2]) for i in heads]


def _sampling(factors: list[tuple[int, int]]) -> tuple[int, int]:
    """Return the luma samples for each chroma sample, across and down; (0, 0) without chroma.

    >>> _sampling([(2, 2), (1, 1), (1, 1)])
    (2, 2)
    """
    if len(factors) < 2 or 0 in factors[1]:
        return 0, 0
    return factors[0][0] // factors[1][0], factors[0][1] // factors[1][1]


def _luma_codes(body: bytes) -> bytes:
    """Return the 16 counts of the luma AC table in a segment; empty where it has none."""
    position = 0
    while position + 17 <= len(body):
        codes = body[position + 1 : position + 17]
        if body[position] == _LUMA_AC:
            return codes
        position += 17 + sum(codes)
    return b""
