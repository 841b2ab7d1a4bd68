"""`make_card`: CARD.md from a detector's record and a report of its audits, and its replacement.

A bundle names its card by hash, so that a new card changes ``detector.json`` and with it the
detector's SHA-256; the networks stay as they are. ``detector.json`` records the SHA-256 that was
audited, so that a card can be made again from the same report.
"""

from __future__ import annotations

import re
from pathlib import Path

from pydantic import ValidationError

from faceproof.detector import Bundle, CardFile, DetectorSpec, write_bundle
from faceproof.detector.spec import Audited
from faceproof.errors import UsageError
from faceproof.reports.card import COMMAND, card
from faceproof.reports.headline import UNTESTED_WITHOUT as AUDITED
from faceproof.reports.markup import escape_markdown, listing, section
from faceproof.reports.report import Report
from faceproof.reports.report_page import headline_markdown, section_markdown
from faceproof.sources import to_printable

MOST_ROWS = 20
"""Rows of a table in a card at most; longer ones are in the report only."""

_IN_CARD = frozenset({"figures", "plots", "left-out", "not-judged"})
"""Sections of a report that a card leaves out: it has its own figures of the test."""


def make_card(bundle: Bundle, report: str | Path | None = None) -> tuple[DetectorSpec, str]:
    """Return CARD.md of a bundle with the results of the ``report.json`` at ``report``.

    With it comes the bundle's record, which names what was audited. Without a report the card has
    no results of audits.

    Raises:
        UsageError: the report cannot be read, or is of another detector.
    """
    spec = bundle.spec
    command = command_of(bundle.read_file(spec.card).decode() if spec.card else "")
    if report is None:
        spec = spec.model_copy(update={"audited": None})
        return spec, card(spec, command=command)
    found = read_report(Path(report))
    judged = {bundle.sha256, *([spec.audited.detector_sha256] if spec.audited else ())}
    if found.detector.sha256 not in judged:
        raise UsageError(
            f"{to_printable(str(report))} is of the detector {found.detector.sha256[:12]}, not of "
            f"{spec.name} ({bundle.sha256[:12]}); audit this detector first"
        )
    audited = Audited(
        detector_sha256=found.detector.sha256,
        data_sha256=found.data.sha256,
        audits=tuple(one.name for one in found.sections if one.measured and one.name in AUDITED),
    )
    spec = spec.model_copy(update={"audited": audited})
    return spec, card(spec, command=command, audits=audit_section(found))


def read_report(path: Path) -> Report:
    """Return the report in a ``report.json``.

    Raises:
        UsageError: it cannot be read.
    """
    try:
        return Report.read(path)
    except (OSError, ValidationError) as error:
        raise UsageError(
            f"{to_printable(str(path))} cannot be read as a report; name the report.json that "
            "`faceproof audit` or `faceproof evaluate` wrote"
        ) from error


def command_of(text: str) -> str:
    r"""Return the command with which a card was made: its last block of code.

    >>> command_of("## Reproduce\n\n```\nfaceproof train a.toml\n```\n")
    'faceproof train a.toml'
    """
    blocks = re.findall(r"^```\n(.+?)\n```$", text, re.MULTILINE | re.DOTALL)
    return blocks[-1] if blocks else COMMAND


def audit_section(report: Report) -> str:
    """Return what a report found, as a section of a card."""
    data = report.data
    parts = [
        section_markdown(one, most_rows=MOST_ROWS, level=3)
        for one in report.sections
        if one.name not in _IN_CARD
    ]
    return section(
        "Audit",
        f"By `{report.command}` on {data.rows:,} rows of {escape_markdown(data.name)} (SHA-256 "
        f"`{data.sha256}`) at {escape_markdown(report.operating_point.name)}, of the detector with "
        f"the SHA-256 `{report.detector.sha256}`: the same networks, before this card was added. "
        f"Intervals: {escape_markdown(report.intervals)}. Tables of more than {MOST_ROWS} rows and "
        "plots are in the report.",
        headline_markdown(report),
        listing(f"**Caution:** {escape_markdown(one)}" for one in report.cautions),
        *parts,
    )


def replace_card(bundle: Bundle, spec: DetectorSpec, text: str) -> Bundle:
    """Write a bundle again with another card and what `make_card` changed in its record."""
    named = spec.card or CardFile(name="CARD.md", sha256="0" * 64)
    files = {one.name: bundle.read_file(one) for one in spec.files if one.name != named.name}
    spec = spec.model_copy(update={"card": named})
    return write_bundle(bundle.folder, spec, {**files, named.name: text.encode()})
