"""The service keeps what its OpenAPI document promises: schemathesis asks, and finds nothing."""

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.config import SchemathesisConfig

from support.service import app_of

#: A schema cannot say that bytes are a picture, or that a name is kept: 422 and 404 are right.
CONFIG = """
[checks.positive_data_acceptance]
expected-statuses = ["2xx", 404, 422]
"""
OPERATIONS = (
    *("POST /v1/check", "POST /v1/check/batch", "GET /healthz", "GET /readyz"),
    *("GET /v1/detectors", "GET /v1/detectors/{name}", "GET /v1/detectors/{name}/card"),
    *("POST /v1/feedback", "GET /v1/feedback/{name}", "DELETE /v1/feedback/{name}"),
)


@pytest.fixture
def operations(tiny_bundle, tmp_path):
    """The operations of a service, by method and path."""
    app = app_of(
        tiny_bundle,
        addresses=False,
        feedback={"database": str(tmp_path / "kept.sqlite")},
    )
    config = SchemathesisConfig.from_str(CONFIG)
    schema = schemathesis.openapi.from_asgi("/openapi.json", app, config=config)
    found = [result.ok() for result in schema.get_all_operations()]
    return {operation.label: operation for operation in found}


def test_all_operations_are_asked(operations):
    assert sorted(operations) == sorted(OPERATIONS)


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_answer_is_as_it_was_said(operations, name):
    @settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
    @given(case=operations[name].as_strategy())
    def ask(case):
        case.call_and_validate()

    ask()
