"""REST service: `create_app` and `load_app` build the ASGI app, `faceproof serve` runs it."""

from faceproof.frontends.api.app import create_app, load_app
from faceproof.frontends.api.settings import ServiceSettings

__all__ = ["ServiceSettings", "create_app", "load_app"]
