"""The notebook in examples/ runs from top to bottom, and is stored without what it printed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
NOTEBOOK = json.loads((EXAMPLES / "check_pictures.ipynb").read_text(encoding="utf-8"))
CODE = [cell for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"]


@pytest.fixture(scope="module")
def ran() -> Iterator[tuple[dict[str, Any], list[Any]]]:
    """Yield the names that the cells define, and the value of the last line of each."""
    pytest.importorskip("polars")
    names: dict[str, Any] = {}
    values = []
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(EXAMPLES)
        for number, cell in enumerate(CODE):
            *body, last = "".join(cell["source"]).splitlines()
            source = "\n".join(body)
            exec(compile(source, f"cell {number}", "exec"), names)
            values.append(eval(compile(last, f"cell {number}", "eval"), names))
        yield names, values


def test_every_cell_shows_something(ran):
    _, values = ran
    assert len(values) == len(CODE)
    assert all(value is not None for value in values)


def test_it_comes_to_what_the_samples_are(ran):
    names, _ = ran
    assert names["result"].verdict == "fake"
    assert "<img" in names["result"]._repr_html_()
    assert names["marked"].stat().st_size > 10_000
    assert names["table"].filter(status="ok").height >= 3
    assert names["figures"].find("bpcer").value == 0


def test_it_is_stored_without_outputs_and_names_no_machine():
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in CODE)
    sources = ["".join(cell["source"]) for cell in NOTEBOOK["cells"]]
    assert not [text for text in sources if re.search(r"[\"'`](/[A-Za-z]|[A-Z]:\\)", text)]
