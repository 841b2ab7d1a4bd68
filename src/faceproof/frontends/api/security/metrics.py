"""What is counted, in a registry of the app's own: many apps in one process share nothing.

No label holds what a client chose: routes are templates, methods and statuses are bounded, and a
host name, key, file name or address is in none.

Source: Prometheus, "Metric and label naming" and "Writing exporters", for names and base units.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
)
from prometheus_client.exposition import choose_encoder
from starlette.requests import Request
from starlette.responses import Response

from faceproof.frontends.api.security import request_context

if TYPE_CHECKING:
    from faceproof.results import CheckedBy, CheckResult

#: From a health check to an answer that nobody waits for any longer, in seconds.
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 2.5, 5.0, 10.0, 30.0)
#: Faces that meet the networks together.
BATCH = (1, 2, 4, 8, 16, 32, 64, 128)


class Metrics:
    """The counters of one app; each method is quick and may be called from any thread."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry(auto_describe=True)
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self.registry)
        self._traffic()
        self._work()

    def _traffic(self) -> None:
        """Declare what is counted of requests."""
        self._requests = self._counter("http_requests", "Requests.", "route", "method", "status")
        self._seconds = Histogram(
            "faceproof_http_request_seconds",
            "Time from a request's head to the end of its answer.",
            ("route", "method"),
            buckets=SECONDS,
            registry=self.registry,
        )
        self._in_flight = self._gauge("http_requests_in_flight", "Requests being answered.")
        self._received = self._counter("http_received_bytes", "Bytes of bodies read.", "route")
        self._sent = self._counter("http_sent_bytes", "Bytes of bodies sent.", "route")
        self._refused = self._counter("refused", "Requests refused, by reason.", "reason")

    def _work(self) -> None:
        """Declare what is counted of checks."""
        self._checks = self._counter(
            "checks", "Pictures, by what came of them.", "status", "verdict", "code"
        )
        self._check_seconds = Histogram(
            "faceproof_check_seconds",
            "Time spent on one picture, without waiting for others.",
            buckets=SECONDS,
            registry=self.registry,
        )
        self._faces = self._counter("faces", "Faces judged, by verdict.", "verdict")
        self._queue = self._gauge("queue_depth", "Pictures taken and not answered.")
        self._batches = Histogram(
            "faceproof_batch_faces",
            "Faces that met the networks together.",
            buckets=BATCH,
            registry=self.registry,
        )
        labels = ("name", "version", "sha256", "operating_point")
        self._detector = self._gauge("detector_info", "The detector that judges: 1.", *labels)

    def _counter(self, name: str, documentation: str, *labels: str) -> Counter:
        return Counter(f"faceproof_{name}", documentation, labels, registry=self.registry)

    def _gauge(self, name: str, documentation: str, *labels: str) -> Gauge:
        return Gauge(f"faceproof_{name}", documentation, labels, registry=self.registry)

    def checked(self, result: CheckResult) -> None:
        """Count one answer, and remember it for the line of the current request."""
        code = result.error.code if result.error else ""
        self._checks.labels(result.status, result.verdict or "", code).inc()
        self._check_seconds.observe(result.elapsed_ms / 1000)
        for face in result.faces:
            self._faces.labels(face.verdict).inc()
        request_context.checked(result.verdict or code or result.status)

    def batched(self, size: int) -> None:
        """Count one run of the networks on ``size`` faces."""
        self._batches.observe(size)

    def queued(self, depth: int) -> None:
        """Say how many pictures wait now."""
        self._queue.set(depth)

    def rejected(self, reason: str) -> None:
        """Count a refused request; ``reason`` is a word of ours, such as ``queue_full``."""
        if not request_context.refused(reason):
            self._refused.labels(reason).inc()

    def judged_by(self, detector: CheckedBy, operating_point: str) -> None:
        """Say which detector judges from now on."""
        self._detector.clear()
        said = (detector.name, detector.version, detector.sha256, operating_point)
        self._detector.labels(*said).set(1)

    def begun(self) -> None:
        """Count a request in."""
        self._in_flight.inc()

    def answered(
        self,
        labels: tuple[str, str, str],
        *,
        seconds: float,
        received: int,
        sent: int,
        refused: str | None,
    ) -> None:
        """Count a request out; ``labels`` are route, method and status."""
        route, method, _ = labels
        self._in_flight.dec()
        self._requests.labels(*labels).inc()
        self._seconds.labels(route, method).observe(seconds)
        self._received.labels(route).inc(received)
        self._sent.labels(route).inc(sent)
        if refused is not None:
            self._refused.labels(refused).inc()

    async def endpoint(self, request: Request) -> Response:
        """Answer ``GET /metrics`` in the text format that the scraper asks for."""
        encode, media_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(self.registry), headers={"Content-Type": media_type})
