"""Multipart bodies are read in memory, whole or not at all, within their limits."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from starlette.exceptions import HTTPException

from faceproof.errors import FileTooLargeError
from faceproof.frontends.api.uploads import (
    UNNAMED,
    MultipartUploads,
    boundary_of,
    disposition_name,
    file_name,
)

BOUNDARY = b"abc"
TESTS = Path(__file__).parents[3]


def part(data=b"bytes", *, name="file", filename="a.jpg", head=""):
    disposition = f'form-data; name="{name}"' + (f'; filename="{filename}"' if filename else "")
    return f"--abc\r\nContent-Disposition: {disposition}\r\n{head}\r\n".encode() + data + b"\r\n"


def read(body, *, step=None, max_file_bytes=1000, max_files=2):
    uploads = MultipartUploads(BOUNDARY, max_file_bytes=max_file_bytes, max_files=max_files)
    for start in range(0, len(body), step or len(body)):
        uploads.feed(body[start : start + (step or len(body))])
    return [(one.name, one.data) for one in uploads.finish()]


@pytest.mark.parametrize("step", [None, 1, 2, 3, 7, 64])
def test_files_are_whole_however_the_body_is_cut(step):
    body = part(b"one\r\n--ab") + part(b"", filename="b é.png") + b"--abc--\r\n"
    assert read(body, step=step) == [("a.jpg", b"one\r\n--ab"), ("b é.png", b"")]


def test_a_part_without_a_file_name_is_a_file():
    assert read(part(b"x", filename="") + b"--abc--") == [(UNNAMED, b"x")]


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(part(), id="no end"),
        pytest.param(part()[:20], id="cut in a header"),
        pytest.param(b"", id="empty"),
        pytest.param(b"rubbish", id="no multipart"),
        pytest.param(part(name="photo") + b"--abc--", id="another field"),
        pytest.param(b"--abc\r\n\r\nx\r\n--abc--", id="no headers"),
        pytest.param(part() * 3 + b"--abc--", id="too many parts"),
        pytest.param(part(head="A: b\r\n" * 9) + b"--abc--", id="too many headers"),
        pytest.param(part(head=f"A: {'b' * 5000}\r\n") + b"--abc--", id="a long header"),
    ],
)
def test_what_is_no_upload_is_refused(body):
    with pytest.raises(HTTPException) as refused:
        read(body) if body else MultipartUploads(BOUNDARY, max_file_bytes=1, max_files=1).finish()
    assert refused.value.status_code == 400


def test_a_file_is_refused_before_the_rest_of_it_arrives():
    uploads = MultipartUploads(BOUNDARY, max_file_bytes=10, max_files=1)
    uploads.feed(part(b"0123456789")[:-2])
    with pytest.raises(FileTooLargeError, match=r"a\.jpg.*10 bytes"):
        uploads.feed(b"x")


def test_the_largest_file_is_taken():
    assert read(part(b"x" * 10) + b"--abc--", max_file_bytes=10) == [("a.jpg", b"x" * 10)]


def test_bytes_are_not_held_one_by_one():
    """A body of tiny chunks must not cost many times its size in small objects."""
    uploads = MultipartUploads(BOUNDARY, max_file_bytes=10_000, max_files=1)
    uploads.feed(part(b"")[:-2])
    for _ in range(5_000):
        uploads.feed(b"x")
    uploads.feed(b"\r\n--abc--")
    assert uploads.finish()[0].data == b"x" * 5_000


@pytest.mark.parametrize(
    ("kind", "boundary"),
    [
        ('multipart/form-data; boundary="a b"', b"a b"),
        ("Multipart/Form-Data; boundary=x", b"x"),
        ("multipart/mixed; boundary=x", None),
        ("", None),
    ],
)
def test_boundaries(kind, boundary):
    assert boundary_of(kind) == boundary


@pytest.mark.parametrize("kind", ["multipart/form-data", "multipart/form-data; boundary="])
def test_multipart_without_a_boundary_is_refused(kind):
    with pytest.raises(HTTPException, match="no boundary"):
        boundary_of(kind)


def test_a_boundary_that_is_too_long_is_refused():
    with pytest.raises(HTTPException, match="Boundary"):
        MultipartUploads(b"x" * 300, max_file_bytes=1, max_files=1)


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\me\\a.jpg", "a.jpg"),
        ("a\x1b[31m.jpg", "a\\x1b[31m.jpg"),
        ("caf\udce9.jpg", "caf\\xe9.jpg"),
        ("x" * 300 + ".jpg", "x" * 251 + ".jpg"),
        ("/", UNNAMED),
    ],
)
def test_file_names_are_printable_and_without_folders(sent, shown):
    assert file_name(sent) == shown


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        ("filename*=UTF-8''Jos%C3%A9.jpg", "José.jpg"),
        ("filename*=utf-8'en'Jos%C3%A9.jpg", "José.jpg"),
        ("filename*=ISO-8859-1''Jos%E9.jpg", "José.jpg"),
        ("FILENAME*=UTF-8''Jos%C3%A9.jpg", "José.jpg"),
        ("filename=\"Jose.jpg\"; filename*=UTF-8''Jos%C3%A9.jpg", "José.jpg"),
        ("filename*=UTF-8''Jos%C3%A9.jpg; filename=\"Jose.jpg\"", "José.jpg"),
        ("filename*0=Jo; filename*1=se.jpg", "Jose.jpg"),
        ("filename*0*=UTF-8''Jos%C3; filename*1*=%A9.jpg", "José.jpg"),
        ('filename="=?utf-8?B?Sm9zw6kuanBn?="', "José.jpg"),
        ('filename="=?utf-8?Q?Jos=C3=A9=2Ejpg?="', "José.jpg"),
        ("filename*=UTF-8''..%2F..%2Fetc%2Fpasswd", "passwd"),
        ("filename*=UTF-8''a%0Ab.jpg", "a\\x0ab.jpg"),
        ("filename*=UTF-8''%FF.jpg", "\ufffd.jpg"),
        ("filename=\"kept.jpg\"; filename*=idna''%FF%FE.jpg", "kept.jpg"),
        ('filename="=?utf-8?B?!?="', "=?utf-8?B?!?="),
        ('filename="=?no-such?B?YQ==?="', "=?no-such?B?YQ==?="),
        ("filename*=", UNNAMED),
        ("filename*=''", UNNAMED),
        ("", UNNAMED),
    ],
)
def test_names_beyond_ascii_arrive_however_they_are_sent(options, shown):
    header = f'form-data; name="file"; {options}'
    assert disposition_name(header.encode()) == shown
    body = f"--abc\r\nContent-Disposition: {header}\r\n\r\nx\r\n--abc--".encode()
    assert read(body) == [(shown, b"x")]


@pytest.mark.parametrize("header", ["Content-Transfer-Encoding: base64", "content-encoding: gzip"])
def test_an_encoded_part_is_refused_by_its_encoding(header):
    with pytest.raises(HTTPException, match=header.partition(": ")[2]) as refused:
        read(part(head=f"{header}\r\n") + b"--abc--")
    assert refused.value.status_code == 415


@pytest.mark.parametrize("encoding", ["binary", "8bit", "7BIT"])
def test_a_part_that_is_sent_as_it_is_is_taken(encoding):
    head = f"Content-Transfer-Encoding: {encoding}\r\n"
    assert read(part(head=head) + b"--abc--") == [("a.jpg", b"bytes")]


def test_a_misspelt_part_has_a_suggestion():
    with pytest.raises(HTTPException, match="did you mean 'file'"):
        read(part(name="files") + b"--abc--")


NOTHING_WRITTEN = """
import base64, os, sys
from pathlib import Path
written = []
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_APPEND
def watch(event, arguments):
    if event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITES:
        written.append(arguments[0])
    elif event in {"tempfile.mkstemp", "tempfile.mkdtemp", "os.mkdir", "os.rename"}:
        written.append(event)
from starlette.testclient import TestClient
from support.service import app_of, picture
app = app_of(Path(sys.argv[1]))
with TestClient(app) as client:
    client.get("/readyz")
    client.get("/docs")
    sys.addaudithook(watch)
    padded = picture(kind="BMP", side=1600)
    for data in (picture(), padded):
        answer = client.post("/v1/check?faces=whole", files={"file": ("a.jpg", data)})
        assert answer.json()["verdict"] == "fake", answer.text
    assert len(padded) > 7_000_000
    kind = {"content-type": "image/bmp"}
    raw = client.post("/v1/check?faces=whole", content=padded, headers=kind)
    encoded = base64.b64encode(padded).decode()
    for answer in (raw, client.post("/v1/check?faces=whole", json={"image": encoded})):
        assert answer.json()["verdict"] == "fake", answer.text
    many = [("file", (f"{n}.jpg", padded)) for n in range(3)]
    assert client.post("/v1/check/batch?faces=whole", files=many).status_code == 200
    with open(os.devnull, "wb"):
        pass
assert written == [os.devnull], written
"""


def test_no_upload_touches_the_disk(tiny_bundle):
    """The interpreter tells of every file that is opened to be written: there is none but ours."""
    done = subprocess.run(
        [sys.executable, "-c", NOTHING_WRITTEN, str(tiny_bundle)],
        capture_output=True,
        encoding="utf-8",
        check=False,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(TESTS), *sys.path])},
    )
    assert done.returncode == 0, done.stderr
