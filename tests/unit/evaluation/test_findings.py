"""Findings: which slices, which metrics, with which intervals and numbers."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest

from faceproof.detector import ChosenOn, OperatingPoint
from faceproof.errors import MissingExtraError, UnknownChoiceError
from faceproof.evaluation.findings import findings, left_out, slices, worst_generator
from faceproof.evaluation.formulas import Thresholds
from faceproof.evaluation.intervals import wilson
from faceproof.evaluation.metrics import METRICS, count_groups
from faceproof.evaluation.predictions import Faces, read_table
from faceproof.installation import install_command
from support.metric_values import metric_values

HASH = "f" * 64
POINTS = [
    OperatingPoint(
        name=name,
        real_below=low,
        fake_from=high,
        promise="p",
        chosen_on=ChosenOn(data_sha256=HASH, n=1),
    )
    for name, low, high in [("lax", 0.3, 0.6), ("strict", 0.1, 0.9)]
]


@pytest.fixture
def faces():
    """Real and fake faces of `mixed`, fakes alone of `drawn`, two of them without a face."""
    rng = np.random.default_rng(0)
    n = 120
    fake = np.arange(n) % 2 == 1
    source = np.where((np.arange(n) % 4 == 3), "drawn", "mixed")
    status = np.where(np.isin(np.arange(n), [5, 7]), "no_face", "ok")
    p = np.where(status == "ok", rng.beta(2, 4, n) + 0.3 * fake, np.nan)
    return Faces(
        fake=np.tile(fake, 2),
        logits=np.tile(p, 2),
        probabilities=np.concatenate([p, p**2]),
        sources=np.tile(source, 2),
        generators=np.tile(np.where(fake, np.where(source == "mixed", "swap", "gan"), "none"), 2),
        groups=np.tile(np.arange(n).astype(str), 2),
        conditions=np.repeat(["clean", "jpeg-60"], n),
        splits=np.full(2 * n, "test"),
        statuses=np.tile(status, 2),
        withheld=np.zeros(2 * n, dtype=bool),
    )


@pytest.fixture
def found(faces):
    return findings(faces, POINTS, data_sha256=HASH, number=50)


def test_without_pyarrow_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match=re.escape(install_command("data"))):
        read_table(Path("predictions.parquet"))


def one(found, metric, slice_="all", condition="clean"):
    (match,) = [f for f in found if (f.metric, f.slice, f.condition) == (metric, slice_, condition)]
    return match


def test_slices_are_all_each_source_and_the_fakes_of_each_generator(faces):
    clean = faces.where(faces.conditions == "clean")
    assert {name: len(part) for name, part in slices(clean)} == {
        "all": 120,
        "source=drawn": 30,
        "source=mixed": 90,
        "generator=gan": 30,
        "generator=swap": 30,
    }


def test_no_finding_stands_twice(found):
    keys = [(f.metric, f.slice, f.condition) for f in found]
    assert len(set(keys)) == len(keys)


def test_each_is_the_metric_of_its_slice_at_its_operating_point(faces, found):
    mixed = faces.where(
        (faces.conditions == "jpeg-60") & (faces.sources == "mixed") & (faces.statuses == "ok")
    )
    for point in POINTS:
        at = Thresholds(point.real_below, point.fake_from)
        values = metric_values(mixed.fake, mixed.probabilities, at, generators=mixed.generators)
        numbers = count_groups(mixed.fake, mixed.groups, mixed.generators)
        for name, metric in METRICS.items():
            if metric.refusal(numbers):
                continue
            key = f"{name}@{point.name}" if metric.at_thresholds else name
            finding = one(found, key, "source=mixed", "jpeg-60")
            assert finding.value == pytest.approx(values[name])
            assert finding.low <= finding.value <= finding.high
            assert finding.data_sha256 == HASH


def test_n_is_the_number_of_faces_that_were_counted(found):
    assert one(found, "roc_auc").n == 118
    assert one(found, "bpcer@lax").n == 60
    assert one(found, "apcer@lax").n == 58
    assert one(found, "no_face_rate").n == 120


def test_pictures_without_an_answer_are_a_rate(found):
    rate = one(found, "no_face_rate")
    assert (rate.value, rate.low, rate.high) == pytest.approx((2 / 120, *wilson(2, 120)))
    assert one(found, "no_face_rate", "source=mixed").value == pytest.approx(1 / 90)
    assert one(found, "error_rate").value == 0


def test_a_slice_without_reals_has_what_fakes_alone_can_show(found):
    names = {f.metric for f in found if f.slice == "generator=gan" and f.condition == "clean"}
    fakes_alone = ["apcer", "recall", "fake_unsure_rate", "fake_coverage"]
    assert names == {f"{name}@{point.name}" for name in fakes_alone for point in POINTS}
    assert one(found, "recall@lax", "source=drawn").n == 29


def test_rates_of_single_faces_have_wilsons_interval(found):
    finding = one(found, "bpcer@lax")
    count = round(finding.value * finding.n)
    assert (finding.low, finding.high) == pytest.approx(wilson(count, finding.n))


def test_only_what_was_asked_for(faces):
    some = findings(faces, POINTS[:1], data_sha256=HASH, metrics=["roc_auc", "bpcer"], number=20)
    assert {f.metric for f in some} == {"no_face_rate", "error_rate", "roc_auc", "bpcer@lax"}
    with pytest.raises(UnknownChoiceError, match="did you mean 'bpcer'"):
        findings(faces, POINTS, data_sha256=HASH, metrics=["bpcr"])


def test_a_slice_that_was_not_judged_at_all_says_so_and_no_more(faces):
    lost = faces.where(faces.statuses == "no_face")
    found = findings(lost, POINTS, data_sha256=HASH, number=20)
    assert {f.metric for f in found} == {"no_face_rate", "error_rate"}
    assert one(found, "no_face_rate").value == 1


def test_the_worst_generator_is_named(found):
    worst = worst_generator(found, "strict")
    rates = [f for f in found if f.metric == "apcer@strict" and "generator=" in f.slice]
    assert len(rates) == 4
    assert worst in rates
    assert worst.value == max(f.value for f in rates)
    assert worst_generator(found, "none") is None


def test_families_pool_sources_into_slices_of_their_own(faces):
    families = {"every": ("mixed", "drawn"), "some": ("mixed",), "none": ("elsewhere",)}
    names = [name for name, _ in slices(faces, families)]
    assert names[:3] == ["all", "family=every", "family=some"]
    assert "family=none" not in names
    parts = dict(slices(faces, families))
    assert len(parts["family=every"]) == len(faces)
    assert set(parts["family=some"].sources) == {"mixed"}
    found = findings(faces, POINTS, data_sha256=HASH, metrics=["bpcer"], families=families)
    assert any(one.slice == "family=some" and one.metric == "bpcer@lax" for one in found)


def test_figures_of_rare_faces_are_left_out_with_the_reason(faces, found):
    assert not [f for f in found if f.metric in {"tpr_at_fpr_0_1", "bpcer100"}]
    reasons = [*left_out(faces, METRICS, against_reals=True)]
    assert (
        "all, clean: tpr_at_fpr_0_1 needs at least 1,000 groups of real faces, but there are 60"
        in reasons
    )
    assert (
        "all, clean: bpcer100 needs at least 100 groups of fakes of generator gan, "
        "but there are 29" in reasons
    )
    assert "source=drawn, clean: roc_auc needs real faces, but there are none" in reasons


def test_every_metric_of_a_slice_is_reported_or_left_out_with_a_reason(faces, found):
    reasons = [*left_out(faces, METRICS)]
    for name, metric in METRICS.items():
        key = f"{name}@lax" if metric.at_thresholds else name
        reported = any((f.metric, f.slice, f.condition) == (key, "all", "clean") for f in found)
        refused = any(reason.startswith(f"all, clean: {name} needs") for reason in reasons)
        assert reported != refused, name


def test_a_generator_with_five_pictures_is_flagged_where_it_may_be_the_worst(faces):
    kept = np.flatnonzero((faces.generators != "gan") & (faces.conditions == "clean"))
    gan = np.flatnonzero((faces.generators == "gan") & (faces.statuses == "ok"))[:5]
    some = faces.where(np.isin(np.arange(len(faces)), [*kept, *gan]))
    found = findings(some, POINTS[:1], data_sha256=HASH, number=20)
    caution = one(found, "worst_apcer@lax").caution
    assert "2 have fewer than 30 groups, such as gan with 5" in caution
    assert one(found, "apcer@lax", "generator=gan").caution.startswith("only 5 groups of fake")
    assert one(found, "bpcer@lax").caution is None
    wide = one(found, "worst_apcer@lax")
    assert wide.high - wide.low > 0.25


def test_a_flag_is_written_and_its_absence_is_not(found):
    plain = one(found, "bpcer@lax")
    assert "caution" not in plain.model_dump_json()
    flagged = plain.model_copy(update={"caution": "few"})
    assert type(plain).model_validate_json(flagged.model_dump_json()) == flagged
