"""The format of an output: by its ending or its name; Parquet and Excel files."""

from __future__ import annotations

import io
import os
import re
import zipfile
from contextlib import nullcontext
from pathlib import Path

import pytest

from faceproof.cli.formats import ENDINGS, TABLE_FILES, ExcelWriter, choose_format
from faceproof.cli.output import FORMATS
from faceproof.errors import MissingExtraError, OutputError, UnknownChoiceError, UsageError
from faceproof.reports.csv_rows import CSV_COLUMNS, csv_rows
from faceproof.results import CheckResult

GOLDEN = Path(__file__).parents[2] / "golden" / "check_results.jsonl"
RESULTS = [CheckResult.model_validate_json(line) for line in GOLDEN.read_text("utf-8").splitlines()]
ROWS = [row for result in RESULTS for row in csv_rows(result)]


def write(path: Path, name: str | None = None, results: list[CheckResult] = RESULTS) -> bytes:
    with choose_format(path, name).open(path, nullcontext) as writer:
        for result in results:
            writer.write(result)
        writer.close()
    return path.read_bytes()


@pytest.mark.parametrize("ending", [ending for ending, name in ENDINGS.items() if name in FORMATS])
def test_the_ending_names_the_format(tmp_path, ending):
    stream = io.StringIO()
    writer = FORMATS[ENDINGS[ending]](stream, nullcontext)
    for result in RESULTS:
        writer.write(result)
    writer.close()
    assert write(tmp_path / f"out{ending.upper()}").decode() == stream.getvalue()


def test_an_explicit_format_wins(tmp_path):
    assert write(tmp_path / "out.json", "csv").startswith(b"source,status,")
    assert write(tmp_path / "out", "json").startswith(b"[\n{")


@pytest.mark.parametrize("name", ["out", "out.html", "out.pdf", "out.jsn", "out.csv.gz"])
def test_another_ending_is_refused(tmp_path, name):
    with pytest.raises(UsageError, match=r"its ending names no format; .*\.parquet.*--format"):
        choose_format(tmp_path / name, None)


def test_a_device_takes_a_table_and_an_unknown_name_is_refused():
    assert choose_format(Path(os.devnull), None) == choose_format(None, None)
    with pytest.raises(UnknownChoiceError, match="did you mean 'parquet'"):
        choose_format(None, "parqet")


@pytest.mark.parametrize("name", TABLE_FILES)
def test_a_whole_file_needs_a_place_and_its_library(tmp_path, monkeypatch, name):
    with pytest.raises(UsageError, match=f"needs a file: add --output FILE.{name}"):
        choose_format(None, name)
    with (
        pytest.raises(UsageError, match="cannot be written: its folder does not exist"),
        choose_format(tmp_path / "nowhere" / f"a.{name}", name).open(
            tmp_path / "nowhere" / f"a.{name}", nullcontext
        ),
    ):
        pytest.fail("there is no such folder")
    monkeypatch.setattr("faceproof.tables.find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match=r"faceproof\[data\]"):
        choose_format(tmp_path / f"out.{name}", None)


@pytest.mark.parametrize("rows_at_once", [1000, 1])
def test_parquet_has_the_rows_of_csv_with_numbers(tmp_path, monkeypatch, rows_at_once):
    pl = pytest.importorskip("polars")
    monkeypatch.setattr("faceproof.cli.formats._ROWS_AT_ONCE", rows_at_once)
    write(tmp_path / "out.parquet")
    table = pl.read_parquet(tmp_path / "out.parquet")
    assert tuple(table.columns) == CSV_COLUMNS
    assert table.rows(named=True) == [dict.fromkeys(CSV_COLUMNS) | row for row in ROWS]
    assert table.schema["fake_probability"] == pl.Float64
    assert table.schema["width"] == pl.Int64


def test_no_result_is_an_empty_table(tmp_path):
    pl = pytest.importorskip("polars")
    write(tmp_path / "out.parquet", results=[])
    table = pl.read_parquet(tmp_path / "out.parquet")
    assert (table.height, tuple(table.columns)) == (0, CSV_COLUMNS)


def sheet(data: bytes) -> str:
    return zipfile.ZipFile(io.BytesIO(data)).read("xl/worksheets/sheet1.xml").decode()


def test_excel_has_the_rows_of_csv_and_text_is_never_a_formula(tmp_path):
    pytest.importorskip("xlsxwriter")
    formula = RESULTS[0].model_copy(update={"source": "=1+1.jpg"})
    text = sheet(write(tmp_path / "out.xlsx", results=[formula, *RESULTS]))
    assert text.count("<row ") == len(ROWS) + 2
    assert "<t>=1+1.jpg</t>" in text
    assert "<f>" not in text
    assert re.search(r'<c r="I2"[^>]*><v>0\.97</v>', text)


def test_excel_has_no_more_rows_than_it_can(tmp_path, monkeypatch):
    pytest.importorskip("xlsxwriter")
    monkeypatch.setattr("faceproof.cli.formats._MOST_ROWS", 3)
    writer = ExcelWriter(tmp_path / "out.xlsx")
    writer.write(RESULTS[0])
    with pytest.raises(OutputError, match="at most 3 rows"):
        writer.write(RESULTS[1])  # two faces
    writer.close()
    assert sheet((tmp_path / "out.xlsx").read_bytes()).count("<row ") == 2
