"""Layouts of public sets, on made-up trees: what names and tables say."""

from __future__ import annotations

from pathlib import Path

import pytest

from faceproof.data.public import LAYOUTS, Listed
from faceproof.errors import ManifestError


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def listed(layout: str, folder: Path) -> dict[str, Listed]:
    """Return what a layout lists by path under its own folder."""
    return {item.path.partition("/")[2]: item for item in LAYOUTS[layout](folder)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "set"


def test_ffhq_stylegan140k(folder):
    touch(folder, "dataset/real/00833.jpg", "dataset/ai/0QO.jpg", "dataset/ai/notes.txt")
    assert listed("ffhq_stylegan140k", folder) == {
        "dataset/real/00833.jpg": Listed("set/dataset/real/00833.jpg", "none", "real/00833"),
        "dataset/ai/0QO.jpg": Listed("set/dataset/ai/0QO.jpg", "stylegan", "ai/0QO"),
    }


def test_openforensics_groups_blocks_of_20_numbers(folder):
    for part in ("Train", "Validation"):
        for kind in ("Real", "Fake"):
            names = (f"Dataset/{part}/{kind}/{kind.lower()}_{n}.jpg" for n in (19, 20, 39, 40))
            touch(folder, *names)
    found = listed("openforensics", folder)
    assert len(found) == 16
    assert found["Dataset/Train/Real/real_19.jpg"].group == "Train/Real/0"
    assert found["Dataset/Train/Real/real_20.jpg"].group == "Train/Real/1"
    assert found["Dataset/Train/Real/real_39.jpg"].group == "Train/Real/1"
    assert found["Dataset/Validation/Fake/fake_40.jpg"].group == "Validation/Fake/2"
    assert found["Dataset/Validation/Fake/fake_40.jpg"].generator == "openforensics-swap"


DFDC = """videoname,original_width,original_height,label,original
a.mp4,200,200,REAL,
b.mp4,200,200,FAKE,a.mp4
c.mp4,200,200,FAKE,a.mp4
small.mp4,127,127,FAKE,a.mp4
gone.mp4,200,200,REAL,
d.mp4,200,200,FAKE,e.mp4
"""


def test_dfdc_groups_fakes_with_their_original(folder):
    touch(folder, *(f"faces_224/{name}.jpg" for name in ("a", "b", "c", "small", "d")))
    (folder / "metadata.csv").write_text(DFDC, encoding="utf-8")
    about = {
        path: (item.generator, item.group, item.attributes["take"])
        for path, item in listed("dfdc", folder).items()
    }
    assert about == {
        "faces_224/a.jpg": ("none", "a.mp4", "0"),
        "faces_224/b.jpg": ("dfdc-swap", "a.mp4", "1"),
        "faces_224/c.jpg": ("dfdc-swap", "a.mp4", "2"),
        "faces_224/d.jpg": ("dfdc-swap", "e.mp4", "1"),
    }


def test_stylegan2_hmdghoul_tells_gender_and_ethnicity(folder):
    touch(folder, "images/female/asian/0.jpg", "images/male/white/1.PNG")
    found = listed("stylegan2_hmdghoul", folder)
    assert found["images/female/asian/0.jpg"].attributes == {
        "gender": "female",
        "ethnicity": "asian",
    }
    assert {item.generator for item in found.values()} == {"stylegan2"}
    assert len(found) == 2


@pytest.mark.parametrize(
    ("layout", "inside", "generator"),
    [("stylegan2_basemax", "faces", "stylegan2"), ("sdfd", "allImages", "stable-diffusion-2.1")],
)
def test_sets_of_one_folder(folder, layout, inside, generator):
    touch(folder, f"{inside}/b.jpeg", f"{inside}/a.jpg", "elsewhere/c.jpg")
    found = listed(layout, folder)
    assert list(found) == [f"{inside}/a.jpg", f"{inside}/b.jpeg"]
    assert {item.generator for item in found.values()} == {generator}


def test_utkface_tells_age_gender_and_ethnicity(folder):
    inside = "data/UTKFace/unlabeled"
    touch(folder, f"{inside}/24_1_3_2017.jpg", f"{inside}/39_1_20170116174525125.jpg")
    found = listed("utkface", folder)
    assert found[f"{inside}/24_1_3_2017.jpg"].attributes == {
        "age": "24",
        "gender": "female",
        "ethnicity": "indian",
    }
    assert found[f"{inside}/39_1_20170116174525125.jpg"].attributes == {}
    assert {item.generator for item in found.values()} == {"none"}


@pytest.mark.parametrize("layout", LAYOUTS)
class TestEveryLayout:
    def test_a_missing_folder_says_what_to_do(self, layout, folder):
        with pytest.raises(ManifestError, match=r"docs/data\.md"):
            list(LAYOUTS[layout](folder))

    def test_it_is_described_in_the_data_page(self, layout):
        page = Path(__file__).parents[3] / "docs" / "data.md"
        assert f"`{layout}`" in page.read_text(encoding="utf-8")
