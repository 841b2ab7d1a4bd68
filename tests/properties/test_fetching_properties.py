"""No spelling of an address changes the decision, and nothing goes round the checker."""

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from faceproof.errors import AddressRefusedError, FaceproofError
from faceproof.imaging.fetching import FetchPolicy, fetch, strip_query
from faceproof.imaging.fetching.address import embedded_ipv4, is_public, locate
from faceproof.imaging.fetching.policy import Deadline, resolve
from support.servers import Names, watched

PORTS = {80, 443}
INTERESTING = ["0.0.0.0", "10.0.0.1", "127.0.0.1", "169.254.169.254", "8.8.8.8", "255.255.255.255"]
integers = st.integers(0, 2**32 - 1) | st.sampled_from(INTERESTING).map(
    lambda text: int(IPv4Address(text))
)


def spellings(number: int) -> dict[str, str]:
    """Return the ways in which readers of the C library's kind write an IPv4 address."""
    a, b, c, d = IPv4Address(number).packed
    return {
        "decimal": f"{number}",
        "hex": f"{number:#x}",
        "hex-padded": f"0x{number:016x}",
        "octal": f"0{number:o}",
        "dotted-hex": f"{a:#x}.{b:#x}.{c:#x}.{d:#x}",
        "dotted-octal": f"0{a:o}.0{b:o}.0{c:o}.0{d:o}",
        "mixed": f"{a:#x}.{b}.0{c:o}.{d}",
        "three": f"{a}.{b}.{number & 0xFFFF}",
        "two": f"{a}.{number & 0xFFFFFF}",
        "padded": f"{a:03}.{b:03}.{c:03}.{d:04}",
        "dot": f"{a}.{b}.{c}.{d}.",
        "full-width": f"{a}.{b}.{c}.{d}".translate(
            {ord(digit): 0xFF10 + int(digit) for digit in "0123456789"}
        ),
        "stops": f"{a}\u3002{b}\u3002{c}\u3002{d}",
    }


@given(integers)
def test_the_usual_form_of_an_ipv4_address_is_read_as_that_address(number):
    address = IPv4Address(number)
    assert locate(f"http://{address}/", ports=PORTS).host == address


@given(integers)
def test_every_other_spelling_is_refused(number):
    for host in spellings(number).values():
        with pytest.raises(AddressRefusedError):
            locate(f"http://{host}/", ports=PORTS)


@given(integers)
def test_an_address_inside_another_is_no_way_round(number):
    """Of all forms that carry IPv4, one may be gone to, and where IPv4 may be: NAT64's."""
    inside = IPv4Address(number)
    assert is_public(IPv6Address(f"64:ff9b::{inside}")) == is_public(inside)
    high, low = number >> 16, number & 0xFFFF
    for text in (
        f"::{inside}",
        f"::ffff:{inside}",
        f"::ffff:0:{inside}",
        f"64:ff9b:1::{inside}",
        f"2002:{high:x}:{low:x}::1",
        f"2001:0:{high:x}:{low:x}::1",
        f"2606:4700::5efe:{inside}",
    ):
        assert not is_public(IPv6Address(text))


@given(st.ip_addresses())
def test_what_is_public_is_so_by_the_standard_library_too(address):
    """Python's own tables are a second opinion; ours refuse more."""
    if is_public(address):
        judged = embedded_ipv4(address)
        assert judged.is_global
        assert not any(
            (judged.is_multicast, judged.is_loopback, judged.is_link_local, judged.is_unspecified)
        )


@given(integers)
def test_a_host_is_decided_on_like_the_name_that_leads_to_it(number):
    address = IPv4Address(number)

    def refused(host):
        try:
            policy = FetchPolicy(resolver=lambda *_: [str(address)])
            return resolve(host, 80, policy, Deadline(5)) != (address,)
        except AddressRefusedError:
            return True

    assert refused(address) == refused("a.example") == (not is_public(address))


pieces = st.sampled_from(
    [
        *("http", "https", "HTTP", "ftp", ":", "/", "//", "\\", "@", "?", "#", "%", "[", "]", "."),
        *("a.example", "localhost", "127.0.0.1", "8.8.8.8", "10.0.0.1", "::1", "::ffff:8.8.8.8"),
        *("2130706433", "0x7f000001", "127.1", ":80", ":443", ":22", "%2e", "%00", "\t", "\n", " "),
        *("\u3002", "\uff0f", "\uff20", "\uff11", "xn--", "-", "_", "64:ff9b::8.8.8.8", "%25lo"),
    ]
)
addresses = st.one_of(
    st.text(),
    st.lists(pieces, max_size=8).map("".join),
    st.lists(pieces, max_size=6).map(lambda found: "http://" + "".join(found)),
    st.text(max_size=20).map(lambda text: f"http://{text}/"),
    st.text(max_size=20).map(lambda text: f"http://a.example{text}"),
)
answers = st.lists(
    st.sampled_from(["8.8.8.8", "1.1.1.1", "127.0.0.1", "10.0.0.1", "::1", "2606:4700::1", "x"]),
    max_size=3,
)


@given(addresses, answers)
@example("http://a.example/", ["8.8.8.8", "2606:4700::1"])
@example("http://8.8.8.8/", [])
def test_no_connection_is_made_but_to_what_was_checked(address, found):
    class Everything(Names):
        def __call__(self, host, port, seconds):
            self.asked.append(host)
            return found

    names = Everything()
    policy = FetchPolicy(resolver=names, seconds=5.0)
    with watched() as gone, pytest.raises(FaceproofError):
        fetch(address, policy)
    for host, port in gone:
        assert policy.permits(ip_address(host))
        assert port in PORTS
    if gone:
        located = locate(address, ports=PORTS)
        literal = not isinstance(located.host, str)
        assert [host for host, _ in gone] == (
            [str(located.host)] if literal else list(dict.fromkeys(found))
        )
        assert names.asked == ([] if literal else [located.host])


@given(addresses)
def test_an_address_that_is_read_has_one_spelling(address):
    try:
        located = locate(address, ports=PORTS)
    except AddressRefusedError:
        return
    assert str(located).isascii()
    assert locate(str(located), ports=PORTS) == located


@given(addresses | st.text(st.characters()))
def test_anything_can_be_shown_and_nothing_secret_is(text):
    assert strip_query(text).isprintable()
    for address in (f"http://{text}?SECRET", f"http://SECRET:SECRET@a.example/{text}"):
        assert "SECRET" not in strip_query(address)
