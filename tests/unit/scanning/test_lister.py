"""Lister: chunks of the pictures that have no result yet."""

import pytest

pytest.importorskip("pyarrow")

from faceproof.scanning.lister import Lister
from faceproof.scanning.result_files import ResultFolder, make_table
from faceproof.scanning.worker import CheckOptions
from support.scanning import write_pictures, write_tar

NO_HASH = "0" * 64
OPTIONS = CheckOptions(
    detector="x",
    operating_point="p",
    faces="all",
    by={"name": "x", "version": "1", "sha256": NO_HASH},
)


def listed(lister: Lister) -> list[str]:
    return sorted(item.source for chunk in lister for item in chunk)


def judge(lister: Lister, results: ResultFolder) -> None:
    """Write a result for all that is listed."""
    for chunk in lister:
        rows = [OPTIONS.report_failure(item, ValueError("no")) for item in chunk]
        results.write(make_table(chunk, rows))


@pytest.fixture
def results(tmp_path):
    return ResultFolder(tmp_path / "results")


def test_chunks_and_their_last(tmp_path):
    write_pictures(tmp_path / "a", 10)
    lister = Lister((str(tmp_path / "a"),), chunk=4)
    assert [len(chunk) for chunk in lister] == [4, 4, 2]
    assert lister.listed == 10


def test_what_is_named_twice_is_listed_once(tmp_path):
    write_pictures(tmp_path / "a", 3)
    lister = Lister((str(tmp_path / "a"), str(tmp_path / "a" / "*.png")))
    assert len(listed(lister)) == 3
    assert lister.repeated == 3
    assert len(listed(lister)) == 3  # each iteration lists the same


def test_a_picture_with_a_result_is_not_listed_unless_it_changed(tmp_path, results):
    paths = write_pictures(tmp_path / "a", 5)
    names = (str(tmp_path / "a"),)
    judge(Lister(names, chunk=2), results)
    assert len(results.parts()) == 3
    again = Lister(names, tuple(results.parts()))
    assert listed(again) == []
    assert (again.listed, again.repeated) == (0, 5)
    paths[1].write_bytes(paths[1].read_bytes() + b"\0")
    assert listed(again) == [str(paths[1])]


def test_by_content_a_moved_or_touched_picture_is_the_same(tmp_path, results):
    paths = write_pictures(tmp_path / "a", 4)
    names = (str(tmp_path),)
    judge(Lister(names, by_content=True), results)
    paths[0].rename(tmp_path / "a" / "moved.png")
    paths[1].touch()
    (tmp_path / "a" / "new.png").write_bytes(b"other")
    again = Lister(names, tuple(results.parts()), by_content=True)
    assert listed(again) == [str(tmp_path / "a" / "new.png")]
    assert again.repeated == 4


def test_by_content_works_in_archives_and_what_cannot_be_read_is_listed(tmp_path, results):
    tar = write_tar(tmp_path / "s.tar", {"1.png": b"one", "2.png": b"two", "3.png": b"one"})
    missing = tmp_path / "missing.png"
    lister = Lister((str(tar), str(missing)), by_content=True)
    assert listed(lister) == [str(missing), f"{tar}::1.png", f"{tar}::2.png"]
    judge(lister, results)
    assert listed(Lister((str(tar), str(missing)), tuple(results.parts()), by_content=True)) == []


def test_rows_of_a_table_with_results_are_not_listed(tmp_path, results):
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"x": [b"1", b"2", b"3"]}), path, row_group_size=2)
    judge(Lister((str(path),)), results)
    again = Lister((str(path),), tuple(results.parts()))
    assert listed(again) == []
    assert again.repeated == 3
