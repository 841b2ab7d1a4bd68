"""The study of heat maps: deletion, its controls, shuffled weights, and how the card shows it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import stats
from skimage import data

from faceproof import explain
from faceproof.data.manifest import Manifest, Row
from faceproof.detector import Detector, DetectorSpec, Finding
from faceproof.errors import SplitUseError, UsageError
from faceproof.evaluation.finding_names import (
    BEATS_RANDOM,
    CORRELATION,
    HOTTEST,
    RANDOM,
    RELIABLE,
    other_map_slice,
    shuffled_slice,
)
from faceproof.explain import StudiedFaces, mean_interval, rank_correlation, select_faces, study
from faceproof.reports.card import card
from faceproof.reports.card_sections import heatmap_section
from support.heatmap_bundles import MappedBundle

HASH = "e" * 64


def spots(count: int) -> np.ndarray:
    """Return inputs with a bright block each, at a place that was drawn."""
    rng = np.random.default_rng(11)
    pictures = np.full((count, 3, 32, 32), -1.0, np.float32)
    for picture in pictures:
        row, column = rng.integers(0, 4, 2) * 8
        picture[:, row : row + 8, column : column + 8] = rng.uniform(1.5, 2.5)
    return pictures


@pytest.fixture
def faces() -> StudiedFaces:
    count = 60
    return StudiedFaces(
        inputs=spots(count),
        fake=np.arange(count) % 3 == 0,
        groups=np.array([f"g{place // 2}" for place in range(count)]),
        data_sha256=HASH,
    )


@pytest.fixture
def detector(tmp_path: Path, tiny_spec: DetectorSpec, tiny_files: dict[str, bytes]) -> Detector:
    return Detector.load(MappedBundle().written(tmp_path / "b", tiny_spec, tiny_files))


@pytest.fixture
def found(
    detector: Detector, faces: StudiedFaces, monkeypatch: pytest.MonkeyPatch
) -> dict[tuple[str, str], Finding]:
    """The findings of a study; weights are shuffled by a stand-in, as the onnx library may lack."""

    def shuffling(data: bytes, *, seed: int) -> list[tuple[str, bytes]]:
        wrong = Path(__file__).parents[1] / "fixtures" / "bright-wrong.onnx"
        return [("head.logit", data), ("body", wrong.read_bytes())]

    monkeypatch.setattr(explain, "randomise_stages", shuffling)
    output: list[str] = []
    findings = study(detector, faces, shuffled_faces=40, progress=output.append)
    assert len(output) == 3
    return {(one.metric, one.slice): one for one in findings}


def test_a_good_detectors_maps_beat_random_deletion(found: dict[tuple[str, str], Finding]) -> None:
    for name, n in (("all", 60), ("label=real", 40), ("label=fake", 20)):
        assert found[RELIABLE, name].value > 0.5
        assert found[BEATS_RANDOM, name].value == 1
        assert found[HOTTEST, name].value < found[RANDOM, name].value < 0.05
        assert found[HOTTEST, name].high < 0
        assert all(found[metric, name].n == n for metric in (RELIABLE, BEATS_RANDOM, HOTTEST))
    assert {one.data_sha256 for one in found.values()} == {HASH}


def test_controls_do_not(found: dict[tuple[str, str], Finding]) -> None:
    own = found[RELIABLE, "all"]
    for control in (other_map_slice(), shuffled_slice("m0")):
        assert found[RELIABLE, control].high < own.low


def test_correlation_says_how_far_the_shuffled_maps_went(
    found: dict[tuple[str, str], Finding],
) -> None:
    same = found[CORRELATION, shuffled_slice("m0", "head.logit")]
    opposite = found[CORRELATION, shuffled_slice("m0", "body")]
    assert (same.value, same.low, same.high) == (1, 1, 1)
    assert opposite.value == pytest.approx(-1)


def test_the_card_shows_the_figures(
    found: dict[tuple[str, str], Finding], detector: Detector
) -> None:
    spec = detector.spec.model_copy(update={"results": tuple(found.values())})
    text = card(spec)
    assert text.count("## Heat maps") == 1
    assert "| all faces | " in text
    assert "| another face's | " in text
    assert "| shuffled m0 from the logit to body | -1.000 [-1.000, -1.000], n 40 |" in text
    fall = found[HOTTEST, "all"]
    assert f"{fall.value:+.3f} [{fall.low:+.3f}, {fall.high:+.3f}], n 60" in text
    assert "Heat maps" not in card(detector.spec)
    assert heatmap_section(detector.spec.results) == ""


def test_rank_correlation_is_spearmans() -> None:
    rng = np.random.default_rng(0)
    ours, theirs = rng.normal(size=(2, 20, 5, 5)).round(1)
    want = [
        stats.spearmanr(a.ravel(), b.ravel()).statistic for a, b in zip(ours, theirs, strict=True)
    ]
    assert np.allclose(rank_correlation(ours, theirs), want)
    assert rank_correlation(ours[:1], np.zeros((1, 5, 5))).tolist() == [0.0]


def test_a_mean_of_groups_is_less_sure_than_one_of_faces() -> None:
    """Two faces of a group that say the same are worth one: the interval is sqrt(2) as wide."""
    rng = np.random.default_rng(1)
    once = rng.normal(size=200)
    values, fake = np.repeat(once, 2), np.zeros(400, bool)
    alone = mean_interval(values, fake, np.arange(400))
    paired = mean_interval(values, fake, np.repeat(np.arange(200), 2))
    want = 1.96 * once.std(ddof=1) / np.sqrt(200)
    assert (paired.high - paired.low) / 2 == pytest.approx(want, rel=0.1)
    assert (paired.high - paired.low) / (alone.high - alone.low) == pytest.approx(2**0.5, rel=0.1)


@pytest.fixture
def photos(tmp_path: Path) -> Manifest:
    """Ten pictures of the test split, one of them without a face, and one to train on."""
    astronaut = Image.fromarray(data.astronaut()).crop((120, 0, 340, 260))
    rows = []
    for place in range(11):
        picture = Image.new("RGB", (80, 80)) if place == 4 else astronaut
        picture.save(tmp_path / f"{place}.png")
        fake = place % 2 == 0
        rows.append(
            Row(
                path=f"{place}.png",
                label="fake" if fake else "real",
                generator="x" if fake else "none",
                source="s",
                group=f"g{place}",
                sha256=f"{place:064x}",
                split="train" if place == 10 else "test",
            )
        )
    return Manifest(rows, root=tmp_path)


def test_faces_are_drawn_from_the_split_that_the_purpose_may_read(
    photos: Manifest, detector: Detector, tmp_path: Path
) -> None:
    def draw(number: int, **where: str) -> StudiedFaces:
        return select_faces(photos, detector.preprocessing, root=tmp_path, number=number, **where)

    every = draw(50)
    assert (len(every), every.without_face) == (9, 1)
    assert sorted(every.groups) == sorted(f"g{place}" for place in range(10) if place != 4)
    assert every.data_sha256 == photos.sha256
    assert every.fake.tolist() == [int(group[1:]) % 2 == 0 for group in every.groups]
    assert np.array_equal(draw(4).groups, draw(4).groups)
    assert len(draw(4)) + draw(4).without_face == 4
    with pytest.raises(SplitUseError):
        draw(4, split="test", purpose="choose")
    with pytest.raises(UsageError, match="no face found in 0 pictures"):
        draw(4, split="validation", purpose="choose")


@pytest.mark.train
def test_weights_change_places_from_the_top_down() -> None:
    onnx = pytest.importorskip("onnx")
    from faceproof.explain import randomise_stages

    rng = np.random.default_rng(2)
    names = ["backbone.conv1.weight.half", "backbone.layer1.0.conv.weight", "head.norm.bias"]
    names += ["head.dense.weight.half", "head.dense.bias", "head.logit.weight"]
    tensors = [
        onnx.numpy_helper.from_array(
            rng.normal(size=(30, 2)).astype(np.float16 if "half" in name else np.float32), name
        )
        for name in names
    ]
    graph = onnx.helper.make_graph([], "weights", [], [], tensors)
    data = onnx.helper.make_model(graph).SerializeToString()
    stages, mixed = zip(*randomise_stages(data, seed=1), strict=True)
    assert stages == (
        *("head.logit", "head.dense", "head.norm"),
        *("backbone.layer1.0", "backbone.conv1"),
    )
    states = [_weights(onnx, one) for one in (data, *mixed)]
    for stage, before, after in zip(stages, states[:-1], states[1:], strict=True):
        changed = {name for name in names if not np.array_equal(before[name], after[name])}
        assert changed == {name for name in names if name.startswith(stage)}
    for name, trained in states[0].items():
        assert np.array_equal(np.sort(trained.ravel()), np.sort(states[-1][name].ravel()))
        assert states[-1][name].dtype == trained.dtype
    assert [one for _, one in randomise_stages(data, seed=1)] == list(mixed)
    assert [one for _, one in randomise_stages(data, seed=2)] != list(mixed)


def _weights(onnx: object, data: bytes) -> dict[str, np.ndarray]:
    graph = onnx.load_from_string(data).graph
    return {one.name: onnx.numpy_helper.to_array(one) for one in graph.initializer}
