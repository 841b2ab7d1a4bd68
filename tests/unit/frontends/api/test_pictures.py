"""A picture as a raw body and as base64 in JSON: the answers and the limits of a form."""

import asyncio
import base64
import json

import httpx
import pytest
from starlette.exceptions import HTTPException

from faceproof.frontends.api.bodies import MOST_COMMAS
from faceproof.frontends.api.pictures import PIXEL, decode_base64
from support.service import app_of, client_of, picture, run

WHITE, BLACK = picture(255), picture(0)
CHECK = "/v1/check?faces=whole"
BATCH = "/v1/check/batch?faces=whole"
FORMS = ("multipart", "raw", "base64")


def as_base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def sent(form: str, data: bytes, name: str = "a.png") -> dict:
    """Return the options of a request that sends a picture in a form."""
    if form == "multipart":
        return {"files": {"file": (name, data)}}
    if form == "base64":
        return {"json": {"image": as_base64(data), "name": name}}
    disposition = f'attachment; filename="{name}"'
    headers = {"content-type": "image/png", "content-disposition": disposition}
    return {"content": data, "headers": headers}


@pytest.fixture
def client(shared_client):
    return shared_client(max_file_bytes=20_000, max_body_bytes=60_000, max_files=3)


def code(answer) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_result(client, form):
    answer = client.post(f"{CHECK}&at=strict", **sent(form, WHITE)).json()
    assert (answer["source"], answer["verdict"]) == ("a.png", "fake")
    assert answer["operating_point"] == "strict"


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("data", "name", "expected"),
    [
        (b"text", "a.png", (422, "mislabelled_file")),
        (b"text", "a", (422, "unsupported_format")),
        (WHITE[:60], "a.png", (422, "truncated_picture")),
        (bytes(20_001), "a.png", (413, "file_too_large")),
    ],
)
def test_every_form_has_the_same_checks(client, form, data, name, expected):
    assert code(client.post(CHECK, **sent(form, data, name))) == expected


@pytest.mark.parametrize("form", FORMS)
def test_pixels_are_limited(tiny_bundle, form):
    with client_of(tiny_bundle, max_pixels=1000) as client:
        assert code(client.post(CHECK, **sent(form, WHITE))) == (413, "picture_too_large")


@pytest.mark.parametrize("form", FORMS)
def test_rates_and_places_are_limited(tiny_bundle, form):
    with client_of(tiny_bundle, guard={"requests_per_minute": 1, "burst": 1}) as client:
        assert client.post(CHECK, **sent(form, WHITE)).status_code == 200
        assert code(client.post(CHECK, **sent(form, WHITE))) == (429, "too_many_requests")
    with client_of(tiny_bundle, max_waiting=2, max_files=2) as client:
        client.app.state.service.capacity.reserve(2)
        assert code(client.post(CHECK, **sent(form, WHITE))) == (429, "busy")
        client.app.state.service.capacity.waiting = 0


@pytest.mark.parametrize("form", FORMS)
def test_bytes_in_memory_are_limited_and_given_back(tiny_bundle, form):
    with client_of(tiny_bundle, max_held_bytes=2000, max_body_bytes=2000) as client:
        capacity = client.app.state.service.capacity
        capacity.bytes_in_use = 1990
        assert code(client.post(CHECK, **sent(form, WHITE))) == (429, "busy")
        assert capacity.bytes_in_use == 1990
        capacity.bytes_in_use = 0
        assert client.post(CHECK, **sent(form, WHITE)).status_code == 200
        assert capacity.bytes_in_use == 0


def test_decoded_bytes_are_in_memory_too(tiny_bundle):
    body = json.dumps({"image": as_base64(bytes(900))}).encode()
    with client_of(tiny_bundle, max_held_bytes=1500, max_body_bytes=1500) as client:
        options = {"content": body, "headers": {"content-type": "application/json"}}
        assert len(body) < 1500 < len(body) + 900
        assert code(client.post(CHECK, **options)) == (429, "busy")
        assert client.app.state.service.capacity.bytes_in_use == 0


@pytest.mark.parametrize("kind", ["image/png", "application/json"])
def test_a_body_that_comes_too_slowly_is_given_up(tiny_bundle, kind):
    async def work():
        app = app_of(tiny_bundle, upload_seconds=0.1)
        async with app.router.lifespan_context(app):

            async def slowly():
                yield b'{"image": "'
                await asyncio.sleep(0.5)
                yield b"x"

            async with httpx.AsyncClient(
                transport=httpx.ASGITransport(app), base_url="http://localhost"
            ) as client:
                return await client.post(CHECK, content=slowly(), headers={"content-type": kind})

    assert code(run(work)) == (408, "slow_request")


@pytest.mark.parametrize(("kind", "most_read"), [("image/png", 3), ("application/octet-stream", 3)])
def test_a_raw_body_is_refused_as_soon_as_it_is_too_large(tiny_bundle, kind, most_read):
    async def work():
        app = app_of(tiny_bundle, max_file_bytes=1000)
        read = []

        async def chunks():
            for _ in range(100):
                read.append(1)
                yield b" " * 500

        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(
                transport=httpx.ASGITransport(app), base_url="http://localhost"
            ) as client,
        ):
            headers = {"content-type": kind}
            streamed = await client.post(CHECK, content=chunks(), headers=headers)
            announced = await client.post(CHECK, content=b" " * 1001, headers=headers)
            return code(streamed), code(announced), len(read)

    too_large = (413, "file_too_large")
    streamed, announced, read = run(work)
    assert (streamed, announced) == (too_large, too_large)
    assert read <= most_read


def test_the_largest_picture_is_taken_in_every_form(tiny_bundle):
    padded = WHITE + bytes(4000 - len(WHITE))
    with client_of(tiny_bundle, max_file_bytes=4000) as client:
        for form in FORMS:
            assert client.post(CHECK, **sent(form, padded)).status_code == 200, form
            assert client.post(CHECK, **sent(form, padded + b"x")).status_code == 413, form


@pytest.mark.parametrize("kind", ["image/jpeg", "IMAGE/PNG; a=b", "application/octet-stream"])
def test_a_raw_body_is_judged_by_its_content(client, kind):
    answer = client.post(CHECK, content=WHITE, headers={"content-type": kind})
    assert (answer.json()["source"], answer.json()["verdict"]) == ("<upload>", "fake")


def test_a_raw_body_has_the_name_of_its_disposition(client):
    disposition = "attachment; filename=\"a.png\"; filename*=UTF-8''Jos%C3%A9.png"
    headers = {"content-type": "image/png", "content-disposition": disposition}
    assert client.post(CHECK, content=WHITE, headers=headers).json()["source"] == "José.png"


def test_an_empty_raw_body_is_an_empty_file(client):
    answer = client.post(CHECK, content=b"", headers={"content-type": "image/png"})
    assert code(answer) == (422, "empty_file")


def test_a_batch_takes_base64_and_no_raw_body(client):
    pictures = [{"image": as_base64(WHITE), "name": "w.png"}, {"image": as_base64(BLACK)}]
    results = client.post(BATCH, json={"images": pictures}).json()["results"]
    output = [(one["source"], one["verdict"]) for one in results]
    assert output == [("w.png", "fake"), ("<upload>", "real")]
    raw = client.post(BATCH, content=WHITE, headers={"content-type": "image/png"})
    assert code(raw) == (415, "unsupported_media_type")
    assert "'images'" in raw.json()["detail"]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"images": [{"image": PIXEL}] * 4}, (400, "bad_request")),
        ({"images": []}, (422, "usage")),
        ({"images": [{"image": as_base64(bytes(20_001))}]}, (413, "file_too_large")),
        ({"images": [{"image": "x" * 60_000}]}, (413, "file_too_large")),
        ({"images": [{"image": PIXEL}], "urls": ["http://a"]}, (422, "usage")),
        ({}, (422, "usage")),
    ],
)
def test_batches_that_do_not_fit(client, content, expected):
    assert code(client.post(BATCH, json=content)) == expected


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"image": "!!!"}, "body.image: not base64"),
        ({"image": "aGk=aGk="}, "body.image: not base64"),
        ({"image": "aGkpé"}, "body.image: not base64"),
        ({"image": "a"}, "body.image: not base64"),
        ({"image": "data:image/png,abc"}, "body.image: the data: URL is not in base64"),
        ({"image": "data:image/png;base64"}, "body.image: the data: URL is not in base64"),
        ({"image": PIXEL, "url": "http://a"}, "body: send either 'url' or 'image'"),
        ({}, "body: send either 'url' or 'image'"),
        ({"url": "http://a", "name": "a"}, "body: 'name' goes with 'image'"),
        ({"url": "data:image/png;base64," + "A" * 9000}, "a data: URL is not fetched"),
        ({"img": PIXEL}, "body.img: unknown field, did you mean 'image'?"),
    ],
)
def test_what_is_no_picture_is_named(client, content, message):
    answer = client.post(CHECK, json=content)
    assert code(answer) == (422, "usage")
    assert answer.json()["detail"].startswith((message, f"body.url: {message}"))


def test_the_picture_of_a_batch_that_is_not_base64_is_named(client):
    answer = client.post(BATCH, json={"images": [{"image": PIXEL}, {"image": "?"}]})
    assert answer.json()["detail"] == "body.images.1.image: not base64"


def test_base64_as_encoders_write_it():
    data = bytes(range(256)) * 9000  # more than one piece
    plain = base64.b64encode(data).decode()
    assert decode_base64(plain) == data
    assert decode_base64(base64.encodebytes(data).decode()) == data
    assert decode_base64(base64.encodebytes(data).decode().replace("\n", "\r\n")) == data
    assert decode_base64(base64.urlsafe_b64encode(data).decode()) == data
    assert decode_base64(plain.rstrip("=")) == data
    assert decode_base64("DATA:image/png;name=a;BASE64," + plain) == data
    with pytest.raises(HTTPException):
        decode_base64(plain[:-1] + "!")


def test_the_example_is_a_picture(client):
    assert client.post("/v1/check", json={"image": PIXEL}).json()["status"] == "no_face"


def test_a_json_body_of_many_values_is_not_parsed(tiny_bundle):
    """Each value would take many times its two bytes."""
    with client_of(tiny_bundle) as client:
        body = b'{"urls": [' + b"1," * (MOST_COMMAS + 1) + b"1]}"
        answer = client.post(BATCH, content=body, headers={"content-type": "application/json"})
    assert code(answer) == (422, "usage")
    assert "too many values" in answer.json()["detail"]
