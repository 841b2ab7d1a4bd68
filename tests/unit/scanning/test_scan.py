"""scan: what is in the output folder, what is resumed, and what is refused."""

import json

import pytest

pytest.importorskip("pyarrow")
pl = pytest.importorskip("polars")
pytest.importorskip("jinja2")

import faceproof  # noqa: E402
from faceproof.errors import MissingExtraError, UnknownChoiceError, UsageError  # noqa: E402
from faceproof.runs import lock_folder  # noqa: E402
from faceproof.scanning.scan import ENGINES, scan  # noqa: E402
from support.scanning import InlineEngine, picture, write_pictures, write_tar  # noqa: E402


@pytest.fixture(autouse=True)
def inline(monkeypatch):
    """Check in this process, four pictures at a time."""
    monkeypatch.setitem(ENGINES, "local", (InlineEngine, 4))


@pytest.fixture
def run(tiny_bundle, tmp_path):
    """Return the function that scans into one folder."""

    def run(*inputs, output="out", **options):
        options = {"detector": tiny_bundle, "faces": "whole", "part_rows": 5, **options}
        return scan(inputs or [tmp_path / "a"], tmp_path / output, **options)

    return run


def sources(tmp_path, output="out"):
    return sorted(pl.read_parquet(tmp_path / output / "results" / "*.parquet")["source"])


def test_results_and_summary(run, tmp_path):
    paths = write_pictures(tmp_path / "a", 12)
    paths[3].write_bytes(b"")
    (tmp_path / "a" / "notes.doc").write_text("x")
    summary = run()
    assert sources(tmp_path) == sorted(map(str, paths))
    assert summary.pictures == 12
    assert summary.faces == 11
    assert sum(summary.verdicts.values()) == 12
    assert summary.verdicts["fake"] > 0
    assert summary.verdicts["real"] > 0
    assert [(kind.code, kind.count) for kind in summary.errors] == [("empty_file", 1)]
    assert (summary.repeated, summary.skipped) == (0, 1)
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["pictures"] == 12
    assert len(list((tmp_path / "out" / "results").glob("part-*.parquet"))) == 2
    page = (tmp_path / "out" / "summary.html").read_text()
    assert page.count("data:image/webp") >= summary.verdicts["fake"]
    assert "picture not available" not in page
    assert "empty file" in page
    assert "1 could not be checked." in page
    assert "and 1 other file." in page
    assert "<script" not in page


def test_the_page_shows_the_most_suspicious_first_and_escapes_names(run, tmp_path):
    (tmp_path / "a").mkdir()
    for name, level in (("<b>.png", 255), ("dim.png", 200), ("black.png", 0)):
        (tmp_path / "a" / name).write_bytes(picture(level))
    run()
    page = (tmp_path / "out" / "summary.html").read_text()
    assert page.index("&lt;b&gt;.png") < page.index("dim.png")
    assert "<b>.png" not in page
    assert page.index("dim.png") < page.index("black.png")  # unsure: it has too few tones


def test_thumbnails_come_from_archives_and_tables_but_not_through_compression(run, tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = tmp_path / "t.parquet"
    pq.write_table(pa.table({"label": ["x", "y"], "x": [picture(0), picture(251)]}), table)
    run(
        write_tar(tmp_path / "s.tar", {"0.png": picture(255)}),
        table,
        write_tar(tmp_path / "s.tgz", {"0.png": picture(253)}, mode="w:gz"),
    )
    page = (tmp_path / "out" / "summary.html").read_text()
    assert page.count("data:image/webp") == 3
    assert page.count("picture not available") == 1


def test_a_picture_that_changed_meanwhile_has_no_thumbnail(run, tmp_path, monkeypatch):
    (path,) = write_pictures(tmp_path / "a", 1)
    path.write_bytes(picture(255))
    run()
    path.write_bytes(picture(254))
    run(tmp_path / "a" / "none*", resume=True)
    page = (tmp_path / "out" / "summary.html").read_text()
    assert "data:image/webp" not in page
    assert page.count("picture not available") == 1


def test_resuming_checks_only_what_is_new(run, tmp_path):
    write_pictures(tmp_path / "a", 6)
    run()
    new = write_pictures(tmp_path / "b", 3)
    summary = run(tmp_path / "a", tmp_path / "b", resume=True)
    assert (summary.pictures, summary.repeated) == (9, 6)
    assert len(sources(tmp_path)) == len(set(sources(tmp_path))) == 9
    assert str(new[0]) in sources(tmp_path)
    starts = json.loads((tmp_path / "out" / "run.json").read_text())
    assert [start["judged"] for start in starts] == [0, 6]


def test_resume_in_a_new_folder_starts(run, tmp_path):
    write_pictures(tmp_path / "a", 2)
    assert run(resume=True).pictures == 2


def test_an_error_keeps_the_results_so_far(run, tmp_path, monkeypatch):
    write_pictures(tmp_path / "a", 10)

    class Failing(InlineEngine):
        def run(self, chunks):
            for number, table in enumerate(super().run(chunks)):
                if number == 2:
                    raise KeyboardInterrupt
                yield table

    monkeypatch.setitem(ENGINES, "local", (Failing, 4))
    with pytest.raises(KeyboardInterrupt):
        run(part_rows=1000)
    assert len(sources(tmp_path)) == 8
    monkeypatch.setitem(ENGINES, "local", (InlineEngine, 4))
    assert run(resume=True).pictures == 10
    assert len(set(sources(tmp_path))) == 10


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"at": "strict"}, "operating point balanced there, strict now"),
        ({"faces": "all"}, "faces whole there, all now"),
        ({"by_content": True}, "identity by address there, content now"),
        ({"detector": "default"}, r"detector bright 1\.0 \(.*\) there, faceproof-densenet121"),
    ],
)
def test_a_scan_of_another_kind_is_refused_with_the_difference(run, tmp_path, change, message):
    write_pictures(tmp_path / "a", 1)
    run()
    with pytest.raises(UsageError, match=f"cannot be resumed: .*{message}"):
        run(resume=True, **change)
    assert len(sources(tmp_path)) == 1


def test_the_manifest_names_scorer_and_device_and_resuming_with_others_is_refused(run, tmp_path):
    write_pictures(tmp_path / "a", 1)
    summary = run()
    spec = json.loads((tmp_path / "out" / "scan.json").read_text())
    assert (spec["detector"]["scorer"], spec["detector"]["device"]) == ("onnxruntime", "cpu")
    rows = pl.read_parquet(tmp_path / "out" / "results" / "*.parquet")
    assert rows["detector"].to_list() == [spec["detector"]]
    assert summary.detector.scorer == "onnxruntime"
    with pytest.raises(UsageError, match="cannot be resumed: scorer onnxruntime there, torch now;"):
        run(resume=True, scorer="torch")
    with pytest.raises(UsageError, match="cannot be resumed: device cpu there, cuda now;"):
        run(resume=True, scorer="onnxruntime", device="cuda")
    assert run(resume=True, scorer="onnxruntime").pictures == 1


def test_results_of_a_version_without_scorer_and_device_are_continued(run, tmp_path):
    write_pictures(tmp_path / "a", 1)
    run()
    path = tmp_path / "out" / "scan.json"
    spec = json.loads(path.read_text())
    del spec["detector"]["scorer"], spec["detector"]["device"]
    path.write_text(json.dumps(spec))
    assert run(resume=True).pictures == 1


def test_wrong_scorer_device_or_timeout(run, tmp_path):
    write_pictures(tmp_path / "a", 1)
    with pytest.raises(UnknownChoiceError, match="unknown scorer 'onnx'"):
        run(scorer="onnx")
    with pytest.raises(UnknownChoiceError, match="unknown device 'cpuu', did you mean 'cpu'"):
        run(device="cpuu")
    for seconds in (0, -1, float("nan")):
        with pytest.raises(UsageError, match=r"timeout .* s must be more than 0"):
            run(timeout=seconds)
    assert not (tmp_path / "out").exists()


def test_a_folder_with_results_is_not_overwritten(run, tmp_path):
    write_pictures(tmp_path / "a", 1)
    run()
    with pytest.raises(UsageError, match="has the results of a scan: add --resume"):
        run()


def test_one_scan_at_a_time_writes(run, tmp_path):
    write_pictures(tmp_path / "a", 1)
    (tmp_path / "out").mkdir()
    busy = pytest.raises(UsageError, match="is in use: another scan writes there")
    with lock_folder(tmp_path / "out", name="scan.lock"), busy:
        run()


def test_wrong_usage(run, tmp_path, monkeypatch):
    with pytest.raises(UsageError, match="an input is an empty text"):
        run("")
    with pytest.raises(UnknownChoiceError, match="unknown engine 'loca', did you mean 'local'"):
        run(engine="loca")
    with pytest.raises(UsageError, match="is of a Ray cluster: add --engine ray"):
        run(address="127.0.0.1:1")
    monkeypatch.setattr("faceproof.tables.find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match="scan"):
        run()


def test_it_is_a_public_verb(tmp_path):
    assert faceproof.scan is scan
    assert faceproof.ScanSummary.__name__ == "ScanSummary"


def test_nothing_to_check_is_an_error_row_and_a_page(run, tmp_path):
    (tmp_path / "a").mkdir()
    summary = run()
    assert summary.verdicts == {"fake": 0, "unsure": 0, "real": 0, "no_face": 0, "error": 1}
    assert "No picture looks fake" in (tmp_path / "out" / "summary.html").read_text()
