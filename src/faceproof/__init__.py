"""faceproof detects generated and manipulated photographs of faces.

The public names are imported on first use, so that ``import faceproof`` costs nothing.

>>> import faceproof
>>> faceproof.Checker.__module__
'faceproof.checker'

There is a function for each of the commands: `check`, `scan`, `inspect`, `evaluate`, `compare`,
`audit`, `train` and `leave_one_out`. They return values, and the command line shows those. `scan`
needs the extra `scan`, `train` and `leave_one_out` the extra `train`, and all others but `check`
the extra `data`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from faceproof.audits.audit import audit
    from faceproof.checker import Checker, check
    from faceproof.data.inspection.inspect import InspectSpec, inspect
    from faceproof.data.inspection.record import Inspection
    from faceproof.detector import Bundle, Detector
    from faceproof.errors import FaceproofError
    from faceproof.evaluation.audit_result import AuditResult, AuditRun
    from faceproof.evaluation.compare import Comparison, compare
    from faceproof.evaluation.evaluate import evaluate, evaluate_predictions
    from faceproof.evaluation.evaluation_record import Evaluation
    from faceproof.evaluation.other_scores import evaluate_scores
    from faceproof.imaging.decode import Limits
    from faceproof.reports.write_report import write_report
    from faceproof.results import CheckedFace, CheckResult, CheckResults
    from faceproof.scanning.scan import scan
    from faceproof.scanning.summary import ScanSummary
    from faceproof.sources import Sources
    from faceproof.training.leave_one_out.leave_one_out import leave_one_out
    from faceproof.training.train import train

    __version__: str

__all__ = [
    "AuditResult",
    "AuditRun",
    "Bundle",
    "CheckResult",
    "CheckResults",
    "CheckedFace",
    "Checker",
    "Comparison",
    "Detector",
    "Evaluation",
    "FaceproofError",
    "InspectSpec",
    "Inspection",
    "Limits",
    "ScanSummary",
    "Sources",
    "__version__",
    "audit",
    "check",
    "compare",
    "evaluate",
    "evaluate_predictions",
    "evaluate_scores",
    "inspect",
    "leave_one_out",
    "scan",
    "train",
    "write_report",
]

_HOMES = {
    "AuditResult": "faceproof.evaluation.audit_result",
    "AuditRun": "faceproof.evaluation.audit_result",
    "Bundle": "faceproof.detector",
    "CheckResult": "faceproof.results",
    "CheckResults": "faceproof.results",
    "CheckedFace": "faceproof.results",
    "Checker": "faceproof.checker",
    "Comparison": "faceproof.evaluation.compare",
    "Detector": "faceproof.detector",
    "Evaluation": "faceproof.evaluation.evaluation_record",
    "FaceproofError": "faceproof.errors",
    "InspectSpec": "faceproof.data.inspection.inspect",
    "Inspection": "faceproof.data.inspection.record",
    "Limits": "faceproof.imaging.decode",
    "ScanSummary": "faceproof.scanning.summary",
    "Sources": "faceproof.sources",
    "audit": "faceproof.audits.audit",
    "check": "faceproof.checker",
    "compare": "faceproof.evaluation.compare",
    "evaluate": "faceproof.evaluation.evaluate",
    "evaluate_predictions": "faceproof.evaluation.evaluate",
    "evaluate_scores": "faceproof.evaluation.other_scores",
    "inspect": "faceproof.data.inspection.inspect",
    "leave_one_out": "faceproof.training.leave_one_out.leave_one_out",
    "scan": "faceproof.scanning.scan",
    "train": "faceproof.training.train",
    "write_report": "faceproof.reports.write_report",
}
#: What the modules of some homes import, and the extra that brings it.
_EXTRAS: dict[str, tuple[str, tuple[str, ...]]] = {
    "faceproof.audits": ("data", ("polars", "pyarrow")),
    "faceproof.data": ("data", ("polars", "sklearn")),
    "faceproof.evaluation": ("data", ("polars", "pyarrow")),
    "faceproof.reports": ("data", ("polars", "pyarrow", "jinja2", "vl_convert")),
    "faceproof.scanning": ("scan", ("polars", "pyarrow", "filelock", "jinja2")),
    "faceproof.training": (
        "train",
        ("torch", "timm", "lightning_fabric", "onnx", "pyarrow", "safetensors"),
    ),
}


def __getattr__(name: str) -> object:
    """Return a public name, imported now.

    Raises:
        MissingExtraError: the extra that it needs is not installed.
    """
    if name == "__version__":
        return importlib.import_module("importlib.metadata").version("faceproof")
    if name not in _HOMES:
        raise AttributeError(f"module 'faceproof' has no attribute {name!r}")
    home = _HOMES[name]
    extra, libraries = _EXTRAS.get(".".join(home.split(".")[:2]), ("", ()))
    if libraries:
        importlib.import_module("faceproof.tables").require(*libraries, extra=extra)
    return getattr(importlib.import_module(home), name)


def __dir__() -> list[str]:
    """Return the public names and those already defined in the module."""
    return sorted({*globals(), *__all__})
