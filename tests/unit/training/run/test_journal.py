"""The journal: what it keeps, what it tells, and that a run that goes on leaves each step once."""

from __future__ import annotations

import errno
import io
import json
import sys
from pathlib import Path

import pytest
from rich.console import Console

from faceproof.cli.train.recipe import TrainingDisplay, describe_moment, make_progress
from faceproof.errors import MissingExtraError, TrainingError
from faceproof.installation import install_command
from faceproof.reports import charts
from faceproof.reports.training_log import Curve, read_history
from faceproof.runs import RunFolder
from faceproof.training.run.journal import Moment, Scalars, TrainingJournal

VALUES = {"validation_auc": 0.9, "validation_accuracy": 0.8, "validation_loss": 0.4}


@pytest.fixture(autouse=True)
def without_the_rest(monkeypatch):
    """Neither TensorBoard nor a picture, whether or not they are installed: both have tests."""
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    monkeypatch.setattr(charts, "write", lambda run, **_: run)


def journal(folder: Path, tell=None, *, steps=100, show=True) -> TrainingJournal:
    return TrainingJournal(RunFolder(folder), tell or (lambda _: None), steps=steps, show=show)


def step(book: TrainingJournal, number: int, loss: float = 0.5) -> None:
    book.record_step(
        number, loss=loss, accuracy=0.75, pictures_per_second=23.456, seconds_left=61.4, rate=1 / 3
    )


def test_what_a_line_holds(tmp_path):
    book = journal(tmp_path)
    step(book, 10, loss=0.1234567)
    book.record_validation(10, {**VALUES, "attacked_accuracy": 0.2}, best=True)
    first, second = RunFolder(tmp_path).read_log()
    assert first.pop("time") <= second.pop("time")
    assert first == {
        "step": 10,
        "loss": 0.12346,
        "accuracy": 0.75,
        "pictures_per_second": 23.46,
        "learning_rate": 0.333333,
    }
    assert second == {"step": 10, **VALUES, "attacked_accuracy": 0.2, "best": True}


def test_what_is_told_in_a_pipe(tmp_path):
    output: list[str] = []
    book = journal(tmp_path, output.append)
    step(book, 10)
    book.advance(11)
    book.record_validation(20, VALUES, best=True)
    book.record_validation(40, VALUES | {"validation_auc": 0.85}, best=False)
    book.note("the batch is halved")
    book.close()
    assert output == [
        "step 10/100: loss 0.5000, accuracy 0.7500, 23.5 pictures/s, 0:01:01 left",
        "step 20: validation AUC 0.9000, accuracy 0.8000, loss 0.4000; the best so far",
        "step 40: validation AUC 0.8500, accuracy 0.8000, loss 0.4000; best 0.9000 at step 20",
        "the batch is halved",
    ]


def test_other_processes_write_and_tell_nothing(tmp_path):
    output: list[str] = []
    book = journal(tmp_path, output.append, show=False)
    step(book, 10)
    book.record_validation(10, VALUES, best=True)
    book.note("a note")
    book.close()
    assert (output, list(tmp_path.iterdir())) == ([], [])


def test_a_run_that_goes_on_knows_the_best_of_before(tmp_path):
    """But not what a killed run found after the checkpoint that this one starts from."""
    first = journal(tmp_path)
    first.record_validation(20, VALUES, best=True)
    first.record_validation(40, VALUES | {"validation_auc": 0.95}, best=True)
    output: list[str] = []
    second = journal(tmp_path, output.append)
    step(second, 30)
    second.record_validation(40, VALUES | {"validation_auc": 0.7}, best=False)
    assert output[-1].endswith("best 0.9000 at step 20")


def test_a_note_stands_at_the_step_that_it_is_of(tmp_path):
    book = journal(tmp_path)
    step(book, 10)
    book.note("one")
    journal(tmp_path).note("two")
    assert [(line["step"], line["note"]) for line in read_history(tmp_path).notes] == [
        (10, "one"),
        (10, "two"),
    ]


def test_a_line_that_was_cut_short_takes_no_other_with_it(tmp_path):
    step(journal(tmp_path), 10)
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"time": "2026')
    step(journal(tmp_path), 20)
    found = read_history(tmp_path)
    assert found.curve("loss").steps == (10, 20)
    assert found.unreadable == 1


@pytest.mark.train
def test_a_full_disk_is_told_in_words(tmp_path, monkeypatch):
    pytest.importorskip("torch")

    def full(self, **_) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(RunFolder, "log", full)
    with pytest.raises(TrainingError, match="full"):
        step(journal(tmp_path), 10)


class TestThePage:
    def test_it_is_made_at_every_validation_and_at_the_end(self, tmp_path):
        book, page = journal(tmp_path), tmp_path / "run.html"
        RunFolder(tmp_path).record_start(recipe={"schedule": {"steps": 20}})
        step(book, 10)
        assert not page.exists()
        book.record_validation(10, VALUES, best=True)
        assert "Not finished: step 10 of 20." in page.read_text(encoding="utf-8")
        step(book, 20)
        book.close()
        assert "Finished after 20 steps" in page.read_text(encoding="utf-8")

    def test_what_is_missing_is_said_once_and_ends_no_training(self, tmp_path, monkeypatch):
        def missing(run: Path, **_) -> None:
            raise MissingExtraError("matplotlib", extra="train")

        output: list[str] = []
        monkeypatch.setattr(charts, "write", missing)
        book = journal(tmp_path, output.append)
        step(book, 10)
        book.close()
        book.close()
        assert output[1:] == [
            "curves.png is not written: matplotlib is not installed: " + install_command("train")
        ]
        assert (tmp_path / "run.html").exists()

    def test_the_picture_bears_the_name_of_the_detector(self, tmp_path, monkeypatch):
        titles: list[str] = []
        monkeypatch.setattr(charts, "write", lambda run, title: titles.append(title))
        RunFolder(tmp_path).record_start(recipe={"export": {"name": "mini", "version": "2"}})
        journal(tmp_path).close()
        assert titles == ["mini 2"]


class TestHistory:
    """What metrics.jsonl tells when it is read."""

    def read(self, folder: Path, *lines: dict | str):
        text = [line if isinstance(line, str) else json.dumps(line) for line in lines]
        (folder / "metrics.jsonl").write_text("\n".join(text), encoding="utf-8")
        return read_history(folder)

    def test_a_folder_without_a_journal_is_empty(self, tmp_path):
        found = read_history(tmp_path / "missing")
        assert (found.training, found.step, found.best()) == ((), 0, None)

    def test_a_repeated_step_counts_once_and_as_it_was_last(self, tmp_path):
        found = self.read(
            tmp_path,
            {"step": 10, "loss": 3.0},
            {"step": 20, "loss": 2.0},
            {"step": 20, "validation_auc": 0.9},
            {"step": 30, "loss": 1.0},
            {"step": 15, "note": "the batch is halved"},
            {"step": 20, "loss": 2.5},
        )
        assert found.curve("loss") == Curve((10, 20), (3.0, 2.5))
        assert found.validations == ()
        assert found.superseded == 3
        assert len(found.notes) == 1

    def test_a_step_is_validated_after_its_loss(self, tmp_path):
        found = self.read(
            tmp_path,
            {"step": 20, "loss": 2.0},
            {"step": 20, "validation_auc": 0.9},
            {"step": 20, "validation_auc": 0.8},
        )
        assert found.curve("loss") == Curve((20,), (2.0,))
        assert found.curve("validation_auc") == Curve((20,), (0.8,))

    @pytest.mark.parametrize("torn", ['{"time": "2026', "[1]", '{"step": "10"}', '{"step": -1}'])
    def test_a_torn_line_is_counted_and_the_others_stand(self, tmp_path, torn):
        found = self.read(tmp_path, {"step": 10, "loss": 1.0}, torn, {"step": 20, "loss": 0.5})
        assert found.curve("loss").values == (1.0, 0.5)
        assert found.unreadable == 1

    @pytest.mark.parametrize("value", ["NaN", "Infinity", "null", '"x"', "true"])
    def test_what_is_no_number_is_in_no_curve(self, tmp_path, value):
        found = self.read(tmp_path, f'{{"step": 10, "loss": {value}}}', {"step": 20, "loss": 0.5})
        assert found.curve("loss") == Curve((20,), (0.5,))

    def test_the_best_is_what_the_loop_marked(self, tmp_path):
        """Figures are rounded in the file, so that two can look alike."""
        lines = [{"step": step, "validation_auc": 0.9} for step in (10, 20, 30)]
        assert self.read(tmp_path, lines[0], lines[1] | {"best": True}, lines[2]).best() == (
            lines[1] | {"best": True}
        )

    def test_the_best_of_an_older_run_is_the_first_of_the_highest(self, tmp_path):
        scores = {10: 0.7, 20: 0.9, 30: 0.9}
        lines = [{"step": at, "validation_auc": score} for at, score in scores.items()]
        found = self.read(tmp_path, *lines)
        assert found.best() == lines[1]
        assert found.best(before=20) == lines[0]


class TestDisplay:
    """The live block on a terminal."""

    def console(self, **settings) -> Console:
        return Console(file=io.StringIO(), force_terminal=True, width=80, **settings)

    def test_figures_move_in_the_block_and_lines_stay_above(self, tmp_path):
        console = self.console()
        display = TrainingDisplay(console)
        book = journal(tmp_path, display)
        step(book, 10)
        book.record_validation(10, VALUES, best=True)
        book.advance(100)
        book.note("[bold]stays[/bold]")
        shown = console.file.getvalue()
        assert "step 10/100" in shown
        assert "loss 0.5000, accuracy 0.750, 23.5 pictures/s" in shown
        assert "step 100/100" in shown
        assert "best 0.9000 at step 10" in shown
        assert "step 10: validation AUC 0.9000" in shown
        assert "step 10/100: loss" not in shown
        assert "[bold]stays[/bold]" in shown

    def test_the_block_goes_when_the_journal_closes(self, tmp_path):
        console = self.console()
        book = journal(tmp_path, TrainingDisplay(console))
        step(book, 10)
        book.close()
        end = console.file.getvalue()
        console.print("after")
        assert console.file.getvalue() == f"{end}after\n"
        assert end.endswith("\x1b[2K")

    def test_it_is_drawn_at_most_ten_times_a_second(self):
        console = self.console()
        display = TrainingDisplay(console)
        for number in range(1, 50):
            display.show(Moment(step=number, steps=100))
        assert console.file.getvalue().count("step ") <= 2

    def test_a_moment_tells_what_is_known(self):
        assert describe_moment(Moment(step=1, steps=2)) == []
        validated = Moment(step=1, steps=2, validation=VALUES, best_step=1000, best_score=0.9)
        assert describe_moment(validated) == ["validation AUC 0.9000, best 0.9000 at step 1,000"]

    def test_a_pipe_gets_plain_lines(self, capsys, monkeypatch):
        """Also where colours are asked for."""
        monkeypatch.setenv("FORCE_COLOR", "1")
        progress = make_progress()
        assert not isinstance(progress, TrainingDisplay)
        progress("a line")
        assert capsys.readouterr() == ("", "a line\n")

    def test_a_terminal_gets_the_display(self, monkeypatch):
        monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
        monkeypatch.setenv("TERM", "xterm")
        assert isinstance(make_progress(), TrainingDisplay)
        monkeypatch.setenv("TERM", "dumb")
        assert not isinstance(make_progress(), TrainingDisplay)


class Writer:
    """Stands in for torch's writer."""

    made: list[Writer] = []  # noqa: RUF012

    def __init__(self, folder: Path, purge_step: int | None) -> None:
        folder.mkdir(exist_ok=True)
        (folder / f"events.{len(self.made)}").touch()
        self.purge_step, self.scalars, self.is_open = purge_step, [], True
        self.made.append(self)

    def add_scalar(self, tag: str, value: float, step: int) -> None:
        self.scalars.append((tag, value, step))

    def flush(self) -> None:
        if any(value == 0.66 for _, value, _ in self.scalars):
            raise OSError(28, "No space left on device")

    def close(self) -> None:
        self.is_open = False


class TestTensorBoard:
    @pytest.fixture
    def writers(self, monkeypatch) -> list[Writer]:
        module = type(sys)("torch.utils.tensorboard")
        module.SummaryWriter = Writer
        monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
        for parent in ("torch", "torch.utils"):
            monkeypatch.setitem(sys.modules, parent, sys.modules.get(parent, type(sys)(parent)))
        monkeypatch.setattr(Writer, "made", [])
        return Writer.made

    def test_the_same_figures_stand_there_by_group(self, tmp_path, writers):
        book = journal(tmp_path)
        step(book, 10)
        book.record_validation(10, VALUES, best=True)
        book.close()
        (writer,) = writers
        assert writer.scalars == [
            ("loss/training", 0.5, 10),
            ("accuracy/training", 0.75, 10),
            ("speed/pictures_per_second", 23.46, 10),
            ("schedule/learning_rate", 0.333333, 10),
            ("auc/validation", 0.9, 10),
            ("accuracy/validation", 0.8, 10),
            ("loss/validation", 0.4, 10),
        ]
        assert not writer.is_open

    def test_a_run_that_goes_on_hides_what_a_killed_one_left_after_its_checkpoint(
        self, tmp_path, writers
    ):
        for first in (10, 20):
            step(journal(tmp_path), first)
        assert [writer.purge_step for writer in writers] == [None, 20]

    def test_a_full_disk_is_said_and_the_journal_goes_on(self, tmp_path, writers):
        output: list[str] = []
        book = journal(tmp_path, output.append)
        for number in (10, 20):
            step(book, number, loss=0.66)
        assert [line for line in output if "No space" in line] == [
            "tensorboard is not written: [Errno 28] No space left on device"
        ]
        assert len(RunFolder(tmp_path).read_log()) == 2

    def test_without_it_nothing_is_written(self, tmp_path):
        scalars = Scalars(tmp_path / "tensorboard", first_step=1)
        scalars.add(1, {"loss": 1.0})
        scalars.close()
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.train
    def test_what_tensorboard_reads(self, tmp_path, monkeypatch):
        """With the real one: what a later start repeats is shown as it was last."""
        pytest.importorskip("torch")
        monkeypatch.delitem(sys.modules, "torch.utils.tensorboard")
        events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
        for steps, loss in (((10, 20, 30), 0.5), ((20,), 0.25)):
            scalars = Scalars(tmp_path / "tensorboard", first_step=steps[0])
            for number in steps:
                scalars.add(number, {"loss": loss})
            scalars.close()
        found = events.EventAccumulator(str(tmp_path / "tensorboard")).Reload()
        assert [(one.step, one.value) for one in found.Scalars("loss/training")] == [
            (10, 0.5),
            (20, 0.25),
        ]
