"""The figures of the README and of the page on accuracy are those of the detector that ships."""

import importlib.util
from pathlib import Path

import pytest

from faceproof.detector import Detector

ROOT = Path(__file__).parents[2]
README, ACCURACY = "README.md", "docs/explanation/accuracy.md"


@pytest.mark.parametrize(
    ("kind", "page"), [("summary", README), ("real_faces", ACCURACY), ("fake_faces", ACCURACY)]
)
def test_the_pages_show_the_tables_of_the_default_detector(kind, page):
    spec = importlib.util.spec_from_file_location("figures", ROOT / "docs" / "figures.py")
    figures = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(figures)
    text = (ROOT / page).read_text(encoding="utf-8")
    expected = "\n".join(getattr(figures, kind)(Detector.load("default").spec))
    assert expected in text, "run: uv run python docs/figures.py"


@pytest.mark.parametrize("page", [README, ACCURACY])
def test_the_pages_name_the_promise_of_the_default_operating_point(page):
    point = Detector.load("default").operating_point()
    assert f"`{point.name}`" in (ROOT / page).read_text(encoding="utf-8")


def test_the_licence_of_the_weights_is_that_of_the_detector():
    spec = Detector.load("default").spec
    text = (ROOT / "LICENSE-WEIGHTS.md").read_text(encoding="utf-8")
    assert f"> {spec.licence}\n" in text
    for start in spec.started_from:
        assert f"- {start.name}: {start.licence}\n" in text


def test_the_readme_fits_on_two_screens():
    """Its 80 lines and one picture are 2,400 px high at the width of a forge's page."""
    text = (ROOT / README).read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 80
    assert text.count("![") == 1
    assert text.count("\n|--") == 1
