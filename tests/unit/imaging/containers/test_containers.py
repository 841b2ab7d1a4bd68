"""Every format has one reader: it walks a file once, never raises, and serves all who ask."""

from __future__ import annotations

import io
from contextlib import suppress

import numpy as np
import pytest
from pillow_heif import from_pillow

from faceproof.data.importing.measure import measure
from faceproof.data.shortcuts.features import measure_shortcuts
from faceproof.errors import PictureError
from faceproof.imaging.containers.base import MAX_PARTS
from faceproof.imaging.containers.jpeg import Jpeg
from faceproof.imaging.decode import decode, load
from faceproof.imaging.formats import FORMATS
from faceproof.provenance import read_provenance
from support.metadata import exif, picture, saved, xmp

PACKET = xmp({"xmp:CreatorTool": "GIMP 2.10"})
#: Neither table is one of libjpeg's.
OWN_TABLES = [[min(3 + place // 3, 255) for place in range(64)]] * 2


def heic() -> bytes:
    file = io.BytesIO()
    from_pillow(picture(64)).save(file, exif=exif(Software="GIMP 2.10").tobytes(), xmp=PACKET)
    return file.getvalue()


def files() -> dict[str, bytes]:
    block = exif(Software="GIMP 2.10")
    return {
        "JPEG": saved("JPEG", exif=block, xmp=PACKET, comment=b"GIMP"),
        "PNG": saved("PNG", exif=block),
        "WEBP": saved("WEBP", exif=block, xmp=PACKET),
        "GIF": saved("GIF", comment=b"GIMP"),
        "BMP": saved("BMP"),
        "TIFF": saved("TIFF", exif=block),
        "AVIF": saved("AVIF", exif=block, xmp=PACKET),
        "HEIC": heic(),
    }


FILES = files()


def test_every_format_is_among_the_files():
    assert FILES.keys() == FORMATS.keys()


@pytest.mark.parametrize("kind", FILES)
def test_parts_lie_in_order_and_inside_the_file(kind):
    container = FORMATS[kind].container(FILES[kind])
    assert container.fault is None
    end = 0
    for part in container.parts:
        assert end <= part.start <= part.end <= len(container.data)
        assert container.size_of(part) == len(container.body(part))
        end = part.end


@pytest.mark.parametrize("kind", FILES)
def test_a_decoder_sees_no_metadata_but_the_same_pixels(kind):
    found, file = decode(FILES[kind]), FORMATS[kind].container(FILES[kind]).pixel_data()
    if kind in {"JPEG", "PNG", "GIF"}:
        assert b"GIMP" not in file.data
    assert file.size == (found.width, found.height)
    assert np.array_equal(decode(file.data).pixels, found.pixels)


@pytest.mark.parametrize("kind", FILES)
def test_reading_never_raises_and_pixel_data_raises_errors_of_ours(kind):
    file = FILES[kind]
    for end in (*range(min(len(file), 200)), *range(200, len(file), max(len(file) // 60, 1))):
        container = FORMATS[kind].container(file[:end])
        assert all(container.size_of(part) <= end for part in container.parts)
        assert all(block.where for block in container.blocks())
        with suppress(PictureError):
            container.pixel_data()


def test_a_walk_is_bounded():
    many = b"\xff\xd8" + b"\xff\xfe\0\2" * (MAX_PARTS + 10)
    assert len(Jpeg(many).parts) == MAX_PARTS


def test_a_picture_of_a_file_carries_its_container():
    found = decode(FILES["JPEG"])
    assert isinstance(found.container, Jpeg)
    assert found.container.data is found.data
    assert load(found.pixels).container is None


def test_who_has_the_container_does_not_walk_again(monkeypatch):
    found = decode(FILES["JPEG"])
    expected = read_provenance(found.data, kind="JPEG"), measure_shortcuts(found.data)
    monkeypatch.setattr(Jpeg, "_walk", None)
    provenance = read_provenance(found.data, kind="JPEG", container=found.container)
    np.testing.assert_equal((provenance, measure_shortcuts(found.data, picture=found)), expected)


@pytest.mark.parametrize("how", [{"quality": 83}, {"quality": 5}, {"qtables": OWN_TABLES}])
def test_manifest_probe_and_provenance_agree_on_the_quality(how):
    data = saved("JPEG", **how)
    in_manifest = measure(data, "a.jpg").jpeg_quality
    assert measure_shortcuts(data)["quality"] == in_manifest
    (actual,) = [one for one in read_provenance(data, kind="JPEG")[1] if one.where == "JPEG tables"]
    about = "about " if "qtables" in how else ""
    assert actual.value.startswith(f"quality {about}{in_manifest} of 100;")
