"""Laundering counts detected fakes only, a lost face as neither, and the union of all ways."""

import numpy as np
import pytest

from faceproof.audits.context import Grid
from faceproof.audits.laundering import ANY, laundering_words, measure_laundering
from faceproof.detector import ChosenOn, OperatingPoint

POINT = OperatingPoint(
    name="half",
    real_below=0.4,
    fake_from=0.6,
    promise="none",
    chosen_on=ChosenOn(data_sha256="a" * 64, n=1),
)
CONDITIONS = ("clean", "jpeg-50", "blur-2", "dark", "resize-1.5")
LOST = np.nan
PROBABILITIES = np.array(
    [
        # clean, jpeg-50, blur-2
        [0.9, 0.5, 0.9],
        [0.9, 0.9, 0.1],
        [0.9, 0.9, LOST],
        [0.9, 0.9, 0.9],
        [0.5, 0.1, 0.1],  # not detected as it is
        [0.2, 0.9, 0.9],  # real
    ]
)


@pytest.fixture
def found():
    rest = np.full((6, 2), 0.1)
    grid = Grid(
        CONDITIONS,
        np.array([True] * 5 + [False]),
        np.array(list("abcdef")),
        np.hstack([PROBABILITIES, rest]),
        np.zeros((6, 5), dtype=bool),
    )
    return {one.condition: one for one in measure_laundering(grid, POINT)}


def test_only_what_launders_is_counted(found):
    assert list(found) == ["jpeg-50", "blur-2", ANY]
    assert [found[name].kind for name in found] == ["resaving", "blurring", ANY]


def test_rates_are_of_detected_fakes_whose_face_was_found(found):
    jpeg, blur = found["jpeg-50"], found["blur-2"]
    assert (jpeg.evaded.value, jpeg.evaded.n, jpeg.called_real.value) == (0.25, 4, 0.0)
    assert (blur.evaded.n, blur.lost.value) == (3, 0.25)
    assert blur.evaded.value == blur.called_real.value == pytest.approx(1 / 3)


def test_any_way_is_the_union(found):
    assert found[ANY].evaded.value == 0.5
    assert found[ANY].called_real.value == 0.25
    assert "50.0 %" in laundering_words(list(found.values()))


def test_the_auc_is_against_unchanged_real_faces(found):
    assert found["jpeg-50"].auc.value == pytest.approx(4 / 5), "one fake of 0.1 is below 0.2"


def test_without_a_detected_fake_there_is_nothing(found):
    grid = Grid(
        CONDITIONS,
        np.array([False]),
        np.array(["a"]),
        np.full((1, 5), 0.9),
        np.zeros((1, 5), dtype=bool),
    )
    assert measure_laundering(grid, POINT) == []
