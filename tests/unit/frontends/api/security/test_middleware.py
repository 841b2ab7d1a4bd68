"""What every answer tells browsers; who may call from a page; by which name the service answers.

The guarded service, as somebody sees it who wants in: over a socket, byte by byte.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
from starlette.applications import Starlette
from starlette.responses import HTMLResponse
from starlette.testclient import TestClient
from uvicorn import Server

from faceproof.frontends.api.security import (
    Metrics,
    SecuritySettings,
    install,
    middleware,
    server_options,
)
from faceproof.frontends.api.server import ServiceConfig
from support.secured import add_key, client, logged, service

EVERY_KIND = (
    ("GET", "/healthz", 200),
    ("POST", "/v1/check", 200),
    ("GET", "/v1/detectors/x", 200),
    ("GET", "/metrics", 200),
    ("GET", "/nothing", 404),
    ("DELETE", "/v1/check", 405),
    ("POST", "/v1/bug", 500),
)


@pytest.mark.parametrize(("method", "path", "status"), EVERY_KIND)
def test_every_answer_has_every_header(method, path, status):
    answer = client().request(method, path)
    assert answer.status_code == status
    expected = {
        "x-content-type-options": "nosniff",
        "x-frame-options": "DENY",
        "referrer-policy": "no-referrer",
        "cross-origin-resource-policy": "same-origin",
        "cache-control": "no-store",
    }
    assert expected.items() <= answer.headers.items()
    policy = answer.headers["content-security-policy"].split("; ")
    assert {"default-src 'none'", "frame-ancestors 'none'"} <= set(policy)
    assert len(answer.headers["x-request-id"]) == 32
    assert "server" not in answer.headers


def test_refusals_have_them_too(tmp_path):
    file = tmp_path / "keys.json"
    add_key(file)
    asking = client(SecuritySettings(keys_file=file, failures_per_minute=0.5))
    answers = [asking.post("/v1/check") for _ in range(21)]
    assert [answer.status_code for answer in answers[-2:]] == [401, 429]
    for answer in answers[-2:]:
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "x-request-id" in answer.headers


def test_https_is_promised_only_where_it_is_there():
    assert "strict-transport-security" not in client().get("/healthz").headers
    behind_tls = client(SecuritySettings(tls_in_front=True)).get("/healthz")
    assert behind_tls.headers["strict-transport-security"] == "max-age=31536000"


def test_a_page_may_loosen_its_policy_but_not_be_framed_and_no_server_is_named():
    app = Starlette()

    async def page(_: object) -> HTMLResponse:
        mine = {"Content-Security-Policy": "default-src 'self'", "X-Frame-Options": "ALLOWALL"}
        return HTMLResponse("<p>", headers={**mine, "Server": "secret/1.2"})

    app.add_route("/page", page)
    install(app, SecuritySettings())
    answer = TestClient(app).get("/page")
    assert answer.headers["content-security-policy"] == "default-src 'self'"
    assert answer.headers.get_list("x-frame-options") == ["DENY"]
    assert "server" not in answer.headers


ORIGIN = {"Origin": "https://pages.example"}
PREFLIGHT = {
    **ORIGIN,
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization, content-type",
}


def test_no_page_elsewhere_may_call_unless_it_is_named():
    asking = client()
    answer = asking.post("/v1/check", headers=ORIGIN)
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    preflight = asking.options("/v1/check", headers=PREFLIGHT)
    assert preflight.status_code == 403
    for output in (answer, preflight):
        assert not any(name.startswith("access-control") for name in output.headers)


@pytest.mark.parametrize("origin", ["null", "http://testserver.evil.example", "https://x", "evil"])
def test_other_origins_are_refused(origin):
    assert client().post("/v1/check", headers={"Origin": origin}).status_code == 403


def test_a_page_of_the_service_itself_may_call():
    assert client().post("/v1/check", headers={"Origin": "http://testserver"}).status_code == 200


def test_a_page_that_is_named_may_ask_and_read_even_a_refusal(tmp_path):
    file = tmp_path / "keys.json"
    secret, _ = add_key(file)
    settings = SecuritySettings(keys_file=file, allowed_origins="https://pages.example")
    asking = client(settings)
    preflight = asking.options("/v1/check", headers=PREFLIGHT)
    assert preflight.status_code == 200
    allowed = preflight.headers["access-control-allow-headers"].lower()
    assert "authorization" in allowed
    assert "access-control-allow-credentials" not in preflight.headers
    for headers, status in ((ORIGIN, 401), ({**ORIGIN, "X-API-Key": secret}, 200)):
        answer = asking.post("/v1/check", headers=headers)
        assert answer.status_code == status
        assert answer.headers["access-control-allow-origin"] == ORIGIN["Origin"]
        assert "Retry-After" in answer.headers["access-control-expose-headers"]


def test_a_page_that_is_not_named_stays_outside_where_another_is():
    asking = client(SecuritySettings(allowed_origins="https://pages.example"))
    other = {**PREFLIGHT, "Origin": "https://other.example"}
    assert "access-control-allow-origin" not in asking.options("/v1/check", headers=other).headers
    assert asking.post("/v1/check", headers={"Origin": other["Origin"]}).status_code == 403


def ask(
    host: str | None, *, at: str = "127.0.0.1", settings: SecuritySettings | None = None
) -> int:
    """Return the status of a request for ``host`` to a service reached at an address."""
    asking = TestClient(service(settings), base_url=f"http://{at}:8000")
    headers = {} if host is None else {"Host": host}
    return asking.get("/v1/detectors/x", headers=headers).status_code


@pytest.mark.parametrize("host", [None, "localhost", "LocalHost:8000", "127.0.0.1:9", "[::1]:8000"])
def test_this_machine_answers_to_its_own_names(host):
    assert ask(host) == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8000", "localhost.evil.example", "", "192.0.2.1", "[::"]
)
def test_a_rebound_name_is_refused(host):
    assert ask(host) == 421


def test_a_socket_for_both_families_is_the_same_loopback():
    """Bound to ``::``, an IPv4 connection is seen as a mapped address."""
    scope = {"type": "http", "server": ("::ffff:127.0.0.1", 8000)}
    assert middleware._is_through_loopback(scope)
    assert not middleware._is_through_loopback({**scope, "server": ("::ffff:192.0.2.1", 8000)})
    assert not middleware._is_through_loopback({**scope, "server": None})


def test_two_names_are_none():
    checked = middleware.TrustedHostMiddleware(service())
    scope = {"type": "http", "server": ("127.0.0.1", 8000)}
    assert checked._is_ours(scope, ["localhost"])
    assert not checked._is_ours(scope, ["localhost", "evil.example"])
    assert not checked._is_ours(scope, [])


def test_names_may_be_allowed():
    settings = SecuritySettings(allowed_hosts="api.example.org")
    assert ask("API.example.org:443", settings=settings) == 200
    assert ask("evil.example", settings=settings) == 421
    assert ask("evil.example", at="192.0.2.7", settings=settings) == 421
    assert ask("localhost", settings=settings) == 200


def test_a_service_on_the_net_answers_to_any_name_unless_told():
    assert ask("whatever.example", at="192.0.2.7") == 200


def test_health_answers_to_any_name():
    asking = TestClient(service(), base_url="http://127.0.0.1:8000")
    assert asking.get("/healthz", headers={"Host": "evil.example"}).status_code == 200


CRLF = "\r\n"


@pytest.fixture(scope="module")
def serving(tmp_path_factory) -> Iterator[tuple[int, str, str]]:
    """Give the port of a service with keys, the secret of its one key, and its id."""
    file = tmp_path_factory.mktemp("keys") / "keys.json"
    secret, identity = add_key(file)
    settings = SecuritySettings(keys_file=file, failures_per_minute=1_000_000)
    with running(settings) as port:
        yield port, secret, identity


@contextmanager
def running(settings: SecuritySettings, metrics: Metrics | None = None) -> Iterator[int]:
    """Give the port of a guarded service that runs as `faceproof serve` runs one."""
    options = {**server_options(), "lifespan": "off"}
    app = service(settings, metrics)
    config = ServiceConfig(app, head_seconds=5, max_connections=100, **options)
    server = Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            while not server.started:
                time.sleep(0.005)
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join()


def sent(port: int, *raw: str | bytes, awaited: int = 0) -> list[bytes]:
    """Return the answers to what is written to one connection, cut at their status lines.

    The client ends its side after ``awaited`` answers: uvicorn drops those that come later.
    """
    answer = b""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as line:
        # The server may close while we still write, which is an answer too.
        with suppress(OSError):
            for piece in raw:
                line.sendall(piece.encode("latin-1") if isinstance(piece, str) else piece)
            while answer.count(b"HTTP/1.1 ") < awaited and (chunk := line.recv(65536)):
                answer += chunk
            line.shutdown(socket.SHUT_WR)
        with suppress(ConnectionResetError):
            while chunk := line.recv(65536):
                answer += chunk
    return [b"HTTP/1.1 " + one for one in answer.split(b"HTTP/1.1 ")[1:]]


def head(method: str, target: str, *headers: str, host: str = "localhost") -> str:
    """Return the head of a request."""
    return CRLF.join([f"{method} {target} HTTP/1.1", f"Host: {host}", *headers, "", ""])


def statuses(answers: list[bytes]) -> list[int]:
    """Return the status of each answer."""
    return [int(answer.split()[1]) for answer in answers]


def test_the_key_opens_and_the_lack_of_it_does_not(serving):
    port, secret, _ = serving
    get = head("GET", "/v1/detectors/x", f"X-API-Key: {secret}")
    assert statuses(sent(port, get, head("GET", "/v1/detectors/x"), awaited=2)) == [200, 401]


@pytest.mark.parametrize(
    "target",
    [
        "//v1/detectors/x",
        "/healthz/../v1/detectors/x",
        "/healthz/%2e%2e/v1/detectors/x",
        "/v1%2fdetectors/x",
        "/v1/detectors/x?/healthz",
        "/v1/detectors/x#/healthz",
        "/v1/detectors/x;/healthz",
        "/healthz%00/v1/detectors/x",
        "/%68ealthz%2f",
        "http://localhost/healthz",
        "http://localhost/v1/detectors/x",
        "http://evil.example/healthz?/v1/detectors/x",
        "*",
        "healthz",
        "\\healthz",
        "/HEALTHZ",
        "/healthz\t",
        "/healthz\x0b",
        "/ v1/detectors/x",
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "POST", "get", "TRACE", "PROPFIND"])
def test_no_spelling_of_a_target_gets_past_the_keys(serving, method, target):
    """What is no HTTP gets 400; the rest is asked for a key."""
    answers = sent(serving[0], head(method, target, "Connection: close"))
    assert set(statuses(answers)) <= {400, 401}


def test_healthz_under_an_encoded_name_is_healthz_and_nothing_more(serving):
    assert statuses(sent(serving[0], head("GET", "/%68ealthz", "Connection: close"))) == [200]
    assert statuses(sent(serving[0], head("POST", "/healthz", "Content-Length: 0"))) == [405]


@pytest.mark.parametrize(
    "headers",
    [
        "X_API_Key: {0}",
        "X-API-Key : {0}",
        " X-API-Key: {0}",
        "X-API-Key:\r\n {0}",
        "X-Api-Keys: {0}",
        "X-API-Key: {0}\r\nX-API-Key: {0}",
        "X-API-Key: fp_0\r\nX-API-Key: {0}",
        "Authorization: Bearer {0}\r\nAuthorization: Bearer {0}",
        "Authorization: Bearer\t{0}",
        "Authorization: Bearer {0}, Bearer {0}",
        "Proxy-Authorization: Bearer {0}",
        "X-API-Key: {0}\x00",
        "X-API-Key: {0}\xa0\xff",
        "X-Forwarded-For: 127.0.0.1\r\nX-Real-IP: 127.0.0.1\r\nForwarded: for=127.0.0.1",
        "X-HTTP-Method-Override: GET\r\nX-Original-URL: /healthz\r\nX-Rewrite-URL: /healthz",
    ],
)
def test_no_spelling_of_a_header_gets_past_the_keys(serving, headers):
    """A folded header may be read as one line (RFC 9112, section 5.2): it holds the key then.

    Folded into the line before, it spoils the name of the host.
    """
    port, secret, _ = serving
    request = head("GET", "/v1/detectors/x", headers.format(secret), "Connection: close")
    folded = "\r\n " in headers
    assert set(statuses(sent(port, request))) <= ({200} if folded else {400, 401, 421})


def test_the_body_of_a_refused_request_is_no_request(serving):
    """Keep-alive: what was not read is thrown away, not taken for the next request."""
    port, secret, _ = serving
    smuggled = head("GET", "/v1/detectors/inner", f"X-API-Key: {secret}")
    outer = head("POST", "/v1/check", f"Content-Length: {len(smuggled)}")
    after = head("GET", "/healthz", "Connection: close")
    assert statuses(sent(port, outer, smuggled, after)) in ([401], [401, 200])
    answers = sent(port, outer, smuggled, after)
    assert not any(b"inner" in answer for answer in answers)


@pytest.mark.parametrize(
    "framing",
    [
        ("Content-Length: 5", "Transfer-Encoding: chunked"),
        ("Transfer-Encoding: chunked", "Content-Length: 5"),
        ("Content-Length: 0", "Content-Length: 5"),
        ("Content-Length: 0, 5",),
        ("Content-Length: +5",),
        ("Content-Length: 0x5",),
        ("Content-Length: -1",),
        ("Transfer-Encoding: xchunked",),
        ("Transfer-Encoding: chunked, identity",),
        ("Transfer-Encoding : chunked",),
        ("Transfer-Encoding:\x0bchunked",),
        ("Transfer-Encoding: chunked", "Transfer-Encoding: identity"),
    ],
)
def test_two_lengths_never_make_two_requests(serving, framing):
    """One answer, and the connection is closed: the hidden request has a key, and is not heard."""
    port, secret, _ = serving
    body = f"0{CRLF}{CRLF}" + head("GET", "/v1/detectors/inner", f"X-API-Key: {secret}")
    answers = sent(port, head("POST", "/v1/check", f"X-API-Key: {secret}", *framing), body)
    assert statuses(answers) == [400]
    assert b"connection: close" in answers[0].lower()


@pytest.mark.parametrize("count", [1, 5000])
def test_huge_heads_are_refused_and_cost_no_memory(serving, count):
    filler = [f"X-Filler-{number}: {'x' * (400_000 // count)}" for number in range(count)]
    answers = sent(serving[0], head("GET", "/healthz", *filler))
    assert set(statuses(answers)) <= {400, 431}


def test_a_socket_is_not_upgraded(serving):
    port, secret, _ = serving
    upgrade = (
        *("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"),
        *("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", f"X-API-Key: {secret}"),
    )
    assert 101 not in statuses(sent(port, head("GET", "/v1/check", *upgrade)))


def test_answers_over_the_wire_name_no_server_and_hide_nothing_in_their_head(serving):
    (answer,) = sent(serving[0], head("GET", "/healthz", "Connection: close"))
    names = [line.split(b":")[0].lower() for line in answer.split(b"\r\n\r\n")[0].splitlines()[1:]]
    assert b"server" not in names
    assert len(names) == len(set(names))


def test_a_request_id_cannot_split_an_answer(serving):
    raw = head("GET", "/healthz", "X-Request-ID: abcdefgh\rSet-Cookie: a=b", "Connection: close")
    for answer in sent(serving[0], raw):
        assert b"set-cookie" not in answer.lower()


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "evil.example:80"])
def test_a_rebound_page_is_refused_before_its_key_is_looked_at(serving, host):
    port, secret, _ = serving
    request = head("GET", "/v1/detectors/x", f"X-API-Key: {secret}", "Connection: close", host=host)
    assert statuses(sent(port, request)) == [421]


def test_two_hosts_are_refused(serving):
    port, secret, _ = serving
    both = head("GET", "/v1/detectors/x", "Host: evil.example", f"X-API-Key: {secret}")
    assert set(statuses(sent(port, both))) <= {400, 421}


def test_nothing_of_all_this_is_in_the_logs_of_the_server(serving):
    """uvicorn speaks of what is no HTTP, of upgrades and of broken connections."""
    port, secret, _ = serving
    with logged() as output:
        for raw in (
            "c4nary c4nary c4nary\r\n\r\n",
            head("GET", "/c4nary?c4nary", "C4nary: c4nary", f"X-API-Key: {secret}"),
            head("GET", "/c4nary", "Connection: Upgrade", "Upgrade: c4nary"),
            head("POST", "/v1/check", "Transfer-Encoding: chunked", f"X-API-Key: {secret}")
            + "zz c4nary\r\n",
            head("POST", "/v1/check", "Content-Length: 900", f"X-API-Key: {secret}") + "c4nary",
            head("POST", "/v1/bug", "Content-Length: 6", f"X-API-Key: {secret}") + "c4nary",
        ):
            sent(port, raw)
        time.sleep(0.1)
    everything = "\n".join([*output.json, *output.text])
    assert everything
    assert "c4nary" not in everything.lower()
    assert secret not in everything


def test_a_refused_upload_gets_its_answer_although_it_is_still_coming(serving):
    """The client that waits for 100 Continue is told at once; one that does not is told too."""
    port, _, _ = serving
    waiting = head("POST", "/v1/check", "Content-Length: 99999999", "Expect: 100-continue")
    with socket.create_connection(("127.0.0.1", port), timeout=5) as line:
        line.sendall(waiting.encode())
        assert line.recv(12) == b"HTTP/1.1 401"


def test_rates_hold_over_the_wire():
    with running(SecuritySettings(requests_per_minute=1, burst=5)) as port:
        request = head("GET", "/v1/detectors/x", "X-Forwarded-For: 192.0.2.{}")
        answers = [sent(port, *(request.format(n) for n in range(4)), awaited=4) for _ in range(3)]
    actual = [status for answer in answers for status in statuses(answer)]
    assert sorted(actual) == [200] * 5 + [429] * 7
