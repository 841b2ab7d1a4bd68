"""Whatever is uploaded, the service answers with a result or a problem, and lives on.

A few hundred bodies in the fast suite; for a long run, name the minutes:

    FACEPROOF_FUZZ_MINUTES=10 uv run pytest tests/properties/test_service_uploads.py
"""

from __future__ import annotations

import base64
import itertools
import json
import os
import time
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from PIL import features

from faceproof.frontends.api.problems import MEDIA_TYPE
from faceproof.results import CheckResult
from support.service import client_of, picture

MINUTES = float(os.environ.get("FACEPROOF_FUZZ_MINUTES", "0"))
EXAMPLES = 200
#: What a body can be answered with; anything else, a 500 above all, is a fault of ours.
STATUSES = {200, 400, 404, 405, 411, 413, 415, 422}
LONGEST_SECONDS = 10.0

KINDS = ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", *(["AVIF"] if features.check("avif") else [])]
PICTURES = [picture(shade, side=24, kind=kind) for kind in KINDS for shade in (0, 255)]


@st.composite
def damaged_pictures(draw: st.DrawFn) -> bytes:
    """Draw the bytes of a picture: whole, cut, with bytes changed, joined to others, or none."""
    data = bytearray(draw(st.sampled_from(PICTURES) | st.binary(max_size=300)))
    for _ in range(draw(st.integers(0, 4))):
        place = draw(st.integers(0, len(data)))
        change = draw(st.sampled_from(["cut", "set", "insert", "join"]))
        if change == "cut":
            del data[place:]
        elif change == "join":
            data += draw(st.sampled_from(PICTURES))
        elif change == "insert":
            data[place:place] = draw(st.binary(max_size=20))
        elif place < len(data):
            data[place] = draw(st.integers(0, 255))
    return bytes(data)


@st.composite
def part(draw: st.DrawFn, boundary: bytes) -> bytes:
    """Draw one part of a form, nearly right."""
    name = draw(st.sampled_from([b"file", b"file", b"file", b"url", b"", b"x" * 300]))
    output = draw(st.text(max_size=30)).encode("utf-8", "surrogatepass")
    key = draw(st.sampled_from([b"filename", b"filename", b"filename*", b"filename*0*"]))
    coded = draw(st.sampled_from([b"", b"UTF-8''", b"idna''%FF", b"=?utf-8?B?"]))
    heads = [
        b'Content-Disposition: form-data; name="%s"; %s="%s%s"' % (name, key, coded, output),
        *draw(st.lists(st.binary(max_size=40), max_size=2)),
    ]
    start = draw(st.sampled_from([b"--%s\r\n" % boundary, b"--%s\n" % boundary, b""]))
    return start + b"\r\n".join(heads) + b"\r\n\r\n" + draw(damaged_pictures()) + b"\r\n"


@st.composite
def json_bodies(draw: st.DrawFn) -> bytes:
    """Draw a JSON body with pictures in base64, nearly right."""
    text = base64.b64encode(draw(damaged_pictures())).decode()
    cut = draw(st.sampled_from([text, text, text.rstrip("="), text[:-1], f"data:x;base64,{text}"]))
    one = {"image": cut, "name": draw(st.none() | st.text(max_size=30))}
    content = draw(st.sampled_from([one, one, {"images": [one, one]}, {"images": [one] * 40}]))
    mark = draw(st.sampled_from([b"", b"", b"\xef\xbb\xbf", b"\xff\xfe"]))
    return mark + json.dumps(content).encode()


@st.composite
def requests(draw: st.DrawFn) -> tuple[str, dict[str, str], bytes]:
    """Draw path, headers and body of a request."""
    if draw(st.integers(0, 3)) == 0:
        kind = draw(st.sampled_from(["application/json", "image/jpeg", "application/octet-stream"]))
        body = draw(json_bodies() if kind == "application/json" else damaged_pictures())
        path = draw(st.sampled_from(["/v1/check?faces=whole", "/v1/check/batch?faces=whole"]))
        return path, {"content-type": kind}, body
    boundary = draw(st.sampled_from([b"abc", b"a b", b"x" * 70]))
    body = b"".join(draw(st.lists(part(boundary), max_size=3)))
    body += draw(st.sampled_from([b"--%s--\r\n" % boundary, b"--%s--" % boundary, b"--", b""]))
    kind = draw(
        st.sampled_from(["multipart/form-data; boundary=", "Multipart/Form-Data;boundary="])
    )
    types = [kind + boundary.decode(), "multipart/form-data", "image/png", "application/json", ""]
    headers = {"content-type": draw(st.sampled_from([types[0], types[0], *types]))}
    if draw(st.integers(0, 9)) == 0:  # a length that lies
        headers["content-length"] = str(draw(st.integers(0, 2 * len(body) + 1)))
    path = draw(st.sampled_from(["/v1/check", "/v1/check/batch"]))
    query = draw(st.sampled_from(["", "?faces=whole", "?faces=whole&at=strict", "?heatmaps=true"]))
    return path + query, headers, body


@pytest.fixture
def client(tiny_bundle):
    with client_of(
        tiny_bundle, max_file_bytes=20_000, max_body_bytes=60_000, addresses=False
    ) as given:
        yield given


def test_whatever_is_uploaded_is_answered(client):
    seen: Counter[int] = Counter()
    end = time.monotonic() + 60 * MINUTES
    for turn in itertools.count():
        fuzz(client, seen, turn)
        if time.monotonic() >= end:
            break
    assert {200, 422} <= set(seen), seen
    assert client.get("/healthz").status_code == 200


def fuzz(client, seen, turn):
    """Ask a few hundred times."""

    @seed(turn)
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(requests())
    def ask(request):
        path, headers, body = request
        started = time.monotonic()
        answer = client.post(path, headers=headers, content=body)
        assert time.monotonic() - started < LONGEST_SECONDS
        assert answer.status_code in STATUSES, (answer.status_code, answer.text)
        seen[answer.status_code] += 1
        look_at(answer)

    ask()


def look_at(answer):
    """See that an answer is a result, a list of results, or a problem with a code."""
    actual = json.loads(answer.content)
    if answer.status_code != 200:
        assert answer.headers["content-type"] == MEDIA_TYPE
        assert actual["status"] == answer.status_code
        assert actual["code"]
        assert actual["detail"]
    else:
        for one in actual.get("results", [actual]):
            CheckResult.model_validate(one)
