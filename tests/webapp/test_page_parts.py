"""Parts of the page that need no session: the band, names, settings, samples, headers, uploads."""

import asyncio
import base64
import hashlib
import io
import json
import re

import numpy as np
import pytest
from PIL import Image
from starlette.requests import Request

from faceproof import Checker, Detector
from faceproof.detector import ChosenOn, OperatingPoint
from faceproof.errors import UsageError
from faceproof.frontends.webapp import downloads, serving
from faceproof.frontends.webapp.answers import GivenPicture, unique_pictures
from faceproof.frontends.webapp.browser import SCRIPTS, script_html
from faceproof.frontends.webapp.faces import band_html, crop_close_up
from faceproof.frontends.webapp.samples import SAMPLES
from faceproof.frontends.webapp.serving import PageHeadersMiddleware, page_headers
from faceproof.frontends.webapp.settings import Settings
from faceproof.frontends.webapp.sliders import budget_label, ordered_points
from faceproof.imaging.decode import DEFAULT_LIMITS, decode
from faceproof.reports.marked_picture import mark_picture
from faceproof.reports.words import rarity_words
from support.webpage import sample


def point(low: float, high: float) -> OperatingPoint:
    chosen_on = ChosenOn(data_sha256="0" * 64, n=9)
    return OperatingPoint(
        name="p", real_below=low, fake_from=high, promise="?", chosen_on=chosen_on
    )


@pytest.mark.parametrize(("low", "high"), [(0.2, 0.95), (0.5, 0.5), (0.0, 1.0)])
@pytest.mark.parametrize("probability", [0.0, 0.5, 1.0])
def test_the_bands_fill_the_bar_and_the_mark_lies_on_it(low, high, probability):
    html = band_html(probability, point(low, high))
    widths = [float(number) for number in re.findall(r"width:([\d.]+)%", html)]
    assert sum(widths) == pytest.approx(100, abs=0.02)
    assert float(re.search(r"left:([\d.]+)%", html)[1]) == pytest.approx(100 * probability)
    assert ("<span>unsure</span>" in html) == (high > low)
    assert 'role="img" aria-label="' in html


def test_settings_come_through_the_environment_as_they_were():
    settings = Settings("mine", addresses=False, allow_private=("10.0.0.0/8",), ports=(80, 8080))
    assert Settings.read(settings.variables()) == settings
    assert Settings.read(Settings().variables()) == Settings()


@pytest.mark.parametrize(
    "environment",
    [{"FACEPROOF_APP_ADDRESSES": "perhaps"}, {"FACEPROOF_APP_PORTS": "eighty"}],
)
def test_settings_that_mean_nothing_are_refused(environment):
    with pytest.raises(UsageError, match=next(iter(environment))):
        Settings.read(environment)


def test_samples_are_small_and_what_they_are_said_to_be():
    checker = Checker(Detector.load("default"))
    faces = {one.file: len(checker.check(one.read()).faces) for one in SAMPLES}
    assert faces == {
        "generated-man.jpg": 1,
        "astronaut.jpg": 1,
        "generated.jpg": 1,
        "couple.jpg": 2,
        "face-swap.jpg": 1,
        "cat.jpg": 0,
    }
    assert sum(len(one.read()) for one in SAMPLES) < 230_000
    assert all(one.alt and one.about and one.credit for one in SAMPLES)


def test_pictures_that_were_given_twice_are_one():
    pictures = [
        GivenPicture("a.jpg", b"1"),
        GivenPicture("a.jpg", b"1"),
        GivenPicture("b.jpg", b"1"),
    ]
    assert [one.name for one in unique_pictures(pictures)] == ["a.jpg", "b.jpg"]


def test_operating_points_go_from_many_false_alarms_to_few():
    spec = Detector.load("default").spec
    budgets = [one.bpcer_budget for one in ordered_points(spec)]
    assert budgets == sorted(budgets, reverse=True)
    assert [budget_label(one) for one in ordered_points(spec)] == list(map(rarity_words, budgets))


def test_downloads_are_the_answer_and_reports_on_it(monkeypatch):
    given = {}

    def button(label, data, name, mime, **_):
        given[mime] = (name, data() if callable(data) else data)

    monkeypatch.setattr(downloads.st, "download_button", button)
    data = sample("real-astronaut.jpg")
    detector = Detector.load("default")
    result = Checker(detector).check(data, name="a b.jpg")
    downloads.draw_downloads(GivenPicture("a b.jpg", data), result, detector.spec, ())
    name, text = given["application/json"]
    assert name == "a-b-faceproof.json"
    assert json.loads(text) == json.loads(result.model_dump_json(by_alias=True))
    _, page = given["text/html"]
    assert decode(data).sha256.encode() in page
    assert detector.sha256.encode() in page
    assert given["application/pdf"][1].startswith(b"%PDF-")
    name, marked = given["image/png"]
    assert name == "a-b-faceproof.png"
    assert np.array_equal(Image.open(io.BytesIO(marked)), mark_picture(decode(data).pixels, result))


def test_a_small_face_is_shown_enlarged_and_a_large_one_is_not():
    detector = Checker(Detector.load("default"))
    small, large = (sample(f"real-{name}.jpg") for name in ("brothers-small-faces", "hopper"))
    for data, shown in ((small, True), (large, False)):
        pixels = decode(data).pixels
        for face in detector.check(data).faces:
            close_up = crop_close_up(pixels, face)
            assert (close_up is not None) == shown
            if shown:
                assert close_up.shape[0] > face.box[3]
                assert close_up.shape[1] > face.box[2]


async def _answer(app: object) -> list[dict]:
    sent: list[dict] = []

    async def send(message: dict) -> None:
        sent.append(message)

    await app({"type": "http"}, None, send)
    return sent


def test_every_answer_carries_the_headers():
    async def plain(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": [(b"a", b"b")]})
        await send({"type": "http.response.body", "body": b""})

    start, _ = asyncio.run(_answer(PageHeadersMiddleware(plain)))
    got = dict(start["headers"])
    assert got[b"a"] == b"b"
    assert got.keys() >= {name.encode() for name in page_headers()}
    policy = page_headers()["content-security-policy"]
    assert "http:" not in policy
    assert "https:" not in policy
    assert "script-src 'self' 'wasm-unsafe-eval' 'sha256-" in policy
    assert "'unsafe-eval'" not in policy
    for script in SCRIPTS:
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy
        assert f"<script>{script}</script>" in script_html(script)


def test_an_upload_stays_in_memory(monkeypatch):
    """Without our setting Starlette moves a file of more than a megabyte to disk."""
    from starlette.formparsers import MultiPartParser

    monkeypatch.setattr(MultiPartParser, "spool_max_size", MultiPartParser.spool_max_size)
    assert _rolled(3)
    serving.keep_uploads_in_memory()
    assert not _rolled(3)
    assert MultiPartParser.spool_max_size > DEFAULT_LIMITS.max_bytes


def _rolled(megabytes: int) -> bool:
    """Return whether a file of this size came to lie on disk."""
    body = (
        b'--x\r\nContent-Disposition: form-data; name="f"; filename="a"\r\n\r\n'
        + bytes(megabytes * 2**20)
        + b"\r\n--x--\r\n"
    )
    messages = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def receive() -> dict:
        return next(messages)

    async def parse() -> bool:
        kind = (b"content-type", b"multipart/form-data; boundary=x")
        request = Request({"type": "http", "method": "PUT", "headers": [kind]}, receive)
        async with request.form() as form:
            return form["f"].file._rolled

    return asyncio.run(parse())


def test_streamlit_is_told_to_keep_to_itself():
    """A misspelt option would be refused when the page starts; here it is told at once."""
    from streamlit import config

    known = config._config_options_template
    assert serving.CONFIG.keys() <= known.keys()
    assert serving.CONFIG["browser.gatherUsageStats"] is False
    assert serving.CONFIG["server.maxUploadSize"] * 2**20 == DEFAULT_LIMITS.max_bytes
