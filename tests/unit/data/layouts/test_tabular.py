"""Tables of pictures: CSV, Parquet and what Hugging Face's datasets saves."""

import io
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from pyarrow import parquet

from faceproof.data.layouts import ListedFile
from faceproof.data.layouts.table_files import open_table
from faceproof.data.layouts.table_rows import MediaIndex
from faceproof.errors import ManifestError, UsageError
from support.layouts import entries, plant

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def table(root: Path, text: str, name: str = "rows.csv") -> Path:
    """Write a CSV file beside a.jpg, sub/b.jpg and sub/c.png."""
    plant(root, "a.jpg", "sub/b.jpg", "sub/c.png")
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(text, encoding="utf-8")
    return root


def picture(kind: str) -> bytes:
    """Return the bytes of a small picture."""
    file = io.BytesIO()
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(file, kind)
    return file.getvalue()


# CSV


def test_our_own_names_are_taken_without_being_told(tmp_path):
    text = (
        "path,label,generator,group,split,age,width\n"
        "a.jpg,REAL,,p1,training,30,9\nsub/b.jpg,Fake,Style_GAN2,p2,val,,9\n"
    )
    listed, wrong, notes = entries("columns", table(tmp_path, text))
    assert listed == [
        ListedFile("a.jpg", "real", "none", "p1", "train", {"age": "30", "table_width": "9"}),
        ListedFile("sub/b.jpg", "fake", "stylegan2", "p2", "validation", {"table_width": "9"}),
    ]
    assert wrong == []
    assert [note.message for note in notes] == [
        "real: values 'REAL' (1 rows)",
        "fake: values 'Fake' (1 rows)",
        "1 pictures or videos are in no row and not listed: sub/c.png",
    ]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_a_byte_order_mark_and_other_delimiters_are_read(tmp_path, delimiter):
    text = "\ufefffile,label\r\nb,real\r\n\r\nc,fake\r\n".replace(",", delimiter)
    listed, _, _ = entries("columns", table(tmp_path, text), columns={"path": "file"})
    assert [(one.path, one.label) for one in listed] == [
        ("sub/b.jpg", "real"),
        ("sub/c.png", "fake"),
    ]


def test_a_table_may_be_named_and_lie_below(tmp_path):
    root = table(tmp_path, "path,label\nb.jpg,real\na.jpg,fake\n", "sub/t.csv")
    assert [one.path for one in entries("columns", root)[0]] == ["sub/b.jpg", "a.jpg"]
    listed, wrong, _ = entries("columns", root / "sub" / "t.csv")
    assert [one.path for one in listed] == ["b.jpg"]
    assert [(one.code, one.row) for one in wrong] == [("missing_file", 2)]


def test_several_tables_are_refused_until_one_is_named(tmp_path):
    table(tmp_path, "path,label\na.jpg,real\n")
    table(tmp_path, "path,label\na.jpg,real\n", "more.csv")
    with pytest.raises(UsageError, match=r"2 tables \(more.csv, rows.csv\): name one"):
        entries("columns", tmp_path)
    assert len(entries("columns", tmp_path / "more.csv")[0]) == 1
    with pytest.raises(ManifestError, match="columns expects a CSV"):
        entries("columns", tmp_path / "a.jpg")


@pytest.mark.parametrize(
    ("header", "options", "error", "message"),
    [
        ("filename,label", {}, ManifestError, "'path', did you mean 'filename'.*path=filename"),
        ("pth,label", {}, ManifestError, "'path', did you mean 'pth'.*--columns path=pth"),
        (
            "path,target",
            {},
            ManifestError,
            "'label', did you mean 'target'.*label=target, or --g",
        ),
        ("path,qqq", {}, ManifestError, "'label'. It has: path, qqq. Use --columns label=THEIRS"),
        (
            *("path,label", {"columns": {"age": "labell"}}, UsageError),
            "--columns age=labell.*did you mean 'label'.*It has: path, label",
        ),
        ("path,path", {}, ManifestError, "two columns are called 'path'"),
        ("path,label", {"real": ("x",), "fake": ("X",)}, UsageError, "both name 'x'"),
    ],
)
def test_wrong_columns_are_refused_with_the_nearest(tmp_path, header, options, error, message):
    with pytest.raises(error, match=message):
        entries("columns", table(tmp_path, f"{header}\na.jpg,real\n"), **options)


def test_bad_rows_are_problems_with_their_number(tmp_path):
    plant(tmp_path, "twice/c.png")
    text = (
        "path,label,split\na.jpg,real,\n/etc/a.jpg,real,\n../a.jpg,fake,\nnone.jpg,fake,\n"
        "sub/b.jpg,MAYBE,\nsub/b.jpg,fake,holdout\nA.JPG,real,\n,real,\nc.png,fake,\nb.jpg,real\n"
    )
    listed, wrong, _ = entries("columns", table(tmp_path, text))
    assert [one.path for one in listed] == ["a.jpg"]
    assert [(one.row, one.code) for one in wrong] == [
        *((2, "path_escapes"), (3, "path_escapes"), (4, "missing_file"), (5, "unknown_label")),
        *((6, "unknown_split"), (7, "missing_file"), (8, "missing_file"), (9, "ambiguous_name")),
        (10, "bad_row"),
    ]
    reasons = {one.row: one.reason for one in wrong}
    assert "--real MAYBE or --fake MAYBE" in reasons[5]
    assert "--columns split=" in reasons[6]
    assert "'a.jpg' differs in upper and lower case" in reasons[7]
    assert "2 files (sub/c.png, twice/c.png)" in reasons[9]


@pytest.mark.parametrize("values", [("1", "0"), ("true", "false"), ("yes", "no"), ("a", "b")])
def test_labels_that_say_nothing_are_never_guessed(tmp_path, values):
    root = table(tmp_path, f"path,label\na.jpg,{values[0]}\nb.jpg,{values[1]}\n")
    with pytest.raises(UsageError, match=f"row 1: label '{values[0]}' is neither"):
        entries("columns", root)
    listed, _, _ = entries("columns", root, real=(values[0].upper(),), fake=(values[1],))
    assert [one.label for one in listed] == ["real", "fake"]


def test_a_table_of_which_nothing_is_here_is_refused_early(tmp_path):
    rows = "".join(f"x{number}.jpg,real\n" for number in range(1500))
    with pytest.raises(UsageError, match="none of the first 1000 rows can be listed; row 1: 'x0"):
        entries("columns", table(tmp_path, f"path,label\n{rows}"))


def test_the_first_thousand_rows_may_be_bad_when_one_among_them_is_good(tmp_path):
    rows = "".join(f"x{number}.jpg,real\n" for number in range(1500))
    listed, wrong, _ = entries(
        "columns", table(tmp_path, f"path,label\nz,real\na.jpg,real\n{rows}")
    )
    assert [one.path for one in listed] == ["a.jpg"]
    assert [one.row for one in wrong] == [1, *range(3, 1503)]


def test_without_a_label_the_generator_tells_it(tmp_path):
    root = table(tmp_path, "path,prompt\na.jpg,old man\n")
    (fake,), _, _ = entries("columns", root, generator="SD 2.1")
    assert fake == ListedFile(
        "a.jpg", "fake", "stable-diffusion-2.1", "a", attributes={"prompt": "old man"}
    )
    (real,), _, _ = entries("columns", root, generator="none")
    assert (real.label, real.generator) == ("real", "none")
    mixed = table(tmp_path, "path,generator\na.jpg,none\nb.jpg,my gan\nc.png,\n")
    listed, wrong, _ = entries("columns", mixed)
    assert [(one.label, one.generator) for one in listed] == [("real", "none"), ("fake", "my-gan")]
    assert [(one.row, one.code) for one in wrong] == [(3, "unknown_label")]


def test_label_and_generator_must_not_contradict(tmp_path):
    text = "path,label,generator\na.jpg,fake,none\nb.jpg,real,FFHQ\nc.png,fake,\n"
    listed, wrong, _ = entries("columns", table(tmp_path, text))
    assert [(one.row, one.code) for one in wrong] == [(1, "label_conflict")]
    assert [(one.generator, one.attributes) for one in listed] == [
        ("none", {"table_generator": "FFHQ"}),
        ("unknown", {}),
    ]


def test_a_table_without_header_is_read_by_numbers(tmp_path):
    text = '"b","old, man",4.78,3\n"c","young",4.78,5\n'
    listed, _, notes = entries(
        "columns", table(tmp_path, text), columns={"path": "#1", "prompt": "#2"}, generator="adm"
    )
    assert [one.path for one in listed] == ["sub/b.jpg", "sub/c.png"]
    assert listed[0].attributes == {"prompt": "old, man"}
    assert "#3, #4" in notes[0].message
    with pytest.raises(UsageError, match="no column '#9'"):
        entries("columns", tmp_path, columns={"path": "#9"}, generator="adm")


def test_columns_may_be_renamed_and_left_out(tmp_path):
    text = "path,label,split,race\na.jpg,real,holdout,x\nb.jpg,fake,,y\n"
    options = {"columns": {"split": "", "ethnicity": "race"}}
    listed, wrong, _ = entries("columns", table(tmp_path, text), **options)
    assert wrong == []
    assert [(one.split, one.attributes) for one in listed] == [
        ("", {"ethnicity": "x", "table_split": "holdout"}),
        ("", {"ethnicity": "y"}),
    ]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b"\n", "is empty"),
        ("path,label\ncaf\xe9.jpg,real\n".encode("latin-1"), "is not UTF-8.*save it as CSV UTF-8"),
        (b'path,label\n"a.jpg,real\n', "cannot be read as CSV"),
    ],
)
def test_files_that_are_no_csv_are_refused(tmp_path, data, message):
    (tmp_path / "rows.csv").write_bytes(data)
    with pytest.raises(ManifestError, match=message):
        entries("columns", tmp_path)


@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.jsonl"])
def test_a_table_in_utf16_is_named(tmp_path, name):
    (tmp_path / name).write_text("path,label\na.jpg,real\n", encoding="utf-16")
    with pytest.raises(UsageError, match=rf"{name} is UTF-16, and must be UTF-8: save it as UTF-8"):
        entries("columns", tmp_path)


# JSON lines


@pytest.mark.parametrize(("name", "mark"), [("t.jsonl", ""), ("t.ndjson", "\ufeff")])
def test_json_lines_are_a_table(tmp_path, name, mark):
    text = (
        '{"path": "a.jpg", "label": "real", "age": 30, "tags": ["x"]}\n\n'
        '{"path": "sub/b.jpg", "label": "fake", "generator": "gan", "smiling": true}\n'
    )
    listed, wrong, notes = entries("columns", table(tmp_path, mark + text, name))
    assert [(one.path, one.label, one.generator, one.attributes) for one in listed] == [
        ("a.jpg", "real", "none", {"age": "30"}),
        ("sub/b.jpg", "fake", "gan", {"smiling": "true"}),
    ]
    assert wrong == []
    assert any("tags" in note.message for note in notes)


def test_lines_that_are_no_object_are_problems_with_their_number(tmp_path):
    text = '{"path": "a.jpg", "label": "real"}\n[1]\n{"path": \n'
    listed, wrong, _ = entries("columns", table(tmp_path, text, "t.jsonl"))
    assert [one.path for one in listed] == ["a.jpg"]
    assert [(one.code, one.row) for one in wrong] == [("bad_row", 2), ("bad_row", 3)]
    assert "a JSON list, not an object: write one JSON object a line" in wrong[0].reason
    assert "not JSON" in wrong[1].reason


@pytest.mark.parametrize("text", ["", "\n", "[1]\n", "path,label\na.jpg,real\n"])
def test_a_file_without_an_object_is_refused(tmp_path, text):
    with pytest.raises(ManifestError, match="has no JSON object: expected one a line"):
        entries("columns", table(tmp_path, text, "t.jsonl"))


def test_a_frame_is_found_by_the_name_of_its_video():
    index = MediaIndex(["faces/x.jpg", "sub/y.mp4", "sub/y.jpg", "faces/z.v2.png"])
    assert index.find("x.mp4", folder="") == "faces/x.jpg"
    assert index.find("y.mp4", folder="") == "sub/y.mp4"
    assert index.find("faces/x", folder="sub") == "faces/x.jpg"
    assert index.find("z.v2", folder="") == "faces/z.v2.png"
    assert index.find("y", folder="").code == "ambiguous_name"
    assert index.find("other/x.jpg", folder="").code == "missing_file"


# Parquet and Arrow


def test_parquet_with_paths_and_typed_columns(tmp_path):
    plant(tmp_path, "a.jpg", "b.jpg")
    columns = {
        "path": ["a.jpg", "b.jpg"],
        "is_fake": [False, True],
        "age": [30.0, None],
        "score": [0.5, 1.25],
        "embedding": [[0.1], [0.2]],
    }
    parquet.write_table(pa.table(columns), tmp_path / "t.parquet")
    options = {"columns": {"label": "is_fake"}, "real": ("False",), "fake": ("True",)}
    listed, wrong, notes = entries("columns", tmp_path, **options)
    assert notes[0].message.endswith("lists are excluded: embedding")
    assert [(one.label, one.attributes) for one in listed] == [
        ("real", {"age": "30", "score": "0.5"}),
        ("fake", {"score": "1.25"}),
    ]
    assert wrong == []


def test_parquet_that_holds_the_pictures(tmp_path):
    kinds = {"JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp", "GIF": ".gif", "BMP": ".bmp"}
    images = [{"bytes": picture(kind), "path": f"{kind}.x"} for kind in kinds]
    images += [{"bytes": b"??", "path": None}, {"bytes": None, "path": "a.jpg"}, None]
    plant(tmp_path, "a.jpg")
    data = pa.table(
        {"image": pa.array(images, IMAGE), "label": ["real", "fake"] * 4, "path": ["x"] * 8}
    )
    parquet.write_table(data, tmp_path / "t.parquet")
    listed, wrong, _ = entries("columns", tmp_path)
    assert [one.path for one in listed] == [
        *(f"t/{row:07d}{suffix}" for row, suffix in enumerate(kinds.values(), start=1)),
        *("t/0000006.bin", "a.jpg"),
    ]
    assert [one.data for one in listed] == [one and one["bytes"] for one in images[:7]]
    assert listed[0].attributes == {"table_path": "x", "original_name": "JPEG.x"}
    assert listed[6].attributes == {"table_path": "x"}
    assert [(one.row, one.code) for one in wrong] == [(8, "missing_file")]


def test_a_column_of_bytes_is_one_of_pictures_and_two_are_refused(tmp_path):
    data = pa.table({"jpeg": [picture("JPEG")], "label": ["real"]})
    parquet.write_table(data, tmp_path / "t.parquet")
    assert entries("columns", tmp_path)[0][0].path == "t/0000001.jpg"
    parquet.write_table(data.append_column("mask", data["jpeg"]), tmp_path / "t.parquet")
    with pytest.raises(ManifestError, match=r"several columns hold files \(jpeg, mask\)"):
        entries("columns", tmp_path)
    listed, _, notes = entries("columns", tmp_path, columns={"image": "jpeg"})
    assert "other files or lists are excluded: mask" in notes[0].message
    assert [(one.data, one.attributes) for one in listed] == [(picture("JPEG"), {})]


def features(*names: str) -> dict[str, object]:
    """Return the features of a set with a column of classes."""
    return {
        "image": {"_type": "Image"},
        "label": {"names": list(names), "_type": "ClassLabel"},
        "age": {"dtype": "int64", "_type": "Value"},
    }


def save(folder: Path, labels: list[int], *names: str, inside: bool) -> None:
    """Write what `Dataset.save_to_disk` writes; the features inside the file, or only beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    images = [{"bytes": picture("PNG"), "path": f"{n}.png"} for n in range(len(labels))]
    data = pa.table({"image": pa.array(images, IMAGE), "label": labels, "age": [20] * len(labels)})
    about = {"info": {"features": features(*names)}}
    if inside:
        data = data.replace_schema_metadata({"huggingface": json.dumps(about)})
    path = str(folder / "data-00000-of-00001.arrow")
    with pa.OSFile(path, "wb") as file, pa.ipc.new_stream(file, data.schema) as writer:
        writer.write_table(data, max_chunksize=2)
    (folder / "dataset_info.json").write_text(json.dumps(about["info"]), encoding="utf-8")
    (folder / "state.json").write_text("{}", encoding="utf-8")


@pytest.mark.parametrize("inside", [True, False])
def test_a_saved_dataset_dict_has_splits_and_names_of_classes(tmp_path, inside):
    save(tmp_path / "train", [0, 1, 1], "FAKE", "REAL", inside=inside)
    save(tmp_path / "validation", [0], "FAKE", "REAL", inside=inside)
    (tmp_path / "dataset_dict.json").write_text('{"splits": ["train"]}', encoding="utf-8")
    listed, wrong, notes = entries("hf-datasets", tmp_path)
    assert [(one.path, one.label, one.split) for one in listed] == [
        ("train/data-00000-of-00001/0000001.png", "fake", "train"),
        ("train/data-00000-of-00001/0000002.png", "real", "train"),
        ("train/data-00000-of-00001/0000003.png", "real", "train"),
        ("validation/data-00000-of-00001/0000001.png", "fake", "validation"),
    ]
    assert {one.data for one in listed} == {picture("PNG")}
    assert listed[0].attributes == {"age": "20", "original_name": "0.png"}
    assert wrong == []
    assert [note.message for note in notes] == [
        "real: values 'REAL' (2 rows)",
        "fake: values 'FAKE' (2 rows)",
    ]


def test_classes_that_are_numbers_are_not_guessed_in_a_saved_dataset(tmp_path):
    save(tmp_path, [0, 1], "0", "1", inside=True)
    with pytest.raises(UsageError, match="label '0' is neither"):
        entries("hf-datasets", tmp_path)
    listed, _, _ = entries("hf-datasets", tmp_path, real=("1",), fake=("0",), generator="adm")
    assert [(one.label, one.generator) for one in listed] == [("fake", "adm"), ("real", "none")]


def test_files_of_the_hub_are_split_by_their_names(tmp_path):
    about = {"info": {"features": {"kind": {"names": ["ai", "human real"], "_type": "ClassLabel"}}}}
    images = pa.array([{"bytes": b"x", "path": None}], IMAGE)
    data = pa.table({"image": images, "kind": [0], "vector": [[1.0]]})
    data = data.replace_schema_metadata({"huggingface": json.dumps(about)})
    (tmp_path / "data").mkdir()
    for name in ("train-00000-of-00001", "test-00000-of-00001", "other"):
        parquet.write_table(data, tmp_path / "data" / f"{name}.parquet")
    listed, _, notes = entries("hf-datasets", tmp_path)
    assert [note.message for note in notes] == [
        "columns with other files or lists are excluded: vector",
        "fake: values 'ai' (3 rows)",
    ]
    assert [(one.path, one.label, one.split) for one in listed] == [
        ("data/other/0000001.bin", "fake", ""),
        ("data/test-00000-of-00001/0000001.bin", "fake", "test"),
        ("data/train-00000-of-00001/0000001.bin", "fake", "train"),
    ]


def test_damaged_features_are_refused(tmp_path):
    data = pa.table({"image": [b"x"], "label": ["real"]})
    for about in (b"{", b'{"info": 3}', b"{}"):
        marked = data.replace_schema_metadata({"huggingface": about})
        parquet.write_table(marked, tmp_path / "t.parquet")
        with pytest.raises(ManifestError, match="Hugging Face features are invalid"):
            entries("hf-datasets", tmp_path)


@pytest.mark.parametrize(("name", "kind"), [("t.parquet", "Parquet"), ("t.arrow", "Arrow")])
def test_files_that_are_not_what_they_are_called_are_refused(tmp_path, name, kind):
    (tmp_path / name).write_bytes(b"nothing of the kind")
    with pytest.raises(ManifestError, match=f"cannot be read as {kind}"):
        entries("hf-datasets", tmp_path)


def test_an_arrow_file_may_be_of_the_file_format(tmp_path):
    data = pa.table({"image": [b"x"], "label": ["real"]})
    path = str(tmp_path / "t.arrow")
    with pa.OSFile(path, "wb") as file, pa.ipc.new_file(file, data.schema) as writer:
        writer.write_table(data)
    assert [one.label for one in entries("hf-datasets", tmp_path)[0]] == ["real"]


def test_a_table_that_ends_early_lists_what_is_there(tmp_path):
    save(tmp_path, [0] * 9, "fake", "real", inside=True)
    path = tmp_path / "data-00000-of-00001.arrow"
    path.write_bytes(path.read_bytes()[:-300])
    listed, wrong, _ = entries("hf-datasets", tmp_path)
    assert len(listed) == 8
    assert [(one.code, one.row) for one in wrong] == [("bad_table", 9)]
    assert "fetch the file again" in wrong[0].reason


def test_rows_are_read_while_iterating(tmp_path):
    table(tmp_path, "path,label\na.jpg,real\n" + "b,fake\n" * 5)
    rows = iter(open_table(tmp_path / "rows.csv").rows)
    assert next(rows) == (1, {"path": "a.jpg", "label": "real"})
