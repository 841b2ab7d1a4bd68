"""Folders called after their class, and what their names say."""

from functools import partial
from pathlib import Path

import pytest

from faceproof.data.layouts.words import class_in_name
from faceproof.errors import ManifestError, UsageError
from support.layouts import entries as layout_entries
from support.layouts import plant

entries = partial(layout_entries, "class-folders")


def labels(source: Path, **options: object) -> dict[str, str]:
    """Return the label of each listed path."""
    return {one.path: one.label for one in entries(source, **options)[0]}


@pytest.mark.parametrize(
    "name",
    [
        *("real", "REAL", "reals", "authentic", "Genuine", "original", "true", "live", "0_real"),
        *("training_real", "nature", "real_images", "RealFaces", "realfaces", "bonafide"),
    ],
)
def test_spellings_of_real(tmp_path, name):
    plant(tmp_path, f"{name}/1.jpg", "fake/2.jpg")
    assert labels(tmp_path) == {f"{name}/1.jpg": "real", "fake/2.jpg": "fake"}


@pytest.mark.parametrize(
    "name",
    [
        *("fake", "FAKES", "ai", "AI", "generated", "AIGenerated", "synthetic", "gan", "spoof"),
        *("deepfake", "Deepfakes", "manipulated", "forged", "1_fake", "df", "fakefaces"),
        *("training-fake", "fake images 2024", "stylegan2", "StyleGAN3", "midjourney_v6"),
    ],
)
def test_spellings_of_fake(tmp_path, name):
    plant(tmp_path, f"{name}/1.jpg", "real/2.jpg")
    assert labels(tmp_path) == {f"{name}/1.jpg": "fake", "real/2.jpg": "real"}


@pytest.mark.parametrize("name", ["0", "1", "a", "women", "not_fake", "non-real", "unreal", "both"])
def test_names_that_say_nothing_are_never_guessed(name):
    assert class_in_name(name) not in ("real", "fake")


@pytest.mark.parametrize("names", [("0", "1"), ("a", "b"), ("real_or_fake", "fake"), ("1", "real")])
def test_unclear_names_are_refused_with_the_folders_and_the_remedy(tmp_path, names):
    plant(tmp_path, *(f"{name}/1.jpg" for name in names))
    with pytest.raises(UsageError, match="--real NAME --fake NAME") as caught:
        entries(tmp_path)
    assert repr(names[0]) in str(caught.value)


def test_one_unclear_test_folder_among_clear_ones_is_refused(tmp_path):
    plant(tmp_path, "train/real/1.jpg", "train/fake/2.jpg", "test/0/3.jpg")
    with pytest.raises(UsageError, match="'test/0'"):
        entries(tmp_path)


def test_a_picture_above_the_class_folders_is_only_a_problem(tmp_path):
    plant(tmp_path, "cover.jpg", "data/real/1.jpg", "data/fake/2.jpg", "data/about.jpg")
    listed, wrong, _ = entries(tmp_path)
    assert len(listed) == 2
    assert {(one.path, one.code) for one in wrong} == {
        ("cover.jpg", "unknown_label"),
        ("data/about.jpg", "unknown_label"),
    }


def test_options_decide_where_names_are_unclear_and_against_names(tmp_path):
    plant(tmp_path, "0/1.jpg", "1/2.jpg", "real/3.jpg")
    assert labels(tmp_path, real=("1",), fake=("0", "Real")) == {
        "0/1.jpg": "fake",
        "1/2.jpg": "real",
        "real/3.jpg": "fake",
    }


def test_with_options_the_rest_is_told(tmp_path):
    plant(tmp_path, "a/1.jpg", "b/2.jpg", "c/3.jpg", "fake/4.jpg")
    listed, wrong, _ = entries(tmp_path, real=("a",), fake=("b",))
    assert {one.path: one.label for one in listed}["fake/4.jpg"] == "fake"
    assert [(one.path, one.code) for one in wrong] == [("c/3.jpg", "unknown_label")]


def test_the_deepest_named_folder_decides_and_a_name_may_have_several_parts(tmp_path):
    plant(tmp_path, "a/x/1.jpg", "a/y/2.jpg", "b/x/3.jpg", "xx/a/4.jpg")
    assert labels(tmp_path, real=("a",), fake=("a/x", "b")) == {
        "a/x/1.jpg": "fake",
        "a/y/2.jpg": "real",
        "b/x/3.jpg": "fake",
        "xx/a/4.jpg": "real",
    }


def test_the_dot_is_the_whole_source(tmp_path):
    plant(tmp_path, "1.jpg", "faces/2.jpg", "photos/3.jpg")
    found = labels(tmp_path, fake=(".",), real=("photos",))
    assert found == {"1.jpg": "fake", "faces/2.jpg": "fake", "photos/3.jpg": "real"}
    assert set(labels(tmp_path, fake=(".",)).values()) == {"fake"}


def test_polarity_is_told(tmp_path):
    plant(tmp_path, *(f"train/reals/{n}.jpg" for n in range(3)), "val/reals/4.jpg", "AI/1.jpg")
    messages = [note.message for note in entries(tmp_path)[2]]
    assert "real: folders 'reals' (4 files)" in messages
    assert "fake: folders 'AI' (1 files)" in messages


@pytest.mark.parametrize("place", ["{}/real", "real/{}", "x/{}/y/real"])
@pytest.mark.parametrize(
    ("name", "split"),
    [
        *(
            ("train", "train"),
            ("Training", "train"),
            ("val", "validation"),
            ("valid", "validation"),
        ),
        *(("validation", "validation"), ("TEST", "test"), ("faces", "")),
    ],
)
def test_splits_above_and_below_the_class(tmp_path, place, name, split):
    plant(tmp_path, f"{place.format(name)}/1.jpg", "fake/1.jpg")
    found = {one.label: one.split for one in entries(tmp_path)[0]}
    assert found == {"real": split, "fake": ""}


def test_generators_are_read_from_folders_and_else_from_the_option(tmp_path):
    plant(
        tmp_path,
        *("real/stylegan2/0.jpg", "fake/stylegan2/1.jpg", "fake/SD_v1.5/x/2.jpg", "fake/3.jpg"),
        *("StyleGAN3/fake/4.jpg", "fake/Deepfakes/5.jpg", "deepfakes/6.jpg"),
    )
    found = {one.path: one.generator for one in entries(tmp_path, generator="Pro-GAN")[0]}
    assert found == {
        "real/stylegan2/0.jpg": "none",
        "fake/stylegan2/1.jpg": "stylegan2",
        "fake/SD_v1.5/x/2.jpg": "stable-diffusion-1.5",
        "fake/3.jpg": "progan",
        "StyleGAN3/fake/4.jpg": "stylegan3",
        "fake/Deepfakes/5.jpg": "deepfakes",
        "deepfakes/6.jpg": "progan",
    }
    nameless = {one.path: one.generator for one in entries(tmp_path)[0]}
    assert nameless["fake/3.jpg"] == "unknown"


def test_levels_become_attributes_past_splits_and_generators(tmp_path):
    plant(
        tmp_path,
        *("fake/female/asian/1.jpg", "fake/train/stylegan2/male/black/2.jpg", "fake/male/3.jpg"),
        "real/male/white/deeper/4.jpg",
    )
    listed, _, notes = entries(tmp_path, levels=("gender", "ethnicity"))
    found = {one.path.rpartition("/")[2]: one.attributes for one in listed}
    assert found == {
        "1.jpg": {"gender": "female", "ethnicity": "asian"},
        "2.jpg": {"gender": "male", "ethnicity": "black"},
        "3.jpg": {"gender": "male"},
        "4.jpg": {"gender": "male", "ethnicity": "white"},
    }
    assert any("'deeper'" in note.message and "--levels" in note.message for note in notes)


def test_levels_may_be_generator_and_group(tmp_path):
    plant(
        tmp_path, "fake/My GAN/clip 1/1.jpg", "fake/stylegan2/clip 1/2.jpg", "real/x/clip 2/3.jpg"
    )
    found = {
        one.path.rpartition("/")[2]: (one.generator, one.group, one.attributes)
        for one in entries(tmp_path, levels=("generator", "group"))[0]
    }
    assert found == {
        "1.jpg": ("my-gan", "clip 1", {}),
        "2.jpg": ("stylegan2", "clip 1", {}),
        "3.jpg": ("none", "clip 2", {}),
    }


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"levels": ("label",)}, "'label' is a column of the manifest"),
        ({"levels": ("a", "a")}, "'a' is repeated"),
        ({"real": ("x",), "fake": ("X",)}, "both name 'x'"),
        ({"real": ("reel",)}, "no folder of that name has a picture, did you mean 'real'"),
        ({"fake": ("qqq",)}, "no folder of that name has a picture. Folders: 'fake'"),
        ({"generator": "none"}, "none means real"),
    ],
)
def test_wrong_options_are_refused(tmp_path, options, message):
    plant(tmp_path, "real/1.jpg", "fake/2.jpg")
    with pytest.raises(UsageError, match=message):
        entries(tmp_path, **options)


def test_an_empty_class_is_refused_unless_the_other_is_named_alone(tmp_path):
    plant(tmp_path, "fake/2.jpg")
    (tmp_path / "real").mkdir()
    with pytest.raises(ManifestError, match=r"empty class: no picture is real.*--fake NAME"):
        entries(tmp_path)
    assert labels(tmp_path, fake=("fake",)) == {"fake/2.jpg": "fake"}
    with pytest.raises(UsageError, match="--real real: no folder of that name has a picture"):
        entries(tmp_path, fake=("fake",), real=("real",))
    with pytest.raises(ManifestError, match="empty class: no picture is real"):
        entries(plant(tmp_path, "x/fake/1.jpg"), fake=("fake",), real=("x",))


def test_a_folder_that_says_both_matters_only_where_nothing_below_says_more(tmp_path):
    plant(tmp_path, "real_vs_fake/real/1.jpg", "real_vs_fake/fake/2.jpg")
    listed, _, notes = entries(tmp_path)
    assert [one.label for one in listed] == ["fake", "real"]
    assert any("layout kaggle-140k supports this set" in note.message for note in notes)


def test_videos_are_marked_and_groups_are_single(tmp_path):
    plant(tmp_path, "real/1.mp4", "fake/1.jpg")
    listed = entries(tmp_path)[0]
    assert {one.path: one.video for one in listed} == {"real/1.mp4": True, "fake/1.jpg": False}
    assert {one.group for one in listed} == {"real/1", "fake/1"}
