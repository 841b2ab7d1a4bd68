"""Small files that would cost much time or memory: each is refused or passed over at once.

Times are CPU seconds with room for slow machines; without the guards each would take ten times as
long, or gigabytes.
"""

import io
import struct
import time
import zlib

import pytest
from PIL import Image

from faceproof.errors import CorruptPictureError, PictureTooLargeError
from faceproof.imaging.containers.jpeg import Jpeg
from faceproof.imaging.containers.tiff import Tiff
from faceproof.imaging.decode import Limits, decode

MEGABYTE = 1 << 20


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def png(*chunks: tuple[bytes, bytes]) -> bytes:
    parts = [b"\x89PNG\r\n\x1a\n"]
    for name, payload in chunks:
        check = struct.pack(">I", zlib.crc32(name + payload))
        parts.append(struct.pack(">I", len(payload)) + name + payload + check)
    return b"".join(parts)


HEADER = (b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0))
PIXELS = (b"IDAT", zlib.compress(bytes(8 * 25)))
END = (b"IEND", b"")
EMPTY = png((b"IDAT", b""))[8:]
PACKED = zlib.compress(bytes(8 * MEGABYTE), 1)
JPEG = encoded(Image.new("RGB", (64, 64), "navy"), "JPEG")
GIF = b"GIF89a\x08\0\x08\0\0\0\0"


def tiff_file(*tags: tuple[int, int, int, int], room: int = 0) -> bytes:
    directory = b"".join(struct.pack("<HHII", *tag) for tag in sorted(tags))
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + directory + bytes(4 + room)


SMALL = [(256, 4, 1, 64), (257, 4, 1, 64), (258, 3, 1, 8), (262, 3, 1, 1), (277, 3, 1, 1)]
STRIP = [(273, 4, 1, 8), (278, 4, 1, 64), (279, 4, 1, 64)]

READ = {
    "PNG: a text of 8 MiB": png(HEADER, (b"zTXt", b"a\0\0" + PACKED), PIXELS, END),
    "PNG: another text": png(HEADER, (b"iTXt", b"a\0\1\0\0\0" + PACKED), PIXELS, END),
    "PNG: a text after the pixels": png(HEADER, PIXELS, (b"zTXt", b"a\0\0" + PACKED), END),
    "PNG: a profile of 8 MiB": png(HEADER, (b"iCCP", b"a\0\0" + PACKED), PIXELS, END),
    "PNG: pixels of 8 MiB for 8 x 8": png(HEADER, (b"IDAT", PACKED), END),
    "PNG: 90 000 empty pieces": png(HEADER) + EMPTY * 90_000 + png(PIXELS, END)[8:],
    "PNG: a second header": png(
        HEADER, (b"IHDR", b"\0\0\xff\xff" * 2 + b"\x08\2\0\0\0"), PIXELS, END
    ),
    "JPEG: 4 MiB of padding": JPEG[:2] + b"\xff" * (4 * MEGABYTE) + JPEG[2:],
    "JPEG: 16 MiB of rubbish": JPEG[:20] + bytes(16 * MEGABYTE) + JPEG[20:],
    "GIF: 16 MiB of comment": encoded(Image.new("L", (8, 8)), "GIF")[:-1].replace(
        b",", b"!\xfe" + (b"\xff" + b"a" * 255) * 65536 + b"\0,", 1
    ),
}
REFUSED = {
    "PNG: 200 000 chunks": png(HEADER) + png((b"tEXt", b""))[8:] * 200_000,
    "JPEG: 200 000 comments": JPEG[:2] + b"\xff\xfe\0\2" * 200_000 + JPEG[2:],
    "GIF: a million extensions": GIF + b"!\xfe\0" * 1_000_000 + b";",
    "GIF: a million bytes of rubbish": GIF + bytes(1_000_000) + b";",
    "GIF: one extension in eight million blocks": GIF + b"!\xfe" + b"\1a" * (8 * MEGABYTE),
    "TIFF: five million strips": tiff_file(
        *SMALL, (273, 4, 5_000_000, 100), (279, 4, 5_000_000, 100), room=20_000_000
    ),
    "TIFF: a tile of 20 000 x 20 000": tiff_file(
        *SMALL, (322, 4, 1, 20_000), (323, 4, 1, 20_000), (324, 4, 1, 8), (325, 4, 1, 8), room=9000
    ),
    "TIFF: two thousand million bands": tiff_file(
        *SMALL[:-1], (277, 4, 1, 0x7FFFFFFF), *STRIP, room=9000
    ),
}


@pytest.fixture(autouse=True)
def _at_once():
    started = time.process_time()
    yield
    assert time.process_time() - started < 2


@pytest.mark.parametrize("data", READ.values(), ids=READ)
def test_the_picture_is_read_without_what_surrounds_it(data):
    assert max(decode(data).pixels.shape) <= 64


@pytest.mark.parametrize("data", REFUSED.values(), ids=REFUSED)
def test_the_picture_is_refused(data):
    with pytest.raises(CorruptPictureError):
        decode(data)


def test_scans_without_end_are_refused():
    """10 000 x 10 000 pixels and 65 scans: a second each, in some bytes."""
    data = encoded(Image.new("L", (1000, 1000), 100), "JPEG", progressive=True)
    frame = data.index(b"\xff\xc2")
    large = data[: frame + 5] + struct.pack(">HH", 10_000, 10_000) + data[frame + 9 :]
    start = large.index(b"\xff\xda")
    Jpeg(large).pixel_data()
    with pytest.raises(PictureTooLargeError, match="many scans"):
        Jpeg(large[:-2] + large[start : start + 10] * 60 + b"\xff\xd9").pixel_data()


def test_run_length_bmp_is_limited_because_its_decoder_is_slow():
    header = struct.pack("<IiiHHIIiiII", 40, 30_000, 3_000, 1, 8, 1, 4, 0, 0, 256, 0)
    data = b"BM" + struct.pack("<IHHI", 1082, 0, 0, 1078) + header + bytes(1024) + b"\0\1\0\1"
    with pytest.raises(PictureTooLargeError, match="run-length"):
        decode(data)


def test_overlapping_tags_are_not_read():
    """A hundred tags that each name the same 10 MB."""
    others = [(tag, 1, 10_000_000, 100) for tag in range(1000, 1100)]
    data = tiff_file(*SMALL, *STRIP, *others, room=10_001_000)
    assert len(Tiff(data).pixel_data().data) < len(data) + 1000
    assert decode(data).width == 64


@pytest.mark.parametrize("kind", ["PNG", "GIF", "WEBP", "BMP", "JPEG", "AVIF"])
def test_claims_of_a_huge_size_are_refused_before_anything_is_decoded(kind):
    data = bytearray(encoded(Image.new("RGB", (64, 64)), kind))
    at, claim = {
        "PNG": (16, struct.pack(">II", 60_000, 60_000)),
        "GIF": (6, struct.pack("<HH", 60_000, 60_000)),
        "WEBP": (26, struct.pack("<HH", 16_383, 16_383)),
        "BMP": (18, struct.pack("<ii", 60_000, 60_000)),
        "JPEG": (data.find(b"\xff\xc0") + 5, struct.pack(">HH", 60_000, 60_000)),
        "AVIF": (data.find(b"ispe") + 8, struct.pack(">II", 60_000, 60_000)),
    }[kind]
    data[at : at + len(claim)] = claim
    with pytest.raises(PictureTooLargeError, match="more than the limit"):
        decode(bytes(data))


def test_tiff_of_more_pixels_than_pillow_warns_of_is_refused_without_a_warning(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(PictureTooLargeError):
        decode(encoded(Image.new("L", (64, 64)), "TIFF"))
    assert decode(encoded(Image.new("L", (64, 64)), "PNG")).width == 64


def test_a_large_picture_of_one_colour_is_read_where_the_limits_allow():
    rows = zlib.compress(bytes(2001 * 1500))
    header = (b"IHDR", struct.pack(">IIBBBBB", 2000, 1500, 8, 0, 0, 0, 0))
    data = png(header, (b"IDAT", rows), END)
    assert decode(data).pixels.shape == (1500, 2000, 3)
    with pytest.raises(PictureTooLargeError):
        decode(data, limits=Limits(max_pixels=2_999_999))
