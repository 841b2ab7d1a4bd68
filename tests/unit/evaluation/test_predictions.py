"""The predictions table: written, read, checked, and refused where it breaks the contract."""

import json
from dataclasses import replace

import numpy as np
import pytest

from faceproof.errors import DataError
from faceproof.evaluation.predictions import (
    Origin,
    Prediction,
    all_faces,
    judged_faces,
    labelled_rows,
    make_table,
    origin_of,
    read_table,
    rows_of,
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
        "fake_probability", "status", "face", "box_x", "box_y", "box_width", "box_height",
        "verdict", "cautions", "reason", "detector_sha256",
    ]  # fmt: skip


def write_schema_1(path, rows, schema="faceproof.predictions/1"):
    """Write a file as the version before schema 2 did."""
    import pyarrow as pa
    from pyarrow import parquet

    texts = ("path", "source", "generator", "label", "split", "group", "condition")
    fields = [pa.field(name, pa.string(), nullable=False) for name in texts]
    fields += [pa.field(name, pa.float64()) for name in ("logit", "fake_probability")]
    fields.append(pa.field("status", pa.string(), nullable=False))
    origin = {
        "schema": schema,
        "detector_sha256": "a" * 64,
        "data_sha256": "b" * 64,
        "purpose": "calibrate",
    }
    columns = pa.schema(fields, metadata={b"faceproof": json.dumps(origin).encode()})
    values = [{name: getattr(row, name) for name in columns.names} for row in rows]
    parquet.write_table(pa.Table.from_pylist(values, schema=columns), path)


def test_a_file_of_schema_1_is_read(tmp_path):
    path = tmp_path / "predictions.parquet"
    write_schema_1(path, [REAL, FAKE, LOST])
    found = read_table(path)
    assert found.equals(make_table([REAL, FAKE, LOST], ORIGIN), check_metadata=True)
    assert origin_of(found) == ORIGIN
    write_table(found, path)
    assert read_table(path).equals(found)


def test_a_broken_file_of_schema_1_is_refused(tmp_path):
    path = tmp_path / "predictions.parquet"
    write_schema_1(path, [REAL, replace(FAKE, fake_probability=1.5)])
    with pytest.raises(DataError, match=r"outside \[0, 1\] in 1 rows, first in row 1"):
        read_table(path)
    write_schema_1(path, [REAL], schema="faceproof.predictions/3")
    with pytest.raises(DataError, match="metadata of another faceproof"):
        read_table(path)


def test_rows_of_a_table_are_those_it_was_made_of():
    rows = [
        replace(REAL, box=(1.0, 2.0, 30.0, 40.0), verdict="unsure", cautions="small,dark"),
        replace(FAKE, attributes={"age": "33", "condition": "good"}),
        replace(LOST, reason="face_lost"),
        replace(FAKE, face=1, label="", generator=""),
    ]
    table = make_table(rows, ORIGIN)
    assert list(rows_of(table)) == rows
    assert table["attribute.condition"].to_pylist() == ["", "good", "", ""]
    assert set(table["detector_sha256"].to_pylist()) == {"a" * 64}
    assert len(all_faces(table)) == labelled_rows(table).num_rows == 3


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
        (replace(REAL, logit=3.0), "duplicate path, face and condition"),
        (replace(FAKE, label=""), "generator without a label"),
        (replace(FAKE, verdict="false"), "unknown verdict"),
        (replace(LOST, verdict="unsure"), "verdict without status ok"),
        (replace(FAKE, reason="no_face"), "reason with status ok"),
        (replace(FAKE, box=(1.0, 2.0, 3.0, None)), "box is not four numbers"),
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
    changed = {b"faceproof": b'{"schema": "faceproof.predictions/3"}'}
    parquet.write_table(make_table([REAL], ORIGIN).replace_schema_metadata(changed), path)
    with pytest.raises(DataError, match="metadata of another faceproof"):
        read_table(path)
