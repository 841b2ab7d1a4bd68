"""The closing line of .ci/run counts every test once and forgets no failure."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

CORE = """<testsuites><testsuite>
<testcase classname="tests.unit.test_a" name="test_one"/>
<testcase classname="tests.unit.test_a" name="test_two"><skipped/></testcase>
<testcase classname="" name="src.faceproof.needs_torch"><skipped/></testcase>
</testsuite></testsuites>"""
EVERYTHING = """<testsuites><testsuite>
<testcase classname="tests.unit.test_a" name="test_one"/>
<testcase classname="tests.unit.test_a" name="test_two"/>
<testcase classname="src.faceproof.needs_torch" name="doctest"/>
<testcase classname="tests.unit.test_b" name="test_three"><skipped/></testcase>
</testsuite></testsuites>"""
ONE_FAILS = EVERYTHING.replace('name="test_one"/>', 'name="test_one"><failure/></testcase>')


def closing(folder: Path) -> tuple[int, list[str]]:
    """Return the exit status and the lines of the script for the steps in a folder."""
    command = [sys.executable, str(ROOT / ".ci" / "closing_line.py"), str(folder)]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
    return done.returncode, done.stdout.splitlines()


def steps(folder: Path, **status_of: int) -> Path:
    """Write the steps' statuses as .ci/steps.sh does."""
    lines = [f"{status}\t7\t{name.replace('_', ' ')}\n" for name, status in status_of.items()]
    (folder / "steps.tsv").write_text("".join(lines), encoding="utf-8")
    return folder


def test_a_test_counts_once_and_a_skip_is_named_where_everything_is_installed(tmp_path):
    (tmp_path / "readme-pytest.xml").write_text(CORE, encoding="utf-8")
    (tmp_path / "pytest.xml").write_text(EVERYTHING, encoding="utf-8")
    status, lines = closing(steps(tmp_path, readme_pytest=0, pytest=0))
    assert (status, lines[-1]) == (0, "3 passed, 0 failed")
    named = "skipped although everything is installed: tests.unit.test_b::test_three"
    assert [line for line in lines if line.startswith("skipped")] == [named]


@pytest.mark.parametrize(
    ("ruff", "core", "everything", "expected"),
    [
        (0, EVERYTHING, ONE_FAILS, "2 passed, 1 failed"),
        (0, ONE_FAILS, EVERYTHING, "2 passed, 1 failed"),
        (1, EVERYTHING, ONE_FAILS, "2 passed, 2 failed"),
        (1, EVERYTHING, EVERYTHING, "3 passed, 1 failed"),
    ],
)
def test_a_failure_in_any_step_is_a_failure(tmp_path, ruff, core, everything, expected):
    (tmp_path / "readme-pytest.xml").write_text(core, encoding="utf-8")
    (tmp_path / "pytest.xml").write_text(everything, encoding="utf-8")
    exits = {"readme_pytest": int(core == ONE_FAILS), "pytest": int(everything == ONE_FAILS)}
    status, lines = closing(steps(tmp_path, ruff=ruff, **exits))
    assert (status, lines[-1]) == (1, expected)


def test_a_pytest_that_died_without_a_report_is_a_failure(tmp_path):
    status, lines = closing(steps(tmp_path, pytest=137))
    assert (status, lines[-1]) == (1, "0 passed, 1 failed")


@pytest.mark.skipif(shutil.which("bash") is None, reason="the scripts of CI are for bash")
def test_steps_go_on_after_a_failure_and_stop_inside_one(tmp_path):
    script = """
    source .ci/steps.sh
    broken() { false; echo "went on inside"; }
    step "first" broken
    step "second" echo "went on after"
    closing_line
    """
    done = subprocess.run(
        ["bash", "-c", script],
        capture_output=True,
        encoding="utf-8",
        check=False,
        cwd=ROOT,
        env=os.environ | {"STEPS_DIR": str(tmp_path)},
    )
    assert done.returncode == 1, done.stderr
    assert "went on inside" not in done.stdout
    assert "went on after" in done.stdout
    assert done.stdout.splitlines()[-1] == "0 passed, 1 failed"


OUTCOMES = """
import pytest

@pytest.fixture
def breaks():
    yield
    raise RuntimeError

class TestIt:
    @pytest.mark.parametrize("word", ["a::b[c]", "x/y.py"])
    def test_passes(self, word):
        pass

def test_passes():
    pass

def test_fails():
    assert False

def test_is_skipped():
    pytest.skip()

def test_ends_badly(breaks):
    pass
"""


def test_what_has_passed_is_not_run_again_but_where_the_environment_matters(tmp_path):
    for name in ("tests/unit/data/test_a.py", "tests/architecture/test_b.py"):
        path = tmp_path / name
        path.parent.mkdir(parents=True)
        path.write_text(OUTCOMES, encoding="utf-8")
    shutil.copy(ROOT / "conftest.py", tmp_path)

    def run(*options: str) -> str:
        command = [sys.executable, "-m", "pytest", "-c", os.devnull, f"--rootdir={tmp_path}"]
        how = ["--import-mode=importlib", "-vrN", "--tb=no", "-p", "no:cacheprovider"]
        return subprocess.run(
            [*command, *how, *options],
            capture_output=True,
            encoding="utf-8",
            check=False,
            cwd=tmp_path,
            env=os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": ""},
        ).stdout

    first = run("--junitxml=first.xml")
    assert "2 failed, 8 passed, 2 skipped, 2 errors" in first
    again = run("--passed-in=first.xml")
    assert "3 deselected" in again
    for name in ("test_fails", "test_is_skipped", "test_ends_badly"):
        assert f"tests/unit/data/test_a.py::{name} " in again
    assert "tests/unit/data/test_a.py::test_passes" not in again
    assert "tests/architecture/test_b.py::test_passes PASSED" in again
    assert run("--passed-in=nowhere.xml").count(" PASSED") == first.count(" PASSED")


def test_every_test_is_run_by_ci_or_by_the_nightly_command():
    """A mark that leaves a test out of one command is a mark that another command names."""
    checks = (ROOT / ".ci" / "checks").read_text(encoding="utf-8")
    nightly = (ROOT / ".ci" / "nightly").read_text(encoding="utf-8")
    left_out = '"-m", "not slow and not nightly"'
    assert left_out in (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert 'marks="not nightly"' in checks
    assert "pytest -m nightly" in nightly
    assert "bash .ci/nightly" in (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
