"""Only who has a valid key may ask, and nobody learns why he may not."""

from __future__ import annotations

import logging
import os
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.routing import WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from faceproof.errors import UsageError
from faceproof.frontends.api.security import SecuritySettings, install, keys
from faceproof.frontends.api.security.key_file import now_utc
from faceproof.frontends.api.security.keys import KeyRing
from support.secured import add_key, client, logged, service

CHECK = "/v1/check"
LOW, LONG = "f" * 12, "A" * 43


@pytest.fixture
def file(tmp_path):
    return tmp_path / "keys.json"


@pytest.fixture
def secret(file):
    return add_key(file)[0]


@pytest.fixture
def asking(file, secret):
    return client(SecuritySettings(keys_file=file, failures_per_minute=100_000))


def test_both_headers_open_the_service(asking, secret):
    for headers in (
        {"Authorization": f"Bearer {secret}"},
        {"authorization": f"bearer  {secret} "},
        {"X-API-Key": secret},
        {"Authorization": "Basic dXNlcjpwYXNz", "X-API-Key": secret},
    ):
        assert asking.post(CHECK, headers=headers).status_code == 200


def wrong_headers(secret: str) -> list[dict[str, str]]:
    """Return headers that must not open the service."""
    return [
        {},
        {"X-API-Key": ""},
        {"X-API-Key": secret[:-1]},
        {"X-API-Key": secret + "A"},
        {"X-API-Key": secret[:-1] + ("A" if secret[-1] != "A" else "B")},
        {"X-API-Key": secret.swapcase()},
        {"X-API-Key": f"fp_{LOW}_{LONG}"},
        {"X-API-Key": "x" * 100_000},
        {"X-API-Key": f"{secret},{secret}"},
        {"X-API-Key": f"Bearer {secret}"},
        {"Authorization": secret},
        {"Authorization": "Bearer"},
        {"Authorization": f"Basic {secret}"},
        {"Authorization": f"Bearer {secret}", "X-API-Key": f"fp_{LOW}_{LONG}"},
        {"Authorization": f"Bearer {secret}", "X-API-Key": secret},
        {"Cookie": f"api_key={secret}"},
        {"X-Original-URL": "/healthz", "X-Rewrite-URL": "/healthz"},
        {"X-HTTP-Method-Override": "GET"},
    ]


def test_all_others_get_one_answer(asking, secret, file):
    _, expired = add_key(file, expires=now_utc() - timedelta(seconds=1))
    answers = [asking.post(CHECK, headers=headers) for headers in wrong_headers(secret)]
    bodies = {answer.content for answer in answers}
    assert {answer.status_code for answer in answers} == {401}
    assert len(bodies) == 1
    assert answers[0].headers["www-authenticate"] == 'Bearer realm="faceproof"'
    assert answers[0].headers["content-type"] == "application/problem+json"
    assert answers[0].json()["code"] == "unauthorized"
    ours = {"x-request-id"}
    assert len({tuple((n, v) for n, v in a.headers.items() if n not in ours) for a in answers}) == 1
    assert expired not in str(bodies)


def test_no_more_of_a_header_is_hashed_than_a_key_may_have():
    assert len(keys.presented_key(Headers({"x-api-key": "x" * 60_000}))) < 1000


@pytest.mark.parametrize(
    "over",
    [
        {"expires": now_utc() - timedelta(seconds=1)},
        {"retired": now_utc() - timedelta(seconds=1)},
        {"expires": now_utc() - timedelta(seconds=1), "retired": now_utc()},
    ],
)
def test_a_key_that_is_over_gets_the_answer_of_an_unknown_one(file, over):
    dead, _ = add_key(file, **over)
    asking = client(SecuritySettings(keys_file=file))
    unknown = asking.post(CHECK, headers={"X-API-Key": f"fp_{LOW}_{LONG}"})
    answer = asking.post(CHECK, headers={"X-API-Key": dead})
    assert (answer.status_code, answer.content) == (401, unknown.content)


def test_a_key_is_over_at_its_moment(file):
    now = [datetime(2030, 1, 1, tzinfo=UTC)]
    secret, identity = add_key(file, expires=now[0] + timedelta(seconds=1))
    ring = KeyRing(file, now=lambda: now[0])
    assert ring.find_holder(secret) == identity
    now[0] += timedelta(seconds=1)
    assert ring.find_holder(secret) is None


@pytest.mark.parametrize("kind", ["nothing", "shapeless", "unknown", "wrong", "expired", "right"])
def test_every_kind_of_key_costs_one_hash_and_one_comparison(file, monkeypatch, kind):
    """Work, not seconds: a clock on a shared machine would prove nothing."""
    secret, _ = add_key(file)
    dead, _ = add_key(file, expires=now_utc() - timedelta(days=1))
    presented = {
        "nothing": "",
        "shapeless": "hello",
        "unknown": f"fp_{LOW}_{LONG}",
        "wrong": secret[:-4] + "AAAA",
        "expired": dead,
        "right": secret,
    }[kind]
    done: Counter[str] = Counter()

    def counting(name, function):
        def counted(*arguments):
            done[name] += 1
            assert name != "compared" or {len(text) for text in arguments} == {64}
            return function(*arguments)

        return counted

    ring = KeyRing(file)
    monkeypatch.setattr(keys, "hash_key", counting("hashed", keys.hash_key))
    compare = counting("compared", keys.hmac.compare_digest)
    monkeypatch.setattr(keys.hmac, "compare_digest", compare)
    ring.find_holder(presented)
    assert done == {"hashed": 1, "compared": 1}


def test_several_keys_work_side_by_side_and_each_is_named_in_the_log(file):
    both = [add_key(file, name) for name in ("shop", "partner")]
    asking = client(SecuritySettings(keys_file=file))
    with logged() as output:
        for secret, _ in both:
            assert asking.post(CHECK, headers={"X-API-Key": secret}).status_code == 200
    lines = [line for line in output.json if '"request"' in line]
    assert all(
        f'"key": "{identity}"' in line for line, (_, identity) in zip(lines, both, strict=True)
    )
    assert not any(secret in line for line in output.json for secret, _ in both)


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_health_is_open(asking, path):
    assert asking.get(path).status_code == 200
    assert asking.head(path).status_code == 405


METHODS = ("GET", "HEAD", "POST", "OPTIONS", "TRACE", "QUERY", "XYZZY")


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/v1/check",
        "/v1/check/",
        "//v1/check",
        "//healthz",
        "/healthz/",
        "/healthz/../v1/check",
        "/healthz/..%2fv1/check",
        "/healthz;/v1/check",
        "/healthz%0A",
        "/healthz%00",
        "/HEALTHZ",
        "/v1%2Fcheck",
        "/v1/./check",
        "/v1/check?path=/healthz",
        "/v1/check?/healthz",
        "/v1/check%3F/healthz",
        "/v1/detectors/healthz",
        "/openapi.json",
        "/metrics",
        "/nothing",
    ],
)
def test_everything_else_is_closed_whatever_it_is_called(asking, path):
    for method in METHODS:
        assert asking.request(method, path, follow_redirects=False).status_code == 401


def test_a_prefix_does_not_open_or_close_anything(file, secret):
    app = service(SecuritySettings(keys_file=file))
    asking = TestClient(app, root_path="/api", raise_server_exceptions=False)
    assert asking.get("/healthz").status_code == 200
    assert asking.get("/api/healthz").status_code == 200
    assert asking.post("/api/v1/check").status_code == 401
    assert asking.post("/apihealthz").status_code == 401


def test_metrics_may_be_opened(file, secret):
    closed = client(SecuritySettings(keys_file=file))
    assert closed.get("/metrics").status_code == 401
    assert closed.get("/metrics", headers={"X-API-Key": secret}).status_code == 200
    opened = client(SecuritySettings(keys_file=file, metrics_need_key=False))
    assert opened.get("/metrics").status_code == 200
    assert opened.post(CHECK).status_code == 401


def test_a_websocket_is_refused_where_a_route_would_take_it(file, secret):
    async def talk(socket: WebSocket) -> None:
        await socket.accept()

    app = Starlette(routes=[WebSocketRoute("/talk", talk)])
    install(app, SecuritySettings(keys_file=file))
    for headers in ({}, {"X-API-Key": secret}):
        opening = TestClient(app).websocket_connect("/talk", headers=headers)
        with pytest.raises(WebSocketDisconnect), opening:
            raise AssertionError("the socket was opened")


def test_who_tries_too_often_gets_429_while_keys_still_work(file, secret):
    app = service(SecuritySettings(keys_file=file, failures_per_minute=0.5))
    asking = TestClient(app, client=("192.0.2.1", 1))
    answers = [asking.post(CHECK) for _ in range(25)]
    assert Counter(answer.status_code for answer in answers) == {401: 20, 429: 5}
    assert 118 <= int(answers[-1].headers["retry-after"]) <= 120
    assert asking.post(CHECK, headers={"X-API-Key": secret}).status_code == 200
    elsewhere = TestClient(app, client=("192.0.2.2", 1))
    assert elsewhere.post(CHECK).status_code == 401


def test_a_refusal_reads_no_body(asking):
    with logged() as output:
        asking.post(CHECK, content=b"x" * 100_000)
    assert '"bytes_in": 0' in output.json[-1]
    assert '"refused": "no_valid_key"' in output.json[-1]


def test_a_service_does_not_start_with_a_file_it_cannot_trust(tmp_path, file, secret):
    file.chmod(0o644)
    for wrong in (file, tmp_path / "none.json"):
        with pytest.raises(UsageError, match="keys file"):
            service(SecuritySettings(keys_file=wrong))


class Reread:
    """A ring whose clock goes when it is told to."""

    def __init__(self, file) -> None:
        self.seconds = 0.0
        self.ring = KeyRing(file, clock=lambda: self.seconds)

    def after(self, seconds: float, key: str) -> bool:
        """Return whether the key opens the service so much later."""
        self.seconds += seconds
        return self.ring.find_holder(key) is not None and self.ring.trusted


def test_a_changed_file_is_read_again_within_a_second(file, secret):
    reread = Reread(file)
    assert reread.after(0, secret)
    later, _ = add_key(file)
    assert not reread.after(0.9, later)
    assert reread.after(0.2, later)
    assert reread.after(0, secret)


def test_rotation_overlaps_and_ends(file):
    old, _ = add_key(file, expires=now_utc() + timedelta(days=7))
    new, _ = add_key(file)
    now = [now_utc()]
    ring = KeyRing(file, now=lambda: now[0])
    assert ring.find_holder(old)
    assert ring.find_holder(new)
    now[0] += timedelta(days=7, seconds=1)
    assert not ring.find_holder(old)
    assert ring.find_holder(new)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda file: file.write_text(file.read_text()[:-9]),
        lambda file: file.chmod(0o644),
        lambda file: file.unlink(),
    ],
    ids=["half-written", "opened to others", "gone"],
)
def test_a_file_that_breaks_keeps_its_keys_a_moment_and_then_lets_nobody_in(file, secret, spoil):
    reread = Reread(file)
    whole = file.read_bytes()
    spoil(file)
    with logged() as output:
        assert reread.after(2, secret)
        assert reread.after(9, secret)
        assert not reread.after(2, secret)
    assert any("keys file" in line and '"error"' in line for line in output.json)
    file.unlink(missing_ok=True)
    file.write_bytes(whole)
    file.chmod(0o600)
    assert reread.after(2, secret)


def test_a_service_without_readable_keys_says_so_to_everyone(file, secret, monkeypatch):
    asking = client(SecuritySettings(keys_file=file))
    monkeypatch.setattr(KeyRing, "trusted", False)
    for headers in ({}, {"X-API-Key": secret}):
        answer = asking.post(CHECK, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (503, "keys_unavailable")
    assert asking.get("/healthz").status_code == 200


def test_a_file_that_is_the_same_is_not_read_again(file, secret, monkeypatch):
    reread = Reread(file)
    monkeypatch.setattr(keys, "read_keys", None)
    assert all(reread.after(5, secret) for _ in range(3))


def test_a_retirement_is_seen_even_where_the_clock_of_files_is_coarse(file, secret):
    """Same size, same time of change: the number of the file tells them apart."""
    reread = Reread(file)
    before = file.stat()
    add_key(file)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    reread.after(2, secret)
    assert len(reread.ring._keys) == 2


def test_no_keys_where_no_file_was_named():
    asking = client()
    assert asking.post(CHECK).status_code == 200
    assert asking.get("/metrics").status_code == 200


def test_the_logger_of_keys_never_has_a_key(file, secret, caplog):
    caplog.set_level(logging.DEBUG)
    asking = client(SecuritySettings(keys_file=file))
    asking.post(CHECK, headers={"X-API-Key": secret})
    asking.post(CHECK, headers={"Authorization": f"Bearer {secret[:-2]}"})
    assert secret[16:-2] not in caplog.text
