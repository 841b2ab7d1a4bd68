"""Every entry of the tables is found in a file that carries it, and in no innocent one."""

import pytest

from faceproof.provenance import read_provenance
from faceproof.provenance.editors import EDITORS, find_editor
from faceproof.provenance.records import DIGITAL_SOURCE_TYPES, Statement
from faceproof.provenance.traces import TRACES, find_traces
from support.metadata import placed, png, saved, with_segment, xmp

UNPLACED = {"credentials"}  # test_credentials.py and test_traces_corpus.py
#: One statement is enough; the others are in test_traces_corpus.py.
SINGLE = [trace for trace in TRACES if trace.beside is None]


def findings(kind, data, wanted):
    return [found for found in read_provenance(data, kind=kind)[1] if found.kind == wanted]


def names(trace):
    return f"{trace.generator[:20]}-{TRACES.index(trace)}"


@pytest.mark.parametrize("trace", SINGLE, ids=names)
def test_a_generator_is_named_wherever_its_trace_stands(trace):
    keys = [key for key in trace.keys if key.split(":")[0] not in UNPLACED]
    assert keys
    for key in keys[:3]:
        (found,) = findings(*placed(key, trace.sample), "generator_trace")
        assert trace.generator in found.says
        assert found.points_to == trace.points_to
        assert found.value


@pytest.mark.parametrize("trace", SINGLE, ids=names)
def test_a_trace_is_found_under_each_of_its_keys(trace):
    for key in trace.keys:
        found = [one for one, _ in find_traces(Statement("here", key, trace.sample))]
        assert [one.generator for one in found] == [trace.generator]


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("exif:ImageDescription", "Steps: 20 down to the beach, Sampler of wines"),
        ("exif:ImageDescription", "Signature: Ann Example"),
        ("exif:Software", "HDR+ 1.0.345618097zd"),
        ("exif:Model", "Canon EOS 5D"),
        ("iim:Credit", "Sora Kim"),
        ("xmp:Credit", "Gemini Observatory"),
        ("png:Description", "the workflow: of a prompt person"),
        ("png:prompt", "answer promptly"),
        ("comment", "Snow in Boston, B612"),
        ("iim:Source", "Ideogramme du Japon"),
        ("exif:UserComment", '{"Label": "1"}'),
        ("credentials:claim_generator", "Google C2PA Core Generator Library"),
    ],
)
def test_honest_words_are_no_trace(key, text):
    assert list(find_traces(Statement("here", key, text))) == []


def test_the_prompt_is_cut_and_shown_from_the_trace_where_that_is_far_in():
    prompt = "a portrait of nobody, " * 200
    (found,) = findings(
        "PNG", png(parameters=f"{prompt}\nSteps: 20, Sampler: Euler a"), "generator_trace"
    )
    assert found.value.startswith("… Steps: 20")
    assert found.where == "PNG text chunk 'parameters'"


@pytest.mark.parametrize("code", DIGITAL_SOURCE_TYPES)
def test_every_digital_source_type_is_told_in_plain_words(code):
    for value in (
        f"http://cv.iptc.org/newscodes/digitalsourcetype/{code}",
        f"digsrctype:{code}",
        code,
    ):
        data = saved("JPEG", xmp=xmp({"Iptc4xmpExt:DigitalSourceType": value}))
        (found,) = findings("JPEG", data, "digital_source_type")
        assert found.value == code
        assert DIGITAL_SOURCE_TYPES[code].says in found.says
        assert found.points_to == DIGITAL_SOURCE_TYPES[code].points_to


def test_an_unknown_digital_source_type_is_told_as_it_stands():
    data = saved("JPEG", xmp=xmp({"Iptc4xmpExt:DigitalSourceType": "http://example.org/dreamt"}))
    (found,) = findings("JPEG", data, "digital_source_type")
    assert (found.value, found.points_to) == ("http://example.org/dreamt", "nothing")


SIGNATURES = {
    "Adobe Lightroom": "Adobe Lightroom Classic 13.0 (Windows)",
    "Adobe Camera Raw": "Adobe Photoshop Camera Raw 9.1",
    "Adobe Photoshop": "Adobe Photoshop 25.1 (Macintosh)",
    "Adobe Express or Illustrator": "Adobe Express 1.0",
    "GIMP": "GIMP 2.10.34",
    "Affinity Photo": "Affinity Photo 2",
    "Microsoft Paint or Photos": "Microsoft Windows Photo Viewer 6.1",
    "PaintShop Pro": "PaintShop Pro 22.00",
    "Paint.NET": "Paint.NET 5.0",
    "Capture One": "Capture One 23 Windows",
    "a photo editor": "Samsung PhotoEditor",
    "the GD library, much used by web sites": "CREATOR: gd-jpeg v1.0, quality = 90",
    "FFmpeg, much used to take frames out of videos": "Lavc58.54.100",
}


@pytest.mark.parametrize("program", EDITORS, ids=lambda program: program.name)
def test_an_editor_is_named_by_how_it_signs(program):
    signature = SIGNATURES.get(program.name, f"{program.name} 3.1")
    (found,) = findings(*placed("exif:software", signature), "editing_software")
    did = "saved or edited it." if program.edits else "saved it."
    assert found.says.startswith(f"The file says that {program.name} {did}")
    assert (found.value, found.points_to) == (signature, "edited" if program.edits else "nothing")


def test_settings_of_camera_raw_are_seen_without_a_signature():
    data = saved("JPEG", xmp=xmp({"crs:Exposure2012": "+0.35"}))
    (found,) = findings("JPEG", data, "editing_software")
    assert (found.where, found.points_to) == ("XMP crs:Exposure2012", "edited")
    assert "Adobe Camera Raw" in found.says


def test_one_program_is_told_once_and_firmware_not_at_all():
    both = saved(
        "JPEG", xmp=xmp({"xmp:CreatorTool": "GIMP 2.10", "stEvt:softwareAgent": "GIMP 2.10"})
    )
    assert len(findings("JPEG", both, "editing_software")) == 1
    assert find_editor(Statement("EXIF Software", "exif:Software", "16.5.1")) is None
    assert find_editor(Statement("XMP Credit", "xmp:Credit", "GIMP")) is None


def test_save_for_web_of_photoshop_is_seen_by_its_segment():
    data = with_segment(saved("JPEG"), 0xEC, b"Ducky\0\1\0\4\0\0\0\x3c\0\0")
    (found,) = findings("JPEG", data, "editing_software")
    assert found.where == "JPEG segment 'Ducky'"
    assert "Photoshop" in found.says
