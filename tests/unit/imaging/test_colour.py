"""Colour profiles are followed, and one that is broken or does not fit is passed over."""

import io
import struct

import numpy as np
import pytest
from PIL import Image, ImageCms

from faceproof.imaging.decode import decode

# Primaries adapted to D50 (columns X, Y, Z of red, green, blue), as they stand in the profiles.
DISPLAY_P3 = [(0.5151, 0.2412, -0.0011), (0.2920, 0.6922, 0.0419), (0.1571, 0.0666, 0.7841)]
ADOBE_RGB = [(0.6097, 0.3111, 0.0195), (0.2053, 0.6257, 0.0609), (0.1492, 0.0632, 0.7446)]
SRGB = [(0.4361, 0.2225, 0.0139), (0.3851, 0.7169, 0.0971), (0.1431, 0.0606, 0.7142)]
WHITE = (0.9642, 1.0, 0.8249)
COLOURS = np.array([[[200, 80, 60], [90, 160, 70], [60, 70, 180], [255, 255, 255], [30, 30, 30]]])


def profile(space: bytes, tags: dict[bytes, bytes], *, kind: bytes = b"mntr") -> bytes:
    """Return an ICC profile, version 2.1; PCS is Lab for printers and XYZ for others."""
    pcs = b"Lab " if kind == b"prtr" else b"XYZ "
    tags = {
        b"desc": b"desc" + bytes(4) + struct.pack(">I", 5) + b"mine\0" + bytes(78),
        b"cprt": b"text" + bytes(4) + b"none\0",
        b"wtpt": xyz(WHITE),
        **tags,
    }
    at, directory, body = 128 + 4 + 12 * len(tags), b"", b""
    for name, payload in tags.items():
        padded = payload + b"\0" * (-len(payload) % 4)
        directory += name + struct.pack(">II", at + len(body), len(payload))
        body += padded
    head = struct.pack(">I4sI", at + len(body), b"none", 0x02100000) + kind + space + pcs
    head += struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + bytes(28)
    head += struct.pack(">3i", *(round(value * 65536) for value in WHITE))
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + directory + body


def xyz(values: tuple[float, ...]) -> bytes:
    return b"XYZ " + bytes(4) + struct.pack(">3i", *(round(value * 65536) for value in values))


def gamma(value: float) -> bytes:
    return b"curv" + bytes(4) + struct.pack(">IH", 1, round(value * 256))


def rgb_profile(primaries: list[tuple[float, ...]], power: float = 2.2) -> bytes:
    columns = zip((b"rXYZ", b"gXYZ", b"bXYZ"), primaries, strict=True)
    curves = {name: gamma(power) for name in (b"rTRC", b"gTRC", b"bTRC")}
    return profile(b"RGB ", {**{name: xyz(values) for name, values in columns}, **curves})


def in_srgb(colours: np.ndarray, primaries: list[tuple[float, ...]]) -> np.ndarray:
    """Return what the formulas say of colours with these primaries and gamma 2.2."""
    linear = (colours / 255) ** 2.2 @ np.array(primaries) @ np.linalg.inv(np.array(SRGB))
    linear = np.clip(linear, 0, 1)
    curved = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return curved * 255


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def pixels_of(image: Image.Image, icc: bytes, kind: str = "PNG", **options: object) -> np.ndarray:
    return decode(encoded(image, kind, icc_profile=icc, **options)).pixels.astype(int)


@pytest.mark.parametrize("primaries", [DISPLAY_P3, ADOBE_RGB])
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_wide_colours_become_srgb_as_the_formulas_say(primaries, kind):
    image = Image.fromarray(COLOURS.astype(np.uint8))
    options = {"lossless": True} if kind == "WEBP" else {}
    pixels = pixels_of(image, rgb_profile(primaries), kind, **options)
    assert np.abs(pixels - in_srgb(COLOURS, primaries)).max() <= 2


@pytest.mark.parametrize("kind", ["JPEG", "AVIF"])
def test_wide_colours_in_lossy_formats(kind):
    image = Image.new("RGB", (32, 32), (200, 80, 60))
    pixels = pixels_of(image, rgb_profile(ADOBE_RGB), kind, quality=95)
    assert np.abs(pixels - in_srgb(np.array((200, 80, 60)), ADOBE_RGB)).max() <= 5


def test_a_profile_longer_than_a_segment_of_jpeg():
    icc = rgb_profile(ADOBE_RGB) + bytes(100_000)
    icc = struct.pack(">I", len(icc)) + icc[4:]
    pixels = pixels_of(Image.new("RGB", (32, 32), (200, 80, 60)), icc, "JPEG", quality=95)
    assert np.abs(pixels - in_srgb(np.array((200, 80, 60)), ADOBE_RGB)).max() <= 5


def test_transparency_is_laid_on_white_before_the_profile_is_followed():
    image = Image.new("RGBA", (4, 4), (200, 80, 60, 0))
    assert pixels_of(image, rgb_profile(ADOBE_RGB)).min() == 255


def test_a_palette_has_the_colours_of_its_profile():
    image = Image.new("P", (4, 4))
    image.putpalette([200, 80, 60])
    pixels = pixels_of(image, rgb_profile(ADOBE_RGB))
    assert np.abs(pixels - in_srgb(np.array((200, 80, 60)), ADOBE_RGB)).max() <= 2


@pytest.mark.parametrize("mode", ["L", "LA", "I;16"])
def test_a_grey_profile(mode):
    """Half of linear light is 188 in sRGB."""
    icc = profile(b"GRAY", {b"kTRC": gamma(1.0)})
    values = {"L": 128, "LA": (128, 255), "I;16": 128 * 257}
    pixels = pixels_of(Image.new(mode, (4, 4), values[mode]), icc)
    assert np.abs(pixels - 188).max() <= 1


def test_a_grey_picture_with_a_colour_profile():
    """Half of linear light again, in three equal channels."""
    pixels = pixels_of(Image.new("L", (4, 4), 128), rgb_profile(SRGB, power=1.0))
    assert np.abs(pixels - 188).max() <= 1


def cmyk_profile() -> bytes:
    """Return a printer of black on white, whose coloured inks all print the same mid-grey."""
    lightness = (0 if node & 1 else 135 if node else 255 for node in range(16))  # black is bit 0
    grid = b"".join(bytes([value, 128, 128]) for value in lightness)
    identity = b"".join(
        struct.pack(">i", 65536 * (row == column)) for row in range(3) for column in range(3)
    )
    table = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + identity
    table += bytes(range(256)) * 4 + grid + bytes(range(256)) * 3
    return profile(b"CMYK", {b"A2B0": table, b"B2A0": table}, kind=b"prtr")


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_a_cmyk_profile(kind):
    """Lightness 135 / 255 is about 126 in sRGB; without the profile, cyan is (0, 255, 255)."""
    pixels = pixels_of(Image.new("CMYK", (16, 16), (255, 0, 0, 0)), cmyk_profile(), kind)
    assert np.abs(pixels - 126).max() <= 4


BROKEN = {
    "empty": b"",
    "noise": bytes(range(256)) * 3,
    "cut": rgb_profile(ADOBE_RGB)[:200],
    "text": b"not a profile",
    "without curves": profile(b"RGB ", {}),
    "unfit": cmyk_profile(),
    "named colours": profile(b"RGB ", {}, kind=b"nmcl"),
}


@pytest.mark.parametrize("icc", BROKEN.values(), ids=BROKEN)
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP", "AVIF"])
def test_a_broken_or_unfit_profile_is_passed_over(icc, kind):
    image = Image.new("RGB", (16, 16), (120, 60, 30))
    plain = decode(encoded(image, kind)).pixels
    np.testing.assert_array_equal(pixels_of(image, icc, kind), plain)


@pytest.mark.parametrize("mode", ["CMYK", "L", "LAB"])
def test_a_profile_for_other_colours_is_passed_over(mode):
    image = Image.new("RGB", (4, 4), (120, 60, 30)).convert("CMYK" if mode == "CMYK" else "L")
    image = image if mode != "LAB" else Image.new("LAB", (4, 4), (128, 128, 128))
    icc = cmyk_profile() if mode != "CMYK" else rgb_profile(ADOBE_RGB)
    plain = decode(encoded(image, "TIFF")).pixels
    np.testing.assert_array_equal(pixels_of(image, icc, "TIFF"), plain)


def test_an_srgb_profile_changes_nothing():
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    colours = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    np.testing.assert_array_equal(pixels_of(Image.fromarray(colours), icc), colours)
