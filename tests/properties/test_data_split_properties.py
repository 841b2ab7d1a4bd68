"""What holds for the splits and protocols of any rows."""

from __future__ import annotations

import hashlib
import string
from collections import defaultdict
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from faceproof.data.manifest import SPLITS, Manifest
from faceproof.data.splitting.protocols import leave_out, write_protocols
from faceproof.data.splitting.split import SplitSpec, divide

UNHURRIED = settings(deadline=None, max_examples=25)  # a busy machine is no fault of a split
FIT = ("train", "validation", "calibration")
COLUMNS = ("path", "label", "generator", "source", "split", "group", "sha256", "phash", "age")

#: Eight scenes, far from each other; a picture is one of them with some of its bits turned.
SCENES = np.random.default_rng(0).integers(0, 256, (8, 32), np.uint8)


def phash_of(file: int, scene: int, turned: int) -> str:
    """Return a scene with four bits turned, a hash like no other, or none."""
    if scene >= len(SCENES):
        return hashlib.sha256(f"scene {file}".encode()).hexdigest() if scene < 28 else ""
    bits = np.zeros(32, np.uint8)
    bits[turned] = 0x0F
    return (SCENES[scene] ^ bits).tobytes().hex()


@st.composite
def manifests(draw, largest=16):
    """Rows that share groups, files and scenes with one another, in more ways than one."""
    count = draw(st.integers(0, largest))
    rows = []
    phashes: dict[int, str] = {}
    for number in range(count):
        scene = draw(st.integers(0, 30))
        turned = draw(st.integers(0, 31))
        generator = draw(st.sampled_from(["none", "none", "a", "b"]))
        file = draw(st.sampled_from([number, number, number, number % 7]))
        phashes.setdefault(file, phash_of(file, scene, turned))  # one file has one hash
        rows.append(
            {
                "path": f"{number}.jpg",
                "label": "real" if generator == "none" else "fake",
                "generator": generator,
                "source": draw(st.sampled_from(["shop", "street"])),
                "split": "",
                "group": draw(st.sampled_from([f"own {number}", f"one of {number % 5}"])),
                "sha256": hashlib.sha256(str(file).encode()).hexdigest(),
                "phash": phashes[file],
                "age": draw(st.sampled_from(["", "young", "old"])),
            }
        )
    return Manifest(pl.DataFrame(rows, schema=dict.fromkeys(COLUMNS, pl.String)))


specs = st.builds(
    SplitSpec,
    seed=st.integers(0, 2**31),
    by=st.sampled_from([(), ("age",)]),
    shares=st.sampled_from(
        [
            {"train": 0.7, "validation": 0.06, "calibration": 0.12, "test": 0.12},
            {"train": 0.5, "test": 0.5},
            {"train": 0.25, "validation": 0.25, "calibration": 0.25, "test": 0.25},
        ]
    ),
)


def splits_of_near(table: pl.DataFrame) -> list[set[str]]:
    """Return, by a comparison of all with all, the splits of every two that belong together."""
    rows = list(table.select("split", "group", "sha256", "phash").iter_rows())
    return [
        {one[0], other[0]} - {""}
        for place, one in enumerate(rows)
        for other in rows[:place]
        if one[1] == other[1]
        or one[2] == other[2]
        or (one[3] and other[3] and (int(one[3], 16) ^ int(other[3], 16)).bit_count() <= 31)
    ]


@UNHURRIED
@given(manifests(), specs)
def test_what_belongs_together_never_stands_in_two_splits(manifest, spec):
    divided = divide(manifest, spec)
    assert set(divided.manifest.table["split"]) <= set(SPLITS)
    before = manifest.table.with_columns(divided.manifest.table["split"])
    assert all(len(splits) <= 1 for splits in splits_of_near(before))
    assert divided.left_out == ()


@UNHURRIED
@given(manifests(), specs)
def test_a_split_split_again_is_the_same(manifest, spec):
    once = divide(manifest, spec).manifest
    assert divide(once, spec).manifest == once
    assert divide(manifest, spec, older=[once]).manifest == once


@UNHURRIED
@given(manifests(), specs, st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(manifest, spec, random):
    order = list(range(len(manifest)))
    random.shuffle(order)
    one = divide(manifest, spec).manifest
    other = divide(Manifest(manifest.table[order]), spec).manifest
    assert other.table.equals(one.table[order])


@UNHURRIED
@given(manifests(), st.integers(0, 16), specs, specs)
def test_added_rows_move_no_old_row_and_leak_nowhere(manifest, many, spec, later):
    """Later with another seed and other shares, and from the older manifest or the rows' own."""
    old = divide(Manifest(manifest.table[:many]), spec).manifest
    new = divide(manifest, later, older=[old]).manifest
    assert new.table["split"][: len(old)].equals(old.table["split"])
    table = manifest.table.with_columns(new.table["split"])
    assert all(len(splits) <= 1 for splits in splits_of_near(table[: len(old)]))
    added = table[len(old) :]
    for place in range(len(added)):
        pair = pl.concat([table[: len(old)], added[place : place + 1]])
        assert all(len(splits) <= 1 for splits in splits_of_near(pair))
    own = pl.concat([old.table.select(COLUMNS), manifest.table.select(COLUMNS)[len(old) :]])
    again = divide(Manifest(own), later).manifest
    assert again.table["split"].equals(new.table["split"])


@UNHURRIED
@given(manifests(), st.integers(0, 16), specs)
def test_only_what_bridges_is_left_out(manifest, many, spec):
    old = divide(Manifest(manifest.table[:many]), spec).manifest
    divided = divide(manifest, spec, older=[old])
    without = divided.manifest.table.filter(pl.col("split") == "")["path"].to_list()
    assert without == [out.path for out in divided.left_out]
    kept = defaultdict(set)
    for root, split in zip(divided.related.joined[: len(old)], old.table["split"], strict=True):
        kept[root].add(split)
    for row in divided.left_out:
        place = divided.manifest.table["path"].index_of(row.path)
        assert len(kept[divided.related.joined[place]]) > 1


@UNHURRIED
@given(st.integers(1, 400), st.integers(0, 2**31))
def test_shares_of_single_rows_are_within_rounding(count, seed):
    rows = [
        (f"{n}.jpg", "real", "none", "shop", "", f"g{n}", hashlib.sha256(b"%d" % n).hexdigest())
        for n in range(count)
    ]
    table = pl.DataFrame(rows, schema=COLUMNS[:7], orient="row")
    spec = SplitSpec(seed=seed)
    counts = divide(Manifest(table), spec).manifest.counts()
    for split, share in spec.shares.items():
        assert abs(counts[split] - share * count) < 3


@UNHURRIED
@given(manifests(), specs)
def test_a_protocol_leaks_nothing_and_leaves_out_what_it_says(manifest, spec):
    divided = divide(manifest, spec).manifest
    for column in ("generator", "source"):
        for value in set(divided.table[column]) - {"none"}:
            table, _ = leave_out(divided.table, column, value)
            Manifest(table)  # refuses a group or file in two splits
            learnt = table.filter(pl.col("split").is_in(FIT))
            assert value not in learnt[column]
            tested = table.filter(split="test")
            others = tested.filter(pl.col(column) != value)
            if column == "source":
                assert others.is_empty()
            else:
                assert set(others["label"]) <= {"real"}
            out = divided.table.filter(pl.col(column) == value)
            assert set(out.filter(split="test")["path"]) <= set(tested["path"])
            rest = divided.table.filter(pl.col("split").is_in(FIT) & (pl.col(column) != value))
            assert learnt.height == rest.height
            assert table["path"].is_unique().all()


@UNHURRIED
@given(manifests(), st.integers(0, 1000), st.text(string.ascii_lowercase, min_size=1, max_size=3))
def test_a_protocols_hash_changes_with_any_row(manifest, at, group):
    divided = divide(manifest, SplitSpec()).manifest
    table, _ = leave_out(divided.table, "source", "shop")
    if table.is_empty():
        return
    row = pl.int_range(pl.len()) == divided.table["path"].index_of(table["path"][at % len(table)])
    changed = divided.table.with_columns(
        path=pl.when(row).then(pl.col("path") + group).otherwise("path")
    )
    with TemporaryDirectory() as folder:
        one, again, other = (
            write_protocols(each, Path(folder) / str(place), SplitSpec())
            for place, each in enumerate((divided, divided, Manifest(changed)))
        )
    assert one == again
    hashes, others = (
        [p.sha256 for p in index.protocols if p.left_out == "shop"] for index in (one, other)
    )
    assert len(hashes) == len(others)
    assert all(a != b for a, b in zip(hashes, others, strict=True))
