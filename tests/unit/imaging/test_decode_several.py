"""Files with several pictures: how many, and that the first is judged which viewers show first."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, features

from faceproof.imaging.decode import decode
from faceproof.imaging.formats import FORMATS

RED, GREEN, BLUE = (Image.new("RGB", (64, 48), colour) for colour in ("red", "lime", "blue"))


def several(kind: str, **how: object) -> bytes:
    """Return a file with a red, a green and a blue picture."""
    file = io.BytesIO()
    others = [GREEN.copy(), BLUE.copy()]  # Pillow leaves settings of the last format on them
    RED.copy().save(file, kind, save_all=True, append_images=others, **how)
    return file.getvalue()


def single(kind: str) -> bytes:
    file = io.BytesIO()
    RED.copy().save(file, kind)
    return file.getvalue()


KINDS = ["GIF", "PNG", "WEBP", "TIFF", "MPO", *(["AVIF"] if features.check("avif") else [])]


@pytest.mark.parametrize("kind", KINDS)
def test_the_first_of_three_is_judged(kind):
    picture = decode(several(kind))
    assert picture.pictures == 3
    assert np.abs(picture.pixels.astype(int) - (255, 0, 0)).max() < 6


def test_heic_with_several_pictures():
    pytest.importorskip("pillow_heif").register_heif_opener()
    picture = decode(several("HEIF"))
    assert picture.pictures == 3
    assert picture.pixels[0, 0, 0] > 200


@pytest.mark.parametrize("kind", [*(kind for kind in KINDS if kind != "MPO"), "JPEG", "BMP"])
def test_one_picture_is_one(kind):
    assert decode(single(kind)).pictures == 1


def test_the_hidden_default_picture_of_an_animated_png_is_not_judged():
    picture = decode(several("PNG", default_image=True))
    assert picture.pictures == 2
    assert tuple(picture.pixels[0, 0]) == (0, 255, 0)


def test_a_reduced_copy_in_a_tiff_is_no_page():
    file = io.BytesIO()
    small = RED.resize((16, 12))
    small.encoderinfo = {"tiffinfo": {254: 1}}
    RED.copy().save(file, "TIFF", save_all=True, append_images=[small])
    assert decode(file.getvalue()).pictures == 1


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_a_count_that_lies_or_a_cut_file_gives_a_number(kind):
    file = several(kind)
    for end in range(len(file) // 2, len(file), 7):
        container = FORMATS[kind].container(file[:end])
        assert 1 <= container.pictures <= 3
