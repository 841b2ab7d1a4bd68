"""``python -m faceproof``: the command line, also for torchrun, which starts modules."""

from __future__ import annotations

from faceproof.cli import main

if __name__ == "__main__":
    main()
