"""A prepared data set, made of made-up sets: what is kept, what is left out, and why."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from skimage import data

from faceproof.data import prepare
from faceproof.data.manifest import Manifest
from faceproof.data.manifest_files import read_manifest
from faceproof.data.prepare import PrepareSpec, SourceSpec, prepare_data, read_faces
from faceproof.errors import ManifestError, UnknownChoiceError
from faceproof.imaging.degradations import encode_jpeg

pytest.importorskip("pyarrow")
pytestmark = pytest.mark.train

SPEC = PrepareSpec(
    sources={
        "photos": SourceSpec(layout="ffhq_stylegan140k"),
        "videos": SourceSpec(layout="dfdc", fake=1),
    }
)
FFHQ, DFDC = "photos/dataset", "videos/faces_224"


def portrait(side: int, *, seed: int = 0, mirrored: bool = False) -> np.ndarray:
    """Return the astronaut's head, ``side`` px square, each seed another picture."""
    rng = np.random.default_rng(seed)
    left, top = (int(n) for n in rng.integers(0, 30, 2))
    head = data.astronaut()[top : top + 230, 100 + left : 330 + left]
    if mirrored:
        head = head[:, ::-1]
    how = cv2.INTER_AREA if side < 230 else cv2.INTER_CUBIC
    return cv2.resize(np.ascontiguousarray(head), (side, side), interpolation=how)


def files() -> dict[str, bytes]:
    """Return the files of two sets, in the layouts of the real ones."""
    head = encode_jpeg(portrait(200), 90)
    made = {
        f"{FFHQ}/real/1.jpg": head,
        f"{FFHQ}/real/2.jpg": encode_jpeg(portrait(200, seed=2, mirrored=True), 90),
        f"{FFHQ}/real/large.jpg": encode_jpeg(portrait(700, seed=3), 95),
        f"{FFHQ}/real/copy-of-1.jpg": head,
        f"{FFHQ}/real/worn-1.jpg": encode_jpeg(portrait(200), 60),
        f"{FFHQ}/real/truncated.jpg": head[: len(head) // 3],
        f"{FFHQ}/real/empty.jpg": b"",
        f"{FFHQ}/real/coffee.jpg": encode_jpeg(data.coffee()[:200, :300], 90),
        f"{FFHQ}/real/night.jpg": encode_jpeg(portrait(200, seed=4) // 12, 90),
        f"{FFHQ}/ai/both.jpg": encode_jpeg(portrait(200, seed=5), 80),
        f"{FFHQ}/ai/7.jpg": encode_jpeg(portrait(200, seed=7), 80),
        f"{FFHQ}/real/both.jpg": encode_jpeg(portrait(200, seed=5), 80),
        f"{DFDC}/original.jpg": encode_jpeg(portrait(180, seed=8), 80),
        f"{DFDC}/fake.jpg": encode_jpeg(portrait(180, seed=9, mirrored=True), 80),
        f"{DFDC}/second.jpg": encode_jpeg(portrait(180, seed=10, mirrored=True), 80),
    }
    table = (
        "videoname,original_width,label,original\n"
        "original.mp4,200,REAL,\n"
        "fake.mp4,200,FAKE,original.mp4\n"
        "second.mp4,200,FAKE,original.mp4\n"
    )
    return {**made, "videos/metadata.csv": table.encode()}


def silent(_: str) -> None:
    """Say nothing."""


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("raw")
    for name, content in files().items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


@pytest.fixture(scope="module")
def made(raw, tmp_path_factory) -> tuple[Manifest, Path, list[str]]:
    """The manifest, its folder and what was said meanwhile."""
    output, said = tmp_path_factory.mktemp("prepared"), []
    return prepare_data(raw, SPEC, output, progress=said.append), output, said


def origins(manifest: Manifest) -> dict[str, str]:
    """Return the path of each row by its origin."""
    return {row.attributes["origin"]: row.path for row in manifest.rows}


def problems(output: Path) -> dict[str, str]:
    lines = (output / "problems.jsonl").read_text(encoding="utf-8").splitlines()
    return {line["path"]: line["reason"] for line in map(json.loads, lines)}


def test_what_is_usable_is_kept(made):
    """Of two equal files either may be the first."""
    manifest, _, _ = made
    kept = {origin.replace("copy-of-1", "1") for origin in origins(manifest)}
    assert kept == {
        *(f"{FFHQ}/real/{name}.jpg" for name in ("1", "2", "large", "worn-1")),
        f"{FFHQ}/ai/7.jpg",
        f"{DFDC}/original.jpg",
        f"{DFDC}/fake.jpg",
    }


def test_what_is_left_out_is_listed_with_its_reason(made):
    _, output, _ = made
    said = problems(output)
    both = "the same file stands in both classes"
    assert said.pop(f"{FFHQ}/real/truncated.jpg").startswith("truncated_picture: ")
    assert said.pop(f"{FFHQ}/real/empty.jpg").startswith("empty_file: ")
    (copy,) = [path for path in said if path.endswith(("real/1.jpg", "copy-of-1.jpg"))]
    assert said.pop(copy).startswith(f"the same file as {FFHQ}/real/")
    assert said == {
        f"{FFHQ}/real/coffee.jpg": "no face found",
        f"{FFHQ}/real/night.jpg": "too dark",
        f"{FFHQ}/real/both.jpg": both,
        f"{FFHQ}/ai/both.jpg": both,
    }


def test_kept_and_left_out_are_all_that_was_chosen(made):
    manifest, output, said = made
    assert len(manifest.rows) + len(problems(output)) == 12 + 2
    assert said == [
        "photos: 12 listed, 12 chosen, 8 prepared",
        "videos: 3 listed, 2 chosen, 2 prepared",
    ]


def test_pictures_lie_under_their_hash(made):
    manifest, output, _ = made
    for row in manifest.rows:
        content = (output / row.path).read_bytes()
        assert hashlib.sha256(content).hexdigest() == row.sha256
        assert Path(row.path).stem == row.sha256
        assert row.path.startswith(f"pictures/{row.source}/")


def test_small_pictures_keep_their_bytes_and_large_ones_are_equalised(made, raw):
    manifest, output, _ = made
    paths = origins(manifest)
    small = f"{FFHQ}/real/2.jpg"
    assert (output / paths[small]).read_bytes() == (raw / small).read_bytes()
    with Image.open(output / paths[f"{FFHQ}/real/large.jpg"]) as large:
        assert (large.format, large.size) == ("JPEG", (256, 256))
        standard = Image.new("RGB", (8, 8))
        standard.save(output / "standard.jpg", quality=75)
        with Image.open(output / "standard.jpg") as same:
            assert large.quantization == same.quantization


def test_near_duplicates_share_a_group(made):
    manifest, _, _ = made
    groups = {row.attributes["origin"]: row.group for row in manifest.rows}
    worn = groups[f"{FFHQ}/real/worn-1.jpg"]
    (first,) = [g for path, g in groups.items() if path.endswith(("real/1.jpg", "copy-of-1.jpg"))]
    assert worn == first
    assert groups[f"{FFHQ}/real/2.jpg"] != first


def test_a_fake_shares_its_originals_group(made):
    manifest, _, _ = made
    video = [row for row in manifest.rows if row.source == "videos"]
    assert {row.generator for row in video} == {"none", "dfdc-swap"}
    assert len({row.group for row in video}) == 1


def test_only_the_first_fake_of_a_video_is_taken(made):
    manifest, output, _ = made
    assert f"{DFDC}/second.jpg" not in origins(manifest)
    assert f"{DFDC}/second.jpg" not in problems(output)


def test_landmarks_lie_in_the_prepared_picture(made):
    manifest, output, _ = made
    faces = read_faces(output / "faces.parquet")
    assert set(faces) == {row.path for row in manifest.rows}
    for path, points in faces.items():
        with Image.open(output / path) as picture:
            assert points.shape == (5, 2)
            assert ((points > 0) & (points < picture.size)).all()
            eyes = points[1, 0] - points[0, 0]
            assert 0.1 < eyes / picture.width < 0.4


def test_every_row_has_a_split_and_the_file_says_the_same(made):
    manifest, output, _ = made
    assert sum(manifest.counts().values()) == len(manifest.rows)
    assert read_manifest(output / "manifest.parquet") == manifest


def test_what_is_prepared_is_taken_as_it_is(made, tmp_path):
    manifest, output, _ = made
    again = prepare_data(tmp_path / "gone", SPEC, output, progress=silent)
    assert again.sha256 == manifest.sha256


def small(tmp_path: Path) -> tuple[Path, PrepareSpec]:
    """Return a root with one small set, and its spec."""
    for name in ("real/1.jpg", "ai/2.jpg"):
        path = tmp_path / "raw" / FFHQ / name
        path.parent.mkdir(parents=True)
        path.write_bytes(encode_jpeg(portrait(120, seed=len(name)), 90))
    return tmp_path / "raw", PrepareSpec(sources={"photos": SPEC.sources["photos"]})


def test_preparing_twice_gives_the_same_bytes(tmp_path):
    root, spec = small(tmp_path)
    for name in ("one", "other"):
        prepare_data(root, spec, tmp_path / name, progress=silent)
    for file in ("manifest.parquet", "faces.parquet", "problems.jsonl", "spec.json"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "other" / file).read_bytes()


def test_another_spec_prepares_anew(tmp_path):
    root, spec = small(tmp_path)
    prepare_data(root, spec, tmp_path / "out", progress=silent)
    fewer = spec.model_copy(update={"sources": {"photos": SourceSpec(layout="sdfd")}})
    with pytest.raises(ManifestError, match="no picture"):
        prepare_data(root, fewer, tmp_path / "out", progress=silent)
    less = PrepareSpec(sources={"photos": SourceSpec(layout="ffhq_stylegan140k", fake=0)})
    manifest = prepare_data(root, less, tmp_path / "out", progress=silent)
    assert [row.label for row in manifest.rows] == ["real"]


def test_a_broken_preparation_is_never_taken_for_a_whole_one(tmp_path, monkeypatch):
    """Killed between the manifest and the faces of another spec, the folder is made again."""
    root, spec = small(tmp_path)
    prepare_data(root, spec, tmp_path / "out", progress=silent)
    less = PrepareSpec(sources={"photos": SourceSpec(layout="ffhq_stylegan140k", fake=0)})
    with monkeypatch.context() as patch:
        patch.setattr(prepare, "_write_faces", None)
        with pytest.raises(TypeError):
            prepare_data(root, less, tmp_path / "out", progress=silent)
    manifest = prepare_data(root, spec, tmp_path / "out", progress=silent)
    assert len(manifest.rows) == len(read_faces(tmp_path / "out" / "faces.parquet")) == 2


def test_a_spec_of_another_version_is_no_stamp(tmp_path):
    root, spec = small(tmp_path)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "spec.json").write_text('{"sources": {}, "colour": 1}', encoding="utf-8")
    assert len(prepare_data(root, spec, tmp_path / "out", progress=silent).rows) == 2


def test_a_small_png_stays_a_png(tmp_path):
    root, spec = small(tmp_path)
    Image.fromarray(portrait(120, seed=30)).save(root / FFHQ / "real" / "3.png")
    manifest = prepare_data(root, spec, tmp_path / "out", progress=silent)
    assert sorted(Path(row.path).suffix for row in manifest.rows) == [".jpg", ".jpg", ".png"]


def test_long_sets_say_how_far_they_are(tmp_path, monkeypatch):
    root, spec = small(tmp_path)
    monkeypatch.setattr(prepare, "_TOLD_EVERY", 2)
    said: list[str] = []
    prepare_data(root, spec, tmp_path / "out", progress=said.append)
    assert said == ["photos: 2 of 2", "photos: 2 listed, 2 chosen, 2 prepared"]


def test_an_unknown_layout_names_the_nearest(tmp_path):
    spec = PrepareSpec(sources={"photos": SourceSpec(layout="utkfaces")})
    with pytest.raises(UnknownChoiceError, match="did you mean 'utkface'"):
        prepare_data(tmp_path, spec, tmp_path / "out", progress=silent)
