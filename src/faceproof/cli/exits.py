"""How a run of the command line ends: its exit code, and at most one line of message."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import typer
from typer.core import TyperGroup

from faceproof.errors import BundleNotFoundError, FaceproofError, UsageError

ALL_CHECKED = 0
NOT_ALL_CHECKED = 1
_WRONG_USAGE = 2
FOUND = 3
INTERRUPTED = 130
_BROKEN_PIPE = 141

#: From an error's class to the exit code; the nearest ancestor decides.
_EXIT_CODES: dict[type[FaceproofError], int] = {
    UsageError: _WRONG_USAGE,
    BundleNotFoundError: _WRONG_USAGE,
    FaceproofError: NOT_ALL_CHECKED,
}


class ErrorHandlingGroup(TyperGroup):
    """A group of verbs whose errors end the program in an orderly way."""

    def invoke(self, ctx: Any) -> Any:
        """Run the verb."""
        with handle_errors():
            return super().invoke(ctx)


@contextmanager
def handle_errors() -> Iterator[None]:
    """Turn the errors of a verb into exit codes; a bug keeps its traceback."""
    try:
        yield
    except FaceproofError as error:
        typer.echo(f"faceproof: {error}", err=True)
        raise typer.Exit(exit_code(error)) from None
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
    except BrokenPipeError:
        _abandon_output()


def exit_code(error: FaceproofError) -> int:
    """Return the exit code of an error.

    >>> from faceproof.errors import BundleHashError, UnknownChoiceError
    >>> exit_code(UnknownChoiceError("?")), exit_code(BundleHashError("?"))
    (2, 1)
    """
    return next(_EXIT_CODES[cls] for cls in type(error).__mro__ if cls in _EXIT_CODES)


def _abandon_output() -> NoReturn:
    """End quietly: the reader of standard output has gone, and so would a flush at exit fail."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    raise typer.Exit(_BROKEN_PIPE)
