"""``curves.png``: one readable picture, of any run, without a trace in matplotlib's state."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from PIL import Image

from faceproof import tables
from faceproof.errors import MissingExtraError
from faceproof.installation import install_command
from faceproof.reports.charts import draw, write
from faceproof.reports.training_log import TrainingHistory
from faceproof.runs import RunFolder

TRAINING = tuple(
    {"step": step, "loss": 2 / step, "accuracy": 0.5 + step / 400, "learning_rate": step / 1e5}
    for step in range(10, 110, 10)
)
VALIDATIONS = tuple(
    {"step": step, "validation_auc": auc, "validation_loss": 0.4, "attacked_accuracy": 0.1}
    for step, auc in ((50, 0.95), (100, 0.85))
)


def test_it_needs_matplotlib_and_says_which_extra(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match=re.escape(install_command("train"))) as missing:
        write(tmp_path)
    assert "matplotlib" in str(missing.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.train
class TestDrawn:
    """With matplotlib, which the extra `train` brings."""

    @pytest.fixture
    def run(self, tmp_path: Path) -> Path:
        folder = RunFolder(tmp_path / "run")
        for line in (*TRAINING, *VALIDATIONS[1:]):
            folder.log(**line)
        return folder.path

    def axes(self, figure) -> dict:
        return {axes.get_title(loc="left"): axes for axes in figure.axes if axes.axison}

    def test_a_picture_of_1200_by_800(self, run):
        with Image.open(write(run, title="$x_\\nope$ <é> 字\n" * 40)) as picture:
            assert (picture.size, picture.format) == ((1200, 800), "PNG")
            assert len(picture.convert("RGB").getcolors(1 << 24)) > 50
        assert not [path for path in run.iterdir() if path.suffix == ".part"]

    def test_the_same_run_makes_the_same_bytes_and_pyplot_is_not_asked(self, run):
        loaded = "matplotlib.pyplot" in sys.modules
        first = write(run).read_bytes()
        assert write(run).read_bytes() == first
        assert ("matplotlib.pyplot" in sys.modules) == loaded

    def test_each_panel_shows_its_curves_and_the_best_step(self):
        figure = draw(TrainingHistory(training=TRAINING, validations=VALIDATIONS), title="mini")
        found = self.axes(figure)
        assert list(found) == ["Loss", "Accuracy", "ROC-AUC", "Learning rate"]
        lines = {line.get_label(): line for line in found["Loss"].get_lines()}
        assert list(lines) == ["training", "training, smoothed", "validation", "best step 50"]
        assert list(lines["training"].get_ydata()) == [line["loss"] for line in TRAINING]
        assert list(lines["validation"].get_xdata()) == [50, 100]
        assert list(lines["best step 50"].get_xdata()) == [50, 50]
        shown = [text.get_text() for text in found["Accuracy"].get_legend().get_texts()]
        assert shown == ["training", "training, smoothed", "validation, attacked", "best step 50"]
        assert found["Loss"].get_ylim() == (0.0, 0.4)

    def test_a_single_value_is_a_dot(self):
        figure = draw(TrainingHistory(training=TRAINING[:1]), title="mini")
        found = self.axes(figure)
        assert [line.get_marker() for line in found["Loss"].get_lines()] == ["o", "o"]

    def test_a_run_without_a_line_says_so(self):
        figure = draw(TrainingHistory(), title="mini")
        assert [text.get_text() for text in figure.texts] == ["mini", "no data logged yet"]
