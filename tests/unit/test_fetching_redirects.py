"""Redirects: followed by hand, every hop checked like the first address."""

import pytest

from faceproof.errors import AddressRefusedError, FaceproofError, FetchError
from faceproof.imaging.fetching import fetch
from support.bypasses import TRIES
from support.servers import LOOPBACK, PUBLIC, Names, Server, answered, redirected, trusting, watched

PICTURE = b"a picture"

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
    with Server({"/a.jpg": answered(PICTURE)}) as server:
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
    assert fetched.data == PICTURE
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
    server.answers["/4"] = answered(PICTURE)
    assert fetch(server.url("/0"), trusting(server, max_redirects=4)).data == PICTURE
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
