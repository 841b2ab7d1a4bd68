"""HEAD wherever GET answers, misspelt paths and parameters, and the prefix of a proxy."""

import pytest
from starlette.testclient import TestClient

from faceproof.errors import UsageError
from faceproof.frontends.api.routing import parse_root_path
from faceproof.frontends.api.settings import read_settings
from support.service import app_of, client_of, picture

DOCUMENTED = ("/", "/docs", "/openapi.json", "/metrics")


@pytest.fixture
def client(shared_client):
    return shared_client()


def readable(client) -> list[str]:
    """Return the path of every GET, with the names that this service has."""
    described = client.app.openapi()["paths"]
    paths = [path for path, methods in described.items() if "get" in methods]
    return [path.replace("{name}", "bright") for path in (*paths, *DOCUMENTED)]


def test_head_is_answered_as_get_wherever_get_is(client):
    paths = readable(client)
    assert {"/healthz", "/readyz", "/v1/detectors", "/v1/detectors/bright"} <= set(paths)
    for path in paths:
        got, head = client.get(path), client.head(path)
        assert head.status_code == got.status_code, path
        assert head.headers["content-type"] == got.headers["content-type"], path
        assert head.content == b"", path
        if path != "/metrics":  # counts requests
            assert head.headers["content-length"] == str(len(got.content)), path


def test_head_of_what_is_only_sent_is_refused(client):
    answer = client.head("/v1/check")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


def test_allow_names_head_beside_get(client):
    assert client.put("/healthz").headers["allow"] == "GET, HEAD"
    assert client.put(f"/v1/feedback/{'0' * 32}").headers["allow"] == "DELETE, GET, HEAD"


def test_head_needs_what_get_needs_and_is_counted_as_itself(tiny_bundle):
    with client_of(tiny_bundle, guard={"requests_per_minute": 1, "burst": 1}) as client:
        assert client.head("/v1/detectors").status_code == 200
        assert client.head("/v1/detectors").status_code == 429
        assert client.head("/readyz").status_code == 200
        client.app.state.service.readiness.stopping = True
        assert client.head("/readyz").status_code == 503
    counted = client.app.state.metrics.registry.get_sample_value(
        "faceproof_http_requests_total",
        {"route": "/v1/detectors", "method": "HEAD", "status": "200"},
    )
    assert counted == 1


@pytest.mark.parametrize(
    ("path", "suggestion"),
    [
        ("/v1/chek", "did you mean '/v1/check'?"),
        ("/v1/detector", "did you mean '/v1/detectors'?"),
        ("/health", "did you mean '/healthz'?"),
        ("/healthz/", "did you mean '/healthz'?"),
        ("/wp-admin.php", "no such route: GET /docs lists the routes"),
        ("/" + "x" * 5000, "no such route: GET /docs lists the routes"),
    ],
)
def test_a_misspelt_path_has_a_suggestion(client, path, suggestion):
    answer = client.get(path)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert suggestion in answer.json()["detail"]


@pytest.mark.parametrize("path", ["/v1/check", "/v1/check/batch"])
@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("heatmap=1", "query.heatmap: unknown parameter, did you mean 'heatmaps'?"),
        ("Faces=all", "query.Faces: unknown parameter, did you mean 'faces'?"),
        ("zzzz=1", "query.zzzz: unknown parameter. Choices: at, faces, heatmaps"),
    ],
)
def test_a_misspelt_parameter_has_a_suggestion(client, path, query, message):
    answer = client.post(f"{path}?{query}", files={"file": ("a.png", picture())})
    assert answer.json()["detail"] == message
    assert answer.json()["errors"][0]["message"] in message


def test_a_misspelt_choice_has_a_suggestion(client):
    answer = client.post("/v1/check?at=strickt", files={"file": ("a.png", picture())})
    assert "did you mean 'strict'?" in answer.json()["detail"]


@pytest.mark.parametrize("before", ["", "/faces"])
def test_a_prefix_works_whether_or_not_the_proxy_strips_it(tiny_bundle, before):
    with client_of(tiny_bundle, root_path="/faces/") as client:
        sent = client.post(f"{before}/v1/check?faces=whole", files={"file": ("a.png", picture())})
        assert sent.json()["verdict"] == "fake"
        assert client.head(f"{before}/healthz").status_code == 200
        assert client.get(f"{before}/openapi.json").json()["servers"] == [{"url": "/faces"}]
        page = client.get(f"{before}/docs").text
        assert "http://testserver/faces/v1/check" in page.replace("localhost", "testserver")
        refused = client.put(f"{before}/healthz")
        assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD")
        assert "'/v1/check'" in client.get(f"{before}/v1/chek").json()["detail"]
        assert 'route="/healthz",status="200"' in client.get(f"{before}/metrics").text


def test_the_prefix_itself_is_the_page(tiny_bundle):
    with client_of(tiny_bundle, root_path="/faces") as client:
        for path in ("/faces", "/faces/", "/"):
            assert client.get(path).headers["content-type"].startswith("text/html")
        assert client.get("/facesandmore").status_code == 404
        assert client.get("/faces/faces/healthz").status_code == 404


def test_keys_and_open_paths_are_those_without_the_prefix(tiny_bundle, tmp_path):
    from support.secured import add_key

    secret, _ = add_key(tmp_path / "keys.json")
    guard = {"keys_file": str(tmp_path / "keys.json")}
    with client_of(tiny_bundle, root_path="/faces", guard=guard) as client:
        assert client.get("/faces/healthz").status_code == 200
        assert client.get("/faces/v1/detectors").status_code == 401
        assert client.get("/faces/healthz/../v1/detectors").status_code == 401
        key = {"x-api-key": secret}
        assert client.get("/faces/v1/detectors", headers=key).status_code == 200


PREFIX = {"x-forwarded-prefix": "/proxy"}


def servers(app, peer="10.0.0.9", headers=None):
    with TestClient(app, base_url="http://localhost", client=(peer, 1)) as client:
        return client.get("/openapi.json", headers=headers or PREFIX).json().get("servers")


def test_a_forwarded_prefix_is_not_trusted_unless_asked(tiny_bundle):
    proxies = {"trusted_proxies": "10.0.0.0/8"}
    assert servers(app_of(tiny_bundle)) is None
    assert servers(app_of(tiny_bundle, guard=proxies)) is None


def test_a_forwarded_prefix_is_taken_from_a_trusted_proxy_only(tiny_bundle):
    app = app_of(tiny_bundle, guard={"trusted_proxies": "10.0.0.0/8", "forwarded_prefix": True})
    assert servers(app) == [{"url": "/proxy"}]
    assert servers(app, peer="192.0.2.1") is None
    for wrong in ("//evil.example", "/../x", "/v1", "/a b", "/x, /y", '/"><b>', "/" + "x" * 300):
        assert servers(app, headers={"x-forwarded-prefix": wrong}) is None, wrong


@pytest.mark.parametrize("value", ["faces", "/a//b", "/v1", "/docs/x", "/../a", "/a?b", "//host"])
def test_a_prefix_that_cannot_be_one_is_refused(value, monkeypatch):
    with pytest.raises(ValueError, match=r"path|route"):
        parse_root_path(value)
    monkeypatch.setenv("FACEPROOF_SERVE_ROOT_PATH", value)
    with pytest.raises(UsageError, match="FACEPROOF_SERVE_ROOT_PATH: "):
        read_settings()


def test_a_forwarded_prefix_needs_a_proxy(monkeypatch):
    monkeypatch.setenv("FACEPROOF_SERVE_GUARD__FORWARDED_PREFIX", "true")
    with pytest.raises(UsageError, match="needs trusted_proxies"):
        read_settings()
