"""The unit tests of ``faceproof/a/b.py`` are ``tests/unit/a/test_b.py`` or ``test_b_TOPIC.py``."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "faceproof"
UNIT = ROOT / "tests" / "unit"
TESTS = [path.relative_to(UNIT).as_posix() for path in sorted(UNIT.rglob("test_*.py"))]

#: What is tested here and is no module: pages of docs/, the samples, the package, a benchmark.
OTHERS = {
    "benchmarks/test_calibration.py",
    "benchmarks/test_default_comparisons.py",
    "benchmarks/test_peers.py",
    "frontends/api/security/test_docs.py",
    "provenance/test_docs.py",
    "test_public_names.py",
    "test_samples.py",
}


def subjects(name: str) -> set[str]:
    """Return the modules and folders that the file of tests called ``name`` may be about."""
    folder, topic = PACKAGE / Path(name).parent, Path(name).stem.removeprefix("test_")
    beside = {path.stem for path in folder.iterdir() if path.suffix in {".py", ""}}
    return {
        stem for stem in {*beside, folder.name} if topic == stem or topic.startswith(f"{stem}_")
    }


@pytest.mark.parametrize("name", [name for name in TESTS if name not in OTHERS])
def test_a_file_of_unit_tests_stands_where_its_module_does(name):
    assert (PACKAGE / Path(name).parent).is_dir()
    assert subjects(name)
