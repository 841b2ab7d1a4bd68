"""faceproof app: what it refuses, and a real start with a real end."""

import base64
import http.client
import os
import re
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager

import pytest
from typer.testing import CliRunner

from faceproof.cli import app
from faceproof.installation import install_command


def run(*words: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["app", "--no-browser", *words])
    return done.exit_code, " ".join(done.output.split())


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "page.example.org"])
def test_others_are_let_in_only_when_told(host):
    code, output = run("--host", host)
    assert code == 2
    assert "--public" in output


def test_a_detector_that_is_not_there_is_told_before_the_page_opens(tmp_path):
    code, output = run("--detector", str(tmp_path))
    assert code == 2
    assert str(tmp_path.name) in output


def test_a_missing_extra_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "streamlit", None)
    code, output = run()
    assert code == 2
    assert install_command("app") in output


def test_a_port_that_is_taken_is_told():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, output = run("--port", str(port))
    assert code == 2
    assert f"port {port}" in output


@contextmanager
def started(*words: str):
    """Start the page in a process of its own; yield the process, its host and port."""
    command = [sys.executable, "-m", "faceproof", "app", "--port", "0", "--no-browser", *words]
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env=os.environ | {"PYTHONUNBUFFERED": "1"}
    )
    try:
        lines = iter(process.stderr.readline, "")
        found = next(filter(None, (re.search(r"http://([\d.]+):(\d+)", line) for line in lines)))
        yield process, found[1], int(found[2])
    finally:
        process.kill()
        process.communicate()


def answer(host: str, port: int, path: str, **headers: str) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection(host, port, timeout=30)
    connection.request("GET", path, headers={k.replace("_", "-"): v for k, v in headers.items()})
    response = connection.getresponse()
    response.body = response.read() if response.status != 101 else b""
    connection.close()
    return response


def test_it_starts_keeps_strangers_out_and_ends_at_ctrl_c():
    with started() as (process, host, port):
        assert host == "127.0.0.1"
        page = answer(host, port, "/")
        assert page.status == 200
        assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
        upgrade = {
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec_WebSocket_Version": "13",
            "Sec_WebSocket_Key": base64.b64encode(bytes(16)).decode(),
        }
        own = f"{host}:{port}"
        assert answer(host, port, "/_stcore/stream", Host=own, **upgrade).status == 101
        for strange in ({"Host": "evil.example"}, {"Host": own, "Origin": "http://evil.example"}):
            assert answer(host, port, "/_stcore/stream", **strange, **upgrade).status == 403
        process.send_signal(signal.SIGINT)
        assert process.wait(20) in {0, 130}
