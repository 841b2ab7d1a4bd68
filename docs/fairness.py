"""Write the figures of docs/explanation/fairness.md from the result of the audit *fairness*.

    uv run python docs/fairness.py AUDIT_FOLDER

The folder is the output of the command on the page. All values come from its ``fairness.json``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from page_figures import write_figures

from faceproof.evaluation.audit_result import AuditResult

CLASSES = {"real": "Real faces", "fake": "Fakes"}
WRONG = {"real": "called fake", "fake": "called real"}
FIGURES = {
    "false_alarms": "real faces called fake",
    "misses": "fakes called real",
    "unsure": "unsure",
    "no_face": "no face found",
}


def main() -> None:
    """Replace the figures of the page."""
    write_figures(
        "fairness.md",
        lambda folder: lines(AuditResult.read(folder / "fairness.json")),
        about=__doc__,
    )


def lines(found: AuditResult) -> Iterator[str]:
    """Yield the lines of the figures: the answer, a table of rates for each class, the gaps."""
    at = found.settings
    detector = f"{at.detector} {at.detector_version} ({at.detector_sha256[:12]})"
    yield f"Detector {detector} at {at.operating_point}, {found.pictures:,} pictures of the"
    yield f"{at.split} split of the data {at.data_sha256[:12]}."
    yield f"\n**Answer.** {' '.join((found.answer, *found.details))}\n"
    groups = found.table("groups").frame().to_dicts()
    for part in dict.fromkeys((row["class"], row["source"], row["generator"]) for row in groups):
        own = [row for row in groups if (row["class"], row["source"], row["generator"]) == part]
        made = "" if part[0] == "real" else f" of {part[2]}"
        yield f"\n{CLASSES[part[0]]}{made} in {part[1]}, shares in percent with 95 % intervals:\n"
        yield f"| group | people | {WRONG[part[0]]} | unsure | no face found |"
        yield "|---|---:|---:|---:|---:|"
        yield from (group_line(row) for row in own)
    yield "\nGaps between the groups of a set, in percentage points:\n"
    yield "| gap in | faces | by | highest | lowest | difference | by chance below | p after Holm |"
    yield "|---|---|---|---|---|---:|---:|---:|"
    yield from (gap_line(row) for row in found.table("gaps").frame().to_dicts())
    yield "\nWarnings of the audit:\n"
    yield from (f"- {caution}" for caution in found.cautions)
    yield ""


def group_line(row: dict[str, Any]) -> str:
    """Return a row of rates; a group that is too small has none."""
    rates = [share(row, name) for name in ("wrong", "unsure", "no_face")]
    return f"| {row['group']} | {row['groups']:,} | {' | '.join(rates)} |"


def gap_line(row: dict[str, Any]) -> str:
    """Return a row of gaps."""
    p = "< 0.001" if row["p_holm"] < 0.001 else f"{row['p_holm']:.2g}"
    return (
        f"| {FIGURES.get(row['figure'], row['figure'])} | {row['source']} | {row['by']} | "
        f"{row['highest']} | {row['lowest']} | {share(row, 'difference')} | "
        f"{100 * row['chance']:.1f} | {p} |"
    )


def share(row: dict[str, Any], name: str) -> str:
    """Return a share and its interval in percent, "-" where it was not measured."""
    if row[name] is None:
        return "-"
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    return f"{100 * row[name]:.1f} ({100 * low:.1f} to {100 * high:.1f})"


if __name__ == "__main__":
    main()
