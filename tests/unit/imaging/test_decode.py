"""Every format, mode, orientation and kind of source gives the same upright 8-bit sRGB pixels."""

import hashlib
import io
import struct
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile

from faceproof.errors import UnsupportedSourceError
from faceproof.imaging import colour
from faceproof.imaging.decode import Limits, Picture, decode, load

# An F: no rotation or mirror image of it looks like another.
F = np.array([[1, 1, 1, 1], [1, 0, 0, 0], [1, 1, 1, 0], [1, 0, 0, 0], [1, 0, 0, 0], [1, 0, 0, 0]])
LOSSLESS = {
    "PNG": {},
    "WEBP": {"lossless": True},
    "GIF": {},
    "BMP": {},
    "TIFF": {},
}
LOSSY = {"JPEG": {"quality": 95, "subsampling": 0}, "AVIF": {"quality": 95, "subsampling": "4:4:4"}}
COLOURS = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0), (120, 60, 30)]


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def stripes(size: int = 16) -> Image.Image:
    """Return a picture of vertical stripes in the colours of COLOURS."""
    rows = np.repeat(np.array(COLOURS, np.uint8), size, axis=0)
    return Image.fromarray(np.repeat(rows[np.newaxis], size, axis=0))


@pytest.mark.parametrize("kind", LOSSLESS)
def test_lossless_formats_keep_every_pixel(kind):
    picture = decode(encoded(stripes(), kind, **LOSSLESS[kind]))
    assert picture.format == kind
    assert (picture.width, picture.height) == (96, 16)
    assert picture.pixels.dtype == np.uint8
    assert picture.pixels.flags.c_contiguous
    assert picture.pixels.flags.writeable
    np.testing.assert_array_equal(picture.pixels, np.asarray(stripes()))


@pytest.mark.parametrize("kind", LOSSY)
def test_lossy_formats_come_close(kind):
    picture = decode(encoded(stripes(), kind, **LOSSY[kind]))
    assert picture.format == kind
    assert np.abs(picture.pixels.astype(int) - np.asarray(stripes())).max() <= 12


def test_heic_comes_close():
    heif = pytest.importorskip("pillow_heif")
    file = io.BytesIO()
    heif.from_pillow(stripes()).save(file, quality=95, chroma=444)
    picture = load(file.getvalue())
    assert picture.format == "HEIC"
    assert np.abs(picture.pixels.astype(int) - np.asarray(stripes())).max() <= 12


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_adobe_deflate", "packbits"])
@pytest.mark.parametrize("big_tiff", [False, True])
def test_tiff_compressions_and_bigtiff(compression, big_tiff):
    data = encoded(stripes(), "TIFF", compression=compression, big_tiff=big_tiff)
    np.testing.assert_array_equal(decode(data).pixels, np.asarray(stripes()))


def test_a_big_endian_tiff_with_a_strip_per_row():
    pixels = np.arange(5 * 7 * 3, dtype=np.uint8).reshape(5, 7, 3)
    tags = [(256, 3, 7), (257, 3, 5), (259, 3, 1), (262, 3, 2), (277, 3, 3), (278, 3, 1)]
    tags = [(tag, kind, 1, struct.pack(">HH", value, 0)) for tag, kind, value in tags]
    rows = struct.pack(">5I", *(8 + 21 * row for row in range(5)))
    at = 8 + pixels.size + 1
    extra = rows + struct.pack(">5I", *[21] * 5) + struct.pack(">3H", 8, 8, 8)
    tags += [(273, 4, 5, struct.pack(">I", at)), (279, 4, 5, struct.pack(">I", at + 20))]
    tags += [(258, 3, 3, struct.pack(">I", at + 40))]
    directory = b"".join(struct.pack(">HHI4s", *tag) for tag in sorted(tags))
    head = b"MM\0*" + struct.pack(">I", at + len(extra)) + pixels.tobytes() + b"\0"
    data = head + extra + struct.pack(">H", len(tags)) + directory + bytes(4)
    np.testing.assert_array_equal(decode(data).pixels, pixels)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_all_orientations_become_upright(kind, orientation):
    upright = Image.fromarray((F * 255).astype(np.uint8)).resize((64, 96), 0).convert("RGB")
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # Image.Transpose that the turn undoes
    stored = upright.transpose(undo[orientation]) if orientation > 1 else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = decode(encoded(stored, kind, exif=exif.tobytes()))
    assert (picture.width, picture.height) == (64, 96)
    assert np.abs(picture.pixels.astype(int) - np.asarray(upright)).mean() < 3


@pytest.mark.parametrize("orientation", [1, 3, 6, 7])
def test_large_pictures_are_turned_in_bands_without_seams(orientation, monkeypatch):
    monkeypatch.setattr(colour, "_BAND_PIXELS", 200)
    pixels = np.random.default_rng(0).integers(0, 256, (61, 43, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(Image.fromarray(pixels), "TIFF", exif=exif.tobytes())
    turned = {
        1: pixels,
        3: pixels[::-1, ::-1],
        6: np.rot90(pixels, -1),
        7: np.rot90(pixels.transpose(1, 0, 2), 2),
    }
    np.testing.assert_array_equal(decode(data).pixels, turned[orientation])


@pytest.mark.parametrize("exif", [b"", b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\xff\xff", b"\0" * 40])
def test_broken_exif_is_passed_over_in_silence(exif):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert decode(encoded(stripes(), "JPEG", exif=exif)).width == 96


GREY = [0, 64, 128, 255]


def grey(mode: str, values: list[float]) -> Image.Image:
    kinds = {"I;16": np.uint16, "I": np.int32, "F": np.float32, "L": np.uint8}
    return Image.fromarray(np.array([values], kinds[mode]))


@pytest.mark.parametrize(
    ("kind", "image", "expected"),
    [
        ("PNG", grey("L", GREY), GREY),
        ("PNG", grey("L", [0, 255]).convert("1"), [0, 255]),
        ("TIFF", grey("L", [0, 255]).convert("1"), [0, 255]),
        ("PNG", grey("I;16", [0, 257 * 64, 257 * 128, 65535]), GREY),
        ("TIFF", grey("I;16", [0, 257 * 64, 257 * 128, 65535]), GREY),
        ("TIFF", grey("I;16", [0, 255]), [0, 1]),
        ("TIFF", grey("I", [-5, 0, 64, 255]), [0, 0, 64, 255]),
        ("TIFF", grey("I", [0, 257 * 64, 65535]), [0, 64, 255]),
        ("TIFF", grey("I", [0, 2**30, 2**31 - 1]), [0, 128, 255]),
        ("TIFF", grey("F", [0.0, 0.25, 0.5, 1.0]), [0, 64, 128, 255]),
        ("TIFF", grey("F", [-1.0, 64.0, 128.0, 255.0]), GREY),
        ("TIFF", grey("F", [0.0, 1e9]), [0, 255]),
        ("TIFF", grey("F", [float("nan"), float("inf"), float("-inf"), 0.5]), None),
    ],
)
def test_greys_of_every_depth(kind, image, expected):
    pixels = decode(encoded(image, kind)).pixels
    assert pixels.shape == (image.height, image.width, 3)
    assert (pixels == pixels[..., :1]).all()
    if expected is not None:
        assert pixels[0, :, 0].tolist() == expected


def test_16_bit_rgb_png_keeps_the_high_byte():
    rows = b"".join(b"\0" + struct.pack(">6H", 0, 65535, 0x8012, 256, 255, 1) for _ in range(2))
    data = png_file(2, 2, depth=16, kind=2, rows=rows)
    assert decode(data).pixels[0].tolist() == [[0, 255, 128], [1, 0, 0]]


def png_file(width: int, height: int, *, depth: int, kind: int, rows: bytes) -> bytes:
    import zlib

    def chunk(name: bytes, payload: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(name + payload))
        return struct.pack(">I", len(payload)) + name + payload + check

    header = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.parametrize(
    ("kind", "image"),
    [
        ("PNG", Image.new("LA", (3, 2), (90, 128))),
        ("PNG", Image.new("RGBA", (3, 2), (90, 90, 90, 128))),
        ("WEBP", Image.new("RGBA", (3, 2), (90, 90, 90, 128))),
        ("TIFF", Image.new("RGBA", (3, 2), (90, 90, 90, 128))),
        ("TIFF", Image.new("LA", (3, 2), (90, 128))),
    ],
)
def test_half_transparent_pictures_are_laid_on_white(kind, image):
    options = {"lossless": True, "exact": True} if kind == "WEBP" else {}
    pixels = decode(encoded(image, kind, **options)).pixels
    assert np.abs(pixels.astype(int) - round(90 * 128 / 255 + 255 * 127 / 255)).max() <= 1


@pytest.mark.parametrize("kind", ["PNG", "GIF"])
def test_the_transparent_colour_of_a_palette_is_white(kind):
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.putpixel((1, 0), 1)
    pixels = decode(encoded(image, kind, transparency=1)).pixels
    assert pixels.tolist() == [[[10, 20, 30], [255, 255, 255]]]


@pytest.mark.parametrize(
    ("mode", "clear", "colours"),
    [("RGB", (9, 9, 9), [(9, 9, 9), (1, 2, 3)]), ("L", 9, [9, 3])],
)
def test_the_transparent_colour_of_a_png_without_palette_is_white(mode, clear, colours):
    image = Image.new(mode, (2, 1))
    image.putdata(colours)
    pixels = decode(encoded(image, "PNG", transparency=clear)).pixels
    assert pixels[0, 0].tolist() == [255, 255, 255]
    assert pixels[0, 1].tolist() == list(np.broadcast_to(colours[1], 3))


def test_a_palette_with_partial_alpha_is_laid_on_white():
    image = Image.new("P", (2, 1))
    image.putpalette([100, 100, 100, 0, 0, 0])
    image.putpixel((1, 0), 1)
    pixels = decode(encoded(image, "PNG", transparency=bytes([128, 255]))).pixels
    assert pixels[0, :, 0].tolist() == [177, 0]


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk_becomes_rgb(kind):
    inks = Image.merge("CMYK", [Image.new("L", (16, 16), ink) for ink in (0, 255, 255, 0)])
    assert np.abs(decode(encoded(inks, kind)).pixels.astype(int) - (255, 0, 0)).max() <= 3


def test_ycck_jpeg_becomes_rgb():
    """Luma and chroma of the inks, stored through Pillow's CMYK writer, which inverts them."""
    inks = Image.new("RGB", (16, 16), (0, 255, 255)).convert("YCbCr")
    stored = [band.point(lambda value: 255 - value) for band in inks.split()]
    image = Image.merge("CMYK", [*stored, Image.new("L", (16, 16), 0)])
    data = bytearray(encoded(image, "JPEG", quality=100, subsampling=0))
    data[data.index(b"Adobe") + 11] = 2
    assert np.abs(decode(bytes(data)).pixels.astype(int) - (255, 0, 0)).max() <= 4


def test_lab_tiff_becomes_rgb():
    from PIL import ImageCms

    lab = ImageCms.createProfile("LAB")
    to_lab = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), lab, "RGB", "LAB")
    image = ImageCms.applyTransform(stripes(), to_lab)
    pixels = decode(encoded(image, "TIFF")).pixels
    moderate = np.s_[:, 48:]  # 8-bit Lab does not reach the full primaries
    difference = pixels.astype(int) - np.asarray(stripes())
    assert np.abs(difference[moderate]).max() <= 3
    assert np.abs(difference).max() <= 25


def test_ycbcr_tiff_becomes_rgb():
    data = encoded(stripes().convert("YCbCr"), "TIFF", compression="tiff_lzw")
    assert np.abs(decode(data).pixels.astype(int) - np.asarray(stripes())).max() <= 3


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "AVIF", "TIFF"])
def test_of_an_animation_the_first_frame(kind):
    frames = [Image.new("RGB", (32, 32), colour) for colour in ("red", "blue", "lime")]
    options = {"WEBP": {"lossless": True}}.get(kind, {})
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    assert np.abs(decode(data).pixels.astype(int) - (255, 0, 0)).max() <= 8


def test_a_gif_whose_first_frame_is_smaller_than_its_screen():
    data = bytearray(encoded(Image.new("L", (3, 3), 7), "GIF"))
    data[6:10] = struct.pack("<HH", 5, 4)
    assert decode(bytes(data)).pixels.shape == (4, 5, 3)


def test_metadata_does_not_matter():
    from PIL.PngImagePlugin import PngInfo

    notes = PngInfo()
    notes.add_text("parameters", "portrait, " * 300_000, zip=True)
    with_notes = decode(encoded(stripes(), "PNG", pnginfo=notes))
    np.testing.assert_array_equal(with_notes.pixels, decode(encoded(stripes(), "PNG")).pixels)


def test_the_hash_is_that_of_the_file():
    data = encoded(stripes(), "PNG")
    assert decode(data).sha256 == hashlib.sha256(data).hexdigest()


def test_a_jpeg_named_png_is_simply_read(tmp_path):
    path = tmp_path / "größe 图.png"
    path.write_bytes(encoded(stripes(), "JPEG"))
    assert load(path).format == "JPEG"
    assert load(str(path)).format == "JPEG"


def test_every_source_gives_the_same_pixels(tmp_path):
    data = encoded(stripes(), "PNG")
    path = tmp_path / "a.png"
    path.write_bytes(data)
    pixels = np.asarray(stripes())
    with path.open("rb") as file:
        sources = [path, str(path), data, bytearray(data), memoryview(data), io.BytesIO(data), file]
        pictures = [load(source) for source in sources]
    assert {picture.sha256 for picture in pictures} == {hashlib.sha256(data).hexdigest()}
    pictures += [load(stripes()), load(pixels), load(Image.open(path))]
    for picture in pictures:
        np.testing.assert_array_equal(picture.pixels, pixels)


def test_a_stream_is_read_from_where_it_stands():
    stream = io.BytesIO(b"header" + encoded(stripes(), "PNG"))
    stream.seek(6)
    assert load(stream).width == 96


def test_pictures_in_memory_have_a_hash_of_their_own():
    square, wide = np.zeros((4, 4, 3), np.uint8), np.zeros((2, 8, 3), np.uint8)
    first, again, other = load(square), load(Image.fromarray(square)), load(wide)
    assert first.format == again.format == other.format == "ARRAY"
    assert first.sha256 == again.sha256 != other.sha256


def test_an_array_is_copied():
    frame = np.zeros((4, 4, 3), np.uint8)
    picture = load(frame)
    frame[:] = 9
    assert picture.pixels.max() == 0
    assert picture.pixels.flags.c_contiguous
    assert load(np.zeros((4, 8, 3), np.uint8)[:, ::2]).pixels.flags.c_contiguous


def test_a_pillow_image_with_exif_is_turned():
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(stripes(), "JPEG", exif=exif)
    assert load(Image.open(io.BytesIO(data))).width == load(data).width == 16
    tiff = encoded(stripes(), "TIFF", exif=exif)
    assert load(Image.open(io.BytesIO(tiff))).width == load(tiff).width == 16


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((3, 4, 4), np.uint8),
        np.zeros((4, 4, 3), np.float32),
        np.zeros((4, 4, 3), np.int64),
        np.zeros((0, 4, 3), np.uint8),
        np.zeros((1, 4, 4, 3), np.uint8),
        np.array(["a"]),
    ],
)
def test_other_arrays_are_refused_in_words(array):
    with pytest.raises(UnsupportedSourceError, match=r"must be uint8 \[height, width, 3\]"):
        load(array)


@pytest.mark.parametrize("source", [None, 7, ["a.png"], object()])
def test_what_is_no_source_is_refused_in_words(source):
    with pytest.raises(UnsupportedSourceError, match="pass a path, bytes"):
        load(source)


def test_pillow_is_left_as_it_was(monkeypatch):
    before = Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, list(warnings.filters)
    decode(encoded(stripes(), "TIFF"))
    after = Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, list(warnings.filters)
    assert after == before


def test_picture_and_limits_are_values():
    picture = Picture(np.zeros((2, 3, 3), np.uint8), "0", "PNG")
    assert (picture.width, picture.height) == (3, 2)
    assert "pixels" not in repr(picture)
    assert Limits().max_bytes == 64 * 1024 * 1024
    with pytest.raises(ValueError, match="greater than 0"):
        Limits(max_side=0)


def test_a_path_object_of_another_kind(tmp_path):
    class Named:
        def __fspath__(self) -> str:
            return str(Path(tmp_path) / "a.png")

    (tmp_path / "a.png").write_bytes(encoded(stripes(), "PNG"))
    assert load(Named()).width == 96
