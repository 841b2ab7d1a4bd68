"""Feedback in an update: which cases a detector gets right."""

from types import SimpleNamespace

import pytest

pytest.importorskip("torch")

from faceproof.detector import ChosenOn, OperatingPoint
from faceproof.evaluation.predictions import Origin, make_table
from faceproof.training.updating.regression import _judged_cases
from support.audit_contexts import prediction

pytestmark = pytest.mark.train

POINT = OperatingPoint(
    name="p",
    real_below=0.4,
    fake_from=0.6,
    promise="p",
    chosen_on=ChosenOn(data_sha256="c" * 64, n=1),
)


@pytest.mark.parametrize(
    ("label", "p", "caution", "right"),
    [
        ("real", 0.9, "small", False),
        ("real", 0.9, "damaged", True),
        ("fake", 0.9, "small", True),
        ("fake", 0.9, "not_continuous_tone", False),
        ("real", 0.1, "damaged", True),
    ],
)
def test_a_withheld_verdict_calls_no_face_fake(label, p, caution, right):
    origin = Origin(detector_sha256="a" * 64, data_sha256="b" * 64, purpose="choose")
    table = make_table([prediction(0, label, p, cautions=caution)], origin)
    decided = SimpleNamespace(old_point=POINT, new_point=POINT)
    (case,) = _judged_cases(SimpleNamespace(old=table, new=table), decided)
    assert case == ("0.png", right, right)
