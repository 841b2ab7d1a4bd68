"""`serve_with_workers` runs the service in several processes that accept from one socket.

The first process answers no request: it starts the others, starts one again that died, and passes
SIGTERM and SIGINT on, after which each process finishes its accepted requests. Each process has its
own queue, memory limit, rate limits and networks. They share the key file, the database of feedback
and the counts of ``/metrics``.

uvicorn has a supervisor too, `uvicorn.supervisors.Multiprocess`. It is not used: its workers run
only its own `Server`, not one that loses no request; they live on when the first process is killed;
and it checks each in turn, so that one that loads slowly delays the signal to the others.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import shutil
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any

from fastapi import FastAPI
from prometheus_client.multiprocess import mark_process_dead

from faceproof.detector.scorers import AUTO, usable_cores
from faceproof.errors import FaceproofError, UsageError
from faceproof.frontends.api.app import load_app
from faceproof.frontends.api.security import write_log
from faceproof.frontends.api.security.metrics import SHARED_FOLDER
from faceproof.frontends.api.server import serve
from faceproof.frontends.api.settings import ServiceSettings

_LOG = logging.getLogger(__name__)
_SPAWN = multiprocessing.get_context("spawn")
#: Time until a worker that could not start is started again, while others serve.
_RETRY_SECONDS = 5


@dataclass(frozen=True)
class ServedDetector:
    """What each process loads: a detector by name or folder, and how it serves it."""

    detector: str
    at: str | None
    settings: ServiceSettings
    scorer: str = AUTO
    device: str = "cpu"

    def load_app(self) -> FastAPI:
        """Return the app; raises as `load_app` of the package does."""
        return load_app(
            self.detector, self.at, self.settings, scorer=self.scorer, device=self.device
        )


@dataclass(frozen=True)
class _Worker:
    """A process that serves, and the connection on which it reports that it listens."""

    process: SpawnProcess
    listens: Connection


def require_workers(workers: int) -> None:
    """Raise UsageError where several processes cannot be stopped without losing requests."""
    if workers > 1 and os.name == "nt":
        raise UsageError(
            f"--workers {workers}: Windows has no SIGTERM to stop workers with: use --workers 1"
        )


def share_cores(settings: ServiceSettings, workers: int) -> ServiceSettings:
    """Return the settings of one of several processes: its part of the cores, where none is set.

    >>> share_cores(ServiceSettings(judging_threads=3), 1000).judging_threads
    3
    >>> share_cores(ServiceSettings(), 1000).opening_threads
    1
    """
    part = max(1, usable_cores() // workers)
    return settings.model_copy(
        update={
            "opening_threads": settings.opening_threads or part,
            "judging_threads": settings.judging_threads or part,
        }
    )


def serve_with_workers(
    served: ServedDetector, listener: socket.socket, workers: int, *, started: Callable[[], None]
) -> int:
    """Serve in ``workers`` processes until SIGTERM or SIGINT, and return the exit code.

    Calls ``started`` when the first of them listens, and closes the listener at the end. Returns 1
    if a process ended before it listened while no other one did; the others are then stopped.

    Raises:
        UsageError: a temporary folder for the shared counts cannot be made.
    """
    with _shared_metrics() as folder:
        return _Supervisor(served, listener, folder, started).run(workers)


@contextmanager
def _shared_metrics() -> Iterator[str]:
    """Yield the folder in which the processes count; they find it by the environment.

    Source: prometheus_client, "Multiprocess Mode (E.g. Gunicorn)".
    """
    try:
        folder = tempfile.mkdtemp(prefix="faceproof-metrics-")
    except OSError as error:
        raise UsageError(
            f"workers share the counts of /metrics in a temporary folder: {error.strerror}; "
            "set TMPDIR to a folder that can be written"
        ) from error
    os.environ[SHARED_FOLDER] = folder
    try:
        yield folder
    finally:
        del os.environ[SHARED_FOLDER]
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _catch_signals() -> Iterator[socket.socket]:
    """Yield a socket that can be read after SIGTERM or SIGINT; they have no other effect.

    Source: Python, `signal.set_wakeup_fd`.
    """
    reading, writing = socket.socketpair()
    with reading, writing:
        writing.settimeout(0)
        wakeup = signal.set_wakeup_fd(writing.fileno(), warn_on_full_buffer=False)
        numbers = (signal.SIGTERM, signal.SIGINT)
        handlers = {number: signal.signal(number, lambda *_: None) for number in numbers}
        try:
            yield reading
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
            signal.set_wakeup_fd(wakeup)


@dataclass
class _Supervisor:
    """Starts, watches and stops the processes."""

    served: ServedDetector
    listener: socket.socket
    metrics: str
    started: Callable[[], None]
    _workers: list[_Worker] = field(default_factory=list)
    #: Times at which to start one again that could not start.
    _due: list[float] = field(default_factory=list)
    _stopping: bool = False
    _listens: bool = False
    _code: int = 0

    def run(self, workers: int) -> int:
        """Run this many processes to the end, and return the exit code."""
        with _catch_signals() as signalled:
            try:
                for _ in range(workers):
                    self._start()
                while self._workers:
                    self._handle_events(signalled)
            finally:
                self._stop()
                for worker in self._workers:  # after an error here
                    worker.process.join()
        return self._code

    def _handle_events(self, signalled: socket.socket) -> None:
        """Wait for a signal, or for a process that listens, ends, or is due."""
        watched: list[Any] = [one for each in self._workers for one in _handles(each)]
        if not self._stopping:
            watched.append(signalled)
        wait_seconds = max(0.0, min(self._due) - time.monotonic()) if self._due else None
        ready = set(wait(watched, wait_seconds))
        if signalled in ready:
            self._stop()
        for worker in list(self._workers):
            if worker.listens in ready and _received(worker.listens):
                self._report_start(worker)
            if worker.process.sentinel in ready:
                self._ended(worker)
        for due in [one for one in self._due if one <= time.monotonic()]:
            self._due.remove(due)
            self._start()

    def _start(self) -> None:
        ours, theirs = _SPAWN.Pipe(duplex=False)
        process = _SPAWN.Process(
            target=_run_worker, args=(self.served, self.listener, theirs), name="faceproof-serve"
        )
        process.start()
        theirs.close()
        self._workers.append(_Worker(process, ours))

    def _report_start(self, worker: _Worker) -> None:
        _LOG.info("worker started", extra={"worker": worker.process.pid})
        if not self._listens and not self._stopping:
            self._listens = True
            self.started()

    def _ended(self, worker: _Worker) -> None:
        """Count a process out; another takes its place unless the service stops."""
        worker.process.join()
        self._workers.remove(worker)
        mark_process_dead(worker.process.pid, self.metrics)
        listened = worker.listens.closed
        worker.listens.close()
        if self._stopping:
            return
        fields = {"worker": worker.process.pid, "exit_code": worker.process.exitcode}
        if listened:
            _LOG.error("a worker ended and is started again", extra=fields)
            self._start()
        elif any(each.listens.closed for each in self._workers):
            _LOG.error(
                "a worker ended before it listened; the next one starts in %d seconds",
                _RETRY_SECONDS,
                extra=fields,
            )
            self._due.append(time.monotonic() + _RETRY_SECONDS)
        else:
            _LOG.error("a worker ended before it listened: the service stops", extra=fields)
            self._code = 1
            self._stop()

    def _stop(self) -> None:
        """Ask every process to finish its requests and end."""
        self._stopping = True
        self._due.clear()
        self.listener.close()  # clients are refused as soon as the workers have closed it too
        for worker in self._workers:
            worker.process.terminate()


def _handles(worker: _Worker) -> Iterator[Any]:
    """Yield what becomes ready when a process listens, once, and when it ends."""
    yield worker.process.sentinel
    if not worker.listens.closed:
        yield worker.listens


def _received(listens: Connection) -> bool:
    """Return whether the process reported that it listens; close the connection if it did."""
    try:
        listens.recv_bytes()
    except EOFError:  # it ended without
        return False
    listens.close()
    return True


def _run_worker(served: ServedDetector, listener: socket.socket, listens: Connection) -> None:
    """Serve from the socket, in a process of its own."""
    # Ctrl-C reaches all processes of a terminal; while this one loads, the first one's SIGTERM
    # ends it, without a traceback.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_stop_with_parent, daemon=True).start()
    with listener, write_log(served.settings.guard.log_format):
        try:
            app = served.load_app()
            serve(app, listener, served.settings, started=lambda: listens.send_bytes(b"listens"))
        except FaceproofError as error:
            _LOG.error("%s", error)
            raise SystemExit(1) from None
        except Exception:  # noqa: BLE001 (multiprocessing would print it, not as a line of the log)
            _LOG.exception("a worker failed")
            raise SystemExit(1) from None


def _stop_with_parent() -> None:
    """End this process as SIGTERM does when the first process is killed."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)
