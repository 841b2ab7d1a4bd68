"""The README's figures are those of the detector that ships."""

import importlib.util
from pathlib import Path

import pytest

from faceproof.detector import Detector

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("kind", ["real_faces", "fake_faces"])
def test_the_readme_shows_the_tables_of_the_default_detector(kind):
    spec = importlib.util.spec_from_file_location("figures", ROOT / "docs" / "figures.py")
    figures = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(figures)
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    expected = "\n".join(getattr(figures, kind)(Detector.load("default").spec))
    assert expected in readme, "run: uv run python docs/figures.py"


def test_the_readme_names_the_promise_of_the_default_operating_point():
    point = Detector.load("default").operating_point()
    assert f"`{point.name}`" in (ROOT / "README.md").read_text(encoding="utf-8")
