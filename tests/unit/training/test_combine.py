"""Several detectors become one: weights, record, answers and what is refused."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.train

from faceproof.data.manifest import SPLITS, Manifest, Row  # noqa: E402
from faceproof.detector import Detector, DetectorSpec, write_bundle  # noqa: E402
from faceproof.errors import (  # noqa: E402
    BundleError,
    DataError,
    SplitUseError,
    TrainingError,
    UsageError,
)
from faceproof.evaluation import predictions  # noqa: E402
from faceproof.evaluation.predictions import Origin, Prediction  # noqa: E402
from faceproof.imaging.preprocessing import InputSpec, network_input  # noqa: E402
from faceproof.runs import RunFolder  # noqa: E402
from faceproof.training import combine as combining  # noqa: E402
from faceproof.training.combine import Combination, combine  # noqa: E402
from faceproof.training.members import WEIGHTINGS, fit_weights  # noqa: E402
from faceproof.training.recipe import CalibrationRecipe  # noqa: E402

VGGFACE2 = InputSpec(mean=(0.5, 0.5, 0.5), std=(128 / 255,) * 3)
#: How far real and fake lie apart for each detector; "poor" has it wrong.
TELLS = {"first": 1.5, "second": 1.5, "poor": -0.3}
PROMISED = CalibrationRecipe(conditions=("clean",), budgets=(0.1,), default_budget=0.1)
Make = Callable[..., Path]


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    """A data set of calibration and test faces whose pictures nobody opens."""

    def row(number: int, split: str) -> Row:
        generator = "none" if number % 2 else "lamp"
        name = f"{split}-{number}.png"
        digest = f"{SPLITS.index(split)}{number:063x}"
        return Row(name, "real" if number % 2 else "fake", generator, "shop", name, digest, split)

    counts = {"calibration": 400, "test": 200}
    rows = [row(number, split) for split, count in counts.items() for number in range(count)]
    return Manifest(rows, root=tmp_path)


@pytest.fixture
def make(
    tmp_path: Path, tiny_spec: DetectorSpec, tiny_files: dict[str, bytes], manifest: Manifest
) -> Make:
    """Write a detector that calls bright faces fake; its logits are ``scale`` times as large."""

    def write(name: str, *, scale: float = 4.0, **changed: object) -> Path:
        (member,) = tiny_spec.members
        own = {
            "name": name,
            "weights": member.weights.model_copy(update={"name": f"{name}.safetensors"}),
            "onnx": member.onnx.model_copy(update={"name": f"{name}.onnx"}),
        }
        network = tiny_files["bright.onnx"].replace(
            np.float32(4.0).tobytes(), np.float32(scale).tobytes()
        )
        trained = tiny_spec.trained_on.model_copy(update={"data_sha256": manifest.sha256})
        spec = tiny_spec.model_copy(
            update={
                "name": f"{name}-detector",
                "members": (member.model_copy(update=own),),
                "trained_on": trained,
                "card": None,
                **changed,
            }
        )
        files = {f"{name}.onnx": network, f"{name}.safetensors": tiny_files["bright.safetensors"]}
        return write_bundle(tmp_path / name, spec, files).folder

    return write


def answers(
    detector: Path, manifest: Manifest, split: str, purpose: str, *, tells: float, seed: int
) -> object:
    """Return a predictions table: logits of a fake lie ``tells`` above, of a real face below 0."""
    rng, one = np.random.default_rng(seed), Detector.load(detector)
    origin = Origin(detector_sha256=one.sha256, data_sha256=manifest.sha256, purpose=purpose)
    rows = manifest.take(split, purpose=purpose)

    def prediction(row: Row) -> Prediction:
        logit = rng.normal() + (tells if row.is_fake else -tells)
        rest = (row.path, row.source, row.generator, row.label, row.split, row.group)
        return Prediction(*rest, "clean", logit, float(1 / (1 + np.exp(-logit))), "ok")

    return predictions.make_table(map(prediction, rows), origin)


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path / "run")


@pytest.fixture
def answered(manifest: Manifest, run: RunFolder) -> Callable[[Sequence[Path]], None]:
    """Keep made-up answers of these detectors in the run folder: nothing has to be judged."""

    def keep(folders: Sequence[Path]) -> None:
        for seed, folder in enumerate(folders):
            for split, purpose in (("calibration", "calibrate"), ("test", "final-report")):
                tells = TELLS.get(folder.name, 1.5)
                table = answers(folder, manifest, split, purpose, tells=tells, seed=seed)
                spec = Detector.load(folder).spec
                label = spec.members[0].name if len(spec.members) == 1 else spec.name
                predictions.write_table(table, run.path / f"predictions-{split}-{label}.parquet")

    return keep


@pytest.fixture
def combined(
    tmp_path: Path, manifest: Manifest, run: RunFolder, answered: Callable
) -> Callable[..., tuple[Detector, list[str]]]:
    """Combine detectors on made-up answers; return the whole and what was said."""

    def together(*folders: Path, **how: object) -> tuple[Detector, list[str]]:
        output: list[str] = []
        answered(folders)
        chosen = {"name": "whole", "promised": PROMISED, "conditions": ("clean",), **how}
        bundle = combine(
            folders,
            manifest,
            tmp_path / "out" / "whole",
            run,
            how=Combination(**chosen),
            progress=output.append,
        )
        return Detector.load(bundle.folder), output

    return together


def picture_inputs(spec: InputSpec) -> np.ndarray:
    crops = np.random.default_rng(0).integers(0, 256, (6, 32, 32, 3)).astype(np.uint8)
    return network_input(crops, spec)


class TestTheWhole:
    def test_it_answers_as_the_weighted_mean_of_its_members(self, make, combined):
        folders = make("first"), make("second", scale=-8.0)
        whole, output = combined(*folders)
        weights = np.array([member.weight for member in whole.spec.members])
        assert weights.sum() == pytest.approx(1, abs=1e-3)
        inputs = picture_inputs(whole.preprocessing.input)
        parts = np.stack([Detector.load(folder).logits(inputs) for folder in folders])
        assert whole.logits(inputs) == pytest.approx(weights @ parts / weights.sum(), abs=1e-5)
        assert any(line.startswith("weights (") for line in output)

    def test_each_member_is_fed_as_it_was_made(self, make, combined, tiny_spec):
        other = tiny_spec.preprocessing.model_copy(update={"input": VGGFACE2})
        first, second = make("first"), make("second", preprocessing=other)
        whole, _ = combined(first, second)
        assert [member.input for member in whole.spec.members] == [None, VGGFACE2]
        crops = picture_inputs(whole.preprocessing.input), picture_inputs(VGGFACE2)
        parts = [Detector.load(f).logits(i) for f, i in zip((first, second), crops, strict=True)]
        weights = [member.weight for member in whole.spec.members]
        assert whole.logits(crops[0]) == pytest.approx(
            np.average(parts, axis=0, weights=weights), abs=1e-4
        )

    def test_it_is_better_than_each_member_and_says_so(self, make, combined):
        whole, _ = combined(make("first"), make("second"))
        auc = {f.slice: f for f in whole.spec.results if f.metric == "roc_auc"}
        assert auc["all"].value > auc["member=first"].value
        assert auc["all"].n == auc["member=first"].n == 200
        point = whole.spec.default_operating_point
        measured = {f.metric for f in whole.spec.results if f.slice == "member=second"}
        assert measured == {
            "roc_auc",
            "tpr_at_fpr_1",
            f"bpcer@{point}",
            f"recall@{point}",
            "cpu_ms",
        }
        card = (whole.bundle.folder / "CARD.md").read_text(encoding="utf-8")
        assert "## Members" in card
        assert "| together |" in card
        assert "one command weighs, calibrates" in card

    def test_a_member_that_has_it_wrong_is_left_out_and_that_is_said(self, make, combined):
        whole, _ = combined(make("first"), make("poor"))
        assert [member.name for member in whole.spec.members] == ["first"]
        card = (whole.bundle.folder / "CARD.md").read_text(encoding="utf-8")
        assert "excluded: weight 0" in card
        (auc,) = [
            f for f in whole.spec.results if (f.metric, f.slice) == ("roc_auc", "member=poor")
        ]
        assert auc.value < 0.5

    def test_calibration_and_points_are_chosen_on_calibration_as_one(
        self, make, combined, manifest
    ):
        whole, _ = combined(make("first"), make("second"))
        point = whole.operating_point()
        assert point.chosen_on.split == "calibration"
        assert point.chosen_on.data_sha256 == manifest.sha256
        assert whole.spec.trained_on.rows["calibration"] == 400

    def test_records_are_joined(self, make, combined):
        whole, _ = combined(
            make("first", licence="MIT", generators_seen=("lamp",)),
            make("second", licence="CC BY 4.0", generators_seen=("candle", "lamp")),
        )
        spec = whole.spec
        assert spec.licence == "MIT AND CC BY 4.0"
        assert spec.generators_seen == ("candle", "lamp")
        assert any("second is the detector second-detector 1.0" in note for note in spec.notes)
        assert "first: for tests" in spec.notes

    def test_a_combination_brings_all_its_members(self, make, combined, tmp_path):
        inner, _ = combined(make("first"), make("second"))
        inner.bundle.folder.rename(tmp_path / "inner")
        third = make("third")
        whole, _ = combined(tmp_path / "inner", third)
        assert [m.name for m in whole.spec.members] == ["first", "second", "third"]
        inputs = picture_inputs(whole.preprocessing.input)
        first, second, last = (member.weight for member in whole.spec.members)
        inner_weights = [m.weight for m in inner.spec.members]
        assert first / second == pytest.approx(inner_weights[0] / inner_weights[1], rel=1e-6)
        parts = [Detector.load(f).logits(inputs) for f in (tmp_path / "inner", third)]
        expected = np.average(parts, axis=0, weights=[first + second, last])
        assert whole.logits(inputs) == pytest.approx(expected, abs=1e-5)


class TestRefused:
    """What does not go together is told before anything is judged."""

    @pytest.fixture(autouse=True)
    def _nothing_is_judged(self, monkeypatch):
        monkeypatch.setattr(combining, "predict_with_all", None)

    def test_one_detector_alone(self, make, combined):
        with pytest.raises(UsageError, match="at least two detectors"):
            combined(make("first"))

    def test_the_same_detector_twice(self, make, combined):
        first = make("first")
        with pytest.raises(UsageError, match="the same detector"):
            combined(first, first)

    def test_another_crop_with_what_to_train_at(self, make, combined, tiny_spec):
        crop = tiny_spec.preprocessing.crop.model_copy(update={"size": 48, "margin": 0.2})
        other = tiny_spec.preprocessing.model_copy(update={"crop": crop})
        output = r"second .*size 48 against 32, margin 0\.2 against 0\.0.*size = 32, margin = 0\.0"
        with pytest.raises(UsageError, match=output):
            combined(make("first"), make("second", preprocessing=other))

    def test_other_data_unless_it_is_allowed(self, make, combined, tiny_spec):
        folders = make("first"), make("second", trained_on=tiny_spec.trained_on)
        with pytest.raises(UsageError, match=r"second was trained on other data.*--allow-other"):
            combined(*folders)
        whole, output = combined(*folders, allow_other_data=True)
        assert [line for line in output if line.startswith("CAUTION: second was trained on other")]
        card = (whole.bundle.folder / "CARD.md").read_text(encoding="utf-8")
        assert "second was trained on other data" in card

    def test_a_folder_that_holds_something_else(self, make, combined, tmp_path):
        (tmp_path / "out" / "whole").mkdir(parents=True)
        (tmp_path / "out" / "whole" / "thesis.txt").write_text("years", encoding="utf-8")
        with pytest.raises(BundleError, match="not part of a bundle"):
            combined(make("first"), make("second"))

    def test_a_promise_that_the_data_cannot_support(self, make, combined):
        tight = CalibrationRecipe(conditions=("clean",), budgets=(0.001,))
        with pytest.raises(TrainingError, match="calibration has 200 real faces"):
            combined(make("first"), make("second"), promised=tight)

    def test_members_that_tell_nothing(self, make, combined, monkeypatch):
        monkeypatch.setitem(TELLS, "first", -1.0)
        monkeypatch.setitem(TELLS, "second", -1.5)
        with pytest.raises(TrainingError, match=r"higher logits do not mean fake"):
            combined(make("first"), make("second"))


class TestAnswersThatAreThere:
    def test_only_what_is_missing_is_judged(self, make, combined, run, monkeypatch):
        asked: list[list[str]] = []

        def judge(detectors, manifest, conditions, *, split, purpose, **_):
            asked.append([split, *(one.spec.name for one in detectors)])
            return [
                answers(one.bundle.folder, manifest, split, purpose, tells=1.5, seed=9)
                for one in detectors
            ]

        folders = make("first"), make("second")
        combined(*folders)
        monkeypatch.setattr(combining, "predict_with_all", judge)
        kept = combining.saved_predictions
        monkeypatch.setattr(
            combining,
            "saved_predictions",
            lambda path, *rest: (
                None if path.stem == "predictions-test-second" else kept(path, *rest)
            ),
        )
        combined(*folders)
        assert asked == [["test", "second-detector"]]

    def test_answers_about_other_faces_are_refused(self, make, combined, monkeypatch):
        kept = combining.saved_predictions
        monkeypatch.setattr(
            combining,
            "saved_predictions",
            lambda path, *rest: kept(path, *rest).slice(len(path.stem) % 2),
        )
        with pytest.raises(DataError, match="not of the same faces"):
            combined(make("first"), make("second"))


def faces_of(manifest: Manifest, make: Make, split: str = "calibration"):
    purpose = {"calibration": "calibrate", "test": "final-report"}[split]
    table = answers(make("first"), manifest, split, purpose, tells=1.0, seed=0)
    return predictions.judged_faces(table)


class TestWeights:
    def test_only_calibration_faces_choose(self, manifest, make):
        faces = faces_of(manifest, make, "test")
        with pytest.raises(SplitUseError, match="need faces of the calibration split"):
            fit_weights(faces, np.stack([faces.logits] * 2, axis=1))

    @pytest.mark.parametrize("name", WEIGHTINGS)
    def test_each_way_gives_shares(self, name, manifest, make):
        faces = faces_of(manifest, make)
        logits = np.stack([faces.logits, -faces.logits, 10 * faces.logits], axis=1)
        shares = WEIGHTINGS[name](logits, faces.fake.astype(float), np.ones(len(faces)))
        assert (shares >= 0).all()
        assert shares.sum() == pytest.approx(1)

    def test_scale_does_not_count_where_it_should_not(self, manifest, make):
        faces = faces_of(manifest, make)
        other = np.random.default_rng(5).permutation(faces.logits[faces.fake])
        mixed = faces.logits.copy()
        mixed[faces.fake] = other
        for name in ("even", "fitted"):
            plain, scaled = (
                WEIGHTINGS[name](
                    np.stack([faces.logits, factor * mixed], axis=1),
                    faces.fake.astype(float),
                    np.ones(len(faces)),
                )
                for factor in (1.0, 50.0)
            )
            assert scaled[1] * 50 / scaled[0] == pytest.approx(plain[1] / plain[0], rel=1e-4)

    def test_the_best_on_unseen_groups_is_taken(self, manifest, make):
        faces = faces_of(manifest, make)
        noise = np.random.default_rng(1).normal(size=len(faces))
        chosen = fit_weights(faces, np.stack([faces.logits, 3 * noise], axis=1))
        assert chosen.losses[chosen.name] == min(chosen.losses.values())
        assert chosen.losses["fitted"] < chosen.losses["equal"] - 0.05
        assert chosen.weights[0] > 0.9

    def test_a_way_that_a_member_spoils_is_passed_over(self, manifest, make):
        faces = faces_of(manifest, make)
        chosen = fit_weights(faces, np.stack([faces.logits, -9 * faces.logits], axis=1))
        assert chosen.weights == (1.0, 0.0)
        assert "equal" not in chosen.losses

    def test_where_all_are_as_good_the_simplest_is_taken(self, manifest, make):
        faces = faces_of(manifest, make)
        chosen = fit_weights(faces, np.stack([faces.logits] * 2, axis=1))
        assert chosen.name == "equal"
        assert chosen.weights == (0.5, 0.5)
