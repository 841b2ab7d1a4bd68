"""``check --heatmaps DIR``: a PNG for each face, under a safe name, over nothing else."""

from __future__ import annotations

import threading
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from faceproof.checker import Checker
from faceproof.cli import app
from faceproof.cli.heatmaps import HeatMapFolder, caption_lines
from faceproof.detector import Detector, DetectorSpec
from faceproof.errors import FaceproofError, NoHeatMapError, UsageError
from faceproof.sources import HEATMAP_MARK
from support.heatmap_bundles import MappedBundle

Run = CliRunner()


@pytest.fixture
def bundle(tmp_path: Path, tiny_spec: DetectorSpec, tiny_files: dict[str, bytes]) -> Path:
    return MappedBundle().written(tmp_path / "bundle", tiny_spec, tiny_files)


@pytest.fixture
def checker(bundle: Path) -> Checker:
    return Checker(Detector.load(bundle), faces="whole", heatmaps=True)


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """A dark picture with a bright corner at its lower left."""
    pixels = np.full((96, 96, 3), 20, np.uint8)
    pixels[72:, :24] = 250
    path = tmp_path / "photos" / "A party!.png"
    path.parent.mkdir()
    Image.fromarray(pixels).save(path)
    return path


def checked(*arguments: object) -> object:
    return Run.invoke(app, ["check", "--faces", "whole", *map(str, arguments)])


def test_each_picture_gives_a_png_that_is_hot_where_it_is_bright(
    picture: Path, bundle: Path, tmp_path: Path
) -> None:
    maps = tmp_path / "new" / "maps"
    answer = checked(picture, "-d", bundle, "--heatmaps", maps, "-f", "json")
    assert answer.exit_code == 0, answer.output
    (path,) = maps.iterdir()
    assert path.name == f"A_party-{sha256(picture.read_bytes()).hexdigest()[:12]}-1.png"
    with Image.open(path) as drawn:
        shown = np.asarray(drawn.convert("RGB")).astype(float)
        assert drawn.info[HEATMAP_MARK].startswith("face 1 of ")
    assert shown.shape == (480 + 52, 480, 3)
    assert np.ptp(shown[430, 50]) > 40
    assert np.ptp(shown[60, 400]) < 10
    assert '"method":"grad-cam"' in answer.output


def test_without_the_option_nothing_is_explained(picture: Path, bundle: Path) -> None:
    answer = checked(picture, "-d", bundle, "-f", "jsonl")
    assert answer.exit_code == 0
    assert '"heatmap":null' in answer.output


def test_a_second_run_takes_the_place_of_the_first(
    picture: Path, bundle: Path, tmp_path: Path
) -> None:
    for _ in range(2):
        assert checked(picture, "-d", bundle, "--heatmaps", tmp_path / "maps").exit_code == 0
    assert len(list((tmp_path / "maps").iterdir())) == 1


def test_runs_at_one_time_share_a_folder(picture: Path, checker: Checker, tmp_path: Path) -> None:
    folders = [HeatMapFolder(tmp_path / "maps", checker) for _ in range(4)]
    for folder in folders:
        (source,) = folder.record_sources([str(picture)])
    result, failed = checker.check(source), []

    def draw(folder: HeatMapFolder) -> None:
        try:
            folder.take(result)
        except FaceproofError as error:
            failed.append(error)

    threads = [threading.Thread(target=draw, args=(folder,)) for folder in folders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert len(list((tmp_path / "maps").iterdir())) == 1


def test_maps_in_the_checked_folder_are_not_checked(picture: Path, bundle: Path) -> None:
    for _ in range(2):
        answer = checked(picture.parent, "-d", bundle, "--heatmaps", picture.parent, "-f", "jsonl")
        assert answer.stdout.count("\n") == 1
    assert "(1 other file skipped)" in answer.stderr


def test_a_full_disk_is_one_line_and_the_results_are_there(
    picture: Path, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("faceproof.outputs.os.fsync", full)
    answer = checked(picture, "-d", bundle, "--heatmaps", tmp_path / "maps", "-f", "jsonl")
    assert (answer.exit_code, answer.stdout.count("\n")) == (1, 1)
    assert "No space left on device" in answer.stderr
    assert "Traceback" not in answer.stderr


@pytest.mark.parametrize("what", ["text", "png", "folder", "link", "link to nothing"])
def test_what_stands_there_already_is_left_alone(
    picture: Path, bundle: Path, tmp_path: Path, what: str
) -> None:
    maps, other = tmp_path / "maps", tmp_path / "other.txt"
    assert checked(picture, "-d", bundle, "--heatmaps", maps).exit_code == 0
    (path,) = maps.iterdir()
    path.unlink()
    other.write_text("precious")
    {
        "text": lambda: path.write_text("precious"),
        "png": lambda: Image.new("RGB", (3, 3)).save(path),
        "folder": path.mkdir,
        "link": lambda: path.symlink_to(other),
        "link to nothing": lambda: path.symlink_to(tmp_path / "gone"),
    }[what]()
    before = path.read_bytes() if path.is_file() else None
    assert checked(picture, "-d", bundle, "--heatmaps", maps).exit_code == 0
    assert (path.read_bytes() if path.is_file() else None) == before
    assert other.read_text() == "precious"
    assert path.is_symlink() == what.startswith("link")
    assert sorted(one.name for one in maps.iterdir()) == sorted([path.name, f"{path.stem}-2.png"])


@pytest.mark.parametrize(
    ("values", "reliable", "message"),
    [
        (((-0.1, 0.2),), True, "Coloured: what spoke for fake (map passed its test)"),
        (((-0.1, 0.2),), False, "UNRELIABLE: this map failed its deletion test"),
        (((-0.1, 0.0),), True, "Nothing is coloured: no part spoke for fake"),
    ],
)
def test_the_words_below_say_what_the_map_is_worth(
    picture: Path, checker: Checker, values: object, reliable: bool, message: str
) -> None:
    (face,) = checker.check(str(picture)).faces
    heat = face.heatmap.model_copy(update={"values": values, "reliable": reliable})
    verdict, worth = caption_lines(face.model_copy(update={"heatmap": heat}), 3)
    assert verdict == f"Face 3: {face.verdict}, probability of fake {face.fake_probability:.3f}"
    assert worth == message


def test_two_pictures_of_one_name_do_not_collide(
    picture: Path, bundle: Path, tmp_path: Path
) -> None:
    twin = tmp_path / "elsewhere" / picture.name
    twin.parent.mkdir()
    Image.new("RGB", (50, 50), "white").save(twin)
    assert checked(picture, twin, "-d", bundle, "--heatmaps", tmp_path / "maps").exit_code == 0
    assert len(list((tmp_path / "maps").iterdir())) == 2


def test_a_picture_that_changed_meanwhile_is_not_drawn(
    picture: Path, checker: Checker, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = HeatMapFolder(tmp_path / "maps", checker)
    (source,) = folder.record_sources([str(picture)])
    result = checker.check(source)
    Image.new("RGB", (50, 50)).save(picture)
    folder.take(result)
    assert "has changed since it was judged" in capsys.readouterr().err
    assert list((tmp_path / "maps").iterdir()) == []


def test_what_could_not_be_checked_is_passed_over(
    picture: Path, bundle: Path, tmp_path: Path
) -> None:
    """And the pictures after it get their own maps."""
    broken = tmp_path / "photos" / "0.jpg"
    broken.write_bytes(b"\xff\xd8\xff no picture")
    answer = checked(picture.parent, "-d", bundle, "--heatmaps", tmp_path / "maps")
    assert answer.exit_code == 1
    assert [path.name[:7] for path in (tmp_path / "maps").iterdir()] == ["A_party"]


def test_a_detector_without_maps_says_so_before_anything_is_checked(
    picture: Path, tiny_bundle: Path, tmp_path: Path
) -> None:
    answer = checked(picture, "-d", tiny_bundle, "--heatmaps", tmp_path / "maps")
    assert answer.exit_code == 2
    assert isinstance(answer.exception, SystemExit)
    with pytest.raises(NoHeatMapError):
        Checker(Detector.load(tiny_bundle), heatmaps=True)
    assert not (tmp_path / "maps").exists()


def test_a_folder_that_cannot_be_made_is_wrong_usage(
    picture: Path, checker: Checker, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"--heatmaps .*file.*; name another"):
        HeatMapFolder(tmp_path / "file", checker)
