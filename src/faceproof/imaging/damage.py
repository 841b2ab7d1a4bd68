"""Damage: which part of a picture the decoder made up, because the file's data are damaged.

Decoders of lossy formats do not fail on wrong data: they draw grey or noise and go on. For JPEG the
warnings of its decoder are read; other coded data are searched for bytes that no encoder writes.
docs/reference/damaged-files.md says for each format what is detected and what cannot be.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import simplejpeg
from PIL import Image

from faceproof.imaging.containers.base import Container
from faceproof.imaging.containers.jpeg import END_OF_IMAGE, MARKER, START_OF_SCAN, Jpeg
from faceproof.imaging.containers.tiff import Strip, Tiff

Box = tuple[float, float, float, float]

# Warnings and errors of libjpeg (jerror.h) about coded data; others are about header fields.
_WARNINGS = (
    "premature end",
    "extraneous bytes",
    "bad huffman",
    "bad arithmetic",
    "instead of rst",
    "unsupported marker",
    "unsupported jpeg process",
)
_EIGHTH = 8  # one pixel of the smallest decoded size is the mean of one DCT block
_FILL = 128  # what libjpeg gives to each component of a block without data
_COEFFICIENTS = 64
# Random bytes hold an invalid marker every 260 bytes; 2048 without one are rarer than 1 in 2500.
_BEFORE_MARKER = 2048

# Where less is lost of a file that has its end mark, the decoder may have lost its place anywhere.
_SMALLEST_CUT = 0.1

# What entropy coding does not write: plain text, or one byte over and over. Such a run fills at
# least one block of 32 bytes. Arithmetic coding writes one for a flat area: 12 megapixels of white
# are 1300 to 2200 bytes of WebP; so a run is foreign from one byte for 1024 pixels on.
# Text has more than a few characters; the byte of such a run may be one.
_TEXT, _FEWEST_CHARACTERS = re.compile(rb"[\t\n\r\x20-\x7e]{96}"), 8
_RUN, _BLOCK, _FLAT = 64, 32, 1024

# Compressions of TIFF: JPEG and Deflate (Adobe technical notes 2 and 3); bytes inflated at once.
_JPEG_IN_TIFF = 7
_DEFLATE = frozenset({8, 32946})
_PIECE = 1 << 20

# One byte over and over in uncompressed pixels: rows of it, pixels of the next row, and how far
# from it pixels are like it anyway.
_FEWEST_ROWS = 8
_SHORTEST_BREAK = 4
_ALIKE = 4


@dataclass(frozen=True)
class Damage:
    """Where a picture is damaged: ``box`` (x, y, width, height) in pixels.

    ``share`` is the part of the picture that is missing or made up, in (0, 1]. ``cut`` is True if
    data are missing, False if they are wrong.
    """

    box: Box
    share: float
    cut: bool = False

    def overlaps(self, box: Box) -> bool:
        """Return whether a part of ``box`` (x, y, width, height) is damaged."""
        x, y, width, height = self.box
        left, top, across, down = box
        return left < x + width and x < left + across and top < y + height and y < top + down

    def turned(self, orientation: int, size: tuple[int, int]) -> Damage:
        """Return the damage of the upright picture; ``size`` (width, height) is before turning.

        Source: CIPA DC-008 (Exif 2.32), tag 0x0112.
        """
        (x, y, across, down), (width, height) = self.box, size
        if orientation in {5, 6, 7, 8}:
            x, y, across, down, width, height = y, x, down, across, height, width
        if orientation in {2, 3, 6, 7}:
            x = width - x - across
        if orientation in {3, 4, 7, 8}:
            y = height - y - down
        return replace(self, box=(x, y, across, down))


def find_damage(container: Container, data: bytes, image: Image.Image) -> Damage | None:
    """Return where a decoded picture is damaged, before it is turned upright; None if nowhere.

    ``data`` is what its decoder was given, ``image`` what it gave.
    """
    if isinstance(container, Jpeg):
        return _jpeg_damage(container, data, image.size)
    if container.has_plain_pixels:
        return _run_damage(image)
    if isinstance(container, Tiff):
        return _strip_damage(container, image.size)
    return _coded_damage(container, image.size)


def _everywhere(size: tuple[int, int], share: float = 1.0) -> Damage:
    return Damage((0.0, 0.0, float(size[0]), float(size[1])), share)


def _between_rows(start: int, end: int, size: tuple[int, int], *, cut: bool = False) -> Damage:
    """Return the damage of the rows from ``start`` to ``end``."""
    box = (0.0, float(start), float(size[0]), float(end - start))
    return Damage(box, float(end - start) / size[1], cut)


def _strip_damage(container: Tiff, size: tuple[int, int]) -> Damage | None:
    """Return the damage of the rows between the first and the last broken strip of a TIFF."""
    broken = [strip for strip in container.strips() if _is_broken(strip)]
    if not broken:
        return None
    top, bottom = min(strip.top for strip in broken), max(strip.bottom for strip in broken)
    return _between_rows(top, bottom, size)


def _is_broken(strip: Strip) -> bool:
    """Return whether the data of a strip are not those that an encoder wrote."""
    if strip.compression == _JPEG_IN_TIFF:
        tables = strip.tables.removesuffix(END_OF_IMAGE) or strip.data[:2]
        return _is_warned_of(tables + strip.data[2:])
    if strip.compression in _DEFLATE:
        return not _is_inflatable(strip.data)
    return False


def _is_inflatable(data: bytes) -> bool:
    """Return whether a zlib stream is complete and agrees with its checksum."""
    decompressor = zlib.decompressobj()
    try:
        while data and not decompressor.eof:
            decompressor.decompress(data, _PIECE)
            data = decompressor.unconsumed_tail
    except zlib.error:
        return False
    return decompressor.eof


def _run_damage(image: Image.Image) -> Damage | None:
    """Return the damage of one byte over and over, in uncompressed pixels, from within a row on.

    Black bars of a film begin and end with a row, and a flat background does not break off.
    """
    rows = np.asarray(image).reshape(image.height, image.width, -1)
    equal = rows.min(axis=(1, 2)) == rows.max(axis=(1, 2))
    value = np.full(len(rows) + 2, -1.0)  # of the rows whose bytes are all the same
    value[1:-1][equal] = rows[equal, 0, 0]
    edges = np.flatnonzero(value[1:] != value[:-1])
    for start, end in pairwise(edges.tolist()):
        if end - start < _FEWEST_ROWS or value[start + 1] < 0:
            continue
        beside = (rows[max(start - 2, 0) : start][::-1], rows[end : end + 2])
        before, after = (
            _breaks_off(np.abs(one.astype(float) - value[start + 1]).max(axis=2)) for one in beside
        )
        if before or after:
            return _between_rows(start - before, end + after, image.size)
    return None


def _breaks_off(rows: np.ndarray) -> bool:
    """Return whether the row beside equal ones is as they are from one pixel on, the next not.

    ``rows`` are the differences to their value, [N, width].
    """
    if len(rows) < 2:
        return False
    other = np.flatnonzero(rows[0])
    left, right = int(other[0]), len(rows[0]) - 1 - int(other[-1])
    edge = rows[1][:left] if left > right else rows[1][len(rows[1]) - right :]
    return len(edge) >= _SHORTEST_BREAK and bool(np.median(edge) > _ALIKE)


def _coded_damage(container: Container, size: tuple[int, int]) -> Damage | None:
    """Return the damage that foreign bytes show; which pixels they spoil, only the decoder knows.

    The share is that of the coded data from the first foreign byte on.
    """
    spans = [span for span in container.coded_spans() if span[1] > span[0]]
    total, before = sum(end - start for start, end in spans), 0
    shortest = max(_RUN, size[0] * size[1] // _FLAT)
    for start, end in spans:
        foreign = _find_foreign(container.data, start, end, shortest=shortest)
        if foreign is not None:
            return _everywhere(size, 1.0 - (before + foreign - start) / total)
        before += end - start
    return None


def _find_foreign(data: bytes, start: int, end: int, *, shortest: int = _RUN) -> int | None:
    """Return where in coded data the first bytes lie that no encoder writes; None without any.

    ``shortest`` is the number of bytes from which on a run of one byte is not the encoder's.
    """
    texts = (
        found.start()
        for found in _TEXT.finditer(data, start, end)
        if len(set(found[0])) >= _FEWEST_CHARACTERS
    )
    places = (next(texts, None), _find_run(data, start, end, shortest))
    return min((place for place in places if place is not None), default=None)


def _find_run(data: bytes, start: int, end: int, shortest: int) -> int | None:
    """Return where a run of one byte begins, looking at blocks; None without one."""
    blocks = np.frombuffer(data, np.uint8, (end - start) // _BLOCK * _BLOCK, start)
    blocks = blocks.reshape(-1, _BLOCK)
    ends = np.flatnonzero(blocks[:, 0] == blocks[:, -1])
    for block in ends[(blocks[ends] == blocks[ends, :1]).all(axis=1)]:
        place = start + int(block) * _BLOCK
        byte = data[place : place + 1]
        first = max(place - _RUN, start)
        first += len(data[first:place].rstrip(byte))
        if data[first : min(first + shortest, end)] == byte * shortest:
            return first
    return None


def _jpeg_damage(container: Jpeg, data: bytes, size: tuple[int, int]) -> Damage | None:
    warned = _is_warned_of(data) and _is_warned_of(data[:-2].rstrip(b"\0") + END_OF_IMAGE)
    span = container.single_scan
    if span is None:  # progressive: each scan covers the whole picture
        return _everywhere(size) if warned or not has_all_scans(data) else None
    if not warned:
        return None
    start, end = span
    foreign = _foreign_bytes(container, start, end)
    if foreign is not None:
        begin = b"".join([data[: len(data) - 2 - (end - foreign)], END_OF_IMAGE])
        if not _is_warned_of(begin):
            return None  # padding behind a complete picture
        return _between_rows(_first_filled_row(begin, container), size[1], size)
    row = _first_filled_row(data, container)
    missing = _between_rows(row, size[1], size, cut=True)
    if missing.share == 0 or (missing.share < _SMALLEST_CUT and container.has_end_mark):
        return _everywhere(size)
    # A file with its end mark may lack data anywhere, and what follows them is out of place.
    return replace(missing, box=_everywhere(size).box) if container.has_end_mark else missing


def _is_warned_of(data: bytes) -> bool:
    """Return whether libjpeg warns of the coded data; all of them are decoded, to few pixels."""
    for colours in ("GRAY", "CMYK"):  # CMYK has no conversion to grey
        try:
            _decode_small(data, colours, strict=True)
        except ValueError as error:
            reason = str(error).lower()
            if any(warning in reason for warning in _WARNINGS):
                return True
        else:
            return False
    return False


def _decode_small(data: bytes, colours: str, *, strict: bool) -> np.ndarray:
    decoded = simplejpeg.decode_jpeg(
        data, colours, min_height=1, min_width=1, min_factor=_EIGHTH, strict=strict
    )
    return np.asarray(decoded, np.uint8)


def _foreign_bytes(container: Jpeg, start: int, end: int) -> int | None:
    """Return where in a scan the first byte may lie that the encoder did not write."""
    foreign = _find_foreign(container.data, start, end)
    if foreign is not None:
        return foreign
    if container.has_end_mark or end == len(container.data):
        return None
    return max(start, end - _BEFORE_MARKER)


def _first_filled_row(data: bytes, container: Jpeg) -> int:
    """Return the first row of pixels with a block that libjpeg filled up for want of data."""
    # Four components are inverted on the way, or not: 127 or 128.
    colours, rounding = ("CMYK", 1) if container.channels == 4 else ("GRAY", 0)
    away = np.abs(_decode_small(data, colours, strict=False).astype(int) - _FILL)
    rows = np.any(away > rounding, axis=(1, 2))
    drawn = int(np.flatnonzero(rows)[-1]) if rows.any() else -1  # the last row with any data
    high = container.rows_of_unit  # it may be incomplete, as all rows of its unit
    complete = drawn * _EIGHTH // high * high
    return max(complete, 0)


class _Scan(NamedTuple):
    """The header of a scan: its components, its band of coefficients and its lowest bit."""

    components: bytes
    first: int
    last: int
    low: int


def has_all_scans(data: bytes) -> bool:
    """Return whether the scans hold all coefficients of all components to the last bit.

    Source: ITU-T T.81, annex G.1.1.1.
    """
    left: dict[int, set[int]] = {}
    for scan in _scans(data):
        for component in scan.components:
            needed = left.setdefault(component, set(range(_COEFFICIENTS)))
            if scan.low == 0:
                needed.difference_update(range(scan.first, scan.last + 1))
    return bool(left) and not any(left.values())


def _scans(data: bytes) -> Iterator[_Scan]:
    """Yield the headers of the scans, as far as they are whole; other segments are passed over."""
    found = MARKER.search(data, 2)
    while found and found[0] != END_OF_IMAGE:
        start = found.end()
        end = start + max(int.from_bytes(data[start : start + 2], "big"), 2)
        body = data[start + 2 : end]
        band = 1 + 2 * int.from_bytes(body[:1], "big")
        if found[0][1:] == START_OF_SCAN and len(body) >= band + 3:
            yield _Scan(body[1:band:2], body[band], body[band + 1], body[band + 2] & 15)
        found = MARKER.search(data, end)
