"""`faceproof detectors show`: in what sense a promise holds, and which were left out."""

from __future__ import annotations

from faceproof.cli.detectors import described
from faceproof.detector import DetectorSpec, Unsupported


def test_what_is_not_promised_is_shown_with_what_it_takes(tiny_spec):
    assert "not promised" not in dict(described(tiny_spec, "a" * 64))
    point = tiny_spec.operating_point().model_copy(update={"basis": "over draws, in the mean"})
    left_out = Unsupported(name="1-in-5000", bpcer_budget=0.0002, reason="it takes 14,977 faces")
    spec = DetectorSpec.model_validate(
        {
            **dict(tiny_spec),
            "operating_points": {**tiny_spec.operating_points, point.name: point},
            "unsupported": (left_out,),
        }
    )
    said = list(described(spec, "a" * 64))
    assert ("", "over draws, in the mean") in said
    assert ("not promised", "1-in-5000: it takes 14,977 faces") in said
