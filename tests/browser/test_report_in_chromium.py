"""A report as its readers meet it: opened from disk, on a phone, in the dark, printed, offline."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect
from pypdf import PdfReader

from faceproof.detector import Bundle
from faceproof.detector.detector import locate
from faceproof.evaluation.predictions import write_table
from faceproof.reports.make_report import audit_report
from faceproof.reports.report_page import report_page
from faceproof.reports.vega import draw_svg
from faceproof.reports.worst_errors import SmallPicture
from support.evaluations import POINT, audited, evaluated, predictions

pytestmark = [pytest.mark.browser, pytest.mark.slow]

PHONE, WIDE = (390, 844), (1200, 900)
#: Nothing in it breaks a line.
LONG_PATH = "data/" + 12 * "UTKFace_unlabeled_" + ".chip.jpg"
#: A JPEG of one pixel.
PIXEL = (
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAMCAgICAgMCAgIDAwMDBAYEBAQEBAgGBgUGCQgKCgkICQkKDA8MCgsOCwkJDRENDg8QEB"
    "EQCgwSExIQEw8QEBD/yQALCAABAAEBAREA/8wABgAQEAX/2gAIAQEAAD8A0s8g/9k="
)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of an evaluation under two conditions, an audit, and pictures of its errors."""
    answers = predictions()
    write_table(answers, tmp_path_factory.mktemp("predictions") / "predictions.parquet")
    spec = Bundle.read(locate("default")).spec
    audit = audited()
    audit = audit.model_copy(update={"cautions": (*audit.cautions, f"1 row repeats {LONG_PATH}.")})
    made = audit_report((audit,), spec, POINT, (evaluated(answers), answers))
    small = [SmallPicture(PIXEL, PIXEL)] * len(made.worst_errors)
    assert small
    page = report_page(made, {one.name: draw_svg(one) for one in made.plots}, pictures=small)
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(page, encoding="utf-8")
    return path


@pytest.fixture
def opened(browser: Browser, report: Path, seen, request) -> Iterator[Page]:
    """The report from disk without a network; nothing may be fetched, and nothing may fail."""
    size, scheme, scripts = getattr(request, "param", (WIDE, "light", True))
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]},
        color_scheme=scheme,
        java_script_enabled=scripts,
        offline=True,
    )
    context.set_default_timeout(60_000)
    page = context.new_page()
    seen.watch(page)
    page.goto(report.as_uri())
    yield page
    context.close()
    assert [one for one in seen.addresses if not one.startswith(("file:", "data:"))] == []
    assert seen.complaints == []


def scroll(page: Page) -> None:
    """Bring each chart into view, so that it is drawn."""
    for chart in page.locator(".chart").all():
        chart.scroll_into_view_if_needed()
    expect(page.locator(".chart.live")).to_have_count(page.locator(".chart").count())


@pytest.mark.parametrize("opened", [(PHONE, "light", True), (PHONE, "dark", True)], indirect=True)
def test_a_phone_shows_it_without_scrolling_sideways(opened):
    scroll(opened)
    assert opened.evaluate("document.documentElement.scrollWidth") == PHONE[0]
    expect(opened.locator("#answer-false-alarms")).to_be_visible()


@pytest.mark.parametrize("opened", [(WIDE, "light", True), (WIDE, "dark", True)], indirect=True)
def test_axe_finds_nothing_serious(opened):
    scroll(opened)
    found = [
        (one["id"], str(node["target"]), node["html"][:200])
        for one in Axe().run(opened).response["violations"]
        if one["impact"] in {"serious", "critical"}
        for node in one["nodes"]
    ]
    assert found == []


def test_a_chart_shows_values_and_its_legend_hides_a_curve(opened):
    scroll(opened)
    chart = opened.locator("[data-chart=histogram]")
    chart.scroll_into_view_if_needed()
    point = chart.locator(".mark-symbol.role-mark path").nth(5)
    point.hover(force=True)
    tip = opened.locator("#vg-tooltip-element")
    expect(tip).to_contain_text("fake probability")
    expect(tip).to_contain_text("real faces")
    line = chart.locator(".mark-line path").last
    assert line.get_attribute("opacity") == "1"
    chart.locator(".role-legend-label text").first.click(force=True)
    expect(line).to_have_attribute("opacity", "0.08")


@pytest.mark.parametrize("opened", [(WIDE, "light", False)], indirect=True)
def test_without_scripts_every_plot_is_drawn(opened):
    charts = opened.locator(".chart > svg")
    assert charts.count() == opened.locator(".chart").count() > 7
    for chart in charts.all():
        assert chart.bounding_box()["width"] > 200
    expect(opened.locator("[data-chart=roc]")).to_contain_text("real faces called fake")


def test_it_prints_on_a4(opened):
    opened.emulate_media(media="print")
    printed = PdfReader(io.BytesIO(opened.pdf(prefer_css_page_size=True)))
    assert 2 <= len(printed.pages) <= 25
    box = printed.pages[0].mediabox
    assert (round(float(box.width)), round(float(box.height))) == (595, 842)
    text = " ".join(page.extract_text() for page in printed.pages)
    for words in ("Not tested on", "Figures", "Worst errors", "ROC curve"):
        assert words in text
