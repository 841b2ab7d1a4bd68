"""examples/ray_serve.py: the service on Ray Serve answers as `Checker` does."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("ray.serve", exc_type=ImportError)

from faceproof import Checker, Detector
from support.served import Served, status, upload
from support.service import picture

pytestmark = [
    pytest.mark.nightly,
    pytest.mark.skipif(os.name == "nt", reason="process groups as on Linux and macOS"),
]

PROGRAM = Path(__file__).parents[2] / "examples" / "ray_serve.py"
SECONDS = 540
#: No reports to Ray's makers; a busy machine may take longer to start processes than Ray waits.
ENVIRONMENT = {
    "FACEPROOF_SERVE_FEEDBACK__DATABASE": "off",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "120",
    "RAY_worker_niceness": "0",
}


@pytest.fixture
def on_ray(tiny_bundle, tmp_path):
    """The service of a cluster that is started for it, ended with all its processes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = tmp_path / "log"
    words = ["--detector", str(tiny_bundle), "--port", str(port)]
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, PROGRAM, *words],
            stdout=stream,
            stderr=stream,
            env=os.environ | ENVIRONMENT,
            start_new_session=True,
        )
    service = Served(process, port, log)
    try:
        _wait_until_ready(service)
        yield service
    finally:
        with suppress(ProcessLookupError, subprocess.TimeoutExpired):
            process.send_signal(signal.SIGINT)
            process.wait(60)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def _wait_until_ready(service):
    until = time.monotonic() + SECONDS
    while time.monotonic() < until and service.process.poll() is None:
        with suppress(OSError):
            if status(service.get("/readyz")) == 200:
                return
        time.sleep(0.5)
    raise AssertionError(service.log.read_text(encoding="utf-8"))


def test_it_answers_as_the_checker_does(on_ray, tiny_bundle):
    data = picture()
    answer = on_ray.ask(upload(data), seconds=60)
    assert status(answer) == 200
    given = json.loads(answer.partition(b"\r\n\r\n")[2])
    checker = Checker(Detector.load(tiny_bundle), faces="whole")
    expected = json.loads(checker.check(data, name="a.png").model_dump_json(by_alias=True))
    for one in (given, expected):
        del one["elapsed_ms"]
    assert given == expected
    assert given["verdict"] == "fake"
    # Problems are those of the service too.
    answer = on_ray.ask(upload(b"no picture"), seconds=60)
    assert status(answer) == 422
    assert b"application/problem+json" in answer
    assert status(on_ray.get("/nowhere")) == 404
    assert status(on_ray.get("/healthz")) == 200
