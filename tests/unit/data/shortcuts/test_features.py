"""Each feature of a picture file reacts to what it is named for, and to nothing else."""

from __future__ import annotations

import io
import math
import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image, PngImagePlugin
from skimage import data

from faceproof.data.shortcuts.features import (
    FAMILIES,
    FEATURES,
    FLOOR,
    LARGEST_SIDE,
    METADATA_FORMATS,
    as_row,
    floor_features,
    measure_shortcuts,
)
from faceproof.errors import PictureError
from faceproof.imaging.containers.jpeg import Jpeg
from faceproof.imaging.containers.jpeg_header import standard_table
from faceproof.imaging.decode import decode, load
from faceproof.imaging.faces import Face
from faceproof.imaging.formats import FORMATS

ASTRONAUT = np.ascontiguousarray(data.astronaut()[:256, 100:356])
FACE = Face(
    (78.0, 63.0, 90.0, 113.0),
    np.float32([[100.0, 100.0], [150.0, 100.0], [125, 124], [100, 142], [140, 143]]),
    0.93,
)


def saved(pixels: np.ndarray, kind: str = "JPEG", **how: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **how)
    return file.getvalue()


def of(pixels: np.ndarray, kind: str = "PNG", **how: object) -> dict[str, float]:
    return measure_shortcuts(saved(pixels, kind, **how))


def changed(before: dict[str, float], after: dict[str, float]) -> set[str]:
    """Return the names of the features that differ."""
    one, other = as_row(before), as_row(after)
    differs = ~((one == other) | (np.isnan(one) & np.isnan(other)))
    return {name for name, change in zip(FEATURES, differs, strict=True) if change}


def grey(value: int, shape: tuple[int, int] = (256, 256)) -> np.ndarray:
    return np.full((*shape, 3), value, np.uint8)


def test_all_features_and_no_other_are_measured_in_their_order():
    assert tuple(of(ASTRONAUT, "JPEG")) == FEATURES
    assert len(set(FEATURES)) == len(FEATURES)
    assert tuple(floor_features(load(ASTRONAUT))) == tuple(FLOOR)


def test_the_same_file_gives_the_same_numbers_and_a_row_of_them():
    file = saved(ASTRONAUT)
    first, second = measure_shortcuts(file), measure_shortcuts(file, picture=decode(file))
    assert changed(first, second) == set()
    row = as_row(first)
    assert row.dtype == np.float64
    assert row.shape == (len(FEATURES),)
    assert row[FEATURES.index("width")] == 256


def test_what_is_no_picture_is_an_error():
    with pytest.raises(PictureError):
        measure_shortcuts(b"no picture at all, but long enough to be one")


def test_a_comment_changes_metadata_and_file_size_alone():
    found = changed(of(ASTRONAUT, "JPEG"), of(ASTRONAUT, "JPEG", comment=b"made by a machine"))
    assert found == {"has_comment", "metadata_bytes", "bytes", "bytes_per_pixel"}


def test_file_size():
    file = saved(ASTRONAUT[:128])
    measured = measure_shortcuts(file)
    assert measured["bytes"] == len(file)
    assert measured["bytes_per_pixel"] == len(file) / (128 * 256)


@pytest.mark.parametrize(
    ("shape", "square", "of_8", "of_16", "of_two"),
    [
        ((64, 64), 1, 1, 1, 1),
        ((64, 32), 0, 1, 1, 1),
        ((48, 48), 1, 1, 1, 0),
        ((40, 24), 0, 1, 0, 0),
        ((64, 30), 0, 0, 0, 0),
    ],
)
def test_dimensions(shape, square, of_8, of_16, of_two):
    measured = of(grey(90, shape))
    assert (measured["height"], measured["width"]) == shape
    assert measured["aspect"] == shape[1] / shape[0]
    names = ("square", "multiple_of_8", "multiple_of_16", "power_of_two")
    assert tuple(measured[name] for name in names) == (square, of_8, of_16, of_two)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"])
def test_one_format_is_hot_and_only_a_jpeg_has_tables(kind):
    measured = of(ASTRONAUT[:64, :64], kind)
    hot = [name for name in FAMILIES["format"] if name.startswith("is_") and measured[name] == 1]
    assert hot == [f"is_{kind.lower()}"]
    assert math.isnan(measured["quality"]) == (kind != "JPEG")
    assert math.isnan(measured["metadata_bytes"]) == (kind not in METADATA_FORMATS)


def test_every_format_that_can_be_read_has_its_feature():
    assert {f"is_{kind.lower()}" for kind in FORMATS} == set(FAMILIES["format"]) - {"channels"}


@pytest.mark.parametrize(("mode", "channels"), [("L", 1), ("RGB", 3), ("RGBA", 4), ("LA", 2)])
def test_channels_of_a_png(mode, channels):
    file = io.BytesIO()
    Image.fromarray(ASTRONAUT).convert(mode).save(file, "PNG")
    assert measure_shortcuts(file.getvalue())["channels"] == channels


@pytest.mark.parametrize("quality", [1, 10, 30, 49, 50, 51, 75, 89, 95, 99])
def test_quality_and_tables_are_those_of_the_encoder(quality):
    file = saved(ASTRONAUT, quality=quality)
    tables = Image.open(io.BytesIO(file)).quantization  # Pillow's are in zigzag order or not
    measured = measure_shortcuts(file)
    assert (measured["quality"], measured["standard_table"]) == (quality, 1)
    assert measured["tables"] == len(tables) == 2
    assert measured["luma_sum"] == sum(tables[0])
    assert measured["chroma_sum"] == sum(tables[1])
    assert sorted(standard_table(quality)) == sorted(tables[0])
    assert sorted(standard_table(quality, chroma=True)) == sorted(tables[1])


def test_the_entries_are_named_by_frequency():
    measured = of(ASTRONAUT, "JPEG", quality=50)
    names = ("luma_first", "luma_second", "luma_last", "chroma_first", "chroma_last")
    assert [measured[name] for name in names] == [16, 11, 99, 17, 99]


def test_a_table_of_ones_own_is_not_standard():
    table = [17, *standard_table(75)[1:]]
    measured = of(ASTRONAUT, "JPEG", qtables=[table, table])
    assert measured["standard_table"] == 0
    assert measured["quality"] == pytest.approx(75, abs=3)


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ({"subsampling": "4:4:4"}, {"sampling_across": 1, "sampling_down": 1}),
        ({"subsampling": "4:2:2"}, {"sampling_across": 2, "sampling_down": 1}),
        ({"subsampling": "4:2:0"}, {"sampling_across": 2, "sampling_down": 2}),
        ({"progressive": True}, {"progressive": 1}),
        ({"optimize": True}, {"optimised": 1, "progressive": 0}),
        ({}, {"optimised": 0, "progressive": 0, "restart_interval": 0}),
        ({"restart_marker_blocks": 4}, {"restart_interval": 4}),
    ],
)
def test_how_a_jpeg_was_compressed(how, expected):
    measured = of(ASTRONAUT, "JPEG", **how)
    assert {name: measured[name] for name in expected} == expected


def test_a_grey_jpeg_has_one_table_and_no_chroma():
    file = io.BytesIO()
    Image.fromarray(ASTRONAUT[..., 0]).save(file, "JPEG")
    measured = measure_shortcuts(file.getvalue())
    assert (measured["channels"], measured["tables"], measured["sampling_across"]) == (1, 1, 0)
    assert math.isnan(measured["chroma_sum"])
    assert measured["luma_sum"] > 0


@pytest.mark.parametrize("cut", [0, 1, 2, 3, 20, 24, 100, 170, 200, 400])
def test_a_cut_header_is_read_as_far_as_it_goes(cut):
    header = Jpeg(saved(ASTRONAUT)[:cut]).jpeg_header
    assert header.tables <= 2
    assert math.isnan(header.quality) or header.quality == 75


@pytest.mark.parametrize("padding", [0, 1, 2, 5])
def test_a_table_of_16_bits_and_padding_before_a_marker(padding):
    wide = b"\x10" + b"".join(struct.pack(">H", entry) for entry in standard_table(20))
    body = struct.pack(">H", len(wide) + 2) + wide
    frame = bytes.fromhex("08 0010 0010 01 01 11 00")
    file = (
        b"\xff\xd8"
        + b"\xff" * padding
        + b"\xff\xdb"
        + body
        + b"\xff\xc1\x00\x0b"
        + frame
        + b"\xff\xda\0\2"
    )
    header = Jpeg(file).jpeg_header
    assert (header.quality, header.layers, header.tables) == (20, 1, 1)


def exif() -> bytes:
    tags = Image.Exif()
    tags[0x010F] = "a camera"
    return tags.tobytes()


@pytest.mark.parametrize(
    ("kind", "how", "name"),
    [
        ("JPEG", {"exif": exif()}, "has_exif"),
        ("JPEG", {"icc_profile": b"a profile" * 20}, "has_icc"),
        ("JPEG", {"xmp": b"<x:xmpmeta/>"}, "has_xmp"),
        ("JPEG", {"comment": b"words"}, "has_comment"),
        ("PNG", {"exif": exif()}, "has_exif"),
        ("PNG", {"icc_profile": b"a profile" * 20}, "has_icc"),
        ("WEBP", {"exif": exif()}, "has_exif"),
        ("WEBP", {"icc_profile": b"a profile" * 20}, "has_icc"),
        ("WEBP", {"xmp": b"<x:xmpmeta/>"}, "has_xmp"),
    ],
)
def test_metadata_of_each_kind(kind, how, name):
    plain, with_it = of(ASTRONAUT, kind), of(ASTRONAUT, kind, **how)
    names = changed(plain, with_it) & set(FAMILIES["metadata"])
    assert names == {name, "metadata_bytes"}
    assert (plain[name], with_it[name]) == (0, 1)


def test_a_webp_chunk_of_odd_length_is_followed_by_a_byte_of_padding():
    measured = of(ASTRONAUT, "WEBP", icc_profile=b"odd", exif=exif())
    assert (measured["has_icc"], measured["has_exif"], measured["has_xmp"]) == (1, 1, 0)
    assert measured["metadata_bytes"] == 3 + len(exif().removeprefix(b"Exif\0\0"))


@pytest.mark.parametrize(("kind", "size"), [("JPEG", 14), ("PNG", 0), ("WEBP", 0)])
def test_what_the_pixels_need_is_no_metadata(kind, size):
    assert of(ASTRONAUT, kind)["metadata_bytes"] == size  # of a JPEG: the JFIF segment


def segment(marker: int, body: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body


@pytest.mark.parametrize(
    ("marker", "body", "name"),
    [
        (0xED, b"Photoshop 3.0\x008BIM\x04\x04", "has_iptc"),
        (0xEB, b"JP\0\1\0\0\0\1jumb", "has_credentials"),
        (0xEE, b"Adobe\0\x64\0\0\0\0\1", "has_adobe"),
    ],
)
def test_application_segments_that_pillow_does_not_write(marker, body, name):
    file = saved(ASTRONAUT)
    measured = measure_shortcuts(file[:2] + segment(marker, body) + file[2:])
    assert measured[name] == 1
    assert measured["metadata_bytes"] == measure_shortcuts(file)["metadata_bytes"] + len(body)


def test_an_unknown_segment_counts_as_bytes_alone():
    file = saved(ASTRONAUT)
    measured = measure_shortcuts(file[:2] + segment(0xE7, b"unheard of") + file[2:])
    names = changed(measure_shortcuts(file), measured)
    assert names == {"metadata_bytes", "bytes", "bytes_per_pixel"}


def test_text_xmp_and_credentials_in_a_png():
    text = PngImagePlugin.PngInfo()
    text.add_text("parameters", "a portrait, 35 mm")
    assert of(ASTRONAUT, "PNG", pnginfo=text)["has_comment"] == 1
    xmp = PngImagePlugin.PngInfo()
    xmp.add_itxt("XML:com.adobe.xmp", "<x:xmpmeta/>")
    measured = of(ASTRONAUT, "PNG", pnginfo=xmp)
    assert (measured["has_xmp"], measured["has_comment"]) == (1, 0)
    file = saved(ASTRONAUT, "PNG")
    chunk = b"caBX" + b"jumb"
    chunk = struct.pack(">I", 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
    assert measure_shortcuts(file[:33] + chunk + file[33:])["has_credentials"] == 1


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_density(kind):
    measured = of(ASTRONAUT, kind, dpi=(300, 300))
    expected = (1, 300) if kind == "JPEG" else (1, round(300 / 0.0254))
    assert (measured["density_unit"], measured["density"]) == expected


def test_bytes_behind_the_end():
    file = saved(ASTRONAUT)
    assert measure_shortcuts(file)["trailing_bytes"] == 0
    assert measure_shortcuts(file + b"more than it shows")["trailing_bytes"] == 18


def test_a_blurred_picture_is_less_sharp_and_as_bright():
    sharp, soft = of(ASTRONAUT), of(cv2.GaussianBlur(ASTRONAUT, (0, 0), 2))
    assert soft["laplacian"] < sharp["laplacian"] - 3
    assert soft["high_frequency"] < sharp["high_frequency"] / 3
    assert soft["noise"] < sharp["noise"] / 3
    assert soft["luma"] == pytest.approx(sharp["luma"], abs=1)


@pytest.mark.parametrize("sigma", [2, 5, 10])
def test_noise_level_is_that_of_the_noise(sigma):
    grain = np.random.default_rng(0).normal(0, sigma, (256, 256, 1))
    noisy = np.clip(grey(128) + grain, 0, 255).round().astype(np.uint8)
    assert of(noisy)["noise"] == pytest.approx(sigma, rel=0.05)


def test_waves_lie_on_their_side_of_half_of_the_highest_frequency():
    place = np.arange(256) + 0.5
    for frequency, low, high in ((0.53, 0.8, 1), (0.47, 0, 0.2)):
        wave = 128 + 60 * np.cos(np.pi * place * round(256 * frequency) / 256)
        pixels = np.repeat(np.tile(wave, (256, 1))[..., None], 3, axis=2)
        assert low < of(pixels.round().astype(np.uint8))["high_frequency"] < high


@pytest.mark.parametrize("shape", [(255, 129), (1, 1), (1, 40), (17, 16), (3, 700)])
def test_any_shape_is_measured_and_a_flat_picture_has_no_sharpness(shape):
    measured = of(grey(77, shape))
    assert (measured["high_frequency"], measured["noise"]) == (0, 0)
    assert measured["laplacian"] == pytest.approx(math.log(1e-3))
    assert measured["luma"] == pytest.approx(77)


def test_blocks_of_a_jpeg_are_seen_on_their_grid():
    blocks = decode(saved(ASTRONAUT, quality=10)).pixels
    clean, on_grid = of(ASTRONAUT), of(blocks)
    off_grid = of(np.ascontiguousarray(blocks[3:251, 5:253]))
    assert on_grid["blockiness"] > clean["blockiness"] + 0.5
    assert on_grid["blockiness_off_grid"] < 0.3
    assert off_grid["blockiness"] < 0.3
    assert off_grid["blockiness_off_grid"] > clean["blockiness_off_grid"] + 0.5


def test_the_grid_is_seen_in_a_large_picture_too():
    large = cv2.resize(ASTRONAUT, (1400, 1104), interpolation=cv2.INTER_CUBIC)
    measured = of(decode(saved(large, quality=10)).pixels)
    assert measured["blockiness"] > 0.5
    assert measured["blockiness_off_grid"] < 0.3


def test_a_picture_below_two_blocks_has_no_grid():
    assert math.isnan(of(ASTRONAUT[:15])["blockiness"])
    assert not math.isnan(of(ASTRONAUT[:16])["blockiness"])


def test_brightness_of_a_colour():
    pixels = grey(0)
    pixels[:] = 200, 100, 50
    measured = of(pixels)
    assert [measured[name] for name in ("red", "green", "blue")] == [200, 100, 50]
    assert measured["luma"] == pytest.approx(0.299 * 200 + 0.587 * 100 + 0.114 * 50, abs=0.5)
    assert measured["saturation"] == pytest.approx(255 * 150 / 200, abs=0.5)
    assert (measured["contrast"], measured["clipped_dark"], measured["clipped_bright"]) == (0, 0, 0)


def test_clipped_shares_and_contrast():
    pixels = grey(128)
    pixels[:64], pixels[64:96] = 0, 255
    measured = of(pixels)
    assert (measured["clipped_dark"], measured["clipped_bright"]) == (0.25, 0.125)
    assert measured["contrast"] == pytest.approx(float(pixels[..., 0].std()), abs=0.01)


@pytest.mark.parametrize(
    ("side", "where"),
    [
        ("top", np.s_[:5]),
        ("bottom", np.s_[-5:]),
        ("left", np.s_[:, :5]),
        ("right", np.s_[:, -5:]),
    ],
)
def test_a_border_is_named_by_its_side(side, where):
    pixels = grey(128)
    pixels[where] = 0
    measured = of(pixels)
    assert measured[f"{side}_luma"] == 0
    assert measured[f"{side}_spread"] == 0
    others = {"top", "bottom", "left", "right"} - {side}
    assert all(measured[f"{other}_luma"] > 100 for other in others)
    assert 0.2 < measured["black_border"] < 0.3
    assert measured["white_border"] == 0


def test_a_white_border_all_around():
    pixels = grey(255)
    pixels[5:-5, 5:-5] = ASTRONAUT[5:-5, 5:-5]
    measured = of(pixels)
    assert (measured["white_border"], measured["black_border"]) == (1, 0)


def test_black_wedges_of_a_turned_picture():
    turn = cv2.getRotationMatrix2D((127.5, 127.5), 20, 1.0)
    turned = cv2.warpAffine(ASTRONAUT + np.uint8(20) * (ASTRONAUT < 20), turn, (256, 256))
    measured = of(turned)
    black = float(np.all(turned == 0, axis=2).mean())
    assert measured["black_wedge"] == pytest.approx(black, abs=0.04)
    assert measured["constant_corners"] >= measured["black_wedge"]


def test_a_grey_backdrop_is_constant_and_no_black_wedge():
    pixels = grey(180)
    pixels[64:192, 64:192] = ASTRONAUT[64:192, 64:192]
    measured = of(pixels)
    assert measured["constant_corners"] == pytest.approx(0.75, abs=0.05)
    assert measured["black_wedge"] == 0


def test_noise_has_no_constant_corners():
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    assert of(noise)["constant_corners"] < 0.01


def test_large_pictures_are_measured_at_512():
    large = cv2.resize(ASTRONAUT, (1024, 1024), interpolation=cv2.INTER_NEAREST)
    small = cv2.resize(large, (LARGEST_SIDE, LARGEST_SIDE), interpolation=cv2.INTER_AREA)
    found = changed(of(large), of(small))
    assert found & (set(FAMILIES["brightness"]) | set(FAMILIES["borders"])) == set()
    assert found & set(FAMILIES["sharpness"]) <= {"blockiness", "blockiness_off_grid"}


def test_framing_of_a_face():
    measured = measure_shortcuts(saved(ASTRONAUT), faces=(FACE, FACE))
    assert measured["face_x"] == (78 + 45) / 256
    assert measured["face_y"] == (63 + 56.5) / 256
    assert measured["face_size"] == pytest.approx(math.sqrt(90 * 113) / 256)
    assert (measured["face_tilt"], measured["faces"]) == (0, 2)
    assert "detection_score" not in measured  # it is a look at the face


def test_tilt_is_that_of_the_eyes():
    eyes = FACE.landmarks.copy()
    eyes[1] = 150, 150
    tilted = Face(FACE.box, eyes, FACE.detection_score)
    assert measure_shortcuts(saved(ASTRONAUT), faces=[tilted])["face_tilt"] == 45


def test_no_face_is_not_the_same_as_nobody_looked():
    file = saved(ASTRONAUT)
    none_found, not_looked = measure_shortcuts(file, faces=()), measure_shortcuts(file)
    assert none_found["faces"] == 0
    framing = set(FAMILIES["framing"])
    assert all(math.isnan(none_found[name]) for name in framing - {"faces"})
    assert all(math.isnan(not_looked[name]) for name in framing)


def test_the_floor_forgets_format_quality_and_size():
    """A picture saved in other ways is the same within what saving it changes."""
    best, large = saved(ASTRONAUT, "PNG"), cv2.resize(ASTRONAUT, (512, 512))
    one, other = floor_features(decode(best)), floor_features(load(large))
    assert one["floor_bytes"] == pytest.approx(other["floor_bytes"], rel=0.12)
    assert one["floor_luma"] == pytest.approx(other["floor_luma"], abs=0.5)
    assert floor_features(decode(saved(ASTRONAUT, quality=95)))["floor_bytes"] == pytest.approx(
        one["floor_bytes"], rel=0.02
    )


def test_the_floor_is_of_the_middle_square():
    wide = np.concatenate([grey(0), ASTRONAUT, grey(255)], axis=1)
    assert floor_features(load(wide)) == floor_features(load(ASTRONAUT))


def test_the_floor_is_what_independent_arithmetic_gives():
    ours = floor_features(load(ASTRONAUT))
    file = cv2.imencode(".jpg", ASTRONAUT[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 75])[1]
    with Image.open(io.BytesIO(file.tobytes())) as image:
        luma = np.asarray(image.convert("L"), np.float64)
        saturation = np.asarray(image.convert("HSV"), np.float64)[..., 1].mean()
    padded = np.pad(luma, 1, mode="reflect")
    middle = padded[1:-1, 1:-1]
    laplacian = padded[:-2, 1:-1] + padded[2:, 1:-1] + padded[1:-1, :-2] + padded[1:-1, 2:]
    assert ours["floor_bytes"] == len(file)
    assert ours["floor_laplacian"] == pytest.approx(
        math.log((laplacian - 4 * middle).var()), abs=0.01
    )
    assert ours["floor_luma"] == pytest.approx(luma.mean(), abs=0.1)
    assert ours["floor_saturation"] == pytest.approx(saturation, abs=0.6)
    assert ours["floor_high_frequency"] == pytest.approx(by_scipy(luma), rel=0.02)


def by_scipy(luma: np.ndarray) -> float:
    from scipy.fft import dctn

    waves = np.abs(dctn(luma, norm="ortho"))
    down, across = np.indices(waves.shape)
    waves[0, 0] = 0
    high = np.hypot(down / waves.shape[0], across / waves.shape[1]) > 0.5
    return waves[high].sum() / waves.sum()
