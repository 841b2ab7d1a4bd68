"""The page on securing the service names all there is: settings, metrics, fields, codes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from faceproof.frontends.api.security import Metrics, SecuritySettings
from faceproof.frontends.api.security.install import describe_security
from support.secured import add_key, client, logged

HOW_TO = Path(__file__).parents[5] / "docs" / "how-to"
PAGE = HOW_TO.joinpath("secure-the-service.md").read_text(encoding="utf-8")


def rows(heading: str) -> list[list[str]]:
    """Return the cells of the table below a heading."""
    section = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_every_setting_stands_there_with_its_default_and_words():
    table = {cells[0].strip("`"): cells[1:] for cells in rows("All settings")}
    fields = SecuritySettings.model_fields
    assert list(table) == [name.upper() for name in fields]
    for name, field in fields.items():
        shown, words = table[name.upper()]
        default = "" if field.default in (None, ()) else field.default
        assert shown.strip("`") == (default if isinstance(default, str) else json.dumps(default))
        assert words == field.description


def test_every_variable_that_the_page_sets_exists():
    named = set(re.findall(r"FACEPROOF_SERVE_GUARD__([A-Z_]+)", PAGE))
    assert named <= {name.upper() for name in SecuritySettings.model_fields}


def test_every_series_stands_there_with_its_labels():
    described_there = {
        name: set(filter(None, re.split(r",\s*", cells[1])))
        for cells in rows("Metrics")
        for name in re.findall(r"`(faceproof_\w+)`", cells[0])
    }
    ours = {
        collector._name + ("_total" if collector._type == "counter" else ""): set(
            collector._labelnames
        )
        for collector in Metrics().registry._collector_to_names
        if hasattr(collector, "_labelnames")
    }
    assert described_there == ours


@pytest.mark.parametrize("path", ["/v1/check", "/v1/check/batch"])
def test_the_line_that_is_shown_has_the_fields_of_a_line(path, tmp_path):
    file = tmp_path / "keys.json"
    secret, _ = add_key(file)
    shown = re.search(r"```json\n(\{\"time\".*?)```", PAGE, re.S)
    with logged() as output:
        asking = client(SecuritySettings(keys_file=file), client=("192.0.2.1", 1))
        asking.post(path, headers={"X-API-Key": secret})
    assert set(json.loads(shown[1])) == set(json.loads(output.json[-1]))


def test_every_code_of_the_guard_stands_there(tmp_path):
    document = {"paths": {"/v1/check": {"post": {}}}}
    settings = SecuritySettings(keys_file=tmp_path / "k", requests_per_minute=1)
    responses = describe_security(document, settings)["paths"]["/v1/check"]["post"]["responses"]
    ours = {
        (code, status)
        for status, response in responses.items()
        for code in response["content"]["application/problem+json"]["examples"]
    }
    table = rows("What is refused, and with which answer")
    assert {(cells[0].strip("`"), cells[1]) for cells in table} == ours
