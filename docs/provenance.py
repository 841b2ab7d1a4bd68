"""Print the tables of docs/explanation/provenance.md, from the tables of the code.

uv run python docs/provenance.py
"""

import sys
import textwrap
from collections.abc import Iterator

from faceproof.provenance.editors import EDITORS
from faceproof.provenance.records import DIGITAL_SOURCE_TYPES
from faceproof.provenance.traces import PROGRAMS, SETTINGS, TRACES, Trace

GROUPS = {
    "where programs name themselves": PROGRAMS,
    "where programs keep settings": SETTINGS,
}
SHOWN = 70
_WIDTH = 120
APP = ", an app that alters faces"


def traces() -> Iterator[str]:
    """Yield the lines of the table of generators."""
    yield "| generator | looked for in | for example | known from | points to |"
    yield "|---|---|---|---|---|"
    apps = [trace for trace in TRACES if trace.generator.endswith(APP)]
    for trace in TRACES:
        if trace in apps[1:]:
            continue  # they share the row of the first
        name = trace.generator
        if trace in apps:
            name = "apps that alter faces: " + ", ".join(
                app.generator.removesuffix(APP) for app in apps
            )
        yield (
            f"| {name} | {places(trace)} | {example(trace.sample)} "
            f"| {trace.known_from} | {trace.points_to} |"
        )


def places(trace: Trace) -> str:
    """Return where a trace is looked for: the names of groups of keys, then single keys."""
    left = set(trace.keys)
    names = []
    for name, keys in GROUPS.items():
        if left >= set(keys):
            names.append(name)
            left -= set(keys)
    return ", ".join([*names, *(f"`{key}`" for key in trace.keys if key in left)])


def example(sample: str) -> str:
    """Return a sample as code on one line, cut where it is long."""
    line = " ".join(sample.split()).replace("|", "\\|")
    return f"`{line if len(line) <= SHOWN else line[: SHOWN - 1] + '…'}`"


def source_types() -> Iterator[str]:
    """Yield the lines of the table of digital source types."""
    yield "| code | the picture was | points to |"
    yield "|---|---|---|"
    for code, known in DIGITAL_SOURCE_TYPES.items():
        yield f"| `{code}` | {known.says} | {known.points_to} |"


def editors() -> Iterator[str]:
    """Yield the lines of the list of editing programs."""
    names = "; ".join(program.name for program in EDITORS)
    yield from textwrap.wrap(f"{names}.", _WIDTH, break_on_hyphens=False)


TABLES = {"generators": traces, "source types": source_types, "editors": editors}


if __name__ == "__main__":
    for name, lines in TABLES.items():
        sys.stdout.write(f"<!-- {name} -->\n\n" + "\n".join(lines()) + "\n\n")
