"""Security middleware: API keys, rate limits, headers, metrics and logs.

Every part is a plain ASGI middleware; `install` adds them in order.
"""

from faceproof.frontends.api.security.install import (
    describe_security,
    install,
    server_options,
    trusts_prefix,
)
from faceproof.frontends.api.security.metrics import Metrics
from faceproof.frontends.api.security.request_log import write_log
from faceproof.frontends.api.security.settings import SecuritySettings, require_security

__all__ = [
    "Metrics",
    "SecuritySettings",
    "describe_security",
    "install",
    "require_security",
    "server_options",
    "trusts_prefix",
    "write_log",
]
