"""However a file is cut, flipped or stuffed, reading its provenance ends, soon, with Records."""

import time
import zlib
from functools import cache

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from faceproof.imaging.containers.base import MAX_BLOCK_BYTES, inflate
from faceproof.provenance import ContentCredentials, ProvenanceFinding, read_provenance
from faceproof.provenance.credentials import MEDIA_TYPES, describe_credentials
from faceproof.provenance.metadata import XmpError, read_exif, read_iim, read_xmp
from faceproof.provenance.records import Statement, bound_text
from faceproof.provenance.traces import find_traces
from support.metadata import (
    EXIF_DIRECTORY,
    GPS_DIRECTORY,
    exif,
    iim,
    png,
    saved,
    with_chunk,
    with_segment,
    xmp,
)
from support.signing import Authority

SECONDS = 5  # far above what any of these takes, so that a busy machine is no failure
PACKET = xmp({"xmp:CreatorTool": "GIMP", "Iptc4xmpExt:DigitalSourceType": "composite"})
CASES = settings(max_examples=40, deadline=None)
FILES = settings(max_examples=12, deadline=None)


@cache
def files():
    """Return a signed and an unsigned file of each format, full of metadata."""
    block = exif(Software="GIMP", Make="Canon", Model="EOS", UserComment="Steps: 1, Sampler: x")
    block.get_ifd(EXIF_DIRECTORY)[0x9003] = "2024:05:06 07:08:09"
    block.get_ifd(GPS_DIRECTORY)[1] = "N"
    texts = png(**{"parameters": "Steps: 1, Sampler: x", "XML:com.adobe.xmp": PACKET.decode()})
    jpeg = saved("JPEG", exif=block, xmp=PACKET, comment=b"GIMP")
    plain = {
        "JPEG": with_segment(jpeg, 0xED, iim(Credit="x", Caption="y")),
        "PNG": with_chunk(texts, b"zTXt", b"Comment\0\0" + zlib.compress(b"x" * 999)),
        "WEBP": saved("WEBP", exif=block, xmp=PACKET),
        "GIF": saved("GIF", comment=b"GIMP"),
        "TIFF": saved("TIFF", exif=block, tiffinfo={700: PACKET}),
        "AVIF": saved("AVIF", exif=block, xmp=PACKET),
    }
    authority = Authority.new()
    signed = {kind: authority.signed(data, f"image/{kind.lower()}") for kind, data in plain.items()}
    return [(kind, data) for both in (plain, signed) for kind, data in both.items()]


def read(data, kind):
    started = time.perf_counter()
    found, findings = read_provenance(data, kind=kind)
    assert time.perf_counter() - started < SECONDS
    assert found is None or ContentCredentials.model_validate_json(found.model_dump_json()) == found
    for finding in findings:
        assert ProvenanceFinding.model_validate_json(finding.model_dump_json()) == finding
        assert finding.says.isprintable()
        assert finding.value.isprintable()
    return found, findings


@pytest.mark.parametrize("number", range(12))
@FILES
@given(data=st.data())
def test_cut_flipped_and_stuffed_files(number, data):
    read_changed(*files()[number], data)


@pytest.mark.slow
@pytest.mark.parametrize("number", range(12))
@settings(max_examples=1500, deadline=None)
@given(data=st.data())
def test_many_cut_flipped_and_stuffed_files(number, data):
    read_changed(*files()[number], data)


def read_changed(kind, file, data):
    changed = bytearray(file)
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(changed) - 1))
        how = data.draw(st.sampled_from(["flip", "cut", "drop", "repeat", "number"]))
        if how == "flip":
            changed[at] = data.draw(st.integers(0, 255))
        elif how == "cut":
            del changed[max(at, 1) :]
        elif how == "drop":
            del changed[at + 1 : at + 1 + data.draw(st.integers(1, 64))]
        elif how == "repeat":
            changed[at:at] = changed[at : at + data.draw(st.integers(1, 300))]
        else:
            changed[at : at + 4] = data.draw(
                st.sampled_from([b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", bytes(4), b"\0\0\0\1"])
            )
    read(bytes(changed), kind)


@pytest.mark.parametrize("kind", MEDIA_TYPES)
@FILES
@given(data=st.binary(max_size=400))
@example(b"")
@example(b"\xff" * 400)
def test_any_bytes_under_any_name(kind, data):
    heads = {"GIF": b"GIF89a", "TIFF": b"II*\0", "JPEG": b"\xff\xd8", "PNG": b"\x89PNG\r\n\x1a\n"}
    read(heads.get(kind, b"") + data, kind)


def test_every_cut_of_every_file():
    for kind, file in files()[:6]:
        for end in range(0, len(file), max(len(file) // 20, 1)):
            read(file[:end], kind)


@CASES
@given(st.binary(max_size=600), st.sampled_from([b"II*\0\x08\0\0\0", b"MM\0*\0\0\0\x08", b"II+\0"]))
def test_exif_is_read_or_not(data, head):
    found = read_exif(head + data)
    assert found is None or all(isinstance(text, str) for text in found.texts.values())


def test_directories_that_point_at_themselves_end():
    entry = b"\x69\x87\x04\0\1\0\0\0\x08\0\0\0"
    loop = b"II*\0\x08\0\0\0" + b"\1\0" + entry + b"\x08\0\0\0"
    assert read_exif(loop).texts == {}


@CASES
@given(st.binary(max_size=300))
def test_captions_are_read_or_not(data):
    assert all(isinstance(text, str) for _, text in read_iim(b"\x1c\x02" + data))


@CASES
@given(
    st.lists(
        st.sampled_from(
            [
                *(
                    b"<x>",
                    b"</x>",
                    b"<x/>",
                    b"&a;",
                    b"&#0;",
                    b"<![CDATA[",
                    b"]]>",
                    b"text",
                    b"<?x?>",
                ),
                *(b"<!DOCTYPE x [", b'<!ENTITY a "b">', b"]>", b'<x a="b"/>', b"<!--", b"-->"),
                *(
                    b'<r xmlns="u">',
                    b"\xff",
                    b"\0",
                    b'<!ENTITY % p SYSTEM "file:///etc/passwd">%p;',
                ),
            ]
        ),
        max_size=30,
    )
)
def test_xml_is_data_or_refused(parts):
    packet = b"".join(parts)
    try:
        found = list(read_xmp(packet))
    except XmpError:
        return
    assert b"<!ENTITY" not in packet.partition(b"<!--")[0].partition(b"<![CDATA[")[0]
    assert all(isinstance(name, str) and isinstance(text, str) for name, text in found)


@CASES
@given(st.binary(max_size=200) | st.binary(max_size=50).map(zlib.compress))
def test_unpacking_is_bounded(packed):
    data = inflate(packed)
    assert data is None or len(data) <= MAX_BLOCK_BYTES


@CASES
@given(st.text(max_size=2000), st.integers(2, 400))
def test_shown_text_is_printable_and_short(text, longest):
    shown = bound_text(text, longest)
    assert len(shown) <= longest
    assert shown.isprintable()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                [
                    *("manifests", "a", "active_manifest", "signature_info", "assertions", "data"),
                    *("actions", "label", "action", "softwareAgent", "digitalSourceType", "name"),
                    *("validation_results", "activeManifest", "failure", "code", "ingredients"),
                    *("claim_generator", "claim_generator_info", "issuer", "common_name", "time"),
                ]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=30,
)


@CASES
@given(st.dictionaries(st.sampled_from(["active_manifest", "validation_results"]), JSON), JSON)
def test_any_store_becomes_a_record(store, manifest):
    found, actual = describe_credentials(
        store | {"active_manifest": "a", "manifests": {"a": manifest}}, list_given=False
    )
    assert isinstance(found, ContentCredentials)
    assert all(isinstance(statement.text, str) for statement in actual)


LONG = ("Steps: 1," * 58_000, "Steps: 1,x\n" * 45_000, '"class_type"' * 40_000, "AIGC" * 130_000)


@pytest.mark.parametrize("text", LONG)
def test_no_pattern_takes_long(text):
    for key in ("png:parameters", "png:workflow", "xmp:aigc", "exif:software"):
        started = time.perf_counter()
        list(find_traces(Statement("here", key, text)))
        assert time.perf_counter() - started < SECONDS
