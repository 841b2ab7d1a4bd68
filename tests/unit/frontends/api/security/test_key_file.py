"""The file of API keys: whole, closed to others, without secrets; and what writes it."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
import threading
from datetime import timedelta

import pytest
from typer.testing import CliRunner

from faceproof.cli import app
from faceproof.errors import UsageError
from faceproof.frontends.api.security import key_file
from faceproof.frontends.api.security.key_file import create_key, now_utc, read_keys
from support.secured import add_key

SECRET = r"fp_[0-9a-f]{12}_[A-Za-z0-9_-]{43}"


def keys(*words: str, file=None):
    """Run `faceproof keys`."""
    where = [] if file is None else ["--file", str(file)]
    return CliRunner().invoke(app, ["keys", *words, *where])


@pytest.fixture
def file(tmp_path):
    return tmp_path / "keys.json"


def test_a_key_is_256_random_bits_and_its_file_has_their_hash_alone(file):
    secret, identity = add_key(file)
    assert re.fullmatch(SECRET, secret)
    assert secret.split("_")[1] == identity
    written = file.read_text()
    assert secret[16:] not in written
    (kept,) = read_keys(file).keys
    assert kept.sha256 == key_file.hash_key(secret)
    assert len({create_key("n", now=now_utc(), expires=None)[0] for _ in range(100)}) == 100


def test_the_file_is_for_its_owner_alone(file):
    before = os.umask(0)
    try:
        add_key(file)
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        file.chmod(0o640)
        add_key(file)
    finally:
        os.umask(before)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in file.parent.iterdir() if path.suffix == ".json"] == ["keys.json"]


@pytest.mark.parametrize("mode", [0o604, 0o602, 0o601, 0o620, 0o644, 0o666])
def test_a_file_that_is_open_to_others_is_refused(file, mode):
    add_key(file)
    file.chmod(mode)
    with pytest.raises(UsageError, match=rf"accessible to others \(mode {mode:o}\): chmod 600"):
        read_keys(file)


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o640, 0o440])
def test_a_group_may_read_hashes(file, mode):
    add_key(file)
    file.chmod(mode)
    assert len(read_keys(file).keys) == 1


def test_a_file_of_another_user_is_refused(file, monkeypatch):
    add_key(file)
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    mine = os.stat_result((0o100600, 1, 1, 1, 4711, 1, 1, 1, 1, 1))
    theirs = os.stat_result((0o100600, 1, 1, 1, 815, 1, 1, 1, 1, 1))
    monkeypatch.setattr(os, "fstat", lambda _: mine)
    assert read_keys(file)
    monkeypatch.setattr(os, "fstat", lambda _: theirs)
    with pytest.raises(UsageError, match="belongs to another user"):
        read_keys(file)


def test_a_link_is_followed_and_kept_and_its_target_is_looked_at(file, tmp_path):
    link = tmp_path / "link.json"
    add_key(file)
    link.symlink_to(file)
    add_key(link)
    assert link.is_symlink()
    assert len(read_keys(link).keys) == len(read_keys(file).keys) == 2
    file.chmod(0o644)
    with pytest.raises(UsageError, match="accessible to others"):
        read_keys(link)


def test_a_link_to_nothing_a_folder_and_a_pipe_are_refused(tmp_path):
    (tmp_path / "nothing").symlink_to(tmp_path / "gone")
    with pytest.raises(UsageError, match=r"No such file.*keys new"):
        read_keys(tmp_path / "nothing")
    (tmp_path / "folder").mkdir()
    with pytest.raises(UsageError, match=r"directory|regular"):
        read_keys(tmp_path / "folder")
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(UsageError, match="not a regular file"):
        read_keys(tmp_path / "pipe")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: "",
        lambda text: text[: len(text) // 2],
        lambda text: text[1:],
        lambda text: text.replace("faceproof.keys/1", "faceproof.keys/2"),
        lambda text: text.replace('"sha256"', '"md5"'),
        lambda text: text.replace("created", "creatd"),
        lambda text: re.sub(r'"sha256": "\w', '"sha256": "', text),
        lambda text: re.sub(r"(\d\dT[\d:]+)Z", r"\1", text),
        lambda text: "\0" * len(text),
        lambda text: json.dumps({**json.loads(text), "keys": json.loads(text)["keys"] * 2}),
    ],
)
def test_a_damaged_or_half_written_file_is_refused_and_not_repeated(file, spoil):
    add_key(file)
    kept = read_keys(file).keys[0].sha256
    file.write_text(spoil(file.read_text()))
    with pytest.raises(UsageError, match="is malformed at") as refusal:
        read_keys(file)
    assert kept not in str(refusal.value)


def test_a_huge_file_is_not_read(file, monkeypatch):
    add_key(file)
    monkeypatch.setattr(key_file, "LARGEST_FILE", 100)
    with pytest.raises(UsageError, match="larger than 100 bytes"):
        read_keys(file)


def test_a_writer_that_dies_leaves_the_old_file(file, monkeypatch):
    add_key(file)
    before = file.read_bytes()

    def die(_: int) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", die)
    with pytest.raises(OSError, match="no space"):
        add_key(file)
    assert file.read_bytes() == before
    assert {path.name for path in file.parent.iterdir()} == {"keys.json", ".keys.json.lock"}


def test_a_damaged_file_is_not_overwritten(file):
    file.write_text("precious")
    file.chmod(0o600)
    assert keys("new", "--name", "shop", file=file).exit_code == 2
    assert file.read_text() == "precious"


def test_a_reader_sees_the_old_file_or_the_new_one(file):
    add_key(file)
    seen: list[int] = []
    over = threading.Event()

    def read() -> None:
        while not over.is_set():
            seen.append(len(read_keys(file).keys))

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(20):
        add_key(file)
    over.set()
    reader.join()
    assert seen == sorted(seen)
    assert len(read_keys(file).keys) == 21


def test_a_name_is_one_line():
    for name in ("", " shop", "a\nb", "x" * 65, "\x1b[2J"):
        with pytest.raises(UsageError, match="--name"):
            create_key(name, now=now_utc(), expires=None)


def test_new_writes_the_secret_alone_to_standard_output(file):
    output = keys("new", "--name", "web shop", "--days", "30", file=file)
    assert output.exit_code == 0
    assert re.fullmatch(SECRET + "\n", output.stdout)
    assert "not shown again" in output.stderr
    assert output.stdout.strip() not in output.stderr
    (kept,) = read_keys(file).keys
    assert (kept.name, kept.expires - kept.created) == ("web shop", timedelta(days=30))


def test_list_shows_states_and_no_hash(file):
    secret, valid = add_key(file, "valid one")
    add_key(file, "old one", expires=now_utc() - timedelta(days=1))
    _, retired = add_key(file, "third one")
    assert keys("retire", retired, file=file).exit_code == 0
    lines = keys("list", file=file).stdout.splitlines()
    assert [line.split()[1] for line in lines] == ["valid", "expired", "retired"]
    assert lines[0].startswith(valid)
    assert "valid one" in lines[0]
    assert secret not in "".join(lines)
    assert not any(key.sha256 in "".join(lines) for key in read_keys(file).keys)


def test_rotate_gives_the_old_key_an_end_and_a_successor(file):
    _, old = add_key(file, "shop")
    output = keys("rotate", old, "--overlap-days", "3", file=file)
    assert re.fullmatch(SECRET + "\n", output.stdout)
    before, after = read_keys(file).keys
    assert (before.id, before.name, after.name) == (old, "shop", "shop")
    assert before.expires == after.created + timedelta(days=3)
    assert after.expires is None
    assert before.sha256 != after.sha256


def test_rotate_never_lengthens_a_life(file):
    soon = now_utc() + timedelta(hours=1)
    _, old = add_key(file, expires=soon)
    assert keys("rotate", old, file=file).exit_code == 0
    assert read_keys(file).keys[0].expires == soon


def test_what_is_over_is_not_rotated_and_what_is_retired_stays_so(file):
    then = now_utc() - timedelta(days=2)
    _, old = add_key(file, retired=then)
    refused = keys("rotate", old, file=file)
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "is retired" in refused.stderr
    assert keys("retire", old, file=file).exit_code == 0
    assert read_keys(file).keys[0].retired == then


def test_an_unknown_id_and_a_missing_folder_are_said(file, tmp_path):
    add_key(file)
    assert "no key has the id" in keys("retire", "0" * 12, file=file).stderr
    nowhere = tmp_path / "none" / "keys.json"
    assert "is not a folder" in keys("new", "--name", "n", file=nowhere).stderr
    assert "keys new" in keys("list", file=tmp_path / "none.json").stderr


def test_the_file_may_be_named_by_the_environment_of_the_service(file, monkeypatch):
    monkeypatch.setenv("FACEPROOF_SERVE_GUARD__KEYS_FILE", str(file))
    assert keys("new", "--name", "shop").exit_code == 0
    assert len(read_keys(file).keys) == 1


def test_programs_that_write_at_once_lose_nothing(file):
    command = [sys.executable, "-m", "faceproof", "keys", "new", "--name", "n", "--file", str(file)]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    secrets = {process.communicate()[0].strip() for process in started}
    hashes = {key.sha256 for key in read_keys(file).keys}
    assert hashes == {key_file.hash_key(secret) for secret in secrets}
    assert len(hashes) == 3
