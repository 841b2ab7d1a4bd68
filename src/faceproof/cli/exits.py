"""How a run of the command line ends: its exit code, and at most one line of message."""

from __future__ import annotations

import errno
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn

import typer
from typer.core import TyperGroup

from faceproof.errors import BundleNotFoundError, FaceproofError, UsageError
from faceproof.outputs import is_disk_full
from faceproof.sources import to_printable

ALL_CHECKED = 0
NOT_ALL_CHECKED = 1
_WRONG_USAGE = 2
FOUND = 3
_INTERRUPTED = 130
_BROKEN_PIPE = 141

#: From an error's class to the exit code; the nearest ancestor decides.
_EXIT_CODES: dict[type[FaceproofError], int] = {
    UsageError: _WRONG_USAGE,
    BundleNotFoundError: _WRONG_USAGE,
    FaceproofError: NOT_ALL_CHECKED,
}

#: What a file system answers where it refuses; the causes are the user's to mend.
_REFUSALS = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO}
)


class ErrorHandlingGroup(TyperGroup):
    """A group of verbs whose errors and signals end the program in an orderly way."""

    def invoke(self, ctx: Any) -> Any:
        """Run the verb."""
        with handle_errors(), raise_on_signals():
            return super().invoke(ctx)


class Stopped(KeyboardInterrupt):
    """SIGTERM or SIGHUP arrived; ``exit_code`` is what a shell reports for it."""

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}")
        self.exit_code = 128 + number


@contextmanager
def raise_on_signals() -> Iterator[None]:
    """Raise `Stopped` on SIGTERM and SIGHUP, as Ctrl-C raises KeyboardInterrupt.

    A signal that is ignored, as SIGHUP after ``nohup``, stays so. After the first one, others are
    ignored: the output is being finished. Outside the main thread nothing is done.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    ours = [number for number in numbers if signal.getsignal(number) is signal.SIG_DFL]
    received: list[Stopped] = []

    def stop(number: int, _: FrameType | None) -> None:
        for one in ours:
            signal.signal(one, signal.SIG_IGN)
        received.append(Stopped(number))
        raise received[0]

    for number in ours:
        signal.signal(number, stop)
    try:
        yield
    except (typer.Exit, FaceproofError):
        raise
    except Exception as error:
        # pydantic makes an error of its own of a signal that arrives while it serialises.
        if received:
            raise received[0] from error
        raise
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)


def interrupt_code(stop: KeyboardInterrupt) -> int:
    """Return the exit code of a run that a signal ended.

    >>> interrupt_code(KeyboardInterrupt()), interrupt_code(Stopped(signal.SIGTERM))
    (130, 143)
    """
    return int(getattr(stop, "exit_code", _INTERRUPTED))


@contextmanager
def handle_errors() -> Iterator[None]:
    """Turn the errors of a verb into exit codes; a bug keeps its traceback."""
    try:
        with _flush_at_end():
            yield
    except FaceproofError as error:
        typer.echo(f"faceproof: {error}", err=True)
        raise typer.Exit(exit_code(error)) from None
    except KeyboardInterrupt as stop:
        raise typer.Exit(interrupt_code(stop)) from None
    except BrokenPipeError:
        _abandon_output(_BROKEN_PIPE)
    except typer.Exit:  # whatever came before it was reported
        raise
    except Exception as error:
        if not _is_refusal(error):
            raise
        typer.echo(f"faceproof: {_describe_refusal(error)}", err=True)
        _abandon_output(NOT_ALL_CHECKED)


@contextmanager
def _flush_at_end() -> Iterator[None]:
    """Flush standard output where the verb ended, so that a full disk is an error and not noise."""
    try:
        yield
    except typer.Exit:
        _flush_output()
        raise
    _flush_output()


def _flush_output() -> None:
    if sys.stdout is not None and not sys.stdout.closed:
        sys.stdout.flush()


def _is_refusal(error: Exception) -> bool:
    """Return whether the file system refused: a full disk, also below another library's error."""
    return is_disk_full(error) or (isinstance(error, OSError) and error.errno in _REFUSALS)


def _describe_refusal(error: Exception) -> str:
    """Return the message for a refusal: where, why, and what to do."""
    seen: BaseException | None = error
    while seen is not None and not isinstance(seen, OSError):
        seen = seen.__cause__ or seen.__context__
    name = getattr(seen, "filename", None)
    where = to_printable(os.fsdecode(name)) if isinstance(name, str | bytes) else "the output"
    reason = getattr(seen, "strerror", None) or str(error)
    remedy = "make room" if is_disk_full(error) else "allow it, or name another place"
    return f"{where} cannot be used: {reason}; {remedy}, and run the command again"


def exit_code(error: FaceproofError) -> int:
    """Return the exit code of an error.

    >>> from faceproof.errors import BundleHashError, UnknownChoiceError
    >>> exit_code(UnknownChoiceError("?")), exit_code(BundleHashError("?"))
    (2, 1)
    """
    return next(_EXIT_CODES[cls] for cls in type(error).__mro__ if cls in _EXIT_CODES)


def _abandon_output(code: int) -> NoReturn:
    """End quietly: standard output does not take more, and so would a flush at exit fail."""
    if sys.stdout is not None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    raise typer.Exit(code)


def hold_standard_descriptors() -> None:
    """Open the null device where a standard stream is closed, so that no file takes its number.

    `sys.stdin`, `sys.stdout` or `sys.stderr` stays None.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
