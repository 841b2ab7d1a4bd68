"""JSON in other encodings, and compressed bodies, on every route that reads a body."""

import codecs
import gzip
import json

import pytest

from faceproof.frontends.api.feedback.bodies import EXAMPLE
from faceproof.frontends.api.pictures import PIXEL

JSON = {"content-type": "application/json"}
#: A route, a JSON body that it accepts, and the status that it then has.
BODIES = [
    ("/v1/check", {"image": PIXEL, "name": "José.png"}, 200),
    ("/v1/check/batch", {"images": [{"image": PIXEL, "name": "José.png"}]}, 200),
    ("/v1/feedback", {**EXAMPLE, "note": "José"}, 200),
]
every_route = pytest.mark.parametrize(("path", "content", "status"), BODIES)


@pytest.fixture
def client(shared_client, tmp_path):
    given = shared_client(feedback={"database": str(tmp_path / "feedback.sqlite")})
    given.post("/v1/feedback", json=EXAMPLE)  # new the first time, known from then on
    return given


def text(content) -> str:
    return json.dumps(content, ensure_ascii=False)


@every_route
def test_a_byte_order_mark_is_ignored(client, path, content, status):
    body = codecs.BOM_UTF8 + text(content).encode()
    answer = client.post(path, content=body, headers=JSON)
    assert answer.status_code == status, answer.text


@every_route
@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32", "latin-1"])
def test_another_encoding_is_named(client, path, content, status, encoding):
    answer = client.post(path, content=text(content).encode(encoding), headers=JSON)
    assert (answer.status_code, answer.json()["code"]) == (422, "usage")
    shown = "is not UTF-8" if encoding == "latin-1" else f"the JSON is {encoding.upper()}: "
    assert shown in answer.json()["detail"]
    assert "UTF-8" in answer.json()["detail"]


@every_route
@pytest.mark.parametrize("coding", ["gzip", "br", "deflate, gzip", "GZIP", "x" * 5000])
def test_a_compressed_body_is_refused_by_its_coding(client, path, content, status, coding):
    body = gzip.compress(text(content).encode())
    answer = client.post(path, content=body, headers={**JSON, "content-encoding": coding})
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")
    assert coding[:60] in answer.json()["detail"]
    assert len(answer.json()["detail"]) < 200
    assert answer.headers["accept-encoding"] == "identity"


@pytest.mark.parametrize(
    "kind", ["multipart/form-data; boundary=x", "image/jpeg", "application/octet-stream"]
)
def test_a_compressed_picture_is_refused_by_its_coding(client, kind):
    headers = {"content-type": kind, "content-encoding": "gzip"}
    answer = client.post("/v1/check", content=b"x", headers=headers)
    assert answer.status_code == 415
    assert "Content-Encoding 'gzip'" in answer.json()["detail"]


@every_route
def test_identity_is_no_coding(client, path, content, status):
    headers = {**JSON, "content-encoding": "identity"}
    answer = client.post(path, content=text(content).encode(), headers=headers)
    assert answer.status_code == status


@pytest.mark.parametrize(
    ("path", "content", "message"),
    [
        ("/v1/check", {"ulr": "x"}, "body.ulr: unknown field, did you mean 'url'?"),
        ("/v1/check/batch", {"image": []}, "body.image: unknown field, did you mean 'images'?"),
        ("/v1/feedback", {**EXAMPLE, "thruth": 1}, "did you mean 'truth'?"),
        ("/v1/feedback", {**EXAMPLE, "zzz": 1}, "unknown field. Choices: result, truth, face"),
    ],
)
def test_a_misspelt_field_has_a_suggestion(client, path, content, message):
    answer = client.post(path, json=content)
    assert answer.status_code == 422
    assert message in answer.json()["detail"]
