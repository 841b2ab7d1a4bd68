"""Stores: fsspec's memory file system, and S3 by a server on this machine."""

import contextlib

import pytest

pytest.importorskip("pyarrow")
fsspec = pytest.importorskip("fsspec")

from faceproof.errors import SourceError, UsageError  # noqa: E402
from faceproof.scanning.inputs import Inputs  # noqa: E402
from faceproof.scanning.items import Item  # noqa: E402
from faceproof.scanning.worker import read_item  # noqa: E402
from faceproof.stores import list_stored, open_stored, read_stored  # noqa: E402
from support.scanning import picture, write_tar  # noqa: E402

FILES = {"a/1.png": b"one", "a/b/2.png": b"two", "a/b/x.txt": b"three", "a/@eaDir/3.png": b"x"}


@pytest.fixture
def memory():
    """A store with some files, as ``memory://shop``."""
    store = fsspec.filesystem("memory")
    for name, data in FILES.items():
        store.pipe_file(f"/shop/{name}", data)
    yield "memory:///shop"
    store.rm("/shop", recursive=True)


def names(address: str) -> list[str]:
    return sorted(
        str(one) if isinstance(one, SourceError) else one.address.partition("shop/")[2]
        for one in list_stored(address)
    )


def test_a_folder_a_pattern_and_a_file(memory):
    assert names(f"{memory}/a") == ["a/1.png", "a/b/2.png", "a/b/x.txt"]
    assert names(f"{memory}/a/*.png") == ["a/1.png"]
    assert names(f"{memory}/**/*.png") == ["a/1.png", "a/@eaDir/3.png", "a/b/2.png"]
    assert names(f"{memory}/a/b/2.png") == ["a/b/2.png"]
    assert "nothing is there" in names(f"{memory}/none.png")[0]
    assert "nothing matches" in names(f"{memory}/a/*.jpg")[0]


def test_items_of_a_folder_are_its_pictures(memory):
    inputs = Inputs([f"{memory}/a"])
    assert sorted(item.size for item in inputs) == [3, 3]
    assert inputs.skipped == 1


def test_containers_in_a_store_are_read_where_a_pattern_names_them(memory):
    assert [item.source for item in Inputs([f"{memory}/a/*/x.txt"])] == ["three"]
    assert [item.source for item in Inputs([f"{memory}/*/b/x.txt"])] == ["three"]


def test_bytes_are_read_up_to_a_limit(memory):
    assert read_stored(f"{memory}/a/1.png", 2) == b"on"
    with contextlib.closing(open_stored(f"{memory}/a/b/x.txt")) as file:
        file.seek(2)
        assert file.read(2) == b"re"


def test_unknown_stores_and_missing_packages_are_wrong_usage(monkeypatch):
    with pytest.raises(UsageError, match="nonsense:// is not a store that is known"):
        next(list_stored("nonsense://a/b"))


@pytest.fixture(scope="module")
def bucket():
    """A bucket ``shop`` of an S3 server on 127.0.0.1, with the files and an archive."""
    server_module = pytest.importorskip("moto.server")
    from pyarrow import fs

    server = server_module.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        patch.setenv("AWS_ACCESS_KEY_ID", "testing")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        client = fs.S3FileSystem(
            endpoint_override=f"http://{host}:{port}",
            allow_bucket_creation=True,
            connect_timeout=60,  # its own 3 s are too short on a busy machine
            request_timeout=60,
        )
        client.create_dir("shop")
        for name, data in FILES.items():
            with client.open_output_stream(f"shop/{name}") as file:
                file.write(data)
        yield client
    server.stop()


@pytest.mark.slow  # importing moto takes most of it
def test_s3(bucket, tmp_path):
    assert names("s3://shop/a") == ["a/1.png", "a/b/2.png", "a/b/x.txt"]
    assert names("s3://shop/a/*.png") == ["a/1.png"]
    assert "nothing is there" in names("s3://shop/none.png")[0]
    tar = write_tar(tmp_path / "s.tar", {"x y.png": picture(9), "é.png": picture(7)})
    with bucket.open_output_stream("shop/s +1.tar") as file:
        file.write(tar.read_bytes())
    items = list(Inputs(["s3://shop/s +1.tar", "s3://shop/a/1.png", "s3://none/x.png"]))
    assert [item.source for item in items[:3]] == [
        "s3://shop/s +1.tar::x y.png",
        "s3://shop/s +1.tar::é.png",
        "s3://shop/a/1.png",
    ]
    assert [read_item(item, 10**6) for item in items[:3]] == [picture(9), picture(7), b"one"]
    assert all(item.modified_ns for item in items[:3])
    assert items[3].error[0] in {"source_not_found", "source_unreadable"}
    assert isinstance(items[3], Item)
