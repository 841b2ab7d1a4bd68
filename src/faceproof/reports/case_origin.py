"""How a case report can be checked again: by which software, and with which commands."""

from __future__ import annotations

import platform
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata

from faceproof.reports.case_blocks import Block, Bullets, Code, Paragraph
from faceproof.reports.case_evidence import Evidence
from faceproof.reports.plain_words import visible

_LIBRARIES = ("faceproof", "onnxruntime", "numpy", "opencv-python-headless", "pillow")
_UNNAMED = "PICTURE"
_MOST_NAMED = 8


def software() -> str:
    """Return the versions that an answer depends on, in one line."""
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in _LIBRARIES)
    return f"{versions}, Python {platform.python_version()} on {platform.machine()}"


@dataclass(frozen=True)
class Asked:
    """How the command line is asked for the same answers: which detector, which faces."""

    detector: str = "default"
    faces: str = "all"


def reproduction(cases: Sequence[Evidence], asked: Asked) -> Iterator[Block]:
    """Yield the steps that lead to the same answers, the last ones as commands."""
    yield Bullets(
        (
            "Compare the SHA-256 of the picture's file with the one in this report: one changed "
            "byte gives another.",
            "Compare the SHA-256 of the detector's detector.json with the one in this report.",
            "Check the picture again. The same file, detector and software give the same verdict; "
            "another kind of processor may change the last digits of a probability.",
        )
    )
    yield Code(tuple(_commands(cases, asked)))
    yield Paragraph(
        "The figures on what a verdict means come from the detector's own record, "
        "detector.json; each stands there with the hash of the data that it was measured on."
    )


def _commands(cases: Sequence[Evidence], asked: Asked) -> Iterator[str]:
    """Yield commands for a shell of Linux or macOS; Windows has other names for the first."""
    names = " ".join(dict.fromkeys(quoted(case.result.source) for case in cases))
    if len(cases) > _MOST_NAMED:
        names = f"{_UNNAMED}..."
    detector = shlex.quote(visible(asked.detector))
    options = [f"--detector {detector}", f"--at {shlex.quote(cases[0].result.operating_point)}"]
    if asked.faces != Asked.faces:
        options.append(f"--faces {asked.faces}")
    yield f"sha256sum {names}"
    yield f"faceproof detectors show {detector}"
    yield f"faceproof check {names} {' '.join(options)}"


def quoted(source: str) -> str:
    """Return a file's name for a shell, or PICTURE for one that no shell can be given.

    >>> quoted("my party.jpg"), quoted("<bytes>")
    ("'my party.jpg'", 'PICTURE')
    """
    shown = visible(source)
    return _UNNAMED if shown != source or source.startswith("<") else shlex.quote(source)
