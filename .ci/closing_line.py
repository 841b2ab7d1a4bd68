"""Prints the time of every step and, as the last line, ``N passed, N failed``.

A test that ran in several steps counts once, and has failed when it failed in one of them.
A step that failed without a failing test (a linter, a command of the README) counts as one failure.
"""

from __future__ import annotations

import sys
from pathlib import Path
from xml.etree import ElementTree as ET

BAD = {"failure", "error"}
Outcomes = dict[str, set[str]]


def outcomes(report: Path) -> Outcomes:
    """Return what became of each test: passed, skipped, failure, error (two when teardown errs)."""
    if not report.is_file():
        return {}
    tests: Outcomes = {}
    for case in ET.parse(report).iter("testcase"):
        name = f"{case.get('classname')}::{case.get('name')}"
        tests.setdefault(name, set()).update(
            {child.tag for child in case} & {*BAD, "skipped"} or {"passed"}
        )
    return tests


def merged(reports: list[Outcomes]) -> Outcomes:
    """Return all outcomes of each test over all steps."""
    names = {name for report in reports for name in report}
    return {name: set().union(*(report.get(name, set()) for report in reports)) for name in names}


def never_run(tests: Outcomes) -> list[str]:
    """Return the tests that every step skipped; a skipped module is one entry without a class."""
    ran = {name.partition("::")[0] for name, what in tests.items() if what != {"skipped"}}
    skipped = [name for name, what in tests.items() if what == {"skipped"}]
    return sorted(name for name in skipped if name.removeprefix("::") not in ran)


def main(folder: Path) -> int:
    """Print the steps, what was never run and the closing line; return the exit status."""
    steps = [line.split("\t") for line in (folder / "steps.tsv").read_text().splitlines()]
    reports = {name: outcomes(folder / f"{name.replace(' ', '-')}.xml") for _, _, name in steps}
    tests = merged(list(reports.values()))
    complete = merged([report for name, report in reports.items() if not name.startswith("readme")])
    broken = [
        name
        for status, _, name in steps
        if status != "0" and not any(what & BAD for what in reports[name].values())
    ]
    failed = [name for name, what in tests.items() if what & BAD]
    passed = [name for name, what in tests.items() if "passed" in what and not what & BAD]

    say("\nseconds  step")
    for status, seconds, name in steps:
        say(f"{seconds:>7}  {name}" + ("" if status == "0" else f"  FAILED ({status})"))
    for name in never_run(complete):
        say(f"skipped although everything is installed: {name}")
    say(f"{len(passed)} passed, {len(failed) + len(broken)} failed")
    return int(bool(failed or broken))


def say(line: str) -> None:
    """Write one line to standard output."""
    sys.stdout.write(line + "\n")


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1])))
