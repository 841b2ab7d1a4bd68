"""A detector's record after calibration: what was chosen, promised, and left out."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.train

from faceproof.data.manifest import Manifest  # noqa: E402
from faceproof.detector import DetectorSpec  # noqa: E402
from faceproof.errors import UsageError  # noqa: E402
from faceproof.reports.card import card  # noqa: E402
from faceproof.training.finish import calibrate_spec  # noqa: E402
from faceproof.training.recipe import CalibrationRecipe  # noqa: E402
from support.calibration_faces import answers, degraded_faces  # noqa: E402


@pytest.fixture(scope="module")
def table():
    return answers(degraded_faces(700))


def test_what_is_promised_and_what_is_not_stands_in_the_record_and_is_told(tiny_spec, table):
    output: list[str] = []
    spec = calibrate_spec(
        tiny_spec, table, CalibrationRecipe(), Manifest(()), progress=output.append
    )
    assert list(spec.operating_points) == ["1-in-20", "1-in-100", "1-in-200"]
    assert spec.default_operating_point == "1-in-100"
    assert [one.name for one in spec.unsupported] == ["1-in-1000"]
    assert output[0].startswith(f"calibrated: {spec.calibration.method}, by log loss")
    assert output[1].startswith("not promised, 1-in-1000: the calibration split cannot support")
    assert "### Promises that the data cannot support" in card(spec)
    assert DetectorSpec.model_validate_json(spec.to_json()) == spec


def test_the_recipe_names_the_calibration(tiny_spec, table):
    for method in ("temperature", "platt", "isotonic"):
        spec = calibrate_spec(tiny_spec, table, CalibrationRecipe(method=method), Manifest(()))
        assert spec.calibration.method == method


def test_a_promise_by_name_is_refused_where_the_faces_cannot_support_it(tiny_spec, table):
    with pytest.raises(UsageError, match="about 2,995 like these"):
        calibrate_spec(tiny_spec, table, CalibrationRecipe(budgets=(0.05, 0.001)), Manifest(()))
