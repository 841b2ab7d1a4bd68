"""A new default must not call more real faces of any family fake than the old one."""

import numpy as np
import pytest

from faceproof.detector import ChosenOn, OperatingPoint, sigmoid
from faceproof.errors import TrainingError, UsageError
from faceproof.evaluation import predictions
from faceproof.evaluation.predictions import Origin, Prediction
from faceproof.training.replacement import compare_false_alarms, refuse_more_false_alarms

HASH = "e" * 64
FAMILIES = {"portraits": ("sites", "studio"), "films": ("films",)}


def point(fake_from):
    chosen = ChosenOn(data_sha256=HASH, n=1)
    return OperatingPoint(
        name="p", real_below=0.1, fake_from=fake_from, promise="p", chosen_on=chosen
    )


def table(shift, *, sources=("sites", "studio", "films"), count=400):
    """Return predictions of reals of each source, whose logits ``shift`` adds to, and fakes."""
    rows = []
    for place, source in enumerate((*sources, "gan")):
        fake = source == "gan"
        logits = np.random.default_rng(place).normal(3 if fake else -2, 1, count)
        logits += shift.get(source, 0.0)
        for number, logit in enumerate(logits.tolist()):
            name = f"{source}/{number}"
            rows.append(
                Prediction(
                    path=name,
                    source=source,
                    generator="gan" if fake else "none",
                    label="fake" if fake else "real",
                    split="validation",
                    group=name,
                    condition="clean",
                    logit=logit,
                    fake_probability=float(sigmoid(np.array(logit))),
                    status="ok",
                )
            )
    return predictions.make_table(
        rows, Origin(detector_sha256="a" * 64, data_sha256=HASH, purpose="choose")
    )


def test_the_same_answers_are_no_change():
    found = compare_false_alarms(table({}), table({}), point(0.5), point(0.5), FAMILIES)
    assert {one.slice for one in found} == {"family=portraits", "family=films"}
    assert all(one.change == 0 for one in found)
    assert next(one for one in found if one.slice == "family=portraits").n == 800
    refuse_more_false_alarms(found)


def test_fewer_false_alarms_are_accepted():
    found = compare_false_alarms(table({"films": 1.5}), table({}), point(0.5), point(0.5), FAMILIES)
    assert next(one for one in found if one.slice == "family=films").high < 0
    refuse_more_false_alarms(found)


def test_more_false_alarms_on_one_family_are_refused_and_named():
    found = compare_false_alarms(table({}), table({"films": 1.5}), point(0.5), point(0.5), FAMILIES)
    with pytest.raises(TrainingError, match=r"films as clean: .* of 400") as caught:
        refuse_more_false_alarms(found)
    assert "portraits" not in str(caught.value)


def test_each_detector_is_judged_at_its_own_threshold():
    """The new one's logits rose by 1.5, and so did its threshold: nothing changed."""
    threshold = float(sigmoid(np.array(1.5)))
    found = compare_false_alarms(
        table({}),
        table({"films": 1.5, "sites": 1.5, "studio": 1.5}),
        point(0.5),
        point(threshold),
        FAMILIES,
    )
    assert all(abs(one.change) < 1e-9 for one in found)


def test_a_source_without_a_family_is_refused():
    with pytest.raises(UsageError, match="'films'"):
        compare_false_alarms(
            table({}), table({}), point(0.5), point(0.5), {"p": ("sites", "studio")}
        )
