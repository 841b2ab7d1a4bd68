"""How often one client may ask."""

from __future__ import annotations

import re
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from faceproof.frontends.api.security import SecuritySettings
from faceproof.frontends.api.security.rates import NANOSECONDS, RateLimiter, rate_limit_headers
from faceproof.frontends.api.security.request_context import client_of, network_of
from support.secured import add_key, client, logged, service

SLOW = SecuritySettings(requests_per_minute=0.5, burst=3)


class Clock:
    """A clock that goes when it is told to."""

    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> int:
        return self.now


@given(
    per_minute=st.floats(min_value=0.01, max_value=1_000_000),
    burst=st.integers(min_value=1, max_value=50),
    waits=st.lists(st.integers(min_value=0, max_value=90 * NANOSECONDS), max_size=80),
)
def test_never_more_than_burst_and_rate_in_any_window(per_minute, burst, waits):
    clock = Clock()
    rate = RateLimiter(per_minute, burst=burst, clock=clock)
    granted = []
    for wait in waits:
        clock.now += wait
        if rate.take("a").granted:
            granted.append(clock.now)
    for first in range(len(granted)):
        for last in range(first, len(granted)):
            window = granted[last] - granted[first]
            assert last - first + 1 <= burst + window * per_minute / 60 / NANOSECONDS + 1e-9


@given(
    per_minute=st.integers(min_value=1, max_value=600), burst=st.integers(min_value=1, max_value=9)
)
def test_what_is_told_is_true(per_minute, burst):
    """As many as are left are granted, no more; and one more after the seconds that were told."""
    clock = Clock()
    rate = RateLimiter(per_minute, burst=burst, clock=clock)
    left = [rate.take("a").left for _ in range(burst)]
    assert left == list(range(burst - 1, -1, -1))
    refused = rate.take("a")
    assert (refused.granted, refused.left) == (False, 0)
    clock.now += refused.seconds * NANOSECONDS
    assert rate.take("a").granted


@pytest.mark.parametrize("per_minute", [7, 61, 999_983, 0.7])
def test_the_rate_is_never_rounded_up(per_minute):
    assert RateLimiter(per_minute, burst=1).interval * per_minute >= 60 * NANOSECONDS


def test_a_refusal_costs_nothing():
    clock = Clock()
    rate = RateLimiter(60, burst=1, clock=clock)
    assert rate.take("a").granted
    assert not any(rate.take("a").granted for _ in range(100))
    clock.now += NANOSECONDS
    assert rate.take("a").granted


def test_a_pause_gives_a_burst_and_no_more():
    clock = Clock()
    rate = RateLimiter(60, burst=4, clock=clock)
    clock.now += 10**6 * NANOSECONDS
    assert sum(rate.take("a").granted for _ in range(100)) == 4


def test_no_more_clients_than_are_allowed_are_remembered():
    rate = RateLimiter(1, burst=1, most_clients=10, clock=lambda: 0)
    for number in range(1000):
        rate.take(f"client {number}")
    assert len(rate) == 10
    assert not rate.take("client 999").granted
    assert rate.take("client 0").granted


def test_the_client_unseen_longest_is_forgotten():
    rate = RateLimiter(1, burst=1, most_clients=2, clock=lambda: 0)
    for name in ("a", "b", "a", "c"):
        rate.take(name)
    assert not rate.take("a").granted
    assert rate.take("b").granted


def test_threads_share_a_rate():
    rate = RateLimiter(60, burst=500, clock=lambda: 0)
    granted: list[bool] = []

    def ask() -> None:
        granted.extend([rate.take("a").granted for _ in range(200)])

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (sum(granted), len(granted)) == (500, 1600)


def test_429_says_when_to_come_back():
    asking = client(SLOW)
    answers = [asking.get("/v1/detectors/x") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    refused = answers[-1]
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.json()["code"] == "too_many_requests"
    assert 118 <= int(refused.headers["retry-after"]) <= 120
    assert refused.headers["ratelimit-policy"] == '"default";q=3;w=360'
    assert re.fullmatch(r'"default";r=0;t=1(18|19|20)', refused.headers["ratelimit"])


def test_everyone_is_told_how_much_is_left():
    asking = client(SLOW)
    left = [asking.get("/v1/detectors/x").headers["ratelimit"] for _ in range(3)]
    assert [text.split(";")[1] for text in left] == ["r=2", "r=1", "r=0"]


def test_limits_are_structured_fields():
    """RFC 9651: a list with one string and parameters that are integers."""
    rate = RateLimiter(1_000_000, burst=1)
    for value in rate_limit_headers(rate, rate.take("a")).values():
        assert re.fullmatch(r'"default"(;[a-z]=\d+)+', value)
    assert rate.seconds_to_fill >= 1


def test_health_has_no_rate():
    asking = client(SLOW)
    assert {asking.get("/healthz").status_code for _ in range(30)} == {200}
    assert {asking.get("/readyz").status_code for _ in range(30)} == {200}


def test_no_rate_where_none_was_set():
    asking = client()
    answers = [asking.get("/v1/detectors/x") for _ in range(100)]
    assert {answer.status_code for answer in answers} == {200}
    assert "ratelimit" not in answers[0].headers


def test_a_rate_is_of_a_key_wherever_it_comes_from(tmp_path):
    file = tmp_path / "keys.json"
    first, second = add_key(file)[0], add_key(file)[0]
    app = service(SecuritySettings(keys_file=file, requests_per_minute=1, burst=2))

    def ask(key: str, address: str) -> int:
        asking = TestClient(app, client=(address, 1))
        return asking.get("/v1/detectors/x", headers={"X-API-Key": key}).status_code

    assert [ask(first, f"192.0.2.{number}") for number in range(3)] == [200, 200, 429]
    assert ask(second, "192.0.2.0") == 200


def test_who_has_one_ipv6_address_has_its_network():
    app = service(SLOW)

    def ask(address: str) -> int:
        return TestClient(app, client=(address, 1)).get("/v1/detectors/x").status_code

    assert [ask(f"2001:db8:0:1::{n:x}") for n in range(4)] == [200, 200, 200, 429]
    assert ask("2001:db8:0:2::1") == 200
    assert [ask("::ffff:192.0.2.9"), ask("192.0.2.9"), ask("192.0.2.9")] == [200] * 3
    assert ask("::ffff:192.0.2.9") == 429


PROXY = SecuritySettings(trusted_proxies="10.0.0.0/8, 2001:db8:ffff::/48").trusted_proxies


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("198.51.100.7", ["203.0.113.9"], "198.51.100.7"),
        ("10.0.0.1", ["203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", ["1.1.1.1, 203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", ["1.1.1.1, 203.0.113.9, 10.0.0.2"], "203.0.113.9"),
        ("10.0.0.1", ["1.1.1.1", "203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", [""], "10.0.0.1"),
        ("10.0.0.1", ["203.0.113.9, unknown"], "10.0.0.1"),
        ("10.0.0.1", ["203.0.113.9:4711"], "203.0.113.9"),
        ("10.0.0.1", ["[2001:db8::7]:4711"], "2001:db8::7"),
        ("10.0.0.1", ["2001:db8::7%eth0"], "2001:db8::7"),
        ("::ffff:10.0.0.1", ["203.0.113.9"], "203.0.113.9"),
        ("2001:db8:ffff::1", ["203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", ["10.0.0.2," * 10_000 + "203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", ["203.0.113.9" + ",10.0.0.2" * 40], "10.0.0.2"),
    ],
)
def test_forwarded_addresses_are_believed_of_trusted_proxies_alone(peer, forwarded, expected):
    headers = [(b"x-forwarded-for", value.encode()) for value in forwarded]
    scope = {"type": "http", "headers": headers, "client": (peer, 1)}
    assert str(client_of(scope, PROXY)) == expected


@pytest.mark.parametrize("peer", [None, ("", 0), ("testclient", 1)])
def test_a_client_without_an_address_is_counted_with_its_like(peer):
    scope = {"type": "http", "headers": [(b"x-forwarded-for", b"192.0.2.1")], "client": peer}
    assert network_of(client_of(scope, PROXY)) == "unknown"


def test_a_stranger_cannot_change_who_he_is_with_a_header():
    asking = TestClient(service(SLOW), client=("198.51.100.7", 1))
    answers = [
        asking.get("/v1/detectors/x", headers={"X-Forwarded-For": f"192.0.2.{number}"})
        for number in range(4)
    ]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]


def test_a_refusal_by_rate_reads_no_body_and_is_in_the_log():
    asking = client(SecuritySettings(requests_per_minute=0.5, burst=1))
    with logged() as output:
        asking.post("/v1/check", content=b"x" * 1000)
        asking.post("/v1/check", content=b"x" * 1000)
    assert '"status": 429' in output.json[-1]
    assert '"bytes_in": 0' in output.json[-1]
    assert '"refused": "rate"' in output.json[-1]
