"""Fails when this interpreter's environment holds anything of an extra or of the test tools."""

from __future__ import annotations

import sys
from importlib.util import find_spec

UNWANTED = (
    *("filelock", "lightning_fabric", "matplotlib", "onnx", "pillow_heif", "pyarrow", "pytest"),
    *("safetensors", "scipy", "sklearn", "timm", "torch", "torchvision"),
)

found = [name for name in UNWANTED if find_spec(name)]
sys.exit(f"The core alone installed {', '.join(found)}" if found else 0)
