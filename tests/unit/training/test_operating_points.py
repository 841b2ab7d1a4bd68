"""Operating points: what they promise holds, and what cannot hold is refused or told."""

from dataclasses import replace

import numpy as np
import pytest

from faceproof.detector import OperatingPoint, sigmoid
from faceproof.errors import SplitUseError, TrainingError, UsageError
from faceproof.training.operating_points import (
    keep_promises,
    make_operating_point,
    make_operating_points,
    supported_points,
)
from faceproof.training.promises import LADDER, Budget, default_share
from faceproof.training.recipe import CalibrationRecipe
from support.calibration_faces import CONDITIONS, degraded_faces, made

HASH = "e" * 64
BUDGETS = (Budget(bpcer=0.05), Budget(bpcer=0.01), Budget(bpcer=0.005))


@pytest.mark.parametrize("split", ["test", "validation", "train"])
def test_other_splits_are_refused(split):
    faces = degraded_faces()
    faces = replace(faces, splits=np.where(np.arange(len(faces)) == 5, split, faces.splits))
    with pytest.raises(SplitUseError, match=f"got faces of {split}"):
        make_operating_point(faces, BUDGETS[0], data_sha256=HASH)


@pytest.mark.parametrize("budget", BUDGETS, ids=lambda budget: budget.name)
def test_the_budget_holds_under_every_condition_and_is_used_up_in_the_worst(budget):
    faces = degraded_faces()
    point = make_operating_point(faces, budget, data_sha256=HASH)
    alarms = [
        (faces.probabilities[~faces.fake & (faces.conditions == name)] >= point.fake_from).mean()
        for name in CONDITIONS
    ]
    # One face of 1000 is what the correction for the split's size takes.
    assert max(alarms) == alarms[1] == pytest.approx(budget.bpcer - 0.001)
    misses = [
        (faces.probabilities[faces.fake & (faces.conditions == name)] < point.real_below).mean()
        for name in CONDITIONS
    ]
    assert max(misses) <= budget.apcer
    assert point.real_below <= point.fake_from


def test_what_was_promised_is_written_down():
    point = make_operating_point(degraded_faces(), Budget(bpcer=0.01), data_sha256=HASH)
    assert point.name == "1-in-100"
    assert point.bpcer_budget == 0.01
    assert (point.chosen_on.data_sha256, point.chosen_on.split) == (HASH, "calibration")
    assert point.chosen_on.n == 1000
    assert point.promise == (
        "at most 1 in 100 real faces called fake, and at most 1 in 20 fakes called real, on "
        "the calibration faces as each of clean, jpeg-60, resize-0.5; worst jpeg-60: 0.90% of "
        "1000, below 1.57% with 95 % confidence"
    )
    assert point.basis == (
        "conformal risk control, each class apart: over the draw of the calibration split, the "
        "expected share in a new group of faces like these is at most 1 in 100 real faces called "
        "fake, and at most 1 in 20 fakes called real, as each of clean, jpeg-60, resize-0.5; from "
        "1,000 groups of real and 1,000 of fake faces"
    )
    assert (point.apcer_budget, point.chosen_on.groups) == (0.05, 1000)
    assert OperatingPoint.model_validate_json(point.model_dump_json()) == point


def test_the_bound_in_the_promise_holds_for_new_faces():
    """In about 95 of 100 trainings, new faces are called fake no more often than the bound."""
    kept = 0
    for seed in range(60):
        point = make_operating_point(
            degraded_faces(400, seed=seed), Budget(bpcer=0.05), data_sha256=HASH
        )
        bound = float(point.promise.split("below ")[1].split("%")[0]) / 100
        new = degraded_faces(2500, seed=1000 + seed)
        jpeg = new.probabilities[~new.fake & (new.conditions == "jpeg-60")]
        kept += (jpeg >= point.fake_from).mean() <= bound
    assert kept >= 53


def test_stricter_budgets_have_higher_thresholds():
    points = make_operating_points(degraded_faces(), data_sha256=HASH, budgets=BUDGETS)
    assert list(points) == ["1-in-20", "1-in-100", "1-in-200"]
    upper = [point.fake_from for point in points.values()]
    assert upper == sorted(set(upper))


def test_a_budget_of_each_source_and_generator_is_the_stricter_one():
    faces = degraded_faces(1200)
    hard = np.arange(len(faces)) % 3 == 0
    faces = replace(
        faces,
        sources=np.where(hard, "hard", "easy"),
        generators=np.where(~faces.fake, "none", np.where(hard, "h", "e")),
        probabilities=sigmoid(faces.logits + np.where(hard, np.where(faces.fake, -2, 1), 0)),
    )
    pooled, each = (
        make_operating_point(faces, Budget(bpcer=0.05, reals=r, fakes=f), data_sha256=HASH)
        for r, f in [("pooled", "pooled"), ("source", "generator")]
    )
    assert pooled.fake_from < each.fake_from
    assert each.real_below < pooled.real_below
    assert "of each source" in each.promise
    assert "of each generator" in each.promise
    reals = ~faces.fake & hard & (faces.conditions == "jpeg-60")
    assert (faces.probabilities[reals] >= each.fake_from).mean() <= 0.05


def test_a_promise_that_too_few_faces_support_is_refused():
    with pytest.raises(UsageError) as refusal:
        make_operating_point(degraded_faces(500), Budget(bpcer=0.005), data_sha256=HASH)
    assert str(refusal.value) == (
        "the calibration split cannot support a promise of at most 0.50% errors on real faces "
        "(clean): it has 500 of them, worth 500 independent ones. It needs at least 598 "
        "independent ones, about 598 like these; or use a larger budget"
    )
    faces = degraded_faces(500)
    few = faces.where(~faces.fake | np.isin(faces.groups, [str(n) for n in range(500, 520)]))
    with pytest.raises(UsageError, match=r"errors on fake faces \(clean\): it has 20"):
        make_operating_point(few, Budget(bpcer=0.05), data_sha256=HASH)


def test_copies_do_not_support_a_promise():
    """A thousand real faces that are fifty, twenty times over, are fifty."""
    faces = degraded_faces(50)
    copies = replace(
        faces.where(np.tile(np.arange(len(faces)), 20)), groups=np.tile(faces.groups, 20)
    )
    with pytest.raises(UsageError, match="has 1,000 of them, worth 50 independent ones"):
        make_operating_point(copies, Budget(bpcer=0.05), data_sha256=HASH)


def test_a_condition_without_faces_is_refused():
    faces = degraded_faces()
    with pytest.raises(UsageError, match=r"'resize-0\.5', but no real calibration face"):
        make_operating_point(
            faces.where(faces.conditions != "resize-0.5"), BUDGETS[0], data_sha256=HASH
        )


def test_a_detector_that_is_certain_and_wrong_cannot_keep_a_promise():
    faces = degraded_faces()
    sure = replace(faces, probabilities=np.where(faces.logits > -1.0, 1.0, faces.probabilities))
    with pytest.raises(TrainingError, match="certain but wrong"):
        make_operating_point(sure, BUDGETS[1], data_sha256=HASH)


def apart(real, fake):
    """Return a thousand real and a thousand fake faces between these probabilities each."""
    p = np.concatenate([np.linspace(*real, 1000), np.linspace(*fake, 1000)])
    faces = made(np.zeros(2000), np.repeat([False, True], 1000))
    return replace(faces, probabilities=p)


@pytest.mark.parametrize(
    ("real", "fake", "low", "high"),
    [
        ((0.0, 0.2), (0.8, 1.0), 0.5, 0.5),  # every threshold in between keeps both promises
        ((0.0, 0.2), (0.3, 0.4), 0.3, 0.31),  # none at even odds does: the nearest
        ((0.6, 0.7), (0.8, 1.0), 0.69, 0.7),
    ],
)
def test_where_the_band_is_empty_the_threshold_is_the_one_nearest_to_even_odds(
    real, fake, low, high
):
    point = make_operating_point(
        apart(real, fake), Budget(bpcer=0.05), data_sha256=HASH, conditions=["clean"]
    )
    assert low <= point.real_below == point.fake_from <= high


def test_the_upper_threshold_lies_halfway_to_the_first_face_that_may_be_called():
    faces = apart((0.0, 0.999), (0.5, 1.0))
    point = make_operating_point(faces, Budget(bpcer=0.05), data_sha256=HASH, conditions=["clean"])
    reals = np.sort(faces.probabilities[~faces.fake])
    # (k + 1) / 1001 <= 0.05 holds for k = 49.
    assert point.fake_from == pytest.approx((reals[-49] + reals[-50]) / 2)
    assert point.real_below == np.sort(faces.probabilities[faces.fake])[49]


def test_equal_probabilities_are_called_alike():
    """Forty reals at the same probability may not be called, though thirty would be allowed."""
    faces = apart((0.0, 0.2), (0.1, 1.0))
    tied = replace(
        faces, probabilities=np.where(np.arange(2000) // 40 == 24, 0.9, faces.probabilities)
    )
    point = make_operating_point(tied, Budget(bpcer=0.03), data_sha256=HASH, conditions=["clean"])
    assert point.fake_from > 0.9


class TestWhatARecipePromises:
    def test_what_it_names_is_kept_or_refused(self):
        made = keep_promises(
            degraded_faces(), CalibrationRecipe(budgets=(0.05, 0.02)), data_sha256=HASH
        )
        assert list(made.points) == ["1-in-20", "1-in-50"]
        assert (made.default, made.unsupported) == ("1-in-50", ())
        with pytest.raises(UsageError, match=r"at most 0\.10% .* needs at least 2,995 independent"):
            keep_promises(
                degraded_faces(), CalibrationRecipe(budgets=(0.05, 0.001)), data_sha256=HASH
            )

    def test_of_the_ladder_what_the_faces_support_is_made_and_the_rest_told(self):
        made = keep_promises(degraded_faces(), CalibrationRecipe(), data_sha256=HASH)
        assert list(made.points) == ["1-in-20", "1-in-100", "1-in-200"]
        assert made.default == "1-in-100"
        (left_out,) = made.unsupported
        assert (left_out.name, left_out.bpcer_budget) == ("1-in-1000", 0.001)
        assert left_out.reason.endswith("about 2,995 like these")

    def test_a_default_that_is_named_is_kept_or_refused(self):
        wanted = CalibrationRecipe(default_budget=0.02)
        made = keep_promises(degraded_faces(), wanted, data_sha256=HASH)
        assert list(made.points) == ["1-in-20", "1-in-50", "1-in-100", "1-in-200"]
        assert made.default == "1-in-50"
        with pytest.raises(UsageError, match=r"at most 0\.10%"):
            keep_promises(
                degraded_faces(), CalibrationRecipe(default_budget=0.001), data_sha256=HASH
            )

    @pytest.mark.parametrize(("n", "names"), [(50, ["1-in-5", "1-in-10"]), (24, ["1-in-5"])])
    def test_a_small_set_gets_the_coarse_promises_that_it_supports(self, n, names):
        made = keep_promises(degraded_faces(n), CalibrationRecipe(), data_sha256=HASH)
        assert list(made.points) == names
        assert made.default == names[-1]
        point = made.points["1-in-5"]
        assert (point.bpcer_budget, point.apcer_budget) == (0.2, 0.2)
        assert point.promise.startswith(
            "at most 1 in 5 real faces called fake, and at most 1 in 5 fakes called real"
        )
        left_out = {one.name for one in made.unsupported}
        assert left_out == {"1-in-20", "1-in-100", "1-in-200", "1-in-1000", "1-in-10"} - {*names}

    def test_a_set_that_supports_a_usual_promise_gets_no_coarse_one(self):
        made = keep_promises(degraded_faces(60), CalibrationRecipe(), data_sha256=HASH)
        assert list(made.points) == ["1-in-20"]
        assert not {"1-in-5", "1-in-10"} & {one.name for one in made.unsupported}

    def test_where_not_even_the_coarsest_is_supported_it_is_refused(self):
        with pytest.raises(UsageError, match=r"at most 20\.00% .* set larger calibration\.budgets"):
            keep_promises(degraded_faces(13), CalibrationRecipe(), data_sha256=HASH)
        with pytest.raises(UsageError, match=r"at most 5\.00% .* needs at least 59"):
            keep_promises(degraded_faces(24), CalibrationRecipe(budgets=(0.05,)), data_sha256=HASH)

    def test_a_promise_that_no_threshold_keeps_is_told_too(self):
        faces = degraded_faces()
        sure = replace(faces, probabilities=np.where(faces.logits > 0.5, 1.0, faces.probabilities))
        points, left_out = supported_points(
            sure, data_sha256=HASH, budgets=[Budget(bpcer=share) for share in LADDER]
        )
        assert list(points) == ["1-in-20"]
        assert "certain but wrong" in left_out[0].reason

    def test_a_missing_condition_is_never_left_out(self):
        with pytest.raises(UsageError, match="add that condition to the predictions"):
            keep_promises(
                degraded_faces(),
                CalibrationRecipe(conditions=("clean", "jpeg-75")),
                data_sha256=HASH,
            )

    @pytest.mark.parametrize(
        ("shares", "share"),
        [
            (LADDER, 0.01),
            ((0.005, 0.05, 0.01), 0.01),
            ((0.05, 0.02), 0.02),
            ((0.005, 0.001), 0.005),
            ((0.2,), 0.2),
        ],
    )
    def test_the_default_is_the_strictest_that_is_no_stricter_than_one_in_a_hundred(
        self, shares, share
    ):
        assert default_share(shares) == share


def test_twenty_groups_however_large_do_not_support_one_in_a_hundred():
    """Their faces look independent by their scores; the promise is one over groups all the same."""
    faces = degraded_faces(1000)
    grouped = replace(faces, groups=np.tile(np.arange(2000) % 20, 3).astype(str))
    make_operating_point(grouped, Budget(bpcer=0.05), data_sha256=HASH)
    with pytest.raises(UsageError, match="needs at least 99 groups, and these are 20"):
        make_operating_point(grouped, Budget(bpcer=0.01), data_sha256=HASH)


FAMILIES = {"portraits": ("a", "b"), "headshots": ("c",), "films": ("d",)}


def of_families(counts, *, seed=0):
    """Return faces of sources with so many reals each, the later ones harder, and 1000 fakes."""
    rng = np.random.default_rng(seed)
    reals = [rng.normal(size=n) - 3 + place for place, n in enumerate(counts.values())]
    sources = np.repeat([*counts, "fakes"], [*counts.values(), 1000])
    logits = np.concatenate([*reals, rng.normal(size=1000) + 3])
    fake = np.repeat([False, True], [sum(counts.values()), 1000])
    return made(logits, fake, sources=sources)


def promised(**changes):
    return CalibrationRecipe(conditions=("clean",), families=FAMILIES, **changes)


def test_a_budget_holds_for_the_worst_family():
    faces = of_families({"a": 400, "b": 400, "c": 500, "d": 500})
    kept = keep_promises(faces, promised(budgets=(0.01,)), data_sha256=HASH)
    point = kept.points["1-in-100"]
    for name in "abcd":
        mine = faces.probabilities[faces.sources == name]
        assert (mine >= point.fake_from).mean() <= 0.01
    assert "of each family" in point.promise
    assert "worst clean, films" in point.promise
    pooled = keep_promises(
        faces, CalibrationRecipe(conditions=("clean",), budgets=(0.01,)), data_sha256=HASH
    )
    assert pooled.points["1-in-100"].fake_from < point.fake_from


def test_sources_of_one_family_are_counted_together():
    """Neither 200 of a nor 200 of b support one in 100, both together do."""
    faces = of_families({"a": 200, "b": 200, "c": 500, "d": 500})
    point = keep_promises(faces, promised(budgets=(0.01,)), data_sha256=HASH).points["1-in-100"]
    assert "not promised" not in point.promise


def test_a_family_that_is_too_small_is_named_and_not_promised():
    faces = of_families({"a": 400, "b": 400, "c": 90, "d": 500})
    point = keep_promises(faces, promised(budgets=(0.01,)), data_sha256=HASH).points["1-in-100"]
    assert "not promised, for too few calibration faces: headshots" in point.promise


def test_families_that_are_all_too_small_are_refused():
    faces = of_families({"a": 20, "b": 20, "c": 30, "d": 30})
    with pytest.raises(UsageError, match="cannot support a promise"):
        keep_promises(faces, promised(budgets=(0.01,)), data_sha256=HASH)


def test_a_real_source_without_a_family_is_refused():
    faces = of_families({"a": 400, "stray": 400})
    with pytest.raises(UsageError, match="'stray' has real calibration faces and is in no family"):
        keep_promises(faces, promised(budgets=(0.05,)), data_sha256=HASH)


def test_a_source_in_two_families_is_refused():
    with pytest.raises(ValueError, match="'a' is in two families"):
        CalibrationRecipe(families={"one": ("a",), "two": ("a", "b")})
