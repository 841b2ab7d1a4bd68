"""`install_command`: the command that adds an extra to the faceproof that is running.

A remedy must work where the user is. In a clone the package is not on an index, so that its extras
come from the folder; elsewhere they come from where faceproof itself came from, which pip and uv
record. No command contains a folder of this machine: some reach the clients of a service.

Source: PEP 610 (direct_url.json) and PEP 660 (editable installations).
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

_SOURCE = Path(__file__).parents[2]
_IN_THE_CLONE = "in the folder of the clone"
_BESIDE_THE_FILE = "in the folder of that file"

Manager = Literal["uv project", "uv", "uv tool", "pipx", "pip"]


@dataclass(frozen=True)
class Installation:
    """How faceproof got here.

    ``manager`` is the program that changes this environment. ``origin`` is what faceproof was
    installed from: empty for an index, "." for a folder, the name of a local file, or a URL.
    ``where`` is the folder in which a command with that origin works, in words. ``is_active`` is
    for an environment of the project other than `.venv`, which uv only uses with an option.
    """

    manager: Manager
    origin: str = ""
    is_clone: bool = False
    where: str = ""
    is_active: bool = False

    def install(self, extra: str) -> str:
        """Return the command that adds an extra.

        >>> Installation("uv project", ".", is_clone=True).install("app")
        'uv sync --extra app --inexact'
        >>> Installation("pip").install("app")
        "pip install 'faceproof[app]'"
        """
        if self.manager == "uv project":
            return self._sync(f"--extra {extra}")
        return self._complete(f"{self._verb()} {self._target(extra)}")

    def reinstall(self) -> str:
        """Return the command that writes every file of faceproof and its libraries again."""
        if self.manager == "uv project":
            return self._sync("--reinstall")
        verb = self._verb()
        forced = {"uv": "--reinstall", "pip": "--force-reinstall", "uv tool": "--reinstall"}
        flag = f" {forced[self.manager]}" if self.manager in forced else ""
        return self._complete(f"{verb}{flag} {self._target('')}")

    def upgrade(self) -> str:
        """Return the command that fetches a newer faceproof."""
        if self.is_clone:
            return self._complete(f"git pull && {self.reinstall().partition(', ')[0]}")
        if self.origin:
            return "install a newer version from where this one came"
        verb = {"uv tool": "uv tool upgrade", "pipx": "pipx upgrade"}
        return f"{verb.get(self.manager, f'{self._verb()} --upgrade')} faceproof"

    def upgrade_library(self, library: str) -> str:
        """Return the command that installs the newest version of another library."""
        if self.manager == "uv project":
            return self._sync(f"--upgrade-package {library}")
        if self.manager in {"uv tool", "pipx"}:
            return self.upgrade()
        return f"{self._verb()} --upgrade {library}"

    def _sync(self, options: str) -> str:
        """Return uv's command for the clone, which keeps the extras that are installed."""
        return self._complete(f"uv sync {options} --inexact{' --active' * self.is_active}")

    def _verb(self) -> str:
        return {
            "uv project": "uv sync",
            "uv": "uv pip install",
            "uv tool": "uv tool install",
            "pipx": "pipx install --force",
            "pip": "pip install",
        }[self.manager]

    def _target(self, extra: str) -> str:
        """Return what is installed, quoted for a shell where it needs quotes."""
        suffix = f"[{extra}]" if extra else ""
        if "://" in self.origin:
            return f"'faceproof{suffix} @ {self.origin}'"
        name = f"{self.origin or 'faceproof'}{suffix}"
        editable = "-e " if self.is_clone else ""
        return f"{editable}'{name}'" if suffix else f"{editable}{name}"

    def _complete(self, command: str) -> str:
        """Return the command with the folder in which it works, where that is another."""
        return f"{command}, {self.where}" if self.where else command


def install_command(extra: str) -> str:
    """Return the command that adds ``extra`` to this installation."""
    return this_installation().install(extra)


def this_installation() -> Installation:
    """Return how the running faceproof was installed."""
    manager = _environment_manager()
    if _is_clone(_SOURCE):
        where = "" if _works_here(manager) else _IN_THE_CLONE
        is_active = Path(sys.prefix) not in _project_environments(_SOURCE)
        return Installation(manager, ".", is_clone=True, where=where, is_active=is_active)
    manager = "uv" if manager == "uv project" else manager
    origin = _origin(_direct_url())
    if not origin or "://" in origin:
        return Installation(manager, origin)
    where = "in the folder that faceproof was installed from"
    return Installation(manager, origin, where=where if origin == "." else _BESIDE_THE_FILE)


def _works_here(manager: Manager) -> bool:
    """Return whether a command for the clone works in the current folder."""
    try:
        here = Path.cwd()
    except OSError:  # it was removed
        return False
    return here == _SOURCE or (manager == "uv project" and _SOURCE in here.parents)


def _is_clone(folder: Path) -> bool:
    """Return whether the package lies in a source tree of its own."""
    try:
        return 'name = "faceproof"' in (folder / "pyproject.toml").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return False


def _project_environments(clone: Path) -> set[Path]:
    """Return the environments that `uv sync` in the clone changes."""
    named = os.environ.get("UV_PROJECT_ENVIRONMENT")
    return {clone / ".venv", *([clone / named] if named else [])}


def _environment_manager() -> Manager:
    """Return the program that made this environment, by the files that it leaves."""
    prefix = Path(sys.prefix)
    if (prefix / "uv-receipt.toml").is_file():
        return "uv tool"
    if (prefix / "pipx_metadata.json").is_file():
        return "pipx"
    try:
        lines = (prefix / "pyvenv.cfg").read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return "pip"
    facts = {
        key.strip(): value.strip() for key, _, value in (line.partition("=") for line in lines)
    }
    if "uv" not in facts:
        return "pip"
    # `uv sync` names an environment after the project, `uv venv` after its folder.
    return "uv project" if facts.get("prompt") == "faceproof" else "uv"


def _direct_url() -> dict[str, Any]:
    """Return what the installer recorded of a source besides an index, empty if nothing."""
    from importlib import metadata

    try:
        content = json.loads(metadata.distribution("faceproof").read_text("direct_url.json") or "")
    except (metadata.PackageNotFoundError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _origin(recorded: dict[str, Any]) -> str:
    """Return the origin of an installation from its record.

    >>> _origin({"url": "file:///srv/faceproof", "dir_info": {}})
    '.'
    >>> _origin({"url": "https://example.org/f.git", "vcs_info": {"vcs": "git", "commit_id": "1a"}})
    'git+https://example.org/f.git@1a'
    """
    parts = urlsplit(str(recorded.get("url", "")))
    if parts.scheme == "file":
        return "." if "dir_info" in recorded else Path(unquote(parts.path)).name
    host = parts.netloc.rpartition("@")[2]  # without a password
    url = parts._replace(netloc=host).geturl()
    if isinstance(found := recorded.get("vcs_info"), dict):
        return f"{found.get('vcs', 'git')}+{url}@{found.get('commit_id', 'HEAD')}"
    return url
