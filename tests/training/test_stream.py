"""The stream: sample i depends on the seed and on i; validation faces are as in use."""

from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.train

from faceproof.data.manifest import Manifest  # noqa: E402
from faceproof.data.preparing.folder import read_landmarks  # noqa: E402
from faceproof.errors import ManifestError, TrainingError  # noqa: E402
from faceproof.imaging.decode import decode  # noqa: E402
from faceproof.imaging.preprocessing import prepare  # noqa: E402
from faceproof.training.fit import make_streams  # noqa: E402
from faceproof.training.stream import (  # noqa: E402
    PlainFaces,
    PreparedPictures,
    PreparedWeightDraw,
    ShardedPictures,
    TrainingStream,
    make_loader,
    make_pictures,
    select_balanced,
)


@pytest.fixture
def stream(mini, manifest) -> TrainingStream:
    return make_streams(mini(), manifest)[0]


@pytest.fixture
def landmarks(prepared):
    return read_landmarks(prepared)


def test_a_sample_is_numbers_and_a_target(stream):
    inputs, target = stream[0]
    assert inputs.shape == (3, 32, 32)
    assert inputs.dtype == torch.float32
    assert target in (0.0, 1.0)


def test_a_sample_depends_on_its_number_alone(stream, mini, manifest):
    """Whatever was asked before, in this stream or in another one."""
    once = [stream[number] for number in (7, 3, 7, 11)]
    again = make_streams(mini(), manifest)[0]
    torch.manual_seed(9)
    np.random.default_rng(9).random()
    for number, (inputs, target) in zip((7, 3, 7, 11), once, strict=True):
        other, label = again[number]
        assert torch.equal(inputs, other)
        assert target == label
    assert not torch.equal(once[0][0], once[1][0])


def test_another_seed_is_another_stream(stream, mini, manifest):
    other = make_streams(mini("seed=4"), manifest)[0]
    assert not torch.equal(stream[0][0], other[0][0])


def test_numbers_may_be_as_large_as_a_long_training(stream):
    assert stream[10**9][0].isfinite().all()


def test_classes_come_evenly(stream):
    """Each with a chance of one half: 4 standard deviations of 300 draws are 0.12."""
    rows = stream._pictures.rows
    drawn = [stream._draw(np.random.default_rng([3, number])) for number in range(300)]
    assert np.mean([rows[index].is_fake for index in drawn]) == pytest.approx(0.5, abs=0.12)
    assert len(set(drawn)) == len(rows)


def test_without_shares_weights_decide_within_a_class(manifest):
    """Every fourth picture weighs nine times as much as the others together with it do each."""
    rows = tuple(
        replace(row, attributes={"weight": "9.0" if i % 4 == 0 else "1.0"})
        for i, row in enumerate(manifest.take("train", purpose="fit"))
    )
    draw = PreparedWeightDraw(rows)
    drawn = Counter(draw(np.random.default_rng([3, n])) for n in range(4000))
    assert sum(drawn[i] for i, row in enumerate(rows) if row.is_fake) / 4000 == pytest.approx(
        0.5, abs=0.04
    )
    for label in ("real", "fake"):
        own = [i for i, row in enumerate(rows) if row.label == label]
        weights = np.array([float(rows[i].attributes["weight"]) for i in own])
        counts = np.array([drawn[i] for i in own])
        expected = counts.sum() * weights / weights.sum()
        assert np.abs(counts - expected).max() < 5 * np.sqrt(expected.max())
        assert counts[weights == 9.0].mean() > 5 * counts[weights == 1.0].mean()


def test_without_weights_all_pictures_of_a_class_come_alike(manifest):
    rows = manifest.take("train", purpose="fit")
    drawn = Counter(PreparedWeightDraw(rows)(np.random.default_rng([5, n])) for n in range(1000))
    assert set(drawn) == set(range(len(rows)))


def test_a_donor_is_a_real_face(stream, monkeypatch):
    monkeypatch.setattr(stream, "_pictures", range(10_000))
    rows = {index for pool in stream._real for index in pool.tolist()}
    assert {int(stream._draw_donor(np.random.default_rng(n))) for n in range(60)} <= rows


def test_without_real_faces_there_is_no_stream(mini, manifest, prepared, landmarks):
    fakes = tuple(row for row in manifest.take("train", purpose="fit") if row.is_fake)
    with pytest.raises(TrainingError, match="no real face"):
        TrainingStream(PreparedPictures(prepared, fakes, landmarks), mini())


def test_validation_faces_are_as_in_use(mini, manifest, prepared, landmarks):
    _, faces = make_streams(mini(), manifest)
    rows = manifest.take("validation", purpose="choose")
    assert len(faces) == len(rows)
    for index in (0, 9):
        row = rows[index]
        pixels = decode((prepared / row.path).read_bytes()).pixels
        expected = prepare(pixels, landmarks[row.path], mini().network.preprocessing)
        inputs, target = faces[index]
        assert np.array_equal(inputs.numpy(), expected)
        assert target == float(row.is_fake)


class TestBatches:
    @pytest.mark.parametrize("workers", [0, 2])
    def test_they_are_the_samples_in_order(self, stream, workers):
        numbers = range(5, 17, 2)
        found = list(make_loader(stream, numbers, size=4, workers=workers))
        assert [len(targets) for _, targets in found] == [4, 2]
        inputs = torch.cat([inputs for inputs, _ in found])
        assert torch.equal(inputs, torch.stack([stream[number][0] for number in numbers]))

    def test_torchs_random_state_is_left_alone(self, stream):
        before = torch.get_rng_state()
        list(make_loader(stream, range(2), size=2, workers=0))
        assert torch.equal(torch.get_rng_state(), before)

    def test_no_number_is_no_batch(self, stream):
        assert list(make_loader(stream, range(3, 3), size=2, workers=0)) == []


class TestBalanced:
    def rows(self, manifest: Manifest):
        chosen = manifest.take("train", purpose="fit")
        return tuple(
            replace(row, source="small" if i < 2 else "large") for i, row in enumerate(chosen)
        )

    def test_sources_and_classes_come_evenly(self, manifest):
        """2 real of one source, 10 real and 12 fake of another."""
        rows = self.rows(manifest)
        chosen = select_balanced(rows, 12, seed=0)
        counts = Counter((row.source, row.label) for row in chosen)
        assert counts == {("small", "real"): 2, ("large", "real"): 5, ("large", "fake"): 5}

    def test_it_takes_all_where_there_are_fewer(self, manifest):
        rows = self.rows(manifest)
        assert select_balanced(rows, 100, seed=0) == rows

    def test_a_seed_decides_it(self, manifest):
        rows = self.rows(manifest)
        assert select_balanced(rows, 8, seed=1) == select_balanced(rows, 8, seed=1)
        assert select_balanced(rows, 8, seed=1) != select_balanced(rows, 8, seed=2)

    def test_the_order_of_rows_is_kept(self, manifest):
        rows = self.rows(manifest)
        chosen = select_balanced(rows, 9, seed=0)
        assert sorted(chosen, key=rows.index) == list(chosen)


@pytest.fixture(scope="module", params=["webdataset", "parquet"])
def sharded(request, prepared, tmp_path_factory):
    """The prepared folder's shards alone: the pictures do not lie there."""
    from faceproof.data.manifest_files import read_manifest
    from faceproof.data.preparing.shards import write_shards
    from faceproof.data.preparing.spec import ShardsSpec

    folder = tmp_path_factory.mktemp("sharded")
    found = read_manifest(prepared / "manifest.parquet")
    sizes = [(prepared / path).stat().st_size for path in found.table["path"]]
    hashes = [(prepared / path).stem for path in found.table["path"]]
    assert len(set(hashes)) == len(hashes)
    table = found.table.with_columns(
        pl.Series("weight", [1.0] * len(sizes)), pl.Series("bytes", sizes)
    )
    points = read_landmarks(prepared)
    landmarks = np.stack([points[path] for path in table["path"]])
    spec = ShardsSpec(kind=request.param, most_pictures=9)
    write_shards(Manifest(table, root=prepared), landmarks, folder / "shards", spec, seed=0)
    return folder


class TestShards:
    def test_the_stream_is_the_same_bit_for_bit(self, mini, manifest, landmarks, sharded):
        rows = manifest.take("train", purpose="fit")
        recipe = mini("augment.swap=0.3", "data.reading='shards'", f"data.prepared='{sharded}'")
        pictures = make_pictures(recipe.data, rows, landmarks)
        assert isinstance(pictures, ShardedPictures)
        plain = make_pictures(mini().data, rows, landmarks)
        assert not isinstance(plain, ShardedPictures)
        one, other = (TrainingStream(each, recipe) for each in (pictures, plain))
        for number in range(30):
            (inputs, target), (expected, label) = one[number], other[number]
            assert torch.equal(inputs, expected)
            assert target == label

    def test_workers_read_them_as_well(self, mini, manifest, landmarks, sharded):
        rows = manifest.take("validation", purpose="choose")
        faces = PlainFaces(ShardedPictures(sharded, rows, landmarks), mini().network.preprocessing)
        found = torch.cat([i for i, _ in make_loader(faces, range(16), size=4, workers=2)])
        assert torch.equal(found, torch.stack([faces[number][0] for number in range(16)]))

    def test_a_damaged_picture_is_an_error_that_names_it(
        self, mini, manifest, landmarks, sharded, tmp_path
    ):
        copied = tmp_path / "copied"
        shutil.copytree(sharded, copied)
        rows = manifest.take("train", purpose="fit")
        pictures = ShardedPictures(copied, rows, landmarks)
        place = pictures._places[4]
        with place.shard.open("r+b") as shard:
            shard.seek(place.start + place.size // 2)
            shard.write(b"damage")
        with pytest.raises(TrainingError, match=rf"{rows[4].path}: its sha256 differs in"):
            pictures[4]
        assert pictures[5].pixels.shape == (96, 96, 3)

    def test_a_training_reads_them_where_the_recipe_says_so(
        self, mini, manifest, prepared, sharded
    ):
        shutil.copy(prepared / "faces.parquet", sharded / "faces.parquet")
        recipe = mini("data.reading='shards'", f"data.prepared='{sharded}'")
        stream, faces = make_streams(recipe, manifest)
        plain, _ = make_streams(mini(), manifest)
        assert torch.equal(stream[5][0], plain[5][0])
        assert isinstance(faces._pictures, ShardedPictures)

    def test_without_shards_it_says_what_to_do(self, mini, manifest):
        with pytest.raises(ManifestError, match="has no shards: make them with"):
            make_streams(mini("data.reading='shards'"), manifest)


class TestUnreadable:
    @pytest.fixture
    def broken(self, mini, manifest, prepared, landmarks, tmp_path):
        """Validation faces of which one is cut off and one is gone."""
        rows = manifest.take("validation", purpose="choose")
        for row in rows:
            (tmp_path / row.path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(prepared / row.path, tmp_path / row.path)
        cut = tmp_path / rows[2].path
        cut.write_bytes(cut.read_bytes()[:700])
        (tmp_path / rows[9].path).unlink()
        pictures = PreparedPictures(tmp_path, rows, landmarks)
        return PlainFaces(pictures, mini().network.preprocessing)

    @pytest.mark.parametrize("number", [2, 9])
    @pytest.mark.parametrize("workers", [0, 1])
    def test_the_file_and_the_remedy_are_named(self, broken, number, workers):
        path = broken._pictures.rows[number].path
        loader = make_loader(broken, range(number - 1, 16, 20), size=4, workers=workers)
        assert len(list(loader)) == 1
        with pytest.raises(TrainingError, match="run `faceproof data prepare` again") as caught:
            list(make_loader(broken, range(number, 16, 20), size=4, workers=workers))
        assert path in str(caught.value)
        assert "Traceback" not in str(caught.value)

    def test_a_face_without_landmarks_is_told_before_the_training(
        self, manifest, prepared, landmarks
    ):
        rows = manifest.take("train", purpose="fit")
        fewer = {path: points for path, points in landmarks.items() if path != rows[5].path}
        with pytest.raises(TrainingError, match=f"no landmarks of {rows[5].path}"):
            PreparedPictures(prepared, rows, fewer)

    def test_batches_before_it_are_whole(self, broken):
        seen = iter(make_loader(broken, [0, 1, 2, 3], size=2, workers=1))
        assert len(next(seen)[1]) == 2
        with pytest.raises(TrainingError):
            next(seen)


def test_balance_of_the_recipe_decides_what_is_drawn(mini, manifest, prepared, landmarks):
    """Two thirds of the fakes are of one generator; with balance both come alike."""
    rows = tuple(
        replace(row, generator="rouge" if row.is_fake and i % 3 == 0 else row.generator)
        for i, row in enumerate(manifest.take("train", purpose="fit"))
    )
    recipe = mini("data.balance=['class', 'generator']")
    draw = TrainingStream(PreparedPictures(prepared, rows, landmarks), recipe)._draw
    drawn = Counter(rows[draw(np.random.default_rng([1, n]))].generator for n in range(2000))
    shares = {name: count / 2000 for name, count in drawn.items()}
    assert shares == pytest.approx({"none": 0.5, "blush": 0.25, "rouge": 0.25}, abs=0.045)
