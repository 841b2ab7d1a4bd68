"""Security middleware: API keys, rate limits, headers, metrics and logs.

Every part is a plain ASGI middleware; `install` adds them in order.
"""

from faceproof.frontends.api.security.install import described, install, server_options
from faceproof.frontends.api.security.metrics import Metrics
from faceproof.frontends.api.security.settings import GuardSettings, required

__all__ = ["GuardSettings", "Metrics", "described", "install", "required", "server_options"]
