"""The sheet of made fakes: a row for each kind, three cells for each face."""

import numpy as np
import pytest

from faceproof.errors import TrainingError, UnknownChoiceError, UsageError
from faceproof.training.forging.sheet import draw_sheet
from faceproof.training.forging.table import FORGERIES, ForgingResources
from support.forging import real_face, small_autoencoder

NO_RESOURCES = ForgingResources()
FACES = [real_face(1), real_face(2)]


def test_a_row_has_real_picture_fake_and_difference():
    side = 64
    sheet = draw_sheet(FACES, NO_RESOURCES, names=["paste", "swap"], side=side)
    assert sheet.size == (6 * side, 2 * (side + 14))
    first = np.asarray(sheet)[14 : 14 + side]
    real, fake, difference = (first[:, k * side : (k + 1) * side] for k in range(3))
    assert not np.array_equal(real, fake)
    assert np.abs(difference[:4].astype(int) - 128).max() == 0
    assert np.abs(difference.astype(int) - 128).max() > 8


def test_a_seed_decides_the_sheet():
    sheets = [
        draw_sheet(FACES, NO_RESOURCES, names=["self_blend"], seed=seed, side=64).tobytes()
        for seed in (1, 1, 2)
    ]
    assert sheets[0] == sheets[1] != sheets[2]


@pytest.mark.train
def test_every_kind_is_drawn_where_none_is_named():
    sheet = draw_sheet(FACES, ForgingResources(small_autoencoder()), side=32)
    assert sheet.height == len(FORGERIES) * 46


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(UsageError, match=r"1 faces given.* at least 2"):
        draw_sheet(FACES[:1], NO_RESOURCES, names=["swap"])
    with pytest.raises(UsageError, match="at least 1"):
        draw_sheet([], NO_RESOURCES, names=["paste"])
    with pytest.raises(UnknownChoiceError):
        draw_sheet(FACES, NO_RESOURCES, names=["pste"])
    with pytest.raises(TrainingError, match="autoencoder"):
        draw_sheet(FACES, NO_RESOURCES)
