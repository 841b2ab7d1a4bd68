"""One picture prepared: its history, its crop, its landmarks, and why there may be none."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from skimage import data

from faceproof.data.preparing.pictures import (
    FORMATS,
    KERNELS,
    PictureJob,
    PrepareContext,
    _equalise,
    _PictureFile,
    apply_history,
    crop_landmarks,
    draw_history,
    equalised_side,
    face_width,
    prepare_picture,
    share_outside,
)
from faceproof.data.preparing.spec import DroppedPicture, Equalising, PicturesSpec, WrittenPicture
from faceproof.imaging.decode import decode
from faceproof.imaging.degradations import encode_jpeg
from faceproof.imaging.faces import YuNet
from faceproof.imaging.preprocessing import (
    CropSpec,
    Preprocessing,
    crop_face,
    face_matrix,
    prepare,
)

IN_USE = CropSpec(size=160, margin=0.0)


def head(side: int = 300, *, angle: float = 0.0) -> np.ndarray:
    """Return the astronaut's head, ``side`` px square, turned by ``angle`` degrees."""
    picture = data.astronaut()[0:260, 90:350]
    turn = cv2.getRotationMatrix2D((130, 130), angle, side / 260)
    turn[:, 2] += (side - 260) / 2
    return cv2.warpAffine(picture, turn, (side, side), flags=cv2.INTER_CUBIC)


def prepared(
    tmp_path: Path, content: bytes, spec: PicturesSpec, *, side: int | None = None, sha256: str = ""
) -> WrittenPicture | DroppedPicture:
    """Return the outcome of one file with this content."""
    (tmp_path / "raw").mkdir(exist_ok=True)
    (tmp_path / "raw" / "one.jpg").write_bytes(content)
    job = PictureJob(
        "one.jpg", sha256 or hashlib.sha256(content).hexdigest(), "pictures/real/ab/abc"
    )
    return prepare_picture(job, PrepareContext(tmp_path / "raw", tmp_path, spec, side, YuNet()))


def done(outcome: WrittenPicture | DroppedPicture) -> WrittenPicture:
    assert isinstance(outcome, WrittenPicture), outcome
    return outcome


def dropped(outcome: WrittenPicture | DroppedPicture) -> tuple[str, str]:
    assert isinstance(outcome, DroppedPicture), outcome
    return outcome.code, outcome.reason


@pytest.mark.parametrize("format_", ["png", "webp"])
@pytest.mark.parametrize(("side", "angle"), [(700, 0), (300, 12), (110, -25)])
def test_a_network_sees_the_crop_as_it_sees_the_picture(tmp_path, format_, side, angle):
    """With the detector's crop nothing is lost: not one bit of the network's input differs."""
    pixels = head(side, angle=angle)
    content = encode_jpeg(pixels, 90)
    spec = PicturesSpec(crop=IN_USE, format=format_)
    outcome = done(prepared(tmp_path, content, spec))
    picture = decode(content).pixels
    (face, *_) = YuNet().find(picture)
    crop = decode((tmp_path / outcome.path).read_bytes()).pixels
    points = np.array(outcome.landmarks, np.float32)
    in_use = Preprocessing(crop=IN_USE)
    whole = prepare(picture, face.landmarks, in_use)
    assert np.array_equal(prepare(crop, points, in_use), whole)
    assert np.array_equal(crop, crop_face(picture, face.landmarks, IN_USE))


def test_landmarks_stand_on_the_template_of_the_crop():
    """Five points that are a turned, shifted template land on it in the crop."""
    spec = CropSpec(size=224, margin=0.5)
    template = np.array([[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366]])
    template = np.vstack([template, [[41.5493, 92.3655], [70.7299, 92.2041]]])
    turn = np.array([[0.8, -0.6], [0.6, 0.8]])
    found = crop_landmarks((3 * template @ turn.T + [40, 7]).astype(np.float32), spec)
    # A margin of a half on each side doubles what is shown: 224 px show 224 units.
    assert found == pytest.approx(template + 56, abs=1e-3)


@pytest.mark.parametrize(("margin", "expected"), [(0.0, 0.0), (0.5, 0.75), (1.0, 8 / 9)])
def test_the_share_of_a_crop_outside_of_its_picture(margin, expected):
    """A 112 px picture that is the template itself: a margin of a half doubles the side."""
    template = np.array([[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366]])
    template = np.vstack([template, [[41.5493, 92.3655], [70.7299, 92.2041]]]).astype(np.float32)
    spec = CropSpec(size=200, margin=margin)
    assert share_outside(template, (112, 112), spec) == pytest.approx(expected, abs=1e-5)


def test_the_share_outside_is_that_of_the_fill_in_the_crop(tmp_path):
    content = encode_jpeg(head(angle=20), 95)
    fill = CropSpec(size=256, margin=1.0, fill=(255, 0, 0))
    outcome = done(prepared(tmp_path, content, PicturesSpec(crop=fill)))
    crop = decode((tmp_path / outcome.path).read_bytes()).pixels
    filled = (crop == (255, 0, 0)).all(axis=2).mean()
    assert 0.1 < outcome.outside < 0.9
    assert outcome.outside == pytest.approx(filled, abs=0.01)


def test_what_is_written_down_is_what_lies_there(tmp_path):
    outcome = done(prepared(tmp_path, encode_jpeg(head(), 90), PicturesSpec()))
    content = (tmp_path / outcome.path).read_bytes()
    assert outcome.path == "pictures/real/ab/abc.png"
    assert outcome.sha256 == hashlib.sha256(content).hexdigest()
    assert outcome.bytes == len(content)
    with Image.open(io.BytesIO(content)) as image:
        assert (image.format, image.size) == ("PNG", (256, 256))
    assert (outcome.format, outcome.width, outcome.height) == ("PNG", 256, 256)
    assert outcome.jpeg_quality is None
    assert len(outcome.phash) == 64
    assert outcome.faces == 1


def test_the_largest_of_several_faces_is_kept_and_their_number_told(tmp_path):
    sheet = np.zeros((400, 700, 3), np.uint8)
    sheet[:400, :400], sheet[100:300, 480:680] = head(400), head(200)[:, ::-1]
    outcome = done(prepared(tmp_path, encode_jpeg(sheet, 95), PicturesSpec(keep="picture")))
    assert outcome.faces == 2
    assert max(x for x, _ in outcome.landmarks) < 400


def test_a_kept_picture_keeps_its_bytes(tmp_path):
    content = encode_jpeg(head(), 83)
    outcome = done(prepared(tmp_path, content, PicturesSpec(keep="picture")))
    assert (tmp_path / outcome.path).read_bytes() == content
    assert outcome.path.endswith(".jpg")
    (face, *_) = YuNet().find(decode(content).pixels)
    assert np.array_equal(np.array(outcome.landmarks, np.float32), face.landmarks)


@pytest.mark.parametrize("format_", ["png", "jpeg", "webp"])
def test_formats_are_what_they_say(format_):
    kind = FORMATS[format_]
    picture = decode(kind.encode(head(64)))
    assert picture.format == kind.name
    lossless = np.array_equal(picture.pixels, head(64))
    assert lossless == (format_ != "jpeg")


def test_no_face_is_told(tmp_path):
    content = encode_jpeg(data.coffee()[:200, :300], 90)
    assert dropped(prepared(tmp_path, content, PicturesSpec()))[0] == "no_face"


def test_a_picture_smaller_than_any_face_is_told(tmp_path):
    code, reason = dropped(prepared(tmp_path, encode_jpeg(head(31), 90), PicturesSpec()))
    assert (code, reason[:7]) == ("too_small", "31 x 31")
    outcome = prepared(tmp_path, encode_jpeg(head(32), 90), PicturesSpec())
    assert isinstance(outcome, WrittenPicture) or outcome.code == "no_face"


def test_a_file_that_changed_since_its_import_is_told(tmp_path):
    content = encode_jpeg(head(), 90)
    outcome = prepared(tmp_path, content, PicturesSpec(), sha256="0" * 64)
    code, reason = dropped(outcome)
    assert code == "changed"
    assert "import it again" in reason


def test_what_cannot_be_read_is_told_without_the_place_of_the_folder(tmp_path):
    whole = encode_jpeg(head(), 90)
    code, reason = dropped(prepared(tmp_path, whole[: len(whole) // 2], PicturesSpec()))
    assert code == "truncated_picture"
    assert reason.startswith("one.jpg: ")
    shop = PrepareContext(tmp_path / "raw", tmp_path, PicturesSpec(), None, YuNet())
    code, reason = dropped(prepare_picture(PictureJob("gone.jpg", "0" * 64, "x"), shop))
    assert (code, reason) == ("source_not_found", "gone.jpg: no such file")


def test_nothing_is_written_where_nothing_was_prepared(tmp_path):
    prepared(tmp_path, encode_jpeg(data.coffee()[:200, :300], 90), PicturesSpec())
    assert not (tmp_path / "pictures").exists()


def quality_of(content: bytes) -> int:
    """Return the JPEG quality whose luma table the file has."""
    with Image.open(io.BytesIO(content)) as image:
        found = image.quantization[0]
    for quality in range(1, 101):
        with Image.open(io.BytesIO(encode_jpeg(np.zeros((8, 8, 3), np.uint8), quality))) as image:
            if image.quantization[0] == found:
                return quality
    raise AssertionError("no such table")


def test_an_equalised_picture_has_the_common_side_and_a_quality_of_the_range(tmp_path):
    spec = PicturesSpec(keep="picture", equalise=Equalising(quality=(80, 82)))
    content = encode_jpeg(head(500)[:400], 99)
    outcome = done(prepared(tmp_path, content, spec, side=250))
    assert (outcome.width, outcome.height, outcome.format) == (250, 200, "JPEG")
    written = (tmp_path / outcome.path).read_bytes()
    assert quality_of(written) == outcome.jpeg_quality
    assert 80 <= (outcome.jpeg_quality or 0) <= 82


def test_a_picture_below_the_common_side_is_saved_again_and_not_enlarged(tmp_path):
    spec = PicturesSpec(keep="picture", equalise=Equalising(quality=(75, 75)))
    content = encode_jpeg(head(200), 99)
    outcome = done(prepared(tmp_path, content, spec, side=256))
    assert (outcome.width, outcome.jpeg_quality) == (200, 75)
    assert (tmp_path / outcome.path).read_bytes() == encode_jpeg(decode(content).pixels, 75)


def test_the_history_comes_before_the_crop(tmp_path):
    """A crop of an equalised picture is the crop of the file that its history made."""
    content = encode_jpeg(head(640), 95)
    spec = PicturesSpec(crop=IN_USE, equalise=Equalising(quality=(70, 95)), seed=5)
    outcome = done(prepared(tmp_path, content, spec, side=80))
    history = draw_history(hashlib.sha256(content).hexdigest(), seed=5, quality=(70, 95))
    pixels = decode(content).pixels
    (face, *_) = YuNet().find(pixels)
    side = 112 / np.linalg.det(face_matrix(face.landmarks, CropSpec(size=112))[:, :2]) ** 0.5
    degraded = decode(apply_history(pixels, history, factor=80 / side)).pixels
    moved = np.float32((face.landmarks + 0.5) * np.float64(degraded.shape[1] / 640) - 0.5)
    crop = decode((tmp_path / outcome.path).read_bytes()).pixels
    assert np.array_equal(crop, crop_face(degraded, moved, IN_USE))


@pytest.mark.parametrize("size", [640, 400, 250])
def test_faces_have_one_side_after_the_history_whatever_the_picture(tmp_path, size):
    """The face that is found anew has the common side, to a few pixels."""
    spec = PicturesSpec(crop=IN_USE, equalise=Equalising(quality=(95, 95)))
    shop = PrepareContext(tmp_path, tmp_path, spec, 90, YuNet())
    pixels = head(size)
    (face, *_) = shop.finder.find(pixels)
    job = PictureJob("a.jpg", "ab" * 32, "a")
    file, moved = _equalise(
        _PictureFile(b"", pixels, "PNG"), face.landmarks, job, spec.equalise, shop
    )
    assert equalised_side(file.pixels, moved, spec) == pytest.approx(90, abs=0.5)
    (again, *_) = shop.finder.find(file.pixels)
    assert np.abs(again.landmarks - moved).max() < 4


def test_histories_are_drawn_evenly_from_the_seed_and_the_hash():
    hashes = [hashlib.sha256(str(number).encode()).hexdigest() for number in range(2000)]
    drawn = [draw_history(sha256, seed=1, quality=(70, 95)) for sha256 in hashes]
    assert drawn == [draw_history(sha256, seed=1, quality=(70, 95)) for sha256 in hashes]
    assert drawn != [draw_history(sha256, seed=2, quality=(70, 95)) for sha256 in hashes]
    assert {history.quality for history in drawn} == set(range(70, 96))
    kernels = [history.kernel for history in drawn]
    assert all(320 < kernels.count(kernel) < 480 for kernel in KERNELS)


@pytest.mark.parametrize("kernel", KERNELS)
def test_no_kernel_leaves_the_aliasing_of_a_larger_picture(kernel):
    """Stripes that a quarter of the size cannot hold become grey, whichever kernel is drawn."""
    stripes = np.tile(np.array([0, 255], np.uint8), 256)[None, :, None]
    stripes = np.broadcast_to(stripes, (512, 512, 3)).copy()
    history = draw_history("ab" * 32, seed=0, quality=(100, 100))
    degraded = decode(apply_history(stripes, type(history)(kernel, 100), factor=0.25)).pixels
    assert np.abs(degraded[8:-8, 8:-8].astype(int) - 127).max() <= 12


FACE = PicturesSpec(crop=CropSpec(size=120, margin=0.35), keep="face")


def test_a_file_with_nothing_to_cut_away_is_kept_byte_for_byte(tmp_path):
    content = encode_jpeg(head(150), 80)
    found = done(prepared(tmp_path, content, FACE))
    assert (tmp_path / found.path).read_bytes() == content
    assert found.format == "JPEG"


def test_a_face_keeps_its_own_width_and_every_pixel(tmp_path):
    """A part is cut out of a large picture without resampling and without another lossy save."""
    wide = np.full((400, 500, 3), 90, np.uint8)
    wide[100:280, 200:380] = head(180)
    content = encode_jpeg(wide, 90)
    found = done(prepared(tmp_path, content, FACE))
    part = decode((tmp_path / found.path).read_bytes()).pixels
    assert found.format == "PNG"
    assert part.shape[0] < 300
    whole = decode(content).pixels
    face = YuNet().find(whole)[0]
    left, top = (round(float(v)) for v in (face.landmarks - np.array(found.landmarks))[0])
    assert np.array_equal(part, whole[top : top + part.shape[0], left : left + part.shape[1]])


def test_a_face_wider_than_the_limit_is_reduced_to_it(tmp_path):
    found = done(prepared(tmp_path, encode_jpeg(head(700), 90), FACE))
    assert face_width(np.array(found.landmarks, np.float32)) == pytest.approx(120, rel=0.02)
    assert found.format == "PNG"


def test_a_network_sees_a_kept_face_as_it_sees_the_picture(tmp_path):
    """What is cut away lies outside of the crop in use: not one bit of it differs."""
    wide = np.full((400, 500, 3), 90, np.uint8)
    wide[100:280, 200:380] = head(180)
    content = encode_jpeg(wide, 90)
    found = done(prepared(tmp_path, content, FACE))
    part = decode((tmp_path / found.path).read_bytes()).pixels
    whole = decode(content).pixels
    crop = CropSpec(size=64, margin=0.1)
    in_use = crop_face(whole, YuNet().find(whole)[0].landmarks, crop)
    kept = crop_face(part, np.array(found.landmarks, np.float32), crop)
    assert np.abs(in_use.astype(int) - kept).max() <= 2
