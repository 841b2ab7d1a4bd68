"""The results: the columns of a check result, which anyone reads, in files that are whole."""

import pytest

pa = pytest.importorskip("pyarrow")
pl = pytest.importorskip("polars")

from faceproof.checker import make_checker  # noqa: E402
from faceproof.errors import OutputError  # noqa: E402
from faceproof.results import CheckResult  # noqa: E402
from faceproof.scanning.items import Item  # noqa: E402
from faceproof.scanning.result_files import (  # noqa: E402
    INPUT,
    PartWriter,
    ResultFolder,
    count_rows,
    make_table,
    read_identities,
    read_result,
    result_schema,
)


@pytest.fixture(scope="module")
def checked():
    """Items and results of samples: a face, two faces, no face, and a missing file."""
    names = ["real-hopper.jpg", "real-couple.jpg", "no-face-cat.jpg", "missing.jpg"]
    items = [Item.from_file(f"samples/{name}").identify() for name in names]
    checker = make_checker("default")
    return items, [checker.check(item.path) for item in items]


def test_the_columns_are_those_of_a_check_result():
    fields = [field.alias or name for name, field in CheckResult.model_fields.items()]
    assert result_schema().names == [*fields, INPUT]


def test_a_row_is_the_result_again(checked):
    items, results = checked
    table = make_table(items, results)
    assert [read_result(row) for row in table.to_pylist()] == results
    assert [read_result(row) for row in pl.from_arrow(table).to_dicts()] == results
    given = table.to_pylist()[0][INPUT]
    assert given["identity"] == items[0].identity
    assert given["size"] == items[0].size
    assert round(given["modified"].timestamp() * 1e6) == items[0].modified_ns // 1000


def test_polars_pyarrow_and_duckdb_read_the_folder(checked, tmp_path):
    results = ResultFolder(tmp_path / "results")
    for item, result in zip(*checked, strict=True):
        results.write(make_table([item], [result]))
    expected = [(one.source, one.status, len(one.faces)) for one in checked[1]]
    lazy = pl.scan_parquet(tmp_path / "results" / "*.parquet")
    columns = lazy.select("source", "status", pl.col("faces").list.len()).collect()
    assert columns.rows() == expected
    dataset = pytest.importorskip("pyarrow.dataset").dataset(results.folder)
    assert [read_result(row) for row in dataset.to_table().to_pylist()] == checked[1]
    duckdb = pytest.importorskip("duckdb")
    found = duckdb.read_parquet(f"{results.folder}/*.parquet", filename=True)
    assert found.order("filename").project("source, status, len(faces)").fetchall() == expected
    widths = found.filter("len(faces) > 0").project("faces[1].quality.side_px")
    assert len(widths.fetchall()) == 2


def test_files_are_numbered_on_and_what_a_kill_left_is_not_one(checked, tmp_path):
    items, results = checked
    folder = ResultFolder(tmp_path / "results")
    table = make_table(items[:1], results[:1])
    assert [folder.write(table).name for _ in range(2)] == [
        "part-000000.parquet",
        "part-000001.parquet",
    ]
    left = folder.folder / ".part-000002.parquet.part"
    left.write_bytes(b"half of a fil")
    assert len(folder.parts()) == 2
    assert folder.write(table).name == "part-000002.parquet"
    assert not left.exists()
    assert count_rows(folder.parts()) == 3
    assert [one for batch in read_identities(folder.parts()) for one in batch] == [
        items[0].identity
    ] * 3


def test_a_damaged_file_is_named_with_the_remedy(tmp_path):
    path = tmp_path / "part-000000.parquet"
    path.write_bytes(b"PAR1")
    with pytest.raises(OutputError, match=r"part-000000\.parquet cannot be read.*remove it"):
        list(read_identities([path]))


def test_a_file_is_written_when_it_is_full_or_late(checked, tmp_path):
    items, results = checked
    table = make_table(items[:2], results[:2])
    full = PartWriter(ResultFolder(tmp_path / "full"), rows=4, seconds=1e9)
    assert [full.add(table) for _ in range(3)] == [False, True, False]
    full.flush()
    full.flush()
    assert full.written == 6
    assert len(ResultFolder(tmp_path / "full").parts()) == 2
    late = PartWriter(ResultFolder(tmp_path / "late"), rows=100, seconds=0)
    assert late.add(table)
