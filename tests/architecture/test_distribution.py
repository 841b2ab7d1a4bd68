"""The wheel and the source archive hold what they should, and nothing else."""

import re
import tarfile
import zipfile
from email import message_from_string
from pathlib import Path

import pytest

pytest.importorskip("hatch_fancy_pypi_readme")
pytest.importorskip("hatchling")

ROOT = Path(__file__).parents[2]
MEGABYTE = 1_000_000
#: Every file of the wheel that is not Python, with the folder faceproof left out.
PACKAGE_DATA = {
    "data/generators.toml",
    "detector/default/CARD.md",
    "detector/default/densenet121.onnx",
    "detector/default/densenet121.safetensors",
    "detector/default/detector.json",
    "frontends/api/built-in.jpg",
    "frontends/webapp/icon.svg",
    *(f"frontends/webapp/samples/{name}.jpg" for name in ("astronaut", "cat", "couple")),
    *(
        f"frontends/webapp/samples/{name}.jpg"
        for name in ("face-swap", "generated", "generated-man")
    ),
    "frontends/webapp/samples/SOURCES.md",
    "imaging/yunet/LICENSE",
    "imaging/yunet/face_detection_yunet_2023mar_any_size.onnx",
    "py.typed",
    *(f"reports/templates/{name}.css" for name in ("case", "page", "service")),
    *(f"reports/templates/{name}.html" for name in ("case", "inspection", "report")),
    *(f"reports/templates/{name}.html" for name in ("scan", "service", "training", "update")),
}
#: The top of the source archive: a clone, without what git ignores.
TOP = {
    *(".ci", ".dockerignore", ".gitattributes", ".github", ".gitignore", ".pre-commit-config.yaml"),
    *(
        "CHANGELOG.md",
        "CITATION.cff",
        "CONTRIBUTING.md",
        "Dockerfile",
        "Dockerfile.page",
        "LICENSE",
    ),
    *(
        "LICENSE-WEIGHTS.md",
        "PKG-INFO",
        "README.md",
        "SECURITY.md",
        "benchmarks",
        "compose.proxy.yaml",
        "compose.yaml",
    ),
    *(
        "conftest.py",
        "deploy",
        "docs",
        "examples",
        "mkdocs.yml",
        "pyproject.toml",
        "samples",
        "src",
        "tests",
    ),
}


@pytest.fixture(scope="module")
def metadata():
    """Return the metadata of the package, as an index reads them."""
    from hatchling.builders.wheel import WheelBuilder
    from hatchling.metadata import spec

    write = spec.get_core_metadata_constructors()[spec.DEFAULT_METADATA_VERSION]
    return message_from_string(write(WheelBuilder(str(ROOT)).metadata))


def test_code_and_weights_have_their_licences(metadata):
    assert metadata["License-Expression"] == "MIT AND LicenseRef-faceproof-weights"
    assert metadata.get_all("License-File") == ["LICENSE", "LICENSE-WEIGHTS.md"]
    assert metadata["Author"] == "The faceproof developers"


def test_only_versions_of_python_that_were_run_are_named(metadata):
    """CI runs one version; another one is added when it is run."""
    python = "Programming Language :: Python :: "
    named = [one for one in metadata.get_all("Classifier") if one.startswith(python)]
    assert named == [f"{python}3.11"]


def test_no_link_of_the_description_leads_nowhere(metadata):
    """Relative links and pictures of the README have no target on an index's page."""
    description = metadata.get_payload()
    assert "# faceproof" in description
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert re.findall(r"\]\((?!https?:)[^)]*\)", description) == []
    assert "Tutorial (`docs/tutorial/index.md`)" in description


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Build both archives into a folder, without the network."""
    from hatchling.builders.sdist import SdistBuilder
    from hatchling.builders.wheel import WheelBuilder

    folder = tmp_path_factory.mktemp("dist")
    return {
        kind: Path(
            next(iter(builder(str(ROOT)).build(directory=str(folder), versions=["standard"])))
        )
        for kind, builder in {"wheel": WheelBuilder, "sdist": SdistBuilder}.items()
    }


@pytest.mark.slow
def test_the_wheel_has_these_files_and_no_others(built):
    with zipfile.ZipFile(built["wheel"]) as archive:
        names = set(archive.namelist())
    source = {path.relative_to(ROOT / "src").as_posix() for path in (ROOT / "src").rglob("*.py")}
    data = {f"faceproof/{name}" for name in PACKAGE_DATA}
    info = {
        f"faceproof-0.1.0.dist-info/{name}"
        for name in ("METADATA", "RECORD", "WHEEL", "entry_points.txt")
    }
    licences = {f"faceproof-0.1.0.dist-info/licenses/LICENSE{end}" for end in ("", "-WEIGHTS.md")}
    assert names == source | data | info | licences
    assert built["wheel"].stat().st_size < 20 * MEGABYTE


@pytest.mark.slow
def test_the_source_archive_is_a_clone(built):
    with tarfile.open(built["sdist"]) as archive:
        names = [name.partition("/")[2] for name in archive.getnames()]
    assert {name.partition("/")[0] for name in names} == TOP
    assert not [name for name in names if "__pycache__" in name]
    assert built["sdist"].stat().st_size < 30 * MEGABYTE
