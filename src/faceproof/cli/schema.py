"""faceproof schema: the JSON schemas of what faceproof writes and reads."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import typer

from faceproof.cli.options import complete_from
from faceproof.tables import choose, require

if TYPE_CHECKING:
    from faceproof.records import Record

Json = dict[str, Any]


class Format(NamedTuple):
    """A file format: its Record, and whether people write it (validation) or faceproof does."""

    module: str
    record: str
    mode: Literal["serialization", "validation"]
    what: str
    needs: tuple[str, ...] = ()

    def load(self) -> type[Record]:
        """Return the Record.

        Raises:
            MissingExtraError: a library is not installed that its module imports.
        """
        require(*self.needs, extra="data")
        record: type[Record] = getattr(import_module(self.module), self.record)
        return record


#: The formats with a published schema.
FORMATS: Mapping[str, Format] = {
    "check": Format(
        "faceproof.results",
        "CheckResult",
        "serialization",
        "a check result, from Python, `faceproof check --format json` and the REST service",
    ),
    "detector": Format(
        "faceproof.detector.spec", "DetectorSpec", "validation", "detector.json of a detector"
    ),
    "audit": Format(
        "faceproof.evaluation.audit_result",
        "AuditResult",
        "serialization",
        "the result of one audit, NAME.json of `faceproof audit`",
    ),
    "comparison": Format(
        "faceproof.evaluation.compare",
        "Comparison",
        "serialization",
        "the output of `faceproof compare --format json`",
        needs=("polars",),
    ),
    "evaluation": Format(
        "faceproof.evaluation.evaluation_record",
        "Evaluation",
        "serialization",
        "evaluation.json of `faceproof evaluate`",
    ),
    "inspection": Format(
        "faceproof.data.inspection.record",
        "Inspection",
        "serialization",
        "the output of `faceproof data inspect --format json`",
    ),
    "recipe": Format(
        "faceproof.training.recipe", "Recipe", "validation", "the recipe of `faceproof train`, TOML"
    ),
    "update": Format(
        "faceproof.evaluation.gate", "Update", "serialization", "update.json of `faceproof update`"
    ),
}


def schema(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME]",
            autocompletion=complete_from("faceproof.cli.schema:FORMATS"),
            help=f"Format: {', '.join(FORMATS)}; without it they are listed.",
        ),
    ] = None,
) -> None:
    """Print the JSON schema of a format, for validators, editors and code generators."""
    if name is None:
        for entry, one in FORMATS.items():
            typer.echo(f"{entry:<11} {one.what}")
        return
    typer.echo(json.dumps(json_schema(name), indent=2, ensure_ascii=False))


def json_schema(name: str) -> Json:
    """Return the JSON schema (draft 2020-12) of a format.

    Raises:
        UnknownChoiceError: no format has this name.
        MissingExtraError: the format is that of an extra, which is not installed.

    >>> json_schema("check")["properties"]["source"]["type"]
    'string'
    """
    one = choose(FORMATS, name, what="format")
    made = one.load().model_json_schema(mode=one.mode)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **_without_titles(made)}


def _without_titles(part: Any) -> Any:
    """Return a schema without the titles that pydantic makes of the names."""
    if isinstance(part, list):
        return [_without_titles(one) for one in part]
    if not isinstance(part, dict):
        return part
    # A field may be called title: then its value is a schema.
    return {
        key: _without_titles(value)
        for key, value in part.items()
        if key != "title" or isinstance(value, dict)
    }
