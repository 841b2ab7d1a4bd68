"""The documents cannot go stale: their commands, options, links and examples are looked up."""

import re
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer.main

from faceproof.cli import app

ROOT = Path(__file__).parents[2]
README_COMMANDS = (
    "python3 -m pip install uv && uv run faceproof check samples/",
    "python3 -m pip install --target build/uv uv && build/uv/bin/uv run faceproof check samples/",
    "uv run pytest",
)
FOLDERS = ("docs", "examples", "benchmarks", "samples", "src", "tests", ".ci")
DOCUMENTS = {
    path.relative_to(ROOT).as_posix(): path
    for path in sorted(
        [*ROOT.glob("*.md"), *(path for name in FOLDERS for path in (ROOT / name).rglob("*.md"))]
    )
}
# What was decided or done may name what is no more, or not yet.
HISTORY = {name for name in DOCUMENTS if "decisions/" in name or name == "CHANGELOG.md"}

FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
SHELL = {"", "bash", "console", "sh", "shell"}
IN_A_BLOCK = re.compile(
    r"^(?:\$ )?(?:.*(?:&&|\|) )?(?:uv run (?:--\S+ )*)?faceproof (\S[^|>#\n]*)", re.M
)
IN_A_LINE = re.compile(r"`(?:uv run )?faceproof ([a-z-][^`|]*)`")
LINK = re.compile(r"(?<!`)\[[^\]]*\]\(([^)\s]+)\)|<(?:img|source) [^>]*src(?:set)?=\"([^\"]+)\"")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


@cache
def text(name: str) -> str:
    """Return a document."""
    return DOCUMENTS[name].read_text(encoding="utf-8")


def blocks(name: str, languages: set[str]) -> str:
    """Return the fenced blocks of a document in one of these languages."""
    return "\n".join(body for language, body in FENCE.findall(text(name)) if language in languages)


@pytest.mark.parametrize("command", README_COMMANDS)
def test_the_readme_and_ci_have_these_commands_word_for_word(command):
    lines = blocks("README.md", SHELL).splitlines()
    assert command in [line.removeprefix("$ ").partition("  #")[0].strip() for line in lines]
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert command in [line.strip() for line in ci.splitlines()]


def test_the_first_screen_starts_from_nothing_and_breaks_no_system():
    screen = text("README.md").partition("## What it can do")[0]
    for step in ("git clone ADDRESS", "externally-managed-environment", "uv tool install ."):
        assert step in screen
    shipped = "".join(text(name) for name in set(DOCUMENTS) - HISTORY)
    assert "--break-system-packages" not in shipped


def usages(name: str) -> list[list[str]]:
    """Return the words after ``faceproof`` of each command in a document."""
    prose = FENCE.sub("", text(name)).replace("\\`", "`")
    found = [*IN_A_BLOCK.findall(blocks(name, SHELL)), *IN_A_LINE.findall(prose)]
    return [usage.split() for usage in found]


def command_of(words: list[str]) -> tuple[Any, list[str]]:
    """Return the click command that these words start, and the words that are left."""
    command = typer.main.get_command(app)
    while words and words[0] in getattr(command, "commands", {}):
        command, words = command.commands[words[0]], words[1:]
    return command, words


@pytest.mark.parametrize("name", sorted(set(DOCUMENTS) - HISTORY))
def test_commands_and_options_named_in_a_document_exist(name):
    for usage in usages(name):
        command, left = command_of(usage)
        known = {option for parameter in command.params for option in parameter.opts} | {"--help"}
        options = {word.partition("=")[0] for word in left if re.match(r"-{1,2}[a-z]", word)}
        assert options <= known, f"{name}: faceproof {' '.join(usage)}"
        takes_words = any(parameter.param_type_name == "argument" for parameter in command.params)
        is_group = hasattr(command, "commands") and not takes_words
        assert not is_group or not left or left[0].startswith("-"), (
            f"{name}: no such verb: faceproof {' '.join(usage)}"
        )


def anchor(heading: str) -> str:
    """Return the fragment under which a heading is reached."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")


@pytest.mark.parametrize("name", DOCUMENTS)
def test_relative_links_lead_somewhere(name):
    prose = FENCE.sub("", text(name))
    for target in filter(None, (link or image for link, image in LINK.findall(prose))):
        if re.match(r"[a-z]+:", target):
            continue
        where, _, fragment = target.partition("#")
        path = (DOCUMENTS[name].parent / where).resolve() if where else DOCUMENTS[name]
        assert path.exists(), f"{name} links to {target}"
        if fragment and path.suffix == ".md":
            headings = HEADING.findall(path.read_text(encoding="utf-8"))
            assert fragment in map(anchor, headings), f"{name} links to {target}"


@pytest.mark.parametrize("name", [name for name in DOCUMENTS if name.startswith("docs/")])
def test_links_of_the_site_stay_in_it(name):
    """The site has the files of docs/ only, and the repository has no public address."""
    for target in LINK.findall(FENCE.sub("", text(name))):
        where = "".join(target).partition("#")[0]
        if not re.match(r"[a-z]+:", where):
            path = (DOCUMENTS[name].parent / where).resolve()
            assert path.is_relative_to(ROOT / "docs"), f"{name}: name {where} as code"


def test_pages_named_in_programs_and_recipes_exist():
    """A comment or a message that names a page is a link too."""
    folders = [ROOT / name for name in ("src", "tests", "examples", "benchmarks", "docs", ".ci")]
    files = [
        path
        for folder in folders
        for path in folder.rglob("*")
        if path.suffix in {".py", ".toml"} or path.parent.name == ".ci"
    ]
    assert len(files) > 500
    named = {
        (page, path.relative_to(ROOT).as_posix())
        for path in files
        for page in re.findall(r"\bdocs/[\w/-]+\.md\b", path.read_text(encoding="utf-8"))
    }
    assert len(named) > 10
    assert [(page, by) for page, by in sorted(named) if not (ROOT / page).is_file()] == []


def test_the_readme_is_at_most_two_screens():
    """One table, one picture, and at most a hundred lines of at most 120 characters."""
    readme = text("README.md")
    assert len(readme.splitlines()) <= 100
    assert len(re.findall(r"^\|-", readme, re.M)) == 1
    assert len(re.findall(r"!\[", readme)) == 1


@pytest.mark.parametrize("name", DOCUMENTS)
def test_no_document_has_a_place_left_to_fill(name):
    assert re.findall(r"@@\w+@@|\bTBD\b|\bXXX\b", text(name)) == []


def test_every_example_is_mentioned():
    mentions = "\n".join(text(name) for name in DOCUMENTS)
    examples = [path for path in (ROOT / "examples").glob("*") if path.suffix in {".py", ".toml"}]
    assert [path.name for path in examples if path.name not in mentions] == []


def test_the_citation_is_of_this_version():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    cited = dict(re.findall(r"^([a-z-]+): \"?(.+?)\"?$", citation, re.MULTILINE))
    assert cited["version"] == project["version"]
    # The citation is of the code; the package also has weights with a licence of their own.
    assert cited["license"] in project["license"].split(" AND ")
