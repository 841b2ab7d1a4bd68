"""`faceproof serve --workers`: several processes answer as one service, and end as one."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress

import pytest

pytest.importorskip("fastapi")

from support.served import rest, served, status, upload
from support.service import picture

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name == "nt", reason="workers need SIGTERM"),
]

WHITE = picture()
#: The machine may be slow, but no request may be lost.
PATIENT = {"upload_seconds": 300, "answer_seconds": 300, "shutdown_seconds": 300}
FAILING = """
import socket
from faceproof.frontends.api import ServiceSettings
from faceproof.frontends.api.workers import ServedDetector, serve_with_workers

if __name__ == "__main__":
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        served = ServedDetector("nowhere", None, ServiceSettings(feedback={"database": "off"}))
        code = serve_with_workers(served, listener, 2, started=lambda: print("started"))
        raise SystemExit(code)
"""


def lines(service):
    return [json.loads(line) for line in service.log.read_text(encoding="utf-8").splitlines()]


def workers_of(service):
    """Return the processes that reported a start, in order."""
    return [line["worker"] for line in lines(service) if line["event"] == "worker started"]


def wait_for(what):
    for _ in range(4800):
        if found := what():
            return found
        time.sleep(0.05)
    raise AssertionError("waited in vain")


def counted(service):
    """Return how many pictures all workers together have checked, whichever is asked."""
    found = re.findall(rb"\nfaceproof_checks_total\{.*\} ([0-9.]+)", service.get("/metrics"))
    return sum(map(float, found))


def in_flight(service):
    """Return how many requests all workers together answer now, this one included."""
    (found,) = re.findall(
        rb"\nfaceproof_http_requests_in_flight ([0-9.]+)", service.get("/metrics")
    )
    return float(found)


def begin(service):
    """Return a connection whose request a worker has accepted: all but its end is sent."""
    connection = service.open(seconds=240)
    connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
    answer = b""
    while not answer.endswith(b"}"):
        answer += connection.recv(65536)
    connection.sendall(upload(WHITE, close=True)[:-10])
    return connection


def finish(connection):
    """Send the end of the request, and return the answer; empty if the connection was lost."""
    with connection, suppress(BrokenPipeError, ConnectionResetError):
        connection.sendall(upload(WHITE, close=True)[-10:])
        return rest(connection)
    return b""


def test_workers_answer_as_one_service(tiny_bundle, tmp_path):
    with served(tiny_bundle, tmp_path, "--workers", "2") as service:
        wait_for(lambda: len(workers_of(service)) == 2)
        probes = counted(service)  # of the readiness of each
        answers = [service.ask(upload(WHITE)) for _ in range(10)]
        assert [status(one) for one in answers] == [200] * 10
        bodies = [json.loads(one.partition(b"\r\n\r\n")[2]) for one in answers]
        assert {(one["verdict"], one["fake_probability"]) for one in bodies} == {
            ("fake", bodies[0]["fake_probability"])
        }
        # Whichever worker answers, it reports the sum; and twice the same.
        assert [counted(service) - probes for _ in range(6)] == [10] * 6
        assert service.get("/metrics").count(b"\nfaceproof_detector_info{") == 1

        killed, _ = workers_of(service)
        os.kill(killed, signal.SIGKILL)
        wait_for(lambda: len(workers_of(service)) == 3)
        assert status(service.ask(upload(WHITE))) == 200
        assert counted(service) >= probes + 11, "what a dead worker counted is kept"
        service.terminate()
        assert service.code() == 0
        (died,) = [line for line in lines(service) if "started again" in line["event"]]
        assert (died["worker"], died["exit_code"]) == (killed, -signal.SIGKILL)
    for process in workers_of(service):
        with pytest.raises(ProcessLookupError):
            os.kill(process, 0)


def test_a_signal_loses_no_accepted_request_of_any_worker(tiny_bundle, tmp_path):
    with served(tiny_bundle, tmp_path, "--workers", "2", **PATIENT) as service:
        wait_for(lambda: len(workers_of(service)) == 2)
        asked = [begin(service) for _ in range(8)]
        wait_for(lambda: in_flight(service) == 9)  # the eight, whose heads are read, and this
        service.terminate()
        # New clients are refused, by all workers and the first process, and do not wait.
        with pytest.raises(OSError, match="refused"):
            wait_for(lambda: service.open().close())
        answers = [finish(connection) for connection in asked]
        assert [status(answer) for answer in answers] == [200] * 8
        assert [answer[-1:] for answer in answers] == [b"}"] * 8
        assert service.code(seconds=120) == 0


def test_a_dead_worker_fails_only_its_own_requests_and_is_replaced(tiny_bundle, tmp_path):
    with served(tiny_bundle, tmp_path, "--workers", "2", **PATIENT) as service:
        wait_for(lambda: len(workers_of(service)) == 2)
        asked = [begin(service) for _ in range(8)]
        wait_for(lambda: in_flight(service) == 9)
        aside = tiny_bundle.rename(tmp_path / "aside")  # so that no other one can start
        killed, _ = workers_of(service)
        os.kill(killed, signal.SIGKILL)
        answers = [finish(connection) for connection in asked]  # none waits
        assert {status(answer) for answer in answers} <= {0, 200}
        assert {answer[-1:] for answer in answers if answer} <= {b"}"}
        wait_for(lambda: "the next one starts in 5 seconds" in service.log.read_text("utf-8"))
        assert status(service.ask(upload(WHITE))) == 200
        aside.rename(tiny_bundle)
        wait_for(lambda: len(workers_of(service)) == 3)
        assert in_flight(service) == 1, "those of a dead worker do not count"
        service.terminate()
        assert service.code(seconds=120) == 0
    assert all(isinstance(line, dict) for line in lines(service))


def test_workers_do_not_outlive_the_first_process(tiny_bundle, tmp_path):
    with served(tiny_bundle, tmp_path, "--workers", "2") as service:
        wait_for(lambda: len(workers_of(service)) == 2)
        service.process.kill()
        service.process.wait()

        with pytest.raises(OSError, match="refused"):
            wait_for(lambda: service.open().close())


def test_a_worker_that_cannot_start_ends_the_service(tmp_path):
    program = tmp_path / "failing.py"
    program.write_text(FAILING)
    done = subprocess.run(
        [sys.executable, program], capture_output=True, text=True, timeout=480, check=False
    )
    assert done.returncode == 1, done.stderr
    assert "started" not in done.stdout
    assert "no detector 'nowhere'" in done.stderr
    assert "Traceback" not in done.stderr


def test_wrong_numbers_of_workers_are_refused():
    from typer.testing import CliRunner

    from faceproof.cli import app

    done = CliRunner().invoke(app, ["serve", "--workers", "0"])
    assert done.exit_code == 2
