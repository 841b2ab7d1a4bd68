"""Readiness: the detector is loaded, and has judged a picture whose truth is known.

`built-in.jpg` is Grace Hopper, official portrait of the United States Navy, 1984, public domain:
`samples/real-hopper.jpg`, cut around the face, 256 px high, JPEG of quality 90.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from importlib import resources
from pathlib import Path

from faceproof.errors import FaceproofError, UsageError
from faceproof.frontends.api.uploads import Upload
from faceproof.results import CheckResult

BUILT_IN = "built-in.jpg"

_LOG = logging.getLogger(__name__)


class Readiness:
    """Whether pictures may be sent here, and why not."""

    def __init__(self, picture: Path | None, verdict: str) -> None:
        """Read the picture; raise UsageError where it cannot be read."""
        self.upload = _read(picture)
        self._right = verdict
        self._judged: str | None = "the built-in picture was not judged yet"
        self.stopping = False

    @property
    def why_not(self) -> str | None:
        """Why the service is not ready; None where it is."""
        return "the service is shutting down" if self.stopping else self._judged

    async def look(self, judge: Callable[[Upload], Awaitable[Sequence[CheckResult]]]) -> None:
        """Judge the picture and remember whether the answer was right."""
        try:
            (result,) = await judge(self.upload)
        except FaceproofError as error:
            self._judged = f"{self.upload.name} could not be judged: {error}"
        else:
            self._judged = fault(result, self._right)
        if self._judged is not None:
            _LOG.warning("not ready: %s", self._judged)


def fault(result: CheckResult, right: str) -> str | None:
    """Return what is wrong with a result whose right verdict is known, None where it is right."""
    if result.error:
        return f"{result.source} could not be checked: {result.error.message}"
    if len(result.faces) != 1:
        return f"{result.source} has one face, and {len(result.faces)} were found"
    if result.verdict != right:
        return f"{result.source} is {right}, and the verdict was {result.verdict}"
    return None


def _read(picture: Path | None) -> Upload:
    """Return the picture that is named, or the built-in one."""
    if picture is None:
        return Upload(BUILT_IN, resources.files(__package__).joinpath(BUILT_IN).read_bytes())
    try:
        return Upload(picture.name, picture.read_bytes())
    except OSError as error:
        raise UsageError(f"ready_picture {picture}: {error.strerror}") from error
