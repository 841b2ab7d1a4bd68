"""A module is one idea and a function does one thing, so neither is long."""

import ast
from pathlib import Path
from statistics import median

import pytest

PACKAGE = Path(__file__).parents[2] / "src" / "faceproof"
MODULES = {
    path.relative_to(PACKAGE).as_posix(): path
    for path in sorted(PACKAGE.rglob("*.py"))
    if path.name not in {"__init__.py", "__main__.py"}
}
DRAWERS = {"utils", "util", "helpers", "misc", "common", "tools"}


@pytest.mark.parametrize("name", MODULES)
def test_a_module_has_20_to_300_lines(name):
    assert 20 <= len(MODULES[name].read_text(encoding="utf-8").splitlines()) <= 300


@pytest.mark.parametrize("name", MODULES)
def test_no_module_is_a_drawer(name):
    assert not DRAWERS & set(Path(name).with_suffix("").parts)


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return the lines of a function from its first statement after the docstring."""
    body = function.body[1:] if ast.get_docstring(function) and function.body[1:] else function.body
    return (function.end_lineno or 0) - body[0].lineno + 1


def test_the_median_function_is_shorter_than_10_lines():
    lengths = [
        body_lines(node)
        for path in MODULES.values()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    assert median(lengths) < 10
