"""A remedy installs where the user is: clone or wheel, uv or pip, and names no folder."""

import json
import sys
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import pytest

from faceproof import installation
from faceproof.errors import MissingExtraError
from faceproof.installation import Installation, install_command, this_installation

INDEX = {}
FOLDER = {"url": "file:///srv/faceproof", "dir_info": {}}
WHEEL = {"url": "file:///srv/faceproof-0.1.0-py3-none-any.whl", "archive_info": {}}
GIT = {
    "url": "https://ann:secret@example.org/faceproof.git",
    "vcs_info": {"vcs": "git", "commit_id": "1a2b"},
}
FAR_WHEEL = {"url": "https://example.org/faceproof-0.1.0-py3-none-any.whl", "archive_info": {}}


@pytest.fixture
def environment(tmp_path, monkeypatch):
    """Pretend an environment, made by ``manager``, and a package installed from ``recorded``."""

    def pretend(manager, recorded=None, *, clone=None):
        prefix = tmp_path / "environment"
        prefix.mkdir()
        files = {
            "uv project": ("pyvenv.cfg", "uv = 0.9\nprompt = faceproof\n"),
            "uv": ("pyvenv.cfg", "uv = 0.9\nprompt = environment\n"),
            "pip": ("pyvenv.cfg", "home = /usr/bin\n"),
            "uv tool": ("uv-receipt.toml", ""),
            "pipx": ("pipx_metadata.json", "{}"),
        }
        name, content = files[manager]
        (prefix / name).write_text(content, encoding="utf-8")
        text = json.dumps(recorded) if recorded else None
        monkeypatch.setattr(
            metadata, "distribution", lambda _: SimpleNamespace(read_text=lambda _: text)
        )
        monkeypatch.setattr(sys, "prefix", str(prefix))
        monkeypatch.setattr(installation, "_SOURCE", clone or tmp_path / "site-packages")
        return prefix

    monkeypatch.delenv("UV_PROJECT_ENVIRONMENT", raising=False)
    return pretend


@pytest.fixture
def clone(tmp_path, monkeypatch):
    folder = tmp_path / "clone"
    folder.mkdir()
    (folder / "pyproject.toml").write_text('[project]\nname = "faceproof"\n', encoding="utf-8")
    monkeypatch.chdir(folder)
    return folder


def test_in_a_clone_it_is_uv_sync(environment, clone, monkeypatch):
    prefix = environment("uv project", clone=clone)
    monkeypatch.setenv("UV_PROJECT_ENVIRONMENT", str(prefix))
    assert install_command("app") == "uv sync --extra app --inexact"
    monkeypatch.delenv("UV_PROJECT_ENVIRONMENT")
    assert install_command("app") == "uv sync --extra app --inexact --active"
    monkeypatch.setattr(sys, "prefix", str(clone / ".venv"))
    (clone / ".venv").mkdir()
    (prefix / "pyvenv.cfg").rename(clone / ".venv" / "pyvenv.cfg")
    assert install_command("app") == "uv sync --extra app --inexact"
    (clone / "docs").mkdir()
    monkeypatch.chdir(clone / "docs")  # uv finds the project from any folder below
    assert install_command("app") == "uv sync --extra app --inexact"
    monkeypatch.chdir(clone.parent)
    assert install_command("app") == "uv sync --extra app --inexact, in the folder of the clone"


def test_a_current_folder_that_was_removed_is_no_error(environment, clone, monkeypatch):
    environment("pip", clone=clone)

    def removed():
        raise FileNotFoundError

    monkeypatch.setattr(Path, "cwd", removed)
    assert install_command("app") == "pip install -e '.[app]', in the folder of the clone"


@pytest.mark.parametrize(
    ("manager", "command"),
    [
        ("uv", "uv pip install -e '.[train]'"),
        ("pip", "pip install -e '.[train]'"),
        ("uv tool", "uv tool install -e '.[train]'"),
        ("pipx", "pipx install --force -e '.[train]'"),
    ],
)
def test_in_a_clone_with_another_environment_it_is_that_of_the_environment(
    environment, clone, manager, command
):
    environment(manager, clone=clone)
    assert install_command("train") == command


@pytest.mark.parametrize(
    ("manager", "recorded", "command"),
    [
        ("pip", INDEX, "pip install 'faceproof[app]'"),
        ("uv", INDEX, "uv pip install 'faceproof[app]'"),
        ("uv project", INDEX, "uv pip install 'faceproof[app]'"),
        ("uv tool", INDEX, "uv tool install 'faceproof[app]'"),
        ("pipx", INDEX, "pipx install --force 'faceproof[app]'"),
        ("pip", FOLDER, "pip install '.[app]', in the folder that faceproof was installed from"),
        (
            "pip",
            WHEEL,
            "pip install 'faceproof-0.1.0-py3-none-any.whl[app]', in the folder of that file",
        ),
        ("pip", GIT, "pip install 'faceproof[app] @ git+https://example.org/faceproof.git@1a2b'"),
        (
            "uv",
            FAR_WHEEL,
            "uv pip install 'faceproof[app] @ "
            "https://example.org/faceproof-0.1.0-py3-none-any.whl'",
        ),
    ],
)
def test_elsewhere_it_is_what_faceproof_was_installed_from(environment, manager, recorded, command):
    environment(manager, recorded)
    assert install_command("app") == command


def test_no_command_of_a_package_that_is_not_from_an_index_asks_an_index_for_it(environment, clone):
    environment("pip", clone=clone)
    found = this_installation()
    for command in (found.install("app"), found.reinstall(), found.upgrade()):
        assert "faceproof" not in command
    assert found.reinstall() == "pip install --force-reinstall -e ."
    assert found.upgrade() == "git pull && pip install --force-reinstall -e ."
    assert found.upgrade_library("pillow") == "pip install --upgrade pillow"


def test_an_installation_from_an_index_is_upgraded_there():
    assert Installation("pip").upgrade() == "pip install --upgrade faceproof"
    assert Installation("pipx").upgrade() == "pipx upgrade faceproof"
    assert Installation("uv tool").upgrade() == "uv tool upgrade faceproof"
    assert Installation("pip").reinstall() == "pip install --force-reinstall faceproof"
    assert "from where this one came" in Installation("pip", "a.whl").upgrade()


def test_a_record_that_cannot_be_read_is_an_index(environment, monkeypatch):
    environment("pip")

    def absent(_):
        raise metadata.PackageNotFoundError("faceproof")

    for broken in (lambda _: SimpleNamespace(read_text=lambda _: "[1"), absent):
        monkeypatch.setattr(metadata, "distribution", broken)
        assert install_command("app") == "pip install 'faceproof[app]'"


def test_the_error_of_a_missing_extra_has_the_command(environment, clone):
    environment("pip", clone=clone)
    error = MissingExtraError("timm", extra="train")
    assert str(error) == "timm is not installed: pip install -e '.[train]'"
    assert error.extra == "train"


def test_this_source_tree_is_a_clone():
    assert this_installation().is_clone
    assert "faceproof[" not in install_command("app")


def test_remedies_have_one_home():
    """No other module writes a command that installs something."""
    package = Path(installation.__file__).parent
    found = {
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        for words in ("pip install", "uv sync", "uv pip", "pipx ")
        if words in path.read_text(encoding="utf-8")
    }
    assert found == {"installation.py"}
