"""The page as its users meet it: in a browser, by mouse and by keyboard, wide and narrow."""

from __future__ import annotations

import base64
import csv
import io
import json
import re
from collections.abc import Mapping
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Locator, Page, expect
from pypdf import PdfReader

from faceproof import Checker, Detector
from faceproof.detector import decide
from faceproof.frontends.webapp.browser import TAKES
from faceproof.frontends.webapp.sliders import ordered_points
from faceproof.reports.words import VERDICTS, VerdictWords
from faceproof.results import CheckResult
from faceproof.sources import ANNOTATED_MARK
from support.webpage import SAMPLES

pytestmark = [pytest.mark.browser, pytest.mark.slow]

VERDICT = re.compile("|".join(re.escape(words.short) for words in VERDICTS.values()))
#: The pages by their name in the menu, with the heading that each has.
PAGES = {
    "Check": "faceproof",
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
        verdicts = page.get_by_role("heading", name=VERDICT)
        expect(verdicts.or_(page.get_by_role("heading", name="1 picture:"))).to_be_visible()
    settled(page)


def settled(page: Page) -> None:
    """Wait until the script has run and all has been drawn; a new run may be about to begin."""
    for _ in range(2):
        page.wait_for_timeout(300)
        app = page.get_by_test_id("stApp")
        expect(app).to_have_attribute("data-test-script-state", "notRunning")
        expect(page.get_by_test_id("stSkeleton")).to_have_count(0)


def verdict(page: Page, words: VerdictWords | None = None) -> Locator:
    """Return the large line with a verdict, with any or with this one."""
    return page.get_by_role("heading", name=VERDICT if words is None else words.short)


def unfold(page: Page, label: str) -> None:
    """Open a folded part."""
    page.locator("summary").filter(has_text=label).click()


@pytest.fixture(scope="module")
def checked() -> Mapping[str, CheckResult]:
    """What the default detector says of the samples used here: a new default may say otherwise."""
    checker = Checker(Detector.load("default"))
    return {one.source: one for one in checker.check_many(map(str, SAMPLES.glob("*.jpg")))}


def sample_with(checked: Mapping[str, CheckResult], wanted: str) -> str:
    """Return the name of a sample with one face that gets this verdict, the clearest one."""
    fitting = [one for one in checked.values() if one.verdict == wanted and len(one.faces) == 1]
    order = sorted(fitting, key=lambda one: one.fake_probability, reverse=wanted != "real")
    return Path(order[0].source).name


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


def test_an_upload_gets_a_verdict_in_words_with_a_picture_that_is_described(page, checked):
    upload(page, sample_with(checked, "real"))
    expect(verdict(page, VERDICTS["real"])).to_have_count(1)
    expect(page.get_by_text(sample_with(checked, "real")).first).to_be_visible()
    expect(page.get_by_role("img", name="face 1 no sign of a fake")).to_be_visible()
    expect(page.get_by_role("img", name=re.compile("Probability of a fake"))).to_be_visible()
    unfold(page, "How it was measured")
    expect(page.get_by_text(re.compile(r"Of 10(,0)?00 real faces about \d")).last).to_be_visible()


def test_the_first_screen_shows_each_verdict_once(page):
    for sign in ("▲ looks fake", "◆ unsure", "● no sign of a fake", "○ no face found"):
        expect(page.get_by_text(sign, exact=True)).to_be_in_viewport()
    expect(page.get_by_text("Drop, paste or choose pictures")).to_be_visible()
    written = "one => getComputedStyle(one, '::after').content"
    zone = page.get_by_test_id("stFileUploaderDropzoneInstructions")
    assert zone.evaluate(written) == f'"{TAKES}"'


PASTE = """async (data) => {
    const bytes = Uint8Array.from(atob(data), (one) => one.charCodeAt(0));
    const given = new DataTransfer();
    given.items.add(new File([bytes], "image.png", { type: "image/jpeg" }));
    document.dispatchEvent(new ClipboardEvent("paste", { clipboardData: given, bubbles: true }));
}"""


def test_pictures_are_pasted_and_two_of_one_name_are_told_apart(page):
    settled(page)
    for name, then in (("no-face-cat.jpg", "No face found"), ("real-hopper.jpg", "2 pictures:")):
        page.evaluate(PASTE, base64.b64encode((SAMPLES / name).read_bytes()).decode())
        expect(page.get_by_role("heading", name=re.compile(f"^{then}"))).to_be_visible()
        settled(page)
    expect(page.get_by_role("button", name="image (2).png", exact=True)).to_be_visible()
    expect(page.get_by_role("button", name="image.png", exact=True)).to_be_visible()


COPY = """async (data) => {
    const bytes = Uint8Array.from(atob(data), (one) => one.charCodeAt(0));
    const picture = new Blob([bytes], { type: "image/png" });
    await navigator.clipboard.write([new ClipboardItem({ "image/png": picture })]);
}"""


def test_a_copied_picture_is_pasted_by_a_button(page, app):
    allowed = ["clipboard-read", "clipboard-write"]
    page.context.grant_permissions(allowed, origin=app.address)
    settled(page)
    button = page.get_by_role("button", name="Paste a picture", exact=True)
    page.evaluate("() => navigator.clipboard.writeText('no picture')")
    button.click()
    expect(page.get_by_text("The clipboard contains no picture.")).to_be_visible()
    file = io.BytesIO()
    Image.open(SAMPLES / "real-hopper.jpg").save(file, "PNG")
    page.evaluate(COPY, base64.b64encode(file.getvalue()).decode())
    button.click()
    expect(verdict(page)).to_have_count(1)
    expect(page.get_by_text("pasted.png").first).to_be_visible()


def test_a_browser_that_denies_the_clipboard_leaves_another_way(page):
    page.context.clear_permissions()
    settled(page)
    page.evaluate("() => { navigator.clipboard.read = () => Promise.reject(new Error('no')) }")
    page.get_by_role("button", name="Paste a picture", exact=True).click()
    expect(page.get_by_text("Press Ctrl+V instead.")).to_be_visible()


def test_the_thumbnail_of_a_sample_is_pressed_like_its_button(page):
    image = page.get_by_role("img", name="Portrait of a smiling astronaut")
    expect(image).to_be_visible()
    settled(page)
    box = image.bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 3)
    expect(verdict(page)).to_have_count(1)


def test_a_screen_reader_reads_the_verdict_of_each_new_picture(page, checked):
    said = page.get_by_role("status").and_(page.locator("#fp-announcement"))
    for wanted in ("real", "fake"):
        name = sample_with(checked, wanted)
        upload(page, name)
        expect(said).to_have_text(f"{VERDICTS[wanted].short}. {name}")


@pytest.mark.parametrize("wanted", ["fake", "unsure", "real"])
def test_a_phone_shows_the_verdict_without_scrolling(page, checked, wanted):
    page.set_viewport_size(PHONE)
    upload(page, sample_with(checked, wanted))
    expect(verdict(page, VERDICTS[wanted])).to_be_in_viewport(ratio=1)
    expect(
        page.get_by_text(re.compile("^.*Probability of a fake: .* In our tests"))
    ).to_be_in_viewport(ratio=1)


def test_a_phone_shows_the_worst_verdict_of_several_without_scrolling(page, checked):
    page.set_viewport_size(PHONE)
    names = [sample_with(checked, wanted) for wanted in VERDICTS]
    upload(page, *names, "no-face-cat.jpg")
    expect(page.get_by_role("heading", name=VERDICTS["fake"].short, exact=True)).to_be_in_viewport()
    width = "document.documentElement.scrollWidth"
    assert page.evaluate(width) <= PHONE["width"]


def test_a_phone_scrolled_to_the_samples_comes_back_to_the_verdict(page):
    page.set_viewport_size(PHONE)
    sample = page.get_by_role("button", name="A real portrait", exact=True)
    sample.scroll_into_view_if_needed()
    sample.click()
    expect(verdict(page)).to_be_in_viewport(ratio=1)


def test_another_budget_moves_the_verdict(page, tmp_path):
    """A reduced sample whose verdict differs at the laxest operating point of the default."""
    detector = Detector.load("default")
    lax = ordered_points(detector.spec)[0]
    for number, source in enumerate(sorted(SAMPLES.glob("fake-sd3*.jpg")) * 3):
        side = (512, 384, 256)[number % 3]
        picture = Image.open(source)
        picture.thumbnail((side, side))
        path = tmp_path / f"{number}.jpg"
        picture.save(path, quality=60)
        found = Checker(detector).check(str(path))
        before, after = found.verdict, decide(found.fake_probability, lax)
        if before != after:
            break
    else:
        pytest.fail("no reduced sample has another verdict at the laxest operating point")
    upload(page, str(path))
    expect(verdict(page, VERDICTS[before])).to_have_count(1)
    unfold(page, "How careful should it be?")
    slider = page.get_by_role("slider", name=re.compile("False alarms"))
    slider.focus()
    slider.press("Home")
    expect(verdict(page, VERDICTS[after])).to_have_count(1)
    expect(verdict(page)).to_have_count(1)


def test_an_address_is_fetched_and_a_private_one_is_not(page, site):
    unfold(page, "Other ways")
    box = page.get_by_role("textbox", name="Address (URL) of a picture")
    box.fill("http://169.254.169.254/latest")
    box.press("Enter")
    alert(page, "Not fetched")
    box.fill(site)
    page.get_by_role("button", name="Fetch and check").click()
    expect(verdict(page)).to_have_count(1)
    expect(page.get_by_text(re.compile(r"hopper\.jpg")).first).to_be_visible()
    expect(page.get_by_test_id("stAlert").filter(has_text="Not fetched")).to_have_count(0)


def test_several_faces_are_told_apart(page, checked):
    name = "fake-swap-brothers-small-faces.jpg"
    (faces,) = [one.faces for one in checked.values() if Path(one.source).name == name]
    upload(page, name)
    expect(page.get_by_text("2 faces were found. Which one?")).to_be_visible()
    for number, face in enumerate(faces, start=1):
        page.get_by_text(f"Face {number}: {VERDICTS[face.verdict].word}").click()
        share = f"{100 * face.fake_probability:.1f} %"
        expect(page.get_by_text(f"Probability of a fake: {share}", exact=True)).to_be_visible()


def test_no_face_and_no_picture_are_said(page, tmp_path):
    upload(page, "no-face-cat.jpg")
    expect(page.get_by_role("heading", name="No face found")).to_be_visible()
    expect(verdict(page)).to_have_count(0)
    page.get_by_role("button", name="Start over").click()
    expect(page.get_by_role("heading", name="faceproof")).to_be_visible()
    settled(page)
    broken = tmp_path / "broken.jpg"
    broken.write_bytes((SAMPLES / "real-hopper.jpg").read_bytes()[:2000])
    page.locator("input[type=file]").set_input_files(broken)
    expect(page.get_by_role("heading", name="Could not be checked")).to_be_visible()
    expect(verdict(page)).to_have_count(0)


def test_the_heat_map_and_the_stability_come_when_asked_for(page):
    upload(page, "fake-sd3-male-30.jpg")
    unfold(page, "Heat map")
    page.get_by_text("Show where the evidence lies").click()
    expect(page.get_by_role("slider", name=re.compile("Strength of the heat map"))).to_be_visible()
    expect(page.get_by_role("img", name="The picture with frames")).to_have_count(2)
    settled(page)
    unfold(page, "Does the verdict hold")
    page.get_by_role("button", name="Save and check again").click()
    expect(page.get_by_role("table").filter(has_text="The picture was")).to_be_visible()


@pytest.mark.parametrize("kind", ["PDF", "HTML", "PNG", "JSON"])
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
    elif kind == "PNG":
        assert Image.open(io.BytesIO(data)).text.keys() == {ANNOTATED_MARK}
    else:
        actual = json.loads(data)
        assert actual["schema"] == "faceproof.check/1"
        assert actual["source"] == "real-hopper.jpg"


def test_many_pictures_have_a_table_a_filter_and_a_csv(page):
    page.get_by_role("link", name="Many pictures").click()
    expect(page.get_by_role("heading", name="Many pictures at once")).to_be_visible()
    upload(page, "real-hopper.jpg", "no-face-cat.jpg", "real-couple.jpg")
    expect(page.get_by_role("heading", name=re.compile("^3 pictures:"))).to_be_visible()
    settled(page)
    page.get_by_text("Plain table").click()
    expect(page.get_by_role("cell", name="no face found")).to_be_visible()
    box = page.get_by_role("textbox", name="Name contains")
    box.fill("couple")
    box.press("Enter")
    expect(page.get_by_role("cell", name="no face found")).to_have_count(0)
    expect(page.get_by_role("cell", name="real-couple.jpg")).to_be_visible()
    with page.expect_download() as waiting:
        page.get_by_role("button", name="All results (CSV)").click()
    rows = list(csv.DictReader(io.StringIO(waiting.value.path().read_text())))
    assert sorted(row["source"] for row in rows) == [
        *("no-face-cat.jpg", "real-couple.jpg", "real-couple.jpg", "real-hopper.jpg")
    ]


def test_a_row_of_many_shows_its_picture(page):
    visit(page, "Many pictures")
    expect(page.get_by_test_id("data-grid-canvas")).to_be_visible()
    page.get_by_test_id("stDataFrame").click(position={"x": 16, "y": 62})
    expect(page.get_by_role("heading", name="real-couple.jpg")).to_be_visible()
    expect(page.get_by_text("2 faces were found. Which one?")).to_be_visible()


def test_the_detector_is_drawn_in_plots_that_are_described(page):
    visit(page, "The detector")
    plots = page.get_by_test_id("stVegaLiteChart")
    expect(plots).to_have_count(5)
    drawn = plots.first.locator("svg, canvas").first
    drawn.scroll_into_view_if_needed()
    expect(drawn).to_be_visible()
    described = page.get_by_label(re.compile("^False alarms, when the pictures are saved again"))
    expect(described.first).to_be_attached()
    unfold(page, "The exact figures, by data set and generator")
    described = page.get_by_label(re.compile("^False alarms, by where the real faces come from"))
    expect(described.first).to_be_attached()


def test_the_keyboard_alone_leads_to_a_verdict(page):
    sample = page.get_by_role("button", name="A real portrait", exact=True)
    expect(sample).to_be_visible()
    settled(page)
    tab_to(page, sample)
    page.keyboard.press("Enter")
    expect(verdict(page)).to_have_count(1)


def test_a_phone_folds_its_menu_when_a_page_is_chosen(page):
    expect(page.locator(".fp-badge")).to_have_count(4)
    page.set_viewport_size(PHONE)
    page.get_by_test_id("stExpandSidebarButton").click()
    page.get_by_role("navigation").get_by_role("link", name="Many pictures").click()
    expect(page.get_by_role("heading", name=PAGES["Many pictures"], level=1)).to_be_visible()
    expect(page.get_by_test_id("stSidebar")).to_have_attribute("data-collapsed", "true")


OPEN_MENU = """new MutationObserver(() => {
    const button = document.querySelector('[data-testid="stExpandSidebarButton"]');
    if (!button || window.opened) return;
    window.opened = true;
    button.click();
}).observe(document, { childList: true, subtree: true });"""


def test_a_phone_folds_a_menu_that_was_open_before_our_script_ran(page, app):
    page.add_init_script(OPEN_MENU)
    page.set_viewport_size(PHONE)
    page.goto(app.address)
    expect(page.locator(".fp-badge")).to_have_count(4)
    assert page.evaluate("() => window.opened")
    expect(page.get_by_test_id("stSidebar")).to_have_attribute("data-collapsed", "true")


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
def test_axe_finds_nothing_serious_in_any_verdict(page, checked, scheme):
    page.emulate_media(color_scheme=scheme)
    for wanted in ("unsure", "fake", "real"):
        upload(page, sample_with(checked, wanted))
        expect(verdict(page, VERDICTS[wanted])).to_have_count(1)
        assert serious(page) == []
        page.get_by_role("button", name="Start over").click()
        expect(page.get_by_role("heading", name="faceproof")).to_be_visible()
    upload(page, *(sample_with(checked, wanted) for wanted in ("unsure", "fake", "real")))
    expect(page.get_by_role("heading", name=re.compile("^3 pictures:"))).to_be_visible()
    assert serious(page) == []


def test_nothing_is_written_to_disk(page, app):
    upload(page, "real-couple.jpg", "real-hopper.jpg")
    expect(verdict(page)).to_have_count(1)
    with page.expect_download():
        page.get_by_role("button", name=re.compile(r"\(PDF\)")).click()
    assert app.files() == set()
