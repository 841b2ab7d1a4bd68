"""Shards in object storage: what is trained on is what the prepared folder has, bit for bit."""

from __future__ import annotations

import json
import shutil
import sys
import threading
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
fsspec = pytest.importorskip("fsspec")
pytestmark = pytest.mark.train

from faceproof import stores  # noqa: E402
from faceproof.data.manifest_files import read_manifest  # noqa: E402
from faceproof.data.preparing.folder import read_landmarks  # noqa: E402
from faceproof.data.preparing.shard_files import fetch_prepared  # noqa: E402
from faceproof.data.preparing.shards import write_shards  # noqa: E402
from faceproof.data.preparing.spec import ShardsSpec  # noqa: E402
from faceproof.errors import (  # noqa: E402
    DataError,
    FaceproofError,
    MissingExtraError,
    RecipeError,
    SourceError,
    UsageError,
)
from faceproof.messages import ignore_message  # noqa: E402
from faceproof.training.fit import make_streams  # noqa: E402
from faceproof.training.run.prepared import open_prepared  # noqa: E402
from faceproof.training.stream import ShardedPictures, make_loader  # noqa: E402

TABLES = ("manifest.parquet", "faces.parquet", "prepare.json")
STORE = "memory:///faces/prepared"


@pytest.fixture(scope="module")
def in_shards(request, prepared, tmp_path_factory) -> Path:
    """The prepared set with its pictures in shards only, as it is copied into a store."""
    folder = tmp_path_factory.mktemp("in-shards")
    manifest = read_manifest(prepared / "manifest.parquet")
    points = read_landmarks(prepared)
    landmarks = torch.stack([torch.from_numpy(points[path]) for path in manifest.table["path"]])
    spec = ShardsSpec(kind=getattr(request, "param", "webdataset"), most_pictures=9)
    write_shards(manifest, landmarks.numpy(), folder / "shards", spec, seed=0)
    for name in TABLES:
        shutil.copy(prepared / name, folder / name)
    return folder


@pytest.fixture
def store(in_shards):
    """fsspec's memory file system, with the set at `STORE`."""
    memory = fsspec.filesystem("memory")
    memory.put(f"{in_shards}/", "/faces/prepared/", recursive=True)
    yield memory
    memory.rm("/faces", recursive=True)


@pytest.fixture
def stored(mini, tmp_path):
    """The recipe that reads a store, as a function of its address and other overrides."""
    shards = ("data.reading='shards'", f"data.prepared='{(tmp_path / 'copy').as_posix()}'")
    return lambda address=STORE, *other: mini(f"data.store='{address}'", *shards, *other)


def first_batches(recipe, manifest):
    """Return the first three training batches and the validation faces, one after another."""
    stream, faces = make_streams(recipe, manifest)
    found = [*make_loader(stream, range(24), size=8, workers=0)]
    found += make_loader(faces, range(16), size=8, workers=0)
    return [tensor for batch in found for tensor in batch]


@pytest.mark.parametrize("in_shards", ["webdataset", "parquet"], indirect=True)
def test_the_batches_are_those_of_the_prepared_folder(store, stored, mini, prepared):
    recipe = stored()
    manifest = open_prepared(recipe, progress=ignore_message)
    original = read_manifest(prepared / "manifest.parquet")
    assert manifest.sha256 == original.sha256
    assert manifest.rows == original.rows
    found, expected = first_batches(recipe, manifest), first_batches(mini(), original)
    assert len(found) == 10
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))
    stream, _ = make_streams(recipe, manifest)
    assert isinstance(stream._pictures, ShardedPictures)


def test_what_is_read_as_files_is_unpacked_and_nothing_else(store, stored, prepared):
    recipe, messages = stored(), []
    manifest = open_prepared(recipe, progress=messages.append)
    for row in manifest.rows:
        unpacked = recipe.data.prepared / row.path
        assert unpacked.is_file() == (row.split in {"calibration", "test"})
        if unpacked.is_file():
            assert unpacked.read_bytes() == (prepared / row.path).read_bytes()
    assert [message.split()[0] for message in messages] == ["copying", "unpacking"]
    # A second start does neither.
    open_prepared(recipe, progress=messages.append)
    assert len(messages) == 2


def test_shards_on_a_disk_need_no_picture_files_either(in_shards, mini, prepared, tmp_path):
    folder = shutil.copytree(in_shards, tmp_path / "disk")
    recipe = mini("data.reading='shards'", f"data.prepared='{folder.as_posix()}'")
    manifest = open_prepared(recipe, progress=ignore_message)
    (row, *_) = [row for row in manifest.rows if row.split == "test"]
    assert (folder / row.path).read_bytes() == (prepared / row.path).read_bytes()


def test_a_stopped_copy_continues(store, stored, monkeypatch):
    recipe, messages = stored(), []
    open_prepared(recipe, progress=ignore_message)
    folder = recipe.data.prepared
    shards = sorted((folder / "shards").glob("train-*"))
    shards[0].unlink()
    shards[1].write_bytes(b"cut off")
    (folder / "manifest.parquet").unlink()
    fetch_prepared(STORE, folder, progress=messages.append)
    (message,) = messages
    assert message.startswith("copying 2 shards")
    assert (folder / "manifest.parquet").is_file()


def test_a_shard_with_other_bytes_is_refused_and_not_kept(store, stored, in_shards):
    shard = sorted((in_shards / "shards").glob("train-*"))[1]
    damaged = bytearray(shard.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    store.pipe_file(f"/faces/prepared/shards/{shard.name}", bytes(damaged))
    recipe = stored()
    with pytest.raises(DataError, match=rf"{shard.name} has .* or others than its index names"):
        open_prepared(recipe, progress=ignore_message)
    assert not (recipe.data.prepared / "shards" / shard.name).exists()
    assert not (recipe.data.prepared / "manifest.parquet").exists(), "it would look complete"


def test_an_index_that_names_files_elsewhere_is_refused(store, stored, tmp_path):
    name = "/faces/prepared/shards/shards.json"
    index = json.loads(store.cat_file(name))
    index["shards"][0]["name"] = "../../escaped.tar"
    store.pipe_file(name, json.dumps(index).encode())
    with pytest.raises(DataError, match="is not an index of shards"):
        open_prepared(stored(), progress=ignore_message)
    assert not list(tmp_path.rglob("escaped*"))


def test_a_folder_with_another_set_is_not_touched(store, stored, prepared_small):
    recipe = stored()
    shutil.copytree(prepared_small, recipe.data.prepared)
    before = (recipe.data.prepared / "manifest.parquet").read_bytes()
    with pytest.raises(DataError, match="has another prepared set than memory:///faces/prepared"):
        open_prepared(recipe, progress=ignore_message)
    assert (recipe.data.prepared / "manifest.parquet").read_bytes() == before


def test_what_a_store_lacks_is_told_in_a_line(store, stored, monkeypatch):
    for address, error, words in (
        (
            "memory:///nowhere",
            DataError,
            "nowhere/shards/shards.json is not there: data.store must",
        ),
        ("nonsense://bucket/x", UsageError, "nonsense:// is not a store that is known"),
    ):
        with pytest.raises(error, match=words) as found:
            open_prepared(stored(address), progress=ignore_message)
        assert "\n" not in str(found.value)
    stores._fsspec_system.cache_clear()
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(MissingExtraError, match=r"fsspec is not installed: .*scan"):
        open_prepared(stored("hf://datasets/a/b"), progress=ignore_message)
    stores._fsspec_system.cache_clear()


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (("data.prepared='s3://bucket/faces'",), "is an address: name it as data.store"),
        (("data.store='faces'", "data.reading='shards'"), "is not an address of object storage"),
        (("data.store='s3://bucket/faces'",), 'set data.reading = "shards"'),
    ],
)
def test_a_recipe_that_mixes_folders_and_stores_is_corrected(mini, overrides, words):
    with pytest.raises(RecipeError, match=words):
        mini(*overrides)


def test_made_fakes_are_files_beside_the_shards(store, stored):
    recipe = stored()
    manifest = open_prepared(recipe, progress=ignore_message)
    row = replace(manifest.take("train", purpose="fit")[0], path="made/swap-1/0.png")
    (recipe.data.prepared / "made/swap-1").mkdir(parents=True)
    (recipe.data.prepared / row.path).write_bytes(b"made")
    pictures = ShardedPictures(recipe.data.prepared, (row,), {row.path: torch.zeros(5, 2).numpy()})
    assert pictures._file(0) == b"made"


@contextmanager
def refusing_server():
    """A server on 127.0.0.1 that answers each request as S3 answers wrong credentials."""

    class Refuse(BaseHTTPRequestHandler):
        def do_GET(self):
            body = b"<Error><Code>InvalidAccessKeyId</Code><Message>none</Message></Error>"
            self.send_response(403)
            self.send_header("Content-Length", str(0 if self.command == "HEAD" else len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_HEAD = do_GET  # noqa: N815

        def log_message(self, *_):
            """Print nothing."""

    with HTTPServer(("127.0.0.1", 0), Refuse) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def s3_environment(monkeypatch, endpoint):
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


def test_refused_credentials_are_told_in_a_line(stored, monkeypatch):
    with refusing_server() as endpoint:
        s3_environment(monkeypatch, endpoint)
        with pytest.raises(SourceError, match=r"^s3://bucket/faces/shards/shards.json: ") as found:
            open_prepared(stored("s3://bucket/faces"), progress=ignore_message)
    assert "\n" not in str(found.value)
    assert not isinstance(found.value, DataError)


@pytest.mark.slow  # importing moto takes most of it
def test_s3(in_shards, stored, mini, prepared, monkeypatch):
    server_module = pytest.importorskip("moto.server")
    from pyarrow import fs

    server = server_module.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        endpoint = "http://{}:{}".format(*server.get_host_and_port())
        s3_environment(monkeypatch, endpoint)
        client = fs.S3FileSystem(
            endpoint_override=endpoint,
            allow_bucket_creation=True,
            connect_timeout=60,  # its own 3 s are too short on a busy machine
            request_timeout=60,
        )
        client.create_dir("bucket")
        fs.copy_files(
            str(in_shards), "bucket/faces", fs.LocalFileSystem(), destination_filesystem=client
        )
        recipe = stored("s3://bucket/faces/")
        manifest = open_prepared(recipe, progress=ignore_message)
        original = read_manifest(prepared / "manifest.parquet")
        found, expected = first_batches(recipe, manifest), first_batches(mini(), original)
        assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))
        with pytest.raises(FaceproofError, match=r"is not there: data\.store must be"):
            open_prepared(stored("s3://bucket/none"), progress=ignore_message)
    finally:
        server.stop()


@pytest.mark.slow
def test_a_whole_training_gives_the_weights_of_one_from_files(store, stored, mini, tmp_path):
    from faceproof import train

    found = train(stored(), tmp_path / "store")
    expected = train(mini(), tmp_path / "files")
    assert found.spec.members == expected.spec.members  # with the hashes of the weights
    assert found.spec.calibration == expected.spec.calibration
    assert found.spec.results == expected.spec.results
