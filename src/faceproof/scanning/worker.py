"""`check_items`: what a worker of every engine does with a few items."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING

import cv2

from faceproof.checker import Checker, make_checker
from faceproof.errors import FaceproofError, SourceError, SourceUnreadableError, WorkerDiedError
from faceproof.loading import Source
from faceproof.pipeline import map_in_order
from faceproof.records import Record
from faceproof.results import CheckedBy, CheckError, CheckResult
from faceproof.scanning.inputs import as_source_error, open_file
from faceproof.scanning.items import Item
from faceproof.scanning.result_files import make_table
from faceproof.sources import RefusedSource, StreamSource
from faceproof.stores import is_stored, read_stored

if TYPE_CHECKING:
    import pyarrow as pa

#: Reads from a store at a time in one worker: they wait for the network, not for the processor.
_READS = 4


class CheckOptions(Record):
    """The detector of a scan, a name or a folder, its operating point, and which faces to check."""

    detector: str
    operating_point: str
    faces: str
    by: CheckedBy

    def make_checker(self) -> Checker:
        """Return the checker; it uses one core.

        Raises:
            BundleError: the detector cannot be loaded.
        """
        cv2.setNumThreads(1)  # there is a worker for each core
        return make_checker(self.detector, at=self.operating_point, faces=self.faces)

    def report_failure(self, item: Item, error: BaseException) -> CheckResult:
        """Return the result of an item whose check ended its process, or raised an error."""
        if isinstance(error, FaceproofError):
            code, message = error.code, str(error)
        else:
            code = WorkerDiedError.code
            reason = f"{type(error).__name__}: {error}"
            message = f"{item.source}: the process that checked it failed twice; {reason}"
        return CheckResult(
            source=item.source,
            status="error",
            error=CheckError(code=code, message=message),
            detector=self.by,
            operating_point=self.operating_point,
            elapsed_ms=0.0,
        )


def check_items(checker: Checker, items: Sequence[Item]) -> pa.Table:
    """Return the results of some items as rows in their order."""
    reads = _READS if any(is_stored(item.path) for item in items) else 0
    open_source = partial(_open_source, limit=checker.limits.max_bytes + 1)
    with closing(map_in_order(open_source, items, workers=reads, ahead=2 * _READS)) as sources:
        return make_table(items, list(checker.check_many(sources, workers=0)))


def _open_source(item: Item, *, limit: int) -> Source:
    """Return an item as a source of `Checker`; what is in a store is read now."""
    if item.error is not None:
        return RefusedSource(item.source, _error_of(*item.error))
    is_local_file = item.data is None and item.offset is None and not is_stored(item.path)
    if is_local_file:
        return item.path
    try:
        data = read_item(item, limit)
    except (OSError, SourceError) as error:
        return RefusedSource(item.source, as_source_error(item.source, error))
    return StreamSource(item.source, lambda _: data)


def _error_of(code: str, message: str) -> SourceError:
    """Return the error of an item that was refused when it was listed."""
    error = SourceError(message)
    error.code = code
    return error


def read_item(item: Item, limit: int) -> bytes:
    """Return at most ``limit`` bytes of an item: those it carries, a part of a file, or a file.

    Raises:
        OSError, SourceError: they cannot be read, or an archive became shorter.
    """
    if item.data is not None:
        return item.data[:limit]
    if item.offset is None and is_stored(item.path):
        return read_stored(item.path, limit)
    with closing(open_file(item.path)) as file:
        if item.offset is None:
            return file.read(limit)
        size = min(item.size or 0, limit)
        file.seek(item.offset)
        data = bytes(file.read(size))
    if len(data) < size:
        raise SourceUnreadableError(f"{item.source}: the archive ends before its end")
    return data
