"""Silent work shows a clock on a terminal, whose thread is gone when the work is done."""

from __future__ import annotations

import io
import re
import sys
import threading
import time

import pytest
from rich.console import Console

from faceproof.cli.progress import ProgressPrinter, running_clock
from faceproof.cli.train.recipe import TrainingDisplay
from faceproof.messages import ignore_message, show_clock


def terminal() -> Console:
    return Console(file=io.StringIO(), force_terminal=True, width=80)


def shown_while_waiting(console: Console, seconds: float) -> str:
    time.sleep(seconds)
    return console.file.getvalue()


@pytest.mark.parametrize("show", [running_clock, lambda text, at: TrainingDisplay(at).clock(text)])
def test_a_clock_runs_while_the_work_is_silent_and_its_thread_ends_with_it(show):
    console, threads = terminal(), threading.active_count()
    with show("an export [1]", console):
        shown = shown_while_waiting(console, 1.2)
    assert "an export [1]" in shown
    assert set(re.findall(r"0:00:0\d", shown)) >= {"0:00:00", "0:00:01"}
    assert threading.active_count() == threads


def test_a_line_stays_above_the_clock():
    console = terminal()
    display = TrainingDisplay(console)
    with display.clock("an export"):
        display("1000 predictions")
    assert "1000 predictions\n" in console.file.getvalue()


def test_a_pipe_gets_the_messages_and_no_clock(capsys, monkeypatch):
    printer = ProgressPrinter()
    printer("export")
    with show_clock(printer, "export"):
        pass
    assert capsys.readouterr() == ("", "export\n")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with show_clock(printer, "export"):
        pass
    assert "export" in capsys.readouterr().err


@pytest.mark.parametrize("progress", [ignore_message, [].append])
def test_a_callback_without_a_clock_is_left_alone(progress):
    with show_clock(progress, "export"):
        pass
