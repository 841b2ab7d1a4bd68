"""What servers answer: good pictures, and all that is refused while it streams.

Redirects: followed by hand, every hop checked like the first address.
"""

import gzip
import socket
import threading
import time
import zlib

import pytest

from faceproof.errors import (
    AddressRefusedError,
    EmptyFileError,
    FaceproofError,
    FetchError,
    FetchTimeoutError,
    FileTooLargeError,
    UnsupportedFormatError,
)
from faceproof.imaging.fetching import fetch
from support.bypasses import TRIES
from support.servers import LOOPBACK, PUBLIC, Names, Server, answered, redirected, trusting, watched

PICTURE = b"\xff\xd8\xff" + 1000 * b"picture"
LIMIT = 100_000
BOMB = gzip.compress(bytes(5_000_000))


def chunked(*chunks):
    """Return an answer in chunks."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)


def endless(head, part, pause=0.0):
    """Return a talk that never ends by itself; it counts what it could send."""

    def talk(server, connection):
        connection.sendall(head)
        server.sent = 0
        while not server.stopped.is_set():
            connection.sendall(part)
            server.sent += len(part)
            if pause:
                server.stopped.wait(pause)

    return talk


def silent(head=b""):
    """Return a talk that says so much and then nothing more."""

    def talk(server, connection):
        connection.sendall(head)
        server.stopped.wait(5)

    return talk


def ending(data):
    """Return a talk that breaks the connection off after some bytes."""

    def talk(server, connection):
        connection.sendall(data)
        connection.shutdown(socket.SHUT_RDWR)

    return talk


def reset(data):
    """Return a talk that resets the connection after some bytes."""

    def talk(server, connection):
        connection.sendall(data)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    return talk


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n"
GOOD = {
    "length": answered(PICTURE),
    "no-length": answered(PICTURE, length=None, status="200 OK"),
    "octets": answered(PICTURE, kind="application/octet-stream"),
    "octets-of-s3": answered(PICTURE, kind="binary/octet-stream"),
    "no-kind": answered(PICTURE, kind=None),
    "kind-with-more": answered(PICTURE, kind="Image/JPEG; charset=binary"),
    "identity": answered(PICTURE, "Content-Encoding: identity"),
    "interim": b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + answered(PICTURE),
    "chunked": chunked(PICTURE[:9], PICTURE[9:], b""),
    "http-1.0": answered(PICTURE).replace(b"HTTP/1.1", b"HTTP/1.0"),
}

#: What a server may do, what the fetch then raises, and a word of the message.
BAD = {
    "no-such-page": (answered(b"gone", status="404 Not Found"), FetchError, "404"),
    "no-content": (b"HTTP/1.1 204 No Content\r\n\r\n", FetchError, "204"),
    "server-error": (answered(b"secret", status="500 Oops"), FetchError, "500"),
    "forbidden": (answered(b"secret", status="403 Forbidden"), FetchError, "403"),
    "not-asked-part": (answered(PICTURE, status="206 Partial Content"), FetchError, "206"),
    "not-modified": (b"HTTP/1.1 304 Not Modified\r\n\r\n", FetchError, "304"),
    "switching": (b"HTTP/1.1 101 S\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", FetchError, ""),
    "empty": (answered(b""), EmptyFileError, "empty"),
    "empty-chunked": (chunked(b""), EmptyFileError, "empty"),
    "web-page": (answered(b"<p>", kind="text/html"), UnsupportedFormatError, "web page"),
    "json": (answered(b"{}", kind="application/json"), UnsupportedFormatError, "no picture"),
    "odd-kind": (answered(b"x", kind="image"), UnsupportedFormatError, "no picture"),
    "markup-as-kind": (answered(b"x", kind="image/<b>"), UnsupportedFormatError, "no picture"),
    "kind-in-tail": (answered(b"x", kind="text/x; a=image/png"), UnsupportedFormatError, ""),
    "two-kinds": (answered(b"x", "Content-Type: text/html"), FetchError, "several values"),
    "huge": (answered(bytes(LIMIT + 1)), FileTooLargeError, "limit"),
    "huge-announced": (silent(HEAD + b"Content-Length: 99999999\r\n\r\n"), FileTooLargeError, ""),
    "huge-unannounced": (answered(bytes(LIMIT + 1), length=None), FileTooLargeError, "limit"),
    "huge-chunks": (chunked(bytes(LIMIT), b"x", b""), FileTooLargeError, "limit"),
    "endless": (endless(HEAD + b"\r\n", bytes(9000)), FileTooLargeError, "limit"),
    "endless-chunks": (
        endless(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"2328\r\n" + bytes(9000) + b"\r\n"),
        FileTooLargeError,
        "limit",
    ),
    "endless-tiny-chunks": (
        endless(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", 2000 * b"1;aaaa\r\nx\r\n"),
        (FileTooLargeError, FetchError),
        "",
    ),
    "endless-chunk-head": (
        endless(HEAD + b"Transfer-Encoding: chunked\r\n\r\n1;", 9000 * b"a"),
        FetchError,
        "",
    ),
    "endless-trailers": (
        endless(HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", 900 * b"a: b\r\n"),
        FetchError,
        "",
    ),
    "endless-headers": (endless(b"HTTP/1.1 200 OK\r\n", 900 * b"a: b\r\n"), FetchError, ""),
    "endless-header": (endless(b"HTTP/1.1 200 OK\r\na: ", 9000 * b"a"), FetchError, ""),
    "endless-reason": (endless(b"HTTP/1.1 200 ", 9000 * b"a"), FetchError, ""),
    "endless-interim": (
        endless(b"", 90 * b"HTTP/1.1 103 E\r\n\r\n"),
        FetchError,
        "more bytes than allowed",
    ),
    "gzip-bomb": (answered(BOMB, "Content-Encoding: gzip"), FetchError, "compressed response"),
    "deflate-bomb": (
        answered(zlib.compress(bytes(5_000_000)), "Content-Encoding: deflate"),
        FetchError,
        "compressed response",
    ),
    "brotli": (answered(b"\x8b\x00", "Content-Encoding: br"), FetchError, "compressed response"),
    "zstd": (
        answered(b"\x28\xb5\x2f\xfd", "Content-Encoding: zstd"),
        FetchError,
        "compressed response",
    ),
    "layered": (answered(BOMB, "Content-Encoding: gzip, gzip"), FetchError, "compressed response"),
    "two-encodings": (
        answered(BOMB, "Content-Encoding: identity", "Content-Encoding: gzip"),
        FetchError,
        "several values of content-encoding",
    ),
    "transfer-gzip": (
        HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n" + BOMB,
        FetchError,
        "",
    ),
    "too-short": (
        ending(answered(PICTURE[:99], length=len(PICTURE))),
        FetchError,
        "truncated or malformed",
    ),
    "chunks-too-short": (ending(chunked(PICTURE)), FetchError, "truncated or malformed"),
    "reset": (reset(answered(PICTURE[:99], length=len(PICTURE))), FetchError, ""),
    "two-lengths": (answered(PICTURE, "Content-Length: 5"), FetchError, ""),
    "negative-length": (HEAD + b"Content-Length: -1\r\n\r\nx", FetchError, ""),
    "length-no-number": (HEAD + b"Content-Length: 1e3\r\n\r\nx", FetchError, ""),
    "length-and-chunks": (
        HEAD + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nxx\r\nzz",
        FetchError,
        "",
    ),
    "no-answer": (ending(b""), FetchError, ""),
    "half-a-head": (ending(b"HTTP/1.1 200 OK\r\nContent-"), FetchError, ""),
    "http-0.9": (ending(b"<html>secret"), FetchError, ""),
    "http-2": (b"HTTP/2 200\r\n\r\n", FetchError, ""),
    "ssh": (ending(b"SSH-2.0-OpenSSH_9.6\r\n"), FetchError, ""),
    "nonsense": (ending(bytes(range(256))), FetchError, ""),
    "null-in-header": (answered(PICTURE, "A: \0"), FetchError, ""),
    "folded-header": (answered(PICTURE, "A: b", " folded", kind="text/plain"), Exception, ""),
}

SLOW = {
    "silent": silent(),
    "silent-in-head": silent(b"HTTP/1.1 200 OK\r\n"),
    "silent-after-head": silent(HEAD + b"Content-Length: 9\r\n\r\n"),
    "silent-in-body": silent(answered(PICTURE, length=9999)),
    "dripping-head": endless(b"HTTP/1.1 200 OK\r\nA: ", b"a", pause=0.03),
    "dripping-headers": endless(b"HTTP/1.1 200 OK\r\n", b"a: b\r\n", pause=0.03),
    "dripping-interim": endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n", pause=0.03),
    "dripping-body": endless(HEAD + b"Content-Length: 9999\r\n\r\n", b"x", pause=0.03),
    "dripping-chunks": endless(
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n", pause=0.03
    ),
}


@pytest.mark.parametrize("answer", GOOD.values(), ids=GOOD)
def test_a_picture_is_fetched_as_it_is(answer):
    talk = ending(answer) if b"Content-Length" not in answer else answer
    with Server({"/a.jpg": talk}) as server:
        fetched = fetch(server.url("/a.jpg?key=1#top"), trusting(server, max_bytes=LIMIT))
    assert fetched.data == PICTURE
    assert fetched.address == server.url("/a.jpg?key=1")
    assert fetched.media_type in {
        "image/jpeg",
        "image/png",
        "application/octet-stream",
        "binary/octet-stream",
    }
    assert "key=1" not in repr(fetched)


@pytest.mark.parametrize(("answer", "error", "words"), BAD.values(), ids=BAD)
def test_what_is_no_picture_within_the_limits_is_refused(answer, error, words):
    with Server({"/a.jpg": answer}) as server:
        with pytest.raises(error) as caught:
            fetch(server.url("/a.jpg?key=1"), trusting(server, max_bytes=LIMIT))
        assert getattr(server, "sent", 0) < 20_000_000
    assert words in str(caught.value)
    assert f"pictures.example:{server.port}: " in str(caught.value)
    assert "secret" not in str(caught.value)
    assert "key=1" not in str(caught.value)


@pytest.mark.parametrize("answer", SLOW.values(), ids=SLOW)
def test_the_deadline_is_one_for_all(answer):
    with Server({"/a.jpg": answer}) as server:
        started = time.monotonic()
        with pytest.raises(FetchTimeoutError, match=r"within 0\.3 seconds"):
            fetch(server.url("/a.jpg"), trusting(server, seconds=0.3))
        assert 0.25 < time.monotonic() - started < 4.0


def test_redirects_share_the_deadline():
    def slow(server, connection):
        server.stopped.wait(0.15)
        connection.sendall(b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n")

    with Server({"/": slow}) as server, pytest.raises(FetchTimeoutError):
        fetch(server.url("/"), trusting(server, seconds=0.5, max_redirects=20))


def test_more_than_was_announced_is_not_read():
    with Server({"/a.jpg": answered(PICTURE, length=9)}) as server:
        assert fetch(server.url("/a.jpg"), trusting(server)).data == PICTURE[:9]


def test_a_large_picture_is_taken_in_one_piece_and_in_chunks():
    """It has more bytes than a head may have; small chunks may cost as much again."""
    large = bytes(range(256)) * 4000
    parts = [large[start : start + 8] for start in range(0, len(large), 8)]
    with Server({"/a.jpg": answered(large), "/b.jpg": chunked(*parts, b"")}) as server:
        for path in ("/a.jpg", "/b.jpg"):
            policy = trusting(server, max_bytes=len(large))
            assert fetch(server.url(path), policy).data == large


def test_exactly_the_limit_is_taken():
    with Server({"/a.jpg": answered(bytes(LIMIT)), "/b.jpg": chunked(bytes(LIMIT), b"")}) as server:
        for path in ("/a.jpg", "/b.jpg"):
            policy = trusting(server, max_bytes=LIMIT)
            assert len(fetch(server.url(path), policy).data) == LIMIT


def test_proxies_of_the_environment_are_not_used(monkeypatch):
    with Server() as proxy, Server({"/a.jpg": answered(PICTURE)}) as server:
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        assert fetch(server.url("/a.jpg"), trusting(server)).data == PICTURE
    assert proxy.connections == 0


def test_many_threads_fetch_at_once():
    answers = {f"/{number}": answered(b"%d" % number) for number in range(1, 17)}
    found = {}
    with Server(answers) as server:
        policy = trusting(server)

        def work(number):
            found[number] = fetch(server.url(f"/{number}"), policy).data

        threads = [threading.Thread(target=work, args=(number,)) for number in range(1, 17)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
    assert found == {number: b"%d" % number for number in range(1, 17)}


PICTURE_REDIRECTS = b"a picture"

#: Where an allowed server sends on to, and why that is not gone to. PORT is its own.
FORBIDDEN = {
    "metadata": ("http://169.254.169.254/latest/meta-data/", "a cloud's metadata"),
    "private": ("http://10.0.0.1/", "a network within"),
    "v6-loopback": ("http://[::1]:PORT/", "this machine"),
    "other-loopback": ("http://127.0.0.2:PORT/", "this machine, by an address not allowed"),
    "ssh": ("http://127.0.0.1:22/", "an allowed address at another port"),
    "localhost-ssh": ("http://localhost:22/", "the same by name"),
    "decimal": ("http://2130706433:PORT/", "an odd form"),
    "short": ("http://127.1:PORT/", "an odd form"),
    "mapped": ("http://[::ffff:127.0.0.1]:PORT/", "an allowed address inside another"),
    "network-path": ("//10.0.0.1/", "the scheme of where it was found"),
    "userinfo": ("http://pictures.example@10.0.0.1/", "credentials"),
    "credentials": ("http://me:secret@pictures.example:PORT/a.jpg", "credentials"),
    "backslash": ("http:\\\\10.0.0.1\\", "slashes to browsers"),
    "backslash-path": ("/\\10.0.0.1/", "two slashes to browsers"),
    "tab": ("http://pictures.exam\tple:PORT/a.jpg", "dropped by browsers and by urllib"),
    "no-break-space": ("http://10.0.0.1\xa0/", "a blank to some"),
    "file": ("file:///etc/passwd", "another scheme"),
    "gopher": ("gopher://127.0.0.1:PORT/_", "another scheme"),
    "data": ("data:image/png;base64,AAAA", "another scheme"),
    "javascript": ("javascript:alert(1)", "another scheme"),
    "name-inside": ("http://inside.example/", "a name of a network within"),
    "name-of-both": ("http://both.example/", "a name of two addresses, one of them public"),
    "long": ("/" + 9000 * "a", "longer than an address may be"),
}
NAMES = {
    "pictures_example": LOOPBACK,
    "other_example": LOOPBACK,
    "inside_example": "192.168.1.1",
    "both_example": [[PUBLIC, "10.0.0.1"]],
}
#: The bypasses, without those that lead to nowhere but 127.0.0.1 plainly written: it is open here.
SENT_ON = [
    attempt
    for attempt in TRIES
    if attempt.name not in {"loopback", "to-loopback", "public-first", "public-last"}
]


@pytest.fixture
def server():
    """Return a server that may be gone to."""
    with Server({"/a.jpg": answered(PICTURE_REDIRECTS)}) as server:
        yield server


@pytest.mark.parametrize("to", [to for to, _ in FORBIDDEN.values()], ids=FORBIDDEN)
@pytest.mark.parametrize("hops", [1, 3])
def test_a_chain_to_what_must_not_be_reached_ends_before_it(server, to, hops):
    for hop in range(1, hops):
        server.answers[f"/{hop}"] = redirected(f"/{hop + 1}")
    server.answers[f"/{hops}"] = redirected(to.replace("PORT", str(server.port)))
    with watched() as gone, pytest.raises(AddressRefusedError):
        fetch(server.url("/1"), trusting(server, resolver=Names(**NAMES)))
    assert gone == hops * [(LOOPBACK, server.port)]


@pytest.fixture(scope="module")
def redirector():
    """Return a server that may be gone to, and that redirects wherever a test says."""
    with Server() as server:
        yield server


@pytest.mark.parametrize("attempt", SENT_ON, ids=lambda attempt: attempt.name)
def test_every_bypass_fails_as_a_redirect_too(redirector, attempt):
    """Some are another address when they are read from where they stand; none leads elsewhere."""
    to = attempt.address.replace("PORT", str(redirector.port)).encode("utf-8", "surrogatepass")
    redirector.answers["/"] = (
        b"HTTP/1.1 302 Found\r\nLocation: " + to + b"\r\nContent-Length: 0\r\n\r\n"
    )
    names = Names(pictures_example=LOOPBACK, a_example=[attempt.answers])
    with watched() as gone, pytest.raises(FaceproofError):
        fetch(redirector.url("/"), trusting(redirector, resolver=names, max_redirects=1))
    assert set(gone) == {(LOOPBACK, redirector.port)}


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See", "307 T", "308 P"])
@pytest.mark.parametrize("to", ["/a.jpg", "a.jpg", "//other.example:PORT/a.jpg?b=c#d", "?x=/a.jpg"])
def test_redirects_within_the_policy_are_followed(server, status, to):
    server.answers["/"] = redirected(to.replace("PORT", str(server.port)), status=status)
    if to.startswith("?"):
        server.answers["/"] = redirected("/a.jpg?x", status=status)
    fetched = fetch(server.url("/"), trusting(server))
    assert fetched.data == PICTURE_REDIRECTS
    host = "other.example" if "other" in to else "pictures.example"
    assert fetched.address.startswith(f"http://{host}:{server.port}/a.jpg")


def test_a_name_is_looked_up_anew_on_every_hop_and_refused_when_it_changed(server):
    server.answers["/"] = redirected("/a.jpg")
    names = Names(pictures_example=[[LOOPBACK], ["10.0.0.1"]])
    with watched() as gone, pytest.raises(AddressRefusedError):
        fetch(server.url("/"), trusting(server, resolver=names))
    assert names.asked == 2 * ["pictures.example"]
    assert gone == [(LOOPBACK, server.port)]


def test_as_many_redirects_as_the_policy_says_and_no_more(server):
    for hop in range(4):
        server.answers[f"/{hop}"] = redirected(f"/{hop + 1}")
    server.answers["/4"] = answered(PICTURE_REDIRECTS)
    assert fetch(server.url("/0"), trusting(server, max_redirects=4)).data == PICTURE_REDIRECTS
    server.requests.clear()
    with pytest.raises(FetchError, match="more than 3 redirects"):
        fetch(server.url("/0"), trusting(server, max_redirects=3))
    assert len(server.requests) == 4


def test_a_circle_ends(server):
    server.answers["/"] = redirected("/")
    with pytest.raises(FetchError, match="more than 5 redirects"):
        fetch(server.url("/"), trusting(server))


@pytest.mark.parametrize("headers", [(), ("Location: ",), ("Location: /a", "Location: /b")])
def test_a_redirect_without_one_place_to_go_fails(server, headers):
    server.answers["/"] = answered(b"", *headers, status="302 Found")
    with pytest.raises(FetchError):
        fetch(server.url("/"), trusting(server))


def test_nothing_is_carried_from_hop_to_hop(server):
    """No cookie that was set, no referrer, no credential, and the host of each hop."""
    to = server.url("/a.jpg", host="other.example")
    server.answers["/"] = answered(
        b"", "Set-Cookie: id=1; Path=/", f"Location: {to}", status="302 Found"
    )
    fetch(server.url("/?secret=1"), trusting(server))
    heads = [request.lower().splitlines() for request in server.requests]
    names = {line.partition(":")[0] for head in heads for line in head[1:] if line}
    assert names == {"host", "user-agent", "accept", "accept-encoding", "connection"}
    assert [head[1] for head in heads] == [
        f"host: pictures.example:{server.port}",
        f"host: other.example:{server.port}",
    ]
    assert not any("secret" in line for line in heads[1])
