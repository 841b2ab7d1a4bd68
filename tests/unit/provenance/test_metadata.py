"""Metadata is read from every container; cameras, previews and saving are told without harm."""

import io
import struct
import subprocess
import sys
import tracemalloc
import zlib

import numpy as np
import pytest
from PIL import Image
from pillow_heif import from_pillow

from faceproof.imaging.containers.base import Container
from faceproof.imaging.formats import FORMATS
from faceproof.provenance import read_provenance
from faceproof.provenance.credentials import MEDIA_TYPES
from faceproof.provenance.metadata import XmpError, read_exif, read_xmp
from faceproof.provenance.records import MOST_FINDINGS
from support.metadata import (
    EXIF_DIRECTORY,
    GPS_DIRECTORY,
    exif,
    iim,
    picture,
    png,
    saved,
    with_chunk,
    with_segment,
    xmp,
)

GIMP = {"xmp:CreatorTool": "GIMP 2.10"}


def heic(**how):
    out = io.BytesIO()
    from_pillow(picture(64)).save(out, **how)
    return out.getvalue()


def read(data, kind="JPEG", **how):
    return read_provenance(data, kind=kind, **how)[1]


def one(data, kind, wanted):
    (found,) = [finding for finding in read(data, kind) if finding.kind == wanted]
    return found


def camera_exif(**more):
    block = exif(Make="Canon", Model="Canon EOS R5", Artist="Ann Example", **more)
    inner = block.get_ifd(EXIF_DIRECTORY)
    inner[0x9003] = "2024:05:06 07:08:09"
    inner[0xA434] = "RF50mm F1.2 L"
    inner[0xA430] = "Ann Example"
    inner[0xA431] = "0123456789"
    inner[0x829A] = 0.01
    gps = block.get_ifd(GPS_DIRECTORY)
    gps[1], gps[2], gps[3], gps[4] = "N", (52.0, 31.0, 12.0), "E", (13.0, 24.0, 36.0)
    return block


def test_every_format_with_metadata_is_known():
    with_blocks = {
        kind for kind, known in FORMATS.items() if known.container.blocks is not Container.blocks
    }
    assert with_blocks == MEDIA_TYPES.keys() == FORMATS.keys() - {"BMP"}


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_exif_is_read_from(kind):
    found = one(saved(kind, exif=exif(Software="GIMP 2.10")), kind, "editing_software")
    assert found.where == ("TIFF tags Software" if kind == "TIFF" else "EXIF Software")


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "AVIF"])
def test_xmp_is_read_from(kind):
    assert one(saved(kind, xmp=xmp(GIMP)), kind, "editing_software").where == "XMP xmp:CreatorTool"


def test_xmp_is_read_from_png_tiff_and_gif():
    tiff = saved("TIFF", tiffinfo={700: xmp(GIMP)})
    tail = b"\x01" + bytes(range(255, -1, -1)) + b"\0"
    plain = saved("GIF")
    at = 13 + (3 << (plain[10] & 7) + 1)
    gif = plain[:at] + b"!\xff\x0bXMP DataXMP" + xmp(GIMP) + tail + plain[at:]
    files = {"PNG": png(**{"XML:com.adobe.xmp": xmp(GIMP).decode()}), "TIFF": tiff, "GIF": gif}
    for kind, data in files.items():
        assert one(data, kind, "editing_software").value == "GIMP 2.10"


def test_heic_is_read():
    data = heic(exif=exif(Software="Snapseed 2.0").tobytes(), xmp=xmp(GIMP))
    names = [found.where for found in read(data, "HEIC") if found.kind == "editing_software"]
    assert sorted(names) == ["EXIF Software", "XMP xmp:CreatorTool"]


def test_big_tiff_is_read():
    text = b"GIMP 2.10.34\0"
    entry = struct.pack("<HHQQ", 0x0131, 2, len(text), 56)
    data = struct.pack("<2sHHHQQ", b"II", 43, 8, 0, 16, 1) + entry + bytes(8) + bytes(4) + text
    assert data[56:] == text
    assert one(data, "TIFF", "editing_software").where == "TIFF tags Software"


def test_captions_are_read_from_jpeg_and_tiff():
    block = iim(OriginatingProgram="Picasa")
    jpeg = with_segment(saved("JPEG"), 0xED, block)
    tiff = saved("TIFF", tiffinfo={34377: block.removeprefix(b"Photoshop 3.0\0")})
    for kind, data in {"JPEG": jpeg, "TIFF": tiff}.items():
        assert one(data, kind, "editing_software").where == "IPTC OriginatingProgram"


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("chunk", ["tEXt", "zTXt", "iTXt"])
def test_every_text_chunk_is_read(chunk, compressed):
    text = b"a portrait\nSteps: 20, Sampler: Euler a"
    body = {
        "tEXt": text,
        "zTXt": b"\0" + zlib.compress(text),
        "iTXt": bytes([compressed, 0, 0, 0]) + (zlib.compress(text) if compressed else text),
    }[chunk]
    data = with_chunk(saved("PNG"), chunk.encode(), b"parameters\0" + body)
    assert one(data, "PNG", "generator_trace").where == "PNG text chunk 'parameters'"


def test_the_hexadecimal_texts_of_imagemagick_are_read():
    for name, raw in (
        ("exif", exif(Software="GIMP 2.10").tobytes()),
        ("xmp", xmp(GIMP)),
        ("iptc", iim(OriginatingProgram="GIMP").removeprefix(b"Photoshop 3.0\0")),
    ):
        text = f"\n{name}\n{len(raw):8}\n{raw.hex()}\n"
        data = png(**{f"Raw profile type {name}": text})
        assert one(data, "PNG", "editing_software").value.startswith("GIMP")
    broken = png(**{"Raw profile type exif": "\nexif\n4\nxyz"})
    assert "hexadecimal" in one(broken, "PNG", "unreadable").says


def test_extended_xmp_is_joined_from_its_parts():
    long = xmp(GIMP)
    head = b"http://ns.adobe.com/xmp/extension/\0" + b"d" * 32
    parts = [
        head + struct.pack(">II", len(long), at) + piece
        for at, piece in ((0, long[:200]), (200, long[200:]))
    ]
    whole = with_segment(with_segment(saved("JPEG"), 0xE1, parts[0]), 0xE1, parts[1])
    assert one(whole, "JPEG", "editing_software").where == "extended XMP xmp:CreatorTool"
    assert "missing" in one(with_segment(saved("JPEG"), 0xE1, parts[0]), "JPEG", "unreadable").says


def test_a_camera_is_told_and_neither_place_nor_people():
    found = one(saved("JPEG", exif=camera_exif()), "JPEG", "camera")
    assert "taken with Canon EOS R5." in found.says
    assert found.value == (
        "Canon EOS R5; lens RF50mm F1.2 L; taken 2024:05:06 07:08:09;"
        " exposure recorded: yes; position recorded: yes"
    )
    assert found.points_to == "captured"


def test_what_a_camera_did_not_record_is_told_as_such():
    found = one(saved("JPEG", exif=exif(Make="Canon", Model="EOS R5")), "JPEG", "camera")
    assert found.value == (
        "Canon EOS R5; no time taken; exposure recorded: no; position recorded: no"
    )


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_nothing_private_is_ever_told(kind):
    caption = xmp({"dc:description": "Ann Example", "photoshop:Credit": "Ann Example"})
    how = {} if kind in {"PNG", "TIFF"} else {"xmp": caption}
    credentials, findings = read_provenance(saved(kind, exif=camera_exif(), **how), kind=kind)
    output = credentials.model_dump_json() + "".join(one.model_dump_json() for one in findings)
    assert "Canon" in output
    for private in ("Ann", "0123456789", "52", "13.", "24.", "N;"):
        assert private not in output.replace("2024:05:06 07:08:09", "")


def test_no_camera_is_told_where_a_generator_wrote_into_its_fields():
    data = saved("WEBP", exif=exif(Make='workflow:{"nodes": []}', Model='prompt:{"3": {}}'))
    kinds = [found.kind for found in read(data, "WEBP")]
    assert "camera" not in kinds
    assert kinds.count("generator_trace") == 2


def test_no_metadata_is_a_fact_that_proves_nothing():
    found = one(saved("PNG"), "PNG", "metadata")
    assert "proves nothing" in found.says
    assert found.points_to == "nothing"
    assert [one.kind for one in read(png(note="x"), "PNG")] == []


@pytest.mark.parametrize("quality", [30, 75, 95])
@pytest.mark.parametrize(("subsampling", "words"), [(0, "4:4:4"), (1, "4:2:2"), (2, "4:2:0")])
def test_the_quality_of_a_jpeg_is_told(quality, subsampling, words):
    data = saved("JPEG", quality=quality, subsampling=subsampling, progressive=subsampling == 1)
    found = one(data, "JPEG", "saved_again")
    assert found.value.startswith(f"quality {quality} of 100; the usual tables; colour")
    assert words in found.value
    assert ("progressive" in found.value) == (subsampling == 1)
    assert found.points_to == "nothing"


def test_tables_of_a_makers_own_are_told_as_such():
    own = [[min(3 + place // 3, 255) for place in range(64)]] * 2
    found = one(saved("JPEG", qtables=own), "JPEG", "saved_again")
    assert "tables of its maker's own" in found.value
    assert found.value.startswith("quality about ")
    usual = Image.open(io.BytesIO(saved("JPEG", quality=90))).quantization
    mixed = one(saved("JPEG", qtables=[usual[0], usual[0]]), "JPEG", "saved_again")
    assert "tables of its maker's own" in mixed.value
    grey = one(saved("JPEG", picture().convert("L"), quality=80), "JPEG", "saved_again")
    assert grey.value == "quality 80 of 100; the usual tables; without colour"
    grey_own = saved("JPEG", picture().convert("L"), qtables=own[:1])
    assert "tables of its maker's own" in one(grey_own, "JPEG", "saved_again").value


def test_the_mark_of_facebook_and_instagram_is_told():
    data = with_segment(
        saved("JPEG"), 0xED, iim(SpecialInstructions="FBMD01000a9c0d0000" + 9 * "00")
    )
    found = [one for one in read(data) if one.where == "IPTC SpecialInstructions"]
    assert [one.kind for one in found] == ["saved_again"]
    assert "Facebook" in found[0].says


def with_preview(image, preview):
    block = exif(Make="Canon", Model="Canon EOS R5")
    small = saved("JPEG", preview)
    raw = bytearray(block.tobytes()[6:])
    order = ">" if raw[:2] == b"MM" else "<"
    start, count = struct.unpack_from(order + "I", raw, 4)[0], 0
    (count,) = struct.unpack_from(order + "H", raw, start)
    struct.pack_into(order + "I", raw, start + 2 + 12 * count, len(raw))
    at = len(raw) + 2 + 24 + 4
    raw += struct.pack(order + "HHHIIHHIII", 2, 0x0201, 4, 1, at, 0x0202, 4, 1, len(small), 0)
    return saved("JPEG", image, exif=b"Exif\0\0" + bytes(raw) + small)


def previews(image, preview):
    data = with_preview(image, preview)
    pixels = np.asarray(image.convert("RGB"))
    return [one for one in read(data, pixels=pixels) if one.where == "EXIF preview"]


def barred(image):
    bars = Image.new("RGB", (160, 120))
    bars.paste(image.resize((160, 106)), (0, 7))
    return bars


def test_a_preview_of_the_same_picture_is_no_news():
    image = picture(240).resize((240, 160))
    for preview in (image.resize((160, 107)), barred(image), image.transpose(2).resize((107, 160))):
        assert previews(image, preview) == []


def test_a_preview_of_another_picture_speaks_for_an_edit():
    (found,) = previews(picture(240), picture(160, seed=77))
    assert found.points_to == "edited"
    assert "does not show what the picture shows" in found.says
    data = with_preview(picture(240), picture(160, seed=77))
    assert [one for one in read(data) if one.where == "EXIF preview"] == []


def test_a_flat_preview_says_nothing_and_a_broken_one_is_told():
    assert previews(picture(240), Image.new("RGB", (160, 120))) == []
    data = with_preview(picture(240), picture(160))
    inner = data.find(b"\xff\xd8\xff", 10)
    broken = data[:inner] + b"\0\0\0" + data[inner + 3 :]
    found = read(broken, pixels=np.asarray(picture(240)))
    assert [one.kind for one in found if one.where == "EXIF preview"] == ["unreadable"]


@pytest.mark.parametrize(
    "packet",
    [
        b'<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]><x>&b;</x>',
        b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/hostname">]><x>&a;</x>',
        b'<!DOCTYPE x SYSTEM "http://127.0.0.1:1/x.dtd"><x/>',
        b'<!DOCTYPE x [<!ENTITY % a SYSTEM "file:///etc/hostname"> %a;]><x/>',
        b"<x>&undeclared;</x>",
        b"<x>" * 100_000,
        b"<x>" * 100 + b"</x>" * 100,
        b"<x><y></x>",
        b"",
        b"\xff\xfe<\0x\0/\0>\0",
    ],
)
def test_xmp_that_is_more_or_less_than_xml_data_is_refused(packet):
    with pytest.raises(XmpError):
        list(read_xmp(packet))
    data = saved("JPEG", xmp=packet[:60_000] or b" ")
    assert one(data, "JPEG", "unreadable").where == "XMP"


def test_of_too_many_properties_the_first_are_read():
    many = "".join(f"<a{number}>x</a{number}>" for number in range(2100))
    found = read_xmp(f"<r>{many}</r>".encode())
    with pytest.raises(XmpError, match="more than 2000"):
        list(found)


def test_bombs_are_not_unpacked():
    bomb = zlib.compress(bytes(50_000_000), 9)
    for chunk, head in ((b"zTXt", b"parameters\0\0"), (b"iTXt", b"parameters\0\1\0\0\0")):
        data = with_chunk(saved("PNG"), chunk, head + bomb)
        assert "more than is read" in one(data, "PNG", "unreadable").says


def test_long_blocks_are_said_to_be_unread():
    data = with_chunk(saved("PNG"), b"eXIf", bytes(2_000_000))
    assert "2000000 bytes" in one(data, "PNG", "unreadable").says


def test_of_too_many_blocks_and_findings_the_first_are_told():
    file = saved("PNG")
    chunk = with_chunk(file, b"tEXt", b"a\0b")[33 : 33 + 15]
    many = file[:33] + 3000 * chunk + file[33:]
    assert "too much of it" in one(many, "PNG", "unreadable").says
    packed = b"a\0\0" + zlib.compress(bytes(1_000_000))
    for _ in range(5):
        file = with_chunk(file, b"zTXt", packed)
    assert "too much of it" in one(file, "PNG", "unreadable").says
    traced = saved("PNG")
    for number in range(100):
        traced = with_chunk(traced, b"tEXt", b'Comment\0{"sui_image_params": %d}' % number)
    assert len([one for one in read(traced, "PNG") if one.kind == "generator_trace"]) == 1
    faults = saved("PNG")
    for number in range(100):
        faults = with_chunk(faults, b"zTXt", b"k%d\0\0broken" % number)
    found = read(faults, "PNG")
    assert len(found) == MOST_FINDINGS
    assert found[-1].says == "37 more findings are not listed."


def test_what_is_shown_has_one_line_and_no_control_characters():
    text = "Created with GIMP\x1b[31m\n\u202egnp\u2066 " + "x" * 5000
    found = one(saved("JPEG", comment=text.encode()), "JPEG", "editing_software")
    assert found.value.startswith("Created with GIMP [31m gnp x")
    assert len(found.value) == 300


def test_many_tags_that_claim_the_same_megabyte_cost_no_gigabyte():
    entries = b"".join(struct.pack("<HHII", tag, 2, 1_000_000, 12_100) for tag in range(1000))
    data = b"II*\0\x08\0\0\0" + struct.pack("<H", 1000) + entries + bytes(100 + 1_010_000)
    tracemalloc.start()
    assert {found.kind for found in read(data, "TIFF")} <= {"metadata", "unreadable"}
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 50_000_000


def test_reading_an_ordinary_file_loads_no_library_of_credentials(tmp_path):
    path = tmp_path / "plain.jpg"
    path.write_bytes(saved("JPEG", exif=camera_exif()))
    program = (
        "import sys, pathlib, faceproof.provenance as p\n"
        "p.read_provenance(pathlib.Path(sys.argv[1]).read_bytes(), kind='JPEG')\n"
        "sys.exit(bool({'c2pa', 'cryptography'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", program, str(path)], check=False)
    assert done.returncode == 0


def test_the_items_of_a_list_carry_its_name_and_attributes_their_own():
    packet = (
        b'<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"'
        b' xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:o="urn:other">'
        b'<rdf:Description rdf:about="x" dc:format="image/png"><dc:title><rdf:Alt>'
        b'<rdf:li xml:lang="en">one</rdf:li><rdf:li> two </rdf:li></rdf:Alt></dc:title>'
        b"<o:thing>three</o:thing></rdf:Description></rdf:RDF>"
    )
    found = [one for one in read_xmp(packet) if not one[0].endswith(":lang")]
    assert found == [
        ("dc:format", "image/png"),
        ("dc:title", "one"),
        ("dc:title", "two"),
        (":thing", "three"),
    ]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    "comment",
    [
        b"UNICODE\0" + "Steps".encode("utf-16-be"),
        b"UNICODE\0" + "Steps".encode("utf-16-le"),
        b"ASCII\0\0\0Steps",
    ],
)
def test_a_comment_is_read_in_each_of_its_alphabets(order, comment):
    head = b"II*\0" if order == "<" else b"MM\0*"
    first = struct.pack(order + "IHHHIII", 8, 1, 0x8769, 4, 1, 26, 0)
    second = struct.pack(order + "HHHIII", 1, 0x9286, 7, len(comment), 44, 0)
    assert read_exif(head + first + second + comment).texts == {"UserComment": "Steps"}
