"""Security settings, and which of them a public bind requires."""

from __future__ import annotations

import pytest
from pydantic import ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from faceproof.errors import UsageError
from faceproof.frontends.api.security import SecuritySettings, require_security
from faceproof.frontends.api.security.settings import is_loopback

LOOPBACK = ("localhost", "LOCALHOST", "127.0.0.1", "127.9.9.9", "::1", "[::1]", "::ffff:127.0.0.1")
BEYOND = (
    "0.0.0.0",
    "::",
    "",
    "192.168.1.7",
    "::ffff:192.0.2.1",
    "my-pc",
    "localhost.example.org",
    "127.1",
    "0",
)


class Service(BaseSettings):
    """As SERVICE reads it."""

    model_config = SettingsConfigDict(env_prefix="FACEPROOF_SERVE_", env_nested_delimiter="__")
    guard: SecuritySettings = SecuritySettings()


@pytest.mark.parametrize("host", LOOPBACK)
def test_this_machine_alone_needs_neither_keys_nor_rates(host):
    assert is_loopback(host)
    require_security(host, SecuritySettings())


@pytest.mark.parametrize("host", BEYOND)
def test_elsewhere_both_are_needed_and_the_remedy_is_said(host):
    with pytest.raises(UsageError, match=r"no API key and no rate limit.*faceproof keys new.*60"):
        require_security(host, SecuritySettings())


def test_one_of_them_is_not_enough_and_only_the_other_is_asked_for(tmp_path):
    keys, rates = {"keys_file": tmp_path / "k"}, {"requests_per_minute": 60}
    with pytest.raises(UsageError, match="no rate limit") as without_rates:
        require_security("0.0.0.0", SecuritySettings(**keys))
    assert "no API key" not in str(without_rates.value)
    with pytest.raises(UsageError, match="no API key") as without_keys:
        require_security("0.0.0.0", SecuritySettings(**rates))
    assert "no rate limit" not in str(without_keys.value)
    require_security("0.0.0.0", SecuritySettings(**keys, **rates))


def test_whoever_says_so_serves_anyone():
    require_security("0.0.0.0", SecuritySettings(open_to_all=True))


def test_the_message_names_every_address_where_the_host_is_empty():
    with pytest.raises(UsageError, match=r"^every address is reachable"):
        require_security("", SecuritySettings())


def test_every_setting_is_read_from_the_environment(monkeypatch):
    environment = {
        "KEYS_FILE": "keys.json",
        "REQUESTS_PER_MINUTE": "90",
        "TRUSTED_PROXIES": "10.0.0.0/8, 2001:db8::1",
        "ALLOWED_ORIGINS": "https://a.example https://b.example:8443",
        "ALLOWED_HOSTS": "API.example.org",
        "OPEN_TO_ALL": "true",
        "LOG_FORMAT": "text",
    }
    for name, value in environment.items():
        monkeypatch.setenv(f"FACEPROOF_SERVE_GUARD__{name}", value)
    guard = Service().guard
    assert str(guard.keys_file) == "keys.json"
    assert guard.requests_per_minute == 90
    assert [str(network) for network in guard.trusted_proxies] == ["10.0.0.0/8", "2001:db8::1/128"]
    assert guard.allowed_origins == ("https://a.example", "https://b.example:8443")
    assert guard.allowed_hosts == ("api.example.org",)
    assert (guard.open_to_all, guard.log_format) == (True, "text")


@pytest.mark.parametrize(
    "wrong",
    [
        {"allowed_origins": "*"},
        {"allowed_origins": "https://example.org/"},
        {"allowed_origins": "https://EXAMPLE.org"},
        {"allowed_origins": "example.org"},
        {"allowed_origins": "null"},
        {"allowed_hosts": "*"},
        {"allowed_hosts": "https://example.org"},
        {"trusted_proxies": "10.0.0.1/8"},
        {"trusted_proxies": "proxy.example.org"},
        {"requests_per_minute": 0},
        {"requests_per_minute": float("inf")},
        {"burst": 0},
        {"keys": "k.json"},
        {"log_format": "xml"},
    ],
)
def test_what_does_not_fit_is_refused(wrong):
    with pytest.raises(ValidationError):
        SecuritySettings(**wrong)
