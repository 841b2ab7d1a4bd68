"""Where `check` writes: each result whole, in a file that appears when the run ends, or a pipe."""

from __future__ import annotations

import io
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import typer

from faceproof.errors import OutputError, UsageError
from faceproof.outputs import is_stream, part_of, put_in_place, resolve_link
from faceproof.pipeline import hold_signals
from faceproof.sources import to_printable

if TYPE_CHECKING:
    from faceproof.records import Record


class ResultStream(io.TextIOBase):
    """Text for an open file or pipe; what `flush` writes is there as a whole or not at all.

    A file never ends in a part of a result, also where the disk is full or a signal arrives. For a
    pipe this cannot be promised.
    """

    def __init__(
        self, descriptor: int, name: str, *, encoding: str = "utf-8", errors: str = "strict"
    ) -> None:
        """Write to a file descriptor, which stays open; ``name`` is used in messages."""
        self._descriptor, self._name = descriptor, name
        self._encoding, self._errors = encoding, errors
        self._pending: list[str] = []
        self._is_file = _can_be_cut(descriptor)
        self._tail, self._end = b"", -1
        self.flushed = False

    def write(self, text: str, /) -> int:
        """Keep text until the next `flush`."""
        self._pending.append(text)
        return len(text)

    def writable(self) -> bool:
        """Return True."""
        return True

    def isatty(self) -> bool:
        """Return whether a person reads it."""
        return os.isatty(self._descriptor)

    def discard(self) -> None:
        """Forget what was not flushed."""
        self._pending.clear()

    def flush(self, *, tail: str = "") -> None:
        """Write what was kept, and in a file the ``tail`` that would end it now.

        The next flush overwrites the tail, so that the file is valid at any time.

        Raises:
            OutputError: the disk is full, or refuses; the file is as it was before.
            BrokenPipeError: the reader of a pipe has gone.
        """
        data = "".join(self._pending).encode(self._encoding, self._errors)
        self._pending.clear()
        if not data:
            return
        try:
            if self._is_file:
                with hold_signals():
                    self._write_to_file(data, tail.encode())
            else:
                _write_all(self._descriptor, data)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise unwritable_error(self._name, error) from error
        self.flushed = True

    def _write_to_file(self, data: bytes, tail: bytes) -> None:
        """Replace the last tail by the data and the new tail; restore the file on an error."""
        end = os.lseek(self._descriptor, 0, os.SEEK_CUR)
        old = self._tail if end == self._end else b""  # another program may write there too
        begin = os.lseek(self._descriptor, end - len(old), os.SEEK_SET)
        try:
            _write_all(self._descriptor, data + tail)
        except OSError:
            os.lseek(self._descriptor, begin, os.SEEK_SET)
            _write_all(self._descriptor, old)  # overwrites, which takes no room
            os.ftruncate(self._descriptor, end)
            raise
        self._tail, self._end = tail, os.lseek(self._descriptor, 0, os.SEEK_CUR)


def _can_be_cut(descriptor: int) -> bool:
    """Return whether it is a regular file that ends here, not opened for appending."""
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or _appends(descriptor):
            return False
        return os.lseek(descriptor, 0, os.SEEK_CUR) == found.st_size
    except OSError:
        return False


def _appends(descriptor: int) -> bool:
    try:
        import fcntl
    except ImportError:  # Windows
        return False
    return bool(fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_APPEND)


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def unwritable_error(name: str, error: OSError) -> OutputError:
    """Return the error for results that could not be written: what was written is kept."""
    return OutputError(
        f"{name} cannot be written: {error.strerror or error}; make room or name another place, "
        "and run the command again (results so far are kept)"
    )


@contextmanager
def open_output(output: Path | None, *, for_people: bool) -> Iterator[TextIO]:
    """Open the file, or standard output; what machines read is UTF-8 with bare newlines.

    The file appears when the run ends, after an error only where results were written. What is not
    flushed then is lost.

    Raises:
        UsageError: the file cannot be written, or standard output is closed.
        OutputError: the disk is full.
    """
    if output is None:
        yield from _discard_pending(_standard_output(for_people=for_people))
    elif is_stream(output):
        descriptor = _open(output, output, os.O_WRONLY)
        try:
            yield from _discard_pending(ResultStream(descriptor, to_printable(str(output))))
        finally:
            os.close(descriptor)
    else:
        yield from _open_beside(output)


def _discard_pending(stream: TextIO | ResultStream) -> Iterator[Any]:
    """Yield the stream; after an error, what was not flushed is forgotten."""
    try:
        yield stream
    except BaseException:
        if isinstance(stream, ResultStream):
            stream.discard()
        raise


def _open_beside(output: Path) -> Iterator[Any]:
    """Yield a stream to a temporary file beside ``output``, which takes its place at the end."""
    place, name = resolve_link(output), to_printable(str(output))
    if place.is_dir():
        raise UsageError(f"{name} cannot be written: it is a folder; name a file")
    part = part_of(place)
    descriptor = _open(part, output, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    stream = ResultStream(descriptor, name)
    keep = False
    try:
        yield from _discard_pending(stream)
        keep = True
    finally:
        try:
            if keep or stream.flushed:
                os.fsync(descriptor)
                put_in_place(part, place)
        except OSError as error:
            raise unwritable_error(name, error) from error
        finally:
            os.close(descriptor)
            part.unlink(missing_ok=True)


def _open(path: Path, output: Path, flags: int) -> int:
    """Return a file descriptor for writing; ``output`` is the name for messages.

    Raises:
        UsageError: the system refuses.
    """
    try:
        return os.open(path, flags | getattr(os, "O_BINARY", 0), 0o666)
    except OSError as error:
        name = to_printable(str(output))
        raise UsageError(f"{name} cannot be written: {error.strerror or error}") from error


def set_up_output(*, for_people: bool) -> None:
    """Set how standard output encodes text.

    For people, characters beyond its encoding are escaped; machines get UTF-8 and bare newlines.
    """
    if isinstance(sys.stdout, TextIOWrapper):
        if for_people:
            sys.stdout.reconfigure(errors="backslashreplace")
        else:
            sys.stdout.reconfigure(encoding="utf-8", newline="\n")


def print_json(record: Record) -> None:
    """Print a whole record as indented JSON."""
    set_up_output(for_people=False)
    typer.echo(record.model_dump_json(indent=2))


def _standard_output(*, for_people: bool) -> TextIO | ResultStream:
    """Return standard output, so set that no file name can break it.

    Raises:
        UsageError: it is closed.
    """
    out = sys.stdout
    if out is None:
        raise UsageError("standard output is closed: open it, or name a file with --output")
    set_up_output(for_people=for_people)
    if os.name == "nt" or out.isatty():
        return out
    try:
        descriptor = out.fileno()
        out.flush()
    except (OSError, ValueError):  # not a file of the system
        return out
    return ResultStream(
        descriptor, "standard output", encoding=out.encoding, errors=out.errors or "strict"
    )
