"""What a line says, and that nothing a client sent is ever in one."""

from __future__ import annotations

import asyncio
import json
import logging
import logging.config
import re
from datetime import datetime

import pytest
from starlette.testclient import TestClient

from faceproof.frontends.api.security import Metrics, SecuritySettings
from faceproof.frontends.api.security.request_context import REQUEST_CONTEXT
from faceproof.frontends.api.security.request_log import (
    JsonFormatter,
    RequestLogMiddleware,
    TextFormatter,
    exception_frames,
    log_config,
)
from support.secured import add_key, client, logged, service

#: Each stands where a client can write; none may stand in a log.
CANARY = "c4nary"


def lines(message) -> list[dict]:
    """Return the lines of requests."""
    parsed = [json.loads(line) for line in message.json]
    return [line for line in parsed if line["event"] == "request"]


def test_a_line_says_what_happened(tmp_path):
    file = tmp_path / "keys.json"
    secret, identity = add_key(file)
    asking = TestClient(service(SecuritySettings(keys_file=file)), client=("203.0.113.77", 4711))
    with logged() as output:
        answer = asking.post("/v1/check", content=b"12345", headers={"X-API-Key": secret})
    (line,) = lines(output)
    assert datetime.fromisoformat(line.pop("time")).utcoffset().seconds == 0
    assert 0 <= line.pop("ms") < 60_000
    assert line == {
        "level": "info",
        "event": "request",
        "logger": "faceproof.requests",
        "request_id": answer.headers["x-request-id"],
        "method": "POST",
        "route": "/v1/check",
        "status": 200,
        "bytes_in": 5,
        "bytes_out": len(answer.content),
        "key": identity,
        "checks": {"fake": 1},
        "client": "203.0.113.0/24",
    }


def test_a_batch_says_what_its_pictures_came_to():
    """Also where the route runs in a thread of the framework."""
    with logged() as output:
        client().post("/v1/check/batch")
    assert lines(output)[0]["checks"] == {"real": 2, "no_face": 1, "empty_file": 1}


def test_addresses_are_shortened_or_left_out():
    def network(address: str, *, log_addresses: bool = True) -> str | None:
        app = service(SecuritySettings(log_addresses=log_addresses))
        with logged() as output:
            TestClient(app, client=(address, 1)).get("/healthz")
        return lines(output)[0].get("client")

    assert network("203.0.113.77") == "203.0.113.0/24"
    assert network("2001:db8:1:2::3") == "2001:db8:1::/48"
    assert network("::ffff:203.0.113.77") == "203.0.113.0/24"
    assert network("203.0.113.77", log_addresses=False) is None


@pytest.mark.parametrize("sent", ["build-7.attempt-2", "0" * 64, "a.b-c.d-e"])
def test_an_id_that_came_with_a_request_is_kept(sent):
    with logged() as output:
        answer = client().get("/healthz", headers={"X-Request-ID": sent})
    assert answer.headers["x-request-id"] == lines(output)[0]["request_id"] == sent


@pytest.mark.parametrize(
    "sent",
    ["short", "x" * 65, "has space", "semi;colon", "fp_" + "a" * 12, "<script>", "caf\xe9-cafe"],
)
def test_what_is_no_id_is_not_repeated(sent):
    with logged() as output:
        headers = {"X-Request-ID": sent.encode("latin-1")}
        answer = client().get("/healthz", headers=headers)
    assert re.fullmatch(r"[0-9a-f]{32}", answer.headers["x-request-id"])
    assert sent not in "".join(output.json)


def spoilt(name: str) -> str:
    """Return a canary with what breaks lines and terminals."""
    return f"{CANARY}-{name}\r\n\x1b[2J"


def requests() -> list[dict]:
    """Return requests with a canary wherever a client can write one."""
    upload = (f"{CANARY}-filename.jpg", f"{CANARY}-picture".encode(), f"image/{CANARY}")
    headers = {
        "Authorization": f"Bearer fp_{CANARY}",
        "X-API-Key": f"fp_{'a' * 12}_{CANARY}",
        "User-Agent": spoilt("agent").encode(),
        "Cookie": f"session={CANARY}",
        "Referer": f"https://{CANARY}.example/?q={CANARY}",
        "X-Request-ID": f"{CANARY}_id",
        "X-Forwarded-For": f"{CANARY}, 192.0.2.1",
        f"X-{CANARY}": CANARY,
    }
    where = {"headers": headers, "params": {CANARY: CANARY, "at": spoilt("query")}}
    return [
        {"method": "POST", "url": path, **body, **where}
        for path in ("/v1/check", "/v1/bug", f"/{CANARY}/../{CANARY}%0A%00", "/metrics")
        for body in (
            {"files": {CANARY: upload}},
            {"json": {"url": f"https://user:{CANARY}@example.org/{CANARY}.jpg?token={CANARY}"}},
            {"content": spoilt("raw").encode()},
        )
    ] + [
        {"method": f"{CANARY}", "url": "/v1/check", **where},
        {"method": "GET", "url": f"/v1/detectors/{CANARY}", **where},
        {"method": "GET", "url": "/v1/cut", **where},
    ]


def test_nothing_that_a_client_sent_is_in_any_log(capfd, tmp_path):
    """Neither in lines nor in tracebacks, with keys and without, as JSON and as text."""
    file = tmp_path / "keys.json"
    add_key(file)
    guarded = SecuritySettings(keys_file=file, trusted_proxies="0.0.0.0/0, ::/0")
    with logged() as output:
        for settings in (SecuritySettings(), guarded):
            asking = client(settings, base_url="http://canary-host")
            for request in requests():
                asking.request(**request)
    everything = "\n".join([*output.json, *output.text, *capfd.readouterr()])
    assert len(lines(output)) == 2 * len(requests())
    assert sum('"bug"' in line for line in output.json) == 4
    assert CANARY not in everything
    assert "canary-host" not in everything


def test_a_line_is_one_line_without_control_characters():
    record = logging.makeLogRecord({"msg": "a\nb\x1b[2J\u2028", "level": logging.INFO})
    record.worth = "c\nd é"
    for form in (JsonFormatter(), TextFormatter()):
        line = form.format(record)
        assert line.isprintable()
        assert line.isascii()


def test_a_request_that_is_over_is_not_named_in_what_is_logged_later():
    async def answer(scope, receive, send) -> None:
        assert REQUEST_CONTEXT.get() is not None

    async def ask() -> None:
        watched = RequestLogMiddleware(answer, metrics=Metrics())
        await watched({"type": "http", "method": "GET", "path": "/", "headers": []}, None, None)
        assert REQUEST_CONTEXT.get() is None

    asyncio.run(ask())


def test_text_lines_are_words():
    with logged() as output:
        client().get("/healthz")
    line = next(line for line in output.text if " request " in line)
    assert re.match(
        r"\S+ info request logger=faceproof.requests request_id=\w{32} method=GET", line
    )
    assert "route=/healthz status=200" in line


def test_a_bug_is_logged_where_it_happened_and_told_without_words():
    with logged() as output:
        answer = client().post("/v1/bug", content=b"secret words")
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["code"] == "internal"
    assert "secured.py" not in answer.text
    assert "KeyError" not in answer.text
    bug = next(json.loads(line) for line in output.json if '"bug"' in line)
    assert bug["traceback"][0] == "KeyError"
    assert any(re.search(r"secured\.py:\d+ in bug$", place) for place in bug["traceback"])
    assert bug["request_id"] == answer.headers["x-request-id"]
    assert "secret words" not in "".join(output.json)


def test_causes_are_told_by_type():
    try:
        try:
            int(CANARY)
        except ValueError as error:
            raise RuntimeError(CANARY) from error
    except RuntimeError as error:
        actual = exception_frames(error)
    assert [line for line in actual if ":" not in line] == ["RuntimeError", "ValueError"]
    assert CANARY not in str(actual)


def test_an_error_that_is_its_own_cause_ends():
    error = ValueError()
    error.__context__ = other = KeyError()
    other.__context__ = error
    assert exception_frames(error) == ["ValueError", "KeyError"]
    assert exception_frames(None) == []


def test_a_cut_answer_is_cut_and_logged():
    with logged() as output, pytest.raises(OSError, match="gone"):
        client(raise_server_exceptions=True).get("/v1/cut")
    assert any('"bug"' in line for line in output.json)
    assert lines(output)[-1]["status"] == 200


@pytest.fixture
def restored():
    """Loggers as they were, after a test that configures them."""
    root = logging.getLogger()
    known = [root, *(log for log in root.manager.loggerDict.values() if hasattr(log, "handlers"))]
    before = [(log, log.level, log.handlers[:], log.propagate, log.disabled) for log in known]
    yield
    for log, level, handlers, propagate, disabled in before:
        log.setLevel(level)
        log.handlers[:] = handlers
        log.propagate, log.disabled = propagate, disabled
    for name in ("httpx", "httpcore", "uvicorn", "uvicorn.error", "uvicorn.access", "faceproof"):
        log = logging.getLogger(name)
        if log not in known:
            log.setLevel(logging.NOTSET)
            log.propagate = True


@pytest.mark.parametrize("form", ["json", "text"])
def test_the_servers_own_logs_go_through_the_same_lines(restored, capfd, form):
    logging.config.dictConfig(log_config(form))
    logging.getLogger("uvicorn.access").info("GET /?%s", CANARY)
    logging.getLogger("httpx").info("HTTP Request: GET https://example.org/%s", CANARY)
    logging.getLogger("multipart").warning("Did not find boundary %r", CANARY)
    logging.getLogger("asyncio").error("never retrieved\nfuture: <%s>", CANARY)
    try:
        int(CANARY)
    except ValueError:
        logging.getLogger("uvicorn.error").exception("Exception in ASGI application\n")
    logging.getLogger("uvicorn.error").info("Started")
    output = capfd.readouterr()
    assert output.out == ""
    assert CANARY not in output.err
    assert len(output.err.splitlines()) == 3
    assert "ValueError" in output.err
    assert "Started" in output.err
    assert "never retrieved" in output.err


def test_lines_of_requests_may_be_off_while_bugs_are_told(restored, capfd):
    logging.config.dictConfig(log_config("off"))
    asking = client()
    asking.get("/healthz")
    assert capfd.readouterr().err == ""
    asking.post("/v1/bug")
    assert "KeyError" in capfd.readouterr().err
