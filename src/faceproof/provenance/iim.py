"""The captions of IPTC in their old form, IIM: a marker, two numbers, a length and a text each.

Source: IPTC-NAA Information Interchange Model version 4, chapters 3 and 6.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

# Writer, place and keywords are left alone: they are of people, not of the picture's making.
_NAMES = {
    5: "ObjectName",
    40: "SpecialInstructions",
    65: "OriginatingProgram",
    70: "ProgramVersion",
    103: "OriginalTransmissionReference",
    110: "Credit",
    115: "Source",
    120: "Caption",
}
_MARKER, _APPLICATION_RECORD = 0x1C, 2
_MOST = 1000


def read_iim(data: bytes) -> Iterator[tuple[str, str]]:
    """Yield name and text of the data sets that speak of origin, as far as they are whole."""
    position = 0
    for _ in range(_MOST):
        if position + 5 > len(data) or data[position] != _MARKER:
            return
        record, number, length = struct.unpack_from(">BBH", data, position + 1)
        if length & 0x8000:  # longer than 32767 bytes: no caption of ours
            return
        if record == _APPLICATION_RECORD and number in _NAMES:
            raw = data[position + 5 : position + 5 + length]
            yield _NAMES[number], raw.decode("utf-8", errors="replace").strip("\0 ")
        position += 5 + length
