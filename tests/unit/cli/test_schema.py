"""Published JSON schemas: every field described, and right about what is written and read."""

from __future__ import annotations

import json
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from faceproof.cli import main
from faceproof.cli.schema import FORMATS, json_schema
from faceproof.detector.detector import locate
from faceproof.detector.spec import DetectorSpec

ROOT = Path(__file__).parents[3]
LINES = (ROOT / "tests" / "golden" / "check_results.jsonl").read_text("utf-8").splitlines()
RESULTS = [json.loads(line) for line in LINES]
RECIPES = sorted((ROOT / "examples").glob("*.toml"))


def faults(name: str, content: Any) -> list[str]:
    """Return what a validator from elsewhere finds wrong."""
    validator = pytest.importorskip("jsonschema").Draft202012Validator
    validator.check_schema(json_schema(name))
    return [fault.message for fault in validator(json_schema(name)).iter_errors(content)]


@pytest.mark.parametrize("name", FORMATS)
def test_every_field_is_described(name):
    schema = json_schema(name)
    types = {"": schema, **schema["$defs"]}
    for title, one in types.items():
        assert one["description"], title
        for field, inner in one["properties"].items():
            # A description equal to that of the type is left out by pydantic.
            named = inner.get("$ref", "").rpartition("/")[2]
            words = inner.get("description") or (named and types[named]["description"])
            assert words, f"{title}.{field}"


@pytest.mark.parametrize("name", FORMATS)
def test_no_description_has_an_example_of_python(name):
    assert ">>>" not in json.dumps(json_schema(name))


@pytest.mark.parametrize("result", RESULTS)
def test_results_are_valid(result):
    assert faults("check", result) == []


@pytest.mark.parametrize(
    "change",
    [{"surprise": 1}, {"verdict": "maybe"}, {"fake_probability": 1.5}, {"detector": {"name": "x"}}],
)
def test_a_wrong_result_is_not(change):
    assert faults("check", RESULTS[0] | change)


def test_a_hash_is_read_by_a_validator_of_another_language():
    """Anchors of Rust in a pattern are letters, or an error, elsewhere."""
    image = RESULTS[0]["image"]
    assert faults("check", RESULTS[0] | {"image": image | {"sha256": "0" * 63}})
    for name in FORMATS:
        assert "\\\\A" not in json.dumps(json_schema(name))


@pytest.mark.parametrize("ending", ["\n", "0", " "])
def test_a_pattern_ends_where_the_text_does(ending):
    content = json.loads((locate("default") / "detector.json").read_bytes())
    content["trained_on"]["data_sha256"] += ending
    with pytest.raises(ValueError, match="data_sha256"):
        DetectorSpec.model_validate(content)


def test_the_default_detector_is_valid():
    assert faults("detector", json.loads((locate("default") / "detector.json").read_bytes())) == []


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_the_example_recipes_are_valid(path):
    assert faults("recipe", tomllib.loads(path.read_text(encoding="utf-8"))) == []


def test_a_misspelt_key_of_a_recipe_is_not():
    content = tomllib.loads(RECIPES[0].read_text(encoding="utf-8"))
    assert faults("recipe", content | {"schedul": {}})


def run(monkeypatch, capsys, *words: str) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["faceproof", "schema", *words])
    with pytest.raises(SystemExit) as stop:
        main()
    captured = capsys.readouterr()
    return stop.value.code, captured.out, captured.err


def test_the_command_prints_a_schema(monkeypatch, capsys):
    code, out, _ = run(monkeypatch, capsys, "check")
    assert code == 0
    assert json.loads(out) == json_schema("check")


def test_without_a_name_the_formats_are_listed(monkeypatch, capsys):
    code, out, _ = run(monkeypatch, capsys)
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()] == list(FORMATS)


def test_an_unknown_name_is_refused(monkeypatch, capsys):
    code, out, err = run(monkeypatch, capsys, "chek")
    assert (code, out) == (2, "")
    assert "did you mean 'check'?" in err
