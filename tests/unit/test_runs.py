"""The run folder: what it records, and its lock."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import filelock
import pytest

import faceproof.runs
from faceproof.errors import UsageError
from faceproof.runs import RunFolder, environment, lock_folder


def test_every_start_is_kept(tmp_path):
    run = RunFolder(tmp_path / "deep" / "run")
    assert run.read_starts() == []
    run.record_start(recipe={"seed": 1}, devices=1)
    RunFolder(tmp_path / "deep" / "run").record_start(devices=2)
    first, second = run.read_starts()
    assert first["recipe"] == {"seed": 1}
    assert (first["devices"], second["devices"]) == (1, 2)
    assert first["started"].endswith("Z")
    assert {"python", "system", "cpus", "versions", "commit"} <= first.keys()


def test_metrics_are_lines(tmp_path):
    run = RunFolder(tmp_path)
    assert run.read_log() == []
    run.log(step=10, loss=0.5)
    run.log(step=20, note="Łódź")
    assert [line["step"] for line in run.read_log()] == [10, 20]
    assert run.read_log()[1]["note"] == "Łódź"
    assert all("time" in line for line in run.read_log())


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
    assert [line["step"] for line in run.read_log()] == [10, 20]


HOLDER = """
import os, pathlib, sys, time
from faceproof.runs import lock_folder
with lock_folder(pathlib.Path(sys.argv[1]), name="run.lock", busy="busy"):
    if len(sys.argv) == 2 or os.fork() == 0:
        print(os.getpid(), flush=True)
    time.sleep(600)
"""


class TestLockFolder:
    @pytest.fixture
    def hold(self, tmp_path):
        """Start a process that holds the lock of tmp_path, and return the id of its last fork."""
        started = []

        def start(*arguments: str) -> tuple[subprocess.Popen[str], str]:
            command = [sys.executable, "-c", HOLDER, str(tmp_path), *arguments]
            holder = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            started.append(holder)
            return holder, holder.stdout.readline().strip()

        yield start
        for holder in started:
            holder.kill()
            holder.wait()
            holder.stdout.close()

    def test_the_second_is_refused_at_once_and_the_next_is_not(self, tmp_path):
        with lock_folder(tmp_path, name="run.lock", busy="busy: wait"):
            with (
                pytest.raises(UsageError, match=r"^busy: wait$"),
                lock_folder(tmp_path, name="run.lock", busy="busy: wait"),
            ):
                pytest.fail("two hold one lock")
            with lock_folder(tmp_path, name="other.lock", busy="busy"):
                pass
        with lock_folder(tmp_path, name="run.lock", busy="busy"):
            pass

    def test_a_killed_process_leaves_no_lock(self, tmp_path, hold):
        holder, _ = hold()
        began = time.monotonic()
        with (
            pytest.raises(UsageError, match="busy"),
            lock_folder(tmp_path, name="run.lock", busy="busy"),
        ):
            pytest.fail("another process holds it")
        assert time.monotonic() - began < 10
        holder.kill()
        holder.wait()
        assert (tmp_path / "run.lock").exists()
        with lock_folder(tmp_path, name="run.lock", busy="busy"):
            pass

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
    def test_a_forked_helper_does_not_keep_it(self, tmp_path, hold):
        """A loader's workers may run for some seconds after their training was killed."""
        holder, helper = hold("fork")
        try:
            holder.kill()
            holder.wait()
            os.kill(int(helper), 0)
            with lock_folder(tmp_path, name="run.lock", busy="busy"):
                pass
        finally:
            os.kill(int(helper), signal.SIGKILL)

    def test_without_a_message_it_waits(self, tmp_path, hold):
        holder, _ = hold()
        threading.Timer(0.3, holder.kill).start()
        began = time.monotonic()
        with lock_folder(tmp_path, name="run.lock"):
            assert time.monotonic() - began > 0.2

    @pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
    def test_a_file_system_without_locks_locks_nothing(self, tmp_path, monkeypatch, number):
        def refuse(*_: object) -> None:
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(filelock.FileLock, "_acquire", refuse)
        with lock_folder(tmp_path, name="run.lock", busy="busy"):
            pass

    def test_another_refusal_is_told(self, tmp_path):
        (tmp_path / "run.lock").mkdir()
        with pytest.raises(OSError, match=r"run\.lock"), lock_folder(tmp_path, name="run.lock"):
            pytest.fail("a folder is no lock file")


def test_environment_names_versions():
    versions = environment()["versions"]
    assert versions["faceproof"] == faceproof.__version__
    assert versions["numpy"]


def test_a_missing_library_has_no_version():
    assert faceproof.runs._installed_version("no-such-library") is None


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
        assert faceproof.runs._git_commit() == head
        with (repository / "package" / "runs.py").open("a") as file:
            file.write("\n")
        assert faceproof.runs._git_commit() == f"{head}-dirty"

    def test_an_installed_package_in_somebodys_repository_has_none(self, repository):
        self.git(repository, "init", "-q")
        self.git(repository, "commit", "-q", "--allow-empty", "-m", "theirs")
        assert faceproof.runs._git_commit() is None

    def test_without_git_there_is_none(self, repository, monkeypatch):
        monkeypatch.setenv("PATH", "")
        assert faceproof.runs._git_commit() is None
