"""What Dockerfile.page promises, held against the project and `faceproof app`."""

import re
import tomllib
from pathlib import Path

import typer.main

from faceproof.cli import app

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
TEXT = (ROOT / "Dockerfile.page").read_text(encoding="utf-8")
SERVICE = (ROOT / "Dockerfile").read_text(encoding="utf-8")


def test_the_command_is_one_of_ours():
    words = re.findall(r'"([^"]+)"', re.search(r"^CMD (\[.*\])", TEXT, re.MULTILINE)[1])
    verb = typer.main.get_command(app).commands[words[0]]
    known = {name for parameter in verb.params for name in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= known
    port = re.search(r"^EXPOSE (\d+)", TEXT, re.MULTILINE)[1]
    assert words[words.index("--port") + 1] == port
    assert f"('127.0.0.1', {port}" in TEXT


def test_the_extras_are_ours_and_none_brings_the_training_stack():
    (extras,) = re.findall(r'"\.\[([a-z,]+)\]"', TEXT)
    known = PROJECT["optional-dependencies"]
    brought = [name for extra in extras.split(",") for name in known[extra]]
    assert not [name for name in brought if re.match(r"torch|faceproof\[(train|data|all)", name)]


def test_version_and_licence_are_those_of_the_project():
    assert f"ARG VERSION={PROJECT['version']}\n" in TEXT
    assert f'image.licenses="{PROJECT["license"]}"' in TEXT


def test_it_is_built_as_the_service_is():
    """The same base, user and files; only the extras and the command differ."""
    for line in ("ARG PYTHON=", "FROM python:", "COPY ", "USER ", "STOPSIGNAL "):
        ours, theirs = (
            [one for one in text.splitlines() if one.startswith(line)] for text in (TEXT, SERVICE)
        )
        assert ours == theirs, line
