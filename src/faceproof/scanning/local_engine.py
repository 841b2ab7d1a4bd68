"""`LocalEngine`: checks on this machine, in processes of one core each."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Any, Self

from faceproof.checker import Checker
from faceproof.errors import CheckTimeoutError, WorkerDiedError
from faceproof.scanning.items import Item
from faceproof.scanning.result_files import make_table
from faceproof.scanning.worker import CheckOptions, check_items

if TYPE_CHECKING:
    import pyarrow as pa

#: Chunks of each process, of which one is being checked: it never waits for the next.
_AHEAD = 2
#: So many failures in a row, without any success, are not the fault of the pictures.
_MOST_FAILURES = 20
#: Seconds between two looks at whether a process is stuck.
_LOOK_EVERY = 0.5


@dataclass(frozen=True, slots=True)
class _Chunk:
    """Items for one process; ``again``: alone, after the process that had them ended."""

    items: Sequence[Item]
    again: bool = False


_checker: Checker | None = None
_state: Any = None
_PID, _BEGUN = 0, 1  # places in the memory that a process shares


def _start_process(options: CheckOptions, state: Any) -> None:
    """Load the detector in a new process, which ends with the one that started it.

    ``state`` is shared memory for its id and the number of pictures that it has begun.
    """
    global _checker, _state  # noqa: PLW0603 (what a process of the pool keeps)
    _state = state
    _state[_PID] = os.getpid()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the scan, which ends its processes
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _checker = options.make_checker()


def _end_with_parent() -> None:
    """Wait until the parent has ended, also by a kill, and end."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
    os._exit(1)


def _check(items: Sequence[Item]) -> pa.Table:
    if _checker is None:
        raise WorkerDiedError("the process has no detector")
    return check_items(_checker, items, begin=_begin_picture)


def _begin_picture() -> None:
    _state[_BEGUN] += 1


def _is_ready() -> bool:
    return _checker is not None


class _Worker:
    """One process and the chunks that it has, the oldest first."""

    def __init__(self, options: CheckOptions) -> None:
        self._options = options
        self.running: deque[tuple[Future[pa.Table], _Chunk]] = deque()
        self._context = multiprocessing.get_context("spawn")  # a fork would copy running threads
        self._state: Any = self._context.Array("Q", 2, lock=False)
        self._seen = (0, monotonic())
        self._overdue = False
        self._pool = self._start()

    def _start(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(
            1,
            mp_context=self._context,
            initializer=_start_process,
            initargs=(self._options, self._state),
        )

    def require_start(self) -> None:
        """Wait until the detector is loaded.

        Raises:
            WorkerDiedError: the process ended before.
        """
        try:
            self._pool.submit(_is_ready).result()
        except BrokenProcessPool as error:
            raise WorkerDiedError(
                "a process of the scan ends while it loads the detector: is there enough memory? "
                "Start fewer with --workers"
            ) from error

    def submit(self, chunk: _Chunk) -> None:
        """Hand over a chunk."""
        if not self.running:
            self._seen = (self._state[_BEGUN], monotonic())
        try:
            future = self._pool.submit(_check, chunk.items)
        except BrokenProcessPool as error:
            future = Future()
            future.set_exception(error)
        self.running.append((future, chunk))

    def collect(self) -> Iterator[tuple[_Chunk, pa.Table | BaseException]]:
        """Yield the finished chunks with their rows, or the error of what ended the process.

        After that, the chunks that waited are submitted to a new process.
        """
        while self.running and self.running[0][0].done():
            future, chunk = self.running.popleft()
            error = future.exception()
            if error is None:
                yield chunk, future.result()
                continue
            if isinstance(error, BrokenProcessPool):
                error = self._overdue_error() if self._overdue else error
                self._restart()
            yield chunk, error

    def end_if_stuck(self) -> None:
        """Kill the process if it has not begun another picture for longer than the limit."""
        begun, now = self._state[_BEGUN], monotonic()
        if not self.running or self.running[0][0].done() or begun != self._seen[0]:
            self._seen = (begun, now)
        elif now - self._seen[1] > self._options.timeout:
            self._overdue = True
            self._kill()

    def _overdue_error(self) -> CheckTimeoutError:
        return CheckTimeoutError(f"the check took longer than {self._options.timeout:g} s")

    def _kill(self) -> None:
        for process in multiprocessing.active_children():
            if process.pid == self._state[_PID]:
                process.kill()

    def _restart(self) -> None:
        self._overdue = False
        self._pool.shutdown(wait=False)
        self._pool = self._start()
        self.require_start()
        waiting, self.running = self.running, deque()
        for _, chunk in waiting:
            self.submit(chunk)

    def close(self) -> None:
        """End the process, also amid a chunk: without its rows nothing needs it."""
        if self.running:
            self._kill()
        self._pool.shutdown(wait=True, cancel_futures=True)


class LocalEngine:
    """Checks chunks in ``workers`` processes; a picture that ends its process costs only its row.

    A process that is stuck on a picture is killed. The chunk of a process that ended is checked
    again picture by picture. A picture that ends a process when it is alone gets a result with an
    error.
    """

    def __init__(self, options: CheckOptions, *, workers: int) -> None:
        self._options = options
        self._workers = [_Worker(options) for _ in range(workers)]
        self._failures = 0

    def __enter__(self) -> Self:
        """Wait until all processes have loaded the detector."""
        try:
            for worker in self._workers:
                worker.require_start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """End the processes."""
        self.close()

    def close(self) -> None:
        """End the processes."""
        for worker in self._workers:
            worker.close()

    def run(self, chunks: Iterable[Sequence[Item]]) -> Generator[pa.Table, None, None]:
        """Yield the rows of the chunks as they are finished.

        Raises:
            WorkerDiedError: processes end whatever they check.
        """
        waiting = map(_Chunk, chunks)
        again: deque[_Chunk] = deque()
        while self._fill(again, waiting):
            futures = [worker.running[0][0] for worker in self._workers if worker.running]
            wait(futures, timeout=_LOOK_EVERY, return_when=FIRST_COMPLETED)
            for worker in self._workers:
                worker.end_if_stuck()
                for chunk, found in worker.collect():
                    table = self._take(chunk, found, again)
                    if table is not None:
                        yield table

    def _fill(self, again: deque[_Chunk], waiting: Iterator[_Chunk]) -> bool:
        """Hand chunks to the processes in turn; return whether any has one."""
        for filled in range(1, _AHEAD + 1):
            for worker in self._workers:
                if len(worker.running) < filled:
                    chunk = again.popleft() if again else next(waiting, None)
                    if chunk is not None:
                        worker.submit(chunk)
        return any(worker.running for worker in self._workers)

    def _take(
        self, chunk: _Chunk, found: pa.Table | BaseException, again: deque[_Chunk]
    ) -> pa.Table | None:
        """Return the rows of a chunk, or None if its items are checked again."""
        if not isinstance(found, BaseException):
            self._failures = 0
            return found
        if not chunk.again:
            again.extend(_Chunk([item], again=True) for item in chunk.items)
            return None
        self._failures += 1
        if self._failures >= _MOST_FAILURES:
            raise WorkerDiedError(
                f"{self._failures} pictures in a row ended the processes that checked them, the "
                f"last with: {found}; the results so far are kept"
            ) from found
        (item,) = chunk.items
        return make_table([item], [self._options.report_failure(item, found)])
