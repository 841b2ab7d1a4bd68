"""Checker: one picture, very many, and everything that is no picture."""

from __future__ import annotations

import io
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from skimage import data

from faceproof.checker import FACES, Checker, source_name
from faceproof.detector import Detector
from faceproof.detector.heatmaps import Explanations
from faceproof.errors import NoHeatMapError, SourceUnreadableError, UnknownChoiceError, UsageError
from faceproof.imaging.decode import Limits
from faceproof.imaging.faces import Face, YuNet
from faceproof.imaging.fetching import DEFAULT_POLICY, FetchPolicy
from faceproof.imaging.heat import crop_corners
from faceproof.imaging.preprocessing import prepare
from faceproof.imaging.printing import COPIES
from faceproof.results import CheckResult, Provenance
from faceproof.sources import RefusedSource

# The detector of the tests calls bright faces fake.
ASTRONAUT = cv2.convertScaleAbs(data.astronaut()[:320, 60:380], alpha=1.5)
NO_FACE = np.full((64, 48, 3), 128, np.uint8)


@pytest.fixture
def detector(tiny_bundle: Path) -> Detector:
    return Detector.load(tiny_bundle, threads=1)


@pytest.fixture
def checker(detector: Detector) -> Checker:
    return Checker(detector)


def png(pixels: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def summarise(result: CheckResult) -> dict[str, object]:
    """Return what a result says, without how long it took."""
    return result.model_dump(exclude={"elapsed_ms"})


class Finder:
    """Finds what it is told to, or raises it."""

    def __init__(self, answer: list[Face] | Exception) -> None:
        self.answer = answer

    def find(self, pixels: np.ndarray) -> list[Face]:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def test_a_face_is_judged_by_the_one_way_from_picture_to_network(checker, detector):
    result = checker.check(ASTRONAUT)
    (face,) = YuNet().find(ASTRONAUT)
    inputs = prepare(ASTRONAUT, face.landmarks, detector.preprocessing)[None]
    assert result.status == "ok"
    assert result.fake_probability == detector.fake_probabilities(inputs)[0]
    assert result.faces[0].box == pytest.approx(face.box, abs=0.005)
    assert np.asarray(result.faces[0].landmarks) == pytest.approx(face.landmarks, abs=0.005)
    assert result.detector.sha256 == detector.sha256
    assert (result.operating_point, result.elapsed_ms > 0) == ("balanced", True)


def test_every_kind_of_source_says_the_same(checker, tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(png(ASTRONAUT))
    sources = {
        str(path): str(path),
        "path": path,
        "<bytes>": path.read_bytes(),
        "<BytesIO>": io.BytesIO(path.read_bytes()),
        "<Image>": Image.fromarray(ASTRONAUT),
        "<ndarray>": ASTRONAUT,
    }
    results = {name: checker.check(source) for name, source in sources.items()}
    same = {"source", "image", "provenance", "elapsed_ms"}
    assert len({result.model_dump_json(exclude=same) for result in results.values()}) == 1
    assert {r.source for r in results.values()} == {str(path), *sources} - {"path"}
    assert checker.check(ASTRONAUT, name="upload").source == "upload"
    files = [results[name].provenance for name in (str(path), "path", "<bytes>", "<BytesIO>")]
    assert files[0].content_credentials.state == "absent"
    assert files == files[:1] * 4
    for name in ("<Image>", "<ndarray>"):
        assert results[name].provenance == Provenance()


@pytest.mark.parametrize(
    ("batch_size", "workers"), [(1, 0), (1, 3), (2, 1), (7, 0), (7, 3), (None, None)]
)
def test_many_are_told_as_one_is(checker, batch_size, workers):
    two = np.concatenate([ASTRONAUT, ASTRONAUT // 2], axis=1)
    sources = [ASTRONAUT, NO_FACE, two, b"", ASTRONAUT[::-1], ASTRONAUT // 3, "nowhere.jpg"]
    many = checker.check_many(sources, batch_size=batch_size, workers=workers)
    assert [summarise(result) for result in many] == [
        summarise(checker.check(one)) for one in sources
    ]


def test_a_picture_is_as_fake_as_its_most_fake_face(checker):
    result = checker.check(np.concatenate([ASTRONAUT // 4, ASTRONAUT], axis=1))
    assert [face.verdict for face in result.faces] != ["fake", "fake"]
    assert len(result.faces) == 2
    assert result.fake_probability == max(face.fake_probability for face in result.faces)
    assert result.verdict == "fake"


def test_the_largest_face_alone(detector):
    large = cv2.resize(ASTRONAUT // 4, (640, 640))
    small = cv2.copyMakeBorder(ASTRONAUT, 0, 320, 0, 0, cv2.BORDER_CONSTANT)
    result = Checker(detector, faces="largest").check(np.concatenate([small, large], axis=1))
    (face,) = result.faces
    assert face.box[0] > 320
    assert result.verdict == "real"


def test_a_whole_picture_as_one_face(detector):
    checker = Checker(detector, faces="whole", finder=Finder(AssertionError("not asked")))
    white, black = (checker.check(np.full((50, 40, 3), level, np.uint8)) for level in (255, 0))
    (face,) = white.faces
    assert face.box == (0.0, 0.0, 40.0, 50.0)
    assert (face.landmarks, face.detection_score, face.quality.side_px) == (None, None, 40)
    assert (white.verdict, black.verdict) == ("fake", "real")
    inputs = prepare(np.full((50, 40, 3), 255, np.uint8), None, detector.preprocessing)[None]
    assert white.fake_probability == detector.fake_probabilities(inputs)[0]


def test_a_whole_picture_has_the_quality_of_its_own_crop(detector):
    crop = ASTRONAUT[50:200, 110:260]
    sharp, blurred = Checker(detector, faces="whole").check_many([crop, cv2.blur(crop, (25, 25))])
    assert sharp.faces[0].quality.cautions == ()
    assert blurred.faces[0].quality.cautions == ("blurred",)


def test_the_two_halves_of_a_check_join_sources_of_several_callers(checker):
    two = np.concatenate([ASTRONAUT, ASTRONAUT // 2], axis=1)
    sources = {"two": two, "none": NO_FACE, "broken": b"", "one": ASTRONAUT}
    opened = [checker.open(source, name=name) for name, source in sources.items()]
    assert [one.weight for one in opened] == [2, 1, 1, 1]
    alone = [checker.check(source, name=name) for name, source in sources.items()]
    assert [summarise(result) for result in checker.judge(opened)] == [
        summarise(one) for one in alone
    ]
    assert checker.judge([]) == []


def test_another_operating_point_needs_no_network(checker, detector, monkeypatch):
    at_default = checker.check(np.concatenate([ASTRONAUT, ASTRONAUT // 2], axis=1))
    strict = checker.at("strict")
    assert strict.operating_point.name == "strict"
    assert checker.operating_point.name == "balanced"
    wanted = strict.check(np.concatenate([ASTRONAUT, ASTRONAUT // 2], axis=1))
    nothing = checker.check(NO_FACE)
    monkeypatch.setattr(Detector, "logits", None)
    assert summarise(checker.verdicts_at(at_default, "strict")) == summarise(wanted)
    assert wanted.verdict != at_default.verdict
    assert checker.verdicts_at(nothing, "strict").verdict is None
    with pytest.raises(UnknownChoiceError):
        checker.verdicts_at(at_default, "nowhere")


def test_verdicts_of_another_detector_are_not_told_anew(checker):
    result = checker.check(ASTRONAUT)
    other = result.model_copy(
        update={"detector": result.detector.model_copy(update={"sha256": "0" * 64})}
    )
    with pytest.raises(UsageError, match="check it again"):
        checker.verdicts_at(other, "balanced")


def test_bytes_with_a_name_are_told_as_their_file_is(checker, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for file in (png(ASTRONAUT), png(ASTRONAUT)[:900], b"", b"plainly no picture\n"):
        Path("a.png").write_bytes(file)
        assert summarise(checker.check(file, name="a.png")) == summarise(checker.check("a.png"))


def test_no_face_is_a_status(checker):
    result = checker.check(NO_FACE)
    assert (result.status, result.verdict, result.faces) == ("no_face", None, ())
    assert (result.image.width, result.image.height) == (48, 64)


BAD = {
    "source_not_found": "nowhere.jpg",
    "address_refused": "http://127.0.0.1/a.jpg",
    "unsupported_source": "https://example.org/a.jpg",
    "empty_file": b"",
    "unsupported_format": b"plainly no picture\n",
    "source_unreadable": RefusedSource(
        "locked", SourceUnreadableError("locked: Permission denied")
    ),
    "file_too_large": bytes(2_000_000),
}


@pytest.mark.parametrize("code", BAD)
def test_a_bad_source_is_a_result(detector, code):
    addresses = None if code == "unsupported_source" else DEFAULT_POLICY
    checker = Checker(detector, limits=Limits(max_bytes=1_000_000), addresses=addresses)
    result = checker.check(BAD[code])
    assert (result.status, result.error.code, result.verdict) == ("error", code, None)
    assert result.image is None
    assert result.error.message


class Pictures(BaseHTTPRequestHandler):
    """Serves one picture."""

    def do_GET(self) -> None:
        body = png(ASTRONAUT)
        self.send_response(200)
        self.send_header("Content-Type", "image/png")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_a_picture_at_an_address_is_judged_as_its_file_is(detector):
    with ThreadingHTTPServer(("127.0.0.1", 0), Pictures) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        port = server.server_address[1]
        address = f"http://127.0.0.1:{port}/astronaut.png"
        policy = FetchPolicy(ports=frozenset({port}), allow_private=("127.0.0.1/32",))
        result = Checker(detector, addresses=policy).check(address)
        server.shutdown()
    assert result.source == address
    assert result.image.format == "PNG"
    wanted = Checker(detector).check(png(ASTRONAUT), name=address)
    assert summarise(result) == summarise(wanted)


def test_heat_maps_come_with_each_face_and_change_no_probability(detector, monkeypatch):
    def explained(self: Detector, inputs: np.ndarray) -> Explanations:
        numbers = np.arange(len(inputs), dtype=np.float64)
        return Explanations(
            logits=self.logits(inputs),
            values=np.arange(4.0).reshape(1, 2, 2) + numbers[:, None, None],
            reliable=numbers > 0,
            hottest_deleted=-numbers,
            random_deleted=numbers / 2,
        )

    two = np.concatenate([ASTRONAUT, ASTRONAUT // 2], axis=1)
    monkeypatch.setattr(Detector, "explain", explained)
    monkeypatch.setattr(Detector, "refuse_without_maps", lambda _: None)
    result = Checker(detector, heatmaps=True).check(two)
    first, second = (face.heatmap for face in result.faces)
    assert first.values == ((0.0, 1.0), (2.0, 3.0))
    assert second.values == ((1.0, 2.0), (3.0, 4.0))
    assert (first.reliable, second.reliable) == (False, True)
    assert (second.hottest_deleted, second.random_deleted) == (-1.0, 0.5)
    spec = detector.preprocessing.crop
    for face in result.faces:
        corners = crop_corners(two.shape, np.array(face.landmarks), spec)
        assert np.array(face.heatmap.corners) == pytest.approx(corners, abs=0.2)
    bare = result.model_copy(
        update={"faces": tuple(f.model_copy(update={"heatmap": None}) for f in result.faces)}
    )
    assert summarise(bare) == summarise(Checker(detector).check(two))


def test_the_map_of_a_whole_picture_lies_over_all_of_it(detector, monkeypatch):
    def explained(self: Detector, inputs: np.ndarray) -> Explanations:
        one = np.zeros(1)
        return Explanations(self.logits(inputs), np.ones((1, 1, 1)), one > 1, one, one)

    monkeypatch.setattr(Detector, "explain", explained)
    monkeypatch.setattr(Detector, "refuse_without_maps", lambda _: None)
    result = Checker(detector, faces="whole", heatmaps=True).check(np.zeros((50, 40, 3), np.uint8))
    corners = np.array(result.faces[0].heatmap.corners)
    assert corners.min(axis=0) == pytest.approx([-5.5, -0.5], abs=1)
    assert corners.max(axis=0) == pytest.approx([44.5, 49.5], abs=1)


def test_a_detector_without_heat_maps_says_so_at_once(detector):
    with pytest.raises(NoHeatMapError, match="has no heat maps"):
        Checker(detector, heatmaps=True)


@pytest.mark.parametrize("source", [np.zeros((3, 3)), np.zeros((0, 5, 3), np.uint8)])
def test_what_is_no_source_is_a_result_too(checker, source):
    assert checker.check(source).status == "error"


@pytest.mark.parametrize("name", ["a\0b.jpg", "x" * 5000 + ".jpg", "caf\udce9.jpg"])
def test_no_name_is_too_strange(checker, name):
    result = checker.check(name)
    assert result.status == "error"
    assert CheckResult.model_validate_json(result.model_dump_json()) == result


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (MemoryError(), "picture_too_large"),
        (OSError(5, "Input/output error"), "source_unreadable"),
        (cv2.error("(-215:Assertion failed)"), "corrupt_picture"),
    ],
)
def test_the_errors_of_libraries_are_translated(detector, error, code):
    assert Checker(detector, finder=Finder(error)).check(NO_FACE).error.code == code


def test_a_bug_in_a_finder_is_no_bad_source(detector):
    with pytest.raises(ZeroDivisionError):
        Checker(detector, finder=Finder(ZeroDivisionError())).check(NO_FACE)


def test_shapes_at_the_edge(checker):
    shapes = [(1, 1), (1, 3000), (3000, 1), (2, 2), (33, 31)]
    results = checker.check_many(np.zeros((*shape, 3), np.uint8) for shape in shapes)
    assert [result.status for result in results] == ["no_face"] * len(shapes)


def test_the_operating_point_is_named(detector):
    assert Checker(detector).check(ASTRONAUT).verdict == "fake"
    strict = Checker(detector, at="strict").check(ASTRONAUT)
    assert (strict.verdict, strict.operating_point) == ("unsure", "strict")


def test_unknown_choices_are_named(detector, checker):
    with pytest.raises(UnknownChoiceError, match="operating point 'stric', did you mean 'strict'"):
        Checker(detector, at="stric")
    with pytest.raises(UnknownChoiceError, match=", ".join(sorted(FACES))):
        Checker(detector, faces="both")
    with pytest.raises(UsageError, match="batch_size 0"):
        checker.check_many([], batch_size=0)


def test_sources_are_taken_as_they_are_needed(checker):
    taken = []

    def endless():
        while True:
            taken.append(NO_FACE)
            yield NO_FACE

    results = checker.check_many(endless(), batch_size=2, workers=2)
    for _ in range(20):
        next(results)
    results.close()
    assert len(taken) <= 20 + 2 * (2 + 2) + 2 * (2 * 2)


def test_a_slow_picture_leaves_work_for_the_other_workers(checker, monkeypatch):
    two_others, order = threading.Event(), []
    judge = Checker.judge

    def slow_first(self, batch):
        order.append(batch[0].source)
        if len(order) == 1:
            assert two_others.wait(20)
        elif len(order) == 4:
            two_others.set()
        return judge(self, batch)

    monkeypatch.setattr(Checker, "judge", slow_first)
    results = checker.check_many([NO_FACE] * 6, batch_size=1, workers=2)
    assert [result.status for result in results] == ["no_face"] * 6


@pytest.mark.parametrize("ending", [KeyboardInterrupt, RuntimeError, GeneratorExit])
def test_workers_end_however_it_ends(checker, ending):
    def sources():
        for _ in range(30):
            yield NO_FACE
        raise ending

    results = checker.check_many(sources(), batch_size=1, workers=3)
    next(results)
    assert faceproof_threads()
    if ending is GeneratorExit:
        results.close()
    else:
        with pytest.raises(ending):
            list(results)
    assert faceproof_threads() == []


def faceproof_threads() -> list[str]:
    return [each.name for each in threading.enumerate() if each.name.startswith("faceproof")]


def test_one_checker_serves_several_threads(checker):
    alone = summarise(checker.check(ASTRONAUT))
    answers: list[dict[str, object]] = []

    def answer():
        answers.append(summarise(checker.check(ASTRONAUT)))

    threads = [threading.Thread(target=answer) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [alone] * 3


def test_a_picture_of_pillow_is_called_by_its_file(tmp_path):
    (tmp_path / "a.png").write_bytes(png(NO_FACE))
    with Image.open(tmp_path / "a.png") as image:
        assert source_name(image) == str(tmp_path / "a.png")


def jpeg_file(pixels: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=95)
    return stream.getvalue()


@pytest.fixture
def two_faces() -> np.ndarray:
    """Two bright faces, one above the other: both fake to the detector of the tests."""
    return np.concatenate([ASTRONAUT[:250], ASTRONAUT[:250]])


def test_a_face_on_damaged_pixels_is_unsure_and_the_intact_one_is_judged(checker, two_faces):
    whole = checker.check(jpeg_file(two_faces))
    assert [face.verdict for face in whole.faces] == ["fake", "fake"]
    assert whole.image.damaged == 0
    file = jpeg_file(two_faces)
    cut = checker.check(file[: 3 * len(file) // 4])
    upper, lower = sorted(cut.faces, key=lambda face: face.box[1])
    assert (upper.verdict, upper.quality.cautions) == ("fake", ())
    assert (lower.verdict, "damaged" in lower.quality.cautions) == ("unsure", True)
    assert cut.verdict == "fake"
    assert 0.1 < cut.image.damaged < 0.5


def test_no_operating_point_and_no_copy_brings_a_withheld_verdict_back(checker):
    file = jpeg_file(ASTRONAUT)
    cut = file[: len(file) // 3] + b"\xff\xd9"
    result = checker.check(cut)
    assert result.verdict == result.faces[0].verdict == "unsure"
    for point in checker.detector.spec.operating_points:
        told = checker.verdicts_at(result, point)
        assert (told.verdict, told.operating_point) == ("unsure", point)
        assert checker.at(point).check(cut).verdict == "unsure"


@pytest.mark.parametrize(
    ("end", "code"), [(b"", "truncated_picture"), (bytes(60_000), "corrupt_picture")]
)
def test_a_damaged_picture_without_a_face_is_an_error(checker, end, code):
    file = jpeg_file(ASTRONAUT)
    result = checker.check(file[: len(file) // 8] + end, name="a.jpg")
    assert (result.status, result.error.code) == ("error", code)
    assert result.error.message.startswith("a.jpg: ")


@pytest.mark.parametrize("copy", ["threshold", "error diffusion", "dither 4", "halftone 6"])
def test_a_printed_copy_gets_no_verdict(detector, copy):
    printed = COPIES[copy](ASTRONAUT)
    face = YuNet().find(ASTRONAUT)[0]
    result = Checker(detector, finder=Finder([face])).check(printed)
    assert "not_continuous_tone" in result.faces[0].quality.cautions
    assert (result.verdict, result.faces[0].verdict) == ("unsure", "unsure")
    assert Checker(detector, finder=Finder([face])).check(ASTRONAUT).verdict == "fake"


def test_a_picture_is_unsure_where_its_worst_face_is_withheld(checker):
    dark = ASTRONAUT // 3
    printed = COPIES["halftone 6"](ASTRONAUT)
    picture = np.concatenate([dark, printed])
    (face,) = YuNet().find(ASTRONAUT)
    x, y, width, height = face.box
    below = Face((x, y + 320, width, height), face.landmarks + np.float32([0, 320]), 0.9)
    result = Checker(checker.detector, finder=Finder([face, below])).check(picture)
    assert [one.verdict for one in result.faces] == ["real", "unsure"]
    assert result.verdict == "unsure"


def test_what_was_not_checked_is_told(checker):
    stream = io.BytesIO()
    frames = [Image.fromarray(ASTRONAUT), Image.fromarray(ASTRONAUT // 2)]
    frames[0].save(stream, "TIFF", save_all=True, append_images=frames[1:])
    image = checker.check(stream.getvalue()).image
    assert (image.pictures, image.smallest_face_px, image.damaged) == (2, 32, 0)
