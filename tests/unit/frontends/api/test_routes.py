"""POST /v1/check and /v1/check/batch: the command line's results, and problems for the rest.

With heat maps on request the service gives what a Checker with heat maps gives.
"""

import asyncio
import json

import httpx
import pytest

from faceproof import Checker, Detector
from faceproof.frontends.api.problems import MEDIA_TYPE
from support.service import SAMPLES, app_of, client_of, picture, run

WHITE, BLACK = picture(255), picture(0)
MULTIPART = b"multipart/form-data; boundary=abc"


@pytest.fixture
def client(tiny_bundle):
    with client_of(tiny_bundle, max_file_bytes=20_000, max_body_bytes=60_000, max_files=3) as given:
        yield given


def sent(data=WHITE, name="a.png"):
    return {"file": (name, data)}


def problem(answer):
    """Return status and code of a problem, after a look at its form."""
    assert answer.headers["content-type"] == MEDIA_TYPE
    content = answer.json()
    assert content["status"] == answer.status_code
    assert content["type"] == "about:blank"
    assert content["title"]
    assert content["detail"]
    return answer.status_code, content["code"]


def test_an_answer_is_what_the_checker_says(client, tiny_bundle):
    expected = Checker(Detector.load(tiny_bundle), faces="whole", at="strict").check(
        WHITE, name="a.png"
    )
    answer = client.post("/v1/check?faces=whole&at=strict", files=sent())
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    ours = json.loads(expected.model_dump_json())
    assert list(answer.json()) == list(ours)
    assert answer.json() | {"elapsed_ms": 0} == ours | {"elapsed_ms": 0}


def test_a_picture_without_a_face_is_an_answer(client):
    answer = client.post("/v1/check", files=sent())
    assert (answer.status_code, answer.json()["status"]) == (200, "no_face")


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (sent(b""), (422, "empty_file")),
        (sent(b"text", "a.png"), (422, "mislabelled_file")),
        (sent(b"text", "a"), (422, "unsupported_format")),
        (sent(WHITE[:60]), (422, "truncated_picture")),
        (sent(bytes(20_001)), (413, "file_too_large")),
        ({"photo": ("a.png", WHITE)}, (400, "bad_request")),
        ([("file", ("a.png", WHITE)), ("file", ("b.png", WHITE))], (400, "bad_request")),
    ],
)
def test_what_cannot_be_checked_is_a_problem_with_the_code_of_the_command_line(
    client, files, expected
):
    assert problem(client.post("/v1/check", files=files)) == expected


def test_pixels_are_limited(tiny_bundle):
    with client_of(tiny_bundle, max_pixels=1000) as client:
        assert problem(client.post("/v1/check", files=sent())) == (413, "picture_too_large")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"content": b"x"}, (415, "unsupported_media_type")),
        (
            {"content": b"x", "headers": {"content-type": "text/plain"}},
            (415, "unsupported_media_type"),
        ),
        ({"data": {"url": "x"}}, (415, "unsupported_media_type")),
        ({"json": {}}, (422, "usage")),
        ({"json": {"url": 5}}, (422, "usage")),
        ({"json": {"url": ""}}, (422, "usage")),
        ({"json": {"url": "http://a", "more": 1}}, (422, "usage")),
        ({"content": b"{", "headers": {"content-type": "application/json"}}, (422, "usage")),
        ({"json": {"url": "x" * 5000}}, (422, "usage")),
        ({"json": {"url": "/etc/passwd"}}, (422, "address_refused")),
        ({"json": {"url": "file:///etc/passwd"}}, (422, "address_refused")),
        ({"json": {"url": "http://127.0.0.1:80/a.png?token=secret"}}, (422, "address_refused")),
    ],
)
def test_bodies_that_do_not_fit(client, options, expected):
    answer = client.post("/v1/check", **options)
    assert problem(answer) == expected
    assert "secret" not in answer.text
    assert "root:" not in answer.text


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("at=nope", (422, "unknown_choice")),
        ("at=", (422, "unknown_choice")),
        ("faces=most", (422, "unknown_choice")),
        ("heatmaps=perhaps", (422, "usage")),
        ("heatmaps=true", (422, "no_heat_map")),
        ("heatmap=true", (422, "usage")),
    ],
)
def test_queries_that_do_not_fit(client, query, expected):
    answer = client.post(f"/v1/check?{query}", files=sent())
    assert problem(answer) == expected
    assert query.partition("=")[0] in answer.text or expected[1] != "usage"


def test_addresses_may_be_switched_off(tiny_bundle):
    with client_of(tiny_bundle, addresses=False) as client:
        answer = client.post("/v1/check", json={"url": "http://example.org/a.png"})
        assert problem(answer) == (422, "unsupported_source")


def test_an_address_is_fetched_and_named_without_its_query(client, monkeypatch):
    asked = []

    def fetch(address, policy):
        asked.append((address, policy.max_bytes))
        return type("Fetched", (), {"data": WHITE})

    monkeypatch.setattr("faceproof.frontends.api.engine.fetch", fetch)
    address = "https://me:pw@example.org/a.png?token=secret#part"
    answer = client.post("/v1/check?faces=whole", json={"url": address})
    assert asked == [(address, 20_000)]
    assert answer.json()["verdict"] == "fake"
    assert answer.json()["source"] == "https://example.org/a.png"
    several = client.post("/v1/check/batch?faces=whole", json={"urls": [address, address]})
    assert [one["verdict"] for one in several.json()["results"]] == ["fake", "fake"]


def test_each_picture_of_a_batch_has_its_own_result(client):
    files = [("file", ("w.png", WHITE)), ("file", ("x.png", b"text")), ("file", ("b.png", BLACK))]
    answer = client.post("/v1/check/batch?faces=whole", files=files)
    assert answer.status_code == 200
    content = answer.json()
    assert content["schema"] == "faceproof.batch/1"
    output = [(one["source"], one["status"], one["verdict"]) for one in content["results"]]
    assert output == [("w.png", "ok", "fake"), ("x.png", "error", None), ("b.png", "ok", "real")]
    assert content["results"][1]["error"]["code"] == "mislabelled_file"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"files": [("file", ("a.png", WHITE))] * 4}, (400, "bad_request")),
        (
            {"files": [("file", (f"{n}.png", bytes(19_990))) for n in range(4)]},
            (413, "file_too_large"),
        ),
        ({"json": {"urls": []}}, (422, "usage")),
        ({"json": {"urls": ["http://a"] * 4}}, (400, "bad_request")),
        ({"json": {"url": "http://a"}}, (422, "usage")),
    ],
)
def test_batches_that_do_not_fit(client, options, expected):
    assert problem(client.post("/v1/check/batch", **options)) == expected


def test_an_empty_form_names_what_is_missing(client):
    kind = {"content-type": "multipart/form-data; boundary=abc"}
    for path in ("/v1/check", "/v1/check/batch"):
        answer = client.post(path, content=b"--abc--\r\n", headers=kind)
        assert problem(answer) == (400, "bad_request")
        assert "'file'" in answer.text


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/v2", (404, "not_found")),
        ("GET", "/v1/check", (405, "method_not_allowed")),
        ("PUT", "/healthz", (405, "method_not_allowed")),
        ("POST", "/docs", (405, "method_not_allowed")),
        ("GET", "/v1/detectors/other", (404, "not_found")),
        ("GET", "/v1/detectors/other/card", (404, "not_found")),
    ],
)
def test_what_the_framework_refuses_is_a_problem_too(client, method, path, expected):
    answer = client.request(method, path)
    assert problem(answer) == expected
    assert ("allow" in answer.headers) == (expected[0] == 405)


def test_a_body_is_refused_by_what_it_announces_and_before_it_is_read(tiny_bundle):
    async def work():
        app = app_of(tiny_bundle, max_file_bytes=1000, max_body_bytes=2000)
        async with app.router.lifespan_context(app):
            read = []
            answered = []

            async def receive():
                read.append(1)
                assert len(read) < 10
                return {"type": "http.request", "body": b" " * 500, "more_body": True}

            async def send(message):
                answered.append(message)

            async def post(*headers, kind):
                read.clear()
                answered.clear()
                await app(scope(*headers, kind=kind), receive, send)
                return answered[0]["status"], len(read)

            announced = await post((b"content-length", b"2001"), kind=MULTIPART)
            return announced, await post(kind=b"application/json")

    announced, streamed = run(work)
    assert announced == (413, 0)
    assert streamed == (413, 5)


def test_a_full_service_says_when_to_ask_again(tiny_bundle):
    with client_of(tiny_bundle, max_waiting=2, max_files=2) as client:
        client.app.state.service.capacity.reserve(2)
        answer = client.post("/v1/check", files=sent())
        assert problem(answer) == (429, "busy")
        assert int(answer.headers["retry-after"]) >= 1
        metrics = client.get("/metrics").text
        assert 'faceproof_refused_total{reason="busy"} 1.0' in metrics
        client.app.state.service.capacity.waiting = 0


def test_bytes_of_all_bodies_are_limited(tiny_bundle):
    with client_of(tiny_bundle, max_held_bytes=2000, max_body_bytes=2000) as client:
        client.app.state.service.capacity.bytes_in_use = 1990
        assert problem(client.post("/v1/check", files=sent())) == (429, "busy")
        client.app.state.service.capacity.bytes_in_use = 0
        assert client.post("/v1/check", files=sent()).status_code == 200
        assert client.app.state.service.capacity.bytes_in_use == 0


def test_what_is_fetched_is_held_too(tiny_bundle, monkeypatch):
    fetched = type("Fetched", (), {"data": WHITE + bytes(500)})
    monkeypatch.setattr("faceproof.frontends.api.engine.fetch", lambda *_: fetched)
    with client_of(tiny_bundle, max_held_bytes=2000, max_body_bytes=2000) as client:
        room = client.app.state.service.capacity
        room.bytes_in_use = 1900
        answer = client.post("/v1/check", json={"url": "https://example.org/a.png"})
        assert problem(answer) == (429, "busy")
        assert room.bytes_in_use == 1900
        room.bytes_in_use = 0
        answer = client.post("/v1/check", json={"url": "https://example.org/a.png"})
        assert answer.status_code == 200
        assert room.bytes_in_use == 0


def test_a_body_that_comes_too_slowly_is_given_up(tiny_bundle):
    async def work():
        app = app_of(tiny_bundle, upload_seconds=0.1)
        async with app.router.lifespan_context(app):

            async def slowly():
                yield b"--abc\r\n"
                await asyncio.sleep(0.5)
                yield b"x"

            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(
                transport=transport, base_url="http://localhost"
            ) as client:
                kind = {"content-type": "multipart/form-data; boundary=abc"}
                return await client.post("/v1/check", content=slowly(), headers=kind)

    assert problem(run(work)) == (408, "slow_request")


def test_a_client_that_leaves_frees_its_place(tiny_bundle):
    async def work():
        app = app_of(tiny_bundle, opening_threads=1)
        async with app.router.lifespan_context(app):
            service = app.state.service
            gone = asyncio.Event()
            messages = iter([{"type": "http.request", "body": body(), "more_body": False}])
            answered = []

            async def receive():
                if message := next(messages, None):
                    return message
                await gone.wait()
                return {"type": "http.disconnect"}

            async def send(message):
                answered.append(message)

            async with service.engine._opening._free:  # nothing can be opened
                asked = asyncio.create_task(app(scope(), receive, send))
                while not service.capacity.waiting:
                    await asyncio.sleep(0.01)
                assert service.capacity.bytes_in_use > 0
                gone.set()
                await asked
                assert (service.capacity.waiting, service.capacity.bytes_in_use) == (0, 0)
            return answered[0]["status"]

    assert run(work) == 499


def body():
    head = b'--abc\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n'
    return head + WHITE + b"\r\n--abc--\r\n"


def scope(*headers, kind=MULTIPART):
    return {
        "type": "http",
        "method": "POST",
        "path": "/v1/check",
        "query_string": b"",
        "headers": [(b"content-type", kind), (b"host", b"localhost"), *headers],
        "raw_path": b"",
        "root_path": "",
        "http_version": "1.1",
        "client": ("127.0.0.1", 1),
        "scheme": "http",
    }


def test_a_bug_is_told_to_nobody(client, monkeypatch, caplog):
    def broken(*_, **__):
        raise RuntimeError("secret")

    monkeypatch.setattr("faceproof.frontends.api.service.Service.check_one", broken)
    answer = client.post("/v1/check", files=sent())
    assert problem(answer) == (500, "internal")
    assert "secret" not in answer.text


def test_a_crowd_costs_too_much(tiny_bundle, monkeypatch):
    with client_of(tiny_bundle, max_faces=1) as client:
        bounded = client.app.state.service.checkers[client.app.state.service.checkers.default]
        monkeypatch.setattr(bounded._finder, "_finder", Crowd())
        assert problem(client.post("/v1/check", files=sent())) == (422, "too_many_faces")


class Crowd:
    def find(self, pixels):
        return [None, None]


PICTURE = SAMPLES / "real-couple.jpg"


@pytest.fixture(scope="module")
def detector():
    return Detector.load("default")


@pytest.fixture(scope="module")
def client_of_heatmaps(detector):
    with client_of(detector.bundle.folder) as given:
        yield given


@pytest.mark.parametrize("heatmaps", [False, True])
def test_a_result_is_that_of_the_checker(client_of_heatmaps, detector, heatmaps):
    checker = Checker(detector, heatmaps=heatmaps)
    expected = checker.check(PICTURE.read_bytes(), name=PICTURE.name).model_dump(mode="json")
    answer = client_of_heatmaps.post(
        f"/v1/check?heatmaps={str(heatmaps).lower()}",
        files={"file": (PICTURE.name, PICTURE.read_bytes())},
    )
    assert answer.status_code == 200
    assert answer.json() | {"elapsed_ms": 0} == expected | {"elapsed_ms": 0}
    assert len(answer.json()["faces"]) == 2
    assert all((face["heatmap"] is not None) == heatmaps for face in answer.json()["faces"])


def test_the_detector_says_that_it_has_them(client_of_heatmaps):
    assert client_of_heatmaps.get("/v1/detectors").json()["detectors"][0]["heatmaps"] is True


def test_card_and_description_are_the_files_of_the_bundle(client_of_heatmaps, detector):
    card = client_of_heatmaps.get(f"/v1/detectors/{detector.spec.name}/card")
    assert card.headers["content-type"].startswith("text/markdown")
    assert card.content == (detector.bundle.folder / "CARD.md").read_bytes()
    whole = client_of_heatmaps.get(f"/v1/detectors/{detector.spec.name}")
    assert whole.content == (detector.bundle.folder / "detector.json").read_bytes()
