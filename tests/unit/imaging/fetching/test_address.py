"""The parts of a fetch: addresses, hosts, locators, look-ups and the policy."""

import pickle
import threading
import time
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest

from faceproof.errors import AddressRefusedError, FetchError, FetchTimeoutError, UsageError
from faceproof.imaging.decode import DEFAULT_LIMITS
from faceproof.imaging.fetching import DEFAULT_POLICY, FetchPolicy, fetch, strip_query
from faceproof.imaging.fetching.address import is_public, locate, read_host
from faceproof.imaging.fetching.policy import MOST_LOOKUPS, Deadline, resolve, system_resolver

#: First and last address of ranges that are not public, and the public neighbours of some.
REFUSED = """
0.0.0.0 0.255.255.255 10.0.0.0 10.255.255.255 100.64.0.0 100.127.255.255 127.0.0.0 127.255.255.255
168.63.129.16 169.254.0.0 169.254.255.255 172.16.0.0 172.31.255.255 192.0.0.0 192.0.0.255 192.0.2.0
192.0.2.255 192.88.99.0 192.168.0.0 192.168.255.255 198.18.0.0 198.19.255.255 198.51.100.0
203.0.113.255 224.0.0.0 239.255.255.255 240.0.0.0 255.255.255.255
:: ::1 ::ffff:8.8.8.8 ::8.8.8.8 64:ff9b::10.0.0.1 64:ff9b:1::8.8.8.8 100:: 2001:: 2001:2::1
2001:10::1 2001:20::1 2001:1ff:ffff::1 2001:db8::1 2002:808:808::1 3ffe::1 3fff::1 3fff:fff::1
5f00::1 fc00:: fdff:: fe80:: febf::1 fec0:: ff00:: ff0e::1 fe80::1%1 2606:4700::1%1
2606:4700::5efe:8.8.8.8 2606:4700::200:5efe:8.8.8.8 1fff:ffff:: 4000::
"""
PUBLIC = """
1.0.0.0 1.1.1.1 8.8.8.8 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255 128.0.0.0
168.63.129.15 168.63.129.17 169.253.255.255 169.255.0.0 172.15.255.255 172.32.0.0 192.0.1.0
192.0.3.0 192.167.255.255 192.169.0.0 198.17.255.255 198.20.0.0 223.255.255.255
2000::1 2001:200::1 2001:4860:4860::8888 2003::1 2606:4700:4700::1111 2a00:1450:4001::1 3dff::1
64:ff9b::8.8.8.8
"""


@pytest.mark.parametrize("text", REFUSED.split())
def test_what_is_not_public_is_refused(text):
    assert not is_public(ip_address(text))
    assert not DEFAULT_POLICY.permits(ip_address(text))


@pytest.mark.parametrize("text", REFUSED.split())
def test_our_own_ranges_do_not_lean_on_those_of_this_python(text, monkeypatch):
    for kind in (IPv4Address, IPv6Address):
        monkeypatch.setattr(kind, "is_global", True)
        monkeypatch.setattr(kind, "is_multicast", False)
    assert not is_public(ip_address(text))


@pytest.mark.parametrize("text", PUBLIC.split())
def test_what_is_public_is_permitted(text):
    assert is_public(ip_address(text))
    assert DEFAULT_POLICY.permits(ip_address(text))


def test_an_allowed_network_holds_no_address_with_a_zone():
    policy = FetchPolicy(allow_private=("fe80::/10",))
    assert policy.permits(ip_address("fe80::1"))
    assert not policy.permits(ip_address("fe80::1%1"))


@pytest.mark.parametrize("text", ["[fe80::1%eth0]", "[::1%1]", "127\uff0e0\uff0e0\uff0e1", "127.1"])
def test_a_host_is_refused_by_itself_too(text):
    with pytest.raises(ValueError, match=r"zone|compatibility characters|four decimal"):
        read_host(text)


@pytest.mark.parametrize(
    ("address", "read"),
    [
        ("http://example.org", "http://example.org/"),
        ("HTTPS://Example.ORG:443/A?b#c", "https://example.org/A?b"),
        ("http://example.org:443/", "http://example.org:443/"),
        ("http://example.org?a=1", "http://example.org/?a=1"),
        ("http://example.org/ä/%C3%A4 ".rstrip(), "http://example.org/%C3%A4/%C3%A4"),
        ('http://example.org/"<>^`{}', "http://example.org/%22%3C%3E%5E%60%7B%7D"),
        ("http://example.org/a@b:c//d;e=f,g!$&'()*+|~", None),
        ("http://example.org/#http://127.0.0.1", "http://example.org/"),
        ("http://bücher.example/a", "http://xn--bcher-kva.example/a"),
        ("http://faß.example/", "http://xn--fa-hia.example/"),
        ("http://例え.example/", "http://xn--r8jz45g.example/"),
        ("http://a_b.s3.example/", None),
        ("http://xn--bcher-kva.example/", None),
        ("http://1.1.1.1/", None),
        ("http://[2606:4700:4700:0:0::1111]/", "http://[2606:4700:4700::1111]/"),
        ("http://[64:ff9b::808:808]:443/", "http://[64:ff9b::808:808]:443/"),
    ],
)
def test_a_proper_address_has_one_spelling(address, read):
    assert str(locate(address, ports={80, 443})) == (read or address)
    assert str(locate(read or address, ports={80, 443})) == (read or address)


@pytest.mark.parametrize("user", ["me", "me:secret", "", "pictures.example:80"])
def test_credentials_are_told_as_such_and_not_repeated(user):
    with pytest.raises(AddressRefusedError, match="user name or password") as caught:
        locate(f"http://{user}@a.example/", ports={80})
    assert str(caught.value).startswith("http://a.example/: ")


def test_names_of_a_local_network_are_read_where_private_addresses_are_allowed():
    assert locate("http://intranet/a", ports={80}, internal_names=True).host == "intranet"
    with pytest.raises(AddressRefusedError, match="local network"):
        locate("http://intranet/a", ports={80})


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://example.org/a.jpg?key=secret#secret", "https://example.org/a.jpg"),
        ("https://me:secret@example.org/a", "https://example.org/a"),
        ("https://me@secret@example.org/a", "https://example.org/a"),
        ("https://example.org/@me/a.jpg", "https://example.org/@me/a.jpg"),
        ("https://example.org#?secret", "https://example.org"),
        ("http:\\\\me:secret@example.org", "http:\\\\example.org"),
        ("//me:secret@example.org", "//example.org"),
        ("http:me:secret@example.org", "http:example.org"),
        (" http://me:secret@example.org", " http://example.org"),
        ("https://example.org/a:b@c.jpg", "https://example.org/a:b@c.jpg"),
        ("http://a\r\n\x1b[31m.example/", "http://a\ufffd\ufffd\ufffd[31m.example/"),
        ("http://a.example/\udce9", "http://a.example/\\xe9"),
        ("", ""),
    ],
)
def test_what_may_be_shown_of_an_address(address, shown):
    assert strip_query(address) == shown


def test_what_is_shown_of_an_address_is_short():
    assert len(strip_query("http://example.org/" + 9000 * "a")) < 210


@pytest.mark.parametrize(
    "changes",
    [
        {"max_bytes": 0},
        {"max_redirects": -1},
        {"seconds": 0},
        {"seconds": -1.0},
        {"seconds": float("nan")},
        {"seconds": float("inf")},
        {"seconds": 601},
        {"ports": frozenset({0})},
        {"ports": frozenset({65536})},
        {"allow_private": ("10.0.0.1/8",)},
        {"allow_private": ("intranet",)},
        {"refuse": ("*",)},
    ],
)
def test_a_policy_that_cannot_be_kept_to_is_refused(changes):
    with pytest.raises(UsageError):
        FetchPolicy(**changes)


def test_the_default_policy():
    assert DEFAULT_POLICY.max_bytes == DEFAULT_LIMITS.max_bytes
    assert DEFAULT_POLICY.ports == {80, 443}
    assert DEFAULT_POLICY.allow_private == DEFAULT_POLICY.refuse == ()
    assert FetchPolicy() == DEFAULT_POLICY
    assert hash(FetchPolicy()) == hash(DEFAULT_POLICY)
    assert pickle.loads(pickle.dumps(FetchPolicy(seconds=3.0))) == FetchPolicy(seconds=3.0)


def look_up(resolver, *, seconds=5.0):
    """Return the addresses of a.example with this resolver."""
    return resolve("a.example", 80, FetchPolicy(resolver=resolver), Deadline(seconds))


def test_addresses_come_in_the_resolver_s_order_once_each():
    found = look_up(lambda *_: ["1.1.1.1", "2606:4700::1", "1.1.1.1", "8.8.8.8"])
    assert [str(address) for address in found] == ["1.1.1.1", "2606:4700::1", "8.8.8.8"]


def test_a_name_that_is_not_known_is_told():
    with pytest.raises(FetchError, match=r"a\.example: no such host; check"):
        look_up(lambda *_: [])


def test_a_resolver_is_told_how_long_it_may_take():
    actual = []

    def resolver(host, port, seconds):
        actual.append((host, port, seconds))
        raise TimeoutError

    with pytest.raises(FetchTimeoutError, match=r"a\.example"):
        look_up(resolver, seconds=2.0)
    assert actual[0][:2] == ("a.example", 80)
    assert 1.5 < actual[0][2] <= 2.0


def test_a_refusal_does_not_tell_the_address():
    with pytest.raises(AddressRefusedError) as caught:
        look_up(lambda *_: ["10.11.12.13"])
    assert "10.11" not in str(caught.value)
    assert "not public" in str(caught.value)


def test_the_system_s_resolver_gives_all_addresses(monkeypatch):
    infos = [(0, 0, 0, "", ("1.1.1.1", 80)), (0, 0, 0, "", ("2606:4700::1", 80, 0, 0))]
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: infos)
    assert system_resolver("a.example", 80, 5.0) == ["1.1.1.1", "2606:4700::1"]


@pytest.mark.parametrize("error", [OSError("no such name"), UnicodeError("odd name")])
def test_the_system_s_resolver_has_no_addresses_for_what_it_does_not_know(monkeypatch, error):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr("socket.getaddrinfo", fail)
    assert system_resolver("a.example", 80, 5.0) == []


def test_a_look_up_that_hangs_is_left_behind_and_not_too_many_of_them(monkeypatch):
    answered, running = threading.Event(), []

    def hang(host, *_, **__):
        running.append(host)
        answered.wait(10)
        return []

    monkeypatch.setattr("socket.getaddrinfo", hang)
    slots = threading.BoundedSemaphore(MOST_LOOKUPS)
    monkeypatch.setattr("faceproof.imaging.fetching.policy._SLOTS", slots)
    started = time.monotonic()
    for number in range(MOST_LOOKUPS + 3):
        with pytest.raises(TimeoutError):
            system_resolver(f"{number}.example", 80, 0.01)
    assert time.monotonic() - started < 8
    assert len(running) == MOST_LOOKUPS
    answered.set()
    assert system_resolver("again.example", 80, 5.0) == []


def test_a_hanging_look_up_ends_at_the_deadline(monkeypatch):
    answered = threading.Event()
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: answered.wait(10) and [])
    policy = FetchPolicy(seconds=0.2)
    with pytest.raises(FetchTimeoutError):
        fetch("http://a.example/", policy)
    answered.set()


def test_a_deadline_that_has_passed_has_nothing_left():
    deadline = Deadline(0.001)
    time.sleep(0.01)
    with pytest.raises(FetchTimeoutError, match=r"0\.001 seconds"):
        deadline.seconds_left()
