"""Inputs: folders, patterns, lists, containers and addresses."""

import sys
from pathlib import Path

import pytest

pytest.importorskip("pyarrow")

from faceproof.scanning.inputs import Inputs
from support.scanning import picture, write_pictures, write_tar


def sources(*names: object, **options: object) -> list[str]:
    return sorted(item.source for item in Inputs([str(name) for name in names], **options))


def errors(*names: object) -> list[tuple[str, str]]:
    return [item.error for item in Inputs(list(map(str, names))) if item.error]


def test_folders_patterns_and_files(tmp_path):
    paths = write_pictures(tmp_path / "a", 3) + write_pictures(tmp_path / "a" / "b", 2)
    (tmp_path / "a" / "notes.doc").write_text("no")
    inputs = Inputs([str(tmp_path / "a")])
    assert sorted(item.source for item in inputs) == sorted(map(str, paths))
    assert inputs.skipped == 1
    assert sources(tmp_path / "a" / "*.png") == sorted(map(str, paths[:3]))
    assert sources(tmp_path / "**" / "0001.png") == [str(paths[1]), str(paths[4])]
    assert sources(paths[0]) == [str(paths[0])]


def test_a_file_has_its_size_and_time(tmp_path):
    (path,) = write_pictures(tmp_path / "a", 1)
    (item,) = Inputs([str(tmp_path / "a")])
    assert (item.size, item.modified_ns) == (path.stat().st_size, path.stat().st_mtime_ns)


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")
def test_links_are_followed_as_check_does_and_loops_end(tmp_path):
    write_pictures(tmp_path / "outside", 1)
    write_pictures(tmp_path / "in", 1)
    (tmp_path / "in" / "leaves").symlink_to(tmp_path / "outside")
    (tmp_path / "in" / "loop").symlink_to(tmp_path / "in")
    (tmp_path / "in" / "broken.png").symlink_to(tmp_path / "nowhere.png")
    found = [Path(name).relative_to(tmp_path / "in") for name in sources(tmp_path / "in")]
    assert found == [Path("0000.png"), Path("broken.png"), Path("leaves/0000.png")]


def test_containers_are_read_where_they_are_named_not_in_folders(tmp_path):
    write_pictures(tmp_path / "a", 1)
    tar = write_tar(tmp_path / "a" / "s.tar", {"1.png": picture(1)})
    inputs = Inputs([str(tmp_path / "a")])
    assert len(list(inputs)) == inputs.skipped == 1
    assert sources(tar) == sources(tmp_path / "a" / "*.tar") == [f"{tar}::1.png"]


def test_a_list_names_anything_but_lists(tmp_path):
    (first,) = write_pictures(tmp_path / "a", 1)
    write_tar(tmp_path / "s.tar", {"1.png": picture(1)})
    names = tmp_path / "names.txt"
    lines = [str(first), "", str(tmp_path / "s.tar"), "https://example.org/x.txt", str(names)]
    names.write_text("\ufeff" + "\r\n".join(lines), encoding="utf-8")
    found = list(Inputs([str(names)]))
    assert [item.source for item in found] == [
        str(first),
        f"{tmp_path / 's.tar'}::1.png",
        "https://example.org/x.txt",
        str(names),
    ]
    assert found[-1].error[0] == "unsupported_source"
    assert "a list in a list" in found[-1].error[1]


def test_what_is_not_there_is_an_item_with_its_error(tmp_path):
    missing = tmp_path / "missing.png"
    assert sources(missing) == [str(missing)]  # whoever opens it reports it
    assert [code for code, _ in errors(tmp_path / "*.jpg")] == ["source_not_found"]
    (tmp_path / "empty").mkdir()
    assert [code for code, _ in errors(tmp_path / "empty")] == ["source_not_found"]
    for name in ("no.tar", "no.parquet", "no.txt"):
        assert len(errors(tmp_path / name)) == 1, name


def test_a_store_nobody_knows_in_a_list_costs_its_own_row(tmp_path):
    names = tmp_path / "names.txt"
    names.write_text("nonsense://bucket/a.jpg\n")
    ((code, message),) = errors(names)
    assert code == "unsupported_source"
    assert "nonsense:// is not a store" in message


def test_the_order_of_a_folder_takes_no_memory(tmp_path):
    """A listing that sorts would hold the folder: the first item comes before the last is read."""
    write_pictures(tmp_path / "a", 50)
    items = iter(Inputs([str(tmp_path / "a")]))
    next(items)
    for path in sorted((tmp_path / "a").iterdir()):
        path.unlink()
    assert len(list(items)) <= 49
