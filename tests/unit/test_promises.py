"""What promises take is told before hours of training; refused where it was asked for by name."""

from __future__ import annotations

import hashlib

import pytest

from faceproof.data.manifest import SPLITS, Manifest, Row
from faceproof.errors import TrainingError
from faceproof.training.promising.promises import LADDER, Budget, least_faces
from faceproof.training.readiness import promises_in_doubt, refuse_few_faces
from faceproof.training.recipe import CalibrationRecipe


def manifest(*, reals: int, fakes: int = 100, a_group: int = 1) -> Manifest:
    """Return a set whose calibration split holds so many faces, and every other split two."""

    def row(number: int, split: str, generator: str, group: int) -> Row:
        label = "real" if generator == "none" else "fake"
        name = f"{split}-{label}-{number}"
        digest = hashlib.sha256(name.encode()).hexdigest()
        return Row(
            f"{name}.jpg", label, generator, "shop", f"{split}-{label}-{group}", digest, split
        )

    rows = [
        row(n, split, kind, n)
        for split in SPLITS
        for kind in ("none", "gan")
        for n in range(1)
        if split != "calibration"
    ]
    rows += [row(n, "calibration", "none", n // a_group) for n in range(reals)]
    rows += [row(n, "calibration", "gan", n) for n in range(fakes)]
    return Manifest(tuple(rows))


def asked(**keys: object) -> CalibrationRecipe:
    return CalibrationRecipe.model_validate(keys)


def test_a_promise_takes_as_many_faces_as_show_it():
    assert [least_faces(share) for share in LADDER] == [59, 299, 598, 2995]
    assert Budget(bpcer=0.001).reals_needed == 2995
    assert Budget(bpcer=0.001).fakes_needed == 59


def test_each_promise_that_is_named_is_refused_with_what_it_takes():
    with pytest.raises(TrainingError) as refused:
        refuse_few_faces(asked(budgets=[0.05, 0.01, 0.001]), manifest(reals=300), splits=SPLITS)
    assert str(refused.value) == (
        "the split calibration holds 300 real faces and needs 2995 or more: of real faces 1-in-20 "
        "takes 59, 1-in-100 takes 299, 1-in-1000 takes 2,995, of fakes each 59; take more "
        "pictures, or ask for larger calibration.budgets"
    )
    refuse_few_faces(asked(budgets=[0.05, 0.01]), manifest(reals=300), splits=SPLITS)


def test_of_the_ladder_the_mildest_is_enough():
    refuse_few_faces(asked(), manifest(reals=59), splits=SPLITS)
    with pytest.raises(TrainingError, match="58 real faces and needs 59"):
        refuse_few_faces(asked(), manifest(reals=58), splits=SPLITS)
    with pytest.raises(TrainingError, match="58 fake faces and needs 59"):
        refuse_few_faces(asked(), manifest(reals=59, fakes=58), splits=SPLITS)


def test_a_default_that_is_named_is_needed_though_the_ladder_is_not():
    with pytest.raises(TrainingError, match="100 real faces and needs 299"):
        refuse_few_faces(asked(default_budget=0.01), manifest(reals=100), splits=SPLITS)


def test_what_will_not_be_promised_is_told_before_training():
    assert promises_in_doubt(asked(), manifest(reals=600)) == [
        "the promise 1-in-1000 takes 2,995 independent real faces and calibration holds 600 of "
        "600 groups: it will not be made"
    ]


def test_faces_in_few_groups_may_not_be_enough():
    said = promises_in_doubt(asked(budgets=[0.05, 0.01]), manifest(reals=300, a_group=3))
    assert said == [
        "the promise 1-in-100 takes 299 independent real faces and calibration holds 300 of 100 "
        "groups: it may not be made"
    ]
    assert not promises_in_doubt(asked(budgets=[0.05, 0.01]), manifest(reals=300))
