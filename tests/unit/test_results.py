"""What a result and its parts look like at a prompt: one line that says what matters."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from rich.pretty import pretty_repr

from faceproof.checker import Checker
from faceproof.detector import Bundle, Detector
from faceproof.results import CheckResult, HeatMap

PIXELS = np.full((48, 64, 3), 250, np.uint8)


@pytest.fixture
def detector(tiny_bundle: Path) -> Detector:
    return Detector.load(tiny_bundle)


@pytest.fixture
def result(detector: Detector) -> CheckResult:
    return Checker(detector, faces="whole").check(PIXELS, name="party.jpg")


def test_a_result_says_its_verdict(result):
    probability = f"{result.fake_probability:.3f}"
    assert repr(result) == str(result) == f"<CheckResult party.jpg: fake {probability}, 1 face>"
    assert repr(result.faces[0]).startswith(f"<CheckedFace fake {probability}, 64 x 48 px at 0,0")


def test_rich_shows_the_summary_too(result):
    assert pretty_repr(result) == f"CheckResult({result._summarise()!r})"


def test_one_without_a_verdict_says_why(detector):
    checker = Checker(detector)
    assert repr(checker.check(PIXELS, name="a.jpg")) == "<CheckResult a.jpg: no face>"
    assert repr(checker.check("none.jpg")) == "<CheckResult none.jpg: error source_not_found>"


@pytest.mark.parametrize("name", ["two\nlines\x1b[2J.jpg", "x" * 5000, "<b>.jpg"])
def test_any_name_gives_one_short_printable_line(result, name):
    words = repr(result.model_copy(update={"source": name}))
    assert words.isprintable()
    assert len(words) < 130


def test_a_detector_its_files_and_a_checker(detector, tiny_bundle):
    spec = detector.spec
    words = f"{spec.name} {spec.version}: 1 network, operating points "
    assert repr(detector).startswith(f"<Detector {words}")
    assert repr(spec).startswith(f"<DetectorSpec {words}")
    assert f"{spec.default_operating_point} (default)" in repr(detector)
    files = f"<Bundle {spec.name} {spec.version} in {tiny_bundle}, {detector.sha256[:12]}>"
    assert repr(Bundle.read(tiny_bundle)) == files
    point = detector.operating_point()
    assert repr(Checker(detector)) == f"<Checker {spec.name} {spec.version} at {point.name}>"
    assert repr(point).startswith(f"<OperatingPoint {point.name}: real below ")


def test_a_heat_map_does_not_print_its_values():
    corners = ((0.0, 0.0), (9.0, 0.0), (9.0, 9.0), (0.0, 9.0))
    heat = HeatMap(
        values=((0.5,) * 7,) * 5,
        corners=corners,
        reliable=False,
        hottest_deleted=0.1,
        random_deleted=0.2,
    )
    assert repr(heat) == "<HeatMap grad-cam, 5 x 7, not reliable>"


def test_small_records_still_show_every_field(result):
    assert repr(result.detector).startswith("CheckedBy(name=")
