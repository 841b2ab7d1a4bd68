"""Preparing: what holds for any weights, any journal that is cut, any shards."""

from __future__ import annotations

import hashlib
import io
import tempfile
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from faceproof.data.preparing.folder import (
    PreparationJournal,
    PreparationStart,
    begin_journal,
    first_line_end,
    read_outcomes,
)
from faceproof.data.preparing.pictures import crop_landmarks, picture_jobs
from faceproof.data.preparing.shards import SampleFacts, ShardSample, read_tar, write_tar
from faceproof.data.preparing.spec import (
    BALANCES,
    DroppedPicture,
    PicturesSpec,
    WrittenPicture,
    balanced_weights,
)
from faceproof.imaging.preprocessing import CropSpec, face_matrix

texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
numbers = st.floats(-1e4, 1e4, width=32)
points = st.tuples(*[st.tuples(numbers, numbers)] * 5)
hashes = st.binary(max_size=4).map(lambda data: hashlib.sha256(data).hexdigest())
rows = st.lists(
    st.tuples(
        st.sampled_from(["", "train", "test"]),
        st.sampled_from(["none", "gan", "swap"]),
        st.sampled_from(["photos", "videos"]),
    ),
    min_size=1,
    max_size=40,
)
orders = st.permutations(sorted(BALANCES)).flatmap(
    lambda order: st.integers(0, 3).map(lambda count: order[:count])
)


def table(made: list[tuple[str, str, str]]) -> pl.DataFrame:
    """Return a table of rows whose label follows from the generator."""
    schema = ["split", "generator", "source"]
    label = pl.when(pl.col("generator") == "none").then(pl.lit("real")).otherwise(pl.lit("fake"))
    return pl.DataFrame(made, schema=schema, orient="row").with_columns(label=label)


@given(rows, orders)
def test_weights_are_positive_with_mean_one_in_each_split(made, order):
    weighed = table(made).with_columns(weight=pl.Series(balanced_weights(table(made), order)))
    assert weighed["weight"].min() > 0
    means = weighed.group_by("split").agg(pl.col("weight").mean())["weight"]
    assert means.to_list() == pytest.approx([1.0] * len(means))


@given(rows, orders, st.randoms(use_true_random=False))
def test_weights_belong_to_rows_whatever_their_order(made, order, random):
    shuffled = list(range(len(made)))
    random.shuffle(shuffled)
    weights = balanced_weights(table(made), order)
    moved = balanced_weights(table([made[i] for i in shuffled]), order)
    assert moved == pytest.approx(weights[shuffled])


@given(rows, st.permutations(["generator", "source"]))
def test_the_classes_of_a_split_always_weigh_the_same_when_asked(made, rest):
    weights = pl.Series(balanced_weights(table(made), ["class", *rest]))
    sums = table(made).with_columns(weight=weights).group_by("split", "label")
    for _, part in sums.agg(pl.col("weight").sum()).group_by("split"):
        assert part["weight"].max() == pytest.approx(part["weight"].min())


outcomes = st.one_of(
    st.builds(DroppedPicture, code=texts, reason=texts),
    st.builds(
        WrittenPicture,
        path=texts,
        sha256=hashes,
        bytes=st.integers(0, 2**40),
        width=st.integers(1, 9),
        height=st.integers(1, 9),
        format=texts,
        jpeg_quality=st.none() | st.integers(1, 100),
        phash=texts,
        faces=st.integers(1, 9),
        outside=st.floats(0, 1),
        landmarks=points,
    ),
)


@given(made=st.lists(outcomes, max_size=8), cut=st.integers(0, 4000))
@example(made=[DroppedPicture(code="whole", reason="but for its newline")], cut=1)
@settings(max_examples=60)
def test_a_journal_that_is_cut_anywhere_holds_what_was_whole(made, cut):
    """And goes on from there, as if it had never been cut."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "journal.jsonl"
        begin_journal(path, PreparationStart(spec=PicturesSpec(), rows_sha256="0" * 64, side=None))
        first = path.stat().st_size
        write(path, made, keep_bytes=first)
        whole = path.read_bytes()
        path.write_bytes(whole[: max(first, len(whole) - cut)])
        read = list(read_outcomes(path))
        found, end = [outcome for outcome, _ in read], read[-1][1] if read else first_line_end(path)
        assert found == made[: len(found)]
        assert end <= path.stat().st_size
        assert len(found) == path.read_bytes()[first:].count(b"\n")
        write(path, [], keep_bytes=end)
        assert path.read_bytes() == whole[:end]
        write(path, made[len(found) :], keep_bytes=end)
        assert path.read_bytes() == whole


def write(path: Path, made: list[WrittenPicture | DroppedPicture], *, keep_bytes: int) -> None:
    with PreparationJournal(path, keep_bytes=keep_bytes) as journal:
        for outcome in made:
            journal.add(outcome)


samples = st.builds(
    lambda data, label, attributes, at: ShardSample(
        hashlib.sha256(data).hexdigest(),
        "png",
        data,
        SampleFacts(
            label=label,
            is_fake=0,
            generator=label,
            source=label,
            split=label,
            group=label,
            sha256="0" * 64,
            weight=1.0,
            landmarks=at,
            attributes=attributes,
        ),
    ),
    st.binary(max_size=1200),
    texts,
    st.dictionaries(texts, texts, max_size=3),
    points,
)


@given(st.lists(samples, max_size=5))
@settings(max_examples=60)
def test_a_tar_gives_back_what_went_in(made):
    file, again = io.BytesIO(), io.BytesIO()
    write_tar(made, file)
    write_tar(made, again)
    assert file.getvalue() == again.getvalue()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "one.tar"
        path.write_bytes(file.getvalue())
        assert list(read_tar(path)) == made


@given(st.lists(st.tuples(hashes, st.sampled_from(["real", "fake"])), max_size=12))
def test_no_two_rows_have_one_target(made):
    paths = [str(number) for number in range(len(made))]
    found = pl.DataFrame(
        {"path": paths, "sha256": [m[0] for m in made], "label": [m[1] for m in made]},
        schema={"path": pl.String, "sha256": pl.String, "label": pl.String},
    )
    targets = [Path(job.target).name for job in picture_jobs(found)]
    assert len(set(targets)) == len(targets) == len(made)


@given(
    st.tuples(*[st.tuples(st.floats(20, 500), st.floats(20, 500))] * 5),
    st.integers(32, 400),
    st.floats(0, 0.8),
)
def test_a_crop_is_aligned_already(drawn, size, margin):
    """Cutting a crop by its own landmarks is to leave it as it is: the matrix is the identity."""
    landmarks, spec = np.array(drawn, np.float32), CropSpec(size=size, margin=margin)
    matrix = face_matrix(landmarks, spec)
    # Five points that are no face have a fit that is next to nothing.
    assume(np.sqrt(abs(np.linalg.det(matrix[:, :2]))) >= 0.02)
    found = face_matrix(crop_landmarks(landmarks, spec), spec)
    assert found == pytest.approx(np.eye(2, 3), abs=5e-3)
