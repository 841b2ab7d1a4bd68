"""What every answer tells browsers; who may call from a page; by which name the service answers."""

from __future__ import annotations

import pytest
from starlette.applications import Starlette
from starlette.responses import HTMLResponse
from starlette.testclient import TestClient

from faceproof.frontends.api.guard import GuardSettings, hosts, install
from support.guarded import add_key, client, service

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
    asking = client(GuardSettings(keys_file=file, failures_per_minute=0.5))
    answers = [asking.post("/v1/check") for _ in range(21)]
    assert [answer.status_code for answer in answers[-2:]] == [401, 429]
    for answer in answers[-2:]:
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "x-request-id" in answer.headers


def test_https_is_promised_only_where_it_is_there():
    assert "strict-transport-security" not in client().get("/healthz").headers
    behind_tls = client(GuardSettings(tls_in_front=True)).get("/healthz")
    assert behind_tls.headers["strict-transport-security"] == "max-age=31536000"


def test_a_page_may_loosen_its_policy_but_not_be_framed_and_no_server_is_named():
    app = Starlette()

    async def page(_: object) -> HTMLResponse:
        mine = {"Content-Security-Policy": "default-src 'self'", "X-Frame-Options": "ALLOWALL"}
        return HTMLResponse("<p>", headers={**mine, "Server": "secret/1.2"})

    app.add_route("/page", page)
    install(app, GuardSettings())
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
    for said in (answer, preflight):
        assert not any(name.startswith("access-control") for name in said.headers)


@pytest.mark.parametrize("origin", ["null", "http://testserver.evil.example", "https://x", "evil"])
def test_other_origins_are_refused(origin):
    assert client().post("/v1/check", headers={"Origin": origin}).status_code == 403


def test_a_page_of_the_service_itself_may_call():
    assert client().post("/v1/check", headers={"Origin": "http://testserver"}).status_code == 200


def test_a_page_that_is_named_may_ask_and_read_even_a_refusal(tmp_path):
    file = tmp_path / "keys.json"
    secret, _ = add_key(file)
    settings = GuardSettings(keys_file=file, allowed_origins="https://pages.example")
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
    asking = client(GuardSettings(allowed_origins="https://pages.example"))
    other = {**PREFLIGHT, "Origin": "https://other.example"}
    assert "access-control-allow-origin" not in asking.options("/v1/check", headers=other).headers
    assert asking.post("/v1/check", headers={"Origin": other["Origin"]}).status_code == 403


def ask(host: str | None, *, at: str = "127.0.0.1", settings: GuardSettings | None = None) -> int:
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
    assert hosts._through_loopback(scope)
    assert not hosts._through_loopback({**scope, "server": ("::ffff:192.0.2.1", 8000)})
    assert not hosts._through_loopback({**scope, "server": None})


def test_two_names_are_none():
    checked = hosts.HostsChecked(service())
    scope = {"type": "http", "server": ("127.0.0.1", 8000)}
    assert checked._is_ours(scope, ["localhost"])
    assert not checked._is_ours(scope, ["localhost", "evil.example"])
    assert not checked._is_ours(scope, [])


def test_names_may_be_allowed():
    settings = GuardSettings(allowed_hosts="api.example.org")
    assert ask("API.example.org:443", settings=settings) == 200
    assert ask("evil.example", settings=settings) == 421
    assert ask("evil.example", at="192.0.2.7", settings=settings) == 421
    assert ask("localhost", settings=settings) == 200


def test_a_service_on_the_net_answers_to_any_name_unless_told():
    assert ask("whatever.example", at="192.0.2.7") == 200


def test_health_answers_to_any_name():
    asking = TestClient(service(), base_url="http://127.0.0.1:8000")
    assert asking.get("/healthz", headers={"Host": "evil.example"}).status_code == 200
