"""The formats of results, and the table's columns and colours."""

from __future__ import annotations

import csv
import io
import json
import re
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytest

from faceproof.cli import output, progress
from faceproof.cli.output import FORMATS, OutcomeCounts, TableWriter
from faceproof.reports.csv_rows import CSV_COLUMNS, csv_text
from faceproof.results import CheckResult

GOLDEN = Path(__file__).parents[2] / "golden" / "check_results.jsonl"
RESULTS = [CheckResult.model_validate_json(line) for line in GOLDEN.read_text("utf-8").splitlines()]
ONE, TWO_FACES, NO_FACE, ERROR, EXPLAINED = RESULTS


def written(name: str, results: list[CheckResult]) -> str:
    stream = io.StringIO()
    writer = FORMATS[name](stream, nullcontext)
    for result in results:
        writer.write(result)
    writer.close()
    return stream.getvalue()


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_shows_every_source_and_error(name):
    text = written(name, RESULTS)
    if name == "json":
        text = "".join(map(str, json.loads(text)))
    assert all(result.source.replace("\\", "") in text.replace("\\", "") for result in RESULTS)
    assert "the file is empty" in text
    assert text.endswith("\n") or name == "json"


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_hides_the_bar_whenever_it_writes(name):
    stream, hidden = io.StringIO(), []

    @contextmanager
    def hiding():
        before = stream.tell()
        yield
        hidden.append(stream.tell() - before)

    writer = FORMATS[name](stream, hiding)
    header = stream.tell()
    writer.write(ONE)
    writer.close()
    assert header + sum(hidden) == stream.tell()
    assert sum(hidden) > 50


def test_nothing_is_valid_too():
    assert {name: written(name, []) for name in FORMATS} == {
        "table": "",
        "json": "[]\n",
        "jsonl": "",
        "csv": ",".join(CSV_COLUMNS) + "\n",
    }


def test_csv_numbers_the_faces():
    rows = list(csv.DictReader(io.StringIO(written("csv", RESULTS))))
    assert [(row["faces"], row["face"], row["face_verdict"]) for row in rows] == [
        *(
            ("1", "1", "fake"),
            ("2", "1", "real"),
            ("2", "2", "unsure"),
            ("0", "", ""),
            ("0", "", ""),
            ("1", "1", "fake"),
        )
    ]
    assert rows[1]["cautions"] == "small blurred"
    assert rows[4]["error_code"] == "empty_file"


def test_json_lines_are_out_at_once():
    stream = io.TextIOWrapper(raw := io.BytesIO(), encoding="utf-8")
    FORMATS["jsonl"](stream, nullcontext).write(ONE)
    assert raw.getvalue().endswith(b"}\n")


def test_the_table_in_a_pipe_is_plain_and_cuts_nothing(monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    assert written("table", RESULTS).splitlines() == [
        "picture          face            verdict               fake    cautions",
        "party.jpg        1/1             looks fake            97.0 %",
        "zażółć/日本.jpg  1/2 at 55,119   no sign of a fake     1.0 %   small, blurred",
        "zażółć/日本.jpg  2/2 at 256,256  unsure                50.0 %",
        "wall.png                         no face found",
        r"caf\xe9.jpg                      could not be checked          caf\xe9.jpg: the file is "
        "empty",
        "made.png         1/1             looks fake            97.0 %  the file says: made by AI, "
        "credentials: untrusted",
    ]


class Terminal(io.StringIO):
    """A stream that claims to be a terminal."""

    def isatty(self) -> bool:
        return True


def shown(results: list[CheckResult], width: int, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the lines of the table on a terminal of that width, without colours."""
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("NO_COLOR", "1")
    stream = Terminal()
    writer = TableWriter(stream, nullcontext)
    for result in results:
        writer.write(result)
    writer.close()
    return [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in stream.getvalue().splitlines()]


def test_the_table_on_a_terminal_has_colours(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    writer = TableWriter(stream := Terminal(), nullcontext)
    writer.write(ONE)
    writer.close()
    assert "\x1b[1;31mlooks fake\x1b[0m" in stream.getvalue()


@pytest.mark.parametrize("name", ["FORCE_COLOR", "CLICOLOR_FORCE", "PY_COLORS", "GITHUB_ACTIONS"])
def test_no_environment_puts_colours_into_a_file(monkeypatch, name):
    monkeypatch.setenv(name, "1")
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    assert "\x1b" not in written("table", RESULTS)


def with_names(*names: str) -> list[CheckResult]:
    return [ONE.model_copy(update={"source": name}) for name in names]


@pytest.mark.parametrize("length", [20, 60, 72])
def test_a_name_is_not_cut_while_columns_are_free(monkeypatch, length):
    """ONE has no cautions: nothing but the verdict shares the line."""
    name = "x" * (length - 4) + ".jpg"
    row = shown(with_names(name), 100, monkeypatch)[1]
    assert row.startswith(f"{name}  1/1")
    assert len(row) <= 100


@pytest.mark.parametrize(
    "names",
    [
        [f"{'folder/' * 20}IMG_{n:04}.jpg" for n in range(6)],
        [f"{n}/{'folder/' * 20}photo.jpg" for n in range(6)],
        [f"{'folder/' * 10}{n}/{'other/' * 10}photo.jpg" for n in range(6)],
        [f"{'a' * 70}{n}{'b' * 70}.jpg" for n in range(6)],
        ["日本" * 40 + f"{n}.jpg" for n in range(6)],
    ],
)
def test_names_that_are_cut_keep_what_tells_them_apart(monkeypatch, names):
    from rich.cells import cell_len

    rows = shown(with_names(*names), 80, monkeypatch)[1:]
    cut = [row.split("  ")[0] for row in rows]
    assert len(set(cut)) == len(names)
    assert all("…" in one for one in cut)
    assert max(map(cell_len, rows)) <= 80
    for row, name in zip(cut, names, strict=True):
        pattern = ".*".join(map(re.escape, row.split("…")))
        assert [one for one in names if re.fullmatch(pattern, one)] == [name]


def test_names_that_cannot_be_told_apart_shorter_are_not_cut(monkeypatch):
    ends = [(f"{'a' * 15}{n}", f"{m}{'b' * 15}") for n in (1, 2) for m in (1, 2)]
    names = [f"{first}{'x' * 100}{last}" for first, last in ends]
    rows = shown(with_names(*names), 40, monkeypatch)[1:]
    assert [row.split()[0] for row in rows] == names


def test_a_page_is_out_when_it_is_full_or_old(monkeypatch):
    stream = io.StringIO()
    writer = TableWriter(stream, nullcontext)
    for _ in range(output.PAGE_ROWS):
        writer.write(ONE)
    assert len(stream.getvalue().splitlines()) == output.PAGE_ROWS + 1
    writer.write(ONE)
    assert len(stream.getvalue().splitlines()) == output.PAGE_ROWS + 1
    monkeypatch.setattr(output, "PAGE_SECONDS", -1)
    writer.write(ONE)
    assert len(stream.getvalue().splitlines()) == output.PAGE_ROWS + 3
    writer.close()
    assert len(stream.getvalue().splitlines()) == output.PAGE_ROWS + 3


def test_rows_that_are_out_early_are_aligned_with_those_that_follow(monkeypatch):
    monkeypatch.setattr(output, "PAGE_SECONDS", -1)
    names = ("a.jpg", "a-much-longer-name.jpg")
    real = ONE.model_copy(update={"source": names[1], "verdict": "real"})
    face = real.faces[0].model_copy(update={"verdict": "real"})
    writer = TableWriter(stream := io.StringIO(), nullcontext)
    writer.expect(names)
    for result in (*with_names(names[0]), real.model_copy(update={"faces": (face,)})):
        writer.write(result)
    writer.close()
    header, *rows = stream.getvalue().splitlines()
    assert len(rows) == 2
    columns = [header.index(title) for title in ("face", "verdict", "fake")]
    for row in rows:
        assert all(row[at - 2 : at] == "  " and row[at] != " " for at in columns), row


def test_the_tally_prefers_a_found_verdict_to_an_error():
    tally = OutcomeCounts()
    assert tally.exit_code() == 0
    tally.add(ERROR)
    assert (tally.exit_code(), tally.exit_code(frozenset({"fake"}))) == (1, 1)
    tally.add(ONE)
    assert (tally.exit_code(), tally.exit_code(frozenset({"fake"}))) == (1, 3)


def test_counting_gives_up_in_time():
    assert progress.count_within(iter(range(5))) == 5
    assert progress.count_within(iter(range(5)), seconds=-1) is None
    assert progress.count_within([]) == 0


def test_what_the_file_says_of_itself_is_not_missed():
    assert "the file says: made by AI" in written("table", [EXPLAINED])
    assert "the file says" not in written("table", [ONE, NO_FACE])
    (row,) = csv.DictReader(io.StringIO(written("csv", [EXPLAINED])))
    assert (row["content_credentials"], row["file_says"]) == ("untrusted", "made_by_ai")


@pytest.mark.parametrize("name", ["=1+1.jpg", "+a", "-a", "@a", "\ta", "\ra"])
def test_a_name_is_no_formula_in_a_spreadsheet_and_as_it_is_for_machines(name):
    result = ONE.model_copy(update={"source": name})
    (safe,) = csv.DictReader(io.StringIO(csv_text([result]), newline=""))
    (bare,) = csv.DictReader(io.StringIO(written("csv", [result]), newline=""))
    assert (safe["source"], bare["source"]) == (f"'{name}", name)
    assert {**safe, "source": name} == bare


def test_a_spreadsheet_has_every_row_of_the_command_line():
    assert csv_text(RESULTS) == written("csv", RESULTS)
