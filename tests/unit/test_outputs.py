"""Outputs: whole or not there, and never an input or a picture."""

from __future__ import annotations

import errno
import os
import stat
import sys
import threading
from pathlib import Path

import pytest
from PIL import Image

from faceproof.errors import UsageError
from faceproof.outputs import atomic_write, refuse_overwriting, write_text
from faceproof.records import Record

needs_links = pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")
needs_posix = pytest.mark.skipif(os.name == "nt", reason="devices and pipes of POSIX")


class TestAtomicWrite:
    def test_after_an_error_nothing_is_left_of_the_new_one(self, tmp_path):
        def break_off() -> None:
            with atomic_write(tmp_path / "last.pt") as file:
                file.write(b"ne")
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            break_off()
        assert list(tmp_path.iterdir()) == []

    def test_the_new_file_takes_the_place_of_the_old_one(self, tmp_path):
        for content in (b"old", b"new"):
            with atomic_write(tmp_path / "file.json") as file:
                file.write(content)
        assert (tmp_path / "file.json").read_bytes() == b"new"
        assert [path.name for path in tmp_path.iterdir()] == ["file.json"]

    def test_after_an_error_the_old_file_is_there(self, tmp_path):
        def break_off() -> None:
            with atomic_write(tmp_path / "last.pt") as file:
                file.write(b"ne")
                raise ZeroDivisionError

        (tmp_path / "last.pt").write_bytes(b"old")
        with pytest.raises(ZeroDivisionError):
            break_off()
        assert (tmp_path / "last.pt").read_bytes() == b"old"

    def test_while_it_is_written_the_old_file_is_there(self, tmp_path):
        (tmp_path / "last.pt").write_bytes(b"old")
        with atomic_write(tmp_path / "last.pt") as file:
            file.write(b"new")
            file.flush()
            assert (tmp_path / "last.pt").read_bytes() == b"old"

    def test_a_private_file_was_never_open_to_others(self, tmp_path):
        place = tmp_path / "keys.json"
        place.write_bytes(b"old")
        stale = tmp_path / ".keys.json.part"
        stale.write_bytes(b"left by a killed process")
        stale.chmod(0o666)
        with atomic_write(place, private=True, locked=True) as file:
            if os.name != "nt":
                assert stat.S_IMODE(stale.stat().st_mode) == 0o600
            file.write(b"secret")
        assert place.read_bytes() == b"secret"
        assert [path.name for path in tmp_path.iterdir()] == ["keys.json"]

    @pytest.mark.skipif(os.name == "nt", reason="Windows has no descriptor of a folder")
    def test_file_and_folder_reach_the_disk_in_this_order(self, tmp_path, monkeypatch):
        kinds = []

        def note(descriptor: int) -> None:
            mode = os.fstat(descriptor).st_mode
            kinds.append((stat.S_ISDIR(mode), (tmp_path / "file").exists()))

        monkeypatch.setattr(os, "fsync", note)
        with atomic_write(tmp_path / "file") as file:
            file.write(b"new")
        assert kinds == [(False, False), (True, True)]
        with atomic_write(tmp_path / "file", sync=False) as file:
            file.write(b"newer")
        assert len(kinds) == 2

    def test_a_folder_that_cannot_be_synced_is_no_error(self, tmp_path, monkeypatch):
        def refuse(descriptor: int) -> None:
            if stat.S_ISDIR(os.fstat(descriptor).st_mode):
                raise OSError(errno.EINVAL, "Invalid argument")

        monkeypatch.setattr(os, "fsync", refuse)
        with atomic_write(tmp_path / "file") as file:
            file.write(b"new")
        assert (tmp_path / "file").read_bytes() == b"new"

    @needs_links
    def test_a_link_stays_and_its_target_is_replaced(self, tmp_path):
        target, link = tmp_path / "target.json", tmp_path / "link.json"
        target.write_text("old")
        link.symlink_to(target)
        write_text(link, "new")
        assert link.is_symlink()
        assert target.read_text() == "new"

    @needs_posix
    def test_a_device_is_written_to_and_not_replaced(self):
        with pytest.raises(OSError, match="No space left"):
            write_text(Path("/dev/full"), "new")
        write_text(Path(os.devnull), "new")
        assert not Path("/dev/full").is_file()
        assert not Path(os.devnull).is_file()

    @needs_posix
    def test_the_new_file_has_the_permissions_of_the_old_one(self, tmp_path):
        place = tmp_path / "file"
        place.write_text("old")
        place.chmod(0o640)
        write_text(place, "new")
        assert stat.S_IMODE(place.stat().st_mode) == 0o640

    def test_several_writers_of_one_file_do_not_meet(self, tmp_path):
        """Two runs into one heat-map folder used one temporary file, and one of them failed."""
        ready, failed = threading.Barrier(4), []

        def write(number: int) -> None:
            try:
                with atomic_write(tmp_path / "map.png") as file:
                    ready.wait(30)
                    file.write(bytes([number]) * 1000)
            except OSError as error:
                failed.append(error)

        threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failed == []
        assert [path.name for path in tmp_path.iterdir()] == ["map.png"]
        content = (tmp_path / "map.png").read_bytes()
        assert (len(content), len(set(content))) == (1000, 1)


class _Note(Record):
    text: str


def test_a_record_is_written_whole_and_read_with_a_byte_order_mark(tmp_path, monkeypatch):
    file = tmp_path / "note.json"
    _Note(text="é").write(file)
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    assert _Note.read(file).text == "é"

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        _Note(text="new").write(file)
    assert _Note.read(file).text == "é"


class TestRefuseOverwriting:
    @pytest.fixture
    def table(self, tmp_path) -> Path:
        path = tmp_path / "t.csv"
        path.write_text("path,label\n")
        return path

    def test_an_input_is_refused(self, table):
        with pytest.raises(UsageError, match=r"^--output .*t\.csv would overwrite the input "):
            refuse_overwriting({"--output": table}, [table])

    def test_other_names_of_the_input_are_refused(self, table, monkeypatch):
        monkeypatch.chdir(table.parent)
        os.link(table, "hard.csv")
        for name in ("t.csv", "./t.csv", "hard.csv"):
            with pytest.raises(UsageError, match="would overwrite the input"):
                refuse_overwriting({"-o": Path(name)}, [table])

    @needs_links
    def test_a_link_to_the_input_is_refused(self, table):
        link = table.with_name("link.csv")
        link.symlink_to(table)
        with pytest.raises(UsageError, match="would overwrite the input"):
            refuse_overwriting({"--output": link}, [table])
        with pytest.raises(UsageError, match="would overwrite the input"):
            refuse_overwriting({"--output": table}, [link])

    def test_an_open_input_is_refused(self, table):
        with table.open("rb") as file, pytest.raises(UsageError, match="input standard input"):
            refuse_overwriting({"-o": table}, descriptors={file.fileno(): "standard input"})

    def test_two_outputs_in_one_file_are_refused(self, tmp_path):
        same = tmp_path / "new.html"
        with pytest.raises(UsageError, match="is the file of --output too"):
            refuse_overwriting({"--output": same, "--report": tmp_path / "." / "new.html"})

    @pytest.mark.parametrize("name", ["new.jpg", "new.HEIC", "old.txt"])
    def test_a_picture_is_refused_by_its_name_or_its_content(self, tmp_path, name):
        Image.new("RGB", (8, 8)).save(tmp_path / "old.txt", "PNG")
        before = (tmp_path / "old.txt").read_bytes()
        with pytest.raises(UsageError, match="picture"):
            refuse_overwriting({"--output": tmp_path / name})
        assert (tmp_path / "old.txt").read_bytes() == before

    def test_a_new_file_and_an_old_result_are_accepted(self, tmp_path, table):
        old = tmp_path / "old.json"
        old.write_text("[]")
        refuse_overwriting(
            {"--output": old, "--report": tmp_path / "new.html", "--problems": None},
            [table, "nowhere.jpg", "https://example.org/a.jpg", "-"],
        )
