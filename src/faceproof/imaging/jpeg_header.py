"""How a JPEG was compressed: its tables, its layers, and the quality that a table speaks of."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

Table = tuple[int, ...]

_START_OF_SCAN, _TABLES, _HUFFMAN, _RESTART = 0xDA, 0xDB, 0xC4, 0xDD
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
_WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xD9)})

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
# How many codes of 1 to 16 bits the usual luma AC table has: ITU-T T.81, table K.5.
_USUAL_CODES = bytes((0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 125))
_LUMA_AC = 0x10


@dataclass(frozen=True, slots=True)
class JpegHeader:
    """What stands before the first scan; tables have 64 entries in zigzag order, or none."""

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
        return nearest_quality(self.luma)[0]

    @property
    def standard(self) -> float:
        """1 where the luma table is exactly that of a quality, 0 where it is another's own."""
        return nearest_quality(self.luma)[1]


def read_header(data: bytes) -> JpegHeader:
    """Return how a JPEG is compressed; what its header does not say is empty, 0 or NaN."""
    tables: dict[int, Table] = {}
    frame, progressive, restart, optimised = b"", False, 0, math.nan
    for marker, body in segments(data):
        if marker == _TABLES:
            tables.update(_quantisation(body))
        elif marker in _FRAMES:
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


def segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield marker and body of each segment up to the first scan, as far as they make sense.

    Source: ITU-T T.81, annex B.
    """
    position = 2
    while (start := data.find(b"\xff", position)) >= 0 and start + 4 <= len(data):
        marker = data[start + 1]
        if marker in {0x00, 0xFF} or marker in _WITHOUT_LENGTH:
            position = start + 1 + (marker != 0xFF)
            continue
        length = int.from_bytes(data[start + 2 : start + 4], "big")
        if marker == _START_OF_SCAN or length < 2:
            return
        yield marker, data[start + 4 : start + 2 + length]
        position = start + 2 + length


@lru_cache(maxsize=1024)
def nearest_quality(table: Table) -> tuple[float, float]:
    """Return the quality whose luma table differs least from this one, and 1 if it is the same.

    NaN twice for an empty table. Of qualities with the same table the highest is taken.

    Source: the scaling of the Independent JPEG Group's library, jcparam.c.

    >>> nearest_quality(standard_table(75))
    (75.0, 1.0)
    """
    if len(table) != 64:
        return math.nan, math.nan
    differences = np.abs(_all_tables() - np.array(table)).sum(axis=1)
    best = 100 - int(np.argmin(differences[::-1]))
    return float(best), float(differences[best - 1] == 0)


def standard_table(quality: int, *, chroma: bool = False) -> Table:
    """Return the 64 entries, in zigzag order, that the usual library writes for a quality."""
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality
    base = _CHROMA if chroma else _LUMA
    return tuple(min(max((base[i] * scale + 50) // 100, 1), 255) for i in _zigzag())


@lru_cache(maxsize=1)
def _all_tables() -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    return np.array([standard_table(quality) for quality in range(1, 101)])


@lru_cache(maxsize=1)
def _zigzag() -> list[int]:
    """Return the places of an 8 x 8 block, row by row, in the order in which tables are written."""

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
    """Return how many luma samples there are for one of chroma, across and down; (0, 0): no chroma.

    >>> _sampling([(2, 2), (1, 1), (1, 1)])
    (2, 2)
    """
    if len(factors) < 2 or 0 in factors[1]:
        return 0, 0
    return factors[0][0] // factors[1][0], factors[0][1] // factors[1][1]


def _luma_codes(body: bytes) -> bytes:
    """Return the 16 counts of the luma AC table in a segment, empty where it is not in it."""
    position = 0
    while position + 17 <= len(body):
        codes = body[position + 1 : position + 17]
        if body[position] == _LUMA_AC:
            return codes
        position += 17 + sum(codes)
    return b""
