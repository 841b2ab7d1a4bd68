"""The drawing in the docstring of ``faceproof.errors`` is the tree of classes."""

import ast
import re
from pathlib import Path

import pytest

from faceproof import errors
from faceproof.cli.exits import exit_code
from faceproof.errors import FaceproofError

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "faceproof"
LINE = re.compile(
    r"^ {4}(?P<bars>[│ ]*(?:├── |└── ))?(?P<name>\w+Error)(?: +(?P<code>[a-z_]+)(?= {2}|$))?"
)


def drawn() -> dict[str, tuple[str | None, str | None]]:
    """Return parent and code of every class in the drawing."""
    tree: dict[str, tuple[str | None, str | None]] = {}
    path: list[str] = []
    for line in filter(None, map(LINE.match, (errors.__doc__ or "").splitlines())):
        depth = len(line["bars"] or "") // 4
        path[depth:] = [line["name"]]
        tree[line["name"]] = (path[depth - 1] if depth else None, line["code"])
    return tree


def defined(root: type[FaceproofError] = FaceproofError) -> list[type[FaceproofError]]:
    """Return ``root`` and every class below it that stands in `faceproof.errors`."""
    below = [leaf for child in root.__subclasses__() for leaf in defined(child)]
    return [cls for cls in (root, *below) if cls.__module__ == errors.__name__]


def test_the_drawing_has_every_class_under_its_parent():
    parents = {cls.__name__: cls.__bases__[0].__name__ for cls in defined()[1:]}
    assert {name: parent for name, (parent, _) in drawn().items() if parent} == parents
    assert len(drawn()) == len(parents) + 1


def test_the_drawing_has_every_code():
    """A code is left out of the drawing only where the class is there to be caught, not raised."""
    codes = {cls.__name__: cls.code for cls in defined()}
    left_out = {name for name, (_, code) in drawn().items() if code is None}
    assert {name: code for name, (_, code) in drawn().items() if code} == {
        name: code for name, code in codes.items() if name not in left_out
    }
    assert all(cls.__subclasses__() for cls in defined() if cls.__name__ in left_out)


def test_every_class_is_had_from_the_one_place():
    assert {cls.__name__ for cls in defined()} == set(errors.__all__)


def test_codes_are_unique_and_spelt_alike():
    codes = [cls.code for cls in defined()]
    assert len(set(codes)) == len(codes)
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)*", code) for code in codes)


@pytest.mark.parametrize("cls", defined())
def test_every_class_names_its_own_code_and_is_described(cls):
    assert "code" in vars(cls)
    assert cls.__doc__


def test_the_reference_page_has_every_code_with_its_exit_code():
    page = (ROOT / "docs" / "reference" / "errors.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \|.*\| (\d+) \|$", page, re.MULTILINE)
    raised = [cls for cls in defined() if drawn()[cls.__name__][1]]
    expected = [(cls.code, cls.__name__, str(exit_code(cls.__new__(cls)))) for cls in raised]
    assert sorted(rows) == sorted(expected)


def test_no_other_module_adds_to_the_tree():
    names = {cls.__name__ for cls in defined()}
    strangers = [
        f"{path.name}: {node.name}"
        for path in PACKAGE.rglob("*.py")
        if path != PACKAGE / "errors.py"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef)
        and names & {ast.unparse(base).rpartition(".")[2] for base in node.bases}
    ]
    assert strangers == []
