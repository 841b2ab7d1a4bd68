"""The site of docs/: it builds without a warning, loads nothing from elsewhere, and is searched."""

import os
import re
import subprocess
import sys
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import pytest

pytest.importorskip("material")
pytest.importorskip("mkdocstrings")

ROOT = Path(__file__).parents[2]
#: What a browser fetches by itself when it opens a page.
FETCHED = {"audio", "embed", "iframe", "img", "link", "object", "script", "source", "video"}
ELSEWHERE = re.compile(r"\s*(https?:)?//", re.IGNORECASE)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Build the site; a warning is an error, as mkdocs.yml says. `.ci/checks` has built it."""
    if built := os.environ.get("FACEPROOF_SITE"):
        return Path(built)
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--quiet", "--site-dir", str(folder)],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1", "PYTHONWARNINGS": "default"},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder


class Fetches(HTMLParser):
    """Addresses that a browser fetches for a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        if tag in FETCHED:
            self.found += [value for name, value in attrs if name in {"src", "href", "srcset"}]


def test_no_page_loads_anything_from_elsewhere(site):
    pages = list(site.rglob("*.html"))
    assert len(pages) > 60
    fetched = {one for page in pages for one in Fetches(page.read_text("utf-8")).found}
    assert "assets/iframe-worker.js" in {one.removeprefix("../") for one in fetched}
    assert [one for one in fetched if ELSEWHERE.match(one)] == []
    for style in site.rglob("*.css"):
        assert not re.search(r"url\(['\"]?(https?:)?//|@import", style.read_text("utf-8")), style


def test_the_python_reference_has_every_public_name(site):
    import faceproof

    page = (site / "reference" / "python.html").read_text("utf-8")
    for name in set(faceproof.__all__) - {"__version__"}:
        assert re.search(rf'<h3 id="faceproof\.[\w.]*{name}"', page), name


def test_fields_and_examples_of_the_python_reference_are_readable(site):
    from faceproof.results import CheckResult

    page = unescape((site / "reference" / "python.html").read_text("utf-8"))
    for field in CheckResult.model_fields.values():
        assert field.description in page
    assert "<blockquote>" not in page  # of a >>> that was read as Markdown


def test_no_script_of_the_repository_is_on_the_site(site):
    assert list(site.rglob("*.py")) == []


@pytest.mark.browser
def test_it_is_searched_from_the_disk_without_a_network(site):
    sync_api = pytest.importorskip("playwright.sync_api")
    from conftest import chromium

    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        page = browser.new_context(offline=True).new_page()
        page.goto((site / "index.html").as_uri())
        page.get_by_placeholder("Search").first.fill("fake_probability")
        page.wait_for_selector(".md-search-result__item a", timeout=20_000)
        found = page.locator(".md-search-result__item a").all_inner_texts()
        browser.close()
    assert any("CheckResult" in one for one in found)
