"""Hooks of pre-commit and templates of issues: they are well-formed, and need no network."""

import re
import shlex
from pathlib import Path

import pytest

yaml = pytest.importorskip("yaml")

ROOT = Path(__file__).parents[2]
TEMPLATES = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))


def read(path):
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def test_hooks_run_tools_of_this_environment_on_files_that_exist():
    repos = read(ROOT / ".pre-commit-config.yaml")["repos"]
    assert [one["repo"] for one in repos] == ["local"]
    for hook in repos[0]["hooks"]:
        assert hook["language"] == "system", hook["id"]
        words = shlex.split(hook["entry"])
        assert words[:2] == ["uv", "run"], hook["id"]
        for word in words:
            assert not word.endswith(".py") or (ROOT / word).is_file(), word


def test_the_generated_pages_are_made_again_when_their_source_changes():
    (hook,) = [
        one
        for one in read(ROOT / ".pre-commit-config.yaml")["repos"][0]["hooks"]
        if one["id"] == "reference-pages"
    ]
    for path in (
        "src/faceproof/cli/check.py",
        "src/faceproof/results.py",
        "src/faceproof/data/inspection/record.py",
        "src/faceproof/training/recipe_pictures.py",
        "src/faceproof/frontends/api/settings.py",
    ):
        assert (ROOT / path).is_file()
        assert re.search(hook["files"], path), path


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.stem)
def test_a_template_is_one_that_a_forge_reads(path):
    template = read(path)
    if path.stem == "config":
        assert template["blank_issues_enabled"] is False
        return
    assert template["name"]
    assert template["description"]
    questions = [one for one in template["body"] if one["type"] != "markdown"]
    names = [one["id"] for one in questions]
    assert len(names) == len(set(names)) > 1
    assert all(one["attributes"]["label"] for one in questions)
    for one in template["body"]:
        for option in one["attributes"].get("options", []):
            assert isinstance(option, str), option
