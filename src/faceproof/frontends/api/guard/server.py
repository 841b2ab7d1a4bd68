"""How uvicorn is to be run, so that it adds nothing to what the guard says and believes."""

from __future__ import annotations

from typing import Any

from faceproof.frontends.api.guard.logs import log_config
from faceproof.frontends.api.guard.settings import GuardSettings


def server_options(settings: GuardSettings) -> dict[str, Any]:
    """Return options for ``uvicorn.Config`` and ``uvicorn.run``.

    uvicorn would log whole addresses, name itself in every answer, and believe what
    ``X-Forwarded-For`` says when it comes from this machine; WebSockets have no route here.

    >>> options = server_options(GuardSettings())
    >>> options["access_log"], options["server_header"], options["proxy_headers"], options["ws"]
    (False, False, False, 'none')
    """
    return {
        "log_config": log_config(settings.log_format),
        "access_log": False,
        "server_header": False,
        "proxy_headers": False,
        "ws": "none",
    }
