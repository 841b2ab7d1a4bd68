"""Rank correlations within strata, and what a detector adds to the shortcut probe."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from faceproof.audits.file_facts import (
    STRATA,
    FileFacts,
    ProbedFiles,
    correlate,
    probe_files,
    rank_correlation,
)
from faceproof.data.shortcuts.features import FEATURES

COUNT = 160
NONE = np.zeros(COUNT, np.int64)
NAMES = np.arange(COUNT).astype(str)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


class TestRankCorrelation:
    def test_it_is_spearmans(self, rng):
        x = rng.integers(0, 12, COUNT).astype(float)
        y = np.exp(x / 3 + rng.normal(size=COUNT))
        found = rank_correlation(x, y, NAMES, NONE)
        assert found.value == pytest.approx(spearmanr(x, y).statistic)
        assert found.interval.low < found.value < found.interval.high

    def test_strata_remove_what_differs_between_them(self, rng):
        source = np.arange(COUNT) % 2
        x, y = rng.normal(size=(2, COUNT)) + 4 * source
        assert rank_correlation(x, y, NAMES, NONE).value > 0.6
        within = rank_correlation(x, y, NAMES, source)
        assert within.interval.low < 0 < within.interval.high

    def test_the_interval_holds_the_truth_as_often_as_it_says(self, rng):
        held = 0
        for _ in range(300):
            x, y = rng.normal(size=(2, 60))
            interval = rank_correlation(x, y, np.arange(60).astype(str), NONE[:60]).interval
            held += interval.low <= 0 <= interval.high
        assert 0.91 < held / 300 < 0.99

    def test_a_group_counts_once(self, rng):
        x, y = rng.normal(size=(2, COUNT))
        pairs = [np.repeat(one, 2) for one in (x, y, NAMES, NONE)]
        alone, twice = rank_correlation(x, y, NAMES, NONE), rank_correlation(*pairs)
        assert twice.interval == pytest.approx(alone.interval, abs=0.01)

    def test_what_does_not_vary_has_none(self, rng):
        x = rng.normal(size=COUNT)
        assert rank_correlation(x, np.ones(COUNT), NAMES, NONE) is None
        assert rank_correlation(x, x, NAMES, np.arange(COUNT)) is None


def make_facts(rng, *, follows):
    """Return files whose size predicts the label well, and a detector of the size or the face."""
    fake = np.arange(COUNT) % 2 == 1
    table = np.full((COUNT, len(FEATURES)), np.nan)
    size = rng.normal(size=COUNT) + 1.5 * fake
    table[:, FEATURES.index("bytes")] = size
    face = rng.normal(size=COUNT) + 2 * fake
    return FileFacts(
        fake=fake,
        groups=NAMES,
        parts=np.where(fake, "b", "a"),
        logits=size + 0.01 * face if follows == "size" else face,
        table=table,
        face_px=np.full(COUNT, 100.0),
    )


class TestProbe:
    def test_a_detector_of_files_keeps_what_the_strongest_fact_keeps(self, rng):
        found = probe_files(make_facts(rng, follows="size"), seed=0)
        assert isinstance(found, ProbedFiles)
        assert found.result.low > 0.6
        assert [one.number for one in found.strata] == [*range(STRATA), None]
        assert sum(one.real + one.fake for one in found.strata[:-1]) == COUNT
        name, auc = found.strata[-1].strongest
        assert name == "bytes"
        assert found.strata[-1].detector[0] == pytest.approx(auc, abs=0.04)

    def test_a_detector_of_faces_keeps_its_auc(self, rng):
        last = probe_files(make_facts(rng, follows="face"), seed=0).strata[-1]
        assert last.detector[1] <= last.detector[0] <= last.detector[2]
        assert last.detector[1] > 0.8
        assert last.strongest[1] < last.detector[0] - 0.1

    def test_too_few_pictures_are_said(self, rng):
        facts = make_facts(rng, follows="face")
        few = FileFacts(**{name: value[:10] for name, value in vars(facts).items()})
        assert "20" in probe_files(few, seed=0)


def test_a_score_that_follows_the_file_is_named_in_both_classes(rng):
    found = {(one.fact, one.label): one for one in correlate(make_facts(rng, follows="size"))}
    assert set(found) == {("bytes", "real"), ("bytes", "fake")}, "the others do not vary"
    assert min(one.within.value for one in found.values()) > 0.95
