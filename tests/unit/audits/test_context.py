"""A face whose verdict a caution withholds is unsure in every figure at the thresholds."""

from __future__ import annotations

import numpy as np
import pytest

from faceproof.audits.audit import AUDITS, _run_or_read
from faceproof.audits.calibration import _promises
from faceproof.audits.context import make_grid
from faceproof.detector.spec import decide
from faceproof.evaluation.formulas import Thresholds
from faceproof.evaluation.metrics import METRICS
from faceproof.evaluation.paired import PairThresholds, error_changes, pair_predictions
from faceproof.evaluation.predictions import VERDICTS, all_faces
from support.audit_contexts import make_context, prediction

SURE_REAL, SURE_FAKE = 0.1, 0.9
WAYS = ("clean", "jpeg-95", "jpeg-50")


def faces(condition="clean", *, withheld="damaged"):
    """Return 40 right faces, and 10 wrong ones of each class with the caution ``withheld``."""
    wrong = {"condition": condition, "cautions": withheld}
    return [
        *(prediction(n, "real", SURE_REAL, condition=condition) for n in range(40)),
        *(prediction(n, "fake", SURE_FAKE, condition=condition) for n in range(40, 80)),
        *(prediction(n, "real", SURE_FAKE, **wrong) for n in range(80, 90)),
        *(prediction(n, "fake", SURE_REAL, **wrong) for n in range(90, 100)),
    ]


@pytest.fixture
def context(tiny_bundle):
    """Return what audits read where ``withheld`` is the caution of each wrong face."""

    def make(withheld):
        degraded = [
            row
            for condition in WAYS
            for row in faces(condition, withheld=withheld if condition != "jpeg-50" else "small")
        ]
        return make_context(tiny_bundle, {"clean": faces(withheld=withheld), "degraded": degraded})

    return make


def column(outcome, table, name):
    (found,) = [one for one in outcome.tables if one.name == table]
    return found.column(name)


class TestAudits:
    @pytest.mark.parametrize(("caution", "missed", "unsure"), [("damaged", 0.0, 0.2),
                             ("small", 0.2, 0.0)])  # fmt: skip
    def test_generators(self, context, caution, missed, unsure):
        found = AUDITS["generators"].run(context(caution))
        assert column(found, "generators", "apcer")[0] == missed
        assert column(found, "generators", "unsure")[0] == unsure
        (apcer,) = [one for one in found.findings if one.metric.startswith("apcer")]
        assert apcer.value == missed

    @pytest.mark.parametrize(("caution", "alarms"), [("damaged", 0.0), ("small", 0.2)])
    def test_calibration(self, context, caution, alarms):
        found = AUDITS["calibration"].run(context(caution))
        errors = zip(
            column(found, "promises", "error"), column(found, "promises", "rate"), strict=True
        )
        assert {rate for error, rate in errors if error == "bpcer"} >= {alarms}
        spec = context(caution).detector.spec
        judged = all_faces(context(caution).predictions("clean"))
        first = next(_promises(spec.operating_points.values(), judged))
        assert first.rate.value == alarms

    @pytest.mark.parametrize(("caution", "alarms"), [("damaged", 0.0), ("small", 0.2)])
    def test_robustness(self, context, caution, alarms):
        found = AUDITS["robustness"].run(context(caution))
        rates = dict(
            zip(
                column(found, "degradations", "condition"),
                column(found, "degradations", "bpcer"),
                strict=True,
            )
        )
        assert rates["clean"] == rates["jpeg-95"] == alarms
        assert rates["jpeg-50"] == 0.2
        flips = dict(
            zip(
                column(found, "degradations", "condition"),
                column(found, "degradations", "flip_rate"),
                strict=True,
            )
        )
        assert flips["jpeg-50"] == alarms_to_flips(alarms)

    def test_stability(self, context):
        found = AUDITS["stability"].run(context("damaged"))
        assert column(found, "pictures", "flipped_once")[0] == 0.2
        assert column(found, "pictures", "reversed_once")[0] == 0.0
        assert column(AUDITS["stability"].run(context("small")), "pictures", "flipped_once")[0] == 0

    def test_the_caution_is_told_in_every_audit_that_reads_them(self, context):
        for name in ("generators", "calibration", "robustness", "stability"):
            found = _run_or_read(name, AUDITS[name], context("damaged"))
            withheld = [one for one in found.cautions if "withholds the verdict" in one]
            assert len(withheld) == 1, name
            assert found.cautions.index(withheld[0]) < found.cautions.index(found.own_cautions[0])
            assert withheld[0] not in found.own_cautions, name
            told = AUDITS[name].run(context("small")).cautions
            assert not any("withholds the verdict" in one for one in told)


def alarms_to_flips(alarms):
    """The wrong faces flip under the one condition where nothing is withheld."""
    return 0.2 if alarms == 0.0 else 0.0


def test_a_grid_and_faces_have_the_verdicts_of_the_checker(context):
    made = context("not_continuous_tone")
    table = made.predictions("degraded")
    grid, every = make_grid(table), all_faces(table)
    called = [VERDICTS[at] for at in every.verdicts(made.point)]
    by_face = grid.verdicts(made.point).T.ravel()
    assert [VERDICTS[at] for at in by_face] == called
    for verdict, odds, held in zip(called, every.probabilities, every.withheld, strict=True):
        assert verdict == ("unsure" if held else decide(odds, made.point))


@pytest.mark.parametrize("at", [Thresholds(0.3, 0.7), Thresholds(0.7, 0.7), Thresholds(0.9, 0.9)])
def test_scores_at_thresholds_give_each_rate_of_the_verdicts(context, at):
    every = all_faces(context("damaged").predictions("clean"))
    called = every.verdicts(at)
    scores, moved = every.scores_at(at)
    shares = {
        "bpcer": (called == 2)[~every.fake],
        "apcer": (called == 0)[every.fake],
        "unsure_rate": called == 1,
        "recall": (called == 2)[every.fake],
    }
    for name, hits in shares.items():
        assert METRICS[name](every.fake, scores, moved) == pytest.approx(np.mean(hits)), name


def test_a_score_just_below_a_single_threshold_stays_real():
    from dataclasses import replace

    every = all_faces(make_table_of([prediction(0, "real", 0.5), prediction(1, "fake", 0.9)]))
    below = np.nextafter(0.7, 0)
    every = replace(every, probabilities=np.array([below, 0.9]), withheld=np.array([False, True]))
    scores, moved = every.scores_at(Thresholds(0.7, 0.7))
    assert METRICS["unsure_rate"](every.fake, scores, moved) == 0.5
    assert METRICS["bpcer"](every.fake, scores, moved) == 0.0
    assert scores[0] < moved.real_below <= scores[1] < moved.fake_from


def make_table_of(rows):
    from faceproof.evaluation.predictions import Origin, make_table

    return make_table(
        rows, Origin(detector_sha256="a" * 64, data_sha256="b" * 64, purpose="final-report")
    )


def test_two_detectors_are_compared_by_the_verdicts_that_they_give():
    old, new = make_table_of(faces(withheld="small")), make_table_of(faces(withheld="damaged"))
    thresholds = PairThresholds(Thresholds(0.4, 0.6), Thresholds(0.4, 0.6))
    changes = {
        one.metric: one for one in error_changes(pair_predictions(old, new), thresholds, name="all")
    }
    assert (changes["bpcer"].old, changes["bpcer"].new) == (0.2, 0.0)
    assert (changes["recall"].old, changes["recall"].new) == (0.8, 0.8), "unsure is not called fake"
