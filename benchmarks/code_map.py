"""Measure the source tree: files, lines, imports, names, and the way of one picture through it.

    uv run --all-extras python benchmarks/code_map.py [TREE] [--trace]

TREE is a checkout (default: this one); decision 0011 compares two. ``--trace`` also checks the
sample picture once warm, and counts the files and functions of the package that it passes, in
`Checker.check` and in ``POST /v1/check``.
"""

from __future__ import annotations

import argparse
import ast
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
_LONG, _SHORT = 500, 40


def main() -> None:
    """Print a table of two columns."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("tree", type=Path, nargs="?", default=HERE)
    parser.add_argument("--trace", action="store_true")
    options = parser.parse_args()
    package = options.tree.resolve() / "src" / "faceproof"
    for name, value in measured(package, options.tree / "tests"):
        sys.stdout.write(f"{name:<58} {value}\n")
    if options.trace:
        sys.stdout.flush()
        subprocess.run([sys.executable, "-c", _TRACE, str(options.tree.resolve())], check=True)


def measured(package: Path, tests: Path) -> Iterator[tuple[str, object]]:
    """Yield what is counted and its value."""
    modules = {_name(path, package): path for path in sorted(package.rglob("*.py"))}
    trees = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in modules.items()}
    lines = sorted(len(path.read_text("utf-8").splitlines()) for path in modules.values())
    yield "files in src", len(lines)
    yield "lines in src", sum(lines)
    yield (
        "lines of a file: median, 90 %, longest",
        (f"{lines[len(lines) // 2]}, {lines[len(lines) * 9 // 10]}, {lines[-1]}"),
    )
    yield (
        f"files under {_SHORT} lines, over {_LONG}",
        (f"{sum(n < _SHORT for n in lines)}, {sum(n > _LONG for n in lines)}"),
    )
    graph = {name: set(_imports(tree, set(modules))) - {name} for name, tree in trees.items()}
    yield "imports between modules, also in functions", sum(map(len, graph.values()))
    yield "import cycle", _cycle(graph)
    public, uses = _public(trees), _uses(trees)
    unused = [(name, module) for name, module in public if not uses[name] - {module}]
    yield "public top-level names", len(public)
    yield "of these used in their own module only", len(unused)
    outside = _words(package.parent.parent)
    yield "and named nowhere else in the checkout", sum(name not in outside for name, _ in unused)
    classes: defaultdict[str, set[str]] = defaultdict(set)
    for name, tree in trees.items():
        for node in tree.body:
            if isinstance(node, ast.ClassDef):
                classes[node.name].add(name)
    same = sorted(name for name, homes in classes.items() if len(homes) > 1)
    yield "class names with several homes", f"{len(same)}: {', '.join(same)}"
    files = list(tests.rglob("test_*.py"))
    functions = [
        node
        for path in files
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test")
    ]
    yield "test files, test functions", f"{len(files)}, {len(functions)}"
    asserts = sum(isinstance(n, ast.Assert) for f in functions for n in ast.walk(f))
    yield "assert statements in test functions", asserts


def _name(path: Path, package: Path) -> str:
    dotted = ".".join(path.relative_to(package.parent).with_suffix("").parts)
    return dotted.removesuffix(".__init__")


def _imports(tree: ast.Module, known: set[str]) -> Iterator[str]:
    """Yield the modules of the package that a module names in imports, wherever they are."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                if whole in known:
                    yield whole
                elif node.module in known:
                    yield node.module


def _cycle(graph: dict[str, set[str]]) -> str:
    """Return the first cycle among modules, or "none"."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return " > ".join(error.args[1])
    return "none"


def _public(trees: dict[str, ast.Module]) -> list[tuple[str, str]]:
    """Return the functions, classes and constants without an underscore, with their modules."""
    found = []
    for module, tree in trees.items():
        for node in tree.body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                names = [node.name]
            elif isinstance(node, ast.Assign):
                names = [target.id for target in node.targets if isinstance(target, ast.Name)]
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                names = [node.target.id]
            else:
                continue
            found += [(name, module) for name in names if not name.startswith("_")]
    return found


def _uses(trees: dict[str, ast.Module]) -> dict[str, set[str]]:
    """Return name -> modules in which it occurs, as a name, an attribute or an import."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for module, tree in trees.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Name):
                found[node.id].add(module)
            elif isinstance(node, ast.Attribute):
                found[node.attr].add(module)
            elif isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    found[alias.name].add(module)
    return found


def _words(tree: Path) -> set[str]:
    """Return the words of all files of a checkout outside of its source folder."""
    folders = ("tests", "benchmarks", "examples", "docs", ".ci")
    files = [path for folder in folders for path in (tree / folder).rglob("*")]
    kinds = {".py", ".md", ".toml", ".sh", ""}
    found: set[str] = set()
    for path in (*files, tree / "pyproject.toml", tree / "README.md"):
        if path.is_file() and path.suffix in kinds:
            found |= set(re.findall(r"\w+", path.read_text(encoding="utf-8", errors="replace")))
    return found


#: Runs in a process of its own, with the source of the measured tree first on its path.
_TRACE = r"""
import sys, threading
from pathlib import Path
tree = Path(sys.argv[1])
sys.path.insert(0, str(tree / "src"))
import faceproof
from faceproof import Checker, Detector
assert Path(faceproof.__file__).is_relative_to(tree), faceproof.__file__
home = str(tree / "src" / "faceproof")
picture = (tree / "samples" / "real-astronaut.jpg").read_bytes()


class Trace:
    def __enter__(self):
        self.seen, self.calls = set(), 0
        threading.setprofile_all_threads(self) if sys.version_info >= (3, 12) else None
        threading.setprofile(self)
        sys.setprofile(self)
        return self

    def __call__(self, frame, event, _):
        code = frame.f_code
        if event == "call" and code.co_filename.startswith(home):
            self.seen.add((code.co_filename, code.co_qualname))
            self.calls += 1

    def __exit__(self, *_):
        sys.setprofile(None)
        threading.setprofile(None)
        files = len({file for file, _ in self.seen})
        self.text = f"{files} files, {len(self.seen)} functions, {self.calls} calls"


checker = Checker(Detector.load("default"))
checker.check(picture)
with Trace() as trace:
    checker.check(picture)
print(f"{'one JPEG, Checker.check, warm':<58} {trace.text}")
try:
    from fastapi.testclient import TestClient
    from faceproof.frontends.api.app import create_app
except ImportError as error:
    print(f"POST /v1/check is not traced: {error}")
    raise SystemExit
# The threads of the service are started under the trace, or their calls would not be seen.
sent = {"file": ("real-astronaut.jpg", picture, "image/jpeg")}
with Trace() as whole:
    with TestClient(create_app(checker)) as client:
        assert client.post("/v1/check", files=sent).status_code == 200
        whole.seen.clear()
        whole.calls = 0
        assert client.post("/v1/check", files=sent).status_code == 200
        whole.__exit__()
print(f"{'one upload, POST /v1/check, warm':<58} {whole.text}")
"""

if __name__ == "__main__":
    main()
