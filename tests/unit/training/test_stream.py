"""Which picture comes next: by balance or weights, in the frequencies that they say."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from faceproof.data.manifest import Row
from faceproof.training.recipe import DataRecipe
from faceproof.training.stream import (
    PreparedWeightDraw,
    WeightedDraw,
    balanced_row_weights,
    make_draw,
)

DRAWS = 6000


def rows() -> tuple[Row, ...]:
    """80 real of two sources, 40 fake of one generator in both, 5 of another in one of them."""
    kinds = (
        [("real", "none", "a")] * 60
        + [("real", "none", "b")] * 20
        + [("fake", "gan", "a")] * 10
        + [("fake", "gan", "b")] * 30
        + [("fake", "diffusion", "b")] * 5
    )
    return tuple(
        Row(f"{i}.png", label, generator, source, f"g{i}", f"{i:064x}", "train")
        for i, (label, generator, source) in enumerate(kinds)
    )


def recipe(**more) -> DataRecipe:
    return DataRecipe.model_validate({"licence": "MIT", **more})


def shares_of(draw, *names: str) -> dict[tuple[str, ...], float]:
    """Return how often each kind of row is drawn."""
    table = rows()
    drawn = [table[draw(np.random.default_rng([5, number]))] for number in range(DRAWS)]
    counts = Counter(tuple(getattr(row, name) for name in names) for row in drawn)
    return {kind: count / DRAWS for kind, count in counts.items()}


class TestBalance:
    """Four standard deviations of 6000 draws are at most 0.026."""

    def test_classes_are_even_and_generators_within_them(self):
        found = shares_of(make_draw(recipe(balance=["class", "generator"]), rows()), "generator")
        expected = {("none",): 0.5, ("gan",): 0.25, ("diffusion",): 0.25}
        assert found == pytest.approx(expected, abs=0.026)

    def test_sources_within_generators_within_classes(self):
        draw = make_draw(recipe(balance=["class", "generator", "source"]), rows())
        expected = {
            ("none", "a"): 0.25,
            ("none", "b"): 0.25,
            ("gan", "a"): 0.125,
            ("gan", "b"): 0.125,
            ("diffusion", "b"): 0.25,
        }
        assert shares_of(draw, "generator", "source") == pytest.approx(expected, abs=0.026)

    def test_without_class_the_classes_keep_their_share_of_the_rows(self):
        found = shares_of(make_draw(recipe(balance=["generator"]), rows()), "generator")
        expected = {("none",): 80 / 125, ("gan",): 22.5 / 125, ("diffusion",): 22.5 / 125}
        assert found == pytest.approx(expected, abs=0.026)

    def test_rows_of_one_cell_come_alike(self):
        weights = balanced_row_weights(rows(), ["class", "generator", "source"])
        for first, last in ((0, 60), (60, 80), (80, 90), (90, 120), (120, 125)):
            assert np.ptp(weights[first:last]) < 1e-12
        assert weights.mean() == pytest.approx(1)

    def test_prepared_weights_do_not_matter_then(self):
        """They may be of another balance, and of rows that are not in this split."""
        plain = balanced_row_weights(rows(), ["class"])
        weighted = tuple(
            Row(*_facts(row), attributes={"weight": str(1 + i)}) for i, row in enumerate(rows())
        )
        assert np.array_equal(balanced_row_weights(weighted, ["class"]), plain)


def _facts(row: Row) -> tuple[str, ...]:
    return row.path, row.label, row.generator, row.source, row.group, row.sha256, row.split


def test_without_balance_the_prepared_weights_decide():
    assert isinstance(make_draw(recipe(), rows()), PreparedWeightDraw)


def test_a_row_without_weight_is_never_drawn_and_the_last_one_may_be():
    draw = WeightedDraw(np.array([0.0, 1.0, 0.0, 2.0, 0.0]))
    drawn = Counter(draw(np.random.default_rng(n)) for n in range(900))
    assert set(drawn) == {1, 3}
    assert drawn[3] / 900 == pytest.approx(2 / 3, abs=0.065)


def test_a_draw_that_rounds_up_is_the_last_row():
    class Highest:
        def random(self) -> float:
            return 1.0

    assert WeightedDraw(np.array([1.0, 1.0, 1.0]))(Highest()) == 2
