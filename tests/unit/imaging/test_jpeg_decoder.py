"""`decode_whole_jpeg` gives Pillow's pixels for each kind of JPEG, or leaves it to Pillow."""

from __future__ import annotations

import io
import time

import numpy as np
import pytest
import simplejpeg
from PIL import Image, ImageCms, ImageOps
from skimage import data

from faceproof.imaging.containers.jpeg import Jpeg
from faceproof.imaging.decode import decode
from faceproof.imaging.jpeg_decoder import decode_whole_jpeg

ADOBE_YCC = b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0\x01"
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
ASTRONAUT = Image.fromarray(data.astronaut())
ODD = ASTRONAUT.resize((201, 147))  # neither side is a multiple of a coded unit


def saved(picture: Image.Image = ODD, **how: object) -> bytes:
    """Return a picture as Pillow's JPEG."""
    file = io.BytesIO()
    picture.save(file, "JPEG", **({"quality": 88} | how))
    return file.getvalue()


def sampled(subsampling: str) -> bytes:
    """Return the odd picture with a subsampling that Pillow does not write."""
    return simplejpeg.encode_jpeg(np.asarray(ODD), 88, "RGB", subsampling)


def without_jfif(file: bytes, instead: bytes = b"") -> bytes:
    """Return a JPEG of Pillow's without the JFIF segment, its first, or with another one."""
    length = int.from_bytes(file[4:6], "big")
    return file[:2] + instead + file[4 + length :]


WHOLE = {
    "4:4:4": saved(subsampling="4:4:4"),
    "4:2:2": saved(subsampling="4:2:2"),
    "4:2:0": saved(subsampling="4:2:0"),
    "4:4:0": sampled("440"),
    "4:1:1": sampled("411"),
    "grey": saved(ODD.convert("L")),
    "progressive": saved(progressive=True),
    "progressive, 4:4:4": saved(progressive=True, subsampling="4:4:4"),
    "progressive, grey": saved(ODD.convert("L"), progressive=True),
    "optimised": saved(optimize=True),
    "worst quality": saved(quality=1),
    "best quality": saved(quality=100),
    "restart marks": saved(restart_marker_blocks=3),
    "progressive, restart marks": saved(progressive=True, restart_marker_rows=1),
    "RGB, Adobe's mark": saved(keep_rgb=True),
    "YCbCr, Adobe's mark": without_jfif(saved(), ADOBE_YCC),
    "neither JFIF nor Adobe": without_jfif(saved()),
    "profile of sRGB": saved(icc_profile=SRGB),
    "bytes behind the end": saved() + b"\0" * 999,
    "no end mark": saved()[:-2],
    "filled up before the end mark": saved()[:-2] + b"\xff\xff\xff\xd9",
}


def other_profile() -> bytes:
    """Return a valid profile of RGB that is not sRGB's: without its name, red and blue swapped."""
    table = SRGB.replace(b"rXYZ", b"tmpZ").replace(b"bXYZ", b"rXYZ").replace(b"tmpZ", b"bXYZ")
    return table.replace("sRGB".encode("utf-16-be"), "mine".encode("utf-16-be"))


FOR_PILLOW = {
    "CMYK": saved(ODD.convert("CMYK")),
    "another profile": saved(icc_profile=other_profile()),
    "truncated": saved()[:4000],
    "truncated, progressive": saved(progressive=True)[:4000],
    "zeros in the data": saved()[:3000] + bytes(800) + saved()[3800:],
}


def opened(file: bytes) -> tuple[Jpeg, bytes, Image.Image]:
    """Return the arguments of `decode_whole_jpeg`."""
    container = Jpeg(file)
    pixel_data = container.pixel_data().data
    return container, pixel_data, Image.open(io.BytesIO(pixel_data))


def of_pillow(file: bytes) -> np.ndarray:
    return np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(file))).convert("RGB"))


@pytest.mark.parametrize("kind", WHOLE)
def test_the_pixels_are_those_of_pillow(kind):
    container, pixel_data, image = opened(WHOLE[kind])
    pixels = decode_whole_jpeg(container, pixel_data, image)
    assert pixels is not None
    assert pixels.flags.c_contiguous
    assert np.array_equal(pixels, of_pillow(pixel_data))


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
def test_small_and_odd_sides(subsampling, progressive):
    for width, height in [(1, 1), (1, 40), (40, 1), (7, 9), (8, 8), (15, 17), (16, 16), (33, 31)]:
        picture = ASTRONAUT.resize((width, height))
        file = saved(picture, subsampling=subsampling, progressive=progressive)
        assert np.array_equal(decode_whole_jpeg(*opened(file)), of_pillow(file))


@pytest.mark.parametrize("kind", FOR_PILLOW)
def test_pillow_decodes_what_needs_more_than_pixels(kind):
    assert decode_whole_jpeg(*opened(FOR_PILLOW[kind])) is None


def test_a_png_is_not_decoded():
    container, pixel_data, _ = opened(saved())
    assert decode_whole_jpeg(container, pixel_data, Image.new("P", (4, 4))) is None


def test_a_size_that_differs_from_the_header_is_left_to_pillow():
    container, pixel_data, _ = opened(saved())
    assert decode_whole_jpeg(container, pixel_data, Image.new("RGB", (4, 4))) is None


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_are_turned_upright(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = saved(exif=exif)
    assert np.array_equal(decode(file).pixels, of_pillow(file))


def test_a_run_of_fill_bytes_is_searched_in_linear_time():
    """A quadratic search took 2.6 s for 20 kB of them, and hours for a megabyte."""
    file = saved()
    run = file[:-2] + b"\xff" * 1_000_000 + b"\0" + file[-2:]
    started = time.process_time()
    span = Jpeg(run).single_scan
    assert time.process_time() - started < 1
    assert span is not None
    assert span[1] == len(run) - 2
