"""The store of feedback keeps one contract on every database, and says in words what it cannot."""

from __future__ import annotations

import os
import re
import sqlite3
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

pytest.importorskip("sqlalchemy")
pytest.importorskip("fastapi")

from sqlalchemy import event, text

from faceproof.errors import (
    FeedbackFullError,
    FeedbackNotFoundError,
    FeedbackStoreError,
    MissingExtraError,
    UsageError,
)
from faceproof.frontends.api.feedback import FeedbackStore
from faceproof.frontends.api.feedback import database as addresses
from faceproof.frontends.api.feedback.database import make_engine, parse_address
from faceproof.installation import install_command
from support.feedback import NOON, POSTGRES, a_face, feedback, sha

SQLITE = "sqlite"


def drop(database: str) -> None:
    """Drop the tables of feedback, of whatever version they are."""
    engine = make_engine(parse_address(database))
    with engine.begin() as connection:
        for name in ("faceproof_feedback", "faceproof_feedback_schema"):
            connection.execute(text(f"DROP TABLE IF EXISTS {name}"))
    engine.dispose()


@pytest.fixture(params=[SQLITE, *POSTGRES])
def database(request, tmp_path) -> str:
    """The address of an empty database of each kind."""
    if request.param == SQLITE:
        return str(tmp_path / "feedback.sqlite")
    drop(request.param)
    return str(request.param)


@pytest.fixture
def store(database):
    with closing(FeedbackStore.open(database)) as store:
        yield store


@pytest.fixture
def file(tmp_path) -> Path:
    return tmp_path / "feedback.sqlite"


class TestContract:
    def test_what_is_kept_comes_back_whole(self, store):
        two = {"faces": [a_face(0.2, "real"), a_face(left=300.5)]}
        given = feedback(7, truth="fake", face=0, generator="stylegan2", note="schön", result=two)
        assert store.add(given) == (given.id, True)
        assert store.get(given.id) == given
        assert list(store) == [given]

    def test_what_is_not_known_stays_unknown(self, store):
        unseen = {"verdict": None, "fake_probability": None, "faces": []}
        given = feedback(1, truth="fake", result=unseen, image={"sha256": sha(1)})
        store.add(given)
        assert store.get(given.id) == given

    def test_the_same_again_is_one_row_under_its_first_name(self, store):
        first = feedback(1)
        again = first.model_copy(update={"id": "f" * 32, "note": "again"})
        store.add(first)
        assert store.add(again) == (first.id, False)
        assert store.count() == 1
        assert store.get(first.id).note is None

    @pytest.mark.parametrize(
        "other",
        [
            {"truth": "fake"},
            {"face": 0},
            {"operating_point": "1-in-20"},
            {"detector": {"name": "bright", "version": "1.0", "sha256": "d" * 64}},
        ],
    )
    def test_what_differs_in_this_is_not_the_same(self, store, other):
        store.add(feedback(1))
        changed = feedback(1, **other).model_copy(update={"id": "f" * 32})
        assert store.add(changed).is_new
        assert store.count() == 2

    def test_it_is_yielded_from_the_oldest_on_across_pages(self, store, monkeypatch):
        monkeypatch.setattr("faceproof.frontends.api.feedback.store.PAGE", 7)
        count = 24
        for number in range(count):
            store.add(feedback(number, days=-number // 3))
        found = list(store)
        assert len(found) == count
        assert found == sorted(found, key=lambda one: (one.received, one.id))

    def test_erasing_by_name_and_by_picture(self, store):
        for number, face in ((1, None), (1, 0), (2, None)):
            name = f"{number}{0 if face is None else 1}".zfill(32)
            store.add(feedback(number, face=face).model_copy(update={"id": name}))
        assert store.erase(sha(1)) == 2
        (left,) = store
        assert store.erase(left.id) == 1
        assert store.count() == 0
        with pytest.raises(FeedbackNotFoundError):
            store.erase(left.id)
        with pytest.raises(FeedbackNotFoundError):
            store.get(left.id)

    def test_pruning_takes_what_came_before_and_nothing_else(self, store):
        for days in range(4):
            store.add(feedback(days, days=days))
        assert store.prune(NOON + timedelta(days=2)) == 2
        assert [one.received for one in store] == [NOON + timedelta(days=days) for days in (2, 3)]

    def test_no_more_than_may_be_kept(self, database):
        with closing(FeedbackStore.open(database, max_rows=2)) as store:
            store.add(feedback(1))
            store.add(feedback(2))
            with pytest.raises(FeedbackFullError, match="full"):
                store.add(feedback(3))
            assert not store.add(feedback(2)).is_new
            assert store.count() == 2

    def test_a_closed_store_opens_again(self, store):
        store.add(feedback(1))
        store.close()
        assert store.count() == 1

    def test_threads_lose_nothing_and_keep_what_is_the_same_once(self, store):
        numbers = [number % 40 for number in range(120)]

        def add(number: int) -> bool:
            given = feedback(number)
            return store.add(given).is_new

        with ThreadPoolExecutor(8) as pool:
            new = list(pool.map(add, numbers))
        assert sum(new) == store.count() == 40

    def test_processes_lose_nothing(self, database):
        program = (
            "import sys\n"
            "sys.path.insert(0, sys.argv[1])\n"
            "from support.feedback import feedback\n"
            "from faceproof.frontends.api.feedback.store import FeedbackStore\n"
            "store = FeedbackStore.open(sys.argv[2])\n"
            "for number in range(int(sys.argv[3]), int(sys.argv[3]) + 50):\n"
            "    store.add(feedback(number))\n"
        )
        tests = Path(__file__).parents[4]
        running = [
            subprocess.Popen([sys.executable, "-c", program, tests, database, str(start)])
            for start in (0, 25)
        ]
        assert [process.wait(60) for process in running] == [0, 0]
        with closing(FeedbackStore.open(database)) as store:
            assert {one.id for one in store} == {f"{number:032x}" for number in range(75)}

    def test_a_newer_schema_is_refused(self, database):
        with closing(FeedbackStore.open(database)) as store, store._connect_engine().begin() as one:
            one.execute(text("UPDATE faceproof_feedback_schema SET version = 2"))
        with pytest.raises(FeedbackStoreError, match=r"version 2.*newer faceproof"):
            FeedbackStore.open(database)

    def test_a_database_without_feedback_is_left_alone_where_none_is_to_be_made(self, database):
        if database in POSTGRES:
            with pytest.raises(FeedbackStoreError, match="has no feedback tables"):
                FeedbackStore.open(database, create=False)
        else:
            with pytest.raises(FeedbackStoreError, match="no such file"):
                FeedbackStore.open(database, create=False)
            assert not Path(database).exists()


class TestFile:
    def test_it_is_for_its_owner_alone(self, file):
        with closing(FeedbackStore.open(str(file))) as store:
            store.add(feedback(1))
            modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in file.parent.iterdir()}
        assert modes == dict.fromkeys(
            ("feedback.sqlite", "feedback.sqlite-wal", "feedback.sqlite-shm"), 0o600
        )

    def test_what_is_erased_is_gone_from_the_disk(self, file):
        with closing(FeedbackStore.open(str(file))) as store:
            store.add(feedback(1, note="a-secret-of-mine"))
            assert any(b"a-secret-of-mine" in path.read_bytes() for path in file.parent.iterdir())
            store.erase(sha(1))
            assert not any(
                b"a-secret-of-mine" in path.read_bytes() for path in file.parent.iterdir()
            )

    def test_a_folder_that_is_not_there_is_not_made(self, tmp_path):
        with pytest.raises(FeedbackStoreError, match="create its folder"):
            FeedbackStore.open(str(tmp_path / "no" / "feedback.sqlite"))
        assert not (tmp_path / "no").exists()

    def test_off_is_no_file(self):
        with pytest.raises(UsageError, match="feedback is off"):
            FeedbackStore.open("off", create=False)

    def test_the_default_file_is_made_with_its_folder(self, tmp_path, monkeypatch):
        monkeypatch.setattr(addresses, "data_folder", lambda: tmp_path / "a" / "faceproof")
        with closing(FeedbackStore.open("default")) as store:
            assert store.add(feedback(1)).is_new
        assert (tmp_path / "a" / "faceproof" / "feedback.sqlite").is_file()

    def test_what_is_no_database_stays_as_it_is(self, file):
        file.write_bytes(b"holiday pictures of 1999" * 100)
        with pytest.raises(FeedbackStoreError, match="is not an SQLite database"):
            FeedbackStore.open(str(file))
        assert file.read_bytes() == b"holiday pictures of 1999" * 100

    def test_a_damaged_file(self, file):
        with closing(FeedbackStore.open(str(file))) as store:
            for number in range(200):
                store.add(feedback(number))
        data = bytearray(file.read_bytes())
        data[4096:] = b"\xff" * (len(data) - 4096)
        file.write_bytes(data)
        with (
            pytest.raises(FeedbackStoreError, match="is corrupt: move it away"),
            closing(FeedbackStore.open(str(file))) as store,
        ):
            list(store)

    def test_a_full_disk_and_then_room_again(self, file):
        with closing(FeedbackStore.open(str(file))) as store:
            store.add(feedback(1))

            def little_room(connection, *_):
                connection.execute("PRAGMA max_page_count = 1").close()

            store._connect_engine().dispose()
            event.listen(store._connect_engine(), "connect", little_room)
            with pytest.raises(FeedbackStoreError, match="cannot grow: disk full"):
                add_many(store)
            event.remove(store._connect_engine(), "connect", little_room)
            store._connect_engine().dispose()
            assert store.add(feedback(900)).is_new

    def test_a_file_that_another_program_holds(self, file, monkeypatch):
        monkeypatch.setattr("faceproof.frontends.api.feedback.database.PATIENCE_SECONDS", 0.05)
        with closing(FeedbackStore.open(str(file))) as store:
            with closing(sqlite3.connect(file, isolation_level=None)) as other:
                other.execute("BEGIN EXCLUSIVE")
                with pytest.raises(FeedbackStoreError, match="is locked by another program"):
                    store.add(feedback(1))
            assert store.add(feedback(1)).is_new


def add_many(store: FeedbackStore) -> None:
    for number in range(2, 200):
        store.add(feedback(number))


class TestAddress:
    @pytest.mark.parametrize(
        "database",
        [
            "mysql://u:hunter2@host/db",
            "postgresql+psycopg2://u:hunter2@host/db",
            "sqlite://",
            "sqlite:///:memory:",
            "sqlite:///a.sqlite?mode=ro",
            "postgresql://u:hunter2@host:port/db",
            "http://hunter2",
        ],
    )
    def test_others_are_refused_and_no_password_is_repeated(self, database):
        with pytest.raises(UsageError) as refused:
            parse_address(database)
        assert "hunter2" not in str(refused.value)

    def test_a_path_is_one_of_sqlite(self, tmp_path):
        given = tmp_path / "a b.sqlite"
        assert parse_address(str(given)).file == parse_address(f"sqlite:///{given}").file == given

    def test_postgresql_is_shown_without_password_and_options(self, monkeypatch):
        monkeypatch.setattr(addresses, "require", lambda *_, **__: None)
        for scheme in ("postgres", "postgresql", "postgresql+psycopg"):
            found = parse_address(f"{scheme}://me:hunter2@db.example/faces?passfile=x")
            assert found.url.drivername == "postgresql+psycopg"
            assert str(found) == "postgresql+psycopg://me:***@db.example/faces"

    def test_postgresql_without_its_library_names_the_extra(self, monkeypatch):
        monkeypatch.setattr("faceproof.tables.find_spec", lambda _: None)
        with pytest.raises(MissingExtraError, match=re.escape(install_command("postgres"))):
            parse_address("postgresql://db.example/faces")


def test_a_server_that_is_not_there_is_said_without_its_password(monkeypatch):
    monkeypatch.setattr(addresses, "require", lambda *_, **__: None)
    pytest.importorskip("psycopg")
    with pytest.raises(FeedbackStoreError, match="cannot be reached") as refused:
        FeedbackStore.open("postgresql://me:hunter2@127.0.0.1:9/faces")
    assert "hunter2" not in str(refused.value)


def test_the_environment_names_servers_to_test_on():
    assert len(POSTGRES) == bool(os.environ.get("FACEPROOF_TEST_POSTGRES"))
