"""The page that checks pictures, as a session of its script."""

import itertools
import os
import re
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from faceproof import Checker, Detector
from faceproof.audits.resaving import CONDITIONS, check_resaved
from faceproof.detector import decide
from faceproof.frontends.webapp import settings
from faceproof.frontends.webapp.answers import GivenPicture
from faceproof.reports import words as plain_words
from support.webpage import Page, opened, sample

UNESCAPED = re.compile(r"\\.")
SCORE = "fake_probabilities"


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many faces the networks looked at, call by call."""
    seen: list[int] = []
    honest = Detector.fake_probabilities

    def counted(detector: Detector, inputs: np.ndarray) -> np.ndarray:
        seen.append(len(inputs))
        return honest(detector, inputs)

    monkeypatch.setattr(Detector, SCORE, counted)
    return seen


def crowd(rows: int, columns: int) -> bytes:
    """Return a picture of many faces: one face, again and again."""
    pixels = cv2.imdecode(np.frombuffer(sample("real-astronaut.jpg"), np.uint8), cv2.IMREAD_COLOR)
    face = cv2.resize(pixels[30:210, 120:300], (90, 90))
    return cv2.imencode(".jpg", np.tile(face, (rows, columns, 1)))[1].tobytes()


def test_opens_with_a_question_and_four_ways_to_give_a_picture(page: Page):
    assert [one.value for one in page.at.title] == ["Is this face real?"]
    ways = [tab.label for tab in page.at.tabs]
    assert ways == ["Upload", "Address", "Camera", "Try a sample"]
    assert page.headings == []


def test_a_picture_gets_a_verdict_in_words_with_its_band(page: Page, tiny_bundle):
    page.upload(("party.jpg", sample("real-astronaut.jpg")))
    detector = Detector.load(tiny_bundle)
    face = Checker(detector).check(sample("real-astronaut.jpg")).faces[0]
    words = plain_words.VERDICTS[face.verdict]
    assert page.headings == ["party.jpg"]
    assert any(words.short in one and words.sentence in one for one in page.texts)
    band = plain_words.band_words(face.fake_probability, detector.operating_point())
    assert band in page.text
    assert f'aria-label="{band}"' in "".join(one.value for one in page.at.html)
    assert plain_words.PIXELS_ONLY in page.text


def test_every_picture_has_a_text_for_those_who_do_not_see_it(page: Page):
    page.upload(("a.jpg", sample("real-couple.jpg")))
    assert all(len(alt) > 10 for alt in page.alts)
    assert "face 1" in page.alts[-1]
    assert "face 2" in page.alts[-1]


def test_headings_go_down_one_level_at_a_time(page: Page):
    page.upload(("a.jpg", sample("real-couple.jpg")))
    order = [one.proto.tag for one in page.at.main if one.type in {"title", "header", "subheader"}]
    levels = [int(tag[1]) for tag in order]
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))


def test_several_faces_are_numbered_and_the_most_fake_is_shown_first(page: Page, tiny_bundle):
    page.upload(("a.jpg", sample("real-brothers-small-faces.jpg")))
    faces = Checker(Detector.load(tiny_bundle)).check(sample("real-brothers-small-faces.jpg")).faces
    (choice,) = page.at.radio
    assert choice.options == [f"Face {n}: {face.verdict}" for n, face in enumerate(faces, 1)]
    most = max(range(2), key=lambda place: faces[place].fake_probability)
    assert choice.value == most == 1
    choice.set_value(1 - most)
    page.run()
    other = Detector.load(tiny_bundle).operating_point()
    assert plain_words.band_words(faces[1 - most].fake_probability, other) in page.text


def test_fifty_faces_are_a_list_and_a_table(page: Page):
    page.upload(("crowd.jpg", crowd(5, 10)))
    (choice,) = [one for one in page.at.selectbox if "faces were found" in one.label]
    assert len(choice.options) == 50
    (table,) = page.at.table
    assert len(table.value) == 50


def test_a_broken_file_is_told_in_words_and_the_others_are_still_shown(page: Page, tiny_bundle):
    bad, good = (
        GivenPicture("bad.jpg", b"\xff\xd8\xff broken"),
        GivenPicture("good.jpg", sample("real-hopper.jpg")),
    )
    page.upload((bad.name, bad.data), (good.name, good.data))
    (choice,) = [one for one in page.at.radio if one.label == "Which one to look at"]
    assert ["bad" in option for option in choice.options] == [True, False]
    error = Checker(Detector.load(tiny_bundle)).check(bad.data, name=bad.name).error
    assert any("could not be checked" in one and error.message in one for one in page.texts)
    choice.set_value(good.key)
    page.run()
    assert page.headings == ["2 pictures", "good.jpg"]


def test_no_face_is_said_and_the_picture_can_be_taken_for_one(page: Page):
    page.upload(("cat.jpg", sample("no-face-cat.jpg")))
    assert any("No face was found" in one for one in page.texts)
    (whole,) = [one for one in page.at.toggle if "check it whole" in one.label]
    whole.set_value(True)
    page.run()
    assert not any("No face was found" in one for one in page.texts)
    assert "Probability of a fake" in page.text
    (whole,) = [one for one in page.at.toggle if "check it whole" in one.label]
    whole.set_value(False)
    page.run()
    assert any("No face was found" in one for one in page.texts)


def test_the_budget_changes_verdicts_without_another_look(page: Page, looks, tiny_bundle):
    page.upload(("a.jpg", sample("real-astronaut.jpg")))
    assert looks == [1]
    page.at.select_slider(key="budget").set_value("strict")
    page.run()
    assert looks == [1]
    strict = Detector.load(tiny_bundle).operating_point("strict")
    probability = Checker(Detector.load(tiny_bundle)).check(sample("real-astronaut.jpg"))
    verdict = decide(probability.fake_probability, strict)
    assert any(plain_words.verdict_words(verdict) in one for one in page.texts)
    assert plain_words.budget_words(Detector.load(tiny_bundle).spec, "strict") in page.text


def test_the_same_picture_again_is_not_looked_at_again(page: Page, looks):
    page.upload(("a.jpg", sample("real-astronaut.jpg")))
    page.run()
    assert looks == [1]
    page.upload(("a.jpg", sample("real-astronaut.jpg")), ("b.jpg", sample("real-hopper.jpg")))
    assert looks == [1, 1]


def test_the_base_rate_says_what_a_fake_verdict_is_worth(monkeypatch):
    monkeypatch.delenv(settings.DETECTOR, raising=False)
    page = opened()
    page.upload(("a.jpg", sample("real-astronaut.jpg")))
    spec = Detector.load("default").spec
    for rate in (0.01, 0.2):
        page.at.select_slider(key="base rate").set_value(rate)
        page.run()
        assert plain_words.worth(spec, None, rate).text in page.text
    assert plain_words.budget_words(spec, None) in page.text
    assert all(line in page.text for line in plain_words.untested_sentences(spec))
    (heat,) = [one for one in page.at.toggle if "evidence lies" in one.label]
    heat.set_value(True)
    page.run()
    assert page.at.slider(key="heat opacity").value == 50


def test_saving_again_is_tried_when_asked_for(page: Page, looks, tiny_bundle):
    page.upload(("a.jpg", sample("real-astronaut.jpg")))
    before = len(looks)
    page.press("Save and check again")
    assert len(looks) > before
    (table,) = page.at.table
    assert len(table.value) == len(CONDITIONS) == 24
    assert "ways of saving it again" in page.text
    after = len(looks)
    page.at.select_slider(key="budget").set_value("strict")
    page.run()
    assert len(looks) == after
    strict = Checker(Detector.load(tiny_bundle), at="strict")
    actual = [one.verdict for one in check_resaved(strict, sample("real-astronaut.jpg"))]
    assert set(actual) == {"unsure"}
    shown = page.at.table[0].value["Verdict"].tolist()
    assert shown == [plain_words.verdict_words(one) for one in actual]


def test_a_sample_can_be_tried_and_removed(page: Page):
    page.press("A face swap")
    assert page.headings == ["face-swap.jpg"]
    assert "A fake: we put the face" in page.text
    page.press("Remove")
    assert page.headings == []


def test_the_newest_picture_is_shown(page: Page):
    page.press("A face swap")
    page.press("No face")
    assert page.headings == ["2 pictures", "cat.jpg"]
    page.press("A real portrait")
    assert page.headings == ["3 pictures", "astronaut.jpg"]


def test_an_address_is_fetched_only_where_the_policy_allows(page: Page, site: str, monkeypatch):
    page.at.text_input(key="address").set_value(site)
    page.press("Fetch and check")
    assert any("Not fetched" in one for one in page.texts)
    assert page.headings == []
    monkeypatch.setenv(settings.ALLOW_PRIVATE, "127.0.0.0/8")
    monkeypatch.setenv(settings.PORTS, site.rpartition(":")[2].partition("/")[0])
    page.press("Fetch and check")
    assert page.headings == [site]
    assert not any("Not fetched" in one for one in page.texts)


def test_addresses_can_be_switched_off(page: Page, monkeypatch):
    monkeypatch.setenv(settings.ADDRESSES, "off")
    page.run()
    assert any("disabled" in one for one in page.texts)
    assert not page.at.text_input


@pytest.mark.parametrize(
    "name", ["**b** <script>x</script> [a](http://b) $x$ :red[y].jpg", "a\u202egpj.exe", "x" * 300]
)
def test_a_name_is_shown_and_does_nothing(page: Page, name: str):
    page.upload((name, sample("real-astronaut.jpg")), ("b.jpg", sample("real-hopper.jpg")))
    raw = page.at.header[1].value
    for active in ("**", "<", "[a](", "$x$", ":red[", "\u202e"):
        assert active not in UNESCAPED.sub("", raw)
    assert len(page.headings[1]) <= 90
    assert not any(":red[" in option for option in page.at.radio[0].options)


def test_an_address_in_a_name_is_no_link_and_an_icon_no_icon(page: Page):
    name = "http://evil.example https://e.example www.evil.example a@b.example :material/home:.jpg"
    page.upload((name, sample("no-face-cat.jpg")))
    shown = page.at.header[0].value.replace("\\", "")
    assert not any(active in shown for active in ("http:", "https:", "www.", "a@", ":material"))


def test_a_detector_that_cannot_be_loaded_is_told_in_words(monkeypatch, tmp_path):
    monkeypatch.setenv(settings.DETECTOR, str(tmp_path / "none"))
    page = opened()
    assert any("The detector cannot be loaded" in one for one in page.texts)


def test_too_many_pictures_are_said(page: Page, monkeypatch):
    files = [(f"{n}.jpg", b"broken %d" % n) for n in range(settings.MOST_PICTURES + 2)]
    page.upload(*files)
    assert any("22 pictures were given" in one for one in page.texts)
    assert page.headings[0] == "20 pictures"


def test_a_picture_of_the_camera_can_be_removed(page: Page):
    assert not page.at.camera_input
    page.at.toggle(key="camera on").set_value(True)
    page.run()
    page.at.camera_input(key="camera").upload("shot.jpg", sample("real-hopper.jpg"), "image/jpeg")
    page.run()
    assert page.headings == ["camera.jpg"]
    page.press("Remove")
    assert page.headings == []


def test_nothing_is_written_to_disk(page: Page):
    opened_files: list[object] = []
    listening = True

    def hook(event: str, arguments: tuple) -> None:
        if listening and event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            opened_files.append(arguments[0])

    sys.addaudithook(hook)
    page.upload(("a.jpg", sample("real-couple.jpg")), ("b.jpg", b"broken"))
    page.press("Save and check again")
    page.press("A face swap")
    with Path(os.devnull).open("w"):
        listening = False
    assert [str(one) for one in opened_files if "__pycache__" not in str(one)] == [os.devnull]
