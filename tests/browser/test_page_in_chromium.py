"""The page as its users meet it: in a browser, by mouse and by keyboard, wide and narrow."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Mapping

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page, expect
from pypdf import PdfReader

from faceproof.reports.words import VERDICTS, VerdictWords
from support.webpage import SAMPLES

pytestmark = [pytest.mark.browser, pytest.mark.slow]

VERDICT = re.compile("|".join(re.escape(words.short) for words in VERDICTS.values()))
#: The pages by their name in the menu, with the heading that each has.
PAGES = {
    "Check": "Is this face real?",
    "Many pictures": "Many pictures at once",
    "The detector": "The detector:",
}
PHONE = {"width": 390, "height": 844}

#: What axe-core finds in Streamlit's own widgets: the rule, and the parts that break it.
STREAMLITS_OWN: Mapping[str, str] = {}


def upload(page: Page, *names: str) -> None:
    """Give files of samples/ to the page, once it is ready for them."""
    settled(page)
    page.locator("input[type=file]").set_input_files([SAMPLES / name for name in names])


def visit(page: Page, name: str) -> None:
    """Go to a page by the menu; where pictures are wanted, give it two faces."""
    menu = page.get_by_role("navigation")
    link = menu.get_by_role("link", name=name)
    if page.viewport_size == PHONE:
        page.get_by_test_id("stExpandSidebarButton").click()
    link.click()
    expect(page.get_by_role("heading", name=PAGES[name], level=1)).to_be_visible()
    if name == "The detector":
        expect(page.get_by_role("heading", name="not tested on")).to_be_attached()
    else:
        upload(page, "real-couple.jpg")
        expect(page.get_by_role("heading", level=2).first).to_be_visible()
    settled(page)


def settled(page: Page) -> None:
    """Wait until the script has run and all has been drawn."""
    app = page.get_by_test_id("stApp")
    expect(app).to_have_attribute("data-test-script-state", "notRunning")
    expect(page.get_by_test_id("stSkeleton")).to_have_count(0)


def verdict(page: Page, words: VerdictWords | None = None) -> Locator:
    """Return the box with a verdict, with any or with this one."""
    text = VERDICT if words is None else words.short
    return page.get_by_test_id("stAlert").filter(has_text=text)


def alert(page: Page, text: str) -> None:
    """Wait for a box that says this."""
    expect(page.get_by_test_id("stAlert").filter(has_text=text)).to_be_visible()


def tab_to(page: Page, target: Locator, *, most: int = 30) -> None:
    """Press Tab until this has the focus."""
    for _ in range(most):
        page.keyboard.press("Tab")
        if target.evaluate("one => one === document.activeElement"):
            return
    pytest.fail(f"{target} has no focus after {most} times Tab")


def serious(page: Page) -> list[tuple[str, str, str]]:
    """Return what axe-core finds on the page and calls serious, but for Streamlit's own."""
    settled(page)
    return [
        (one["id"], str(node["target"]), node["html"][:200])
        for one in Axe().run(page).response["violations"]
        if one["impact"] in {"serious", "critical"}
        for node in one["nodes"]
        if not re.search(STREAMLITS_OWN.get(one["id"], "(?!)"), str(node["target"]))
    ]


def test_an_upload_gets_a_verdict_in_words_with_a_picture_that_is_described(page):
    upload(page, "real-astronaut.jpg")
    expect(page.get_by_role("heading", name="real-astronaut.jpg")).to_be_visible()
    expect(verdict(page, VERDICTS["real"])).to_have_count(1)
    expect(page.get_by_role("img", name="face 1 real")).to_be_visible()
    expect(page.get_by_role("img", name=re.compile("Probability of a fake"))).to_be_visible()
    expect(page.get_by_text(re.compile(r"Of 10(,0)?00 real faces about \d"))).to_be_visible()


def test_another_budget_moves_the_verdict(page):
    upload(page, "fake-sd3-male-30.jpg")
    expect(verdict(page, VERDICTS["unsure"])).to_have_count(1)
    slider = page.get_by_role("slider", name=re.compile("False alarms"))
    slider.focus()
    slider.press("Home")
    expect(verdict(page, VERDICTS["fake"])).to_have_count(1)
    expect(verdict(page)).to_have_count(1)


def test_an_address_is_fetched_and_a_private_one_is_not(page, site):
    page.get_by_role("tab", name="Address").click()
    box = page.get_by_role("textbox", name="Address (URL) of a picture")
    box.fill("http://169.254.169.254/latest")
    box.press("Enter")
    alert(page, "Not fetched")
    box.fill(site)
    page.get_by_role("button", name="Fetch and check").click()
    expect(page.get_by_role("heading", name=re.compile(r"hopper\.jpg"))).to_be_visible()
    expect(verdict(page)).to_have_count(1)
    expect(page.get_by_test_id("stAlert").filter(has_text="Not fetched")).to_have_count(0)


def test_several_faces_are_told_apart(page):
    upload(page, "fake-swap-brothers-small-faces.jpg")
    expect(page.get_by_text("2 faces were found. Which one?")).to_be_visible()
    expect(verdict(page, VERDICTS["unsure"])).to_have_count(1)
    page.get_by_text("Face 2: real").click()
    expect(verdict(page, VERDICTS["real"])).to_have_count(1)
    expect(verdict(page)).to_have_count(1)


def test_no_face_and_no_picture_are_said(page, tmp_path):
    upload(page, "no-face-cat.jpg")
    alert(page, "No face was found")
    expect(verdict(page)).to_have_count(0)
    broken = tmp_path / "broken.jpg"
    broken.write_bytes((SAMPLES / "real-hopper.jpg").read_bytes()[:2000])
    page.locator("input[type=file]").set_input_files(broken)
    alert(page, "This picture could not be checked")
    expect(verdict(page)).to_have_count(0)


def test_the_heat_map_and_the_stability_come_when_asked_for(page):
    upload(page, "fake-sd3-male-30.jpg")
    picture = page.get_by_role("img", name="face 1 unsure")
    plain = picture.get_attribute("src")
    page.get_by_text("Show where the evidence lies").click()
    expect(page.get_by_role("slider", name=re.compile("Strength of the heat map"))).to_be_visible()
    expect(page.locator(f'img[src="{plain}"]')).to_have_count(0)
    settled(page)
    page.get_by_role("button", name="Save and check again").click()
    expect(page.get_by_role("table").filter(has_text="The picture was")).to_be_visible()


@pytest.mark.parametrize("kind", ["PDF", "HTML", "JSON"])
def test_the_answer_is_taken_along(page, kind):
    upload(page, "real-hopper.jpg")
    with page.expect_download() as waiting:
        page.get_by_role("button", name=re.compile(rf"\({kind}\)")).click()
    assert waiting.value.suggested_filename == f"real-hopper-faceproof.{kind.lower()}"
    data = waiting.value.path().read_bytes()
    if kind == "PDF":
        text = "".join(sheet.extract_text() for sheet in PdfReader(io.BytesIO(data)).pages)
        assert "real-hopper.jpg" in text
        assert VERDICT.search(text)
    elif kind == "HTML":
        assert data.lstrip().lower().startswith(b"<!doctype html>")
        assert VERDICT.search(data.decode())
    else:
        actual = json.loads(data)
        assert actual["schema"] == "faceproof.check/1"
        assert actual["source"] == "real-hopper.jpg"


def test_many_pictures_have_a_table_a_filter_and_a_csv(page):
    page.get_by_role("link", name="Many pictures").click()
    expect(page.get_by_role("heading", name="Many pictures at once")).to_be_visible()
    upload(page, "real-hopper.jpg", "no-face-cat.jpg", "real-couple.jpg")
    expect(page.get_by_role("heading", name=re.compile("^3 pictures:"))).to_be_visible()
    page.get_by_text("Plain table").click()
    expect(page.get_by_role("cell", name="without a face")).to_be_visible()
    box = page.get_by_role("textbox", name="Name contains")
    box.fill("couple")
    box.press("Enter")
    expect(page.get_by_role("cell", name="without a face")).to_have_count(0)
    expect(page.get_by_role("cell", name="real-couple.jpg")).to_be_visible()
    with page.expect_download() as waiting:
        page.get_by_role("button", name="All answers (CSV)").click()
    rows = list(csv.DictReader(io.StringIO(waiting.value.path().read_text())))
    assert [row["source"] for row in rows] == [
        *("real-hopper.jpg", "no-face-cat.jpg", "real-couple.jpg", "real-couple.jpg")
    ]


def test_a_row_of_many_shows_its_picture(page):
    visit(page, "Many pictures")
    expect(page.get_by_test_id("data-grid-canvas")).to_be_visible()
    page.get_by_test_id("stDataFrame").click(position={"x": 16, "y": 52})
    expect(page.get_by_role("heading", name="real-couple.jpg")).to_be_visible()
    expect(verdict(page, VERDICTS["real"])).to_have_count(1)


def test_the_detector_is_drawn_in_plots_that_are_described(page):
    visit(page, "The detector")
    plots = page.get_by_test_id("stVegaLiteChart")
    expect(plots).to_have_count(5)
    drawn = plots.first.locator("svg, canvas").first
    drawn.scroll_into_view_if_needed()
    expect(drawn).to_be_visible()
    expect(
        page.get_by_label(re.compile("^False alarms, by where the real faces come from")).first
    ).to_be_attached()


def test_the_keyboard_alone_leads_to_a_verdict(page):
    tab_to(page, page.get_by_role("tab", name="Upload"))
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    tab_to(page, page.get_by_role("button", name="A real portrait", exact=True))
    page.keyboard.press("Enter")
    expect(verdict(page)).to_have_count(1)


@pytest.mark.parametrize("name", PAGES)
def test_a_phone_needs_no_scrolling_to_the_side(page, name):
    page.set_viewport_size(PHONE)
    visit(page, name)
    wide = "one => one.scrollWidth - one.clientWidth"
    assert page.locator("html").evaluate(wide) == 0
    assert page.get_by_test_id("stMain").evaluate(wide) == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_nothing_serious(page, name, scheme):
    page.emulate_media(color_scheme=scheme)
    visit(page, name)
    if name == "Many pictures":
        assert serious(page) == []
        page.get_by_text("Plain table").click()
        expect(page.get_by_role("table")).to_be_visible()
    for folded in page.locator("summary").all():
        folded.click()
    assert serious(page) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_in_any_verdict(page, scheme):
    page.emulate_media(color_scheme=scheme)
    upload(page, "fake-sd3-male-30.jpg")
    expect(verdict(page, VERDICTS["unsure"])).to_have_count(1)
    assert serious(page) == []
    page.get_by_role("slider", name=re.compile("False alarms")).press("Home")
    expect(verdict(page, VERDICTS["fake"])).to_have_count(1)
    assert serious(page) == []
    upload(page, "real-hopper.jpg")
    expect(verdict(page, VERDICTS["real"])).to_have_count(1)
    assert serious(page) == []


def test_nothing_is_written_to_disk(page, app):
    upload(page, "real-couple.jpg", "real-hopper.jpg")
    expect(verdict(page)).to_have_count(1)
    with page.expect_download():
        page.get_by_role("button", name=re.compile(r"\(PDF\)")).click()
    assert app.files() == set()
