"""How a case report can be checked again: by which software, and with which commands."""

from __future__ import annotations

import platform
import shlex
from collections.abc import Iterator, Sequence
from importlib import metadata

from faceproof.reports.case_blocks import Block, Bullets, Code, Paragraph
from faceproof.reports.case_evidence import Evidence
from faceproof.reports.plain_words import visible

_LIBRARIES = ("faceproof", "onnxruntime", "numpy", "opencv-python-headless", "pillow")
_UNNAMED = "PICTURE"


def software() -> str:
    """Return the versions that an answer depends on, in one line."""
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in _LIBRARIES)
    return f"{versions}, Python {platform.python_version()} on {platform.machine()}"


def reproduction(cases: Sequence[Evidence], command: str | None) -> Iterator[Block]:
    """Yield the steps that lead to the same answers, the last ones as commands."""
    yield Bullets(
        (
            "Compare the SHA-256 of the picture's file with the one in this report: one changed "
            "byte gives another.",
            "Compare the SHA-256 of the detector with the one in this report; the command that "
            "verifies a detector prints it.",
            "Check the picture again. The same file, detector and software give the same verdict; "
            "another kind of processor may change the last digits of a probability.",
        )
    )
    if command is None:
        name = quoted(cases[0].result.source)
        command = f"faceproof check {name} --at {shlex.quote(cases[0].result.operating_point)}"
        yield Code((f"sha256sum {name}", "faceproof detectors show default", command))
    else:
        yield Code((command,))
    yield Paragraph(
        "The figures on what a verdict means come from the detector's own record, "
        "detector.json; each stands there with the hash of the data that it was measured on."
    )


def quoted(source: str) -> str:
    """Return a file's name for a shell, or PICTURE for one that no shell can be given.

    >>> quoted("my party.jpg"), quoted("<bytes>")
    ("'my party.jpg'", 'PICTURE')
    """
    shown = visible(source)
    return _UNNAMED if shown != source or source.startswith("<") else shlex.quote(source)
