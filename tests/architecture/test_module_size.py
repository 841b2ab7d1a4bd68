"""A module is one topic that reads from top to bottom."""

from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "src" / "faceproof"
MODULES = {
    path.relative_to(PACKAGE).as_posix(): path
    for path in sorted(PACKAGE.rglob("*.py"))
    if path.name not in {"__init__.py", "__main__.py"}
}
#: Folders whose modules are entries of a table, and the script that Streamlit runs.
SMALL = ("imaging/containers/", "provenance/blocks/", "frontends/webapp/app.py")
DRAWERS = {"utils", "util", "helpers", "misc", "common", "tools"}


@pytest.mark.parametrize("name", MODULES)
def test_a_module_has_at_most_500_lines(name):
    assert len(MODULES[name].read_text(encoding="utf-8").splitlines()) <= 500


@pytest.mark.parametrize("name", [name for name in MODULES if not name.startswith(SMALL)])
def test_a_module_has_at_least_40_lines(name):
    assert len(MODULES[name].read_text(encoding="utf-8").splitlines()) >= 40


@pytest.mark.parametrize("name", MODULES)
def test_no_module_is_a_drawer(name):
    assert not DRAWERS & set(Path(name).with_suffix("").parts)
