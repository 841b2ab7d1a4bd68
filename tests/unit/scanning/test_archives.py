"""Tar archives: which members are pictures, odd names, links, damage and bombs."""

import gzip
import io
import tarfile
from functools import partial
from pathlib import Path

import pytest
from PIL import Image

from faceproof.reports.marked_files import write_marked
from faceproof.scanning.archives import Container, tar_items
from faceproof.sources import HEATMAP_MARK
from support.scanning import picture, write_tar

LIMIT = 1_000


def listed(path: Path, *, max_bytes: int = LIMIT):
    """Return the items of an archive and the number of members that were skipped."""
    skipped = []
    container = Container(str(path), path.stat().st_size, 7, partial(path.open, "rb"))
    items = list(tar_items(container, max_bytes=max_bytes, skip=lambda: skipped.append(1)))
    return items, len(skipped)


def name_of(item) -> str:
    return item.source.partition("::")[2]


def test_pictures_are_parts_of_the_archive(tmp_path):
    members = {
        "a/1.png": picture(10),
        "a/1.json": b"{}",
        "2.png": picture(200),
        "noext": picture(3),
    }
    path = write_tar(tmp_path / "s.tar", members)
    items, skipped = listed(path)
    assert [name_of(item) for item in items] == ["a/1.png", "2.png", "noext"]
    assert skipped == 1
    for item in items:
        data = path.read_bytes()[item.offset : item.offset + item.size]
        assert data == members[name_of(item)]
        assert item.modified_ns == 7


@pytest.mark.parametrize("mode", ["w:gz", "w:bz2"])
def test_members_of_a_compressed_archive_carry_their_bytes(tmp_path, mode):
    members = {f"{n}.png": picture(n) for n in range(40)} | {"head": picture(5), "text": b"no"}
    items, skipped = listed(write_tar(tmp_path / "s.tgz", members, mode=mode))
    assert {name_of(item): item.data for item in items} == {
        name: data for name, data in members.items() if name != "text"
    }
    assert skipped == 1


def test_no_more_than_the_limit_is_carried(tmp_path):
    path = write_tar(tmp_path / "s.tgz", {"big.png": bytes(10**7), "b.png": b"b"}, mode="w:gz")
    items, _ = listed(path)
    assert [len(item.data) for item in items] == [LIMIT + 1, 1]


ODD = ["../../etc/up.png", "/root.png", "a\x1b[2J\n.png", "caf\udce9.png", "x" * 300 + ".png"]


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_odd_names_are_only_names(tmp_path, mode):
    path = write_tar(tmp_path / "s.tar", {name: picture(1) for name in ODD}, mode=mode)
    items, _ = listed(path)
    assert [name_of(item) for item in items] == [
        *ODD[:3],
        "caf\\xe9.png",
        ODD[4],
    ]
    assert sorted(tmp_path.rglob("*")) == [path]
    assert all(item.source.encode() for item in items)


def test_links_devices_and_copies_of_other_programs_are_not_pictures(tmp_path):
    path = tmp_path / "s.tar"
    with tarfile.open(path, "w") as archive:
        for number, kind in enumerate((tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE)):
            info = tarfile.TarInfo(f"{number}.png")
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
        for name in ("._a.png", "@eaDir/a.png", "b.png"):
            info = tarfile.TarInfo(name)
            info.size = 1
            archive.addfile(info, io.BytesIO(b"x"))
    items, skipped = listed(path)
    assert [name_of(item) for item in items] == ["b.png"]
    assert skipped == 5


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_what_faceproof_drew_is_not_checked(tmp_path, mode):
    drawn = tmp_path / "drawn.png"
    write_marked(Image.new("RGB", (8, 8)), drawn, HEATMAP_MARK, "face 1")
    files = {"a.png": picture(1), "a-heat.png": drawn.read_bytes(), "b.png": picture(2)}
    items, skipped = listed(write_tar(tmp_path / "s.tar", files, mode=mode))
    assert ([name_of(item) for item in items], skipped) == (["a.png", "b.png"], 1)
    if mode == "w:gz":  # they carry their bytes
        assert [item.data for item in items] == [files["a.png"], files["b.png"]]


def error_of(items) -> str:
    """Return the message of the last item, which has no identity of a picture."""
    code, message = items[-1].error
    assert code == "source_unreadable"
    return message


def test_a_damaged_header_is_not_the_end(tmp_path):
    """tarfile takes it for the end without a word, and what comes after would be lost."""
    path = write_tar(tmp_path / "s.tar", {f"{n}.png": b"x" for n in range(3)})
    data = bytearray(path.read_bytes())
    data[1024:1034] = b"\xff" * 10
    path.write_bytes(data)
    items, _ = listed(path)
    assert [name_of(item) for item in items[:-1]] == ["0.png"]
    assert "after 1 pictures: a header is damaged" in error_of(items)


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_an_archive_cut_short_yields_what_is_there_and_an_error(tmp_path, mode):
    members = {f"{n}.png": picture(n, side=90) for n in range(6)}
    path = write_tar(tmp_path / "s.tar", members, mode=mode)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2] if mode == "w:gz" else data[: 512 * 7 + 100])
    items, _ = listed(path)
    assert "not a whole tar archive after" in error_of(items)


@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_a_header_of_any_size_is_refused_before_it_is_read(tmp_path, compress):
    """A pax header is read whole by tarfile; zeros compress a thousand times."""
    info = tarfile.TarInfo("pax")
    info.type, info.size = tarfile.XHDTYPE, 2**32
    path = tmp_path / "s.tar"
    path.write_bytes(compress(info.tobuf() + bytes(4096)))
    items, _ = listed(path)
    assert "a header claims 4294967296 bytes" in error_of(items)


@pytest.mark.parametrize("head", [b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd"])
def test_other_compressions_are_refused_with_the_remedy(tmp_path, head):
    path = tmp_path / "s.tar"
    path.write_bytes(head + bytes(600))
    items, _ = listed(path)
    assert "pack it as .tar, .tar.gz or .tar.bz2" in error_of(items)


def test_what_is_no_archive_is_an_error(tmp_path):
    path = tmp_path / "s.tar"
    path.write_bytes(b"hello" * 500)
    items, _ = listed(path)
    assert len(items) == 1
    assert error_of(items).startswith(f"{path}: not a whole tar archive after 0 pictures")
