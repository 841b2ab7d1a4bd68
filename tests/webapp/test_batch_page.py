"""Many pictures: a row for each, sorted out by filters, and taken along as CSV and JSON lines."""

from __future__ import annotations

import csv
import io
import json

import pytest
from streamlit.testing.v1 import AppTest

from faceproof import Checker, Detector
from faceproof.frontends.webapp import batch_page, settings
from faceproof.frontends.webapp.batch_page import table_columns
from faceproof.frontends.webapp.outcomes import suspicion
from faceproof.reports.csv_rows import csv_text
from faceproof.reports.words import OUTCOMES, outcome_of, percent, signed_words
from faceproof.results import CheckResult
from support.service import picture
from support.webpage import Page, sample

FILES = (
    ("bright.png", sample("real-astronaut.jpg")),
    ("cat.jpg", sample("no-face-cat.jpg")),
    ("=cut.jpg", sample("real-couple.jpg")[:2000]),
    ("couple.jpg", sample("real-couple.jpg")),
)


def script():
    """Draw the page alone."""
    from faceproof.frontends.webapp import batch_page

    batch_page.draw()


@pytest.fixture
def page(tiny_bundle, monkeypatch) -> Page:
    monkeypatch.setenv(settings.DETECTOR, str(tiny_bundle))
    return Page(AppTest.from_function(script, default_timeout=120)).run()


def given(page: Page, *files: tuple[str, bytes]) -> Page:
    uploads = [(name, data, "image/jpeg") for name, data in files]
    page.at.file_uploader(key="batch upload").set_value(uploads)
    return page.run()


def kept(page: Page) -> list[CheckResult]:
    return [result for result, _ in page.at.session_state["batch results"].values()]


def summarise(results: list[CheckResult]) -> list[dict[str, object]]:
    return [one.model_dump(exclude={"elapsed_ms"}) for one in results]


def shown(page: Page) -> list[str]:
    """Return the names in the table."""
    (table,) = page.at.dataframe
    return list(table.value["Picture"])


def test_every_file_has_the_row_that_a_check_of_it_alone_gives(page, tiny_bundle):
    given(page, *FILES)
    checker = Checker(Detector.load(tiny_bundle))
    assert summarise(kept(page)) == summarise(
        [checker.check(data, name=name) for name, data in FILES]
    )
    assert shown(page) == [one.source for one in sorted(kept(page), key=suspicion)]
    assert shown(page)[-1] == "=cut.jpg"
    (heading,) = page.headings
    assert heading.startswith("4 pictures: ")
    assert "no face found 1" in heading
    assert "could not be checked 1" in heading


def test_two_files_with_one_name_are_two_rows(page):
    files = [("image.jpg", sample("real-astronaut.jpg")), ("image.jpg", sample("no-face-cat.jpg"))]
    page = given(page, *files, ("image (2).jpg", sample("real-couple.jpg")))
    assert sorted(shown(page)) == ["image (2) (2).jpg", "image (2).jpg", "image.jpg"]
    assert len({one.image.sha256 for one in kept(page)}) == 3


def test_filters_leave_what_fits(page):
    given(page, *FILES)
    page.at.multiselect(key="batch outcomes").set_value(["no_face"])
    page.run()
    assert shown(page) == ["cat.jpg"]
    page.at.multiselect(key="batch outcomes").set_value([])
    page.at.text_input(key="batch name").set_value("C")
    page.run()
    assert shown(page) == ["couple.jpg", "cat.jpg", "=cut.jpg"]
    page.at.text_input(key="batch name").set_value("nothing like it")
    page.run()
    assert not page.at.dataframe
    assert "No picture matches these filters." in page.texts


def test_another_budget_moves_the_verdicts_and_runs_no_network(page, monkeypatch):
    given(page, FILES[0])
    before = outcome_of(kept(page)[0])
    monkeypatch.setattr(Detector, "logits", None)
    page.at.select_slider(key="budget").set_value("strict")
    page.run()
    assert before == "fake"
    assert list(page.at.dataframe[0].value["Verdict"]) == [["◆ unsure"]]


def test_what_was_judged_is_not_judged_again(page, monkeypatch):
    given(page, *FILES[:2])
    before = kept(page)
    monkeypatch.setattr(Checker, "check", None)
    page.at.text_input(key="batch name").set_value("cat")
    page.run()
    assert kept(page) == before


def test_what_does_not_fit_is_said_and_not_judged(page, monkeypatch):
    monkeypatch.setattr(batch_page, "MOST_FILES", 2)
    given(page, *FILES)
    assert len(kept(page)) == 2
    (warning,) = [one for one in page.texts if "4 pictures were given" in one]
    assert "the first 2 are checked" in warning
    monkeypatch.setattr(batch_page, "MOST_FILES", 300)
    monkeypatch.setattr(batch_page, "MOST_TOTAL_MEGABYTES", 0)
    page.run()
    assert not page.at.dataframe


def test_the_plain_table_is_text_that_does_nothing(page):
    given(page, ("a_*b*_[x](http://example.org).jpg", picture(255)))
    page.at.toggle(key="batch plain").set_value(True)
    page.run()
    assert not page.at.dataframe
    (table,) = page.at.table
    (name,) = table.value["Picture"]
    assert "\\*b\\*" in name
    assert "\\[x\\]\\(" in name


def test_the_columns_say_what_the_results_say(page, tiny_bundle):
    given(page, *FILES)
    results, point = kept(page), Detector.load(tiny_bundle).operating_point()
    table = table_columns(results, point)
    assert table["Verdict"] == [signed_words(outcome_of(one)) for one in results]
    shares = [one.fake_probability for one in results]
    assert table["Fake"] == ["" if one is None else percent(one, point) for one in shares]
    assert table["Faces"] == ["1", "0", "0", "2"]
    assert [bool(cell) for cell in table["Why not"]] == [False, False, True, False]


def test_the_table_has_thumbnails_colours_and_percent(page):
    given(page, *FILES)
    (table,) = page.at.dataframe
    thumbnails = dict(zip(shown(page), table.value[""], strict=True))
    assert {name for name, one in thumbnails.items() if not isinstance(one, str)} == {"=cut.jpg"}
    drawn = [one for one in thumbnails.values() if isinstance(one, str)]
    assert all(one.startswith("data:image/jpeg;base64,") for one in drawn)
    columns = json.loads(table.proto.columns)
    assert columns["Fake"]["type_config"]["format"].endswith(" %%")
    assert {one["value"] for one in columns["Verdict"]["type_config"]["options"]} == set(
        map(signed_words, OUTCOMES)
    )
    shares = {one.source: one.fake_probability for one in kept(page)}
    for name, cell in zip(shown(page), table.value["Fake"], strict=True):
        if shares[name] is not None:
            assert cell == pytest.approx(100 * shares[name], abs=0.11)
            assert 0 < cell < 100


def test_downloads_have_all_answers(page):
    given(page, *FILES)
    results = kept(page)
    rows = list(csv.DictReader(io.StringIO(csv_text(results))))
    assert {row["source"] for row in rows} == {name for name, _ in FILES} - {"=cut.jpg"} | {
        "'=cut.jpg"
    }
    labels = [button.label for button in page.at.get("download_button")]
    assert labels == ["All results (CSV)", "All results (JSON lines)"]
    assert json.loads(results[0].model_dump_json())["source"] == "bright.png"


def test_every_outcome_has_its_words(page):
    given(page, *FILES)
    assert {outcome_of(one) for one in kept(page)} <= set(OUTCOMES)


def test_a_detector_that_cannot_be_loaded_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv(settings.DETECTOR, str(tmp_path / "nowhere"))
    page = Page(AppTest.from_function(script, default_timeout=120)).run()
    assert "The detector cannot be loaded" in page.texts[0]
