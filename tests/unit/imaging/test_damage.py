"""Which part of a damaged file's picture the decoder made up."""

from __future__ import annotations

import io
import random
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageCms, features
from skimage import data

from faceproof.errors import CorruptPictureError, PictureError, TruncatedPictureError
from faceproof.imaging.containers.directory import exif_orientation
from faceproof.imaging.containers.others import Webp
from faceproof.imaging.damage import Damage, _coded_damage, has_all_scans
from faceproof.imaging.decode import decode

SIDE = 512
END = b"\xff\xd9"


def encoded(kind: str, mode: str = "RGB", **how: object) -> bytes:
    """Return the astronaut, 512 px square, in a format."""
    file = io.BytesIO()
    Image.fromarray(data.astronaut()).convert(mode).save(file, kind, **how)
    return file.getvalue()


JPEGS = {
    "baseline": encoded("JPEG", quality=90),
    "optimised": encoded("JPEG", quality=90, optimize=True),
    "restarts": encoded("JPEG", quality=90, restart_marker_rows=1),
    "progressive": encoded("JPEG", quality=90, progressive=True),
    "no subsampling": encoded("JPEG", quality=90, subsampling=0),
    "four inks": encoded("JPEG", "CMYK", quality=90),
}
SINGLE_SCAN = [name for name in JPEGS if name != "progressive"]


def cut(file: bytes) -> bytes:
    """Return the first quarter."""
    return file[: len(file) // 4]


def cut_and_closed(file: bytes) -> bytes:
    return cut(file) + END


def zeros(file: bytes) -> bytes:
    """Return the file with zeros for its last three quarters, but for the end mark."""
    return cut(file) + bytes(len(file) - len(file) // 4 - 2) + file[-2:]


def filled_to_the_end(file: bytes, byte: int) -> bytes:
    """Return the file with one byte for its last 70 %."""
    kept = 3 * len(file) // 10
    return file[:kept] + bytes([byte]) * (len(file) - kept)


def with_middle(file: bytes, middle: Callable[[int], bytes]) -> bytes:
    """Return the file with a twentieth of it, from half on, replaced."""
    start, length = len(file) // 2, len(file) // 20
    return file[:start] + middle(length)[:length] + file[start + length :]


def zeros_inside(file: bytes) -> bytes:
    return with_middle(file, bytes)


def text_inside(file: bytes) -> bytes:
    return with_middle(file, lambda length: b"<p>503 Service Unavailable</p>\n" * length)


def one_byte_inside(file: bytes) -> bytes:
    """What a flash memory or a recovery program leaves: any byte, over and over."""
    return with_middle(file, lambda length: b"\xaa" * length)


def random_inside(file: bytes) -> bytes:
    return with_middle(file, random.Random(3).randbytes)


def gap(file: bytes) -> bytes:
    return with_middle(file, lambda _: b"")


def large_gap(file: bytes) -> bytes:
    """Return the file without a fifth of it, from 30 % on: a lost cluster of a disk."""
    return file[: 3 * len(file) // 10] + file[len(file) // 2 :]


HARM = [
    *(cut, cut_and_closed, zeros, zeros_inside, text_inside, one_byte_inside, random_inside),
    *(gap, large_gap),
]


@pytest.mark.parametrize("name", JPEGS)
def test_a_whole_jpeg_is_whole(name):
    assert decode(JPEGS[name]).damage is None


@pytest.mark.parametrize("name", JPEGS)
@pytest.mark.parametrize("end", [b"", b"\xff", bytes(700) + END, b"\xff" * 9 + END, END + b"more"])
def test_a_jpeg_complete_but_for_its_end_is_whole(name, end):
    whole = decode(JPEGS[name])
    other = decode(JPEGS[name][:-2] + end)
    assert other.damage is None
    assert np.array_equal(other.pixels, whole.pixels)


@pytest.mark.parametrize("name", JPEGS)
@pytest.mark.parametrize("harm", HARM)
def test_harm_to_a_jpeg_is_seen(name, harm):
    try:
        found = decode(harm(JPEGS[name])).damage
    except PictureError:
        return  # the decoder itself refused
    assert found is not None
    assert found.share > (0.1 if harm is large_gap else 0.4)


@pytest.mark.parametrize("name", JPEGS)
@pytest.mark.parametrize("harm", [cut_and_closed, large_gap])
def test_a_jpeg_that_lacks_data_but_not_its_end_mark_may_lack_them_anywhere(name, harm):
    """Behind a gap all pixels are out of place, and the end is filled up as after a cut."""
    found = decode(harm(JPEGS[name])).damage
    assert found.box == (0, 0, SIDE, SIDE)


@pytest.mark.parametrize("name", SINGLE_SCAN)
@pytest.mark.parametrize("harm", [cut, zeros, zeros_inside, text_inside, one_byte_inside])
def test_what_lies_before_the_damage_of_a_jpeg_is_intact(name, harm):
    picture = decode(harm(JPEGS[name]))
    x, y, width, height = picture.damage.box
    assert (x, width, y + height) == (0, SIDE, SIDE)
    assert picture.damage.share == height / SIDE
    start = int(y) - 16  # the smoothing of chroma reaches over the edge of a unit
    whole = decode(JPEGS[name]).pixels
    assert start > 0.1 * SIDE
    assert np.array_equal(picture.pixels[:start], whole[:start])
    assert not np.array_equal(picture.pixels[start + 48 :], whole[start + 48 :])


def test_only_missing_data_are_called_cut():
    assert decode(cut(JPEGS["baseline"])).damage.cut
    assert not decode(zeros(JPEGS["baseline"])).damage.cut


def test_a_lost_place_may_spoil_anything():
    file = JPEGS["baseline"]
    middle = len(file) // 2
    found = decode(file[:middle] + file[middle + 1000 :]).damage
    assert found.box == (0, 0, SIDE, SIDE)


def scans(file: bytes) -> list[int]:
    return [place for place in range(len(file)) if file.startswith(b"\xff\xda", place)]


def test_a_progressive_jpeg_without_its_last_scans_is_damaged_everywhere():
    file = JPEGS["progressive"]
    starts = scans(file)
    assert len(starts) > 5
    for start in starts[2:]:
        found = decode(file[:start] + END).damage
        assert found.box == (0, 0, SIDE, SIDE)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_damage_is_turned_with_the_picture(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = encoded("JPEG", quality=90, exif=exif)
    assert exif_orientation(exif.tobytes()) == orientation
    whole, harmed = decode(file), decode(cut(file))
    x, y, width, height = (int(number) for number in harmed.damage.box)
    inside = np.zeros((SIDE, SIDE), bool)
    inside[y : y + height, x : x + width] = True
    changed = np.any(harmed.pixels != whole.pixels, axis=2)
    assert changed[inside].mean() > 0.9
    assert changed[~inside].mean() < 0.1


def test_turning_a_wide_picture():
    damage = Damage((0.0, 30.0, 100.0, 20.0), 0.4, cut=True)
    assert damage.turned(1, (100, 50)).box == (0, 30, 100, 20)
    assert damage.turned(3, (100, 50)).box == (0, 0, 100, 20)
    assert damage.turned(6, (100, 50)).box == (0, 0, 20, 100)
    assert damage.turned(8, (100, 50)).box == (30, 0, 20, 100)


@pytest.mark.parametrize(
    ("box", "common"),
    [((0, 0, 10, 10), False), ((0, 0, 10, 11), True), ((90, 40, 9, 9), True)],
)
def test_overlap(box, common):
    assert Damage((0.0, 10.0, 100.0, 40.0), 0.8).overlaps(box) == common


CODED = {
    "WEBP": encoded("WEBP", quality=90),
    "WEBP lossless": encoded("WEBP", lossless=True),
    **({"AVIF": encoded("AVIF", quality=80)} if features.check("avif") else {}),
}


@pytest.mark.parametrize("name", CODED)
def test_a_whole_coded_picture_is_whole(name):
    assert decode(CODED[name]).damage is None


@pytest.mark.parametrize("name", CODED)
@pytest.mark.parametrize("harm", [zeros, zeros_inside, text_inside, one_byte_inside])
def test_foreign_bytes_in_coded_data_spoil_the_picture(name, harm):
    try:
        found = decode(harm(CODED[name])).damage
    except PictureError:
        return
    assert found.box == (0, 0, SIDE, SIDE)
    assert found.share == pytest.approx(0.75 if harm is zeros else 0.5, abs=0.03)


def test_flat_pictures_are_not_damaged():
    for colour in (0, 128, 255):
        for kind in ("JPEG", "WEBP", "AVIF", "TIFF", "BMP", "PNG", "GIF"):
            file = io.BytesIO()
            Image.new("RGB", (300, 200), (colour,) * 3).save(file, kind)
            assert decode(file.getvalue()).damage is None, (kind, colour)


def test_a_portrait_on_a_large_flat_ground_is_whole():
    """Arithmetic coding writes a flat area as one byte over and over: here 200 zeros and more."""
    wide = Image.new("RGB", (2000, 1500), "white")
    wide.paste(Image.fromarray(data.astronaut()), (700, 988))
    file = io.BytesIO()
    wide.save(file, "WEBP", quality=80)
    assert bytes(200) in file.getvalue()
    assert decode(file.getvalue()).damage is None


def test_a_letter_over_and_over_is_no_text():
    """A flat area may be coded as any byte: one of a studio portrait was 1312 times "3"."""
    file = encoded("WEBP", quality=90)
    middle = len(file) // 2
    for text, is_found in ((b"3" * 300, False), (b"<p>503 Service Unavailable</p>\n" * 10, True)):
        harmed = file[:middle] + text + file[middle + len(text) :]
        assert (_coded_damage(Webp(harmed), (2000, 1500)) is not None) == is_found


@pytest.mark.parametrize("kind", ["icc", "exif"])
def test_a_scans_marker_in_metadata_is_no_scan(kind):
    """Of 107,000 photographs two progressive ones had it in their colour profile."""
    scan = b"\xff\xda\x00\x0c\x03\x11\x00\x12\x00\x13\x00\x01\x05\x02"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif = Image.Exif()
    exif[0x9286] = scan
    how = {"icc_profile": profile + scan} if kind == "icc" else {"exif": exif}
    file = encoded("JPEG", quality=90, progressive=True, **how)
    assert scan in file
    assert has_all_scans(file)
    assert decode(file).damage is None
    assert not has_all_scans(cut(file) + END)


def test_metadata_full_of_zeros_are_not_the_picture():
    exif = Image.Exif()
    exif[0x9286] = bytes(4000)
    for kind in ("JPEG", "WEBP", "AVIF"):
        assert decode(encoded(kind, exif=exif)).damage is None


@pytest.mark.parametrize("kind", ["BMP", "TIFF"])
@pytest.mark.parametrize("byte", [0, 0xAA, 255])
def test_one_byte_over_and_over_in_plain_pixels_is_damage(kind, byte):
    assert decode(encoded(kind)).damage is None
    found = decode(filled_to_the_end(encoded(kind), byte)).damage
    assert found is not None
    assert found.share == pytest.approx(0.7, abs=0.01)
    x, y, width, height = found.box
    assert (x, width, round(height)) == (0, SIDE, round(found.share * SIDE))
    assert (y == 0) == (kind == "BMP")  # its last row is the first in the file


@pytest.mark.parametrize("mode", ["1", "L", "P", "I;16", "I", "F", "RGBA", "CMYK"])
def test_plain_pixels_of_any_kind_may_be_flat_in_part(mode):
    """A letterbox, in numbers from 0 to 1 too: rows that are alike are no damage."""
    grey = data.astronaut().mean(axis=2)
    grey[:100] = 30
    scale = {"I;16": 257, "F": 1 / 255}.get(mode, 1)
    kind = {"I;16": np.uint16, "I": np.int32, "F": np.float32}.get(mode, np.uint8)
    image = Image.fromarray((grey * scale).astype(kind))
    file = io.BytesIO()
    (image if mode in {"I;16", "I", "F"} else image.convert(mode)).save(file, "TIFF")
    assert decode(file.getvalue()).damage is None


STRIPS = {
    f"{compression}, {rows} rows": encoded(
        "TIFF", compression=compression, tiffinfo={278: rows}, **quality
    )
    for compression, quality in (("jpeg", {"quality": 90}), ("tiff_adobe_deflate", {}))
    for rows in (64, SIDE)
}


@pytest.mark.parametrize("name", STRIPS)
@pytest.mark.parametrize("wrong", [bytes, random.Random(5).randbytes])
def test_a_broken_strip_of_a_tiff_spoils_its_rows(name, wrong):
    file, rows = STRIPS[name], int(name.split()[1])
    assert decode(file).damage is None
    with Image.open(io.BytesIO(file)) as image:
        offsets, counts = image.tag_v2[273], image.tag_v2[279]
    place = len(offsets) // 2
    middle, length = offsets[place] + counts[place] // 2, counts[place] // 2
    harmed = file[:middle] + wrong(length) + file[middle + length :]
    try:
        found = decode(harmed).damage
    except PictureError:
        return
    assert found.box == (0, place * rows, SIDE, rows)


@pytest.mark.parametrize("value", [0, 200, 255])
def test_bars_are_not_damage(value):
    barred = data.astronaut().copy()
    barred[:60] = barred[-60:] = value
    for kind in ("BMP", "TIFF"):
        file = io.BytesIO()
        Image.fromarray(barred).save(file, kind)
        assert decode(file.getvalue()).damage is None


def test_a_whole_picture_is_required():
    whole = decode(JPEGS["baseline"])
    assert whole.require_whole("a.jpg") is whole
    with pytest.raises(TruncatedPictureError, match=r"^a\.jpg: the last 7\d % of the picture are"):
        decode(cut(JPEGS["baseline"])).require_whole("a.jpg")
    with pytest.raises(CorruptPictureError, match=r"^up to 7\d % of the picture are damaged"):
        decode(zeros(JPEGS["baseline"])).require_whole()
