"""A worker's rows are those of a check, wherever the picture is."""

import pytest

pytest.importorskip("pyarrow")
fsspec = pytest.importorskip("fsspec")

from faceproof.checker import make_checker  # noqa: E402
from faceproof.errors import UnknownChoiceError  # noqa: E402
from faceproof.scanning.lister import Lister  # noqa: E402
from faceproof.scanning.result_files import read_result  # noqa: E402
from faceproof.scanning.worker import CheckOptions, check_items  # noqa: E402
from support.scanning import write_pictures, write_tar  # noqa: E402


@pytest.fixture
def checker(tiny_bundle):
    return make_checker(tiny_bundle, faces="whole")


def results(checker, *names):
    """Return the results of what is listed."""
    chunks = Lister(tuple(map(str, names)))
    return [read_result(row) for chunk in chunks for row in check_items(checker, chunk).to_pylist()]


def plain(result, source):
    """Return a result without its name and its time."""
    return result.model_copy(update={"source": source, "elapsed_ms": 0.0})


def test_everywhere_the_result_is_that_of_check(checker, tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    paths = write_pictures(tmp_path / "a", 4)
    paths[1].write_bytes(b"")
    paths[2].write_bytes(paths[2].read_bytes()[:60])
    data = [path.read_bytes() for path in paths]
    names = [path.name for path in paths]
    members = dict(zip(names, data, strict=True))
    tar = write_tar(tmp_path / "s.tar", members)
    gz = write_tar(tmp_path / "s.tgz", members, mode="w:gz")
    table = tmp_path / "t.parquet"
    pq.write_table(pa.table({"x": data}), table)
    store = fsspec.filesystem("memory")
    for name, one in members.items():
        store.pipe_file(f"/bin/{name}", one)
    places = {
        f"{tmp_path / 'a'}/*.png": [str(path) for path in paths],
        tar: [f"{tar}::{name}" for name in names],
        gz: [f"{gz}::{name}" for name in names],
        table: [f"{table}::{row}" for row in range(4)],
        "memory:///bin": [f"memory:///bin/{name}" for name in names],
    }
    for place, sources in places.items():
        found = sorted(results(checker, place), key=lambda one: one.source)
        assert [one.source for one in found] == sources
        for one, source, bytes_ in zip(found, sources, data, strict=True):
            assert plain(one, "") == plain(checker.check(bytes_, name=source), "")
    assert {one.status for one in found} == {"ok", "error"}


def test_each_picture_is_announced_before_it_is_opened(checker, tmp_path):
    paths = write_pictures(tmp_path / "a", 3)
    (chunk,) = Lister(tuple(map(str, paths)))
    begun = []
    check_items(checker, chunk, begin=lambda: begun.append(1))
    assert len(begun) == 4  # and once after the last


@pytest.mark.parametrize(
    ("ran", "batch"),
    [(("cpu", "onnxruntime"), 1), (("cpu", "openvino-bf16"), 8), (("cuda", "onnxruntime"), 3)],
)
def test_the_batch_suits_what_runs(checker, tmp_path, monkeypatch, ran, batch):
    (chunk,) = Lister(tuple(map(str, write_pictures(tmp_path / "a", 3))))
    asked = []
    check_many = checker.check_many

    def watched(sources, *, batch_size, workers):
        asked.append(batch_size)
        return check_many(sources, batch_size=batch_size, workers=workers)

    monkeypatch.setattr(checker, "check_many", watched)
    monkeypatch.setattr(checker.detector, "device", ran[0])
    monkeypatch.setattr(checker.detector, "scorer", ran[1])
    assert len(check_items(checker, chunk)) == 3
    assert asked == [batch]


def test_the_options_choose_scorer_and_device(tiny_bundle):
    by = {"name": "bright", "version": "1.0", "sha256": "0" * 64}
    options = CheckOptions(
        detector=str(tiny_bundle),
        operating_point="balanced",
        faces="whole",
        by=by,
        scorer="onnxruntime",
        device="no-such-device",
    )
    with pytest.raises(UnknownChoiceError, match="no-such-device"):
        options.make_checker()
    made = options.model_copy(update={"device": "cpu"}).make_checker()
    assert (made.detector.scorer, made.detector.device) == ("onnxruntime", "cpu")


def test_a_picture_beyond_the_limit_is_one_everywhere(checker, tmp_path):
    checker.limits = checker.limits.model_copy(update={"max_bytes": 100})
    (path,) = write_pictures(tmp_path / "a", 1)
    path.write_bytes(path.read_bytes() + bytes(200))
    tar = write_tar(tmp_path / "s.tar", {"1.png": path.read_bytes()})
    gz = write_tar(tmp_path / "s.tgz", {"1.png": path.read_bytes()}, mode="w:gz")
    codes = [one.error.code for one in results(checker, path, tar, gz)]
    assert codes == ["file_too_large"] * 3


def test_what_was_refused_or_is_gone_keeps_its_error(checker, tmp_path):
    tar = write_tar(tmp_path / "s.tar", {"1.png": bytes(5000)})
    chunks = list(Lister((str(tar), str(tmp_path / "*.jpg"), str(tmp_path / "no.png"))))
    tar.write_bytes(tar.read_bytes()[:600])
    rows = [row for chunk in chunks for row in check_items(checker, chunk).to_pylist()]
    assert [row["error"]["code"] for row in rows] == [
        "source_unreadable",
        "source_not_found",
        "source_not_found",
    ]
    assert "the archive ends before its end" in rows[0]["error"]["message"]
