"""The guard around the service itself: whatever routes it has or will have are behind it."""

from __future__ import annotations

import json

import pytest
from starlette.testclient import TestClient

from faceproof.frontends.api.security import SecuritySettings
from faceproof.frontends.api.security.install import describe_security
from faceproof.frontends.api.security.request_context import OPEN_PATHS
from support.secured import add_key, logged
from support.service import app_of, client_of, picture

ROUTES_AT_LEAST = {"/v1/check", "/v1/check/batch", "/v1/detectors", "/healthz", "/readyz"}


@pytest.fixture
def keyed(tmp_path):
    """Settings with keys, and the secret of one."""
    file = tmp_path / "keys.json"
    secret, _ = add_key(file)
    return {"guard": SecuritySettings(keys_file=file, failures_per_minute=100_000)}, secret


def operations(document: dict) -> list[tuple[str, str]]:
    """Return path and method of all that a document describes."""
    return [
        (path, method.upper())
        for path, methods in document["paths"].items()
        for method in methods
        if method != "parameters"
    ]


def test_every_route_is_behind_the_keys_but_health(tiny_bundle, keyed):
    app = app_of(tiny_bundle, **keyed[0])
    described_here = operations(app.openapi())
    assert {path for path, _ in described_here} >= ROUTES_AT_LEAST
    asking = TestClient(app, raise_server_exceptions=False)
    everything = [*described_here, ("/openapi.json", "GET"), ("/metrics", "GET"), ("/docs", "GET")]
    answered = {
        path
        for path, method in everything
        if asking.request(method, path.replace("{", "x").replace("}", "x")).status_code != 401
    }
    assert answered <= OPEN_PATHS


def test_a_key_opens_the_service_and_its_answers_are_guarded(tiny_bundle, keyed):
    settings, secret = keyed
    files = {"file": ("c4nary.png", picture(255), "image/png")}
    where = {"params": {"faces": "whole", "at": "balanced"}, "headers": {"X-API-Key": secret}}
    with client_of(tiny_bundle, **settings) as asking, logged() as output:
        answer = asking.post("/v1/check", files=files, **where)
        refused = asking.post(
            "/v1/check", files=files, params={"at": "c4nary"}, headers=where["headers"]
        )
        counted = asking.get("/metrics", headers=where["headers"]).text
    assert (answer.status_code, answer.json()["verdict"]) == (200, "fake")
    assert answer.headers["cache-control"] == "no-store"
    assert refused.status_code == 422
    lines = [json.loads(line) for line in output.json if '"request"' in line]
    assert lines[0]["checks"] == {"fake": 1}
    assert "c4nary" not in "".join(output.json)
    assert 'route="/v1/check",status="200"} 1.0' in counted
    assert 'faceproof_detector_info{name="bright"' in counted
    assert "c4nary" not in counted


def test_the_description_says_how_keys_are_sent_and_what_refusals_are(tiny_bundle, keyed):
    document = app_of(tiny_bundle, **keyed[0]).openapi()
    assert set(document["components"]["securitySchemes"]) == {"bearer", "header"}
    assert document["security"] == [{"bearer": []}, {"header": []}]
    check, health = document["paths"]["/v1/check"]["post"], document["paths"]["/healthz"]["get"]
    assert {"401", "403", "421", "429", "503"} <= set(check["responses"])
    assert {"busy", "too_many_requests"} <= set(
        check["responses"]["429"]["content"]["application/problem+json"]["examples"]
    )
    assert health["security"] == []
    assert "401" not in health["responses"]


def test_without_keys_the_description_asks_for_none(tiny_bundle):
    app = app_of(tiny_bundle)
    document = app.openapi()
    assert "securitySchemes" not in document["components"]
    assert "401" not in document["paths"]["/v1/check"]["post"]["responses"]
    assert document == app.openapi()


def test_describing_changes_nothing_of_what_it_was_given():
    plain = {"paths": {"/v1/check": {"post": {"responses": {}}}}}
    before = json.dumps(plain)
    settings = SecuritySettings(requests_per_minute=1)
    assert "429" in describe_security(plain, settings)["paths"]["/v1/check"]["post"]["responses"]
    assert json.dumps(plain) == before


def part(disposition: bytes, data: bytes = b"c4nary") -> bytes:
    """Return a multipart body with one part."""
    head = b'--x\r\nContent-Disposition: form-data; name="file"; ' + disposition
    return head + b"\r\n\r\n" + data + b"\r\n--x--\r\n"


HOSTILE = {
    "application/json": (
        b"[" * 500_000,
        b'{"url":' * 50_000,
        b'{"url": ' + b"9" * 100_000 + b"}",
        b'{"url": "file:///c4nary"}',
        b'{"url": "gopher://c4nary.example:70/c4nary?c4nary"}',
        b'{"url": "http://c4nary:c4nary@127.0.0.1/c4nary?c4nary"}',
        b'{"url": "http://127.0.0.1:1/c4nary?c4nary#c4nary"}',
        b'{"url": "http://a\\u0000c4nary/"}',
        b'{"c4nary": "c4nary"}',
        b'\xff\xfe{"c4nary',
    ),
    "multipart/form-data; boundary=x": (
        part(b'filename="c4nary.jpg"'),
        part(b'filename="c4nary\x00\r.jpg"'),
        part(b"filename*=utf-8''%00c4nary%ff"),
        part(b'filename="c4nary.svg"', b'<svg><image href="http://c4nary/"/></svg>'),
        part(b'filename="a.png"', picture()[:60]) + b"c4nary",
        b"--x\r\n" + b"c4nary: c4nary\r\n" * 10_000,
        b"c4nary" * 10_000,
    ),
    "multipart/form-data; boundary=" + "c4nary" * 1000: (b"c4nary",),
    "text/c4nary": (b"c4nary",),
}


def test_hostile_bodies_are_told_what_is_wrong_and_leave_no_trace(tiny_bundle, capfd):
    with client_of(tiny_bundle) as asking, logged() as output:
        answers = [
            asking.post(path, content=body, headers={"Content-Type": kind}, params={"at": "strict"})
            for path in ("/v1/check", "/v1/check/batch", "/v1/feedback")
            for kind, bodies in HOSTILE.items()
            for body in bodies
        ]
        counted = asking.get("/metrics").text
    assert {answer.status_code for answer in answers} <= {200, 400, 404, 413, 415, 422}
    printed = capfd.readouterr()
    everything = "\n".join([*output.json, *output.text, printed.out, printed.err, counted])
    assert "c4nary" not in everything
    assert sum('"request"' in line for line in output.json) == len(answers) + 1


@pytest.mark.parametrize("path", ["/v1/check/", "/v1/detectors/", "/healthz/"])
def test_no_answer_sends_a_client_elsewhere(tiny_bundle, path):
    """A redirect would repeat the name that the client gave as Host, and the upload."""
    asking = TestClient(app_of(tiny_bundle), raise_server_exceptions=False)
    answer = asking.post(path, headers={"Host": "evil.example"}, follow_redirects=False)
    assert answer.status_code in {404, 405}
    assert "location" not in answer.headers


def test_a_full_service_is_counted_and_refuses_with_429(tiny_bundle):
    """What the service itself refuses goes through the same counters."""
    with client_of(tiny_bundle) as asking:
        room = asking.app.state.service.capacity
        room.check = lambda: (_ for _ in ()).throw(busy())
        answer = asking.post("/v1/check", files={"file": ("a.png", picture())})
        counted = asking.get("/metrics").text
    assert (answer.status_code, answer.json()["code"]) == (429, "busy")
    assert 'faceproof_refused_total{reason="busy"} 1.0' in counted


def busy() -> Exception:
    """Return what a full queue raises."""
    from faceproof.errors import BusyError

    return BusyError("full", retry_after=3)
