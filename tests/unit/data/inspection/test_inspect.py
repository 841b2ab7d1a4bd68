"""Each fault on a made-up set that has it, and on one that has not."""

from __future__ import annotations

import hashlib
import io
import math
import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image
from skimage import data

from faceproof.data.inspection.inspect import InspectSpec, inspect
from faceproof.data.inspection.pictures import PictureInspection
from faceproof.data.inspection.record import FAULTS, SEVERITIES, Inspection, parse_failing_kinds
from faceproof.data.inspection.rows import InputManifest
from faceproof.data.manifest import Manifest
from faceproof.data.shortcuts.result import GuiltyFeature, ProbeResult
from faceproof.errors import ManifestError, UnknownChoiceError

ROOT = Path(__file__).parents[4]
SPLIT_OF = ("train", "train", "train", "test")


def digest(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def flipped(phash: str, bits: int) -> str:
    """Return the hash with its last ``bits`` bits changed."""
    return f"{int(phash, 16) ^ (1 << bits) - 1:064x}"


def sound(rows: int = 80) -> pl.DataFrame:
    """Return a set without a fault: pairs of a real and a fake, each pair a group."""
    numbers = range(rows)
    return pl.DataFrame(
        {
            "path": [f"p{n}.jpg" for n in numbers],
            "label": ["real" if n % 2 == 0 else "fake" for n in numbers],
            "generator": ["none" if n % 2 == 0 else "faceswap" for n in numbers],
            "source": "home",
            "split": [SPLIT_OF[n // 2 % 4] for n in numbers],
            "group": [f"g{n // 2}" for n in numbers],
            "sha256": [digest(n) for n in numbers],
            "phash": [digest("looks", n) for n in numbers],
            "width": 256,
            "height": 256,
            "bytes": [9000 + n // 2 for n in numbers],
            "format": "JPEG",
            "jpeg_quality": 75,
            "gender": [("female", "male")[n // 2 % 2] for n in numbers],
        }
    )


def changed(row: int, **values: object) -> pl.DataFrame:
    """Return the sound set with other values in one row."""
    table = sound()
    at = pl.int_range(pl.len()) == row
    return table.with_columns(
        pl.when(at).then(pl.lit(value, table.schema[name])).otherwise(pl.col(name)).alias(name)
        for name, value in values.items()
    )


def of_fakes(**values: object) -> pl.DataFrame:
    """Return the sound set with other values in all fakes."""
    fake = pl.col("label") == "fake"
    return sound().with_columns(
        pl.when(fake)
        .then(pl.lit(value))
        .otherwise(pl.col(name) if name in sound() else None)
        .alias(name)
        for name, value in values.items()
    )


def looked_at(table: pl.DataFrame, *against: pl.DataFrame, near_bits: int = 31) -> Inspection:
    """Return the inspection of a table alone."""
    given, *others = (
        InputManifest(f"m{n}", one, None, "0" * 64) for n, one in enumerate((table, *against))
    )
    return inspect([given], InspectSpec(sample=None, near_bits=near_bits), against=others)


def kinds(found: Inspection) -> set[str]:
    return {fault.kind for fault in found.faults}


def ffhq_numbers(table: pl.DataFrame, bits: int) -> pl.DataFrame:
    """Return the set with two reals of one FFHQ number, in train and test."""
    names = {0: "a/00042.png", 6: "b/00042.png"}
    number = pl.int_range(pl.len())
    path = number.replace_strict(names, default=pl.col("path"), return_dtype=pl.String)
    looks = {6: flipped(table["phash"][0], bits)}
    phash = number.replace_strict(looks, default=pl.col("phash"), return_dtype=pl.String)
    return table.with_columns(path=path, phash=phash)


def test_a_sound_set_has_no_fault():
    assert looked_at(sound()).faults == ()


#: Kind -> a set that has this fault, and no other but those named.
TABLES: dict[str, tuple[pl.DataFrame, set[str]]] = {
    "contract": (changed(3, label="Fake"), set()),
    "leak": (changed(6, phash=flipped(digest("looks", 0), 31)), set()),
    "group": (changed(6, group="g0"), set()),
    "conflict": (changed(3, sha256=digest(0), gender="female"), set()),
    "empty-class": (
        sound().filter((pl.col("split") == "train") | (pl.col("label") == "real")),
        set(),
    ),
    "one-class": (sound().filter(pl.col("label") == "real"), set()),
    "one-sided-source": (changed(0, source="elsewhere"), set()),
    "imbalance": (
        sound().with_columns(weight=pl.when(pl.col("label") == "real").then(4.0).otherwise(1.0)),
        set(),
    ),
    "format": (of_fakes(format="PNG"), set()),
    "demographic": (of_fakes(gender="male"), set()),
    "attribute": (
        sound().with_columns(
            take=pl.when(pl.col("label") == "fake").then(pl.lit("1")).otherwise(pl.lit("0"))
        ),
        set(),
    ),
    "duplicate": (changed(2, sha256=digest(0), gender="female"), set()),
    "contradiction": (changed(2, sha256=digest(0)), {"duplicate"}),
    "near-duplicate": (changed(2, phash=flipped(digest("looks", 0), 5)), set()),
    "pair": (changed(1, phash=flipped(digest("looks", 0), 5)), set()),
    "blank": (changed(0, phash="0" * 64), set()),
    "not-compared": (changed(0, phash=None), set()),
    "small": (changed(0, width=40), set()),
    "ffhq": (ffhq_numbers(sound(), 90), set()),
    "ffhq-unconfirmed": (ffhq_numbers(sound(), 91), set()),
    "ffhq-trained": (of_fakes(generator="stylegan2").with_columns(source=pl.lit("ffhq")), set()),
    "generator": (of_fakes(generator="face-swop"), set()),
    "official-leak": (
        changed(2, sha256=digest(0), gender="female").with_columns(
            split=pl.lit(""), official_split=pl.Series(["a", "a", "b", "b"] * 20)
        ),
        {"duplicate"},
    ),
}
#: What only opened pictures show; see below.
OPENED = {"shortcut", "weak-shortcut", "missing", "unreadable", "changed", "non-face", "dark"}


def test_every_kind_of_fault_is_under_test():
    assert TABLES.keys() | OPENED == FAULTS.keys()


@pytest.mark.parametrize("kind", TABLES)
def test_a_fault_is_found_where_it_is_and_alone(kind):
    table, others = TABLES[kind]
    found = looked_at(table)
    assert kinds(found) == {kind, *others}
    fault = next(one for one in found.faults if one.kind == kind)
    assert fault.count > 0
    assert fault.severity == FAULTS[kind].severity


@pytest.mark.parametrize(
    ("kind", "rows", "detail"),
    [
        ("contract", [4], "label is 'Fake', must be one of real, fake"),
        ("leak", [1, 7], "31 of 256 bits differ"),
        ("conflict", [1, 4], "the same file"),
        ("near-duplicate", [1, 3], "5 of 256 bits differ"),
        ("pair", [1, 2], "5 of 256 bits differ"),
        ("group", [1], "group g0, 3 rows in test and train"),
        ("ffhq", [1, 7], "FFHQ 00042, 90 of 256 bits differ"),
        ("small", [1], "40 x 256 px"),
    ],
)
def test_an_example_names_rows_and_what_is_seen(kind, rows, detail):
    table, _ = TABLES[kind]
    fault = next(one for one in looked_at(table).faults if one.kind == kind)
    example = fault.examples[0]
    assert ([ref.row for ref in example.rows], example.detail) == (rows, detail)
    assert example.rows[0].path == table["path"][rows[0] - 1]


def test_near_is_up_to_the_bits_asked_for():
    table = changed(6, phash=flipped(digest("looks", 0), 31))
    assert kinds(looked_at(table, near_bits=30)) == set()


def test_the_same_file_under_two_labels_is_a_conflict_in_one_group_too():
    assert kinds(looked_at(changed(1, sha256=digest(0), gender="female"))) == {"conflict"}


def test_a_near_duplicate_under_two_labels_is_a_conflict_across_groups():
    found = looked_at(changed(3, phash=flipped(digest("looks", 0), 5)))
    assert kinds(found) == {"conflict"}


def test_the_same_file_in_two_splits_is_a_leak():
    found = looked_at(changed(6, sha256=digest(0), gender="female"))
    assert [(fault.kind, fault.count) for fault in found.faults] == [("leak", 1)]


def test_rows_without_a_split_leak_nowhere():
    table = changed(6, sha256=digest(0), gender="female", group="g0").with_columns(split=pl.lit(""))
    assert kinds(looked_at(table)) == {"duplicate"}


def test_a_near_duplicate_without_a_split_leaks_nowhere():
    found = looked_at(changed(6, phash=flipped(digest("looks", 0), 31), split=""))
    assert kinds(found) == {"near-duplicate"}


def test_what_stands_in_two_manifests_without_splits_is_a_leak():
    table = sound().with_columns(split=pl.lit(""))
    found = looked_at(table, table[:4])
    assert [(fault.kind, fault.count) for fault in found.faults] == [("leak", 4), ("group", 2)]


def test_parts_tell_how_much_they_share():
    table = changed(6, sha256=digest(0), gender="female")
    near = changed(2, sha256=digest("new"), phash=flipped(digest("looks", 0), 5))[2:3]
    table = pl.concat([table, table[:1], near])
    parts = {(one.first, one.second): one for one in looked_at(table).repeats.parts}
    own = parts["train / real", "train / real"]
    assert (own.same, own.near, own.near_in_group) == (1, 1, 0)
    assert parts["test / real", "train / real"].same == 1


def test_frames_are_not_taken_for_ffhq_photographs():
    frames = sound().with_columns(path=pl.format("{}/00001.png", pl.int_range(pl.len())))
    assert looked_at(frames).ffhq.numbered == 0


def test_ffhq_parts_are_counted():
    names = [f"{number:05d}.png" for number in (0, 1, 59_999, 2, 60_000, 3, 69_999, 4, 70_000)]
    table = sound(9).with_columns(path=pl.Series(names))
    found = looked_at(table).ffhq
    assert (found.training_part, found.validation_part) == (2, 2)


def test_a_leak_from_another_manifest_is_found_by_file_looks_group_and_number():
    other = sound().with_columns(
        path=pl.format("other{}.jpg", pl.int_range(pl.len())),
        split=pl.lit("train"),
        group=pl.format("o{}", pl.int_range(pl.len())),
        sha256=pl.Series([digest("other", n) for n in range(80)]),
        phash=pl.Series([digest("other looks", n) for n in range(80)]),
    )
    mine = sound().with_columns(split=pl.lit("test"))
    assert kinds(looked_at(mine, other)) == set()
    same = other.with_columns(sha256=pl.Series([digest(5), *other["sha256"][1:]]))
    near = other.with_columns(
        phash=pl.Series([flipped(digest("looks", 5), 9), *other["phash"][1:]])
    )
    group = other.with_columns(group=pl.Series(["g7", *other["group"][1:]]))
    for table, kind, rows in (
        (same, "leak", [6, 1]),
        (near, "leak", [6, 1]),
        (group, "group", [15, 1]),
    ):
        found = looked_at(mine, table)
        assert kinds(found) == {kind}
        assert [(ref.manifest, ref.row) for ref in found.faults[0].examples[0].rows] == [
            (0, rows[0]),
            (1, rows[1]),
        ]
    in_train = looked_at(mine.with_columns(split=pl.lit("train")), same)
    assert kinds(in_train) == set()
    assert [(one.split, one.other_split, one.same) for one in in_train.leaks] == [
        ("train", "train", 1)
    ]


def test_ffhq_numbers_meet_across_manifests():
    path = pl.Series(["00007.png", *sound()["path"][1:]])
    mine = sound().with_columns(path=path, split=pl.lit("test"))
    other = mine.with_columns(
        split=pl.lit("train"),
        group=pl.format("o{}", pl.int_range(pl.len())),
        sha256=pl.Series([digest("other", n) for n in range(80)]),
        phash=pl.Series([flipped(digest("looks", 0), 60), *(digest("x", n) for n in range(79))]),
    )
    found = looked_at(mine, other)
    assert kinds(found) == {"ffhq"}
    assert found.leaks[0].ffhq == 1


def test_all_broken_rows_are_counted_and_all_ways_shown():
    table = changed(3, label="Fake").with_columns(
        split=pl.Series(["dev", "dev", *sound()["split"][2:]])
    )
    fault = looked_at(table).faults[0]
    assert (fault.kind, fault.count) == ("contract", 3)
    assert [example.rows[0].row for example in fault.examples] == [1, 4]


def test_the_contract_is_that_of_the_manifest():
    """What `Manifest` refuses is a fault, and what it takes is none."""
    for path in ("/a.jpg", "../a.jpg", "", r"C:\a.jpg"):
        assert kinds(looked_at(changed(0, path=path))) == {"contract"}
        with pytest.raises(ManifestError):
            Manifest(changed(0, path=path))


def test_a_table_of_wrong_types_is_told_of_and_not_fatal():
    wide = sound().with_columns(label=pl.lit(None), width=pl.Series(["256", "wide"] * 40))
    found = looked_at(wide)
    assert {"contract", "one-class"} <= kinds(found)
    contract = next(fault for fault in found.faults if fault.kind == "contract")
    assert contract.count == 80
    assert [example.detail for example in contract.examples][
        -1
    ] == "width is 'wide', must be a number"


def test_a_column_that_is_no_text_breaks_the_contract():
    found = looked_at(sound().with_columns(notes=pl.Series([["x"]] * 80)))
    assert kinds(found) == {"contract"}
    assert "column 'notes' has type List(String)" in found.faults[0].examples[0].detail


def test_an_empty_manifest_is_refused():
    with pytest.raises(ManifestError, match="m0 has no rows"):
        looked_at(sound()[:0])


def test_faults_come_errors_first():
    severities = [
        fault.severity for fault in looked_at(changed(3, label="Fake", phash=None)).faults
    ]
    assert severities == sorted(severities, key=SEVERITIES.index)
    assert len(set(severities)) == 2


@pytest.mark.parametrize("word", ["leek", "errors", "all"])
def test_an_unknown_fault_is_refused_with_the_nearest(word):
    with pytest.raises(UnknownChoiceError, match="Choices: error, warning, note, any, contract"):
        parse_failing_kinds(f"conflict,{word}")


def test_the_nearest_fault_is_named():
    with pytest.raises(UnknownChoiceError, match="unknown fault 'leek', did you mean 'leak'"):
        parse_failing_kinds("leek")


def test_a_severity_stands_for_what_is_graver_too():
    assert "leak" in parse_failing_kinds("warning")
    assert parse_failing_kinds("leak") == {"leak", "group", "ffhq", "official-leak"}
    assert "imbalance" in parse_failing_kinds("warning")
    assert "pair" not in parse_failing_kinds("warning")
    assert parse_failing_kinds("any") == FAULTS.keys()
    assert parse_failing_kinds("") == frozenset()


@pytest.mark.parametrize("kind", FAULTS)
def test_meaning_and_remedy_are_one_sentence_each(kind):
    for sentence in (FAULTS[kind].meaning, FAULTS[kind].remedy):
        assert re.fullmatch(r"[A-Z][^.!?]*\.", sentence), sentence


def test_the_reference_lists_every_fault():
    """docs/reference/faults.md has the table's rows word for word."""
    text = (ROOT / "docs" / "reference" / "faults.md").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    assert rows == [
        f"| `{kind}` | {of.severity} | {of.meaning} | {of.remedy} |" for kind, of in FAULTS.items()
    ]


def probed(low: float) -> ProbeResult:
    whole = {"auc": (low + 1) / 2, "low": low, "high": 1.0}
    guilty = GuiltyFeature(
        feature="bytes", family="file", importance=0.1, says="files are longer", **whole
    )
    return ProbeResult(
        n_real=9, n_fake=9, groups=9, folds=3, seed=0, families=(), guilty=(guilty,), **whole
    )


@pytest.mark.parametrize(
    ("low", "expected"), [(0.59, []), (0.61, ["weak-shortcut"]), (0.76, ["shortcut"])]
)
def test_a_shortcut_is_as_grave_as_the_lower_end_of_its_interval(low, expected):
    found = list(PictureInspection(shortcut=probed(low)).faults(sound()))
    assert [fault.kind for fault in found] == expected
    assert all("files are longer" in fault.message for fault in found)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> InputManifest:
    """Nine pictures, five of which are in trouble."""
    root = tmp_path_factory.mktemp("pictures")
    face = Image.fromarray(data.astronaut()[:256, 90:346])
    noise = np.random.default_rng(0).integers(0, 255, (256, 256, 3), np.uint8)
    pictures = {
        "a.jpg": saved(face),
        "b.jpg": saved(face.crop((10, 0, 246, 236))),
        "c.jpg": saved(face.transpose(Image.Transpose.FLIP_LEFT_RIGHT)),
        "noise.jpg": saved(Image.fromarray(noise)),
        "night.jpg": saved(face.point(lambda value: value // 8)),
        "cut.jpg": saved(face)[:3000],
        "other.jpg": saved(face.rotate(3)),
        "longer.jpg": saved(face.rotate(-3)),
    }
    for name, content in pictures.items():
        (root / name).write_bytes(content)
    names = [*pictures, "gone.jpg"]
    digests = [hashlib.sha256(pictures.get(name, b"")).hexdigest() for name in names]
    digests[names.index("other.jpg")] = digest("another")
    table = sound(len(names)).with_columns(
        path=pl.Series(names),
        sha256=pl.Series(digests),
        phash=pl.lit(None, pl.String),
        width=None,
        bytes=pl.Series([len(pictures.get(name, "")) + (name == "longer.jpg") for name in names]),
    )
    return InputManifest("m", table, root, "0" * 64)


def saved(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=90)
    return file.getvalue()


@pytest.fixture(scope="module")
def opened(folder: InputManifest) -> Inspection:
    return inspect([folder], InspectSpec(sample=0))


@pytest.mark.parametrize(
    ("kind", "names", "detail"),
    [
        ("missing", ["gone.jpg"], "no such file"),
        ("unreadable", ["cut.jpg"], "truncated_picture: "),
        ("changed", ["other.jpg"], "its sha256 differs from the manifest's"),
        ("non-face", ["noise.jpg"], ""),
        ("dark", ["night.jpg"], "mean brightness "),
    ],
)
def test_pictures_in_trouble_are_named(opened, kind, names, detail):
    fault = next(one for one in opened.faults if one.kind == kind)
    shown = [(example.rows[0].path, example.detail) for example in fault.examples]
    assert [path for path, _ in shown] == names
    assert shown[0][1].startswith(detail)


def test_what_was_opened_is_counted(opened):
    sample = opened.sample
    assert (sample.n, sample.rows, sample.unreadable, sample.without_face) == (9, 9, 2, 1)


def test_facts_that_a_manifest_lacks_are_measured(opened):
    """Seven of nine can be read; their looks and widths come from the pictures."""
    assert opened.repeats.compared == 7
    widths = {one.value for fact in opened.facts if fact.name == "size" for one in fact.levels}
    assert {"256 x 256", "236 x 256"} <= widths


def test_every_picture_is_looked_for_even_where_few_are_opened(folder):
    found = inspect([folder], InspectSpec(sample=1, seed=3))
    assert found.sample.n == 1
    assert "missing" in kinds(found)
    longer = next(one for one in found.faults if one.kind == "changed")
    assert [example.rows[0].path for example in longer.examples] == ["longer.jpg"]


def test_a_path_that_leads_out_of_the_folder_is_not_followed(folder):
    (folder.root.parent / "secret.jpg").write_bytes((folder.root / "a.jpg").read_bytes())
    table = folder.table.with_columns(path=pl.Series(["../secret.jpg", *folder.table["path"][1:]]))
    found = inspect([InputManifest("m", table, folder.root, "0" * 64)], InspectSpec(sample=0))
    assert "contract" in kinds(found)
    assert found.sample.n == 8
    assert "secret" not in str([sheet.tiles for sheet in found.sheets])


def test_a_sheet_shows_each_class_and_what_is_in_trouble(opened):
    titles = {sheet.name for sheet in opened.sheets}
    assert {"sample", "non-face", "darkest", "smallest"} <= titles
    darkest = next(sheet for sheet in opened.sheets if sheet.name == "darkest")
    assert darkest.tiles[0].at.path == "night.jpg"


def test_an_inspection_is_read_back_as_it_was_written(opened, tmp_path):
    opened.write(tmp_path / "found.json")
    assert Inspection.read(tmp_path / "found.json") == opened


def test_figures_are_the_same_twice(folder, opened):
    assert inspect([folder], InspectSpec(sample=0)) == opened
    assert not math.isnan(opened.sample.n)
