"""What choosing on the test set adds: against numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from faceproof.evaluation.formulas import count_scores
from faceproof.evaluation.predictions import Faces
from faceproof.training.leave_one_out.inflation import (
    CHOICES,
    CheckpointScores,
    best_checkpoint,
    choose_threshold,
    draw_jointly,
    mean_auc,
    measure_inflation,
)

#: Four real faces and two fakes, as scored by two checkpoints.
REALS = [0.0, 1.0, 2.0, 3.0]
KEPT, BETTER = [1.5, 2.5], [2.5, 3.5]


def scores(
    *fakes: list[float], kept: int = 0, threshold: float = 2.2, name: str = "lamp", **more
) -> CheckpointScores:
    """Return the scores of checkpoints that agree on the real faces."""
    logits = np.array([[*REALS, *one] for one in fakes])
    n, fake = logits.shape[1], np.arange(logits.shape[1]) >= len(REALS)
    names = np.array([f"{name if is_fake else 'real'}{at}" for at, is_fake in enumerate(fake)])
    same = np.full(n, "x")
    faces = Faces(
        fake=fake,
        logits=logits[kept],
        probabilities=1 / (1 + np.exp(-logits[kept])),
        sources=same,
        generators=np.where(fake, name, "none"),
        groups=names,
        conditions=np.full(n, "clean"),
        splits=np.full(n, "test"),
        statuses=np.full(n, "ok"),
        withheld=np.zeros(n, dtype=bool),
    )
    return CheckpointScores(faces, names, logits, kept, threshold, **more)


def figures(found) -> dict[str, tuple[float, float, float]]:
    """Return each choice's figure on seen sources, on the test set, and the difference."""
    return {one.choice.name: (one.seen, one.test, one.difference.value) for one in found}


class TestArithmetic:
    def test_each_choice_against_numbers_by_hand(self):
        """AUC 5/8 and 7/8. At 2.2 half the fakes and a quarter of the reals are called fake."""
        (each,), mean = measure_inflation([scores(KEPT, BETTER)])
        assert figures(each) == {
            "checkpoint": (0.625, 0.875, 0.25),
            "threshold": (0.625, 0.75, 0.125),
            "checkpoint and threshold": (0.625, 0.875, 0.25),
        }
        assert figures(mean) == figures(each)
        assert [one.choice for one in each] == list(CHOICES)

    def test_the_mean_is_that_of_the_differences(self):
        """The second training had already kept its best checkpoint."""
        parts = [scores(KEPT, BETTER), scores(BETTER, KEPT, threshold=2.25, name="torch")]
        (first, second), mean = measure_inflation(parts)
        assert figures(second) == {
            "checkpoint": (0.875, 0.875, 0.0),
            "threshold": (0.875, 0.875, 0.0),
            "checkpoint and threshold": (0.875, 0.875, 0.0),
        }
        assert figures(mean)["checkpoint"] == (0.75, 0.875, 0.125)
        assert figures(mean)["threshold"] == (0.75, 0.8125, 0.0625)
        assert mean_auc(parts).value == 0.75
        assert first[0].difference.value == 0.25

    def test_the_best_checkpoint_and_ties(self):
        assert best_checkpoint(scores(KEPT, BETTER)) == 1
        assert best_checkpoint(scores(BETTER, KEPT, BETTER, kept=2)) == 2, (
            "a tie is no other choice"
        )
        assert best_checkpoint(scores(KEPT, BETTER, kept=1)) == 1

    @pytest.mark.parametrize(
        ("labels", "logits", "threshold"),
        [
            ("rrff", [0.0, 1.0, 2.0, 4.0], 1.5),
            ("rfrf", [0.0, 1.0, 2.0, 4.0], 3.0),  # as good as 0.5, with fewer false alarms
            ("ffrr", [0.0, 1.0, 2.0, 4.0], np.nextafter(4.0, 9.0)),  # nothing is called fake
        ],
    )
    def test_the_threshold_of_the_best_balanced_accuracy(self, labels, logits, threshold):
        fake = [one == "f" for one in labels]
        assert choose_threshold(count_scores(fake, logits)) == threshold


class TestIntervals:
    def test_they_hold_the_value_and_no_choice_on_test_makes_it_worse(self):
        rng = np.random.default_rng(1)
        part = scores(*(list(rng.normal(1.5 + 0.2 * at, 1, 60)) for at in range(4)))
        (each,), _ = measure_inflation([part])
        for one in each:
            assert one.difference.low <= one.difference.value <= one.difference.high
        assert all(one.difference.low >= 0 for one in each[:2])
        assert each[0].difference.high > each[0].difference.value > 0

    def test_a_shared_face_counts_equally_often_in_each_training(self):
        """Two equal trainings vary together, so their mean is no surer than either."""
        rng = np.random.default_rng(2)
        part = scores(list(rng.normal(2, 1, 40)), list(rng.normal(2, 1, 40)))
        (one, two), mean = measure_inflation([part, part])
        assert one == two == mean
        assert mean_auc([part, part]) == mean_auc([part])

    def test_the_choice_is_made_again_in_every_resample(self):
        """Two checkpoints that are equal here: another draw would prefer one of them."""
        part = scores([0.5, 3.5] * 9, [3.5, 0.5] * 9)
        (each,), _ = measure_inflation([part])
        assert each[0].difference.value == 0
        assert each[0].difference.high > 0.02

    def test_every_resample_has_fakes_of_each_generator(self):
        parts = [scores(KEPT, name="lamp"), scores(BETTER, name="torch")]

        def weigh(part, weights):
            return {"fakes": weights[:, part.faces.fake].sum(axis=1)}

        for one in draw_jointly(parts, weigh, number=200, seed=0):
            assert (one["fakes"] == 2).all()

    def test_a_training_without_a_source_draws_each_source_apart(self):
        part = scores(KEPT, by_source=True)
        assert set(part.cells.tolist()) == {"none\x1fx", "lamp\x1fx"}

    def test_no_choice_at_all_still_has_an_interval(self):
        """One checkpoint that separates both classes: its groups are too few to be sure."""
        (each,), _ = measure_inflation([scores([7.0, 8.0], threshold=5.0)])
        for one in each:
            assert one.difference.value == one.difference.low == 0
            assert 0.3 < one.difference.high < 1


def test_scores_of_other_faces_are_refused():
    part = scores(KEPT, BETTER)
    with pytest.raises(ValueError, match="are not those of the faces"):
        CheckpointScores(part.faces, part.paths, part.logits, 1, 0.0)
    with pytest.raises(ValueError, match="for 6 faces"):
        CheckpointScores(part.faces, part.paths, part.logits[:, :3], 0, 0.0)
