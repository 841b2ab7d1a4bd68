"""`decode_whole_jpeg`: the pixels of an ordinary JPEG without damage, in half of Pillow's time.

simplejpeg and Pillow call the same decoder, libjpeg-turbo, with the same settings, and give the
same pixels (`tests/unit/imaging/test_jpeg_decoder.py`). simplejpeg writes them where they are
needed, while Pillow's are unpacked and copied; it also reports the decoder's warnings, so that
damage needs no second pass. docs/decisions/0014-inference-backends.md has the times.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import simplejpeg
from PIL import Image

from faceproof.imaging.colour import is_srgb
from faceproof.imaging.containers.base import Container
from faceproof.imaging.containers.jpeg import Jpeg
from faceproof.imaging.damage import has_all_scans


def decode_whole_jpeg(
    container: Container, data: bytes, image: Image.Image
) -> npt.NDArray[np.uint8] | None:
    """Return the pixels, uint8 [H, W, 3] in sRGB, not turned upright; None if Pillow must decode.

    Pillow decodes other formats, CMYK, pictures with a colour profile to apply, and whatever the
    decoder warns of, so that `find_damage` can find out what is lost. ``data`` are the container's
    pixel data, ``image`` is what Pillow opened; its pixels need not be loaded.

    >>> from io import BytesIO
    >>> file = BytesIO()
    >>> Image.new("L", (4, 3), 128).save(file, "JPEG")
    >>> decode_whole_jpeg(Jpeg(file.getvalue()), file.getvalue(), Image.open(file)).shape
    (3, 4, 3)
    """
    if not isinstance(container, Jpeg) or not is_srgb(image):
        return None
    if container.single_scan is None and not has_all_scans(data):
        return None
    try:
        pixels = np.asarray(simplejpeg.decode_jpeg(data, "RGB", strict=True), np.uint8)
    except ValueError:  # an error or a warning of libjpeg, or a kind that simplejpeg cannot decode
        return None
    return pixels if pixels.shape == (image.height, image.width, 3) else None
