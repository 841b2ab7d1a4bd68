"""Each plot's data against cases counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from faceproof.evaluation.audit_result import AuditPlot, Series
from faceproof.evaluation.evaluation_record import Confusion
from faceproof.reports.plots import (
    MOST_POINTS,
    MOST_SERIES,
    audit_plot,
    confusion_plot,
    coverage_risk_plot,
    det_plot,
    draw_plots,
    histogram_plot,
    precision_recall_plot,
    reliability_plot,
    roc_plot,
    threshold_plot,
)
from support.evaluations import POINT, evaluated, faces, predictions

#: Two real faces and two fakes; one real face scores above one fake.
FOUR = faces([False, True, False, True], [0.1, 0.4, 0.6, 0.9])


def points(plot, series: int = 0) -> list[tuple[float, float]]:
    one = plot.series[series]
    return list(zip(one.x, one.y, strict=True))


def test_roc_has_false_alarms_on_a_log_axis():
    plot = roc_plot({"clean": FOUR})
    assert points(plot) == [(0.0, 0.0), (0.0, 0.5), (0.5, 0.5), (0.5, 1.0), (1.0, 1.0)]
    assert (plot.kind, plot.x.scale, plot.x.low, plot.x.high) == ("step", "log", 0.25, 1)
    assert "50.0 % at 1 %, 50.0 % at 10 %" in plot.description


def test_precision_and_recall_with_the_share_of_fakes():
    plot = precision_recall_plot({"clean": FOUR})
    assert points(plot) == [(0.5, 1.0), (0.5, 0.5), (1.0, pytest.approx(2 / 3)), (1.0, 0.5)]
    assert plot.guides[0].y == (0.5, 0.5)
    assert plot.description.startswith("When half of the fakes are caught, 100.0 %")


def test_det_has_misses_against_false_alarms_as_normal_deviates():
    plot = det_plot({"clean": FOUR})
    assert points(plot) == [(0.0, 1.0), (0.0, 0.5), (0.5, 0.5), (0.5, 0.0), (1.0, 0.0)]
    assert (plot.x.scale, plot.y.scale, plot.x.low) == ("probit", "probit", 0.25)


def test_each_condition_has_its_curve_up_to_the_number_of_colours():
    names = [f"jpeg-{n}" for n in range(8)]
    answers = predictions(conditions=names)
    found = {plot.name: plot for plot in draw_plots(evaluated(answers, number=10), answers)}
    assert [one.name for one in found["roc"].series] == names[:MOST_SERIES]
    assert len(found["reliability"].series) == 1


def test_a_long_curve_is_thinned_and_keeps_its_ends():
    rng = np.random.default_rng(0)
    fake = rng.random(4000) < 0.5
    many = faces(fake.tolist(), rng.random(4000))
    for plot in (roc_plot({"clean": many}), coverage_risk_plot(many)):
        one = plot.series[0]
        assert len(one.x) <= MOST_POINTS
        assert one.x[-1] == 1.0
    assert points(roc_plot({"clean": many}))[0] == (0.0, 0.0)


def test_the_confusion_matrix_names_every_count():
    plot = confusion_plot(Confusion(condition="clean", real=(5, 2, 1), fake=(0, 3, 9)), "1-in-100")
    assert [(one.name, one.x, one.y) for one in plot.series] == [
        ("real", ("real", "unsure", "fake"), (5.0, 2.0, 1.0)),
        ("fake", ("real", "unsure", "fake"), (0.0, 3.0, 9.0)),
    ]
    assert "5 real called real, 2 real called unsure, 1 real called fake" in plot.description


def test_the_histogram_has_a_curve_for_real_faces_and_each_generator():
    generators = np.array(["none", "lamp", "none", "torch"])
    plot = histogram_plot(faces(FOUR.fake, FOUR.probabilities, generators=generators))
    assert [one.name for one in plot.series] == ["real faces", "lamp", "torch"]
    real = dict(points(plot))
    assert (real[0.1], real[0.6], sum(real.values())) == (0.5, 0.5, 1.0)
    assert "real faces: 50.0 %, fakes: 50.0 %" in plot.description


def test_rare_generators_share_a_curve():
    count = 12
    generators = np.array([f"gan-{min(n, 9)}" for n in range(count)])
    plot = histogram_plot(faces([True] * count, [0.5] * count, generators=generators))
    assert len(plot.series) <= MOST_SERIES
    assert plot.series[-1].name == "other generators"
    assert "gan-9" in [one.name for one in plot.series]


def test_reliability_has_bins_of_equal_mass():
    plot = reliability_plot(faces([False, True] * 15, [0.25, 0.75] * 15))
    assert points(plot) == [(0.25, 0.0), (0.75, 1.0)]


def test_error_rates_by_threshold_count_a_score_at_the_threshold_as_fake():
    plot = threshold_plot(FOUR, POINT)
    alarms, misses = (dict(points(plot, n)) for n in (0, 1))
    assert (alarms[0.0], alarms[0.1], alarms[0.11], alarms[0.6], alarms[0.61]) == (
        *(1.0, 1.0, 0.5, 0.5, 0.0),
    )
    assert (misses[0.4], misses[0.41], misses[0.9], misses[0.91]) == (0.0, 0.5, 0.5, 1.0)
    assert [(one.x, one.name) for one in plot.marks] == [
        (0.3, "real below 0.3"),
        (0.6, "fake from 0.6"),
    ]


def test_coverage_and_risk_answer_the_surest_first_and_ties_together():
    # Sureness 0.4 (right), 0.1 (both: fake at 0.4 and real at 0.6 are wrong), 0.4 (right).
    plot = coverage_risk_plot(FOUR)
    assert points(plot) == [(0.5, 0.0), (1.0, 0.5)]
    assert plot.description == (
        "Of the surest half of the faces 0.0 % are answered wrongly, of all 50.0 %."
    )


def test_one_class_has_no_curves():
    answers = predictions(labels=("real",))
    names = [plot.name for plot in draw_plots(evaluated(answers), answers)]
    assert names == ["confusion", "histogram", "reliability", "thresholds"]
    assert draw_plots(evaluated(empty := predictions(gone=60)), empty) == ()


def test_a_plot_of_an_audit_keeps_its_points_and_describes_them():
    series = Series(
        name="flips", x=("dark", "grey"), y=(0.5, None), low=(0.4, None), high=(0.6, None)
    )
    made = AuditPlot(name="A b", kind="bar", title="T", x="condition", y="rate", series=(series,))
    plot = audit_plot("robustness", made)
    assert (plot.name, plot.x.scale, plot.series) == ("robustness-a-b", "name", (series,))
    assert plot.description == "Rate. flips: from 0.5 at dark to 0.5 at dark."
    rows = plot.table().rows
    assert rows == (("flips", "dark", 0.5, 0.4, 0.6), ("flips", "grey", None, None, None))
