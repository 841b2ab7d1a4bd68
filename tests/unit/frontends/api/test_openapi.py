"""What OpenAPI and the reference page say is what the code does."""

import re
from http import HTTPStatus
from pathlib import Path

import pytest

from faceproof.frontends.api import ServiceSettings, openapi
from faceproof.frontends.api.problems import CLASSES, CODES, Problem, status_of
from faceproof.frontends.api.settings import PREFIX, variable_names
from faceproof.frontends.api.wire import BatchResult
from faceproof.results import CheckResult
from support.service import app_of, client_of

PAGE = (Path(__file__).parents[4] / "docs" / "reference" / "rest.md").read_text(encoding="utf-8")


#: Codes that no answer has: of classes that only others stand below, of files, of recipes
#: and of `faceproof scan`.
NEVER = {
    *("source", "picture", "source_not_found", "source_unreadable", "recipe"),
    *("worker_died", "check_timeout"),
}


@pytest.fixture
def document(tiny_bundle):
    return app_of(tiny_bundle, max_files=7).openapi()


def operations(document):
    return {
        f"{method.upper()} {path}": operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }


def test_examples_are_of_the_types_that_they_show():
    for example in openapi.CHECK_EXAMPLES.values():
        assert list(CheckResult.model_validate(example).model_dump(mode="json")) == list(example)
    for example in openapi.BATCH_EXAMPLE.values():
        BatchResult.model_validate(example)
    for by_code in openapi.PROBLEM_EXAMPLES.values():
        for code, example in by_code.items():
            assert Problem.model_validate(example).code == code


def test_examples_of_problems_have_the_status_of_their_code():
    for status, by_code in openapi.PROBLEM_EXAMPLES.items():
        for code in by_code:
            if code in CLASSES:
                assert status_of(CLASSES[code]) == status
            else:
                assert code == "not_ready" or CODES[status] == code


def test_every_reference_leads_to_a_schema(document):
    named = set(re.findall(r"#/components/schemas/(\w+)", str(document)))
    assert named <= set(document["components"]["schemas"])
    assert "HTTPValidationError" not in document["components"]["schemas"]


def test_every_operation_is_described_with_examples(document):
    for name, operation in operations(document).items():
        assert operation["summary"], name
        assert operation["description"], name
    check = operations(document)["POST /v1/check"]
    assert set(check["requestBody"]["content"]) == {
        *("multipart/form-data", "application/json", "image/*", "application/octet-stream")
    }
    assert set(check["responses"]) >= {
        *("200", "400", "408", "413", "415", "422", "429", "500", "502", "503", "504")
    }
    for status, response in check["responses"].items():
        (content,) = response["content"].values()
        assert content["examples"], status


def test_the_document_says_what_this_service_takes(document):
    names = {one["name"]: one for one in operations(document)["POST /v1/check"]["parameters"]}
    assert names["at"]["schema"]["enum"] == ["balanced", "strict"]
    assert names["faces"]["schema"]["enum"] == ["all", "largest", "whole"]
    schemas = document["components"]["schemas"]
    assert schemas["PicturesForm"]["properties"]["file"]["maxItems"] == 7
    for name in ("urls", "images"):
        assert schemas["PicturesJson"]["properties"][name]["anyOf"][0]["maxItems"] == 7


#: The methods of a generated client, by the tag that is their module or class.
METHODS = {
    "checks": {"check", "check_batch"},
    "detectors": {"list_detectors", "get_detector", "get_detector_card"},
    "feedback": {"report_feedback", "get_feedback", "delete_feedback"},
    "health": {"get_health", "get_readiness"},
}


def test_a_generated_client_has_short_names(document):
    """`client.check(...)`, and not `check_v1_check_post`."""
    found = {tag["name"]: set() for tag in document["tags"]}
    for operation in operations(document).values():
        (tag,) = operation["tags"]
        found[tag].add(operation["operationId"])
    assert found == METHODS
    assert all(tag["description"] for tag in document["tags"])


def test_the_schema_of_a_type_has_its_fields(document):
    """A generated client has a class for each; an object of any fields is none."""
    schemas = document["components"]["schemas"]
    for name, schema in schemas.items():
        assert schema.get("properties") or schema.get("enum"), name
    assert {"code", "detail", "status", "errors"} <= set(schemas["Problem"]["properties"])


def test_every_field_and_parameter_is_described(document):
    schemas = document["components"]["schemas"]
    for name, schema in schemas.items():
        for field, inner in schema.get("properties", {}).items():
            # A description equal to that of the type is left out by pydantic.
            named = schemas.get(inner.get("$ref", "").rpartition("/")[2], {})
            assert inner.get("description") or named.get("description"), f"{name}.{field}"
    for name, operation in operations(document).items():
        for parameter in operation.get("parameters", ()):
            assert parameter["description"], f"{name}: {parameter['name']}"


def test_a_client_may_send_one_form_without_the_fields_of_another(document):
    schemas = document["components"]["schemas"]
    assert not {"url", "image", "name"} & set(schemas["PictureJson"].get("required", ()))
    assert schemas["EncodedPicture"]["required"] == ["image"]


def test_it_is_served(tiny_bundle):
    with client_of(tiny_bundle) as client:
        assert client.get("/openapi.json").json() == client.app.openapi()
        assert client.app.openapi()["info"]["title"] == "faceproof"
        assert client.get("/redoc").status_code == 404


def rows(heading):
    """Return the rows of the table under a heading of the page, each as its cells."""
    section = PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_the_page_has_every_route(document):
    actual = [row[0].strip("`") for row in rows("Routes")]
    assert sorted(actual) == sorted(
        [*operations(document), "GET /", "GET /docs", "GET /metrics", "GET /openapi.json"]
    )


def test_the_page_has_every_problem():
    actual = {row[0].strip("`"): int(row[1]) for row in rows("Problems")}
    ours = {
        code: status_of(cls)
        for code, cls in CLASSES.items()
        if code not in NEVER and status_of(cls) != HTTPStatus.INTERNAL_SERVER_ERROR
    }
    framework = {code: int(status) for status, code in CODES.items()}
    assert actual == ours | framework | {"not_ready": 503}


def test_the_page_has_every_setting():
    actual = {row[0].strip("`"): row[1].strip("`") for row in rows("Settings")}
    fields = ServiceSettings.model_fields
    own = {name: fields[name] for name in fields if name not in {"guard", "feedback"}}
    assert actual == {f"{PREFIX}{name}".upper(): shown(field) for name, field in own.items()}
    for row in rows("Settings"):
        field = own[row[0].strip("`").removeprefix(PREFIX).lower()]
        assert row[2] == field.description


def shown(field):
    return "" if field.default is None else str(field.default).lower()


def test_variables_reach_into_guard_and_feedback():
    names = set(variable_names())
    assert {f"{PREFIX}MAX_FILES", f"{PREFIX}GUARD__KEYS_FILE"} <= names
    assert f"{PREFIX}FEEDBACK__DATABASE" in names
