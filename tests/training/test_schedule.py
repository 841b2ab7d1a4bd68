"""How long a training runs, how fast each stage learns, and when it gives up."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning_fabric")
pytestmark = pytest.mark.train

from faceproof.runs import RunFolder  # noqa: E402
from faceproof.training import fit as fitting  # noqa: E402
from faceproof.training import loop  # noqa: E402
from faceproof.training.fit import fit  # noqa: E402
from faceproof.training.optimizers import epochs_to_steps, learning_rates, rate_factor  # noqa: E402
from faceproof.training.recipe import ScheduleRecipe  # noqa: E402
from faceproof.training.run.checkpoint import State, make_average  # noqa: E402

GROUPS = ["backbone.a.matrices", "backbone.b.vectors", "backbone.b.matrices", "head.matrices"]


@pytest.fixture(autouse=True)
def without_trial_export(monkeypatch):
    monkeypatch.setattr(fitting, "_try_export", lambda *_: None)


def steps_of(run):
    return torch.load(run.path / "last.pt", weights_only=True)["step"]


def test_epochs_become_steps(mini):
    recipe = mini("schedule.epochs=2.5", "schedule.batch_size=8")
    assert epochs_to_steps(recipe, 24).schedule.steps == 8
    assert epochs_to_steps(recipe, 25).schedule.steps == 8
    assert epochs_to_steps(recipe, 26).schedule.steps == 9
    assert epochs_to_steps(mini("schedule.steps=7"), 26).schedule.steps == 7


def test_a_constant_rate_is_the_full_one_after_the_warm_up():
    schedule = ScheduleRecipe(steps=100, warmup_steps=4, shape="constant")
    assert [rate_factor(step, schedule) for step in (0, 1, 3, 4, 99)] == [0.25, 0.5, 1, 1, 1]


def test_the_head_learns_first_then_the_last_stage_then_those_before_it():
    schedule = ScheduleRecipe(
        steps=100, warmup_steps=0, shape="constant", head_first_steps=10, thaw_steps=20
    )
    full = [1.0, 2.0, 2.0, 4.0]
    assert learning_rates(0, GROUPS, full, schedule) == [0, 0, 0, 4]
    assert learning_rates(9, GROUPS, full, schedule) == [0, 0, 0, 4]
    assert learning_rates(10, GROUPS, full, schedule) == [0, 2, 2, 4]
    assert learning_rates(19, GROUPS, full, schedule) == [0, 2, 2, 4]
    assert learning_rates(20, GROUPS, full, schedule) == full


def test_of_equal_scores_the_lower_loss_is_better():
    """On a few faces the AUC is soon 1; the first such network would be an almost untrained one."""
    network = torch.nn.Linear(1, 1)
    state = State(network, make_average(network, 0.9), torch.optim.SGD(network.parameters(), 0.1))
    found = []
    for state.step, score, loss in (
        (10, 1.0, 0.63),
        (20, 1.0, 0.21),
        (22, 1.0, 0.21),
        (30, 0.9, 0.1),
    ):
        found.append(state.record_score(score, loss))
    assert found == [True, True, False, False]
    resumed = State(network, make_average(network, 0.9), state.optimizer)
    resumed.restore(state.checkpoint())
    assert (resumed.best_score, resumed.best_loss, resumed.best_step) == (1.0, 0.21, 20)
    assert resumed.validations_since_best == 2


@pytest.mark.slow
class TestEarlyStopping:
    """Validation scores are given: 0.5, 0.6, 0.6, 0.55 ... one after each step."""

    SCORES = (0.5, 0.6, 0.6, 0.55, 0.59, 0.9, 0.9, 0.9)

    @pytest.fixture
    def trained(self, tmp_path, mini, manifest, monkeypatch):
        scores = iter(self.SCORES)

        def validate(*_):
            return {
                "validation_auc": next(scores),
                "validation_accuracy": 0.5,
                "validation_loss": 1.0,
            }

        monkeypatch.setattr(loop, "validate", validate)

        def run(*overrides: str) -> tuple[RunFolder, list[str]]:
            output: list[str] = []
            recipe = mini("schedule.steps=8", "schedule.validate_steps=1", *overrides)
            folder = RunFolder(tmp_path / "run")
            fit(recipe, manifest, folder, progress=output.append)
            return folder, output

        return run

    def test_without_patience_it_goes_to_the_end(self, trained):
        assert steps_of(trained()[0]) == 8

    def test_it_stops_after_as_many_validations_without_a_better_one(self, trained):
        run, output = trained("schedule.patience=2")
        kept = torch.load(run.path / "last.pt", weights_only=True)
        assert (kept["step"], kept["best_step"], kept["best_score"]) == (4, 2, 0.6)
        assert any(
            "stopped early at step 4: 2 validations without an improvement" in s for s in output
        )

    def test_a_run_that_stopped_early_is_not_trained_again(self, trained):
        trained("schedule.patience=2")
        assert steps_of(trained("schedule.patience=2")[0]) == 4

    def test_more_patience_goes_on_where_it_stopped(self, trained):
        trained("schedule.patience=2")
        run, _ = trained("schedule.patience=3")
        assert steps_of(run) == 5
