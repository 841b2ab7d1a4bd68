"""The Square attack: within budget and valid pixels, better with queries, and no query too many."""

import numpy as np
import pytest

from faceproof.audits.black_box import square_attack

SIDE, COUNT, BUDGET = 16, 6, 8
FAKE = np.arange(COUNT) % 2 == 1


@pytest.fixture
def crops():
    """Grainy crops, with black and white pixels among them."""
    return np.random.default_rng(0).integers(0, 256, (COUNT, SIDE, SIDE, 3)).astype(np.uint8)


def judge(crops):
    """Return how many grey levels the mean is above 128."""
    return crops.mean((1, 2, 3)) - 128


def never(logits, _):
    return np.zeros(len(logits), dtype=bool)


def attack(crops, *, by=judge, queries=60, succeeded=never, **changes):
    return square_attack(
        by,
        crops,
        FAKE,
        clean=judge(crops),
        queries=queries,
        succeeded=succeeded,
        **{"budget": BUDGET, **changes},
    )


def test_the_change_is_within_the_budget_and_the_logits_are_those_of_the_crops(crops):
    moved, logits = attack(crops)
    change = moved.astype(int) - crops
    assert np.abs(change).max() == BUDGET
    assert moved.dtype == np.uint8
    np.testing.assert_array_equal(logits, judge(moved))


def test_each_logit_moves_away_from_its_label_and_further_with_more_queries(crops):
    _, few = attack(crops, queries=2)
    _, many = attack(crops, queries=80)
    uphill = np.where(FAKE, -1, 1)
    assert (uphill * (many - judge(crops)) > 0).all()
    assert (uphill * (many - few) >= 0).all()
    assert np.abs(many - judge(crops)).mean() > BUDGET / 4


def test_a_face_that_is_called_the_opposite_is_asked_about_no_more(crops):
    asked = []

    def counting(tried):
        asked.append(len(tried))
        return judge(tried)

    moved, logits = attack(crops, by=counting, queries=30, succeeded=lambda at, fake: ~fake)
    assert asked == [int(FAKE.sum())] * 30
    np.testing.assert_array_equal(moved[~FAKE], crops[~FAKE])
    np.testing.assert_array_equal(logits[~FAKE], judge(crops)[~FAKE])


def test_it_begins_with_the_crops_of_a_smaller_budget(crops):
    small, reached = attack(crops, budget=2)
    _, logits = attack(crops, queries=1, start=small)
    np.testing.assert_array_equal(logits, reached)


def test_the_seed_alone_decides(crops):
    same, other = attack(crops, seed=1)[0], attack(crops, seed=2)[0]
    np.testing.assert_array_equal(same, attack(crops, seed=1)[0])
    assert (same != other).any()
