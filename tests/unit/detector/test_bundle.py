"""A bundle: read, verified, written, and refused when anything in it was touched.

A bundle from before promises had a basis reads as it always did, and is written so too.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from faceproof.detector import Bundle, Detector, DetectorSpec, OperatingPoint, write_bundle
from faceproof.detector import bundle as bundle_module
from faceproof.detector.bundle import SPEC_FILE, parse_spec, sha256_of
from faceproof.detector.detector import locate
from faceproof.errors import (
    BundleError,
    BundleHashError,
    BundleNotFoundError,
    BundleSchemaError,
    UnknownChoiceError,
)
from faceproof.imaging.preprocessing import InputSpec
from faceproof.installation import this_installation

NAMED = ("bright.onnx", "bright.safetensors", "CARD.md")
Change = Callable[[dict[str, Any]], object]


def rewritten(folder: Path, change: Change) -> Path:
    """Change detector.json as an attacker or another version might, and return the folder."""
    spec = json.loads((folder / SPEC_FILE).read_bytes())
    change(spec)
    (folder / SPEC_FILE).write_text(json.dumps(spec), encoding="utf-8")
    return folder


def put(path: str, value: object) -> Change:
    """Return a change that sets the value at a dotted path."""
    *way, last = [int(part) if part.isdecimal() else part for part in path.split(".")]

    def change(spec: Any) -> None:
        for part in way:
            spec = spec[part]
        spec[last] = value

    return change


def drop(path: str) -> Change:
    """Return a change that removes the field at a dotted path."""
    *way, last = [int(part) if part.isdecimal() else part for part in path.split(".")]

    def change(spec: Any) -> None:
        for part in way:
            spec = spec[part]
        del spec[last]

    return change


def test_what_was_written_is_read(
    tiny_bundle: Path, tiny_spec: DetectorSpec, tiny_files: dict[str, bytes]
) -> None:
    bundle = Bundle.read(tiny_bundle)
    bundle.verify()
    assert {file.name: bundle.read_file(file) for file in bundle.spec.files} == tiny_files
    assert bundle.sha256 == sha256_of((tiny_bundle / SPEC_FILE).read_bytes())
    same_but_hashes = {"members", "card"}
    assert bundle.spec.model_dump(exclude=same_but_hashes) == tiny_spec.model_dump(
        exclude=same_but_hashes
    )


def test_a_written_spec_says_schema_and_polarity(tiny_bundle: Path) -> None:
    spec = json.loads((tiny_bundle / SPEC_FILE).read_bytes())
    assert spec["schema"] == "faceproof.detector/1"
    assert spec["positive_class"] == "fake"


@pytest.mark.parametrize("name", NAMED)
@pytest.mark.parametrize("place", [0, 100, -1])
def test_one_flipped_bit_is_refused(tiny_bundle: Path, name: str, place: int) -> None:
    path = tiny_bundle / name
    data = bytearray(path.read_bytes())
    place = place if place < len(data) else len(data) // 2
    data[place] ^= 1
    expected = sha256_of(path.read_bytes())
    path.write_bytes(data)
    with pytest.raises(BundleHashError, match=re.escape(name)) as caught:
        Detector.load(tiny_bundle)
    assert expected in str(caught.value)
    assert sha256_of(bytes(data)) in str(caught.value)


@pytest.mark.parametrize("name", NAMED)
def test_a_missing_or_renamed_file_is_refused(tiny_bundle: Path, name: str) -> None:
    (tiny_bundle / name).rename(tiny_bundle / f"other-{name}")
    with pytest.raises(BundleNotFoundError, match=re.escape(name)):
        Detector.load(tiny_bundle)


def test_two_files_in_each_others_place_are_refused(tiny_bundle: Path) -> None:
    swapped = (tiny_bundle / "bright.onnx").read_bytes()
    (tiny_bundle / "bright.onnx").write_bytes((tiny_bundle / "CARD.md").read_bytes())
    (tiny_bundle / "CARD.md").write_bytes(swapped)
    with pytest.raises(BundleHashError):
        Detector.load(tiny_bundle)


def test_a_file_that_is_not_named_is_never_opened(tiny_bundle: Path) -> None:
    stranger = tiny_bundle / "stranger.onnx"
    stranger.write_bytes(b"not a network")
    stranger.chmod(0)
    assert Detector.load(tiny_bundle).spec.name == "bright"


@pytest.mark.parametrize(
    "place",
    [
        *("colour", "members.0.colour", "members.0.onnx.url", "members.0.head.width"),
        *("preprocessing.colour", "preprocessing.crop.turn", "calibration.curve"),
        *("operating_points.balanced.margin", "trained_on.colour", "card.colour"),
    ],
)
def test_an_unknown_field_is_refused_by_name(tiny_bundle: Path, place: str) -> None:
    rewritten(tiny_bundle, put(place, 1))
    with pytest.raises(BundleSchemaError, match="unknown field") as caught:
        Bundle.read(tiny_bundle)
    assert place.rpartition(".")[2] in str(caught.value)
    assert this_installation().upgrade() in str(caught.value)


@pytest.mark.parametrize(
    "schema", ["faceproof.detector/2", "faceproof.check/1", None, 1, "x" * 999]
)
def test_another_schema_is_refused(tiny_bundle: Path, schema: object) -> None:
    rewritten(tiny_bundle, put("schema", schema))
    with pytest.raises(BundleSchemaError, match=r"faceproof\.detector/1") as caught:
        Bundle.read(tiny_bundle)
    assert this_installation().upgrade() in str(caught.value)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("place", "value"),
    [
        *(("positive_class", swapped) for swapped in ("real", "FAKE", "", None, 0)),
        *(("calibration.slope", slope) for slope in (-1.0, 0.0, "1", None)),
        ("calibration", {"method": "temperature", "temperature": -1.0}),
        ("calibration", {"method": "temperature", "temperature": 0.0}),
        ("calibration", {"method": "isotonic"}),
        *(("members.0.weight", weight) for weight in (-1.0, 0.0)),
        ("members", []),
        ("operating_points.balanced.real_below", 0.7),
        ("operating_points.balanced.fake_from", 1.1),
        ("operating_points.balanced.real_below", -0.1),
        ("operating_points.balanced.chosen_on.split", "test"),
        ("operating_points.balanced.name", "strict"),
        ("operating_points", {}),
        ("default_operating_point", "lenient"),
        ("trained_on.rows.holdout", 3),
        ("preprocessing.input.channels", "bgr"),
        ("version", ""),
    ],
)
def test_a_wrong_value_is_refused(tiny_bundle: Path, place: str, value: object) -> None:
    rewritten(tiny_bundle, put(place, value))
    with pytest.raises(BundleSchemaError):
        Bundle.read(tiny_bundle)


@pytest.mark.parametrize(
    "place",
    [
        *("schema", "positive_class", "calibration", "preprocessing", "preprocessing.crop"),
        *("preprocessing.crop.margin", "preprocessing.input.mean", "members.0.weight"),
        *("members.0.head.hidden", "members.0.onnx.sha256", "licence", "generators_seen"),
    ],
)
def test_what_decides_answers_must_be_said(tiny_bundle: Path, place: str) -> None:
    rewritten(tiny_bundle, drop(place))
    with pytest.raises(BundleSchemaError, match=place.rpartition(".")[2]):
        Bundle.read(tiny_bundle)


def test_a_members_own_input_is_said_in_full_or_not_at_all(tiny_bundle: Path) -> None:
    assert "input" not in json.loads((tiny_bundle / SPEC_FILE).read_bytes())["members"][0]
    assert Bundle.read(tiny_bundle).spec.members[0].input is None
    own = {"channels": "rgb", "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}
    rewritten(tiny_bundle, put("members.0.input", own))
    assert Bundle.read(tiny_bundle).spec.members[0].input == InputSpec.model_validate(own)
    rewritten(tiny_bundle, drop("members.0.input.std"))
    with pytest.raises(BundleSchemaError, match=r"lacks members\.0\.input\.std"):
        Bundle.read(tiny_bundle)


def test_the_embedded_detector_reads_as_what_it_writes() -> None:
    """It is from before members had inputs of their own, and says nothing of them."""
    spec = Bundle.read(locate("default")).spec
    assert parse_spec(spec.to_json()) == spec
    assert b'"input": null' not in spec.to_json()


@pytest.mark.parametrize(
    "name",
    [
        *("../bright.onnx", "/etc/bright.onnx", "C:\\bright.onnx", "..\\bright.onnx", "a/b.onnx"),
        *(
            ".onnx",
            ".bright.onnx",
            "bright.pt",
            "bright.pkl",
            "bright.onnx\n",
            "bright.onnx\0.onnx",
        ),
        *("bright.safetensors", "", "x" * 200 + ".onnx", "https://example.org/bright.onnx"),
    ],
)
def test_only_plain_names_of_the_right_kind(tiny_bundle: Path, name: str) -> None:
    rewritten(tiny_bundle, put("members.0.onnx.name", name))
    with pytest.raises(BundleSchemaError, match=re.escape("members.0.onnx.name")):
        Bundle.read(tiny_bundle)


def test_one_file_for_two_purposes_is_refused(tiny_bundle: Path) -> None:
    spec = json.loads((tiny_bundle / SPEC_FILE).read_bytes())
    twin = json.loads(json.dumps(spec["members"][0])) | {"name": "twin"}
    twin["onnx"]["name"] = "BRIGHT.onnx"
    rewritten(tiny_bundle, put("members", [spec["members"][0], twin]))
    with pytest.raises(BundleSchemaError, match="twice"):
        Bundle.read(tiny_bundle)


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights on Windows")
@pytest.mark.parametrize("name", [*NAMED, SPEC_FILE])
def test_a_link_out_of_the_folder_is_refused(tiny_bundle: Path, tmp_path: Path, name: str) -> None:
    outside = tmp_path / f"outside-{name}"
    (tiny_bundle / name).rename(outside)
    (tiny_bundle / name).symlink_to(outside)
    with pytest.raises(BundleError, match="points outside the bundle"):
        Detector.load(tiny_bundle)


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights on Windows")
def test_a_link_to_the_folder_itself_is_followed(tiny_bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tiny_bundle, target_is_directory=True)
    assert Detector.load(tmp_path / "link").spec.name == "bright"


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights on Windows")
def test_a_circle_of_links_is_refused(tiny_bundle: Path) -> None:
    (tiny_bundle / "CARD.md").unlink()
    (tiny_bundle / "CARD.md").symlink_to(tiny_bundle / "CARD.md")
    with pytest.raises(BundleError, match=r"CARD\.md"):
        Detector.load(tiny_bundle)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
@pytest.mark.parametrize("name", [*NAMED, SPEC_FILE])
def test_a_pipe_is_refused_and_not_waited_for(tiny_bundle: Path, name: str) -> None:
    (tiny_bundle / name).unlink()
    os.mkfifo(tiny_bundle / name)
    with pytest.raises(BundleError, match="regular"):
        Detector.load(tiny_bundle)


def test_a_folder_in_a_files_place_is_refused(tiny_bundle: Path) -> None:
    (tiny_bundle / "CARD.md").unlink()
    (tiny_bundle / "CARD.md").mkdir()
    with pytest.raises(BundleError, match="regular"):
        Detector.load(tiny_bundle)


def test_a_file_beyond_the_limit_is_refused(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(bundle_module.MAX_BYTES, ".onnx", 10)  # type: ignore[misc]
    with pytest.raises(BundleError, match="more than the limit of 10"):
        Detector.load(tiny_bundle)


@pytest.mark.parametrize(
    "text",
    [
        *(b"", b"\0", b"{", b"[]", b"null", b"1", b"\xff\xfe", b"[" * 100_000, b'"schema"'),
        *(b'{"schema": "faceproof.detector/1"}', b'{"schema": NaN}', b"1" * 10_000),
        b'{"schema": "faceproof.detector/1", "schema": "faceproof.detector/1"}',
    ],
)
def test_what_is_no_spec_is_refused(tiny_bundle: Path, text: bytes) -> None:
    (tiny_bundle / SPEC_FILE).write_bytes(text)
    with pytest.raises(BundleSchemaError):
        Bundle.read(tiny_bundle)


def test_a_field_said_twice_is_refused(tiny_bundle: Path) -> None:
    text = (tiny_bundle / SPEC_FILE).read_text(encoding="utf-8")
    with pytest.raises(BundleSchemaError, match="duplicate field"):
        parse_spec(text.replace('"slope": 1.0', '"slope": 1.0, "slope": 2.0').encode())


@pytest.mark.parametrize("name", ["nowhere", "", ".", "x" * 5000, "a\0b", "tiny-bundle/CARD.md"])
def test_no_bundle_there(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tiny_bundle.parent)
    with pytest.raises(BundleNotFoundError):
        Detector.load(name)


def test_an_unknown_operating_point_names_the_known(tiny_bundle: Path) -> None:
    with pytest.raises(UnknownChoiceError, match="balanced, strict"):
        Bundle.read(tiny_bundle).spec.operating_point("balancd")


def test_writing_replaces_a_bundle_whole(
    tiny_bundle: Path, tiny_spec: DetectorSpec, tiny_files: dict[str, bytes]
) -> None:
    newer = tiny_spec.model_copy(update={"version": "2.0", "card": None})
    files = {name: data for name, data in tiny_files.items() if name != "CARD.md"}
    assert write_bundle(tiny_bundle, newer, files).spec.version == "2.0"
    assert {path.name for path in tiny_bundle.iterdir()} == {SPEC_FILE, *files}
    assert [path.name for path in tiny_bundle.parent.iterdir()] == [tiny_bundle.name]


def test_writing_never_removes_what_is_no_part_of_a_bundle(
    tiny_bundle: Path, tiny_spec: DetectorSpec, tiny_files: dict[str, bytes]
) -> None:
    (tiny_bundle / "thesis.txt").write_text("years of work", encoding="utf-8")
    for folder in (tiny_bundle, tiny_bundle / "thesis.txt"):
        with pytest.raises(BundleError, match="use a new or empty folder"):
            write_bundle(folder, tiny_spec, tiny_files)
    assert (tiny_bundle / "thesis.txt").read_text(encoding="utf-8") == "years of work"


def test_files_and_names_must_agree(
    tmp_path: Path, tiny_spec: DetectorSpec, tiny_files: dict[str, bytes]
) -> None:
    for files in ({}, tiny_files | {"more.md": b""}):
        with pytest.raises(BundleError, match="files named"):
            write_bundle(tmp_path / "new", tiny_spec, files)
    assert list(tmp_path.iterdir()) == []


def test_a_write_that_fails_leaves_the_old_bundle(
    tiny_bundle: Path,
    tiny_spec: DetectorSpec,
    tiny_files: dict[str, bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = Bundle.read(tiny_bundle)
    rename = Path.rename

    def failing(path: Path, target: Path) -> Path:
        if path.name == "fresh":
            raise OSError("the disk went away")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(OSError, match="went away"):
        write_bundle(tiny_bundle, tiny_spec.model_copy(update={"version": "2.0"}), tiny_files)
    after = Bundle.read(tiny_bundle)
    after.verify()
    assert after == before


def test_what_is_written_again_keeps_its_bytes():
    """Its hash is its name: what came later is not written where it is empty."""
    folder = locate("default")
    assert Bundle.read(folder).spec.to_json() == (folder / SPEC_FILE).read_bytes()


def test_what_an_old_bundle_does_not_say_is_nothing(tiny_spec):
    for later in ("basis", "apcer_budget", "unsupported", "groups", "heatmap"):
        assert f'"{later}"'.encode() not in tiny_spec.to_json()
    point = tiny_spec.operating_point()
    assert (point.basis, point.apcer_budget, point.chosen_on.groups) == (None, None, None)
    assert tiny_spec.unsupported == ()


def test_what_a_new_one_says_survives(tiny_spec):
    point = tiny_spec.operating_point().model_copy(update={"basis": "x", "apcer_budget": 0.05})
    again = OperatingPoint.model_validate_json(point.model_dump_json())
    assert again == point
    points = {**tiny_spec.operating_points, point.name: point}
    spec = DetectorSpec.model_validate({**dict(tiny_spec), "operating_points": points})
    assert DetectorSpec.model_validate_json(spec.to_json()) == spec
