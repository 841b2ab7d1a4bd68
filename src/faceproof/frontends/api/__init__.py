"""REST service: `create_app` builds the ASGI app, `faceproof serve` runs it."""

from faceproof.frontends.api.app import create_app
from faceproof.frontends.api.settings import ServiceSettings

__all__ = ["ServiceSettings", "create_app"]
