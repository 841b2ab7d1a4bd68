"""No module needs itself to be imported: the graph of imports at import time has no cycle.

import-linter holds the layers between packages; this looks at every module. Imports in functions
and for type checkers are left out, as they do not run at import time.
"""

import ast
from collections.abc import Iterable, Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "src" / "faceproof"


def module_names(package: Path) -> dict[str, Path]:
    """Return dotted name -> file of every module in a package."""
    root, paths = package.parent, package.rglob("*.py")
    places = {path: path.relative_to(root).with_suffix("") for path in paths}
    return {".".join(at.parts).removesuffix(".__init__"): path for path, at in places.items()}


def run_at_import(nodes: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """Yield the nodes outside functions and ``if TYPE_CHECKING``."""
    for node in nodes:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            yield from run_at_import(node.orelse)
            continue
        yield node
        yield from run_at_import(ast.iter_child_nodes(node))


def imported(path: Path, known: Iterable[str]) -> Iterator[str]:
    """Yield the modules that a file imports; ``from package import module`` is the module."""
    for node in run_at_import(ast.parse(path.read_text(encoding="utf-8")).body):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield whole if whole in known else str(node.module)


def import_graph(package: Path) -> dict[str, set[str]]:
    """Return module -> modules of the package that run before it can end.

    Python runs the packages above an imported module first: they count where the importer is not
    inside them.
    """
    known = module_names(package)
    graph: dict[str, set[str]] = {}
    for name, path in known.items():
        targets = {target for target in imported(path, known) if target in known}
        above = {
            ".".join(target.split(".")[:depth])
            for target in targets
            for depth in range(1, target.count(".") + 1)
        }
        inside = {parent for parent in above if f"{name}.".startswith(f"{parent}.")}
        graph[name] = targets | (above - inside)
    return graph


def test_no_module_imports_itself_through_others():
    TopologicalSorter(import_graph(PACKAGE)).prepare()


def test_a_cycle_through_a_package_is_seen(tmp_path):
    """As `uploads` > `settings` > `feedback` (its package) > `feedback.routes` > `uploads` was."""
    package = tmp_path / "demo"
    sources = {
        "__init__.py": "",
        "uploads.py": "from demo import settings",
        "settings.py": "from demo.feedback.database import X",
        "feedback/__init__.py": "from demo.feedback.routes import Y",
        "feedback/routes.py": "import demo.uploads",
        "feedback/database.py": "def late():\n    import demo.settings",
    }
    for name, source in sources.items():
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_text(source, encoding="utf-8")
    with pytest.raises(CycleError, match=r"feedback\.routes"):
        TopologicalSorter(import_graph(package)).prepare()
    (package / "feedback" / "routes.py").write_text(
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import demo.uploads\n"
    )
    TopologicalSorter(import_graph(package)).prepare()
