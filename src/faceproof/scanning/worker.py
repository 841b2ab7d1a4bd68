"""`check_items`: what a worker of every engine does with a few items."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING

import cv2
from pydantic import Field

from faceproof.checker import Checker, make_checker
from faceproof.detector import Detector
from faceproof.detector.scorers import AUTO
from faceproof.errors import (
    CheckTimeoutError,
    FaceproofError,
    SourceError,
    SourceUnreadableError,
    WorkerDiedError,
)
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
#: Faces that a CPU judges at a time with bfloat16.
_BF16_BATCH = 8
#: Seconds that the check of one picture may take; 100 megapixels with 100 faces need a tenth.
TIMEOUT = 300.0


class CheckOptions(Record):
    """The detector of a scan, a name or a folder, its operating point, and which faces to check.

    ``timeout`` is the limit for the check of one picture, in seconds.
    """

    detector: str
    operating_point: str
    faces: str
    by: CheckedBy
    scorer: str = AUTO
    device: str = "cpu"
    timeout: float = Field(default=TIMEOUT, gt=0)

    def make_checker(self) -> Checker:
        """Return the checker; it uses one core.

        Raises:
            BundleError: the detector cannot be loaded.
            UsageError: the scorer cannot use the device here, or its extra is missing.
        """
        cv2.setNumThreads(1)  # there is a worker for each core
        detector = Detector.load(self.detector, scorer=self.scorer, device=self.device)
        return make_checker(detector, at=self.operating_point, faces=self.faces)

    def report_failure(self, item: Item, error: BaseException) -> CheckResult:
        """Return the result of an item whose check ended its process, or raised an error."""
        if isinstance(error, CheckTimeoutError):
            code = error.code
            message = f"{item.source}: {error}, twice; check it alone, or raise --timeout"
        elif isinstance(error, FaceproofError):
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


def check_items(
    checker: Checker, items: Sequence[Item], *, begin: Callable[[], object] = lambda: None
) -> pa.Table:
    """Return the results of some items as rows in their order; ``begin`` is called before each."""
    reads = _READS if any(is_stored(item.path) for item in items) else 0
    open_source = partial(_open_source, limit=checker.limits.max_bytes + 1)
    batch = _batch_size(checker.detector, len(items))
    with closing(map_in_order(open_source, items, workers=reads, ahead=2 * _READS)) as sources:
        announced = _announce(sources, begin)
        return make_table(items, list(checker.check_many(announced, batch_size=batch, workers=0)))


def _batch_size(detector: Detector, chunk: int) -> int:
    """Return how many faces are judged at a time.

    float32 on a CPU gains little from more than one, bfloat16 much
    (docs/decisions/0014-inference-backends.md); on another device the whole chunk is one batch.
    """
    if detector.device != "cpu":
        return chunk
    return _BF16_BATCH if detector.scorer == "openvino-bf16" else 1


def _announce(sources: Iterable[Source], begin: Callable[[], object]) -> Iterator[Source]:
    """Yield the sources; ``begin`` is called before each is opened, and after the last."""
    begin()
    for source in sources:
        yield source
        begin()


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
