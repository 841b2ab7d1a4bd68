"""Settings of the page: its detector, and which URLs are fetched."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from faceproof.errors import UsageError

if TYPE_CHECKING:
    from faceproof.imaging.fetching import FetchPolicy

DETECTOR = "FACEPROOF_APP_DETECTOR"
SCORER = "FACEPROOF_APP_SCORER"
DEVICE = "FACEPROOF_APP_DEVICE"
ADDRESSES = "FACEPROOF_APP_ADDRESSES"
ALLOW_PRIVATE = "FACEPROOF_APP_ALLOW_PRIVATE"
PORTS = "FACEPROOF_APP_PORTS"
MOST_PICTURES = 20
"""Pictures on the page at once; more belong on the page for many files."""
MOST_MEGABYTES = 64
"""Of one uploaded file; the same as `faceproof.imaging.decode.Limits` has."""

_ON_OR_OFF = {"on": True, "off": False}


@dataclass(frozen=True)
class Settings:
    """The settings of the page; the environment carries them from the command line to it.

    ``allow_private`` are networks that addresses may lead to although they are not public, and
    ``ports`` the ports; strangers may name no others. ``scorer`` and ``device`` are those of
    `Detector.load`.
    """

    detector: str = "default"
    addresses: bool = True
    allow_private: tuple[str, ...] = ()
    ports: tuple[int, ...] = (80, 443)
    scorer: str = "auto"
    device: str = "cpu"

    @classmethod
    def read(cls, environment: Mapping[str, str] = os.environ) -> Settings:
        """Return the settings that the environment names.

        >>> named = {"FACEPROOF_APP_DETECTOR": "mine", "FACEPROOF_APP_PORTS": "80, 8080"}
        >>> read = Settings.read(named)
        >>> read.detector, read.ports
        ('mine', (80, 8080))

        Raises:
            UsageError: a value is none of those that there are.
        """
        value = environment.get(ADDRESSES, "on")
        ports = _split_list(environment.get(PORTS, "80,443"))
        if value not in _ON_OR_OFF:
            raise UsageError(f"{ADDRESSES} is {value!r}: set it to on or off")
        if not all(port.isascii() and port.isdecimal() for port in ports):
            raise UsageError(f"{PORTS} is {environment[PORTS]!r}: numbers with commas between")
        return cls(
            environment.get(DETECTOR, "default"),
            _ON_OR_OFF[value],
            _split_list(environment.get(ALLOW_PRIVATE, "")),
            tuple(map(int, ports)),
            environment.get(SCORER, "auto"),
            environment.get(DEVICE, "cpu"),
        )

    def variables(self) -> dict[str, str]:
        """Return the environment that names these settings."""
        return {
            DETECTOR: self.detector,
            ADDRESSES: "on" if self.addresses else "off",
            ALLOW_PRIVATE: ",".join(self.allow_private),
            PORTS: ",".join(map(str, self.ports)),
            SCORER: self.scorer,
            DEVICE: self.device,
        }

    def policy(self) -> FetchPolicy:
        """Return where a fetch may go.

        Raises:
            UsageError: a network or a port is none.
        """
        from faceproof.imaging.fetching import FetchPolicy

        return FetchPolicy(allow_private=self.allow_private, ports=frozenset(self.ports))


def _split_list(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())
