"""The probe names what gives the label away, and accuses nobody without a reason."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from skimage import data

from faceproof.data.shortcuts.features import FAMILIES, FEATURES
from faceproof.data.shortcuts.intervals import auc_interval, roc_auc
from faceproof.data.shortcuts.pictures import ProbeItem, measure_pictures, probe_pictures
from faceproof.data.shortcuts.probe import (
    FOLDS,
    describe,
    fit,
    fold_of,
    held_out_scores,
    importance,
    number_groups,
    probe,
    sample,
)
from faceproof.data.shortcuts.result import (
    GUILTY_FROM,
    SEVERITIES,
    ProbeResult,
    ScoredResult,
    severity,
)
from faceproof.errors import DataError
from faceproof.imaging.degradations import encode_jpeg
from faceproof.imaging.faces import Face

PORTRAIT = np.ascontiguousarray(data.astronaut()[:240, 100:340])


def drawn(count: int, *, seed: int = 0) -> list[np.ndarray]:
    """Return pictures of 64 px in pairs: a piece of a photograph in some light, and its mirror."""
    rng = np.random.default_rng(seed)
    pictures = []
    for _ in range(count // 2):
        x, y = rng.integers(0, 176, 2)
        piece = np.clip(PORTRAIT[y : y + 64, x : x + 64] * rng.uniform(0.5, 1.2), 0, 255)
        pair = [piece.astype(np.uint8), piece[:, ::-1].astype(np.uint8)]
        pictures += pair[:: rng.choice([1, -1])]
    return pictures


def items(*, real: int = 75, fake: int = 75, count: int = 160) -> list[ProbeItem]:
    """Return a real and a fake of each pair, saved at a quality each."""
    return [
        ProbeItem(encode_jpeg(pixels, fake if i % 2 else real), bool(i % 2), f"person {i // 2}")
        for i, pixels in enumerate(drawn(count))
    ]


@pytest.fixture(scope="module")
def unmatched() -> ProbeResult:
    return probe_pictures(items(fake=95, count=80))


@pytest.fixture(scope="module")
def matched() -> ProbeResult:
    return probe_pictures(items())


def numbers(count: int, *, seed: int = 0, columns: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Return features that know nothing, and labels."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(count, columns)), np.arange(count) % 2 == 1


NAMES = ("bytes", "luma", "contrast")


def test_another_quality_is_found_and_quantisation_is_guilty(unmatched):
    assert unmatched.severity == "severe"
    assert unmatched.low > 0.9
    assert {family.name for family in unmatched.families[:1]} <= {"quantisation", "file"}
    guilty = {found.feature: found for found in unmatched.guilty}
    assert guilty["quality"].family == "quantisation"
    assert (
        guilty["quality"].says == "estimated JPEG quality is higher in fakes: median 95 against 75"
    )
    assert guilty["luma_sum"].low > 0.9
    assert "lower in fakes" in guilty["luma_sum"].says
    assert "file size is higher in fakes" in guilty["bytes"].says
    assert unmatched.guilty == tuple(sorted(unmatched.guilty, key=lambda found: -found.auc))


def test_what_is_equal_is_not_accused(unmatched):
    accused = {found.family for found in unmatched.guilty}
    assert (
        accused & {"brightness", "borders", "dimensions", "format", "metadata", "framing"} == set()
    )
    varying = {family.name for family in unmatched.families}
    assert varying & {"dimensions", "format", "framing"} == set()


def test_a_matched_set_has_an_interval_around_chance(matched):
    assert matched.low < 0.5 < matched.high
    assert matched.guilty == ()
    assert matched.severity == "none"
    assert {family.name for family in matched.families} == {
        *("file", "sharpness", "brightness", "borders")
    }


def test_the_floor_does_not_see_the_quality_but_what_it_did(matched, unmatched):
    assert matched.floor is not None
    assert unmatched.floor is not None
    assert matched.floor.low < 0.5 < matched.floor.high
    assert matched.floor.features == 5
    assert unmatched.floor.auc < unmatched.auc


def test_counts_are_told(matched):
    assert (matched.n_real, matched.n_fake) == (80, 80)
    assert (matched.groups, matched.folds, matched.seed) == (80, FOLDS, 0)
    assert matched.unreadable == {}


def test_the_result_is_a_record_that_can_be_read_again(unmatched, tmp_path):
    unmatched.write(tmp_path / "probe.json")
    assert ProbeResult.read(tmp_path / "probe.json") == unmatched


def test_the_same_seed_gives_the_same_result_with_any_number_of_workers():
    alone, together = (probe_pictures(items(count=60), workers=workers) for workers in (0, 3))
    assert alone == together


def test_unreadable_files_are_left_out_and_counted(tmp_path):
    broken = [
        ProbeItem(tmp_path / "nowhere.jpg", is_fake=True, group="x"),
        ProbeItem(b"", is_fake=False, group="y"),
        ProbeItem(b"", is_fake=True, group="y"),
        ProbeItem(items()[0].source[:200], is_fake=False, group="z"),
    ]
    seen = []
    result = probe_pictures(items(count=60) + broken, progress=seen.append)
    assert result.unreadable == {
        "source_not_found": 1,
        "empty_file": 2,
        "truncated_picture": 1,
    }
    assert (result.n_real, result.n_fake) == (30, 30)
    assert len(seen) == 64


def test_nothing_but_unreadable_files_says_so(tmp_path):
    missing = [ProbeItem(tmp_path / f"{i}.jpg", bool(i % 2), str(i)) for i in range(60)]
    with pytest.raises(DataError, match=r"too few to tell.*source_not_found"):
        probe_pictures(missing)
    assert measure_pictures(missing).table.shape == (0, len(FEATURES))


def test_files_are_read_from_disk_and_no_more_than_asked_for(tmp_path):
    on_disk = []
    for i, item in enumerate(items(count=100)):
        path = tmp_path / f"{i}.jpg"
        path.write_bytes(item.source)
        on_disk.append(ProbeItem(path, item.is_fake, item.group))
    seen = []
    result = probe_pictures(on_disk, most=60, progress=seen.append)
    assert (result.n_real, result.n_fake, len(seen)) == (30, 30, 60)


class Finder:
    """Finds a face that is larger in fakes, which are the pictures with a bright corner."""

    def find(self, pixels):
        side = 20.0 if pixels[0, 0, 0] > 128 else 10.0
        points = np.float32([[10, 10], [20, 10], [15, 15], [10, 20], [20, 20]])
        return [Face((10.0, 10.0, side, side), points, 0.9)]


def test_framing_is_probed_where_faces_are_looked_for():
    pictures = drawn(60)
    for i, pixels in enumerate(pictures):
        pixels[:8, :8] = 255 * (i % 2)
    given = [ProbeItem(encode_jpeg(p, 90), bool(i % 2), str(i)) for i, p in enumerate(pictures)]
    result = probe_pictures(given, finder=Finder())
    framing = {found.feature for found in result.guilty if found.family == "framing"}
    assert framing == {"face_size", "face_x", "face_y"}


def test_faces_that_are_given_are_not_looked_for():
    class Never:
        def find(self, pixels):
            raise AssertionError

    item = items()[0]
    given = ProbeItem(item.source, item.is_fake, item.group, faces=())
    table = measure_pictures([given], finder=Never()).table
    assert table[0, FEATURES.index("faces")] == 0


@pytest.mark.parametrize(
    ("reals", "fakes", "groups", "message"),
    [
        (19, 40, 50, "19 real pictures"),
        (40, 19, 50, "19 fake pictures"),
        (40, 0, 50, "0 fake pictures in 0 groups"),
        (40, 40, 1, "40 real pictures in 1 groups"),
    ],
)
def test_too_few_to_tell(reals, fakes, groups, message):
    fake = np.arange(reals + fakes) >= reals
    names = [f"g{i % groups}" for i in range(reals + fakes)]
    with pytest.raises(DataError, match=message + ".*too few to tell"):
        probe(np.zeros((len(fake), 1)), ["bytes"], fake, names)


def test_no_picture_at_all():
    with pytest.raises(DataError, match="too few to tell"):
        probe_pictures([])


def test_only_the_groups_of_the_sample_are_counted():
    table, fake = numbers(200)
    result = probe(table, NAMES, fake, list(range(200)), most=60)
    assert (result.n_real, result.n_fake, result.groups) == (30, 30, 60)


def test_a_table_in_which_nothing_varies_is_chance_with_a_wide_enough_interval():
    fake = np.arange(60) % 2 == 1
    result = probe(np.full((60, 2), np.nan), ["bytes", "luma"], fake, list(range(60)))
    assert result.auc == 0.5
    assert result.low < 0.5 < result.high
    assert result.families == ()


def test_a_feature_that_only_a_few_groups_have_breaks_nothing():
    """In some training parts it is missing altogether."""
    table, fake = numbers(100)
    table[:, 1] = np.nan
    table[7, 1] = 1.0
    assert 0 < probe(table, NAMES, fake, list(range(100))).auc < 1


def test_that_a_value_is_missing_tells_too():
    table, fake = numbers(100)
    table[fake, 1] = np.nan
    result = probe(table, NAMES, fake, list(range(100)))
    assert [found.feature for found in result.guilty] == ["luma"]
    assert result.guilty[0].says == "mean brightness is known: 0 % of the fakes, 100 % of the reals"


def test_a_family_that_tells_together_and_not_alone_is_named():
    """The label is whether two features have the same sign."""
    table, _ = numbers(800)
    fake = table[:, 1] * table[:, 2] > 0
    result = probe(table, NAMES, fake, list(range(800)))
    assert [(found.feature, found.family) for found in result.guilty] == [("", "brightness")]
    assert result.guilty[0].says == ("the 2 features of brightness predict only together")
    assert result.families[0].low > GUILTY_FROM


def test_importance_is_what_is_lost_without_a_feature():
    table, fake = numbers(200)
    table[:, 0] += 3 * fake
    fold = np.arange(200) // 2 % 5
    models = fit(table, fake, fold, seed=0)
    lost = [importance(models, table, fake, fold, column=i, seed=0) for i in range(3)]
    whole = roc_auc(fake, held_out_scores(models, table, fold))
    assert lost[0] == pytest.approx(whole - 0.5, abs=0.12)
    assert max(map(abs, lost[1:])) < 0.05


def test_a_group_is_never_divided_and_both_classes_are_everywhere():
    rng = np.random.default_rng(0)
    groups = number_groups(rng.integers(0, 40, 300))
    fake = rng.uniform(size=300) < 0.3
    fold = fold_of(fake, groups, seed=1)
    assert all(np.unique(fold[groups == group]).size == 1 for group in range(40))
    assert set(fold) == set(range(FOLDS))
    assert all(np.unique(fake[fold == number]).size == 2 for number in range(FOLDS))


def test_few_groups_give_few_folds():
    fake = np.arange(90) % 2 == 1
    groups = number_groups([f"{kind} {i % 3}" for i, kind in enumerate(fake)])
    result = probe(np.zeros((90, 1)), ["bytes"], fake, groups)
    assert (result.folds, result.groups) == (3, 6)


def test_one_large_group_a_class_does_not_make_a_person_a_shortcut():
    """Each person has a brightness of their own: only other persons may be judged by it."""
    rng = np.random.default_rng(0)
    person = np.repeat(np.arange(24), 20)
    table = rng.normal(size=24)[person, None] + rng.normal(scale=0.01, size=(480, 1))
    result = probe(table, ["luma"], person % 2 == 1, person)
    assert result.low < 0.5
    as_if_alone = probe(table, ["luma"], person % 2 == 1, np.arange(480))
    assert as_if_alone.low > 0.9


def test_a_sample_is_even_in_order_and_of_all_parts():
    fake = np.arange(4000) % 4 == 0
    taken = sample(fake, most=1000, seed=0)
    assert (int(fake[taken].sum()), int((~fake[taken]).sum())) == (500, 500)
    assert np.array_equal(taken, np.unique(taken))
    assert np.bincount(taken // 1000).min() > 210
    assert np.array_equal(taken, sample(fake, most=1000, seed=0))
    assert not np.array_equal(taken, sample(fake, most=1000, seed=1))


def test_all_are_taken_where_there_are_few():
    fake = np.arange(30) % 3 == 1
    assert np.array_equal(sample(fake, most=4000, seed=0), np.arange(30))


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.80, 0.90, "severe"),
        (0.75, 0.90, "severe"),
        (0.749, 0.9, "warning"),
        (0.60, 0.70, "warning"),
        (0.59, 0.70, "note"),
        (0.55, 0.60, "note"),
        (0.54, 0.60, "none"),
        (0.30, 0.74, "none"),
        (0.30, 0.80, "unsure"),
    ],
)
def test_severity_is_judged_by_the_lower_end(low, high, expected):
    name, meaning = severity(ScoredResult(auc=(low + high) / 2, low=low, high=high))
    assert name == expected
    assert meaning


def test_thresholds_fall():
    assert [entry[0] for entry in SEVERITIES] == sorted((e[0] for e in SEVERITIES), reverse=True)


def test_words_of_a_difference_that_is_neither_lower_nor_higher():
    rng = np.random.default_rng(0)
    says = describe("luma", rng.normal(100, 1, 500), rng.normal(100, 30, 500))
    assert says.startswith("mean brightness is spread differently: middle half 99.")
    assert says.count(" to ") == 2


def test_words_of_a_value_that_comes_up_in_one_class():
    fakes, reals = np.repeat([75.0, 90.0, 95.0], [60, 20, 20]), np.repeat([75.0, 90.0], [95, 5])
    says = describe("quality", fakes, reals)
    assert says == "estimated JPEG quality is 75: 60 % of the fakes, 95 % of the reals"


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("bytes", 900.0, "900 bytes"),
        ("bytes", 12_345.0, "12.3 kB"),
        ("bytes", 2_500_000.0, "2.5 MB"),
        ("width", 1024.0, "1024"),
        ("bytes_per_pixel", 0.1234, "0.123"),
    ],
)
def test_words_of_numbers(name, value, message):
    says = describe(name, np.full(5, value), np.full(5, 2 * value))
    assert f"lower in fakes: median {message} against" in says


def test_every_feature_has_words():
    for names in FAMILIES.values():
        for name in names:
            says = describe(name, np.array([0.0, 1.0]), np.array([1.0, 1.0]))
            assert "_" not in says
            assert says[0] != " "


def simulated(rng: np.random.Generator, *, groups: int, size: int, shift: float, shared: bool):
    """Return labels, scores and groups: each group has a level of its own."""
    group = np.repeat(np.arange(groups), size)
    fake = (np.arange(groups * size) % 2 == 1) if shared else group % 2 == 1
    scores = rng.normal(size=groups)[group] + rng.normal(size=groups * size) + shift * fake
    return fake, scores, group


@pytest.mark.parametrize("shared", [True, False], ids=["pairs in a group", "one class a group"])
@pytest.mark.parametrize(("groups", "shift"), [(12, 0.0), (12, 2.0), (60, 0.0), (60, 1.5)])
def test_the_interval_covers_the_truth_19_times_in_20(groups, shift, shared):
    from statistics import NormalDist

    rng = np.random.default_rng(0)
    # Of two faces of other groups; one pair in `groups` shares a level, where groups hold both.
    apart, together = (NormalDist().cdf(shift / np.sqrt(spread)) for spread in (4, 2))
    truth = apart + (together - apart) / groups if shared else apart
    draws = 200
    hits = 0
    for _ in range(draws):
        fake, scores, group = simulated(rng, groups=groups, size=6, shift=shift, shared=shared)
        auc = auc_interval(fake, scores, group)
        assert auc.low <= auc.auc <= auc.high
        hits += auc.low <= truth <= auc.high
    assert 0.91 <= hits / draws <= 0.995


def test_ignoring_groups_would_promise_too_much():
    fake, scores, group = simulated(
        np.random.default_rng(1), groups=30, size=20, shift=1.0, shared=False
    )
    by_group, alone = auc_interval(fake, scores, group), auc_interval(fake, scores, np.arange(600))
    assert by_group.high - by_group.low > 2 * (alone.high - alone.low)


def test_perfect_scores_of_few_groups_do_not_make_it_certain():
    fake = np.arange(40) % 2 == 1
    auc = auc_interval(fake, fake.astype(float), np.arange(40))
    assert (auc.auc, auc.high) == (1, 1)
    assert 0.8 < auc.low < 0.9


def test_a_probe_of_noise_accuses_rarely():
    """At most one probe in eight may call chance more than chance, or less."""
    surprised = 0
    for seed in range(8):
        table, fake = numbers(120, seed=seed, columns=1)
        result = probe(table, ["luma"], fake, np.arange(120) // 2, seed=seed)
        surprised += not result.low <= 0.5 <= result.high
        assert result.guilty == ()
    assert surprised <= 1


def test_pictures_that_judge_each_other_make_chance_less_certain():
    rng = np.random.default_rng(0)
    fake = np.arange(400) % 2 == 1
    for shift, wider in ((0.0, 2.0), (4.0, 1.0)):
        scores = rng.normal(size=400) + shift * fake
        once, mutual = (
            auc_interval(fake, scores, np.arange(400), mutual=share) for share in (0.0, 1.0)
        )
        ratio = (mutual.high - mutual.low) / (once.high - once.low)
        assert ratio**2 == pytest.approx(wider, abs=0.1)


def test_importing_the_probe_loads_no_scikit_learn():
    program = (
        "import sys, faceproof.data.shortcuts.pictures\n"
        "assert not {'sklearn', 'scipy', 'polars', 'pyarrow'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
