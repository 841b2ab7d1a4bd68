"""Parquet files of pictures: as bytes, as {bytes, path}, as paths."""

from functools import partial

import pytest

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

from faceproof.scanning.archives import Container  # noqa: E402
from faceproof.scanning.items import Item  # noqa: E402
from faceproof.scanning.picture_tables import read_row, table_items  # noqa: E402


def container(path):
    return Container(str(path), path.stat().st_size, 7, partial(path.open, "rb"))


def listed(path, *, column=None, is_done=lambda _: False, max_bytes=100):
    return list(
        table_items(
            container(path),
            column=column,
            max_bytes=max_bytes,
            is_done=is_done,
            expand=lambda name: iter([Item(name, name)]),
        )
    )


def write(path, columns, **options):
    pq.write_table(pa.table(columns), path, **options)
    return path


def test_bytes_are_numbered_from_0_over_row_groups(tmp_path):
    data = [bytes([number]) * 3 for number in range(10)]
    path = write(tmp_path / "t.parquet", {"label": list(range(10)), "x": data}, row_group_size=4)
    items = listed(path)
    assert [item.source for item in items] == [f"{path}::{row}" for row in range(10)]
    assert [item.data for item in items] == data
    assert {item.modified_ns for item in items} == {7}
    assert [read_row(container(path), None, row) for row in (0, 5, 9, 10)] == [
        data[0],
        data[5],
        data[9],
        None,
    ]


def test_bytes_with_paths_as_hugging_face_stores_them(tmp_path):
    cells = [{"bytes": b"abc", "path": "a.jpg"}, {"bytes": None, "path": "b.jpg"}, None]
    items = listed(write(tmp_path / "t.parquet", {"image": cells, "label": [0, 1, 1]}))
    assert [(item.data, item.path) for item in items[:2]] == [
        (b"abc", str(tmp_path / "t.parquet")),
        (None, "b.jpg"),
    ]
    assert items[2].data == b""  # a row without a picture is reported as an empty one


def test_paths(tmp_path):
    columns = {"path": ["a.jpg", "s3://b/c.jpg"], "label": ["real", "fake"]}
    assert [item.path for item in listed(write(tmp_path / "t.parquet", columns))] == [
        "a.jpg",
        "s3://b/c.jpg",
    ]


def test_a_picture_beyond_the_limit_carries_one_byte_more(tmp_path):
    items = listed(write(tmp_path / "t.parquet", {"x": [bytes(10**6)]}))
    assert len(items[0].data) == 101


def test_a_row_group_that_is_done_is_not_read(tmp_path):
    columns = {"x": [bytes([n]) for n in range(9)]}
    path = write(tmp_path / "t.parquet", columns, row_group_size=3)
    done = {f"{path}::{row}" for row in (0, 1, 2, 4)}
    items = listed(path, is_done=lambda item: item.source in done)
    assert [item.data is None for item in items] == [True] * 3 + [False] * 6


@pytest.mark.parametrize(
    ("columns", "column", "message"),
    [
        ({"a": [b"1"], "b": [b"2"]}, None, "--column; found: a, b"),
        ({"a": [1]}, None, "none of bytes, and no text column called path, file or url"),
        ({"picture": [b"1"]}, "pictur", "did you mean 'picture'"),
        ({"picture": [b"1"], "n": [1]}, "n", "column 'n' has neither bytes nor text"),
    ],
)
def test_a_column_that_is_not_clear_is_named_in_an_error(tmp_path, columns, column, message):
    (item,) = listed(write(tmp_path / "t.parquet", columns), column=column)
    assert item.error[0] == "unsupported_source"
    assert message in item.error[1]


def test_a_column_can_be_named(tmp_path):
    path = write(tmp_path / "t.parquet", {"a": [b"1"], "b": [b"2"]})
    assert [item.data for item in listed(path, column="b")] == [b"2"]


def test_a_damaged_table_is_one_error(tmp_path):
    path = tmp_path / "t.parquet"
    path.write_bytes(b"PAR1 no")
    (item,) = listed(path)
    assert item.error[0] == "source_unreadable"
    assert "cannot be read as Parquet" in item.error[1]
