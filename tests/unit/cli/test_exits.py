"""How a run ends that a signal stops: its exit code, and no traceback."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest
import typer
from pydantic import BaseModel, model_serializer

from faceproof.cli.exits import Stopped, handle_errors, raise_on_signals

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")


@pytest.fixture(autouse=True)
def own_signals():
    """The system's own reaction, as in a fresh process; pytest's workers keep theirs."""
    kept = {number: signal.signal(number, signal.SIG_DFL) for number in (signal.SIGTERM,)}
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)


class Stopping(BaseModel):
    """Receives SIGTERM while it is turned into JSON."""

    @model_serializer(mode="wrap")
    def _stop(self, written: Any) -> dict[str, Any]:
        signal.raise_signal(signal.SIGTERM)
        return dict(written(self))


def test_a_signal_while_a_result_is_serialised_is_a_stop():
    """pydantic makes an error of its own of it."""
    with pytest.raises(Stopped), raise_on_signals():
        Stopping().model_dump_json()


def test_its_exit_code_is_that_of_the_signal():
    with pytest.raises(typer.Exit) as stop, handle_errors(), raise_on_signals():
        Stopping().model_dump_json()
    assert stop.value.exit_code == 143


def test_an_error_without_a_signal_keeps_its_type():
    with pytest.raises(ZeroDivisionError), handle_errors(), raise_on_signals():
        _ = 1 // 0


def end_with_a_code_of_its_own() -> None:
    try:
        signal.raise_signal(signal.SIGTERM)
    except KeyboardInterrupt:
        raise typer.Exit(7) from None


def test_a_verb_that_ends_itself_after_a_signal_keeps_its_code():
    with pytest.raises(typer.Exit) as stop, handle_errors(), raise_on_signals():
        end_with_a_code_of_its_own()
    assert stop.value.exit_code == 7
