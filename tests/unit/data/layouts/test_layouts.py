"""The safe walk, and what every layout of the table keeps."""

import os
import string
from pathlib import Path

import pytest
from PIL import Image

from faceproof.data.layouts import LAYOUTS, ListingOptions
from faceproof.data.layouts.listing import is_medium, read_tree, refuse_unused
from faceproof.data.layouts.words import describe_tree, guess_layout, suggest_layout
from faceproof.errors import ManifestError, UsageError
from faceproof.reports.marked_files import write_marked
from faceproof.sources import ANNOTATED_MARK, HEATMAP_MARK
from support.layouts import entries


def plant(root: Path, *paths: str) -> Path:
    """Write files, each with its own name as its bytes."""
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(path, encoding="utf-8")
    return root


def problems(root: Path) -> dict[str, str]:
    """Return the code of each problem by its path."""
    return {problem.path: problem.code for problem in read_tree(root).problems}


# The walk


def test_files_are_sorted_within_each_folder_and_other_files_are_told(tmp_path):
    plant(tmp_path, "b/2.JPG", "b/10.jpg", "a/x.mp4", "z.png", "notes.txt", "._z.png", "t.csv")
    tree = read_tree(tmp_path, tables=lambda name: name.endswith(".csv"))
    assert tree.media == ("z.png", "a/x.mp4", "b/10.jpg", "b/2.JPG")
    assert tree.tables == ("t.csv",)
    assert [(p.path, p.code) for p in tree.problems] == [
        ("._z.png", "not_a_picture"),
        ("notes.txt", "not_a_picture"),
    ]


@pytest.mark.parametrize("mark", [HEATMAP_MARK, ANNOTATED_MARK])
def test_what_faceproof_drew_is_no_picture_to_train_on(tmp_path, mark):
    plant(tmp_path, "real/a.png")
    write_marked(Image.new("RGB", (8, 8)), tmp_path / "real" / "a-heat.png", mark, "face 1")
    tree = read_tree(tmp_path)
    assert tree.media == ("real/a.png",)
    assert problems(tmp_path) == {"real/a-heat.png": "not_a_picture"}
    assert "a heat map or annotated picture of faceproof" in tree.problems[0].reason


def test_an_archive_is_to_be_unpacked(tmp_path):
    plant(tmp_path, "faces.zip")
    assert "unpack" in read_tree(tmp_path).problems[0].reason
    with pytest.raises(ManifestError, match="unpack"):
        read_tree(tmp_path / "faces.zip")


def test_a_link_to_a_folder_above_is_not_followed(tmp_path):
    plant(tmp_path, "a/1.jpg")
    (tmp_path / "a" / "again").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "a" / "self").symlink_to("self")
    assert read_tree(tmp_path).media == ("a/1.jpg",)
    assert problems(tmp_path) == {"a/again": "symlink_loop", "a/self": "missing_file"}


def test_a_linked_folder_is_listed_once_under_its_own_name(tmp_path):
    plant(tmp_path, "z/1.jpg")
    (tmp_path / "a").symlink_to("z", target_is_directory=True)
    assert read_tree(tmp_path).media == ("z/1.jpg",)
    assert problems(tmp_path) == {"a": "linked_folder"}


def test_a_link_out_of_the_source_is_a_problem_and_one_within_is_a_file(tmp_path):
    plant(tmp_path, "in/1.jpg", "inside/2.jpg", "out/3.jpg")
    source = tmp_path / "in"
    (source / "file.jpg").symlink_to(tmp_path / "out" / "3.jpg")
    (source / "folder").symlink_to(tmp_path / "out", target_is_directory=True)
    # A folder whose name only begins like the source's is outside, too.
    (source / "near").symlink_to(tmp_path / "inside", target_is_directory=True)
    (source / "same.jpg").symlink_to("1.jpg")
    assert read_tree(source).media == ("1.jpg", "same.jpg")
    assert problems(source) == dict.fromkeys(("file.jpg", "folder", "near"), "path_escapes")


def test_a_source_that_is_itself_a_link_is_read(tmp_path):
    plant(tmp_path, "real/1.jpg")
    (tmp_path / "real" / "same.jpg").symlink_to("1.jpg")
    (tmp_path / "link").symlink_to("real", target_is_directory=True)
    assert read_tree(tmp_path / "link").media == ("1.jpg", "same.jpg")


def test_a_name_that_is_not_utf_8_is_told_with_its_bytes(tmp_path):
    (Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.jpg"))).write_bytes(b"x")
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/d\xe9")).mkdir()
    (found, folder) = read_tree(tmp_path).problems
    assert (found.path, found.code) == ("caf\\xe9.jpg", "name_not_utf8")
    assert "rename" in found.reason
    assert folder.path == "d\\xe9"


def test_an_unreadable_folder_is_a_problem_and_the_rest_goes_on(tmp_path, monkeypatch):
    plant(tmp_path, "a/1.jpg", "b/2.jpg")
    scandir = os.scandir

    def refusing(path):
        if str(path).rstrip("/").endswith("a"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    tree = read_tree(tmp_path)
    assert tree.media == ("b/2.jpg",)
    assert [(p.path, p.code) for p in tree.problems] == [("a", "source_unreadable")]
    assert "Permission denied" in tree.problems[0].reason


def test_what_is_neither_file_nor_folder_is_a_problem(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    assert read_tree(tmp_path).media == ()
    assert problems(tmp_path) == {"pipe.jpg": "not_a_picture"}


@pytest.mark.parametrize("name", ["missing", "a/1.jpg"])
def test_a_source_that_is_no_folder_is_refused(tmp_path, name):
    plant(tmp_path, "a/1.jpg")
    with pytest.raises(ManifestError, match=r"no such folder|is a file"):
        read_tree(tmp_path / name)


# Every layout


@pytest.mark.parametrize("name", LAYOUTS)
class TestEveryLayout:
    def test_is_named_and_described(self, name):
        assert set(name) <= set(string.ascii_lowercase + string.digits + "-")
        assert (LAYOUTS[name].__doc__ or "").startswith("Yield ")

    def test_refuses_an_empty_folder_and_says_what_it_expects(self, name, tmp_path):
        with pytest.raises(ManifestError, match=rf"layout {name} expects .*found an empty folder"):
            list(LAYOUTS[name](tmp_path, ListingOptions()))

    def test_refuses_a_source_that_is_not_there(self, name, tmp_path):
        with pytest.raises(ManifestError, match="no such folder"):
            list(LAYOUTS[name](tmp_path / "nowhere", ListingOptions()))

    def test_refuses_an_option_that_it_would_ignore(self, name, tmp_path):
        plant(tmp_path, "a/1.jpg")
        every = {"columns": {"a": "b"}, "levels": ("age",)}
        with pytest.raises(UsageError, match=f"layout {name} takes no --"):
            list(LAYOUTS[name](tmp_path, ListingOptions(**every)))

    def test_says_which_other_layout_fits(self, name, tmp_path):
        wanted = {"faceforensics": "Celeb-synthesis/id0_id1_0000.mp4"}
        place = wanted.get(name, "original_sequences/youtube/c23/videos/000.mp4")
        other = "celeb-df" if name in wanted else "faceforensics"
        plant(tmp_path, place)
        with pytest.raises((ManifestError, UsageError), match=f"the layout {other} fits it"):
            list(LAYOUTS[name](tmp_path, ListingOptions()))


def test_unused_options_are_named_with_what_is_taken():
    with pytest.raises(UsageError, match="x takes no --levels; it takes --real and --fake"):
        refuse_unused(ListingOptions(levels=("a",)), "x", used=("real", "fake"))
    refuse_unused(ListingOptions(real=("a",)), "x", used=("real", "fake"))


@pytest.mark.parametrize(
    ("path", "layout"),
    [
        ("training_fake/easy_1_1111.jpg", "ciplab"),
        ("real_vs_fake/real-vs-fake/x/1.jpg", "kaggle-140k"),
        ("YouTube-real/00000.mp4", "celeb-df"),
        ("part_0/metadata.json", "dfdc"),
        ("train/state.json", "hf-datasets"),
        ("faces/25_0_1_20170116.jpg", "utkface"),
        ("Ada_Lovelace/Ada_Lovelace_0001.jpg", "lfw"),
        ("rows.parquet", "columns"),
        ("holiday/1.jpg", ""),
    ],
)
def test_a_layout_is_recognised_by_its_signs(tmp_path, path, layout):
    plant(tmp_path, path)
    assert suggest_layout(read_tree(tmp_path)) == layout


def test_class_folders_are_recognised_by_both_names(tmp_path):
    plant(tmp_path, "reals/1.jpg")
    assert suggest_layout(read_tree(tmp_path)) == ""
    plant(tmp_path, "AI/1.jpg")
    assert suggest_layout(read_tree(tmp_path)) == "class-folders"


@pytest.mark.parametrize(
    ("paths", "layout"),
    [
        (("real/1.jpg", "fake/1.jpg"), "class-folders"),
        (("train/reals/1.jpg", "test/AI/1.jpg"), "class-folders"),
        (("real/1.jpg", "stylegan2/1.jpg"), "class-folders"),
        (("real/1.jpg", "fake/1.jpg", "notes.csv"), "class-folders"),
        (("Celeb-real/id0_0000.mp4", "Celeb-synthesis/id0_id1_0000.mp4"), "celeb-df"),
        (
            ("original_sequences/youtube/c23/videos/000.mp4", "manipulated_sequences/x.mp4"),
            "faceforensics",
        ),
        (("UTKFace/25_0_1_20170116.jpg",), "utkface"),
        (("lfw/Ada_Lovelace/Ada_Lovelace_0001.jpg",), "lfw"),
        (("set/rows.csv", "set/1.jpg"), "columns"),
    ],
)
def test_a_layout_is_guessed_where_only_one_fits(tmp_path, paths, layout):
    plant(tmp_path, *paths)
    assert guess_layout(tmp_path) == layout


def test_a_table_and_named_classes_leave_no_doubt(tmp_path):
    plant(tmp_path, "a/1.jpg", "b/1.jpg", "rows.csv")
    assert guess_layout(tmp_path, classes_named=True) == "class-folders"
    assert guess_layout(tmp_path / "rows.csv") == "columns"


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        (
            ("real/1_0_1_20170116.jpg", "fake/2_0_1_20170116.jpg"),
            r"several .*utkface, class-folders",
        ),
        (("real_vs_fake/real/1.jpg", "real_vs_fake/fake/1.jpg"), r"several .*kaggle-140k, class-f"),
        (("training_real/1.jpg", "training_fake/1.jpg"), r"several .*\(ciplab, class-folders\)"),
        (("real/1.jpg", "fake/1.jpg", "metadata.json"), r"several .*\(dfdc, class-folders\)"),
        (("a/1.jpg", "b/1.jpg"), r"no layout is evident in 2 pictures .*--real NAME --fake NAME"),
        (("real/1.jpg",), "no layout is evident in 1 pictures"),
        ((), "no layout is evident in an empty folder"),
    ],
)
def test_a_layout_in_doubt_is_not_guessed(tmp_path, paths, message):
    plant(tmp_path, *paths)
    with pytest.raises(UsageError, match=message):
        guess_layout(tmp_path)


def test_what_was_found_is_told_in_a_few_words(tmp_path):
    assert describe_tree(read_tree(tmp_path)) == "an empty folder"
    plant(tmp_path, "notes.txt")
    assert describe_tree(read_tree(tmp_path)) == "no picture or video, only notes.txt"
    plant(tmp_path, *(f"{n:02}/1.jpg" for n in range(10)), "05/2.jpg")
    output = describe_tree(read_tree(tmp_path))
    assert output.startswith("11 pictures or videos in '05' (2), '00' (1)")
    assert output.endswith("and 2 more folders")


# Portraits


def test_utkface_reads_age_gender_and_ethnicity(tmp_path):
    plant(tmp_path, "x/25_0_1_2017.jpg.chip.jpg", "x/7_1_4_2017.jpg", "x/61_1_2017.jpg", "x/a.txt")
    listed, wrong, notes = entries("utkface", tmp_path)
    assert [one.attributes for one in listed] == [
        {"age": "25", "gender": "male", "ethnicity": "black"},
        {},
        {"age": "7", "gender": "female", "ethnicity": "other"},
    ]
    assert {(one.label, one.generator, one.split) for one in listed} == {("real", "none", "")}
    assert len({one.group for one in listed}) == 3
    assert [note.message.partition(":")[0] for note in notes] == ["x/61_1_2017.jpg"]
    assert [one.path for one in wrong] == ["x/a.txt"]


def test_utkface_refuses_a_folder_of_other_names(tmp_path):
    plant(tmp_path, "1.jpg", "2.jpg", "25_0_1_2017.jpg")
    with pytest.raises(ManifestError, match="utkface expects names like"):
        entries("utkface", tmp_path)


def test_lfw_groups_by_person(tmp_path):
    plant(
        tmp_path,
        *(f"lfw/Ada_Lovelace/Ada_Lovelace_000{n}.jpg" for n in (1, 2)),
        *("lfw/Bo_Li/Bo_Li_0001.jpg", "lfw/Bo_Li/cover.jpg"),
    )
    listed, wrong, notes = entries("lfw", tmp_path)
    assert [one.group for one in listed] == [*["Ada_Lovelace"] * 2, "Bo_Li", "lfw/Bo_Li/cover"]
    assert listed[0].attributes == {"person": "Ada_Lovelace"}
    assert len(notes) == 1
    assert wrong == []


def test_ciplab_reads_difficulty_and_regions(tmp_path):
    plant(
        tmp_path,
        "f/training_real/real_00001.jpg",
        "f/training_fake/easy_12_1010.jpg",
        "f/training_fake/hard_9_0101.jpg",
        "f/training_fake/odd.jpg",
        "f/cover.jpg",
    )
    listed, wrong, notes = entries("ciplab", tmp_path)
    found = {one.path.rpartition("/")[2]: one for one in listed}
    easy, hard = found["easy_12_1010.jpg"], found["hard_9_0101.jpg"]
    assert easy.attributes == {"difficulty": "easy", "edited_regions": "left_eye,nose"}
    assert hard.attributes == {"difficulty": "hard", "edited_regions": "right_eye,mouth"}
    assert (easy.label, easy.generator) == ("fake", "photoshop-composite")
    assert (found["real_00001.jpg"].label, found["odd.jpg"].attributes) == ("real", {})
    assert [(one.path, one.code) for one in wrong] == [("f/cover.jpg", "not_in_layout")]
    assert "odd.jpg" in notes[0].message


def test_openforensics_groups_neighbours_and_keeps_its_parts_as_attribute(tmp_path):
    plant(
        tmp_path,
        *(f"Dataset/Train/Real/real_{n}.jpg" for n in (0, 19, 20)),
        *("Dataset/Validation/Real/real_1.jpg", "Dataset/Train/Fake/fake_1.jpg"),
        *("Dataset/Train/Fake/nameless.jpg", "Dataset/Other/Fake/fake_2.jpg"),
    )
    listed, wrong, notes = entries("openforensics", tmp_path)
    groups = {one.path.removeprefix("Dataset/"): one.group for one in listed}
    assert groups == {
        "Train/Fake/fake_1.jpg": "train/fake/0",
        "Train/Real/real_0.jpg": "train/real/0",
        "Train/Real/real_19.jpg": "train/real/0",
        "Train/Real/real_20.jpg": "train/real/1",
        "Validation/Real/real_1.jpg": "validation/real/0",
    }
    assert {one.split for one in listed} == {""}
    assert {one.attributes["part"] for one in listed} == {"train", "validation"}
    assert {one.generator for one in listed if one.label == "fake"} == {"openforensics-swap"}
    assert {one.path.rpartition("/")[2] for one in wrong} == {"nameless.jpg", "fake_2.jpg"}
    assert "share pictures" in notes[0].message


# Kaggle's 140k


def test_kaggle_140k_keeps_splits_and_ffhq_numbers(tmp_path):
    deep = "real_vs_fake/real-vs-fake"
    plant(
        tmp_path,
        *(f"{deep}/train/real/00012.jpg", f"{deep}/train/fake/0A.jpg", f"{deep}/train/fake/12.jpg"),
        *(f"{deep}/valid/real/70000.jpg", f"{deep}/test/real/69999.jpg", f"{deep}/cover.jpg"),
    )
    listed, wrong, _ = entries("kaggle-140k", tmp_path)
    found = {one.path.rpartition("real-vs-fake/")[2]: one for one in listed}
    assert {path: one.split for path, one in found.items()} == {
        "train/real/00012.jpg": "train",
        "train/fake/0A.jpg": "train",
        "train/fake/12.jpg": "train",
        "valid/real/70000.jpg": "validation",
        "test/real/69999.jpg": "test",
    }
    assert found["train/real/00012.jpg"].attributes == {"ffhq_id": "12"}
    assert found["test/real/69999.jpg"].group == "ffhq/69999"
    assert not found["valid/real/70000.jpg"].attributes
    assert not found["train/fake/12.jpg"].attributes
    assert {one.generator for one in listed if one.label == "fake"} == {"stylegan"}
    assert [one.code for one in wrong] == ["not_in_layout"]


KAGGLE = "\ufeff,original_path,id,label,label_str,path\n"


def test_kaggle_140k_reads_its_tables_where_there_are_no_folders(tmp_path):
    plant(tmp_path, "all/1.jpg", "all/2.jpg", "all/stray.jpg")
    row = "0,/kaggle/input/x/00001.jpg,{id},{label},{text},train/{text}/{id}.jpg\n"
    train = KAGGLE + row.format(id=1, label=1, text="real") + row.format(id=9, label=0, text="fake")
    (tmp_path / "train.csv").write_text(train, encoding="utf-8")
    (tmp_path / "valid.csv").write_text(KAGGLE + row.format(id=2, label=0, text=""), "utf-8")
    listed, wrong, _ = entries("kaggle-140k", tmp_path)
    assert [(one.path, one.label, one.split) for one in listed] == [
        ("all/1.jpg", "real", "train"),
        ("all/2.jpg", "fake", "validation"),
    ]
    assert [(one.code, one.row) for one in wrong] == [("missing_file", 2), ("not_in_layout", None)]


def test_kaggle_140k_does_not_list_what_folder_and_table_dispute(tmp_path):
    plant(tmp_path, "train/real/1.jpg", "train/fake/2.jpg", "train/fake/3.jpg")
    lines = (
        "0,x,1,0,fake,train/real/1.jpg\n1,x,2,0,fake,train/fake/2.jpg\n2,x,3,7,,train/fake/3.jpg\n"
    )
    (tmp_path / "train.csv").write_text(KAGGLE + lines, encoding="utf-8")
    listed, wrong, _ = entries("kaggle-140k", tmp_path)
    assert [one.path for one in listed] == ["train/fake/2.jpg", "train/fake/3.jpg"]
    assert [(one.code, one.path, one.row) for one in wrong] == [
        ("unknown_label", "train/fake/3.jpg", 3),
        ("label_conflict", "train/real/1.jpg", None),
    ]


def test_kaggle_140k_refuses_an_empty_class_and_a_table_of_something_else(tmp_path):
    plant(tmp_path, "train/real/1.jpg")
    with pytest.raises(ManifestError, match="class 'fake' is empty"):
        entries("kaggle-140k", tmp_path)
    (tmp_path / "test.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    with pytest.raises(ManifestError, match=r"test\.csv: expected the columns path or id"):
        entries("kaggle-140k", tmp_path)


def test_a_medium_is_told_by_its_name():
    assert [is_medium(name) for name in ("a.webp", "a.mkv", "a", ".jpg", "a.json")] == [
        *(True, True, False, False, False)
    ]
