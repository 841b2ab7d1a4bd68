"""The predictions table: written, read, checked, and refused where it breaks the contract."""

from dataclasses import replace

import numpy as np
import pytest

from faceproof.errors import DataError
from faceproof.evaluation.predictions import (
    Origin,
    Prediction,
    all_faces,
    judged_faces,
    make_table,
    origin_of,
    read_table,
    write_table,
)

pytestmark = pytest.mark.train

ORIGIN = Origin(detector_sha256="a" * 64, data_sha256="b" * 64, purpose="calibrate")
REAL = Prediction(
    path="r.jpg",
    source="s",
    generator="none",
    label="real",
    split="calibration",
    group="s/1",
    condition="clean",
    logit=-1.5,
    fake_probability=0.2,
    status="ok",
)
FAKE = replace(REAL, path="f.jpg", generator="g", label="fake", logit=2.0, fake_probability=0.9)
LOST = replace(
    FAKE, path="é/lost.jpg", group="", logit=None, fake_probability=None, status="no_face"
)


def test_what_was_written_is_read(tmp_path):
    made = make_table([REAL, FAKE, LOST], ORIGIN)
    write_table(made, tmp_path / "predictions.parquet")
    again = read_table(tmp_path / "predictions.parquet")
    assert again.equals(made)
    assert origin_of(again) == ORIGIN
    assert again.to_pylist()[2]["path"] == "é/lost.jpg"


def test_the_columns_are_those_of_the_contract():
    assert make_table([REAL], ORIGIN).column_names == [
        "path", "source", "generator", "label", "split", "group", "condition", "logit",
        "fake_probability", "status",
    ]  # fmt: skip


def test_judged_leaves_out_what_has_no_answer_and_faces_keeps_it():
    made = make_table([REAL, FAKE, LOST], ORIGIN)
    assert judged_faces(made).fake.tolist() == [False, True]
    assert judged_faces(made).logits.tolist() == [-1.5, 2.0]
    every = all_faces(made)
    assert len(every) == 3
    assert every.statuses.tolist() == ["ok", "ok", "no_face"]
    assert np.isnan(every.probabilities[2])


def test_a_row_without_a_group_is_a_group_of_its_own():
    rows = [
        REAL,
        replace(REAL, path="2", source="t"),
        replace(REAL, path="3", group=""),
        replace(REAL, path="4", group=""),
        replace(REAL, path="5"),
    ]
    groups = all_faces(make_table(rows, ORIGIN)).groups
    assert groups.tolist() == ["s/1", "s/1", "3", "4", "s/1"]


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        (replace(FAKE, label="Fake"), "neither real nor fake"),
        (replace(FAKE, generator="none"), "label contradicts the generator"),
        (replace(REAL, generator="g"), "label contradicts the generator"),
        (replace(FAKE, status="fine"), "unknown status"),
        (replace(FAKE, logit=None), "logit without status ok, or status ok without logit"),
        (replace(FAKE, logit=float("nan")), "logit without status ok, or status ok without logit"),
        (replace(FAKE, status="error"), "logit without status ok, or status ok without logit"),
        (replace(FAKE, fake_probability=1.5), r"outside \[0, 1\]"),
        (replace(FAKE, fake_probability=None), r"outside \[0, 1\]"),
        (replace(LOST, fake_probability=0.5), "probability without status ok"),
        (replace(REAL, logit=3.0), "duplicate path and condition"),
    ],
)
def test_a_broken_row_is_refused_and_named(row, fault):
    with pytest.raises(DataError, match=fault) as refusal:
        make_table([REAL, row], ORIGIN)
    assert f"in 1 rows, first in row 1 ({row.path})" in str(refusal.value)


def test_the_same_picture_under_another_condition_is_another_row():
    assert len(judged_faces(make_table([REAL, replace(REAL, condition="jpeg-60")], ORIGIN))) == 2


def test_files_of_others_are_refused(tmp_path):
    import pyarrow as pa
    from pyarrow import parquet

    path = tmp_path / "p.parquet"
    with pytest.raises(DataError, match="cannot be read"):
        read_table(path)
    path.write_bytes(b"no table")
    with pytest.raises(DataError, match="cannot be read"):
        read_table(path)
    parquet.write_table(pa.table({"path": ["a"]}), path)
    with pytest.raises(
        DataError, match=r"p\.parquet: columns are path string, expected path string, sour"
    ):
        read_table(path)
    parquet.write_table(make_table([REAL], ORIGIN).replace_schema_metadata({}), path)
    with pytest.raises(DataError, match="its metadata has no detector"):
        read_table(path)
    changed = {b"faceproof": b'{"schema": "faceproof.predictions/2"}'}
    parquet.write_table(make_table([REAL], ORIGIN).replace_schema_metadata(changed), path)
    with pytest.raises(DataError, match="metadata of another faceproof"):
        read_table(path)
