"""`faceproof serve` as a process: what it answers, whom it does not wait for, how it ends."""

import html
import importlib.util
import io
import json
import random
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, nullcontext, suppress
from types import SimpleNamespace

import pytest
import uvicorn
from fastapi import FastAPI
from PIL import Image
from typer.testing import CliRunner

from faceproof.cli import app
from faceproof.cli.serve import NEEDED
from faceproof.frontends.api import ServiceSettings
from faceproof.frontends.api.server import serve
from faceproof.installation import install_command
from support.served import rest, served, status, upload
from support.service import picture

WHITE = picture()
#: Takes a while to decode, and is small on the wire.
LARGE = picture(side=2000)


@pytest.fixture(scope="module")
def running():
    """What is started once and ended with this module."""
    with ExitStack() as stack:
        yield SimpleNamespace(stack=stack, service=None)


@pytest.fixture
def impatient(running, tiny_bundle, tmp_path):
    """A service with little patience, for all tests that do not end it."""
    if running.service is None:
        impatience = {"head_seconds": 1, "upload_seconds": 1, "keep_alive_seconds": 1}
        started = served(tiny_bundle, tmp_path, max_connections=150, **impatience)
        running.service = running.stack.enter_context(started)
    return running.service


def content(answer):
    return json.loads(answer.partition(b"\r\n\r\n")[2])


def drip(connection, data):
    """Send byte after byte, or piece after piece, until the service has had enough."""
    for piece in data:
        connection.sendall(bytes([piece]) if isinstance(piece, int) else piece)
        time.sleep(0.05)


def closes_within(connection, seconds):
    """Return whether the service closes the connection in time."""
    connection.settimeout(seconds)
    try:
        return connection.recv(1) == b""
    except TimeoutError:
        return False
    except ConnectionResetError:
        return True


def test_it_answers_over_http(impatient):
    assert content(impatient.ask(upload(WHITE)))["verdict"] == "fake"
    assert content(impatient.get("/healthz")) == {"status": "alive"}
    assert content(impatient.get("/v1/detectors"))["detectors"][0]["name"] == "bright"


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/v1/detectors", "/docs"])
def test_head_is_a_head_without_a_body(impatient, path):
    head = f"HEAD {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    answer = impatient.ask(head.encode())
    assert status(answer) == 200
    assert answer.endswith(b"\r\n\r\n")
    assert b"\r\ncontent-length: " in answer


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_the_examples_of_the_page_work_as_they_are(impatient, tmp_path):
    for name in ("portrait.jpg", "group.jpg"):
        (tmp_path / name).write_bytes(picture(kind="JPEG"))
    page = impatient.get("/docs").partition(b"\r\n\r\n")[2].decode()
    examples = re.findall(r"<pre[^>]*><code>curl (.*?)</code>", page)
    tried = [html.unescape(one) for one in examples if "/v1/check" in one and "url" not in one]
    assert len(tried) == 5
    for command in tried:
        served_at = command.replace("http://localhost/", f"http://127.0.0.1:{impatient.port}/")
        done = subprocess.run(
            ["sh", "-c", f"curl -s --fail-with-body {served_at}"],
            cwd=tmp_path,
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, (command, done.stdout)
        assert b'"status":"no_face"' in done.stdout


def test_every_line_that_it_writes_is_json(tiny_bundle, tmp_path):
    """From the start to the end, with files on which libtiff has a lot to say."""
    damaged = bytearray(fax())
    damaged[20:200:9] = b"\xff" * 20
    with served(tiny_bundle, tmp_path) as service:
        service.ask(b"rubbish\r\n\r\n")
        assert status(service.ask(upload(bytes(damaged), copies=1))) in {200, 422}
        service.get("/docs")
        service.terminate()
        assert service.code() == 0
    lines = [json.loads(line) for line in service.log.read_text(encoding="utf-8").splitlines()]
    found = {line["logger"] for line in lines}
    assert {
        "uvicorn.error",
        "faceproof.requests",
        "faceproof.stderr",
        "faceproof.cli.serve",
    } <= found
    assert any(re.search("Fax4Decode", line["event"]) for line in lines)


def fax():
    """Return a TIFF of one bit in ITU-T T.6, the coding that libtiff checks line by line."""
    file = io.BytesIO()
    noise = random.Random(1).randbytes(200 * 200 // 8)
    Image.frombytes("1", (200, 200), noise).save(file, "TIFF", compression="group4")
    return file.getvalue()


def test_what_is_no_http_is_a_problem(impatient):
    answer = impatient.ask(b"rubbish\r\n\r\n")
    assert status(answer) == 400
    assert b"application/problem+json" in answer
    assert content(answer)["code"] == "bad_request"


@pytest.mark.parametrize("begun", [b"", b"GET /healthz HTTP/1.1\r\nHost: local"])
def test_a_head_that_does_not_come_is_not_waited_for(impatient, begun):
    with impatient.open() as connection:
        connection.sendall(begun)
        begun_at = time.monotonic()
        assert closes_within(connection, 10)
        assert 0.5 < time.monotonic() - begun_at < 5


def test_a_head_that_drips_is_not_waited_for(impatient):
    with impatient.open() as connection:
        begun_at = time.monotonic()
        connection.settimeout(0.1)
        with pytest.raises(OSError):  # noqa: PT011 (reset, broken pipe: as the system has it)
            drip(connection, b"GET /healthz HTTP/1.1\r\nX-Slow: " + b"x" * 200)
        assert time.monotonic() - begun_at < 5


def test_a_body_that_drips_is_answered_and_not_waited_for(impatient):
    request = upload(WHITE)
    head, _, body = request.replace(b"Connection: close\r\n", b"").partition(b"\r\n\r\n")
    with impatient.open() as connection:
        connection.sendall(head + b"\r\n\r\n" + body[:50])
        answer = connection.recv(65536)
        assert status(answer) == 408
        with pytest.raises(OSError):  # noqa: PT011 (as above)
            drip(connection, b"x" * 200)


def test_a_body_that_announces_too_much_is_refused_and_still_read_for_a_moment(impatient):
    """So that a client that sends all before it reads finds its answer."""
    head = upload(WHITE).partition(b"\r\n\r\n")[0].replace(b"Connection: close\r\n", b"")
    length = next(line for line in head.split(b"\r\n") if line.startswith(b"Content-Length"))
    with impatient.open() as connection:
        connection.sendall(head.replace(length, b"Content-Length: 100000000") + b"\r\n\r\n")
        connection.sendall(bytes(2_000_000))
        assert status(connection.recv(65536)) == 413


def test_an_answer_that_is_not_read_is_not_kept(impatient):
    with impatient.open() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        request = b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n"
        with pytest.raises(OSError):  # noqa: PT011 (reset, broken pipe: as the system has it)
            drip(connection, [request * 500, *[request] * 100])


def test_silent_connections_do_not_keep_others_out(impatient):
    silent = [impatient.open() for _ in range(200)]
    try:
        for connection in silent[::2]:
            connection.sendall(b"GET / HTTP/1.1\r\n")
        begun = time.monotonic()
        assert status(impatient.get("/healthz")) == 200
        assert status(impatient.ask(upload(WHITE))) == 200
        assert time.monotonic() - begun < 5
    finally:
        for connection in silent:
            connection.close()


def test_a_connection_is_used_again(impatient):
    with impatient.open() as connection:
        for _ in range(3):
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            answer = b""
            while not answer.endswith(b"}"):
                answer += connection.recv(65536)
            assert status(answer) == 200
        assert closes_within(connection, 10)


def wait_until_closed(service):
    """Wait until the service takes no more connections."""
    with suppress(OSError):
        for _ in range(200):
            service.open().close()
            time.sleep(0.05)


def test_a_signal_in_the_middle_loses_nothing(tiny_bundle, tmp_path):
    with served(tiny_bundle, tmp_path) as service, ExitStack() as stack:
        idle = stack.enter_context(service.open())
        idle.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert status(idle.recv(65536)) == 200
        begun, stopping = threading.Barrier(13), threading.Event()

        def ask():
            path = "/v1/check/batch?faces=whole"
            request = upload(LARGE, path=path, copies=2, close=False)
            with service.open(seconds=60) as connection:
                connection.sendall(request[:-10])
                begun.wait()
                stopping.wait(20)
                connection.sendall(request[-10:])
                return rest(connection)

        with ThreadPoolExecutor(12) as pool:
            asked = [pool.submit(ask) for _ in range(12)]
            begun.wait()
            service.terminate()
            wait_until_closed(service)  # from now on, every answer must say that it is the last
            stopping.set()
            answers = [one.result() for one in asked]
        assert service.code() == 0
        assert [status(answer) for answer in answers] == [200] * 12
        assert all(b"\r\nconnection: close" in answer.lower() for answer in answers)
        verdicts = [one["verdict"] for answer in answers for one in content(answer)["results"]]
        assert verdicts == ["fake"] * 24
        with pytest.raises(OSError, match="refused"):
            service.open()


def test_a_signal_before_the_server_handles_signals_is_not_lost(monkeypatch):
    def run(server, sockets):
        signal.raise_signal(signal.SIGTERM)
        stopped.append(server.should_exit)

    stopped = []
    monkeypatch.setattr(uvicorn.Server, "run", run)
    with socket.socket() as listener:
        serve(FastAPI(), listener, ServiceSettings(), started=lambda: None)
    assert stopped == [True]


def test_the_end_does_not_wait_for_ever(tiny_bundle, tmp_path):
    with served(tiny_bundle, tmp_path, shutdown_seconds=1) as service, service.open() as connection:
        connection.sendall(upload(WHITE)[:-10])
        time.sleep(0.3)
        service.terminate()
        answer = rest(connection)
        assert (status(answer), content(answer)["code"]) == (503, "stopping")
        assert service.code(seconds=10) == 0


def test_too_many_connections_cost_the_longest_silent_ones_and_ctrl_c_ends_it(
    tiny_bundle, tmp_path
):
    with (
        served(tiny_bundle, tmp_path, max_connections=20, head_seconds=60) as service,
        ExitStack() as stack,
    ):
        silent = [stack.enter_context(service.open()) for _ in range(30)]
        assert status(service.get("/healthz")) == 200
        assert all(closes_within(connection, 10) for connection in silent[:10])
        assert not closes_within(silent[-1], 0.2)
        service.process.send_signal(signal.SIGINT)
        assert service.code() == 0
        assert "Traceback" not in service.log.read_text()


@pytest.mark.parametrize(
    ("words", "environment", "message"),
    [
        (["--host", "0.0.0.0"], {}, "no API key and no rate limit"),
        (
            ["--host", "no.such.host.invalid"],
            {"GUARD__OPEN_TO_ALL": "1"},
            "no.such.host.invalid: cannot bind to this host",
        ),
        ([], {"MAX_FILE_BYTE": "1"}, "did you mean 'FACEPROOF_SERVE_MAX_FILE_BYTES'?"),
        ([], {"MAX_FILES": "many"}, "FACEPROOF_SERVE_MAX_FILES: Input should be a valid integer"),
        ([], {"MAX_FILES": "200"}, "max_files exceeds max_waiting"),
        ([], {"MAX_BODY_BYTES": "9999999999"}, "max_body_bytes exceeds max_held_bytes"),
        ([], {"GUARD__BURST": "0"}, "FACEPROOF_SERVE_GUARD__BURST: "),
        ([], {"READY_PICTURE": "nowhere.jpg"}, "ready_picture nowhere.jpg: No such file"),
        (["--detector", "nowhere"], {}, "no detector 'nowhere'"),
        (["--at", "nowhere"], {}, "unknown operating point 'nowhere'"),
    ],
)
def test_wrong_usage_is_told_in_a_line(words, environment, message, tiny_bundle, not_served):
    done = not_served(["--detector", str(tiny_bundle), "--port", "0", *words], environment)
    assert done.exit_code == 2
    assert message in done.stderr
    assert done.stderr.startswith("faceproof: ")
    assert done.stderr.count("\n") == 1


def test_a_port_in_use_is_told(tiny_bundle, not_served):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = not_served(["--detector", str(tiny_bundle), "--port", port], {})
    assert done.exit_code == 2
    assert f"127.0.0.1 port {port} is not available" in done.stderr
    assert "--port" in done.stderr


@pytest.mark.parametrize("missing", NEEDED)
def test_a_missing_extra_is_told(missing, monkeypatch, not_served):
    there = importlib.util.find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name: there(name) if name != missing else None
    )
    done = not_served([], {})
    assert done.exit_code == 2
    assert install_command("serve") in done.stderr


@pytest.fixture
def not_served(monkeypatch):
    """Run the command as far as the service, which is not started."""

    def refuse(*_, **__):
        raise AssertionError("it was started")

    def run(words, environment):
        given = {f"FACEPROOF_SERVE_{name}": value for name, value in environment.items()}
        return CliRunner().invoke(app, ["serve", *words], env=given)

    monkeypatch.setattr("faceproof.frontends.api.server.serve", refuse)
    monkeypatch.setattr(
        "faceproof.frontends.api.security.write_log", lambda *_, **__: nullcontext()
    )
    return run
