"""onnxruntime, which is told to be quiet before it is imported."""

from __future__ import annotations

import os
from types import ModuleType

SILENT = 4  # onnxruntime's errors are raised; what it writes to standard error says no more


def quiet_onnxruntime() -> ModuleType:
    """Return onnxruntime as it neither logs, nor keeps a device's id, nor reports anything.

    From 1.31 at the latest it writes a database and an id below the home folder as soon as it is
    imported, so that the environment must say so before. Who has set the variable is not overruled.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    onnxruntime.set_default_logger_severity(SILENT)
    onnxruntime.disable_telemetry_events()
    module: ModuleType = onnxruntime
    return module
