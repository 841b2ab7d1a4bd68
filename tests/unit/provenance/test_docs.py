"""The page on provenance shows the tables of the code, every kind and every state."""

import importlib.util
from pathlib import Path
from typing import get_args

import pytest

from faceproof.imaging.containers.base import (
    MAX_BLOCK_BYTES,
    MAX_BLOCKS,
    MAX_TAGS,
    MAX_TOTAL_BYTES,
)
from faceproof.provenance.credentials import MOST_READS, VARIABLE
from faceproof.provenance.metadata import DEEPEST, MOST_PROPERTIES
from faceproof.provenance.records import LONGEST_VALUE, CredentialState, FindingKind, PointsTo
from faceproof.provenance.saving import LEAST_CORRELATION

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "explanation" / "provenance.md").read_text(encoding="utf-8")


def tables():
    """Return the module that prints the tables."""
    spec = importlib.util.spec_from_file_location("tables", ROOT / "docs" / "provenance.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["generators", "source types", "editors"])
def test_the_page_shows_the_table(name):
    expected = "\n".join(tables().TABLES[name]())
    assert expected in PAGE, "run: uv run python docs/provenance.py"


@pytest.mark.parametrize("word", [*get_args(FindingKind), *get_args(PointsTo)])
def test_the_page_explains(word):
    assert f"| `{word}` |" in PAGE


@pytest.mark.parametrize("state", get_args(CredentialState))
def test_the_page_explains_the_state(state):
    assert f'| `"state": "{state}"` |' in PAGE


def test_the_page_names_the_bounds():
    for bound in (
        f"{MAX_BLOCKS} blocks and {MAX_TOTAL_BYTES >> 20} MiB together",
        f"together, {MAX_BLOCK_BYTES >> 20} MiB each",
        f"{MAX_TAGS} tags",
        f"{DEEPEST} levels deep and {MOST_PROPERTIES} properties",
        f"{MOST_READS:,}".replace(",", " ") + " reads",
        f"truncated at {LONGEST_VALUE}",
        f"correlation of {LEAST_CORRELATION}",
        f"export {VARIABLE}=",
    ):
        assert bound in PAGE
