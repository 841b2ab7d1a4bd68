"""FaceForensics++, Celeb-DF and DFDC on made-up miniature trees."""

import json

import pytest

from faceproof.data.layouts.video_sets import video_name
from faceproof.data.layouts.words import Identities
from faceproof.errors import ManifestError, UsageError
from support.layouts import entries, plant

SPLITS = {"train": [["000", "003"]], "val": [["010", "011"]], "test": [["020", "021"]]}


def test_identities_join_in_any_order():
    people = Identities()
    for pair in (["5", "4"], ["1", "2"], ["4", "2"], ["9"]):
        people.join(pair)
    assert [people.group(name) for name in "124591"] == ["1", "1", "1", "1", "9", "1"]


def test_more_than_two_names_join_at_once():
    people = Identities()
    people.join(["c", "b", "a"])
    assert {people.group(name) for name in "abc"} == {"a"}


# FaceForensics++


@pytest.fixture
def forensics(tmp_path):
    """Originals and fakes, as videos and as frames, with what else lies there."""
    c23 = "{}/c23/videos/{}.mp4"
    plant(
        tmp_path,
        *(c23.format("original_sequences/youtube", n) for n in ("000", "003", "010", "500")),
        "original_sequences/actors/c23/videos/01__walking.mp4",
        *(
            c23.format(f"manipulated_sequences/{method}", "000_003")
            for method in ("Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures", "FaceShifter")
        ),
        "manipulated_sequences/DeepFakeDetection/raw/videos/01_02__walking__ABCDEFGH.mp4",
        "manipulated_sequences/Face2Face/c40/images/003_000/0001.png",
        "original_sequences/c0/images/010_0001.png",
        "manipulated_sequences/Face2Face/masks/videos/000_003.mp4",
        "manipulated_sequences/Face2Face/c40/masks/000_003/0001.png",
        "manipulated_sequences/Deepfakes/c23/videos/holiday.mp4",
        "downloaded_videos/xyz.mp4",
    )
    return tmp_path


def test_faceforensics_joins_pairs_over_methods_and_compressions(forensics):
    listed, wrong, notes = entries("faceforensics", forensics)
    found = {one.path: one for one in listed}
    youtube = "original_sequences/youtube/c23/videos"
    assert found[f"{youtube}/003.mp4"].group == "youtube/000"
    assert found[f"{youtube}/500.mp4"].group == "youtube/500"
    assert {one.group for one in listed if "000_003" in one.path} == {"youtube/000"}
    assert {one.group for one in listed if "01__" in one.path or "01_02__" in one.path} == {
        "actors/01"
    }
    assert {one.path for one in wrong} == {
        "downloaded_videos/xyz.mp4",
        "manipulated_sequences/Deepfakes/c23/videos/holiday.mp4",
    }
    assert {one.code for one in wrong} == {"not_in_layout"}
    assert any("2 files in folders called 'masks'" in note.message for note in notes)
    assert any("no official split" in note.message for note in notes)


def test_faceforensics_names_generator_compression_and_video(forensics):
    found = {one.path: one for one in entries("faceforensics", forensics)[0]}
    frame = found["manipulated_sequences/Face2Face/c40/images/003_000/0001.png"]
    assert (frame.label, frame.generator, frame.video) == ("fake", "face2face", False)
    assert frame.attributes == {"method": "face2face", "compression": "c40", "video": "003_000"}
    old = found["original_sequences/c0/images/010_0001.png"]
    assert (old.label, old.generator, old.attributes["video"]) == ("real", "none", "010")
    assert {one.generator for one in found.values()} == {
        *("none", "deepfakes", "face2face", "faceswap", "neuraltextures", "faceshifter"),
        "deepfakedetection",
    }
    assert {one.label for one in found.values() if one.generator == "none"} == {"real"}
    assert found["original_sequences/youtube/c23/videos/000.mp4"].video


def test_faceforensics_reads_the_official_splits(forensics):
    for name, pairs in SPLITS.items():
        (forensics / f"{name}.json").write_text(json.dumps(pairs), encoding="utf-8")
    listed, wrong, notes = entries("faceforensics", forensics)
    splits = {one.attributes["video"]: one.split for one in listed}
    assert splits["000_003"] == splits["003_000"] == splits["003"] == "train"
    assert (splits["010"], splits["500"], splits["01__walking"]) == ("validation", "", "")
    assert not any("split" in note.message for note in notes)
    assert len(wrong) == 2


@pytest.mark.parametrize("text", ["not json", '{"a": 1}', '["000", "003"]'])
def test_faceforensics_refuses_damaged_split_files(forensics, text):
    (forensics / "train.json").write_text(text, encoding="utf-8")
    with pytest.raises(ManifestError, match=r"train\.json.*fetch the split file again"):
        entries("faceforensics", forensics)


# Celeb-DF


@pytest.fixture
def celebrities(tmp_path):
    """Both kinds of reals, fakes of three people, and frames beside videos."""
    return plant(
        tmp_path,
        *(f"Celeb-real/id{n}_0000.mp4" for n in (0, 1, 7)),
        *("YouTube-real/00170.mp4", "YouTube-real/frames/00171/003.png"),
        *("Celeb-synthesis/id0_id1_0000.mp4", "Celeb-synthesis/frames/id1_id2_0003/000.png"),
        *("Celeb-synthesis/landmarks/id1_id2_0003/000.png", "Celeb-real/cover.jpg"),
    )


def test_celeb_df_groups_by_people(celebrities):
    listed, wrong, notes = entries("celeb-df", celebrities)
    found = {one.attributes["video"]: one for one in listed}
    assert {name: one.group for name, one in found.items()} == {
        "id0_0000": "id0",
        "id1_0000": "id0",
        "id7_0000": "id7",
        "00170": "youtube-real/00170",
        "00171": "youtube-real/00171",
        "id0_id1_0000": "id0",
        "id1_id2_0003": "id0",
    }
    assert {(one.label, one.generator) for one in listed} == {
        ("real", "none"),
        ("fake", "celeb-df-swap"),
    }
    assert found["id1_id2_0003"].label == "fake"
    assert not found["id1_id2_0003"].video
    assert [one.path for one in wrong] == ["Celeb-real/cover.jpg"]
    assert [note.message for note in notes] == [
        "no List_of_testing_videos.txt here, so no official split is set",
        "1 files in folders of masks or landmarks are not listed",
    ]


def test_celeb_df_reads_the_test_list_where_1_is_real(celebrities):
    lines = [
        *("1 YouTube-real/00171.mp4", "0 Celeb-synthesis/id0_id1_0000.mp4", "", "nonsense"),
        *("1 Celeb-real/id9_0000.mp4", "0 Celeb-real/id7_0000.mp4"),
    ]
    (celebrities / "List_of_testing_videos.txt").write_text("\ufeff" + "\n".join(lines), "utf-8")
    listed, wrong, _ = entries("celeb-df", celebrities)
    splits = {one.attributes["video"]: one.split for one in listed}
    assert {video for video, split in splits.items() if split} == {"00171", "id0_id1_0000"}
    assert set(splits.values()) == {"test", ""}
    assert "id7_0000" not in splits
    assert [(one.code, one.row) for one in wrong if one.row] == [
        ("bad_row", 4),
        ("missing_file", 5),
        ("label_conflict", 6),
    ]


# DFDC


META = {
    "aaa.mp4": {"label": "FAKE", "split": "train", "original": "bbb.mp4"},
    "bbb.mp4": {"label": "REAL", "split": "train", "original": None},
    "ccc.mp4": {"label": "REAL", "split": "train"},
}


def test_dfdc_reads_the_json_of_each_part(tmp_path):
    plant(tmp_path, "part_0/aaa.mp4", "part_0/bbb.mp4", "part_1/ddd.mp4", "part_1/loose.mp4")
    (tmp_path / "part_0" / "metadata.json").write_text(json.dumps(META), encoding="utf-8")
    other = {"ddd.mp4": {"label": "FAKE", "split": "train", "original": "bbb.mp4"}}
    (tmp_path / "part_1" / "metadata.json").write_text(json.dumps(other), encoding="utf-8")
    listed, wrong, notes = entries("dfdc", tmp_path)
    assert [(one.path, one.label, one.generator, one.group, one.split) for one in listed] == [
        ("part_0/aaa.mp4", "fake", "dfdc-swap", "bbb", ""),
        ("part_0/bbb.mp4", "real", "none", "bbb", ""),
        ("part_1/ddd.mp4", "fake", "dfdc-swap", "bbb", ""),
    ]
    assert all(one.video for one in listed)
    assert [(one.path, one.code, one.row) for one in wrong] == [("ccc.mp4", "missing_file", 3)]
    messages = " ".join(note.message for note in notes)
    assert "has the same split 'train': ignored" in messages
    assert "1 pictures or videos are in no row" in messages


CSV = "\ufeffvideoname,original_width,label,original,split,width\n"


def test_dfdc_reads_crops_and_frames_beside_a_table(tmp_path):
    plant(tmp_path, "faces_224/aaa.jpg", "faces_224/bbb_1.jpg", "frames/ccc/0001.png")
    lines = (
        "aaa.mp4,129,FAKE,bbb.mp4,train,9\nbbb.mp4,64,REAL,,test,9\nccc.mp4,64,REAL,,test,9\n"
        "aaa.mp4,1,FAKE,bbb.mp4,train,9\neee.mp4,1,MAYBE,,test,9\n../f.mp4,1,REAL,,test,9\n"
        "short,1\n"
    )
    (tmp_path / "metadata.csv").write_text(CSV + lines, encoding="utf-8")
    listed, wrong, _ = entries("dfdc", tmp_path)
    assert [(one.path, one.group, one.split, one.video) for one in listed] == [
        ("faces_224/aaa.jpg", "bbb", "train", False),
        ("faces_224/bbb_1.jpg", "bbb", "test", False),
        ("frames/ccc/0001.png", "ccc", "test", False),
    ]
    assert listed[0].attributes == {
        "video": "aaa.mp4",
        "original_width": "129",
        "original": "bbb.mp4",
        "table_width": "9",
    }
    assert [(one.code, one.row) for one in wrong] == [
        *(("unknown_label", 5), ("path_escapes", 6), ("bad_row", 7), ("duplicate_row", 4)),
    ]
    assert "MAYBE" in wrong[0].reason


def test_dfdc_takes_numbers_as_labels_only_where_told(tmp_path):
    plant(tmp_path, "x.mp4", "y.mp4")
    (tmp_path / "labels.csv").write_text("filename,label\nx.mp4,0\ny.mp4,1\n", encoding="utf-8")
    with pytest.raises(UsageError, match=r"row 1: label '0' is neither REAL nor FAKE.*--real 0"):
        entries("dfdc", tmp_path)
    listed = entries("dfdc", tmp_path, real=("0",), fake=("1",))[0]
    assert [one.label for one in listed] == ["real", "fake"]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("metadata.csv", "a,b\n1,2\n", "expected the columns label and one of videoname"),
        ("metadata.json", "[1]", "expected entries such as"),
        ("metadata.json", "{", "invalid JSON"),
    ],
)
def test_dfdc_refuses_other_tables(tmp_path, name, text, message):
    plant(tmp_path, "x.mp4")
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(ManifestError, match=message):
        entries("dfdc", tmp_path)


def test_dfdc_refuses_a_table_of_other_videos(tmp_path):
    plant(tmp_path, "x.mp4")
    (tmp_path / "metadata.json").write_text(json.dumps(META), encoding="utf-8")
    with pytest.raises(ManifestError, match=r"dfdc expects videos next to metadata\.json"):
        entries("dfdc", tmp_path)


def test_a_frame_is_given_to_its_video_by_folder_before_name():
    import re

    pattern = re.compile(r"\d{3}(?:_\d{3})?")
    assert video_name("images/000_003/000_0001.png", pattern) == "000_003"
    assert video_name("images/000_0001.png", pattern) == "000"
    assert video_name("videos/0000.mp4", pattern) == ""
    assert video_name("images/0000.png", pattern) == ""
