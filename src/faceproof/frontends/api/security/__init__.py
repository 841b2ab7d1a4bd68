"""What stands between strangers and the service: keys, rates, headers, metrics and logs.

Every part is a plain ASGI middleware; `install` puts them in their order.
"""

from faceproof.frontends.api.security.install import described, install, server_options
from faceproof.frontends.api.security.metrics import Metrics
from faceproof.frontends.api.security.settings import GuardSettings, required

__all__ = ["GuardSettings", "Metrics", "described", "install", "required", "server_options"]
