"""Training at matched resolution: stages, round trips, the shortcut report, and bad input."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.train

from safetensors.torch import save_file  # noqa: E402

from faceproof.data.preparing.folder import add_made_fakes, read_landmarks  # noqa: E402
from faceproof.errors import FaceproofError, TrainingError  # noqa: E402
from faceproof.training.fit import make_streams  # noqa: E402
from faceproof.training.forging.pool import generator_of, make_fakes  # noqa: E402
from faceproof.training.resolution import face_widths  # noqa: E402
from faceproof.training.stream import PreparedPictures, TrainingStream  # noqa: E402
from faceproof.training.stream_report import (  # noqa: E402
    StreamReport,
    refuse_shortcuts,
    report_stream,
)
from support.forging import small_autoencoder  # noqa: E402

MATCHED = (
    "data.shares={ mini = 1.0 }",
    "resolution={ narrowest = 20.0, widest = 40.0 }",
    "augment={ history_steps = 0, save = 1.0, cut = 0.0, noise = 0.0, blur = 0.0 }",
)
LATER = "stages=[{ from_step = 2, forgeries = { paste = 0.25, swap = 0.25 }, strength = 0.0 }]"


@pytest.fixture
def landmarks(prepared):
    return read_landmarks(prepared)


@pytest.fixture
def own(prepared, tmp_path):
    """A copy of the prepared folder, to write into."""
    return shutil.copytree(prepared, tmp_path / "own")


@pytest.fixture
def autoencoder(tmp_path):
    """The file of a small untrained autoencoder."""
    path = tmp_path / "autoencoder.safetensors"
    save_file(small_autoencoder().state_dict(), path)
    return path


def round_trips(own, autoencoder, *more):
    return (
        *MATCHED,
        f"data.prepared={own.as_posix()!r}",
        f"made.round_trip={{ autoencoder = {autoencoder.as_posix()!r}, widest = 40.0, "
        "counts = { train = 5, validation = 2, test = 3 } }",
        *more,
    )


def test_samples_depend_on_seed_and_number_only(mini, manifest):
    first, second = (make_streams(mini(*MATCHED, LATER), manifest)[0] for _ in range(2))
    for number in (3, 17, 40):
        inputs, target = first[number]
        again, label = second[number]
        assert torch.equal(inputs, again)
        assert target == label


def test_every_sample_has_a_width_of_the_recipe(mini, manifest):
    stream = make_streams(mini(*MATCHED), manifest)[0]
    facts = [stream.facts_of(number) for number in range(60)]
    assert all(20 <= one.width <= 40 for one in facts)
    assert all(50 <= one.quality <= 96 for one in facts)
    assert 0.3 < np.mean([one.is_fake for one in facts]) < 0.7


def test_a_stage_begins_at_its_step_and_leaves_what_came_before_as_it_was(mini, manifest):
    plain = make_streams(mini(*MATCHED), manifest)[0]
    staged = make_streams(mini(*MATCHED, LATER), manifest)[0]
    size = mini(*MATCHED).schedule.batch_size
    assert all(torch.equal(plain[n][0], staged[n][0]) for n in range(2 * size))
    later = range(2 * size, 12 * size)
    assert any(not torch.equal(plain[n][0], staged[n][0]) for n in later)
    rows = manifest.take("train", purpose="fit")
    drawn = [staged._stages[-1].draw(np.random.default_rng(n)) for n in later]
    forged = [one for one in drawn if one.forgery]
    assert forged
    assert all(not rows[one.row].is_fake for one in forged)


def test_a_planted_width_shortcut_is_refused(mini, manifest, prepared, landmarks):
    """Fakes are half as wide again, and the source keeps its widths."""
    rows = manifest.take("train", purpose="fit")
    planted = {row.path: landmarks[row.path] * (1.5 if row.is_fake else 1.0) for row in rows}
    recipe = mini(*MATCHED, "resolution={ narrowest=20.0, widest=40.0, own_width={ mini=1.0 } }")
    stream = TrainingStream(PreparedPictures(prepared, rows, planted), recipe)
    report = report_stream(stream, own_width=["mini"], samples=200)
    found = {one.name: one.auc for one in report.features}
    assert found["width"] > 0.95
    assert found["quality"] < 0.65
    assert "sharpness_own_width" in found
    with pytest.raises(TrainingError, match=r"drawn face width predicts the label.*limit 0\.55"):
        refuse_shortcuts(report)
    assert any("(refused)" in line for line in report.lines())


def test_a_matched_stream_has_no_width_shortcut(mini, manifest):
    """Out of fold: 0.1 is what 400 samples of 24 pictures can differ by."""
    stream = make_streams(mini(*MATCHED), manifest)[0]
    report = report_stream(stream, samples=400)
    assert next(one for one in report.features if one.name == "width").auc < 0.6
    kept = StreamReport.model_validate_json(report.model_dump_json())
    assert kept == report


def test_round_trips_keep_split_and_group_and_are_made_once(own, autoencoder, mini, manifest):
    recipe = mini(*round_trips(own, autoencoder))
    (folder,) = make_fakes(recipe, manifest, progress=lambda _: None)
    whole = add_made_fakes(manifest, [folder])
    made = [row for row in whole.rows if row.source == "round_trip"]
    assert {
        split: sum(row.split == split for row in made) for split in ("train", "validation")
    } == {
        "train": 5,
        "validation": 2,
    }
    origins = {row.path: row for row in manifest.rows}
    for row in made:
        origin = origins[row.attributes["origin"]]
        assert (row.generator, row.is_fake, origin.is_fake) == ("made-round-trip", True, False)
        assert (row.group, row.split) == (origin.group, origin.split)
    before = {path: path.read_bytes() for path in folder.rglob("*.png")}
    (folder / "manifest.parquet").unlink()
    next(iter(before)).unlink()
    assert make_fakes(recipe, manifest, progress=lambda _: None) == [folder]
    assert {path: path.read_bytes() for path in folder.rglob("*.png")} == before
    points = read_landmarks(own, [folder])
    widths = face_widths(np.stack([points[row.path] for row in made]))
    assert (widths < 41).all()
    stream = make_streams(recipe, whole, [folder])[0]
    assert stream[0][0].isfinite().all()


@pytest.mark.parametrize("forgery", ["self_blend", "swap", "paste"])
def test_seams_are_kept_for_test_with_the_groups_of_all_people(own, mini, manifest, forgery):
    counts = "{ validation = 1, test = 2 }"
    recipe = mini(
        *MATCHED, f"data.prepared={own.as_posix()!r}", f"made.{forgery}={{ counts = {counts} }}"
    )
    (folder,) = make_fakes(recipe, manifest, progress=lambda _: None)
    made = [row for row in add_made_fakes(manifest, [folder]).rows if row.source == forgery]
    assert sorted(row.split for row in made) == ["test", "test", "validation"]
    reals = {row.path: row for row in manifest.rows if not row.is_fake}
    people = {(row.split, row.group) for row in reals.values()}
    for row in made:
        assert (row.generator, row.is_fake) == (generator_of(forgery), True)
        groups = row.group.split(" + ")
        assert len(groups) == (2 if forgery == "swap" else 1)
        assert groups[0] == reals[row.attributes["origin"]].group
        assert {(row.split, group) for group in groups} <= people
        assert (own / row.path).is_file()


def test_one_person_alone_cannot_be_swapped(own, mini, manifest):
    table = manifest.table.with_columns(group=pl.lit("one"), split=pl.lit("test"))
    recipe = mini(
        *MATCHED, f"data.prepared={own.as_posix()!r}", "made.swap={ counts = { test = 1 } }"
    )
    with pytest.raises(TrainingError, match=r"made\.swap: no fake can be made .* 20 were tried"):
        make_fakes(recipe, manifest.with_table(table), progress=lambda _: None)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("data.shares={ mini = 1.0, other = 0.5 }", "'other', which has no training picture"),
        ("stages=[{ from_step = 1, shares = { none = 1.0 } }]", "'none', which has no training"),
        ("resolution={ narrowest = 20.0, widest = 900.0 }", r"resolution\.widest = 900 px"),
        ("forgeries={ blend = 0.1 }", "no such forgery|unknown|forgery"),
        ("forgeries={ round_trip = 0.1 }", "need an autoencoder"),
    ],
)
def test_what_cannot_be_drawn_is_one_line_before_the_first_step(mini, manifest, override, message):
    with pytest.raises(FaceproofError, match=message) as caught:
        make_streams(mini(*MATCHED, override), manifest)
    assert "\n" not in str(caught.value)


def test_a_missing_autoencoder_is_one_line(own, tmp_path, mini, manifest):
    recipe = mini(*round_trips(own, tmp_path / "nowhere.safetensors"))
    with pytest.raises(TrainingError, match=r"made\.round_trip\.autoencoder: no file") as caught:
        make_fakes(recipe, manifest, progress=lambda _: None)
    assert "\n" not in str(caught.value)


def test_a_stream_without_matching_has_no_facts(mini, manifest):
    stream = make_streams(mini(), manifest)[0]
    with pytest.raises(TrainingError, match=r"add \[resolution\]"):
        stream.facts_of(0)


def test_a_split_without_real_faces_has_no_round_trips(own, autoencoder, mini, manifest):
    fakes_only = manifest.with_table(manifest.table.filter(manifest.table["label"] == "fake"))
    recipe = mini(*round_trips(own, autoencoder))
    with pytest.raises(TrainingError, match="has no real face"):
        make_fakes(recipe, fakes_only, progress=lambda _: None)


def test_without_the_section_none_are_made(mini, manifest):
    assert make_fakes(mini(*MATCHED), manifest, progress=lambda _: None) == []
    assert add_made_fakes(manifest, []) == manifest


def test_a_renamed_source_needs_a_share(mini, manifest, prepared, landmarks):
    rows = tuple(replace(row, source="other") for row in manifest.take("train", purpose="fit"))
    with pytest.raises(TrainingError, match="'mini', which has no training picture"):
        TrainingStream(PreparedPictures(prepared, rows, landmarks), mini(*MATCHED))
