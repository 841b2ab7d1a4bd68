"""The page about the detector: its promises, what was measured, its card."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from faceproof.detector import Bundle, CardFile, Detector, Finding, write_bundle
from faceproof.frontends.webapp import settings
from faceproof.frontends.webapp.detector_page import FIGURES, false_alarms_by_source, make_chart
from support.webpage import Page

SPEC = Detector.load("default").spec
POINT = SPEC.default_operating_point


def script():
    """Draw the page alone."""
    from faceproof.frontends.webapp import detector_page

    detector_page.draw()


def opened() -> Page:
    return Page(AppTest.from_function(script, default_timeout=120)).run()


def finding(slice_: str, value: float, metric: str = "bpcer@balanced") -> Finding:
    return Finding(
        metric=metric, value=value, low=0.0, high=0.5, n=10, slice=slice_, data_sha256="0" * 64
    )


@pytest.mark.parametrize("make", FIGURES)
@pytest.mark.parametrize("point", SPEC.operating_points)
def test_figures_are_the_findings_of_the_record(make, point):
    figure = make(SPEC, point)
    assert len(figure.bars) >= 3
    assert all(bar.finding in SPEC.results for bar in figure.bars)
    assert all(bar.finding.metric.endswith(f"@{point}") for bar in figure.bars)
    table = figure.to_columns()
    assert {len(cells) for cells in table.values()} == {len(figure.bars)}
    for bar in figure.bars:
        assert f"{bar.name} {100 * bar.finding.value:.1f} %" in figure.describe()


def test_a_figure_holds_its_slices_alone(tiny_spec):
    rows = (finding("all", 0.1), finding("source=a", 0.2), finding("generator=b", 0.3))
    figure = false_alarms_by_source(tiny_spec.model_copy(update={"results": rows}), "balanced")
    assert [(bar.name, bar.finding.value) for bar in figure.bars] == [("a", 0.2)]
    assert figure.promise == 0.01


def test_a_plot_shows_every_value_and_says_it_in_words():
    figure = FIGURES[0](SPEC, SPEC.default_operating_point)
    drawn = make_chart(figure).to_dict()
    assert drawn["description"] == figure.describe()
    rows = [
        row
        for layer in drawn["layer"]
        for row in layer.get("data", drawn.get("data", {})).get("values", [])
    ]
    shown = {row["name"]: row["value"] for row in rows if "name" in row}
    assert shown == {bar.name: bar.finding.value for bar in figure.bars}
    assert {"promise": figure.promise} in rows


def test_the_page_of_the_default_detector(monkeypatch):
    monkeypatch.delenv(settings.DETECTOR, raising=False)
    page = opened()
    (title,) = page.at.title
    assert "faceproof\\-densenet121" in title.value
    assert page.headings == [
        *("What it promises", "What was measured", "What this detector was not tested on")
    ]
    assert len(page.at.get("vega_lite_chart")) == len(FIGURES)
    assert len(page.at.table) == len(FIGURES)


def test_names_of_data_sets_and_generators_are_folded(monkeypatch):
    monkeypatch.delenv(settings.DETECTOR, raising=False)
    page = opened()
    (named,) = [one for one in page.at.expander if "by data set" in one.label]
    folded = FIGURES[0](SPEC, SPEC.default_operating_point)
    assert folded.title in [one.value for one in named.subheader]
    assert len(named.table) == len([make for make in FIGURES if make(SPEC, POINT).slices]) == 3
    lows = [bar.finding.value for bar in folded.bars]
    assert (
        f"{100 * min(lows):.1f} % to {100 * max(lows):.1f} %, in {len(lows)} sources" in page.text
    )


def test_a_detector_without_measurements_says_so(tiny_bundle, monkeypatch):
    monkeypatch.setenv(settings.DETECTOR, str(tiny_bundle))
    page = opened()
    assert "This detector's record contains no measurements." in page.texts
    assert not page.at.get("vega_lite_chart")


def test_the_card_of_a_stranger_fetches_nothing(tiny_spec, tiny_files, tmp_path, monkeypatch):
    card = b"# Mine\n\n![x](https://example.org/seen.png) <img src='https://example.org/b.png'>\n"
    spec = tiny_spec.model_copy(update={"card": CardFile(name="CARD.md", sha256="0" * 64)})
    bundle: Bundle = write_bundle(tmp_path / "b", spec, tiny_files | {"CARD.md": card})
    monkeypatch.setenv(settings.DETECTOR, str(bundle.folder))
    shown = [one for one in opened().at.markdown if "# Mine" in one.value]
    assert len(shown) == 1
    assert "\\![x]" in shown[0].value
    assert not shown[0].allow_html


def test_a_detector_that_cannot_be_loaded_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv(settings.DETECTOR, str(tmp_path / "nowhere"))
    assert "The detector cannot be loaded" in opened().texts[0]
