"""Feedback over REST: what is taken, what is refused; the service outlives its database."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from contextlib import closing
from datetime import UTC, datetime, timedelta

import httpx
import pytest

pytest.importorskip("sqlalchemy")
pytest.importorskip("fastapi")

from fastapi import FastAPI
from starlette.exceptions import HTTPException

from faceproof.errors import FaceproofError, FeedbackStoreError, UsageError
from faceproof.evaluation.feedback import MOST_FACES, MOST_NOTE
from faceproof.frontends.api import problems
from faceproof.frontends.api.feedback import (
    FeedbackSettings,
    FeedbackStore,
    make_router,
    make_store,
    run_retention,
)
from faceproof.frontends.api.feedback.database import CONNECTIONS
from faceproof.frontends.api.feedback.routes import LONGEST_BODY, MOST_WAITING
from support.feedback import a_face, a_result, feedback, sha


def an_app(store: FeedbackStore | None, settings: FeedbackSettings | None = None) -> FastAPI:
    app = FastAPI(
        exception_handlers={
            FaceproofError: problems.on_faceproof_error,
            HTTPException: problems.on_http_error,
        }
    )
    app.include_router(make_router(store, settings))
    return app


class Client:
    """Asks an app from tests that are not async."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app

    def __call__(self, method: str, path: str, **more) -> httpx.Response:
        return asyncio.run(self._ask(method, path, **more))

    async def _ask(self, method: str, path: str, **more) -> httpx.Response:
        transport = httpx.ASGITransport(self._app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.request(method, path, **more)

    def give(self, **body) -> httpx.Response:
        return self("POST", "/v1/feedback", json={"result": a_result(), "truth": "real"} | body)


@pytest.fixture
def store(tmp_path):
    with closing(FeedbackStore.open(str(tmp_path / "feedback.sqlite"))) as store:
        yield store


@pytest.fixture
def client(store):
    return Client(an_app(store))


class TestGiving:
    def test_it_is_kept_and_named(self, client, store):
        answer = client.give()
        assert answer.status_code == 201
        assert answer.json().keys() == {"id", "is_new", "note_kept"}
        found = store.get(answer.json()["id"])
        assert (found.truth, found.verdict, found.image.sha256) == ("real", "fake", sha("a"))
        assert found.faces[0].quality.cautions == ("small",)

    def test_the_same_again_is_answered_with_the_same_name(self, client, store):
        first, again = client.give(), client.give(note="I said")
        assert (first.status_code, again.status_code) == (201, 200)
        assert again.json() == {"id": first.json()["id"], "is_new": False, "note_kept": False}
        assert store.count() == 1

    def test_a_whole_result_is_taken_and_what_says_who_or_where_is_not_kept(self, client, store):
        """Name, address, landmarks, maps, metadata, and fields of a later version."""
        face = a_face() | {"landmarks": [[1, 2]] * 5, "detection_score": 0.9, "heatmap": "secret"}
        more = {
            "schema": "faceproof.check/1",
            "source": "https://secret.example/me.jpg",
            "status": "ok",
            "error": None,
            "provenance": {"content_credentials": {"author": "secret"}, "findings": ["secret"]},
            "elapsed_ms": 1.5,
            "of_a_later_version": "secret",
        }
        answer = client.give(result=a_result(faces=[face]) | more)
        assert answer.status_code == 201
        text = client("GET", f"/v1/feedback/{answer.json()['id']}").text
        assert "secret" not in text
        assert "landmarks" not in text

    def test_little_is_enough(self, client):
        least = a_result(image={"sha256": sha(1)})
        assert client.give(result={**least, "faces": [], "fake_probability": None}).is_success

    def test_a_note_is_dropped_unless_it_is_wanted_and_that_is_said(self, client, store):
        answer = client.give(note="my aunt Ada")
        assert answer.json()["note_kept"] is False
        assert store.get(answer.json()["id"]).note is None
        keeping = Client(an_app(store, FeedbackSettings(keep_notes=True)))
        answer = keeping.give(note="my\n aunt Ada", result=a_result("b"))
        assert answer.json()["note_kept"] is True
        assert store.get(answer.json()["id"]).note == "my aunt Ada"

    def test_a_generator_gets_our_name(self, client, store):
        shown = a_result(verdict="real", fake_probability=0.1, faces=[])
        answer = client.give(result=shown, truth="fake", generator="StyleGAN2")
        assert store.get(answer.json()["id"]).generator == "stylegan2"

    def test_one_of_several_faces(self, client, store):
        two = a_result(faces=[a_face(0.2, "real"), a_face(left=300)])
        answer = client.give(result=two, face=0, truth="fake")
        found = store.get(answer.json()["id"])
        assert (found.face, found.verdict, found.fake_probability) == (0, "real", 0.2)

    def test_a_face_that_was_not_found_is_feedback_too(self, client):
        unseen = a_result(verdict=None, fake_probability=None, faces=[])
        assert client.give(result=unseen, truth="fake").status_code == 201


class TestRefused:
    @pytest.mark.parametrize(
        ("body", "message"),
        [
            ({"truth": "fake"}, "feedback is for wrong verdicts only"),
            ({"truth": "unsure"}, "body.truth"),
            ({"truth": "real", "face": 1}, "face 1 is out of range: the result has 1 faces"),
            ({"face": -1}, "body.face"),
            ({"face": True}, "body.face"),
            ({"generator": "gan"}, "generator"),
            ({"generator": "x" * 500}, "body.generator"),
            ({"note": "x" * (MOST_NOTE + 1)}, "body.note"),
            ({"note": "left \u202e right"}, "body.note"),
            ({"note": "nul \x00"}, "body.note"),
            ({"unknown": 1}, "body.unknown"),
            ({"result": a_result(image={"sha256": "abc"})}, "body.result.image.sha256"),
            ({"result": a_result(faces=[a_face()] * (MOST_FACES + 1))}, "body.result.faces"),
            ({"result": a_result(fake_probability=1.5)}, "body.result.fake_probability"),
            ({"result": None}, "body.result"),
        ],
    )
    def test_with_422_and_where(self, client, store, body, message):
        answer = client.give(**body)
        assert answer.status_code == 422
        assert answer.headers["content-type"] == "application/problem+json"
        assert message in answer.json()["detail"]
        assert store.count() == 0

    @pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'{"truth": NaN}', b"\xff", b"1"])
    def test_what_is_no_object(self, client, body):
        headers = {"Content-Type": "application/json"}
        answer = client("POST", "/v1/feedback", content=body, headers=headers)
        assert answer.status_code == 422

    def test_infinity_in_a_box(self, client):
        body = json.dumps({"result": a_result(faces=[a_face(left=float("inf"))]), "truth": "real"})
        headers = {"Content-Type": "application/json"}
        assert client("POST", "/v1/feedback", content=body, headers=headers).status_code == 422

    @pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
    def test_what_a_strangers_page_could_send(self, client, store, kind):
        body = json.dumps({"result": a_result(), "truth": "real"})
        answer = client("POST", "/v1/feedback", content=body, headers={"Content-Type": kind})
        assert answer.status_code == 415
        assert store.count() == 0

    def test_a_long_body_is_not_read_to_its_end(self, client):
        sent = 0

        async def endless():
            nonlocal sent
            while True:
                sent += 65536
                yield b" " * 65536

        headers = {"Content-Type": "application/json"}
        answer = client("POST", "/v1/feedback", content=endless(), headers=headers)
        assert answer.status_code == 413
        assert sent <= LONGEST_BODY + 2 * 65536

    def test_the_faults_do_not_repeat_what_was_sent(self, client):
        assert "hunter2" not in client.give(truth="hunter2").text

    def test_off_until_asked_for(self, tmp_path, monkeypatch):
        monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
        monkeypatch.setenv("HOME", str(tmp_path))
        assert FeedbackSettings().database == "off"
        answer = Client(an_app(make_store(FeedbackSettings()))).give()
        assert (answer.status_code, answer.json()["code"]) == (404, "feedback_off")
        assert "FACEPROOF_SERVE_FEEDBACK__DATABASE=default" in answer.json()["detail"]
        assert list(tmp_path.iterdir()) == []

    def test_off(self):
        off = Client(an_app(make_store(FeedbackSettings(database="off"))))
        answer = off.give()
        assert (answer.status_code, answer.json()["code"]) == (404, "feedback_off")


class TestTakingBack:
    def test_it_is_gone(self, client, store):
        name = client.give().json()["id"]
        assert client("DELETE", f"/v1/feedback/{name}").status_code == 204
        assert store.count() == 0
        for method in ("GET", "DELETE"):
            answer = client(method, f"/v1/feedback/{name}")
            assert (answer.status_code, answer.json()["code"]) == (404, "feedback_not_found")

    def test_a_picture_is_no_name(self, client):
        """Who has the picture cannot take back what others said of it."""
        client.give()
        assert client("DELETE", f"/v1/feedback/{sha('a')}").status_code == 422


class TestDatabaseDown:
    def test_503_without_details_and_then_on_again(self, tmp_path, caplog):
        folder = tmp_path / "not" / "mounted"
        store = FeedbackStore(make_store(FeedbackSettings(database=str(folder / "f"))).address)
        client = Client(an_app(store))
        with caplog.at_level(logging.ERROR, logger="faceproof.feedback"):
            answer = client.give()
        assert (answer.status_code, answer.json()["code"]) == (503, "feedback_store")
        assert "mounted" not in answer.text
        assert "create its folder" in caplog.text
        folder.mkdir(parents=True)
        with closing(store):
            assert client.give().status_code == 201

    def test_full(self, tmp_path):
        settings = FeedbackSettings(database=str(tmp_path / "f"), max_rows=1)
        with closing(make_store(settings)) as store:
            client = Client(an_app(store, settings))
            assert client.give().status_code == 201
            answer = client.give(result=a_result("b"))
            assert (answer.status_code, answer.json()["code"]) == (503, "feedback_full")

    def test_a_slow_database_fills_a_short_queue_and_the_loop_goes_on(self):
        release = threading.Event()

        class Slow:
            def add(self, _):
                release.wait(20)
                raise FeedbackStoreError("slow")

        async def crowd() -> tuple[list[int], int]:
            transport = httpx.ASGITransport(an_app(Slow()))
            async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
                body = {"result": a_result(), "truth": "real"}
                asked = [
                    asyncio.create_task(client.post("/v1/feedback", json=body))
                    for _ in range(CONNECTIONS + MOST_WAITING + 5)
                ]
                done, _ = await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
                while len(done) < 5:
                    more, _ = await asyncio.wait(set(asked) - done, timeout=5)
                    done |= more
                early = [task.result().status_code for task in done]
                release.set()
                rest = await asyncio.gather(*asked)
                return early, sum(answer.status_code == 503 for answer in rest)

        early, refused = asyncio.run(crowd())
        assert early == [429] * 5
        assert refused == CONNECTIONS + MOST_WAITING


class TestKeeping:
    def test_old_rows_go_at_the_start_and_again(self, store):
        async def days() -> list[int]:
            counts = []
            store.add(feedback(1))
            async with run_retention(store, FeedbackSettings(retention_days=30), every=0.01):
                for number in (2, 3):
                    while store.count():
                        await asyncio.sleep(0.01)
                    counts.append(store.count())
                    store.add(feedback(number))
            return counts

        assert asyncio.run(asyncio.wait_for(days(), 30)) == [0, 0]

    def test_what_is_young_stays(self, store):
        now = datetime.now(UTC)
        young, old = (
            feedback(days).model_copy(update={"received": now - timedelta(days=days)})
            for days in (29, 31)
        )
        store.add(young)
        store.add(old)

        async def once() -> None:
            async with run_retention(store, FeedbackSettings(retention_days=30)):
                while store.count() > 1:
                    await asyncio.sleep(0.01)

        asyncio.run(asyncio.wait_for(once(), 30))
        assert [one.id for one in store] == [young.id]

    def test_nothing_is_made_before_something_is_given(self, tmp_path):
        settings = FeedbackSettings(database=str(tmp_path / "feedback.sqlite"))

        async def run() -> None:
            async with run_retention(make_store(settings), settings, every=0.01):
                await asyncio.sleep(0.05)

        asyncio.run(run())
        assert list(tmp_path.iterdir()) == []

    def test_a_database_that_refuses_is_asked_again(self, tmp_path, caplog):
        file = tmp_path / "feedback.sqlite"
        file.write_bytes(b"no database" * 100)
        settings = FeedbackSettings(database=str(file))

        async def run() -> None:
            async with run_retention(make_store(settings), settings, every=0.01):
                while len(caplog.records) < 2:
                    await asyncio.sleep(0.01)

        with caplog.at_level(logging.ERROR, logger="faceproof.feedback"):
            asyncio.run(asyncio.wait_for(run(), 30))
        assert "is not an SQLite database" in caplog.text

    def test_off_keeps_nothing_and_an_address_that_is_none_is_refused_at_once(self):
        assert make_store(FeedbackSettings(database="off")) is None
        with pytest.raises(UsageError, match="mysql"):
            make_store(FeedbackSettings(database="mysql://x/y"))
