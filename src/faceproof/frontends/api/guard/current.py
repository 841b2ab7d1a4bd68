"""What is known of the request that is being answered, for its log line and the counters."""

from __future__ import annotations

import re
import secrets
from collections import Counter
from contextvars import ContextVar
from dataclasses import dataclass, field

#: No underscore: an API key that somebody sends as the id of a request is none, and not logged.
_REQUEST_ID = re.compile(r"[A-Za-z0-9.-]{8,64}", re.ASCII)


@dataclass
class Current:
    """One request: its id, whose key it had, why it was refused, what its checks came to."""

    id: str
    client: str
    key: str | None = None
    refused: str | None = None
    checks: Counter[str] = field(default_factory=Counter)


#: Seen by all that runs for a request, also in threads that the framework starts for it.
CURRENT: ContextVar[Current | None] = ContextVar("faceproof_current_request", default=None)


def request_id(sent: str) -> str:
    r"""Return the id that came with a request if it is one, else a new one.

    >>> request_id("build-7.attempt-2"), len(request_id("two\nlines"))
    ('build-7.attempt-2', 32)
    """
    return sent if _REQUEST_ID.fullmatch(sent) else secrets.token_hex(16)


def refused(why: str) -> bool:
    """Remember why the current request is refused; return whether there is one."""
    current = CURRENT.get()
    if current is not None:
        current.refused = why
    return current is not None


def known_key(identity: str) -> None:
    """Remember whose key the current request has."""
    if current := CURRENT.get():
        current.key = identity


def checked(outcome: str) -> None:
    """Remember what a check of the current request came to: a verdict, status or error code."""
    if current := CURRENT.get():
        current.checks[outcome] += 1
