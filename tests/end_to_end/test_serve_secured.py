"""`faceproof serve` with keys and a rate, as a process: who gets in, and what it says of them."""

import json
import re
import time

from typer.testing import CliRunner

from faceproof.cli import app
from support.served import served, status, upload
from support.service import picture

CANARY = b"c4nary"


def keys(*words, file):
    """Return what `faceproof keys` writes to standard output."""
    done = CliRunner().invoke(app, ["keys", *words, "--file", str(file)])
    assert done.exit_code == 0, done.stderr
    return done.stdout.strip()


def with_headers(request, *headers):
    """Return a request with more headers."""
    first, rest = request.split(b"\r\n", 1)
    return b"\r\n".join([first, *headers, rest])


def test_a_guarded_service_from_its_first_key_to_its_last_line(tiny_bundle, tmp_path):
    file = tmp_path / "keys.json"
    old = keys("new", "--name", "shop", file=file)
    identity = old.split("_")[1]
    guard = {"guard__keys_file": file, "guard__requests_per_minute": 600, "guard__burst": 40}
    with served(tiny_bundle, tmp_path, **guard) as service:

        def check(key, *more, path="/v1/check?faces=whole"):
            return service.ask(
                with_headers(upload(picture(), path=path), b"X-API-Key: " + key.encode(), *more)
            )

        assert status(service.get("/healthz")) == 200
        assert status(service.get("/metrics")) == 401
        assert status(check(old)) == 200
        assert status(check("fp_" + old[4:])) == 401

        new = keys("rotate", identity, "--overlap-days", "1", file=file)
        time.sleep(1.1)
        assert (status(check(old)), status(check(new))) == (200, 200)
        keys("retire", identity, file=file)
        time.sleep(1.1)
        assert (status(check(old)), status(check(new))) == (401, 200)

        spoilt = (b"User-Agent: " + CANARY, b"Cookie: " + CANARY, b"X-" + CANARY + b": 1")
        assert status(check(new, *spoilt, path="/v1/check?at=c4nary")) == 422
        assert status(check(CANARY.decode(), *spoilt, path="/c4nary/c4nary?c4nary")) == 401
        assert status(service.ask(CANARY + b" / HTTP/1.1\r\n" + CANARY + b"\r\n\r\n")) == 400
        upgrade = b"GET /c4nary?c4nary HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n"
        key = b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
        with service.open(seconds=5) as connection:
            connection.sendall(upgrade + b"Upgrade: websocket\r\n" + key + b"\r\n")
            assert status(connection.recv(4096)) == 401
        service.terminate()
        assert service.code() == 0
        output = service.log.read_bytes()

    assert CANARY not in output
    assert old.encode() not in output
    assert new.encode() not in output
    lines = [line for line in output.decode().splitlines() if not line.startswith("faceproof: ")]
    requests = [line for line in map(json.loads, lines) if line["event"] == "request"]
    assert len(requests) == 11
    assert requests[2]["key"] == identity
    assert requests[2]["checks"] == {"fake": 1}
    assert [line["status"] for line in requests if "refused" in line] == [401] * 5
    assert all(re.fullmatch(r"[0-9a-f]{32}", line["request_id"]) for line in requests)
