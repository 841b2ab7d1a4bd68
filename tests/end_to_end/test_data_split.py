"""faceproof data split as its users meet it: files, tables, messages and exit codes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import polars as pl
import pytest
from typer.testing import CliRunner

from faceproof.cli import app
from faceproof.data.manifest import SPLITS, Manifest
from faceproof.data.manifest_files import read_manifest, write_manifest
from faceproof.data.splitting.protocols import read_index


class Answer(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def split(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Answer]:
    """Run the verb in a folder of its own."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> Answer:
        done = CliRunner().invoke(app, ["data", "split", *arguments])
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return Answer(done.exit_code, done.stdout, done.stderr)

    return run


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def table(count: int, start: int = 0, source: str = "shop", **known: str) -> pl.DataFrame:
    rows = [
        {
            "path": f"{source}/{number:04}.jpg",
            "label": "fake" if number % 2 else "real",
            "generator": ("none", "gan", "none", "swap")[number % 4],
            "source": source,
            "split": "",
            "group": f"{source} {number}",
            "sha256": digest(f"{source} {number}"),
            "phash": digest(f"p{source} {number}"),
            "gender": "f" if number % 3 else "m",
        }
        | known
        for number in range(start, start + count)
    ]
    return pl.DataFrame(rows)


def write(path: str, *tables: pl.DataFrame) -> None:
    write_manifest(Manifest(pl.concat(tables), root=Path(path).parent), Path(path))


def splits(path: str) -> dict[str, str]:
    return dict(read_manifest(Path(path)).table["path", "split"].iter_rows())


def test_a_set_is_split_and_told(split):
    write("all.parquet", table(400))
    answer = split("all.parquet", "-o", "out.parquet", "--by", "gender")
    following = "next: faceproof data prepare out.parquet -o prepared\n"
    assert (answer.code, answer.err) == (0, following)
    counts = read_manifest(Path("out.parquet")).counts()
    assert sum(counts.values()) == 400
    assert counts["test"] == pytest.approx(48, abs=4)
    lines = answer.out.splitlines()
    assert lines[:2] == [
        "400 rows, 0 of which had their split before",
        "400 clusters, the largest of 1 rows; near-duplicates joined 0 rows",
    ]
    rows = {words[0]: words[1:] for line in lines if (words := line.split())}
    assert rows["label"] == [*SPLITS, "none", "all"]
    assert rows["real"][-2:] == rows["fake"][-2:] == ["0", "200"]
    assert rows["gan"][-1] == rows["swap"][-1] == "100"
    assert [sum(int(rows[c][n]) for c in ("real", "fake")) for n in range(4)] == list(
        counts.values()
    )
    assert lines[-1].startswith("largest deviation from the wanted shares: ")
    assert float(lines[-1].split()[6]) < 3


def test_several_manifests_are_one_set(split):
    Path("one").mkdir()
    write("one/a.parquet", table(40))
    write("b.parquet", table(30, source="street"))
    assert split("one/a.parquet", "b.parquet", "-o", "out.parquet").code == 0
    assert set(splits("out.parquet")) == {
        *(f"one/shop/{number:04}.jpg" for number in range(40)),
        *(f"street/{number:04}.jpg" for number in range(30)),
    }


def test_what_was_split_stays_when_rows_come(split):
    write("some.parquet", table(100))
    assert split("some.parquet", "-o", "out.parquet").code == 0
    before = splits("out.parquet")
    write("more.parquet", table(160))
    answer = split("more.parquet", "-o", "out.parquet", "--seed", "5")
    after = splits("out.parquet")
    assert {path: after[path] for path in before} == before
    assert answer.out.startswith("160 rows, 100 of which had their split before")
    answer = split("more.parquet", "-o", "new.parquet", "--seed", "5", "--keep", "out.parquet")
    assert splits("new.parquet") == after
    answer = split("more.parquet", "-o", "out.parquet", "--seed", "5", "--anew")
    assert answer.out.startswith("160 rows, 0 of which")
    assert splits("out.parquet") != after


def test_a_bridge_is_named_and_fails_the_run(split):
    bridge = table(1, start=50, group="shop 0", sha256=digest("shop 1"))
    write("old.parquet", table(1, split="train"), table(1, start=1, split="test"))
    write("new.parquet", bridge, table(4, start=60))
    answer = split("old.parquet", "new.parquet", "-o", "out.parquet")
    assert answer.code == 1
    output = "its group is in train, the row itself in test: excluded"
    assert f"shop/0050.jpg: {output}" in answer.err
    assert [path for path, name in splits("out.parquet").items() if not name] == ["shop/0050.jpg"]


def test_very_many_bridges_are_counted(split):
    near = [table(1, n, phash="0" * 64, group=f"n{n}") for n in range(10, 40)]
    old = [table(1, n, phash="0" * 64, split=name) for n, name in ((0, "train"), (2, "test"))]
    write("all.parquet", *old, *near)
    answer = split("all.parquet", "-o", "out.parquet")
    assert answer.code == 1
    assert answer.err.count("connects train and test: excluded") == 20
    assert "and 10 more rows without a split" in answer.err
    assert "2 rows already leak" in answer.err


def test_protocols_are_written_beside_it(split):
    write("all.parquet", table(200), table(200, source="street"))
    answer = split("all.parquet", "-o", "out.parquet", "--protocols", "protocols")
    assert answer.code == 0
    assert answer.out.endswith("\n4 protocols in protocols\n")
    index = read_index(Path("protocols"))
    assert index.data_sha256 == read_manifest(Path("out.parquet")).sha256
    found = read_manifest(Path("protocols", "leave-one-source-out-street.csv"))
    assert set(found.table.filter(split="test")["source"]) == {"street"}


def test_a_protocol_that_cannot_be_is_told(split):
    write("all.parquet", table(40))
    answer = split("all.parquet", "-o", "out.parquet", "--protocols", "protocols")
    assert answer.code == 0
    assert "no protocol without source shop: no real row is left in train" in answer.err


def test_a_manifest_that_leaks_can_be_split_anew_only(split):
    leaking = pl.concat([table(2, group="one"), table(20, start=2)])
    leaking = leaking.with_columns(split=pl.Series(["train", "test", *[""] * 20]))
    leaking.write_parquet("leaking.parquet")
    answer = split("leaking.parquet", "-o", "out.parquet")
    assert answer.code == 1
    assert "group one occurs in test and train" in answer.err
    assert "--anew" in answer.err
    assert not Path("out.parquet").exists()
    assert split("leaking.parquet", "-o", "out.parquet", "--anew").code == 0
    assert len({splits("out.parquet")[f"shop/{n:04}.jpg"] for n in range(2)}) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--shares", "train=0.5,test=0.4"], "sum of the shares is 0.9, must be 1"),
        (["--shares", "train=0.5,tset=0.5"], "did you mean 'test'"),
        (["--by", "gendre"], "did you mean 'gender'"),
        (["--near-bits", "257"], "256"),
        (["-o", "nowhere/out.parquet"], "nowhere is not a folder"),
    ],
)
def test_wrong_usage_is_told(split, arguments, message):
    write("all.parquet", table(4))
    answer = split("all.parquet", "-o", "out.parquet", *arguments)
    assert answer.code == 2
    assert message in answer.err
    assert not Path("out.parquet").exists()


def test_a_missing_older_manifest_is_told(split):
    write("all.parquet", table(4))
    answer = split("all.parquet", "-o", "out.parquet", "--keep", "old.parquet")
    assert answer.code == 1
    assert "old.parquet cannot be read" in answer.err
