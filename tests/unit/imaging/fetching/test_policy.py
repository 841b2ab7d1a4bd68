"""Addresses that try to reach what they must not: refused, and nobody is connected to."""

import contextlib
import socket

import pytest

from faceproof.errors import AddressRefusedError, FetchError
from faceproof.imaging.fetching import FetchPolicy, fetch
from support.bypasses import TRIES
from support.servers import LOOPBACK, PUBLIC, Names, Server, answered, trusting, watched


@pytest.fixture(scope="module")
def listener():
    """Return a server on 127.0.0.1, which no test here may reach, and on ::1 where there is one."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(Server({"/a.jpg": answered(b"secret")}))
        with contextlib.suppress(OSError):
            server.twin = stack.enter_context(Server(host="::1", port=server.port))
        yield server


def reached(server):
    """Return how many connections a listener and its twin have taken."""
    twin = getattr(server, "twin", None)
    return server.connections + (twin.connections if twin else 0)


def strict(server, names):
    """Return a policy that only opens the listener's port."""
    return FetchPolicy(seconds=5.0, ports=frozenset({80, 443, server.port}), resolver=names)


@pytest.mark.parametrize("attempt", TRIES, ids=lambda attempt: attempt.name)
def test_is_refused_without_a_connection(attempt, listener):
    before = reached(listener)
    names = Names(a_example=[attempt.answers], pictures_example=PUBLIC, localhost=LOOPBACK)
    address = attempt.address.replace("PORT", str(listener.port))
    with watched() as gone, pytest.raises(attempt.error) as caught:
        fetch(address, strict(listener, names))
    assert caught.type is attempt.error
    assert gone == []
    assert reached(listener) == before
    assert "secret" not in str(caught.value)


def test_the_table_is_long_and_says_each_thing_once():
    assert len(TRIES) >= 60
    assert len({attempt.name for attempt in TRIES}) == len(TRIES)
    assert len({(attempt.address, attempt.answers) for attempt in TRIES}) == len(TRIES)


def test_the_listener_is_reached_where_the_policy_allows_it(listener):
    before = reached(listener)
    assert fetch(listener.url("/a.jpg", host=LOOPBACK), trusting(listener)).data == b"secret"
    assert reached(listener) == before + 1


def test_only_the_networks_that_are_allowed_are_open(listener):
    with watched() as gone, pytest.raises(AddressRefusedError):
        fetch(listener.url(host="127.0.0.2"), trusting(listener))
    assert gone == []


def test_a_refused_network_wins_over_an_allowed_and_a_public_one(listener):
    policy = trusting(listener, refuse=("127.0.0.0/8", "93.184.216.0/24"))
    for host in (LOOPBACK, PUBLIC, f"[64:ff9b::{PUBLIC}]"):
        with watched() as gone, pytest.raises(AddressRefusedError):
            fetch(listener.url(host=host), policy)
        assert gone == []


def test_a_name_that_changes_its_answer_is_gone_to_where_it_was_checked(listener):
    before = reached(listener)
    names = Names(a_example=[[PUBLIC], [LOOPBACK]])
    with watched() as gone, pytest.raises(FetchError):
        fetch(f"http://a.example:{listener.port}/a.jpg", strict(listener, names))
    assert gone == [(PUBLIC, listener.port)]
    assert names.asked == ["a.example"]
    assert reached(listener) == before


def test_addresses_are_tried_in_order_and_only_those_that_were_checked(listener):
    names = Names(a_example=[["93.184.216.34", "1.1.1.1", "93.184.216.34", "2606:4700::1111"]])
    with watched() as gone, pytest.raises(FetchError):
        fetch(f"http://a.example:{listener.port}/a.jpg", strict(listener, names))
    assert [host for host, _ in gone] == ["93.184.216.34", "1.1.1.1", "2606:4700::1111"]


def test_an_address_that_is_silent_takes_its_share_of_the_time_and_no_more(listener, monkeypatch):
    create, waited = socket.create_connection, []

    def silent(address, timeout, **options):
        waited.append(timeout)
        if address[0] == PUBLIC:
            raise TimeoutError
        return create(address, timeout, **options)

    monkeypatch.setattr("socket.create_connection", silent)
    names = Names(a_example=[[PUBLIC, LOOPBACK]])
    policy = trusting(listener, resolver=names, seconds=8.0)
    assert fetch(listener.url("/a.jpg", host="a.example"), policy).data == b"secret"
    assert 1.0 < waited[0] <= 4.0 < waited[1] <= 8.0


def test_the_next_address_is_taken_where_one_does_not_answer(listener):
    names = Names(a_example=[["93.184.216.34", LOOPBACK]])
    with watched():
        fetched = fetch(
            listener.url("/a.jpg", host="a.example"), trusting(listener, resolver=names)
        )
    assert fetched.data == b"secret"
