"""What stands between strangers and the service: keys, rates, headers, metrics and logs.

Every part is a plain ASGI middleware; `install` puts them in their order.
"""

from faceproof.frontends.api.guard.install import install
from faceproof.frontends.api.guard.metrics import Metrics
from faceproof.frontends.api.guard.server import server_options
from faceproof.frontends.api.guard.settings import GuardSettings, required

__all__ = ["GuardSettings", "Metrics", "install", "required", "server_options"]
