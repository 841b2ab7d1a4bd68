"""`Metrics`: Prometheus metrics in a registry for each app; apps in one process share none.

The workers of one service count in files of a shared folder, and each of them reports the sums.

No label contains client input: routes are templates, methods and statuses are bounded, and no
label has a host name, key, file name or address.

Source: Prometheus, "Metric and label naming" and "Writing exporters", for names and base units.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Literal

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
from prometheus_client.multiprocess import MultiProcessCollector
from starlette.requests import Request
from starlette.responses import Response

from faceproof.frontends.api.security import request_context

if TYPE_CHECKING:
    from faceproof.results import CheckedBy, CheckResult

#: Names the folder in which the workers of one service count; prometheus_client reads it when it
#: is imported.
SHARED_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
#: Buckets in seconds, from a health check to the longest useful response.
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 2.5, 5.0, 10.0, 30.0)
#: Buckets of faces in one inference batch.
BATCH = (1, 2, 4, 8, 16, 32, 64, 128)


class Metrics:
    """The metrics of one app; each method is fast and thread-safe."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry(auto_describe=True)
        self._shared = SHARED_FOLDER in os.environ
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self.registry)
        self._declare_request_metrics()
        self._declare_check_metrics()

    def _declare_request_metrics(self) -> None:
        """Declare the metrics of requests."""
        self._requests = self._make_counter(
            "http_requests", "Requests.", "route", "method", "status"
        )
        self._seconds = Histogram(
            "faceproof_http_request_seconds",
            "Time from a request's head to the end of its response.",
            ("route", "method"),
            buckets=SECONDS,
            registry=self.registry,
        )
        self._in_flight = self._make_gauge(
            "http_requests_in_flight", "Requests in progress.", workers="livesum"
        )
        self._received = self._make_counter(
            "http_received_bytes", "Bytes of request bodies.", "route"
        )
        self._sent = self._make_counter("http_sent_bytes", "Bytes of response bodies.", "route")
        self._refused = self._make_counter("refused", "Requests rejected, by reason.", "reason")

    def _declare_check_metrics(self) -> None:
        """Declare the metrics of checks."""
        self._checks = self._make_counter(
            "checks", "Pictures checked, by outcome.", "status", "verdict", "code"
        )
        self._check_seconds = Histogram(
            "faceproof_check_seconds",
            "Processing time of one picture, without queueing.",
            buckets=SECONDS,
            registry=self.registry,
        )
        self._faces = self._make_counter("faces", "Faces judged, by verdict.", "verdict")
        self._queue = self._make_gauge(
            "queue_depth", "Pictures accepted and not yet answered.", workers="livesum"
        )
        self._batches = Histogram(
            "faceproof_batch_faces",
            "Faces in one inference batch.",
            buckets=BATCH,
            registry=self.registry,
        )
        labels = ("name", "version", "sha256", "operating_point")
        self._detector = self._make_gauge(
            "detector_info", "The detector in use: 1.", *labels, workers="livemax"
        )

    def _make_counter(self, name: str, documentation: str, *labels: str) -> Counter:
        return Counter(f"faceproof_{name}", documentation, labels, registry=self.registry)

    def _make_gauge(
        self,
        name: str,
        documentation: str,
        *labels: str,
        workers: Literal["livesum", "livemax"],
    ) -> Gauge:
        """Return a gauge; ``workers`` combines those of the live workers of one service."""
        return Gauge(
            f"faceproof_{name}",
            documentation,
            labels,
            registry=self.registry,
            multiprocess_mode=workers,
        )

    def record_result(self, result: CheckResult) -> None:
        """Count one result, and record it for the log line of the current request."""
        code = result.error.code if result.error else ""
        self._checks.labels(result.status, result.verdict or "", code).inc()
        self._check_seconds.observe(result.elapsed_ms / 1000)
        for face in result.faces:
            self._faces.labels(face.verdict).inc()
        request_context.record_check(result.verdict or code or result.status)

    def record_batch(self, size: int) -> None:
        """Count one inference batch of ``size`` faces."""
        self._batches.observe(size)

    def record_queue(self, depth: int) -> None:
        """Set the number of waiting pictures."""
        self._queue.set(depth)

    def record_rejection(self, reason: str) -> None:
        """Count a rejected request; ``reason`` is a fixed word such as ``busy``."""
        if not request_context.record_refusal(reason):
            self._refused.labels(reason).inc()

    def record_detector(self, detector: CheckedBy, operating_point: str) -> None:
        """Set the detector in use."""
        if not self._shared:  # where workers share files, labels cannot be removed
            self._detector.clear()
        labels = (detector.name, detector.version, detector.sha256, operating_point)
        self._detector.labels(*labels).set(1)

    def record_start(self) -> None:
        """Count the start of a request."""
        self._in_flight.inc()

    def record_answer(
        self,
        labels: tuple[str, str, str],
        *,
        seconds: float,
        received: int,
        sent: int,
        refused: str | None,
    ) -> None:
        """Count the end of a request; ``labels`` are route, method and status."""
        route, method, _ = labels
        self._in_flight.dec()
        self._requests.labels(*labels).inc()
        self._seconds.labels(route, method).observe(seconds)
        self._received.labels(route).inc(received)
        self._sent.labels(route).inc(sent)
        if refused is not None:
            self._refused.labels(refused).inc()

    async def endpoint(self, request: Request) -> Response:
        """Respond to ``GET /metrics`` in the text format that the scraper accepts."""
        encode, media_type = choose_encoder(request.headers.get("accept", ""))
        registry = self.registry
        if self._shared:
            registry = CollectorRegistry()
            MultiProcessCollector(registry)
        return Response(encode(registry), headers={"Content-Type": media_type})
