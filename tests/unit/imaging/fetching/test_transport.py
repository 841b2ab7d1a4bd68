"""https: the certificate is checked against the host's name, wherever the connection goes."""

import gc
import ssl

import pytest

from faceproof.errors import AddressRefusedError, FetchError, FetchTimeoutError
from faceproof.imaging.fetching import fetch
from faceproof.imaging.fetching.transport import make_tls_context
from support.certificates import Authority
from support.servers import LOOPBACK, Names, Server, answered, redirected, trusting, watched

PICTURE = b"a picture"
ANSWERS = {"/a.jpg": answered(PICTURE)}


@pytest.fixture(scope="module")
def authority():
    """Return an authority that the system does not know."""
    return Authority()


def fetched(server, path="/a.jpg", *, host="pictures.example", **changes):
    """Return what an https address gives."""
    return fetch(server.url(path, host=host, scheme="https"), trusting(server, **changes))


@pytest.mark.parametrize("host", ["pictures.example", LOOPBACK])
def test_a_right_certificate_is_taken(authority, tmp_path, host):
    secured = authority.server(tmp_path, "pictures.example", LOOPBACK)
    with Server(ANSWERS, secured=secured) as server:
        found = fetched(server, host=host, trust=authority.trust())
    assert found.data == PICTURE
    assert found.address == f"https://{host}:{server.port}/a.jpg"
    assert f"\r\nHost: {host}:{server.port}\r\n" in server.requests[0]


@pytest.mark.parametrize(
    ("names", "days"),
    [
        pytest.param(["other.example"], (-1, 1), id="another name"),
        pytest.param([LOOPBACK], (-1, 1), id="the address that is connected to"),
        pytest.param(["*.pictures.example"], (-1, 1), id="names below it"),
        pytest.param(["*.example", "example"], (-9, -1), id="a time that has passed"),
    ],
)
def test_a_certificate_for_something_else_is_refused(authority, tmp_path, names, days):
    secured = authority.server(tmp_path, *names, days=days)
    with Server(ANSWERS, secured=secured) as server:
        with pytest.raises(FetchError, match="certificate is not trusted, or belongs to another"):
            fetched(server, trust=authority.trust())
        assert server.requests == []


def test_a_stranger_s_authority_is_not_trusted(authority, tmp_path):
    secured = authority.server(tmp_path, "pictures.example")
    with Server(ANSWERS, secured=secured) as server:
        with pytest.raises(FetchError, match="certificate is not trusted"):
            fetched(server)
        assert server.requests == []


def test_the_system_s_trust_verifies_chain_and_name():
    trust = make_tls_context()
    assert trust.verify_mode is ssl.CERT_REQUIRED
    assert trust.check_hostname
    assert not trust.hostname_checks_common_name
    assert trust.minimum_version >= ssl.TLSVersion.TLSv1_2
    assert trust is make_tls_context()


def test_http_where_https_is_expected_fails(authority):
    problem = pytest.raises(FetchError, match="TLS connection failed")
    with Server(greeting=answered(PICTURE)) as server, problem:
        fetched(server, trust=authority.trust())


def test_a_handshake_that_never_ends_is_given_up(authority):
    with Server() as server, pytest.raises(FetchTimeoutError):
        fetched(server, trust=authority.trust(), seconds=0.3)


def test_a_connection_that_came_too_late_is_closed(authority, monkeypatch):
    """The deadline passes between connecting and the handshake."""
    left = iter([5.0, 5.0])

    def nothing_left(deadline):
        try:
            return next(left)
        except StopIteration:
            raise deadline.missed_error() from None

    monkeypatch.setattr("faceproof.imaging.fetching.policy.Deadline.seconds_left", nothing_left)
    with Server() as server, pytest.raises(FetchTimeoutError):
        fetched(server, trust=authority.trust())
    gc.collect()  # a socket that was left open would warn now


def test_a_redirect_from_https_to_http_is_refused(authority, tmp_path):
    with Server(ANSWERS) as plain:
        secured = authority.server(tmp_path, "pictures.example")
        with Server({"/": redirected(plain.url("/a.jpg"))}, secured=secured) as server:
            policy = trusting(server, plain, trust=authority.trust())
            with watched() as gone, pytest.raises(AddressRefusedError, match="from https to http"):
                fetch(server.url("/", scheme="https"), policy)
    assert gone == [(LOOPBACK, server.port)]
    assert plain.connections == 0


def test_a_redirect_from_http_to_https_is_followed(authority, tmp_path):
    secured = authority.server(tmp_path, "other.example")
    with Server(ANSWERS, secured=secured) as server:
        to = server.url("/a.jpg", host="other.example", scheme="https")
        with Server({"/": redirected(to)}) as plain:
            policy = trusting(server, plain, trust=authority.trust())
            assert fetch(plain.url("/"), policy).data == PICTURE


def test_the_name_is_checked_though_the_connection_is_pinned_to_an_address(authority, tmp_path):
    """The server's certificate names another host that has the same address."""
    secured = authority.server(tmp_path, "other.example")
    names = Names(pictures_example=LOOPBACK, other_example=LOOPBACK)
    with Server(ANSWERS, secured=secured) as server:
        changes = {"trust": authority.trust(), "resolver": names}
        assert fetched(server, host="other.example", **changes).data == PICTURE
        with pytest.raises(FetchError):
            fetched(server, host="pictures.example", **changes)
