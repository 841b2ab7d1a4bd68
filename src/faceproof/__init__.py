"""faceproof detects generated and manipulated photographs of faces.

The public names are imported on first use, so that ``import faceproof`` costs nothing.

>>> import faceproof
>>> faceproof.Checker.__module__
'faceproof.checker'
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from faceproof.checker import Checker
    from faceproof.detector import Detector
    from faceproof.errors import FaceproofError
    from faceproof.imaging.decode import Limits
    from faceproof.results import CheckedFace, CheckResult
    from faceproof.sources import Sources

    __version__: str

__all__ = [
    "CheckResult",
    "CheckedFace",
    "Checker",
    "Detector",
    "FaceproofError",
    "Limits",
    "Sources",
    "__version__",
]

_HOMES = {
    "CheckResult": "faceproof.results",
    "CheckedFace": "faceproof.results",
    "Checker": "faceproof.checker",
    "Detector": "faceproof.detector",
    "FaceproofError": "faceproof.errors",
    "Limits": "faceproof.imaging.decode",
    "Sources": "faceproof.sources",
}


def __getattr__(name: str) -> object:
    """Return a public name, imported on first use."""
    if name == "__version__":
        return importlib.import_module("importlib.metadata").version("faceproof")
    if name not in _HOMES:
        raise AttributeError(f"module 'faceproof' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    """Return the public names and those already defined in the module."""
    return sorted({*globals(), *__all__})
