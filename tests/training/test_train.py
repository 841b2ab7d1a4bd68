"""From a recipe to a bundle with one command; what was done already is not done again."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.train

from safetensors.torch import load_file, save_file  # noqa: E402

from faceproof.cli import app  # noqa: E402
from faceproof.data.manifest import Manifest  # noqa: E402
from faceproof.detector import Detector  # noqa: E402
from faceproof.detector.bundle import Bundle  # noqa: E402
from faceproof.detector.detector import locate  # noqa: E402
from faceproof.errors import ExportError, RecipeError, TrainingError  # noqa: E402
from faceproof.evaluation import predictions  # noqa: E402
from faceproof.imaging.preprocessing import prepare  # noqa: E402
from faceproof.installation import install_command  # noqa: E402
from faceproof.training import finish as answering  # noqa: E402
from faceproof.training import finish as finishing  # noqa: E402
from faceproof.training import fit as fitting  # noqa: E402
from faceproof.training import train as training  # noqa: E402
from faceproof.training.loop import Trainer  # noqa: E402
from faceproof.training.origins import averaged_origins  # noqa: E402
from faceproof.training.preflight import refuse_poor_data  # noqa: E402
from faceproof.training.run.stopping import TrainingStopped  # noqa: E402
from faceproof.training.train import train  # noqa: E402

LONGER = ("schedule.steps=24", "schedule.batch_size=16", "schedule.validate_steps=12")


def faceproof(*arguments: object):
    """Run the command line in this process."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def options(*overrides: str) -> list[str]:
    return [part for override in overrides for part in ("--set", override)]


@pytest.fixture(scope="module")
def made(prepared, tmp_path_factory):
    """The run folder of `faceproof train`, and what the command said."""
    run = tmp_path_factory.mktemp("runs") / "mini"
    recipe = prepared / "recipe.toml"
    return run, faceproof("train", recipe, "--output", run, *options(*LONGER))


@pytest.fixture
def run(made, tmp_path) -> Path:
    """A copy of the run folder, to break."""
    return Path(shutil.copytree(made[0], tmp_path / "mini"))


class TestCommand:
    def test_it_names_the_bundle_on_standard_output_alone(self, made):
        run, result = made
        assert result.exit_code == 0, result.output
        assert result.stdout == f"{run / 'bundle'}\n"
        for line in ("trial export", "step 20/24: loss ", "validation AUC", "calibration on clean"):
            assert line in result.stderr

    def test_the_bundle_holds_all_that_design_asks_for(self, made):
        run, _ = made
        assert {path.name for path in (run / "bundle").iterdir()} == {
            "CARD.md",
            "detector.json",
            "test_efficientnet_ln.onnx",
            "test_efficientnet_ln.safetensors",
        }
        output = json.loads((run / "bundle" / "detector.json").read_text(encoding="utf-8"))
        assert output["default_operating_point"] == "1-in-5"
        assert output["generators_seen"] == ["blush"]
        assert output["trained_on"]["rows"] == {
            "train": 24,
            "validation": 16,
            "calibration": 78,
            "test": 16,
        }
        assert "mini 1.0" in (run / "bundle" / "CARD.md").read_text(encoding="utf-8")

    def test_results_are_those_of_the_test_split(self, made):
        run, _ = made
        spec = Detector.load(run / "bundle").spec
        answers = predictions.read_table(run / "predictions-test.parquet")
        assert predictions.origin_of(answers).purpose == "final-report"
        judged = predictions.judged_faces(answers)
        (auc,) = [f for f in spec.results if (f.metric, f.slice) == ("roc_auc", "all")]
        assert auc.n == len(judged)
        assert auc.value > 0.9
        assert set(judged.splits.tolist()) == {"test"}


def test_the_weights_are_averaged_with_those_that_the_recipe_names(made, mini, run):
    from faceproof.runs import RunFolder
    from faceproof.training.fit import load_saved_network

    alone = load_saved_network(mini(), RunFolder(run)).state_dict()
    start = torch.load(run / "best.pt", weights_only=True)
    moved = {name: value + 0.5 for name, value in start.items() if value.is_floating_point()}
    torch.save(start | moved, run / "best.pt")
    recipe = mini(f"network.averaged_with=['{made[0] / 'bundle'}']")
    mean = load_saved_network(recipe, RunFolder(run)).state_dict()
    for name in moved:
        torch.testing.assert_close(mean[name], alone[name] + 0.25, atol=2e-3, rtol=2e-3)
    (note,) = answering._origin_notes(recipe)
    assert note == (
        "The weights are the mean, in equal parts, of the trained ones and those of mini 1.0."
    )
    (point,) = averaged_origins(recipe.network.averaged_with)
    assert (point.name, point.licence) == ("mini 1.0", "MIT")


class TestNoSteps:
    """schedule.steps = 0: weights as they are become a detector."""

    def test_weights_of_two_runs_become_their_mean(self, made, mini, run, tmp_path):
        start = torch.load(run / "best.pt", weights_only=True)
        moved = {name: value + 0.01 for name, value in start.items() if value.is_floating_point()}
        torch.save(start | moved, run / "best.pt")
        recipe = mini(
            *("schedule.steps=0", "export.name=mean"),
            *(f"network.starting_weights={made[0] / 'best.pt'}", "network.started_from=auto"),
            *("network.started_from_licence=auto", f"network.averaged_with=['{run / 'best.pt'}']"),
        )
        told: list[str] = []
        bundle = train(recipe, tmp_path / "mean", progress=told.append)
        found = load_file(bundle.folder / "test_efficientnet_ln.safetensors")
        for name in moved:
            torch.testing.assert_close(
                found[name].float(), start[name] + 0.005, atol=2e-3, rtol=2e-3
            )
        assert "mini 1.0, checkpoint best.pt" in {one.name for one in bundle.spec.started_from}
        again: list[str] = []
        assert train(recipe, tmp_path / "mean", progress=again.append).sha256 == bundle.sha256
        assert sum(line.startswith("step 0: validation") for line in told) == 1
        assert not any(line.startswith("step 0: validation") for line in again)


def test_only_so_many_faces_are_predicted_as_the_recipe_says(made, mini, run):
    """A finished run, calibrated and reported again on fewer faces."""
    limits = "export.most={ calibration = 20, test = 5 }"
    bundle = train(mini(*LONGER, limits), run)
    counts = {"calibration": 14 + 20, "test": 10}
    for split, count in counts.items():
        table = predictions.read_table(run / f"predictions-{split}.parquet")
        assert len(set(table["path"].to_pylist())) == count
    (auc,) = [f for f in bundle.spec.results if (f.metric, f.slice) == ("roc_auc", "all")]
    assert auc.n == 10


def test_fewer_faces_than_the_promise_needs_are_refused_before_training(mini, tmp_path):
    with pytest.raises(TrainingError, match=r"has 12 real faces .*; or raise export\.most$"):
        train(mini("export.most={ calibration = 12 }"), tmp_path / "run")


def test_what_cannot_be_averaged_is_told_before_the_first_step(mini, tmp_path):
    recipe = mini("network.averaged_with=['default']")
    with pytest.raises(TrainingError, match="does not fit the network"):
        train(recipe, tmp_path / "run")
    assert not (tmp_path / "run" / "last.pt").exists()


def test_weights_of_unknown_origin_are_not_averaged(made, mini, tmp_path):
    weights = tmp_path / "found.safetensors"
    shutil.copy(made[0] / "bundle" / "test_efficientnet_ln.safetensors", weights)
    save_file(load_file(weights), weights)  # without what it states about itself
    with pytest.raises(RecipeError, match=r"found\.safetensors does not state its name"):
        train(mini(f"network.averaged_with=['{weights}']"), tmp_path / "run")


def test_the_detector_answers_as_the_network_that_was_trained(made, mini, manifest, prepared):
    from faceproof.data.preparing.folder import read_landmarks
    from faceproof.imaging.decode import decode
    from faceproof.runs import RunFolder
    from faceproof.training.fit import load_saved_network

    run, _ = made
    detector, network = Detector.load(run / "bundle"), load_saved_network(mini(), RunFolder(run))
    points = read_landmarks(prepared)
    inputs = np.stack(
        [
            prepare(
                decode((prepared / row.path).read_bytes()).pixels,
                points[row.path],
                detector.preprocessing,
            )
            for row in manifest.rows[:8]
        ]
    )
    with torch.no_grad():
        logits = network(torch.from_numpy(inputs)).double().numpy()
    assert detector.logits(inputs) == pytest.approx(logits, abs=0.02)  # weights are stored as fp16


class TestGoingOn:
    """A finished or broken run is taken up where it stands."""

    @pytest.fixture
    def again(self, mini, run, monkeypatch):
        """Train again without a step; return what was said and the splits that were judged."""
        monkeypatch.setattr(Trainer, "_take", None)
        judged: list[str] = []
        predict = answering.predict

        def counted(*arguments, **options):
            judged.append(options["split"])
            return predict(*arguments, **options)

        monkeypatch.setattr(answering, "predict", counted)

        def once_more(*overrides: str) -> tuple[list[str], list[str]]:
            output: list[str] = []
            judged.clear()
            train(mini(*LONGER, *overrides), run, progress=output.append)
            return output, list(judged)

        return once_more

    def test_nothing_is_done_twice(self, again, made, run):
        output, judged = again()
        assert judged == []
        assert sum("reusing this detector's predictions" in line for line in output) == 2
        assert not any("trial export" in line for line in output)
        for name in ("detector.json", "CARD.md"):
            assert (run / "bundle" / name).read_bytes() == (made[0] / "bundle" / name).read_bytes()

    def test_a_broken_report_goes_on_without_judging_again(self, again, run, monkeypatch):
        (run / "predictions-test.parquet").unlink()
        card = finishing.card
        monkeypatch.setattr(finishing, "card", None)
        with pytest.raises(TypeError):
            again()
        monkeypatch.setattr(finishing, "card", card)
        assert again()[1] == []

    def test_answers_of_another_detector_are_not_used(self, again):
        assert again("export.version=2.0")[1] == ["calibration", "test"]

    def test_answers_under_other_conditions_are_not_used(self, again):
        assert again("export.conditions=['clean', 'jpeg-60']")[1] == ["test"]

    def test_a_broken_table_is_made_again(self, again, run):
        (run / "predictions-calibration.parquet").write_bytes(b"PAR1")
        assert again()[1] == ["calibration"]


class TestToldBeforeHoursOfWork:
    def test_a_misspelt_network(self, mini):
        with pytest.raises(RecipeError, match=r"network: unknown network.*densenet121"):
            mini("network.name=densenet112")

    def test_a_network_that_cannot_be_exported(self, tmp_path, mini, monkeypatch):
        def refuse(*_: object, **__: object) -> None:
            raise ExportError("no such operator")

        monkeypatch.setattr(fitting, "export_onnx", refuse)
        monkeypatch.setattr(Trainer, "run", None)
        with pytest.raises(ExportError, match="no such operator"):
            train(mini(), tmp_path, progress=lambda _: None)

    @pytest.mark.parametrize(
        ("split", "label", "message"),
        [
            ("train", "fake", "train has 0 fake faces and needs at least 1"),
            ("validation", "real", "validation has 0 real faces and needs at least 1"),
            ("test", "fake", "test has 0 fake faces and needs at least 1"),
            ("calibration", "fake", "calibration has 0 fake faces and needs at least 14"),
        ],
    )
    def test_a_split_without_a_class(self, mini, manifest, split, label, message):
        kept = [row for row in manifest.rows if (row.split, row.label) != (split, label)]
        with pytest.raises(TrainingError, match=message):
            refuse_poor_data(mini(), Manifest(tuple(kept)))

    def test_too_few_faces_for_the_promise(self, mini, manifest):
        refuse_poor_data(mini(), manifest)
        tight = mini("calibration.budgets=[0.2, 0.01]")
        with pytest.raises(TrainingError, match=r"14 real faces and needs at least 299: .*budgets"):
            refuse_poor_data(tight, manifest)


class TestOriginsOfOtherNetworks:
    """A teacher and the autoencoder of made fakes are named on the card, with their licences."""

    def test_a_teacher(self, mini):
        recipe = mini("distil.teacher=default")
        (note,) = finishing._origin_notes(recipe)
        teacher = Bundle.read(locate("default"))
        for part in (teacher.spec.name, teacher.spec.licence, teacher.sha256):
            assert part in note
        export = recipe.export.model_copy(update={"notes": (f"Updated from {teacher.sha256}",)})
        assert not [*finishing._origin_notes(recipe.model_copy(update={"export": export}))]

    def test_an_autoencoder(self, mini, tmp_path):
        from safetensors.torch import save_file

        path, tensors = tmp_path / "taef2.safetensors", {"a": torch.zeros(2)}
        how = f"made.round_trip={{ autoencoder = '{path.as_posix()}', counts = {{ train = 1 }} }}"
        save_file(tensors, path)
        (note,) = finishing._origin_notes(mini(how))
        assert "round_trip: through the autoencoder taef2.safetensors" in note
        assert "licence not stated in the file" in note
        save_file(tensors, path, metadata={"license": "MIT", "name": "TAEF2"})
        (note,) = finishing._origin_notes(mini(how))
        assert "the autoencoder TAEF2, licence MIT (SHA-256 " in note


class TestExitCodes:
    @pytest.mark.parametrize(("number", "code"), [(2, 130), (15, 143)])
    def test_a_stopped_training(self, prepared, tmp_path, monkeypatch, number, code):
        def stop(*_: object, **__: object) -> None:
            raise TrainingStopped(number)

        monkeypatch.setattr(training, "train", stop)
        result = faceproof("train", prepared / "recipe.toml", "--output", tmp_path)
        assert result.exit_code == code
        assert "run the same command again to resume" in result.stderr
        assert result.stdout == ""

    def test_a_recipe_that_cannot_be_read(self, tmp_path):
        result = faceproof("train", tmp_path / "none.toml")
        assert result.exit_code == 2
        assert "cannot be read as a recipe" in result.stderr

    def test_a_missing_training_stack(self, prepared, monkeypatch):
        from faceproof import tables

        monkeypatch.setattr(tables, "find_spec", lambda name: None)
        result = faceproof("train", prepared / "recipe.toml")
        assert result.exit_code == 2
        assert install_command("train") in result.stderr

    def test_the_run_folder_is_named_after_the_recipe(self, prepared, tmp_path, monkeypatch):
        seen: list[Path] = []

        def note(_recipe: object, output: Path, **_: object) -> None:
            seen.append(output)
            raise TrainingStopped(15)

        monkeypatch.setattr(training, "train", note)
        faceproof("train", prepared / "recipe.toml")
        assert seen == [Path("runs/recipe")]
