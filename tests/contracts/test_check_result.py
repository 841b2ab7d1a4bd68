"""The JSON of a check result: frozen, but for fields that are added.

The golden files are `faceproof.check/1` as it is promised to whoever reads it. A field may be
added to them; a change of anything else needs a new schema version.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from faceproof.results import CheckedFace, CheckResult

GOLDEN = Path(__file__).parents[1] / "golden"
SCHEMA = json.loads((GOLDEN / "check_result.schema.json").read_text(encoding="utf-8"))
EXAMPLES = (GOLDEN / "check_results.jsonl").read_text(encoding="utf-8").splitlines()
OK, TWO_FACES, NO_FACE, ERROR, EXPLAINED = (json.loads(line) for line in EXAMPLES)


def bare(schema: object) -> object:
    """Return a JSON schema without its words, which differ between versions of pydantic."""
    if isinstance(schema, list):
        return [bare(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    words = {"title", "description"}
    return {k: bare(v) for k, v in schema.items() if k not in words or isinstance(v, dict)}


def test_the_schema_is_the_one_that_was_promised():
    assert bare(CheckResult.model_json_schema(mode="serialization")) == SCHEMA


@pytest.mark.parametrize("line", EXAMPLES)
def test_examples_are_read_and_written_to_the_letter(line):
    assert CheckResult.model_validate_json(line).model_dump_json() == line


def test_the_keys_stand_in_the_order_of_the_design():
    assert list(OK) == [
        *("schema", "source", "status", "error", "image", "verdict", "fake_probability", "faces"),
        *("provenance", "detector", "operating_point", "elapsed_ms"),
    ]
    assert list(OK["faces"][0]) == [
        *("box", "landmarks", "detection_score", "quality", "verdict", "fake_probability"),
        "heatmap",
    ]
    assert OK["schema"] == "faceproof.check/1"
    assert OK["provenance"] == {"content_credentials": None, "findings": []}


def test_what_was_written_before_a_field_was_added_is_read():
    face = {key: value for key, value in OK["faces"][0].items() if key != "heatmap"}
    assert CheckResult.model_validate(OK | {"faces": [face]}) == CheckResult.model_validate(OK)
    assert OK["faces"][0]["heatmap"] is None
    assert EXPLAINED["faces"][0]["heatmap"]["reliable"] is True
    assert EXPLAINED["provenance"]["findings"][0]["points_to"] == "made_by_ai"


def test_an_instance_is_made_by_name_or_by_alias_and_says_schema():
    result = CheckResult.model_validate(OK)
    assert result.schema_ == "faceproof.check/1"
    assert result.model_dump()["schema"] == "faceproof.check/1"
    assert isinstance(result.faces[0], CheckedFace)


@pytest.mark.parametrize(
    ("example", "change"),
    [
        (OK, {"schema": "faceproof.check/2"}),
        (OK, {"status": "no_face"}),
        (OK, {"verdict": None}),
        (OK, {"fake_probability": 1.5}),
        (OK, {"fake_probability": float("nan")}),
        (OK, {"verdict": None, "fake_probability": None}),
        (OK, {"surprise": 1}),
        (NO_FACE, {"verdict": "real", "fake_probability": 0.1}),
        (NO_FACE, {"status": "ok"}),
        (ERROR, {"error": None}),
        (ERROR, {"elapsed_ms": -1}),
    ],
)
def test_a_result_that_contradicts_itself_is_refused(example, change):
    with pytest.raises(ValidationError):
        CheckResult.model_validate(example | change)


def test_a_result_cannot_be_changed():
    with pytest.raises(ValidationError):
        CheckResult.model_validate(OK).verdict = "real"
