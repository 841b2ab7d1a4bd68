"""Results in files and pipes: each is there as a whole, and the file is valid at any time."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytest

from faceproof.cli.output import FORMATS
from faceproof.cli.streams import ResultStream, open_output
from faceproof.errors import OutputError, UsageError
from faceproof.results import CheckResult

GOLDEN = Path(__file__).parents[2] / "golden" / "check_results.jsonl"
ONE = CheckResult.model_validate_json(GOLDEN.read_text("utf-8").splitlines()[0])
needs_posix = pytest.mark.skipif(os.name == "nt", reason="limits and devices of POSIX")


@contextmanager
def file_limit(size: int) -> Iterator[None]:
    """No file of this process can be larger, as on a full disk."""
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "out.json"


@pytest.fixture
def stream(path: Path) -> Iterator[ResultStream]:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT)
    yield ResultStream(descriptor, "out.json")
    os.close(descriptor)


def test_an_array_is_valid_after_each_result(stream, path):
    writer = FORMATS["json"](stream, nullcontext)
    for count in range(1, 4):
        writer.write(ONE)
        assert len(json.loads(path.read_text("utf-8"))) == count
    writer.close()
    assert len(json.loads(path.read_text("utf-8"))) == 3


@needs_posix
@pytest.mark.parametrize("room", range(0, 9, 2))
def test_a_full_disk_leaves_a_valid_array(stream, path, room):
    writer = FORMATS["json"](stream, nullcontext)
    writer.write(ONE)
    before = path.read_bytes()
    with file_limit(len(before) + room), pytest.raises(OutputError, match="cannot be written"):
        writer.write(ONE)
    assert path.read_bytes() == before
    writer.close()
    assert len(json.loads(path.read_text("utf-8"))) == 1


def test_what_another_program_writes_there_is_kept(stream, path):
    """Standard output and standard error may be one file."""
    writer = FORMATS["json"](stream, nullcontext)
    writer.write(ONE)
    os.write(stream._descriptor, b"a warning\n")
    writer.write(ONE)
    assert b"a warning\n" in path.read_bytes()


def test_a_file_opened_for_appending_is_appended_to(path):
    path.write_text("before\n")
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND)
    writer = FORMATS["json"](ResultStream(descriptor, "out.json"), nullcontext)
    writer.write(ONE)
    writer.close()
    os.close(descriptor)
    first, _, rest = path.read_text("utf-8").partition("\n")
    assert (first, len(json.loads(rest))) == ("before", 1)


@pytest.mark.parametrize("flushed", [True, False])
def test_after_an_error_the_file_appears_if_there_were_results(path, flushed):
    path.write_text("old")

    def fail() -> None:
        with open_output(path, for_people=False) as stream:
            stream.write("new")
            if flushed:
                stream.flush()
            assert path.read_text() == "old"
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert path.read_text() == ("new" if flushed else "old")
    assert [one.name for one in path.parent.iterdir()] == ["out.json"]


@pytest.mark.parametrize("name", ["", "nowhere/out.json"])
def test_a_place_that_cannot_be_written_is_wrong_usage(tmp_path, name):
    with (
        pytest.raises(UsageError, match="cannot be written"),
        open_output(tmp_path / name, for_people=False),
    ):
        pytest.fail("it is a folder, or in none")


def test_a_closed_standard_output_is_wrong_usage(monkeypatch):
    monkeypatch.setattr("sys.stdout", None)
    with (
        pytest.raises(UsageError, match="standard output is closed: open it, or name a file"),
        open_output(None, for_people=True),
    ):
        pytest.fail("it is closed")
