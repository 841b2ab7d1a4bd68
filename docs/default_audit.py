"""Write docs/explanation/default-audit.md from the report of `faceproof audit`.

    uv run python docs/default_audit.py AUDIT_FOLDER

The folder is the output of the command on the page. All values come from its ``report.json``.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from faceproof.audits.audit import AUDITS
from faceproof.reports.markup import escape_markdown
from faceproof.reports.report import Report, Section
from faceproof.reports.report_page import headline_markdown, table_markdown

PAGE = Path(__file__).with_name("explanation") / "default-audit.md"
TABLES = ("robustness-degradations", "stability-ways", "attacks-attacks", "attacks-laundering")
START, END = "<!-- figures -->", "<!-- end of figures -->"


def main() -> None:
    """Replace the figures of the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path, help="output folder of the audit")
    report = Report.read(parser.parse_args().folder / "report.json")
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(START)
    after = rest.partition(END)[2]
    text = "\n".join(parts(report))
    PAGE.write_text(f"{before}{START}\n\n{text}\n{END}{after}", encoding="utf-8")


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
