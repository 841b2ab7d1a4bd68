"""The run folder: what it records, and that a file is never half written."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

import faceproof.runs
from faceproof.runs import RunFolder, environment, replacing


def test_every_start_is_kept(tmp_path):
    run = RunFolder(tmp_path / "deep" / "run")
    assert run.starts() == []
    run.record_start(recipe={"seed": 1}, devices=1)
    RunFolder(tmp_path / "deep" / "run").record_start(devices=2)
    first, second = run.starts()
    assert first["recipe"] == {"seed": 1}
    assert (first["devices"], second["devices"]) == (1, 2)
    assert first["started"].endswith("Z")
    assert {"python", "system", "cpus", "versions", "commit"} <= first.keys()


def test_metrics_are_lines(tmp_path):
    run = RunFolder(tmp_path)
    assert run.logged() == []
    run.log(step=10, loss=0.5)
    run.log(step=20, note="Łódź")
    assert [line["step"] for line in run.logged()] == [10, 20]
    assert run.logged()[1]["note"] == "Łódź"
    assert all("time" in line for line in run.logged())


@pytest.mark.skipif(os.name == "nt", reason="no limit of a file's size on Windows")
def test_a_line_that_does_not_fit_leaves_no_part_of_itself(tmp_path):
    import resource

    run = RunFolder(tmp_path)
    run.log(step=10, loss=0.5)
    before = (tmp_path / "metrics.jsonl").read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 20, limits[1]))
    try:
        with pytest.raises(OSError, match="No space left"):
            run.log(step=20, loss=0.4)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (tmp_path / "metrics.jsonl").read_bytes() == before
    run.log(step=20, loss=0.4)
    assert [line["step"] for line in run.logged()] == [10, 20]


class TestReplacing:
    def test_after_an_error_nothing_is_left_of_the_new_one(self, tmp_path):
        def break_off() -> None:
            with replacing(tmp_path / "last.pt") as file:
                file.write(b"ne")
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            break_off()
        assert list(tmp_path.iterdir()) == []

    def test_the_new_file_takes_the_place_of_the_old_one(self, tmp_path):
        for content in (b"old", b"new"):
            with replacing(tmp_path / "file.json") as file:
                file.write(content)
        assert (tmp_path / "file.json").read_bytes() == b"new"
        assert [path.name for path in tmp_path.iterdir()] == ["file.json"]

    def test_after_an_error_the_old_file_is_there(self, tmp_path):
        def break_off() -> None:
            with replacing(tmp_path / "last.pt") as file:
                file.write(b"ne")
                raise ZeroDivisionError

        (tmp_path / "last.pt").write_bytes(b"old")
        with pytest.raises(ZeroDivisionError):
            break_off()
        assert (tmp_path / "last.pt").read_bytes() == b"old"

    def test_while_it_is_written_the_old_file_is_there(self, tmp_path):
        (tmp_path / "last.pt").write_bytes(b"old")
        with replacing(tmp_path / "last.pt") as file:
            file.write(b"new")
            file.flush()
            assert (tmp_path / "last.pt").read_bytes() == b"old"


def test_environment_names_versions():
    versions = environment()["versions"]
    assert versions["faceproof"] == faceproof.__version__
    assert versions["numpy"]


def test_a_missing_library_has_no_version():
    assert faceproof.runs._version("no-such-library") is None


class TestCommit:
    @pytest.fixture
    def repository(self, tmp_path, monkeypatch) -> Path:
        """A repository with a copy of runs.py, not yet added to it."""
        module = tmp_path / "package" / "runs.py"
        module.parent.mkdir()
        shutil.copy(faceproof.runs.__file__, module)
        monkeypatch.setattr(faceproof.runs, "__file__", str(module))
        for variable in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
            monkeypatch.delenv(variable, raising=False)
        return tmp_path

    @staticmethod
    def git(folder: Path, *arguments: str) -> str:
        who = ("-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false")
        command = ["git", "-C", str(folder), *who, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def test_it_is_the_commit_and_says_when_files_differ(self, repository):
        self.git(repository, "init", "-q")
        self.git(repository, "add", "package")
        self.git(repository, "commit", "-q", "-m", "first")
        self.git(repository, "tag", "v1")
        head = self.git(repository, "rev-parse", "HEAD")
        assert faceproof.runs._commit() == head
        with (repository / "package" / "runs.py").open("a") as file:
            file.write("\n")
        assert faceproof.runs._commit() == f"{head}-dirty"

    def test_an_installed_package_in_somebodys_repository_has_none(self, repository):
        self.git(repository, "init", "-q")
        self.git(repository, "commit", "-q", "--allow-empty", "-m", "theirs")
        assert faceproof.runs._commit() is None

    def test_without_git_there_is_none(self, repository, monkeypatch):
        monkeypatch.setenv("PATH", "")
        assert faceproof.runs._commit() is None
