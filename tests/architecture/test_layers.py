"""Imports point one way; the contracts stand in pyproject.toml under [tool.importlinter]."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"][
    "importlinter"
]["contracts"]
LAYERS = next(contract["layers"] for contract in CONTRACTS if contract["id"] == "layers")

LINT = """
import sys
sys.path.insert(0, sys.argv[1])
from importlinter.cli import lint_imports
raise SystemExit(lint_imports(config_filename=sys.argv[2], no_cache=True, no_logo=True))
"""


def lint(source: Path) -> subprocess.CompletedProcess[str]:
    """Return what import-linter says of the package under ``source``."""
    command = [sys.executable, "-c", LINT, str(source), str(ROOT / "pyproject.toml")]
    environment = {"PYTHONUTF8": "1", "COLUMNS": "200"}
    return subprocess.run(  # an own process: it keeps the graph and the path of the first run
        command,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
        cwd=source,
        env=environment,
    )


def test_the_tree_keeps_every_contract():
    output = lint(ROOT / "src")
    assert output.returncode == 0, output.stdout + output.stderr
    assert f"{len(CONTRACTS)} kept, 0 broken" in output.stdout


@pytest.mark.parametrize(
    ("module", "line", "contract"),
    [
        ("errors", "import faceproof.tables", "layers"),
        ("errors", "def late():\n    import faceproof.records", "layers"),
        ("newcomer", "", "layers"),
        ("tables", "def late():\n    import torch", "core"),
        ("frontends/api", "import faceproof.frontends.webapp", "frontends"),
    ],
)
def test_a_broken_contract_is_seen(tmp_path, module, line, contract):
    """The smallest tree that the contracts accept, with one wrong line."""
    package = tmp_path / "faceproof"
    package.mkdir()
    for name in required_modules():
        make_module(package, name)
    assert lint(tmp_path).returncode == 0
    (package / f"{module}.py").write_text(line, encoding="utf-8")
    output = lint(tmp_path)
    broken = next(entry["name"] for entry in CONTRACTS if entry["id"] == contract)
    assert output.returncode == 1
    assert f"{broken} BROKEN" in output.stdout


def make_module(package: Path, name: str) -> None:
    """Make an empty module; what has modules below it is a package."""
    *above, last = name.split(".")
    folder = package.joinpath(*above)
    folder.mkdir(exist_ok=True)
    (folder / "__init__.py").touch()
    if not (folder / last).is_dir():
        (folder / f"{last}.py").touch()


def required_modules() -> list[str]:
    """Return the modules that the contracts name without brackets, those within others first."""
    layers = {name for layer in LAYERS for name in re.findall(r"[\w()]+", layer)}
    named = {
        module.removeprefix("faceproof.")
        for contract in CONTRACTS
        for module in [*contract.get("source_modules", []), *contract.get("modules", [])]
    }
    every = {name for name in layers if "(" not in name} | named
    return sorted(every, key=lambda name: -name.count("."))


def test_contributing_draws_the_same_order():
    drawn = re.search(r"```\n(cli >.*?)```", (ROOT / "CONTRIBUTING.md").read_text("utf-8"), re.S)
    assert drawn, "CONTRIBUTING.md lost its line of layers"
    words = [re.findall(r"\w+", layer) for layer in drawn[1].split(">")]
    assert words == [re.findall(r"\w+", layer) for layer in LAYERS]
