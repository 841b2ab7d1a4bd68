"""Lines that a C library writes to standard error are records of the log, and no flood."""

import json
import os
import subprocess
import sys

import pytest

from faceproof.frontends.api.security.standard_error import LINES_PER_MINUTE

pytestmark = pytest.mark.skipif(os.name == "nt", reason="nothing is relayed on Windows")

#: What each report of a process may be; all must be lines of JSON.
SCRIPT = """
import ctypes, logging, os, sys, threading, warnings
from faceproof.frontends.api.security import write_log

class Unprintable:
    def __repr__(self):
        raise RuntimeError("no text")

class Broken:
    def __del__(self):
        raise RuntimeError("in a finaliser")

def fail():
    raise KeyError("two\\nlines")

with write_log("json"):
    log = logging.getLogger("some.library")
    warnings.warn("a warning\\nof two lines", stacklevel=1)
    log.warning("two\\nlines \\u2028 \\x85 \\x1b[31m %s", "x")
    log.warning("wrong number of arguments %s %s", 1)
    log.warning("unprintable %r", Unprintable())
    log.warning("not a number", extra={"ratio": float("nan"), "pair": {(1, 2): 3}})
    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()
    Broken()
    libc = ctypes.CDLL(None)
    libc.perror(b"a C library")
    os.write(2, b"\\xff\\xfe no text\\n\\n")
    os.write(2, b"no end of line")
    print("printed", file=sys.stderr, flush=True)
    os.write(2, b"flood\\n" * 500)
logging.getLogger("faceproof").error("after the end")
fail()
"""


def test_everything_that_a_process_reports_is_a_line_of_json():
    done = subprocess.run(
        [sys.executable, "-W", "default", "-c", SCRIPT],
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert done.stdout == b""
    assert done.returncode == 1
    found = [json.loads(line) for line in done.stderr.decode("ascii").splitlines()]
    assert all({"time", "level", "event", "logger"} <= set(line) for line in found)
    events = [line["event"] for line in found]
    assert any("UserWarning: a warning" in event for event in events)
    assert "two\nlines \u2028 \x85 \x1b[31m x" in events
    assert events.count("unprintable log record") == 3
    errors = [line["error"] for line in found if "error" in line]
    assert errors == ["TypeError", "RuntimeError", "ValueError"]
    assert {"uncaught in a thread", "unraisable", "after the end", "uncaught"} <= set(events)
    traced = {line["event"]: line["traceback"][0] for line in found if "traceback" in line}
    assert traced["uncaught"] == traced["uncaught in a thread"] == "KeyError"
    assert traced["unraisable"] == "RuntimeError"
    relayed = [line for line in found if line["logger"] == "faceproof.stderr"]
    texts = [line["event"] for line in relayed]
    assert texts[0].startswith("a C library: ")
    assert texts[1:3] == ["\\xff\\xfe no text", "no end of lineprinted"]
    assert len(relayed) == LINES_PER_MINUTE + 1
    assert sum(line.get("dropped_lines", 0) for line in relayed) == 503 - LINES_PER_MINUTE
