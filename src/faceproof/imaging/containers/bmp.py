"""BMP: nothing to leave out, but a limit on what Pillow unpacks slowly.

Source: BITMAPFILEHEADER, BITMAPCOREHEADER and BITMAPINFOHEADER in the Windows documentation.
"""

from __future__ import annotations

import struct

from faceproof.errors import PictureTooLargeError, TruncatedPictureError
from faceproof.imaging.containers.container import Container

# Pillow unpacks run-length BMP in Python; beyond this it takes seconds.
MAX_RUN_LENGTH = 16_000_000
_CORE_HEADER_BYTES = 12
_RUN_LENGTH = frozenset({1, 2})


def bmp(data: bytes) -> Container:
    """Return a BMP as it is, with its size."""
    if len(data) < 34:
        raise TruncatedPictureError("the BMP ends in its header")
    if struct.unpack_from("<I", data, 14)[0] == _CORE_HEADER_BYTES:
        return Container(data, struct.unpack_from("<HH", data, 18))
    width, height, _, compression = struct.unpack_from("<IiII", data, 18)
    if compression in _RUN_LENGTH and max(width * abs(height), len(data)) > MAX_RUN_LENGTH:
        raise PictureTooLargeError(
            "a run-length encoded BMP of more than 16 megapixels; save it as PNG"
        )
    return Container(data, (width, abs(height)))
