"""A bundle from before promises had a basis reads as it always did, and is written so too."""

from __future__ import annotations

from faceproof.detector import Bundle, DetectorSpec, OperatingPoint
from faceproof.detector.bundle import SPEC_FILE
from faceproof.detector.detector import locate


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
