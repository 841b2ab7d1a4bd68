"""Soak test of the REST service: hours of mixed requests, and clients that never finish.

    uv run python benchmarks/serve_soak.py --minutes 10
    uv run python benchmarks/serve_soak.py --slow-clients 2000

The first sends a random mix for this time, eight at once: whole pictures, whole pictures in
pieces with pauses, truncated pictures, files of other formats, bodies that are too large, and
clients that disconnect early. Every whole picture must get exactly the verdict and probability
of `Checker` without a service, every other request its own problem; the service's memory is
monitored throughout. The second opens this many connections that send a byte of a picture now and
then, and meanwhile requests /healthz and checks pictures.

Starts `faceproof serve` itself, on 127.0.0.1. Exits with code 1 on any fault.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import resource
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from check_speed import made
from faceproof import Checker, Detector
from serving import HOST, Answer, Client, Service, ask_once, get, head, quantile, service, upload

AT_ONCE = 8
PICTURES = 40
SIDE = 256
PIECES = 5
PAUSE_SECONDS = 0.5
HUGE_BYTES = 2**20 * 80
WARM_SHARE = 0.2
SLOW_SECONDS = 40
SLOW_PAUSE = 4.0
SLOW_BYTES = 100_000


@dataclass
class Seen:
    """Answers by kind and status, and the faults."""

    answers: Counter[tuple[str, int | str]] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    megabytes: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Picture:
    """A picture's file and the expected answer."""

    data: bytes
    verdict: str
    fake_probability: float


Ask = Callable[[Client, Picture, random.Random], Awaitable[Answer | None]]


async def whole(client: Client, picture: Picture, _: random.Random) -> Answer:
    """Send a whole picture."""
    return await client.ask(upload(picture.data))


async def slow(client: Client, picture: Picture, _: random.Random) -> Answer:
    """Send a whole picture in pieces, with pauses."""
    request = upload(picture.data)
    size = -(-len(request) // PIECES)
    pieces = [request[start : start + size] for start in range(0, len(request), size)]
    return await client.ask(*pieces, pause=PAUSE_SECONDS)


async def cut(client: Client, picture: Picture, rng: random.Random) -> Answer:
    """Send a truncated picture."""
    return await client.ask(upload(picture.data[: rng.randrange(200, len(picture.data) // 2)]))


async def none(client: Client, _: Picture, rng: random.Random) -> Answer:
    """Send a file that is not a picture."""
    return await client.ask(upload(rng.randbytes(rng.randrange(1, 50_000)), name="a.bin"))


async def huge(client: Client, _: Picture, __: random.Random) -> Answer:
    """Announce a body over the limit, and send its beginning."""
    try:
        return await client.ask(head(HUGE_BYTES), b"--" + bytes(2**20))
    finally:
        await client.close()


async def leave(client: Client, picture: Picture, rng: random.Random) -> None:
    """Send a part of a picture, or all of it, and disconnect."""
    _, writer = await asyncio.open_connection(HOST, client.port)
    request = upload(picture.data)
    writer.write(request[: rng.randrange(1, len(request) + 1)])
    with contextlib.suppress(ConnectionError):
        await writer.drain()
    writer.close()


@dataclass(frozen=True)
class Kind:
    """Request kinds, their share in percent, and the expected status."""

    ask: Ask
    share: int
    status: int | None


KINDS: Mapping[str, Kind] = {
    "whole": Kind(whole, 66, 200),
    "slow": Kind(slow, 8, 200),
    "cut": Kind(cut, 10, 422),
    "none": Kind(none, 6, 422),
    "huge": Kind(huge, 4, 413),
    "leave": Kind(leave, 6, None),
}


def main() -> None:
    """Run the requested test, print the findings, and return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--detector", default="default", help="name or folder")
    parser.add_argument("--minutes", type=float, default=0.0, help="of the mix of everything")
    parser.add_argument("--slow-clients", type=int, default=0, help="connections that never end")
    parser.add_argument("--seed", type=int, default=0, help="of the mix")
    wish = parser.parse_args()
    with service(wish.detector) as running:
        pictures = judged(wish.detector)
        right = True
        if wish.minutes:
            right &= mixed(running, pictures, minutes=wish.minutes, seed=wish.seed)
        if wish.slow_clients:
            right &= among_slow(running, pictures, count=wish.slow_clients)
    raise SystemExit(0 if right and running.process.returncode == 0 else 1)


def judged(detector: str) -> list[Picture]:
    """Return pictures with the answers of a local Checker."""
    checker = Checker(Detector.load(detector))
    with tempfile.TemporaryDirectory() as folder:
        files = [path.read_bytes() for path in made(Path(folder), SIDE, PICTURES)]
    results = [checker.check(data, name="a.jpg") for data in files]
    return [
        Picture(data, str(result.verdict), float(result.fake_probability or 0))
        for data, result in zip(files, results, strict=True)
    ]


def mixed(running: Service, pictures: Sequence[Picture], *, minutes: float, seed: int) -> bool:
    """Send the mix, print the findings, and return whether there was no fault."""
    seen = asyncio.run(all_mixed(running, pictures, 60 * minutes, seed))
    print(f"{minutes:g} minutes, {AT_ONCE} at once\n")
    print("| sent | answered | times |\n|---|---|---|")
    for (kind, status), times in sorted(seen.answers.items(), key=str):
        print(f"| {kind} | {status} | {times} |")
    flat = print_memory(seen.megabytes)
    print(f"\nwrong: {len(seen.wrong)}", *seen.wrong[:10], sep="\n")
    return flat and not seen.wrong


def print_memory(megabytes: Sequence[float]) -> bool:
    """Print the memory use; return whether it was flat within a tenth after the start."""
    after = megabytes[int(WARM_SHARE * len(megabytes)) :]
    tenth = max(1, len(after) // 10)
    first, last = statistics.median(after[:tenth]), statistics.median(after[-tenth:])
    print(f"\nmemory: {first:.0f} MB when warm, {last:.0f} MB at the end, {max(after):.0f} MB most")
    return last <= 1.1 * first


async def all_mixed(
    running: Service, pictures: Sequence[Picture], seconds: float, seed: int
) -> Seen:
    """Return the findings of this many seconds."""
    seen, end = Seen(), time.monotonic() + seconds
    workers = [mixing(running, pictures, seen, end, seed + number) for number in range(AT_ONCE)]
    await asyncio.gather(watch(running, seen, end), *workers)
    return seen


async def watch(running: Service, seen: Seen, end: float) -> None:
    """Sample the memory and /healthz once a second."""
    while time.monotonic() < end:
        seen.megabytes.append(running.megabytes)
        answer = await ask_once(running.port, get("/healthz"))
        if answer.status != 200:
            seen.wrong.append(f"/healthz: {answer.status}")
        await asyncio.sleep(1)


async def mixing(
    running: Service, pictures: Sequence[Picture], seen: Seen, end: float, seed: int
) -> None:
    """Send one request after the other, of a kind drawn at random."""
    rng, client = random.Random(seed), Client(running.port)
    shares = [kind.share for kind in KINDS.values()]
    while time.monotonic() < end:
        (name,) = rng.choices(list(KINDS), shares)
        picture = rng.choice(pictures)
        try:
            answer = await KINDS[name].ask(client, picture, rng)
        except (OSError, asyncio.IncompleteReadError) as error:
            await client.close()
            seen.answers[name, type(error).__name__] += 1
            if name != "huge":  # a body that is refused in the middle may end in a reset
                seen.wrong.append(f"{name}: {error!r}")
            continue
        seen.answers[name, answer.status if answer else "gone"] += 1
        seen.wrong += faults(name, picture, answer)
    await client.close()


def faults(name: str, picture: Picture, answer: Answer | None) -> list[str]:
    """Return the faults of an answer."""
    wanted = KINDS[name].status
    if answer is None or wanted is None:
        return []
    if answer.status != wanted:
        return [f"{name}: {answer.status}, not {wanted}: {answer.body[:200]!r}"]
    if wanted == 200:
        actual = answer.content
        if (actual["verdict"], actual["fake_probability"]) != (
            picture.verdict,
            picture.fake_probability,
        ):
            return [
                f"{name}: {actual['verdict']} {actual['fake_probability']}, not {picture.verdict}"
            ]
    return []


def among_slow(running: Service, pictures: Sequence[Picture], *, count: int) -> bool:
    """Send requests among slow connections, print the findings, and return True without a fault."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, count + 500)), hard))
    seen, health, checks, opened = asyncio.run(all_slow(running, pictures, count))
    print(f"\n{SLOW_SECONDS} s among {count} clients that send a byte every {SLOW_PAUSE:g} s\n")
    print(f"connections opened: {opened}, most at once {count}")
    for what, times in (("/healthz", health), ("checks", checks)):
        shown = ", ".join(
            f"p{100 * share:.0f} {quantile(times, share):.0f} ms" for share in (0.5, 0.99)
        )
        print(f"{what}: {len(times)} answered, {shown}")
    print(f"wrong: {len(seen.wrong)}", *seen.wrong[:10], sep="\n")
    return not seen.wrong and bool(health and checks)


async def all_slow(
    running: Service, pictures: Sequence[Picture], count: int
) -> tuple[Seen, list[float], list[float], int]:
    """Return the faults, the seconds of /healthz and of checks, and the connections opened."""
    seen, opened, end = Seen(), Counter[str](), time.monotonic() + SLOW_SECONDS
    dripping = [asyncio.create_task(drip(running.port, opened, end)) for _ in range(count)]
    await asyncio.sleep(5)
    health, checks = await asyncio.gather(
        asked_again(running.port, get("/healthz"), seen, end, pause=0.05),
        asked_again(running.port, upload(pictures[0].data), seen, end, pause=0.2),
    )
    for task in dripping:
        task.cancel()
    await asyncio.gather(*dripping, return_exceptions=True)
    return seen, health, checks, opened["connections"]


async def drip(port: int, opened: Counter[str], end: float) -> None:
    """Keep a connection busy with a picture that never ends; open another when it is closed."""
    while time.monotonic() < end:
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection(HOST, port)
            opened["connections"] += 1
            writer.write(head(SLOW_BYTES))
            while time.monotonic() < end and not writer.is_closing():
                writer.write(b"x")
                await writer.drain()
                await asyncio.sleep(SLOW_PAUSE)
            writer.close()
        await asyncio.sleep(0.5)


async def asked_again(
    port: int, request: bytes, seen: Seen, end: float, *, pause: float
) -> list[float]:
    """Send requests over new connections until the end; return the seconds of the answers."""
    seconds = []
    while time.monotonic() < end:
        started = time.perf_counter()
        try:
            answer = await asyncio.wait_for(ask_once(port, request), 20)
        except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
            seen.wrong.append(repr(error))
            continue
        if answer.status != 200:
            seen.wrong.append(f"{answer.status} {answer.body[:100]!r}")
        seconds.append(time.perf_counter() - started)
        await asyncio.sleep(pause)
    return seconds


if __name__ == "__main__":
    main()
