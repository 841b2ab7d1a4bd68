"""From what a layout lists to a manifest: nothing lost, nothing leaked, nothing made up."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from pathlib import Path

import av
import pytest
from PIL import Image
from skimage import data

from faceproof.data.importing import import_data as importing
from faceproof.data.importing import measure as import_table
from faceproof.data.importing.import_data import ImportSpec, ImportSummary, import_data, summarise
from faceproof.data.layouts import LAYOUTS
from faceproof.data.layouts.listing import Entry, ListedFile, ListingOptions, ListingProblem, Note
from faceproof.data.manifest import CONTRACT
from faceproof.data.manifest_files import read_manifest, write_manifest
from faceproof.errors import SourceNotFoundError, UnknownChoiceError, UsageError

ASTRONAUT = data.astronaut()


def file(number: int = 0, kind: str = "JPEG", **options: object) -> bytes:
    """The bytes of a small picture, another for every number."""
    made = io.BytesIO()
    Image.fromarray(ASTRONAUT[number : number + 40, :48]).save(made, kind, **options)
    return made.getvalue()


def real(path: str, **fields: object) -> ListedFile:
    return ListedFile(path, **({"label": "real", "generator": "none", "group": path} | fields))


def fake(path: str, **fields: object) -> ListedFile:
    return ListedFile(path, **({"label": "fake", "generator": "stylegan2", "group": path} | fields))


def video(path: Path) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.gop_size, stream.bit_rate = 5, 2_000_000
        for number in range(20):
            frame = av.VideoFrame.from_ndarray(ASTRONAUT[number : number + 48, :64], format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A folder with the pictures 0.jpg to 9.jpg."""
    folder = tmp_path / "faces"
    folder.mkdir()
    for number in range(10):
        (folder / f"{number}.jpg").write_bytes(file(number))
    return folder


@pytest.fixture
def imported(source, tmp_path, monkeypatch):
    """Import the source as a list of entries, which stands in the place of a layout's."""

    def run(*entries: Entry, tell=lambda _: None, advance=lambda _: None, **fields: object):
        def layout(folder: Path, options: ListingOptions) -> Iterator[Entry]:
            yield from entries

        monkeypatch.setitem(LAYOUTS, "made-up", layout)
        spec = ImportSpec(
            **({"layout": "made-up", "name": "us", "extract": tmp_path / "out"} | fields)
        )
        return import_data(source, spec, tell=tell, advance=advance)

    return run


def column(result, name: str) -> list[object]:
    return result.manifest.table[name].to_list()


# rows


def test_a_row_has_what_was_listed_and_what_was_measured(imported, source):
    (source / "sub").mkdir()
    (source / "sub" / "a.png").write_bytes(file(3, "PNG"))
    result = imported(
        real("0.jpg", group="ann", split="train", attributes={"age": "31"}),
        fake("sub/a.png", attributes={"gender": "female"}),
    )
    first, second = result.manifest.table.to_dicts()
    assert [first[name] for name in ("path", "label", "generator", "source", "split", "group")] == [
        *("0.jpg", "real", "none", "us", "train", "us/ann")
    ]
    assert (first["width"], first["height"], first["format"]) == (48, 40, "JPEG")
    assert (first["jpeg_quality"], first["bytes"]) == (75, len(file(0)))
    assert len(first["phash"]) == len(first["sha256"]) == 64
    assert (second["format"], second["jpeg_quality"]) == ("PNG", None)
    assert (second["path"], second["group"]) == ("sub/a.png", "us/sub/a.png")
    assert column(result, "age") == ["31", ""]
    assert column(result, "gender") == ["", "female"]
    assert result.manifest.root == source
    assert result.problems == result.notes == ()


@pytest.mark.parametrize("workers", [0, 1, 4])
def test_rows_stand_in_the_order_of_the_list_however_many_read(imported, workers, monkeypatch):
    monkeypatch.setattr(import_table, "_CHUNK_ROWS", 3)
    listed = [real(f"{number}.jpg", attributes={str(number): "x"}) for number in range(10)]
    result = imported(*listed, workers=workers)
    assert column(result, "path") == [item.path for item in listed]
    assert [column(result, str(n))[n] for n in range(10)] == ["x"] * 10
    assert result.manifest.attribute_columns == tuple(map(str, range(10)))


def test_an_attribute_cannot_take_the_place_of_a_column(imported):
    result = imported(real("0.jpg", attributes={"width": "9", "sha256": "x", "official_split": ""}))
    assert column(result, "width") == [48]
    assert column(result, "table_width") == ["9"]
    assert column(result, "table_sha256") == ["x"]


def test_written_and_read_again_it_is_the_same(imported, tmp_path):
    manifest = imported(real("0.jpg"), fake("1.jpg", attributes={"a": "b"})).manifest
    write_manifest(manifest, tmp_path / "m.parquet")
    again = read_manifest(tmp_path / "m.parquet")
    assert again == manifest
    assert again.picture_path("0.jpg").read_bytes() == file(0)


# problems


@pytest.mark.parametrize(
    ("content", "code", "reason"),
    [
        (b"", "empty_file", "the file is empty; fetch the file again"),
        (file()[:-200], "truncated_picture", "of the picture are missing; fetch"),
        (b"%PDF-1.7" + bytes(100), "mislabelled_file", "it is a PDF"),
        (b"hello " * 50, "mislabelled_file", "its name ends in .jpg"),
        (None, "source_not_found", "no such file; fetch the missing files"),
    ],
)
def test_what_cannot_be_read_is_a_problem_and_the_rest_is_a_row(
    imported, source, content, code, reason
):
    if content is not None:
        (source / "bad.jpg").write_bytes(content)
    result = imported(real("0.jpg"), real("bad.jpg"), real("1.jpg"))
    assert column(result, "path") == ["0.jpg", "1.jpg"]
    (problem,) = result.problems
    assert (problem.path, problem.code) == ("bad.jpg", code)
    assert reason.lower() in problem.reason.lower()
    assert "bad.jpg" not in problem.reason


@pytest.mark.parametrize(
    ("entry", "code"),
    [
        (real("caf\udce9.jpg"), "name_not_utf8"),
        (real("../secret.jpg"), "path_escapes"),
        (real("/etc/secret.jpg"), "path_escapes"),
        (real("0.jpg", generator="stylegan2"), "manifest"),
        (fake("0.jpg", generator="none"), "manifest"),
        (fake("0.jpg", label="forged"), "manifest"),
    ],
)
def test_what_can_be_no_row_is_a_problem(imported, entry, code):
    result = imported(real("1.jpg"), entry)
    assert column(result, "path") == ["1.jpg"]
    assert [problem.code for problem in result.problems] == [code]
    assert result.problems[0].path.isprintable()


def test_problems_of_the_layout_are_kept_in_order(imported):
    first, last = (
        ListingProblem("x", "unknown_label", "why", 7),
        ListingProblem("z", "missing_file", "why"),
    )
    assert imported(first, real("0.jpg"), real("y.jpg"), last).problems[::2] == (first, last)


def test_all_broken_is_an_empty_manifest_with_its_problems(imported):
    result = imported(real("a.jpg"), real("b.jpg"))
    assert (len(result.manifest), len(result.problems)) == (0, 2)
    assert set(CONTRACT) <= set(result.manifest.table.columns)


def test_every_entry_is_counted_once(imported):
    counted = []
    imported(
        real("0.jpg"),
        Note("n"),
        real("a.jpg"),
        ListingProblem("x", "y", "z"),
        advance=counted.append,
    )
    assert len(counted) == 3


# what is told


def test_notes_are_told_at_once_and_once(imported):
    actual = []
    result = imported(Note("a is real"), real("0.jpg"), Note("a is real"), tell=actual.append)
    assert actual == ["a is real"] == list(result.notes)


def test_an_unknown_generator_is_told_with_the_nearest(imported):
    (note,) = imported(*(fake(f"{n}.jpg", generator="stylegan22") for n in range(5))).notes
    assert "stylegan22" in note
    assert "'stylegan2'" in note


# official splits


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [("valid", "validation"), ("Val", "validation"), ("training", "train"), ("Test", "test")],
)
def test_official_splits_are_kept_in_our_words(imported, theirs, ours):
    result = imported(real("0.jpg", split=theirs), real("1.jpg"))
    assert column(result, "split") == [ours, ""]
    assert "official_split" not in result.manifest.table.columns
    assert result.notes == ()


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([real("0.jpg", split="train"), real("copy.jpg", split="valid")], "1 file occurs in"),
        (
            [
                real(f"{n}.jpg", group=f"g{n // 2}", split=("train", "valid")[n % 2])
                for n in range(4)
            ],
            "2 groups occur in",
        ),
        ([real("0.jpg", split="train"), real("1.jpg", split="fold 3")], "'fold 3'"),
    ],
)
def test_an_official_split_that_leaks_becomes_an_attribute(imported, source, entries, message):
    (source / "copy.jpg").write_bytes(file(0))
    result = imported(*entries)
    assert set(column(result, "split")) == {""}
    assert column(result, "official_split") == [entry.split for entry in entries]
    (note,) = result.notes
    assert message in note
    assert "faceproof data split" in note


def test_copies_within_a_split_or_without_one_are_no_leak(imported, source):
    (source / "copy.jpg").write_bytes(file(0))
    result = imported(real("0.jpg", split="train"), real("copy.jpg", split="train"))
    assert column(result, "split") == ["train", "train"]
    assert column(imported(real("0.jpg"), real("copy.jpg", split="test")), "split") == ["", "test"]


# embedded pictures and videos


def test_embedded_pictures_are_written_as_they_are_with_the_right_suffix(imported, tmp_path):
    jpeg, png = file(1), file(2, "PNG")
    names = ["t/1", "t/v1.5", "t/v1.6.jpg", "t/2.JPEG"]
    files = [jpeg, png, png, jpeg]
    result = imported(
        *(real(name, data=content) for name, content in zip(names, files, strict=True))
    )
    assert column(result, "path") == ["t/1.jpg", "t/v1.5.png", "t/v1.6.png", "t/2.JPEG"]
    assert result.manifest.root == tmp_path / "out"
    written = [result.manifest.picture_path(path).read_bytes() for path in column(result, "path")]
    assert written == files


def test_embedded_pictures_of_one_name_do_not_overwrite_each_other(imported):
    result = imported(*(real(name, data=file(n)) for n, name in enumerate(("a", "A.jpg", "a.png"))))
    paths = column(result, "path")
    assert len({path.lower() for path in paths}) == 3
    found = [result.manifest.picture_path(path).read_bytes() for path in paths]
    assert found == [file(n) for n in range(3)]


def test_an_embedded_picture_that_is_there_is_left_alone(imported, tmp_path):
    one, other = file(1, comment=b"one"), file(1, comment=b"two")
    imported(real("a", data=one))
    written = tmp_path / "out" / "a.jpg"
    os.utime(written, (0, 0))
    imported(real("a", data=one))
    assert written.stat().st_mtime == 0
    imported(real("a", data=other))
    assert written.read_bytes() == other
    assert len(one) == len(other)


def test_an_embedded_picture_that_is_broken_is_a_problem_and_no_file(imported, tmp_path):
    result = imported(real("0.jpg"), real("t/a", data=file()[:200]))
    assert [(one.path, one.code) for one in result.problems] == [("t/a", "truncated_picture")]
    assert not (tmp_path / "out").exists()


def test_a_video_becomes_rows_of_one_group(imported, source, tmp_path):
    (source / "v").mkdir()
    video(source / "v" / "talk.mp4")
    entry = fake("v/talk.mp4", group="ann", video=True, attributes={"method": "swap"})
    result = imported(entry, frames=3, extract=tmp_path / "out")
    assert column(result, "path") == [f"v/talk.mp4/frame-{n:06d}.png" for n in (3, 10, 16)]
    assert set(column(result, "group")) == {"us/ann"}
    assert set(column(result, "video")) == {"v/talk.mp4"}
    assert column(result, "frame") == ["3", "10", "16"]
    assert column(result, "seconds") == ["0.300", "1.000", "1.600"]
    assert set(column(result, "method")) == {"swap"}
    assert (column(result, "width")[0], column(result, "height")[0]) == (64, 48)


def test_a_broken_video_is_a_problem_and_a_cut_one_gives_what_it_has(imported, source):
    (source / "bad.mp4").write_bytes(b"no video" * 100)
    whole = video(source / "cut.mkv").read_bytes()
    (source / "cut.mkv").write_bytes(whole[: len(whole) * 6 // 10])
    result = imported(fake("bad.mp4", video=True), fake("cut.mkv", video=True), frames=4)
    assert 0 < len(result.manifest) < 4
    assert [(one.path, one.code) for one in result.problems] == [
        ("bad.mp4", "unsupported_format"),
        ("cut.mkv", "truncated_picture"),
    ]
    assert "of 4 frames could not be decoded" in result.problems[1].reason
    assert "fetch the file again" in result.problems[1].reason


def test_pictures_in_two_places_are_named_from_the_folder_above_both(imported, source, tmp_path):
    result = imported(real("0.jpg"), real("x", data=file(5)), extract=tmp_path / "e" / "out")
    assert result.manifest.root == tmp_path
    assert column(result, "path") == ["faces/0.jpg", "e/out/x.jpg"]
    assert all(result.manifest.picture_path(path).is_file() for path in column(result, "path"))


def test_a_way_up_to_the_extracted_pictures_does_not_get_into_paths(imported, monkeypatch, source):
    monkeypatch.chdir(source)
    result = imported(real("0.jpg"), real("x", data=file(5)), extract=Path("..") / "out")
    assert column(result, "path") == ["faces/0.jpg", "out/x.jpg"]
    assert all(result.manifest.picture_path(path).is_file() for path in column(result, "path"))


def test_what_was_extracted_into_the_source_is_not_imported_again(imported, source):
    entries = [real("0.jpg"), real("x", data=file(5))]
    result = imported(*entries, extract=source / "out")
    assert column(result, "path") == ["0.jpg", "out/x.jpg"]
    assert result.manifest.root == source
    listed = [*entries, real("out/x.jpg"), ListingProblem("m.parquet", "not_a_picture", "")]
    again = imported(*listed, extract=source / "out", outputs=(source / "m.parquet",))
    assert again.manifest == result.manifest
    assert again.problems == ()


def test_a_folder_that_refuses_to_be_written_is_a_problem_with_its_reason(imported, tmp_path):
    (tmp_path / "out").write_text("a file where a folder should be")
    (problem,) = imported(real("x", data=file()), real("0.jpg")).problems
    assert problem.code == "source_unreadable"
    assert "cannot be written" in problem.reason


# what is refused


def test_a_manifest_in_csv_must_lie_above_its_pictures_and_says_so_at_once(imported, tmp_path):
    read = []
    with pytest.raises(UsageError, match=r"write \.parquet, which stores the"):
        imported(real("0.jpg"), below=tmp_path / "else", advance=read.append)
    assert read == []
    assert len(imported(real("0.jpg"), below=tmp_path).manifest) == 1
    with pytest.raises(UsageError, match="out is not in"):
        imported(real("0", data=file()), below=tmp_path / "faces")


def test_nothing_found_is_refused(imported):
    with pytest.raises(SourceNotFoundError, match="the layout made-up finds no picture there"):
        imported(Note("nothing here"))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere", "no such folder"),
        ("faces/0.jpg", "is a file; give the folder"),
        ("faces.json", r"or a table: \.csv, .* \(JSON: \.jsonl, with one object a line\)"),
        ("https://example.org/set", "does not fetch from URLs"),
    ],
)
def test_a_source_that_cannot_be_listed_is_wrong_usage(
    source, tmp_path, monkeypatch, name, message
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "faces.json").write_text("[]")
    spec = ImportSpec(layout="class-folders", name="us", extract=tmp_path / "out")
    with pytest.raises(UsageError, match=message):
        import_data(Path(name), spec)


def test_an_unknown_layout_names_the_nearest(source, tmp_path):
    spec = ImportSpec(layout="class-folder", name="us", extract=tmp_path / "out")
    with pytest.raises(UnknownChoiceError, match="did you mean 'class-folders'"):
        import_data(source, spec)


def test_ctrl_c_ends_the_import(imported):
    def stop(_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        imported(*(real(f"{n}.jpg") for n in range(10)), advance=stop)


def test_never_more_under_way_than_the_workers_can_take(source, tmp_path, monkeypatch):
    ahead, listed, done = [], [], []

    def layout(folder: Path, options: ListingOptions) -> Iterator[Entry]:
        for number in range(300):
            listed.append(number)
            ahead.append(len(listed) - len(done))
            yield real(f"{number % 10}.jpg")

    monkeypatch.setitem(LAYOUTS, "made-up", layout)
    spec = ImportSpec(layout="made-up", name="us", extract=tmp_path / "out", workers=2)
    import_data(source, spec, advance=done.append)
    assert max(ahead) <= 2 * importing._AHEAD + 1


# the summary


def test_the_summary_lays_the_classes_side_by_side(imported, source):
    (source / "copy.jpg").write_bytes(file(0))
    (source / "large.png").write_bytes(file(0, "PNG"))
    result = imported(
        *(real(f"{n}.jpg", split="train") for n in range(3)),
        real("copy.jpg", split="test"),
        real("0.jpg"),
        fake("large.png", generator="stylegan2"),
        fake("0.jpg", generator="stylegan3"),
        real("gone.jpg"),
    )
    summary = summarise(result, manifest=Path("m.parquet"), source="us", layout="made-up")
    assert (summary.all.pictures, summary.real.pictures, summary.fake.pictures) == (7, 5, 2)
    assert summary.all.generators == {"none": 5, "stylegan2": 1, "stylegan3": 1}
    assert summary.real.official_splits == {"train": 3, "test": 1}
    assert summary.fake.formats == {"JPEG": 1, "PNG": 1}
    assert summary.real.jpeg_qualities == {"75": 5}
    assert summary.fake.jpeg_qualities == {"75": 1}
    assert summary.real.width.model_dump() == {"least": 48, "median": 48.0, "greatest": 48}
    assert summary.doubles.model_dump() == {"files": 3, "paths": 2, "in_both_classes": 1}
    assert summary.problems == {"source_not_found": 1}
    assert summary.sha256 == result.manifest.sha256
    again = ImportSummary.model_validate_json(summary.model_dump_json())
    assert again == summary
    assert '"schema":"faceproof.import/1"' in summary.model_dump_json()


def test_the_summary_of_one_class_has_no_sizes_of_the_other(imported):
    summary = summarise(
        imported(fake("0.jpg")), manifest=Path("m.parquet"), source="us", layout="made-up"
    )
    assert summary.real.width is None
    assert summary.real.formats == {}
