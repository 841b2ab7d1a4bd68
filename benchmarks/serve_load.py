"""Share of the networks' bare speed that the REST service keeps.

Starts `faceproof serve` on 127.0.0.1 and measures, in turns, so that a busy machine slows all of
them alike:

* bare: onnxruntime's forward pass on tensors that are ready, at the fastest of several batch
  sizes, on all cores;
* no service: `Checker.check_many` over the same files, in this process;
* 1, 8, 32 at once: that many clients, each with a kept-alive connection, sending the next picture
  after the answer to the last; with each number of `--workers`, all of which run meanwhile.

    uv run python benchmarks/serve_load.py [--detector NAME|FOLDER] [--count 200] [--rounds 3]
        [--workers 1 2] [--service-only]

The pictures are those of check_speed.py, JPEG files of 256 px with one face. The best turn of each
counts. Every answer must be 200 with one face. "clients" is the share of a core for sending and
reading, which the service loses where all cores are busy. Several numbers of workers are also
compared turn by turn: with the first of them, by the median of the ratios, on a busy machine too.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np
import numpy.typing as npt

from check_speed import (
    BATCH_SIZES,
    bare_forwards,
    check_all,
    fastest_bare,
    made,
    ready_inputs,
    timed,
)
from faceproof import Checker, Detector
from faceproof.detector.scorers import usable_cores
from faceproof.messages import count_noun
from serving import Client, Service, quantile, service, upload

SIDE = 256
AT_ONCE = (1, 8, 32)


@dataclass(frozen=True)
class Load:
    """One turn of one kind: its pictures, seconds, answer times and CPU seconds."""

    what: str
    count: int
    seconds: float
    answers: tuple[float, ...] = ()
    client_cpu: float = 0.0
    service_cpu: float = 0.0
    at_once: int = 0
    workers: int = 0

    @property
    def a_second(self) -> float:
        """Pictures a second."""
        return self.count / self.seconds


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--detector", default="default", help="name or folder")
    parser.add_argument("--count", type=int, default=200, help="pictures of each turn")
    parser.add_argument("--rounds", type=int, default=3, help="turns; the best of each counts")
    parser.add_argument("--workers", type=int, nargs="+", default=[1], help="of each service")
    parser.add_argument("--service-only", action="store_true", help="neither bare nor no service")
    wish = parser.parse_args()
    detector = Detector.load(wish.detector)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        files = list(made(Path(folder), SIDE, wish.count))
        services = {
            number: stack.enter_context(service(wish.detector, workers=number))
            for number in wish.workers
        }
        kinds = [] if wish.service_only else kinds_without(detector, files)
        kinds += kinds_with(files, services)
        turns = [[kind() for kind in kinds] for _ in range(wish.rounds)]
    best = [min(kind, key=lambda one: one.seconds) for kind in zip(*turns, strict=True)]
    print(f"{detector.spec.name} {detector.spec.version}, {usable_cores()} usable cores\n")
    print_table(best)
    if len(wish.workers) > 1:
        print_comparison(turns, wish.workers)


def kinds_without(detector: Detector, files: Sequence[Path]) -> list[Callable[[], Load]]:
    """Return the measured cases without a service, the bare forward pass first."""
    inputs = ready_inputs(detector, files)
    forwards = bare_forwards(detector, inputs, threads=usable_cores(), int8=False)["onnxruntime"]
    bare, run_bare = fastest_bare(forwards, inputs[: BATCH_SIZES[-1]])
    checker = Checker(detector)
    return [
        partial(alone, bare, partial(run_bare, inputs), len(files)),
        partial(alone, "no service", partial(check_all, checker, files), len(files)),
    ]


def kinds_with(files: Sequence[Path], services: Mapping[int, Service]) -> list[Callable[[], Load]]:
    """Return the measured cases with a service, those of the same load side by side."""
    requests = [upload(path.read_bytes()) for path in files]
    return [
        partial(loaded, running, requests, at_once, workers)
        for at_once in AT_ONCE
        for workers, running in services.items()
    ]


def alone(what: str, work: Callable[[], object], count: int) -> Load:
    """Return the timing of the work in this process."""
    return Load(what, count, timed(what, work, count).seconds)


def loaded(running: Service, requests: Sequence[bytes], at_once: int, workers: int) -> Load:
    """Return the timing of the service for all requests, at this concurrency."""
    started, mine, theirs = time.perf_counter(), time.process_time(), running.cpu_seconds
    answers = asyncio.run(all_asked(running.port, requests, at_once))
    seconds = time.perf_counter() - started
    return Load(
        f"{at_once} at once" + (f", {workers} workers" if workers > 1 else ""),
        len(requests),
        seconds,
        tuple(answers),
        time.process_time() - mine,
        running.cpu_seconds - theirs,
        at_once,
        workers,
    )


async def all_asked(port: int, requests: Sequence[bytes], at_once: int) -> list[float]:
    """Return the seconds of every answer."""
    waiting = iter(requests)
    found = await asyncio.gather(*(asked(Client(port), waiting) for _ in range(at_once)))
    return [seconds for one in found for seconds in one]


async def asked(client: Client, waiting: Iterator[bytes]) -> list[float]:
    """Return the seconds of the answers to the requests that this client took."""
    seconds = []
    for request in waiting:
        answer = await client.ask(request)
        if answer.status != 200 or len(answer.content["faces"]) != 1:
            raise SystemExit(f"wrong answer: {answer.status} {answer.body[:300]!r}")
        seconds.append(answer.seconds)
    await client.close()
    return seconds


def print_table(loads: Sequence[Load]) -> None:
    """Print the measurements as a Markdown table."""
    print(
        "| | pictures/s | ratio to the first row | p50 ms | p95 ms | p99 ms | clients | service |"
    )
    print("|---" * 8 + "|")
    for one in loads:
        cells = list(of_service(one)) if one.answers else [""] * 5
        ratio = f"{one.a_second / loads[0].a_second:.2f}"
        print(f"| {' | '.join([one.what, f'{one.a_second:.1f}', ratio, *cells])} |")


def print_comparison(turns: Sequence[Sequence[Load]], workers: Sequence[int]) -> None:
    """Print the ratios to the first number of workers: the median of all turns, and its range."""
    first, *others = workers
    print(
        f"\n| ratio to {count_noun(first, 'worker')} in {count_noun(len(turns), 'turn')} ", end=""
    )
    print("| pictures/s | a CPU second | p50 | p95 |")
    print("|---" * 5 + "|")
    speeds = [{(one.at_once, one.workers): speed(one) for one in turn} for turn in turns]
    for at_once in AT_ONCE:
        for number in others:
            ratios = np.array([one[at_once, number] / one[at_once, first] for one in speeds])
            cells = [f"{median(one):.2f} ({min(one):.2f} to {max(one):.2f})" for one in ratios.T]
            print(f"| {at_once} at once, {number} workers | {' | '.join(cells)} |")


def speed(load: Load) -> npt.NDArray[np.float64]:
    """Return pictures a second and a CPU second, and the milliseconds of 50% and 95% of answers."""
    if not load.answers:
        return np.ones(4)
    times = [quantile(load.answers, share) for share in (0.5, 0.95)]
    return np.array([load.a_second, load.count / load.service_cpu, *times])


def of_service(load: Load) -> Iterator[str]:
    """Yield the cells that only the service has: answer times, and busy cores."""
    for share in (0.5, 0.95, 0.99):
        yield f"{quantile(load.answers, share):.0f}"
    for cpu in (load.client_cpu, load.service_cpu):
        yield f"{cpu / load.seconds:.2f} cores"


if __name__ == "__main__":
    main()
