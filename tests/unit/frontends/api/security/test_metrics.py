"""What is counted, under labels that are bounded."""

from __future__ import annotations

import json
import threading

import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from starlette.testclient import TestClient

from faceproof.frontends.api.security import Metrics, SecuritySettings, install
from support.secured import DETECTOR, client, logged, result, service


def values(metrics: Metrics, name: str) -> dict[tuple[str, ...], float]:
    """Return the values of one series by its labels."""
    return {
        tuple(sample.labels.values()): sample.value
        for family in metrics.registry.collect()
        for sample in family.samples
        if sample.name == f"faceproof_{name}"
    }


def asked(*requests: tuple[str, str]) -> Metrics:
    """Return the metrics of an app that was asked this."""
    metrics = Metrics()
    asking = TestClient(service(metrics=metrics), raise_server_exceptions=False)
    for method, path in requests:
        asking.request(method, path, content=b"12345", follow_redirects=False)
    return metrics


def test_requests_are_counted_by_template_method_and_status():
    metrics = asked(
        ("POST", "/v1/check?at=strict"),
        ("POST", "/v1/check"),
        ("GET", "/v1/detectors/a"),
        ("GET", "/v1/detectors/b"),
        ("GET", "/v1/check"),
        ("POST", "/v1/bug"),
        ("GET", "/healthz"),
    )
    assert values(metrics, "http_requests_total") == {
        ("/v1/check", "POST", "200"): 2,
        ("/v1/detectors/{name}", "GET", "200"): 2,
        ("/v1/check", "GET", "405"): 1,
        ("/v1/bug", "POST", "500"): 1,
        ("/healthz", "GET", "200"): 1,
    }
    assert values(metrics, "http_received_bytes_total")["/v1/check",] == 10
    assert values(metrics, "http_request_seconds_count")["/v1/check", "POST"] == 2
    assert values(metrics, "http_requests_in_flight") == {(): 0}


KNOWN = {"other", "/v1/check", "/healthz", "/metrics", "/openapi.json"}


def test_strangers_cannot_make_labels():
    odd = [("GET", f"/{number}") for number in range(20)]
    odd += [(f"M{number}", "/v1/check") for number in range(20)]
    odd += [("GET", "/openapi.json%0A"), ("GET", "/metrics%0A"), ("GET", "/healthz%0A")]
    odd += [("GET", "/v1/detectors/a%2Fb"), ("GET", "/v1/detectors/a/")]
    labels = values(asked(*odd), "http_requests_total")
    assert {route for route, _, _ in labels} <= KNOWN
    assert {method for _, method, _ in labels} <= {"GET", "other"}


def test_what_is_mounted_has_one_label():
    async def page(_: object) -> PlainTextResponse:
        return PlainTextResponse("page")

    metrics, mounted = Metrics(), Starlette(routes=[Route("/{rest:path}", page)])
    app = Starlette(routes=[Mount("/pages", mounted), Route("/files/{rest:path}", page)])
    install(app, SecuritySettings(), metrics)
    asking = TestClient(app)
    for number in range(10):
        asking.get(f"/pages/{number}/x")
        asking.get(f"/files/{number}/x")
    routes = {route for route, _, _ in values(metrics, "http_requests_total")}
    # Which of the two it is depends on how much this Starlette tells of a route.
    assert routes - {"/files/{rest}", "other"} == {"/pages/*"}


def test_checks_are_counted_by_what_came_of_them():
    metrics = Metrics()
    for one in (
        result("fake", "real"),
        result("real"),
        result(),
        result(code="empty_file"),
        result(code="empty_file"),
    ):
        metrics.record_result(one)
    assert values(metrics, "checks_total") == {
        ("ok", "fake", ""): 1,
        ("ok", "real", ""): 1,
        ("no_face", "", ""): 1,
        ("error", "", "empty_file"): 2,
    }
    assert values(metrics, "faces_total") == {("fake",): 1, ("real",): 2}
    assert values(metrics, "check_seconds_count") == {(): 5}
    assert values(metrics, "check_seconds_sum")[()] == pytest.approx(0.4)


def test_queue_batches_and_detector():
    metrics = Metrics()
    metrics.record_queue(7)
    metrics.record_batch(3)
    metrics.record_batch(30)
    metrics.record_detector(DETECTOR, "strict")
    metrics.record_detector(DETECTOR, "balanced")
    assert values(metrics, "queue_depth") == {(): 7}
    assert values(metrics, "batch_faces_bucket")["4.0",] == 1
    assert values(metrics, "batch_faces_sum") == {(): 33}
    assert values(metrics, "detector_info") == {("bright", "1.0", "0" * 64, "balanced"): 1}


def test_a_refusal_is_counted_once_wherever_it_is_told():
    metrics = Metrics()
    app = Starlette()

    async def full(_: object) -> PlainTextResponse:
        metrics.record_rejection("queue_full")
        return PlainTextResponse("no", status_code=429)

    app.add_route("/full", full)
    install(app, SecuritySettings(requests_per_minute=0.5, burst=1), metrics)
    asking = TestClient(app)
    with logged() as output:
        assert [asking.get("/full").status_code for _ in range(2)] == [429, 429]
    lines = [line for line in map(json.loads, output.json) if line["event"] == "request"]
    assert [line["refused"] for line in lines] == ["queue_full", "rate"]
    metrics.record_rejection("shutdown")
    expected = {("queue_full",): 1, ("rate",): 1, ("shutdown",): 1}
    assert values(metrics, "refused_total") == expected


def test_two_apps_share_nothing():
    one, other = asked(("GET", "/healthz")), asked()
    assert values(one, "http_requests_total")
    assert not values(other, "http_requests_total")


def test_threads_lose_no_count():
    metrics = Metrics()
    threads = [
        threading.Thread(target=lambda: [metrics.record_result(result("real")) for _ in range(50)])
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert values(metrics, "faces_total") == {("real",): 400}


def test_the_page_is_prometheus_text_with_the_process():
    answer = client().get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    families = {family.name for family in text_string_to_metric_families(answer.text)}
    assert {"faceproof_http_requests", "process_resident_memory_bytes", "python_info"} <= families
    answer = client().get("/metrics", headers={"Accept": "application/openmetrics-text"})
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert answer.text.endswith("# EOF\n")


def test_metrics_may_be_off():
    assert client(SecuritySettings(metrics=False)).get("/metrics").status_code == 404


def test_only_get_reads_metrics_and_schemas_do_not_name_them():
    asking = client()
    assert asking.post("/metrics").status_code == 405
    assert "/metrics" not in asking.get("/openapi.json").json()["paths"]


def test_an_answer_that_is_cut_off_is_counted():
    metrics = Metrics()
    asking = TestClient(service(metrics=metrics), raise_server_exceptions=False)
    asking.get("/v1/cut")
    assert values(metrics, "http_requests_total") == {("/v1/cut", "GET", "200"): 1}
    assert values(metrics, "http_requests_in_flight") == {(): 0}
