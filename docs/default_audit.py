"""Write docs/explanation/default-audit.md from the report of `faceproof audit`.

    uv run python docs/default_audit.py AUDIT_FOLDER

The folder is the output of the command on the page. All values come from its ``report.json``.
"""

from __future__ import annotations

from collections.abc import Iterator

from page_figures import write_figures

from faceproof.audits.audit import AUDITS
from faceproof.reports.markup import escape_markdown
from faceproof.reports.report import Report, Section
from faceproof.reports.report_page import headline_markdown, table_markdown

TABLES = ("robustness-degradations", "stability-ways", "attacks-attacks", "attacks-laundering")


def main() -> None:
    """Replace the figures of the page."""
    write_figures(
        "default-audit.md",
        lambda folder: parts(Report.read(folder / "report.json")),
        about=__doc__,
    )


def parts(report: Report) -> Iterator[str]:
    """Yield what the page says: the first screen of the report, then each audit."""
    by, data = report.detector, report.data
    yield f"Detector {by.name} {by.version} ({by.sha256[:12]}) at {report.operating_point.name};"
    yield f"{data.rows:,} rows of {data.name} ({data.sha256[:12]}), split {data.split}, of which"
    yield "the audits draw samples.\n"
    yield f"{headline_markdown(report)}\n"
    for one in report.sections:
        if one.name in AUDITS:
            yield from audit(one)


def audit(one: Section) -> Iterator[str]:
    """Yield the answer of an audit, and the tables that the card has no room for."""
    yield f"## {escape_markdown(one.title)}\n"
    yield f"{escape_markdown(one.text)}\n"
    yield from (f"- {escape_markdown(line)}" for line in one.details)
    if one.details:
        yield ""
    for part in one.tables:
        if part.name in TABLES:
            yield f"{table_markdown(part)}\n"


if __name__ == "__main__":
    main()
