"""`write_figures`: the part of a page in docs/explanation/ that a script writes from an audit."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from pathlib import Path

START, END = "<!-- figures -->", "<!-- end of figures -->"


def write_figures(name: str, lines: Callable[[Path], Iterable[str]], *, about: str | None) -> None:
    """Replace the figures of a page by ``lines`` of the audit's folder, the only argument.

    ``about`` is the script's docstring, whose first line describes it in ``--help``.
    """
    parser = argparse.ArgumentParser(description=(about or "").partition("\n")[0])
    parser.add_argument("folder", type=Path, help="output folder of the audit")
    text = "\n".join(lines(parser.parse_args().folder))
    page = Path(__file__).with_name("explanation") / name
    before, _, rest = page.read_text(encoding="utf-8").partition(START)
    after = rest.partition(END)[2]
    page.write_text(f"{before}{START}\n\n{text}\n{END}{after}", encoding="utf-8")
