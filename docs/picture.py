"""Draw docs/check-samples.svg: the terminal output of `faceproof check samples/`.

uv run python docs/picture.py
"""

import os
import re
import subprocess
import sys
from io import StringIO
from pathlib import Path

from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).parents[1]
COMMAND = "faceproof check samples/"


def main() -> None:
    """Run the command in colour and write its lines as a picture."""
    surroundings = {**os.environ, "FORCE_COLOR": "1", "COLUMNS": "110"}
    done = subprocess.run(
        [sys.executable, "-c", "from faceproof.cli import main; main()", *COMMAND.split()[1:]],
        cwd=ROOT,
        env=surroundings,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=True,
    )
    console = Console(record=True, width=110, file=StringIO())
    console.print(Text(f"$ {COMMAND}", style="bold"))
    console.print(Text.from_ansi(done.stdout))
    svg = console.export_svg(title="faceproof", unique_id="faceproof")
    # Fonts are the reader's own: a picture in the documentation loads nothing from elsewhere.
    svg = re.sub(r"@font-face \{.*?\}\n", "", svg, flags=re.DOTALL)
    (ROOT / "docs" / "check-samples.svg").write_text(svg, encoding="utf-8")


if __name__ == "__main__":
    main()
