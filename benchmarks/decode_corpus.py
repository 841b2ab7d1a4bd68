"""Decode every file of a folder in a separate process, and count the outcomes.

    python benchmarks/decode_corpus.py FOLDER [--seconds 10] [--megabytes 4096] [--show]

A picture and a PictureError are correct outcomes. Anything else is a finding, with exit code
1: another exception, a dead process, a warning, or more seconds of CPU than allowed. What C
libraries print on standard error is counted; a Python program cannot stop it.
"""

from __future__ import annotations

import argparse
import json
import queue
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

try:
    import resource
except ImportError:  # Windows has no limits on memory
    resource = None  # type: ignore[assignment]


@dataclass(frozen=True)
class Answer:
    """Outcome of one file."""

    path: str
    outcome: str
    seconds: float
    megabytes: float = 0.0
    message: str = ""
    printed: str = ""


def work(megabytes: int) -> None:
    """Answer each path on standard input with a line of JSON on standard output."""
    import warnings

    from faceproof.errors import PictureError
    from faceproof.imaging.decode import decode

    if resource is not None:
        resource.setrlimit(resource.RLIMIT_AS, (megabytes << 20, megabytes << 20))
    for line in sys.stdin:
        path = Path(line.rstrip("\n"))
        data = path.read_bytes()
        started = time.process_time()
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            try:
                outcome, message = "ok " + decode(data, name=path.name).format, ""
            except PictureError as error:
                outcome, message = error.code, str(error)
            except BaseException as error:  # noqa: BLE001 - the finding that this script is for
                outcome, message = "FINDING " + type(error).__name__, str(error)
        seconds = time.process_time() - started
        if warned:
            outcome, message = "FINDING warning", str(warned[0].message)
        print(json.dumps([outcome, seconds, peak_megabytes(), message]), flush=True)


def peak_megabytes() -> float:
    """Return the peak memory of this process so far."""
    if resource is None:
        return 0.0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (
        1 << 20 if sys.platform == "darwin" else 1 << 10
    )


class Worker:
    """A process that decodes, replaced when it dies or does not answer."""

    def __init__(self, megabytes: int) -> None:
        self.megabytes = megabytes
        self.start()

    def start(self) -> None:
        """Start the process and a thread that collects its answers."""
        command = [sys.executable, __file__, "--worker", "--megabytes", str(self.megabytes)]
        self.process = subprocess.Popen(  # one stream for both, so that what C prints is seen
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
        )
        self.lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self.collect, args=(self.process, self.lines), daemon=True).start()

    @staticmethod
    def collect(process: subprocess.Popen[str], lines: queue.Queue[str]) -> None:
        """Put the process's output lines into the queue, and an empty line at its end."""
        for line in process.stdout or ():
            lines.put(line)
        lines.put("")

    def ask(self, path: Path, seconds: float) -> Answer:
        """Return the outcome of a file; wall-clock time may be ten times the CPU time."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{path}\n")
        self.process.stdin.flush()
        output = []
        try:
            while (line := self.lines.get(timeout=10 * seconds)) and not line.startswith("["):
                output.append(line)
        except queue.Empty:
            return self.lost(path, "FINDING timeout", seconds)
        if not line:
            return self.lost(
                path, f"FINDING process died ({self.process.wait()})", 0.0, "".join(output)
            )
        outcome, took, megabytes, message = json.loads(line)
        if took > seconds:
            outcome = "FINDING slow"
        return Answer(str(path), outcome, took, megabytes, message, "".join(output))

    def lost(self, path: Path, outcome: str, seconds: float, message: str = "") -> Answer:
        """Replace the process, and return the finding."""
        self.process.kill()
        self.process.wait()
        self.start()
        return Answer(str(path), outcome, seconds, 0.0, message)


def report(answers: list[Answer]) -> int:
    """Print counts, the slowest files, peak memory and all findings; return the exit code."""
    for outcome, count in sorted(Counter(answer.outcome for answer in answers).items()):
        print(f"{count:6}  {outcome}")
    print(f"{len(answers):6}  files, {sum(answer.seconds for answer in answers):.1f} s of CPU")
    for answer in sorted(answers, key=lambda answer: -answer.seconds)[:3]:
        print(f"slowest: {answer.seconds:.3f} s  {answer.path}  {answer.outcome}")
    peak = max(answers, key=lambda answer: answer.megabytes)
    print(f"peak memory: {peak.megabytes:.0f} MB, first reached at {peak.path}")
    loud = sum(bool(answer.printed) for answer in answers)
    print(f"{loud} files made a C library print on standard error")
    findings = [answer for answer in answers if answer.outcome.startswith("FINDING")]
    for answer in findings:
        print(f"{answer.outcome}  {answer.path}  {answer.message}")
    return 1 if findings else 0


def main() -> int:
    """Return 0 when every file gave a picture or a PictureError."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=Path())
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--megabytes", type=int, default=4096)
    parser.add_argument("--show", action="store_true", help="print what became of every file")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        work(options.megabytes)
        return 0
    worker = Worker(options.megabytes)
    answers = []
    for path in sorted(path for path in options.folder.rglob("*") if path.is_file()):
        answer = worker.ask(path, options.seconds)
        answers.append(answer)
        if options.show:
            print(f"{answer.outcome:24} {answer.seconds:7.3f}  {path}  {answer.message}")
    return report(answers)


if __name__ == "__main__":
    sys.exit(main())
