"""The generated pages and schemas of docs/reference are those of this program."""

import importlib.util
import re
from pathlib import Path

import pytest

import faceproof

pytest.importorskip("fastapi")

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs" / "reference"


def _load():
    path = ROOT / "docs" / "reference_pages.py"
    spec = importlib.util.spec_from_file_location("reference_pages", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


PAGES = _load()


@pytest.mark.parametrize("name", [*PAGES.PAGES, *PAGES.SCHEMAS])
def test_a_generated_file_is_up_to_date(name):
    committed = (REFERENCE / name).read_text(encoding="utf-8")
    assert committed == PAGES.text_of(name), "run: uv run python docs/reference_pages.py"


def test_every_schema_is_published():
    assert {path.stem for path in (REFERENCE / "schemas").iterdir()} == set(PAGES.FORMATS)


def test_the_page_on_python_has_every_public_name():
    text = (REFERENCE / "python.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"^::: faceproof\.(\w+)$", text, re.M)) == sorted(
        name for name in faceproof.__all__ if name != "__version__"
    )


def test_every_page_of_the_reference_is_in_its_table():
    index = (REFERENCE / "index.md").read_text(encoding="utf-8")
    pages = {path.name for path in REFERENCE.glob("*.md")} - {"index.md"}
    assert pages == set(re.findall(r"\]\(([a-z-]+\.md)\)", index))
