"""The pictures in samples/: small, named truly, credited, and made by the script that says so."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from faceproof.imaging.decode import load
from faceproof.imaging.faces import YuNet

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = sorted((ROOT / "samples").glob("*.jpg"))
NAMES = [path.name for path in SAMPLES]


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location(
        "make_samples", ROOT / "examples" / "make_samples.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def kinds(start: str) -> list[Path]:
    return [path for path in SAMPLES if path.name.startswith(start)]


#: The fakes that our script makes; the others come from a generator.
MADE = sorted(kinds("fake-swap-") + kinds("fake-self-blend-"))


def test_there_are_enough_of_each_kind():
    assert len(kinds("real-")) >= 4
    assert len(MADE) >= 4
    assert len(kinds("fake-sd3-")) >= 5
    assert len(kinds("no-face-")) >= 1
    assert len(kinds("real-") + kinds("fake-") + kinds("no-face-")) == len(SAMPLES)


def test_they_are_small():
    assert sum(path.stat().st_size for path in SAMPLES) < 3_000_000
    for path in SAMPLES:
        assert path.stat().st_size < 300_000
        with Image.open(path) as picture:
            assert max(picture.size) <= 1024


def test_the_readme_names_each_file_once_and_no_other():
    lines = (ROOT / "samples" / "README.md").read_text(encoding="utf-8").splitlines()
    rows = [line.split("|")[1].strip(" `") for line in lines if line.startswith("| `")]
    assert sorted(rows) == NAMES


@pytest.mark.parametrize("path", SAMPLES, ids=NAMES)
def test_faces_are_found_where_the_name_promises_them(path):
    faces = YuNet().find(load(path).pixels)
    two = "brothers" in path.name or "couple" in path.name
    assert len(faces) == (0 if path.name.startswith("no-face") else 2 if two else 1)


def test_the_script_makes_every_fake_again(script, tmp_path):
    made = sorted(script.make(tmp_path))
    assert [path.name for path in made] == [path.name for path in MADE]
    for path in made:
        ours = load(ROOT / "samples" / path.name).pixels.astype(int)
        # Other builds of OpenCV and libjpeg round otherwise; they do not move a face.
        assert np.abs(load(path).pixels - ours).mean() < 1.0


@pytest.mark.parametrize("path", MADE, ids=lambda path: path.stem)
def test_a_fake_differs_from_the_picture_it_was_made_of(path):
    target = path.stem.split("-on-")[-1].removeprefix("fake-swap-").removeprefix("fake-self-blend-")
    target = target.removesuffix("-jpeg-60").removesuffix("-poisson")
    real = load(ROOT / "samples" / f"real-{target}.jpg").pixels
    face = max(YuNet().find(real), key=lambda found: found.box[2])
    x, y, width, height = (round(number) for number in face.box)
    inside = np.s_[y : y + height, x : x + width]
    change = np.abs(load(path).pixels[inside].astype(int) - real[inside])
    assert change.mean() > 4
