"""A bug is logged where it happened, and the client learns nothing but that it happened."""

from __future__ import annotations

import logging
from http import HTTPStatus

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from faceproof.frontends.api.problems import problem

_LOG = logging.getLogger(__name__)


class FaultsAnswered:
    """Turns what nobody caught into a 500; an answer that has begun is cut off instead."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on."""
        begun = False

        async def watch(message: Message) -> None:
            nonlocal begun
            begun = begun or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, watch)
        except Exception:
            # The formatter of `logs` writes the frames, not the words: they may quote the request.
            _LOG.exception("bug")
            if begun or scope["type"] != "http":
                raise
            detail = "the service failed; its log says where, under the X-Request-ID of this answer"
            answer = problem(HTTPStatus.INTERNAL_SERVER_ERROR, "internal", detail).response()
            await answer(scope, receive, send)
