"""What is measured of a picture's file, and the quality that a JPEG was saved at."""

from __future__ import annotations

import hashlib
import io
import struct

import cv2
import numpy as np
import pytest
from PIL import Image
from skimage import data

from faceproof.data.duplicates import perceptual_hash
from faceproof.data.importing import measure as importing_facts
from faceproof.data.importing.measure import PictureFacts, measure
from faceproof.errors import TruncatedPictureError
from faceproof.imaging.containers.jpeg import Jpeg

ASTRONAUT = Image.fromarray(data.astronaut()).resize((48, 40))


def saved(image: Image.Image = ASTRONAUT, kind: str = "JPEG", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def jpeg_quality(file: bytes) -> int | None:
    return importing_facts.jpeg_quality(Jpeg(file))


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
@pytest.mark.parametrize("progressive", [False, True])
def test_every_quality_that_libjpeg_writes_comes_back(subsampling, progressive):
    options = {"subsampling": subsampling, "progressive": progressive}
    found = [jpeg_quality(saved(quality=quality, **options)) for quality in range(1, 101)]
    assert found == list(range(1, 101))


@pytest.mark.parametrize("quality", [1, 30, 75, 95, 100])
def test_other_kinds_of_jpeg_too(quality):
    grey = saved(ASTRONAUT.convert("L"), quality=quality)
    cmyk = saved(ASTRONAUT.convert("CMYK"), quality=quality)
    ours = cv2.imencode(".jpg", np.asarray(ASTRONAUT), [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    exif = saved(quality=quality, exif=b"Exif\0\0" + bytes(300), comment=b"\xff\xdb")
    found = [jpeg_quality(file) for file in (grey, cmyk, ours.tobytes(), exif)]
    assert found == [quality] * 4


def test_the_table_of_the_first_layer_counts_not_that_of_the_colours():
    fine, coarse = [2] * 64, [90] * 64
    assert jpeg_quality(saved(qtables=[fine, coarse])) > 90
    assert jpeg_quality(saved(qtables=[coarse, fine])) < 50


#: A table of the kind that Photoshop writes at its quality 10: row by row, flat at the end.
PHOTOSHOP_10 = [
    *(2, 2, 3, 4, 5, 6, 8, 11, 2, 2, 2, 4, 5, 7, 9, 11, 3, 2, 3, 5, 7, 9, 11, 12),
    *(4, 4, 5, 7, 9, 11, 12, 12, 5, 5, 7, 9, 11, 12, 12, 12, 6, 7, 9, 11, 12, 12, 12, 12),
    *(8, 9, 11, 12, 12, 12, 12, 12, 11, 11, 12, 12, 12, 12, 12, 12),
]
#: Rises more steeply than the standard's, as MozJPEG's does.
STEEP = [16 + (row + column) ** 2 for row in range(8) for column in range(8)]


@pytest.mark.parametrize(
    ("table", "low", "high"),
    [
        (PHOTOSHOP_10, 90, 97),
        (STEEP, 30, 50),
        ([max(1, step // 2) for step in STEEP], 60, 75),
        ([1] * 63 + [2], 99, 100),
        ([255] * 64, 1, 1),
    ],
)
def test_tables_of_other_encoders_give_a_sane_quality(table, low, high):
    assert low <= jpeg_quality(saved(qtables=[table])) <= high


def test_finer_steps_are_a_higher_quality():
    flat = [jpeg_quality(saved(qtables=[[step] * 64])) for step in (1, 3, 8, 20, 60, 200)]
    assert flat == sorted(flat, reverse=True)
    assert len(set(flat)) == len(flat)


def test_a_table_of_16_bits_is_read():
    file = saved(quality=50)
    start = file.index(b"\xff\xdb")
    (length,) = struct.unpack_from(">H", file, start + 2)
    steps = file[start + 5 : start + 69]
    deep = b"\x10" + b"".join(struct.pack(">H", step) for step in steps)
    segment = b"\xff\xdb" + struct.pack(">H", 2 + len(deep)) + deep
    assert jpeg_quality(file[:start] + segment + file[start + 2 + length :]) == 50


def test_padding_and_strays_between_segments_do_not_hide_the_tables():
    file = saved(quality=64)
    start = file.index(b"\xff\xdb")
    assert jpeg_quality(file[:start] + b"\xff\xff\xff" + file[start:]) == 64
    assert jpeg_quality(file[:start] + b"stray" + file[start:]) == 64


def test_a_second_picture_behind_the_first_does_not_count():
    second = saved(quality=10)
    assert jpeg_quality(saved(quality=90) + bytes(2) + second[second.index(b"\xff\xdb") :]) == 90


def test_without_a_table_there_is_no_quality():
    file = saved()
    assert jpeg_quality(file[:20]) is None
    assert jpeg_quality(b"") is None
    assert jpeg_quality(file[: file.index(b"\xff\xdb") + 40]) is None


@pytest.mark.parametrize("cut", range(0, 700, 7))
def test_any_beginning_of_a_file_can_be_looked_at(cut):
    assert jpeg_quality(saved(quality=33)[:cut]) in {33, None}


def test_facts_of_a_file():
    file = saved(quality=83)
    pixels = np.asarray(Image.open(io.BytesIO(file)))
    assert measure(file, "a.jpg") == PictureFacts(
        sha256=hashlib.sha256(file).hexdigest(),
        phash=perceptual_hash(pixels).hex(),
        width=48,
        height=40,
        bytes=len(file),
        format="JPEG",
        jpeg_quality=83,
    )


def test_the_format_is_that_of_the_bytes_and_only_a_jpeg_has_a_quality():
    facts = measure(saved(kind="PNG"), "a.jpg")
    assert (facts.format, facts.jpeg_quality) == ("PNG", None)


def test_width_and_height_are_those_of_the_upright_picture():
    exif = Image.Exif()
    exif[0x0112] = 6
    turned, plain = measure(saved(exif=exif), "a.jpg"), measure(saved(), "a.jpg")
    assert (turned.width, turned.height) == (40, 48)
    assert turned.phash != plain.phash


def test_a_broken_file_says_its_name():
    with pytest.raises(TruncatedPictureError, match=r"faces/a\.jpg: the last"):
        measure(saved()[:-30], "faces/a.jpg")
