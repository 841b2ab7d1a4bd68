"""`relay_standard_error` turns what C libraries write to standard error into log records.

libtiff and others report each defect of a file as a line of plain text, so a client could write any
number of lines between those of the log. These name a defect, not the content of a file.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from faceproof.frontends.api.security.rates import RateLimiter

#: Lines a minute that are logged; the number of the others is logged with the next one.
LINES_PER_MINUTE = 20
_LONGEST_LINE = 500
_BUFFER_BYTES = 2**18
_STANDARD_ERROR = 2
_SECONDS_TO_DRAIN = 5.0

_LOG = logging.getLogger("faceproof.stderr")


@contextmanager
def relay_standard_error() -> Iterator[TextIO]:
    """Yield a stream to standard error; what others write there until the end is logged.

    The yielded stream is for the log. Without a standard error, and on Windows, which cannot make a
    pipe that never blocks, nothing is relayed.
    """
    try:
        real = os.dup(_STANDARD_ERROR)
    except OSError:  # closed
        real = -1
    if real < 0 or os.name == "nt":
        yield sys.stderr
        return
    reading, writing = os.pipe()
    # A library that holds the interpreter's lock must not wait for the thread that reads.
    os.set_blocking(writing, False)
    os.dup2(writing, _STANDARD_ERROR)
    os.close(writing)
    reader = threading.Thread(target=_log_lines, args=(reading,), name="stderr", daemon=True)
    reader.start()
    # Open for the rest of the process: the log has a last line after this.
    # Its lines are written in one piece, so that those of several processes do not mix.
    stream = os.fdopen(
        real, "w", buffering=_BUFFER_BYTES, encoding="utf-8", errors="backslashreplace"
    )
    try:
        yield stream
    finally:
        os.dup2(real, _STANDARD_ERROR)  # closes the pipe, which ends the thread
        reader.join(_SECONDS_TO_DRAIN)


def _log_lines(reading: int) -> None:
    """Log the lines of a pipe until it is closed."""
    limit = RateLimiter(LINES_PER_MINUTE, burst=LINES_PER_MINUTE)
    dropped = 0
    with os.fdopen(reading, "rb") as pipe:
        while line := pipe.readline(_LONGEST_LINE):
            text = line.decode("utf-8", errors="backslashreplace").strip()
            if not text:
                continue
            if not limit.take("").granted:
                dropped += 1
                continue
            _LOG.warning("%s", text, extra={"dropped_lines": dropped} if dropped else None)
            dropped = 0
    if dropped:
        _LOG.warning("more lines", extra={"dropped_lines": dropped})
