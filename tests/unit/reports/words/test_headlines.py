"""The first lines of an answer: why, how sure, which way it leans, and plain limits."""

from __future__ import annotations

from typing import get_args

import pytest

from faceproof import errors
from faceproof.detector import ChosenOn, Detector, DetectorSpec, OperatingPoint, Verdict, decide
from faceproof.imaging.quality import WITHHOLDING, Quality
from faceproof.reports import words
from faceproof.reports.words.budgets import slice_names
from faceproof.results import CheckResult
from support.cases import checked, failed, picture

FILE = picture()
ON = ChosenOn(data_sha256="0" * 64, n=9)


@pytest.fixture(scope="module")
def default() -> DetectorSpec:
    return Detector.load("default").spec


def result(spec: DetectorSpec, *verdicts: Verdict, share: float | None = None) -> CheckResult:
    made = checked(FILE, *verdicts).model_copy(
        update={"operating_point": spec.default_operating_point}
    )
    if share is None:
        return made
    face = made.faces[0].model_copy(
        update={"fake_probability": share, "quality": Quality(side_px=200)}
    )
    return made.model_copy(update={"faces": (face,), "fake_probability": share})


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        (("fake",), "Looks fake"),
        (("real",), "No sign of a fake"),
        (("unsure",), "Unsure"),
        (("fake", "real", "unsure"), "Looks fake: 1 of 3 faces"),
        (("real", "real"), "No sign of a fake: all 2 faces"),
        ((), "No face found"),
    ],
)
def test_the_headline_is_that_of_the_worst_face(default, verdicts, expected):
    assert words.headline_words(result(default, *verdicts)) == expected


def test_a_broken_file_has_its_reason(default):
    assert words.headline_words(failed()) == "Could not be checked"
    actual = words.reason_words(failed(), default)
    assert actual.startswith(failed().error.message)
    assert actual.endswith(words.ERROR_STEPS[failed().error.code])


def test_every_fault_of_a_file_has_a_step():
    codes = {kind.code for kind in errors.PictureError.__subclasses__()}
    assert set(words.ERROR_STEPS) == codes


@pytest.mark.parametrize("verdict", get_args(Verdict))
def test_the_reason_has_the_probability_and_the_measured_share_of_errors(default, verdict):
    actual = words.reason_words(result(default, verdict, share=0.6), default)
    assert words.VERDICTS[verdict].sentence in actual
    assert "Probability of a fake: 60.0 %." in actual
    measured = words.measure_budget(default)
    wrong = {"fake": measured.false_alarms, "unsure": measured.real_unsure, "real": measured.missed}
    share = words.budgets.whole_share(
        *(getattr(wrong[verdict], n) for n in ("value", "low", "high"))
    )
    assert f"{share.about} {share.of}" in actual


def test_what_was_not_measured_is_said(tiny_spec):
    point = tiny_spec.operating_point()
    assert "was not measured" in words.error_rate_words(tiny_spec, point, "fake")


def points(spec: DetectorSpec, **budgets: float) -> DetectorSpec:
    """Return a detector whose operating points differ in their threshold and budget."""
    made = {
        name: OperatingPoint(
            name=name,
            real_below=0.2,
            fake_from=fake_from,
            promise="?",
            bpcer_budget=budget,
            chosen_on=ON,
        )
        for (name, budget), fake_from in zip(budgets.items(), (0.6, 0.8, 0.95), strict=False)
    }
    return spec.model_copy(update={"operating_points": made, "default_operating_point": "middle"})


def test_unsure_leans_and_names_the_stricter_and_the_laxer_verdict(tiny_spec):
    spec = points(tiny_spec, lax=0.05, middle=0.01, strict=0.001)
    (face,) = result(spec, "unsure", share=0.7).faces
    starts = words.percent(spec.operating_point("middle").fake_from, spec.operating_point("middle"))
    assert list(words.unsure_words(face, spec, "middle")) == [
        f"It leans towards a fake, but here “looks fake” starts at {starts}.",
        "Laxer, with false alarms in 1 in 20 real faces, the verdict is “looks fake”.",
        "Stricter, with false alarms in 1 in 1000 real faces, the verdict is still “unsure”.",
    ]
    assert list(words.unsure_words(face, spec, "strict"))[-1] == (
        "This detector has no stricter setting."
    )


@pytest.mark.parametrize(
    ("share", "way"),
    [
        (0.3, "towards a photograph, but here “no sign of a fake” ends at "),
        (0.5, "neither way"),
        (0.51, "towards a fake, but here “looks fake” starts at "),
    ],
)
def test_the_lean_is_the_side_of_one_half(tiny_spec, share, way):
    spec = points(tiny_spec, middle=0.01)
    (face,) = result(spec, "unsure", share=share).faces
    (only,) = words.unsure_words(face, spec, "middle")
    assert way in only


@pytest.mark.parametrize("caution", sorted(WITHHOLDING))
def test_a_probability_that_does_not_count_leans_nowhere(default, caution):
    (face,) = result(default, "unsure", share=0.7).faces
    face = face.model_copy(update={"quality": Quality(side_px=9, cautions=(caution,))})
    assert list(words.unsure_words(face, default, default.default_operating_point)) == []


def test_other_verdicts_do_not_lean(default):
    at = default.operating_point()
    for share in (0.0, 1.0):
        (face,) = result(default, decide(share, at), share=share).faces
        assert list(words.unsure_words(face, default, at.name)) == []


def test_limits_count_and_name_no_data_set(default, tiny_spec):
    text = " ".join(words.limits_words(default))
    kinds, places = slice_names(default, "generator="), slice_names(default, "source=")
    assert f"{len(kinds)} kinds of fakes and on pictures from {len(places)} sources" in text
    assert not [name for name in (*kinds, *places) if name in text.split()]
    assert "no tests" in " ".join(words.limits_words(tiny_spec))


def test_reverse_search_is_text_and_no_link():
    assert not [step for step in words.NEXT_STEPS if "://" in step or "www." in step]
