"""Results as tables for polars and pandas: the rows of CSV, with one type a column."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from faceproof.checker import Checker
from faceproof.detector import Detector
from faceproof.errors import MissingExtraError, UsageError
from faceproof.reports.csv_rows import CSV_COLUMNS, csv_rows
from faceproof.results import CheckResult, CheckResults

GOLDEN = Path(__file__).parents[2] / "golden" / "check_results.jsonl"
RESULTS = [CheckResult.model_validate_json(line) for line in GOLDEN.read_text("utf-8").splitlines()]
ROWS = [row for result in RESULTS for row in csv_rows(result)]


def test_polars_has_the_rows_of_csv_and_the_same_types_for_any_results():
    pl = pytest.importorskip("polars")
    table = CheckResults(RESULTS).to_polars()
    assert tuple(table.columns) == CSV_COLUMNS
    assert table.rows() == [tuple(row.get(name) for name in CSV_COLUMNS) for row in ROWS]
    assert table.schema["faces"] == pl.Int64
    assert table.schema["fake_probability"] == pl.Float64
    assert CheckResults([]).to_polars().schema == table.schema
    assert all(one.to_polars().schema == table.schema for one in RESULTS)


def test_pandas_has_the_same_values():
    pd = pytest.importorskip("pandas")
    frame = CheckResults(RESULTS).to_pandas()
    assert tuple(frame.columns) == CSV_COLUMNS
    for name in CSV_COLUMNS:
        values = [None if pd.isna(cell) else cell for cell in frame[name]]
        assert values == [row.get(name) for row in ROWS], name
    assert str(frame["faces"].dtype) == "Int64"
    assert CheckResults([]).to_pandas().dtypes["faces"] == frame.dtypes["faces"]


def test_a_missing_library_is_named_before_anything_is_checked(monkeypatch, tiny_bundle):
    checker, opened = Checker(Detector.load(tiny_bundle)), []
    sources = (opened.append(name) or name for name in ("a.jpg", "b.jpg"))
    monkeypatch.setattr("faceproof.tables.find_spec", lambda _: None)
    monkeypatch.setitem(sys.modules, "pandas", None)
    results = checker.check_many(sources, workers=0)
    with pytest.raises(MissingExtraError, match="polars is not installed"):
        results.to_polars()
    with pytest.raises(UsageError, match="pandas is not installed"):
        results.to_pandas()
    assert opened == []


def test_the_table_of_an_iterator_has_what_is_left(tiny_bundle):
    pytest.importorskip("polars")
    results = Checker(Detector.load(tiny_bundle)).check_many(["a.jpg", "b.jpg"], workers=0)
    assert next(results).source == "a.jpg"
    assert results.to_polars()["source"].to_list() == ["b.jpg"]
    assert list(results) == []
