"""Doctests run with and without the training stack; CI does not run again what has passed."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

#: Run wherever they can be: what is installed matters to them.
EVERYWHERE = (
    *("tests/architecture/", "tests/contracts/", "tests/unit/cli/"),
    *("tests/unit/test_public_names.py", "tests/unit/test_tables.py"),
)

if "PYTEST_XDIST_WORKER" in os.environ:  # a worker has one core; read when numpy is imported
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option by which .ci/checks names the report of an earlier step."""
    parser.addoption(
        "--passed-in",
        type=Path,
        metavar="XML",
        help=f"leave out what has passed in this JUnit report, but for {', '.join(EVERYWHERE)}",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Without torch, skip the doctests of modules that import it; the skips are counted and named.

    With it nothing is skipped, so that a module that cannot be imported fails there.
    """
    if importlib.util.find_spec("torch") is None:
        config.option.doctest_ignore_import_errors = True


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what has passed before; where there is no report, nothing."""
    report = config.option.passed_in
    if report is None or not report.is_file():
        return
    passed, other = set(), set()
    for case in ET.parse(report).iter("testcase"):
        was_bad = {child.tag for child in case} & {"failure", "error", "skipped"}
        (other if was_bad else passed).add((case.get("classname"), case.get("name")))
    passed -= other  # a test whose teardown failed is there twice
    again = [
        item
        for item in items
        if in_report(item.nodeid) in passed and not item.nodeid.startswith(EVERYWHERE)
    ]
    config.hook.pytest_deselected(items=again)
    left_out = set(again)
    items[:] = [item for item in items if item not in left_out]


def in_report(nodeid: str) -> tuple[str, str]:
    """Return the classname and the name that a test has in a JUnit report."""
    plain, bracket, parameters = nodeid.partition("[")
    path, *names = plain.split("::")
    *classes, name = [path.removesuffix(".py").replace("/", "."), *names]
    return ".".join(classes), name + bracket + parameters
