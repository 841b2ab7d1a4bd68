"""What must never be committed: machine paths, registry hosts, files that can run code, weight."""

import os
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
NOT_OURS = {"data", "weights-init", "runs", "build", "dist", "site"}

# A letter in brackets keeps these patterns from finding themselves.
MACHINE_PATH = re.compile(
    r"(^|[^A-Za-z0-9_.])(/(wor[k]|far[m]|roo[t]|tmp/la[b]|hom[e]/\w+|User[s]/\w+)/|[A-Z]:\\User[s]\\)",
    re.MULTILINE,
)
REGISTRY_HOST = re.compile(
    r"pypi[.]org/simple|pythonhosted[.]org|npmjs[.]org|conda[.]anaconda[.]org|download[.]pytorch[.]org"
    r"|^\s*(-i|--index-url|--extra-index-url|index-url)[ =]|registry = .?\"?https?[:]"
    r"|\"resolved\": \"https?[:]|^\s*\[\[tool[.]uv[.]index",
    re.MULTILINE,
)
CAN_RUN_CODE = {".pt", ".pth", ".pkl", ".pickle", ".joblib", ".ckpt", ".keras"}
WEIGHTS = {".safetensors", ".onnx"}
MEGABYTE = 1_000_000


def committed() -> list[Path]:
    """Return the files of the repository, or of an unpacked source archive."""
    if (ROOT / ".git").exists() and shutil.which("git"):
        command = ["git", "-C", str(ROOT), "ls-files", "-z"]
        listed = subprocess.run(command, capture_output=True, check=True).stdout
        paths = [ROOT / name for name in os.fsdecode(listed).split("\0") if name]
    else:
        paths = list(walk(ROOT))
    return [path for path in paths if path.is_file()]


def walk(folder: Path) -> list[Path]:
    """Return the files below ``folder`` that a build or a run did not leave there."""
    top = [path for path in folder.iterdir() if not left_by_a_tool(path)]
    return [
        path
        for start in top
        for path in ([start] if start.is_file() else start.rglob("*"))
        if not any(part == "__pycache__" for part in path.parts)
    ]


def left_by_a_tool(path: Path) -> bool:
    """Return whether git would ignore this name at the top of the repository."""
    hidden = path.is_dir() and path.name.startswith(".") and path.name not in {".ci", ".github"}
    return hidden or path.name in NOT_OURS or path.name == "uv.lock"


@cache
def texts() -> dict[str, str]:
    """Return the text of every committed file that is text, by its name."""
    raw = {path.relative_to(ROOT).as_posix(): path.read_bytes() for path in committed()}
    return {
        name: data.decode("utf-8", errors="replace")
        for name, data in raw.items()
        if b"\0" not in data[:8192]
    }


def found(pattern: re.Pattern[str], *, leave_out: str = "") -> list[str]:
    """Return ``file: match`` wherever the pattern stands in a text file."""
    return [
        f"{name}: {match[0].strip()}"
        for name, text in texts().items()
        if not (leave_out and name.endswith(leave_out))
        for match in pattern.finditer(text)
    ]


def test_no_path_of_a_machine():
    assert found(MACHINE_PATH, leave_out=".md") == []


def test_no_host_of_a_package_registry():
    assert found(REGISTRY_HOST) == []


def test_patterns_find_what_they_are_for():
    assert MACHINE_PATH.search(f"open('/{'work'}/main/x')")
    assert MACHINE_PATH.search(f"/{'home'}/somebody/x")
    assert not MACHINE_PATH.search("src/work/flow.py and https://example.org/home/page/")
    assert REGISTRY_HOST.search(f"{'--index-url'} https://example.org")
    assert REGISTRY_HOST.search(f"https://{'pypi'}.org/simple")


def test_no_file_that_can_run_code():
    assert [path for path in committed() if path.suffix.lower() in CAN_RUN_CODE] == []


def test_no_lock_file():
    """A lock names the registry of whoever made it; pyproject.toml has the bounds."""
    assert [path for path in committed() if path.name in {"uv.lock", "poetry.lock"}] == []


def test_weights_stay_below_40_megabytes_together():
    assert sum(path.stat().st_size for path in committed() if is_weights(path)) < 40 * MEGABYTE


def test_nothing_else_is_larger_than_a_megabyte():
    large = [path for path in committed() if path.stat().st_size > 2**20 and not is_weights(path)]
    assert large == []


def is_weights(path: Path) -> bool:
    """Return whether this file is a network of ours."""
    return path.suffix in WEIGHTS


def test_a_source_archive_is_read_like_a_clone():
    """Without git the walk finds the same files, and what is not committed yet."""
    assert set(committed()) <= set(walk(ROOT))
