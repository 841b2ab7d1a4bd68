"""Whatever a caller may name says what it is, in a first line that ends like a sentence."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "src" / "faceproof"
MODULES = {path.relative_to(PACKAGE).as_posix(): path for path in sorted(PACKAGE.rglob("*.py"))}
Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def public(node: Documented, where: str) -> Iterator[tuple[str, Documented]]:
    """Yield ``node`` and all public classes, functions and methods inside it with their names."""
    yield where, node
    for child in node.body if isinstance(node, ast.Module | ast.ClassDef) else []:
        named = isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        if named and not child.name.startswith("_") and not is_stub(child):
            yield from public(child, f"{where}.{child.name}")


def is_stub(node: Documented) -> bool:
    """Return whether this is a member of a protocol, which the protocol's docstring speaks for."""
    return ast.unparse(node.body) == "..."


@pytest.mark.parametrize("name", MODULES)
def test_public_things_have_a_docstring(name):
    tree = ast.parse(MODULES[name].read_text(encoding="utf-8"))
    bare = [
        where
        for where, node in public(tree, name)
        if not (ast.get_docstring(node) or "").partition("\n")[0].endswith((".", ":", "?"))
    ]
    assert bare == []
