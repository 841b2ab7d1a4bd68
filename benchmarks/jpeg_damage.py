"""How much damage to a JPEG is detected, by the number of bytes that are wrong.

    python benchmarks/jpeg_damage.py

Thirty places of scikit-image's astronaut as a JPEG of quality 90 lose some bytes, or have them
replaced by random ones or by zeros. Errors count as detected.
"""

from __future__ import annotations

import io
import random

from PIL import Image
from skimage import data

from faceproof.errors import PictureError
from faceproof.imaging.decode import decode

PLACES = 30


def is_detected(file: bytes) -> bool:
    """Return whether the damage is seen, or the file refused."""
    try:
        return decode(file).damage is not None
    except PictureError:
        return True


def main() -> None:
    """Print the counts."""
    stream = io.BytesIO()
    Image.fromarray(data.astronaut()).save(stream, "JPEG", quality=90)
    file = stream.getvalue()
    print(f"{'bytes':>6} {'removed':>9} {'random':>9} {'zeros':>9}   of {PLACES} each")
    for wrong in (1, 4, 10, 40, 200, 1000):
        found = {"removed": 0, "random": 0, "zeros": 0}
        for number in range(PLACES):
            start = len(file) // 4 + number * (len(file) // (2 * PLACES))
            before, after = file[:start], file[start + wrong :]
            found["removed"] += is_detected(before + after)
            noise = random.Random(number).randbytes(wrong)
            found["random"] += is_detected(before + noise + after)
            found["zeros"] += is_detected(before + bytes(wrong) + after)
        print(f"{wrong:6} {found['removed']:9} {found['random']:9} {found['zeros']:9}")


if __name__ == "__main__":
    main()
