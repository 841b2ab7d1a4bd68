"""The queue: bounded in pictures and bytes, batching across requests, left at once on leaving."""

import asyncio
import time

import pytest

from faceproof import Checker, Detector
from faceproof.errors import BusyError, DeadlineError, StoppingError
from faceproof.frontends.api import ServiceSettings
from faceproof.frontends.api.capacity import LONGEST_RETRY, Capacity, ThroughputEstimate
from faceproof.frontends.api.engine import CheckTask, Engine, NullObserver, ThreadPool
from faceproof.frontends.api.uploads import Upload
from support.service import Held, picture, run


class Watching(NullObserver):
    def __init__(self):
        self.results, self.batches, self.depths = [], [], []

    def record_result(self, result):
        self.results.append(result)

    def record_batch(self, size):
        self.batches.append(size)

    def record_queue(self, depth):
        self.depths.append(depth)


@pytest.fixture
def held(tiny_bundle):
    return Held(Checker(Detector.load(tiny_bundle), faces="whole"))


def upload(shade=255):
    return Upload("a.png", picture(shade))


def engine_of(observer=None, *, places=8, **settings):
    used = ServiceSettings(**{"judging_threads": 1, "opening_threads": 2, **settings})
    return Engine(used, capacity=Capacity(places=places, bytes_=10**6), observer=observer)


async def until(condition, seconds=10.0):
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)


def test_requests_that_wait_together_are_judged_together_and_answered_apart(held):
    observer = Watching()

    async def work():
        engine = engine_of(observer)
        first = asyncio.create_task(engine.check([CheckTask("key", held, upload(0))]))
        await until(held.begun.is_set)
        shades = [255, 0, 255, 0]
        others = [
            asyncio.create_task(engine.check([CheckTask("key", held, upload(s))])) for s in shades
        ]
        await until(lambda: held.opened == 5)
        await asyncio.sleep(0.05)
        held.gate.set()
        results = [(await one)[0] for one in (first, *others)]
        await engine.close()
        return [result.verdict for result in results]

    assert run(work) == ["real", "fake", "real", "fake", "real"]
    assert [len(batch) for batch in held.batches] == [1, 4]
    assert observer.batches == [1, 4]
    assert sorted(result.verdict for result in observer.results) == [
        *["fake"] * 2,
        *["real"] * 3,
    ]
    assert max(observer.depths) == 5
    assert observer.depths[-1] == 0


def test_a_batch_has_no_more_faces_than_allowed_and_one_choice_only(held):
    async def work():
        engine = engine_of(batch_faces=2)
        tasks = [CheckTask(key, held, Upload(key, picture())) for key in "abaab"]
        first = asyncio.create_task(engine.check([CheckTask("z", held, upload())]))
        await until(held.begun.is_set)
        rest = asyncio.create_task(engine.check(tasks))
        await until(lambda: held.opened == 6)
        await asyncio.sleep(0.05)
        held.gate.set()
        await asyncio.gather(first, rest)
        await engine.close()

    run(work)
    assert sorted(len(batch) for batch in held.batches) == [1, 1, 2, 2]
    assert all(len(set(batch)) == 1 for batch in held.batches)


def test_one_picture_that_breaks_the_network_harms_no_other(held):
    judge = held.judge

    def broken(batch):
        if any(opened.source == "bad.png" for opened in batch):
            raise RuntimeError("broken")
        return judge(batch)

    held.judge = broken

    async def work():
        engine = engine_of(batch_wait_ms=200)
        held.gate.set()
        names = ["good.png", "bad.png", "good.png"]
        each = [engine.check([CheckTask("k", held, Upload(name, picture()))]) for name in names]
        answers = await asyncio.gather(*each, return_exceptions=True)
        await engine.close()
        return answers

    first, bad, last = run(work)
    assert (first[0].verdict, last[0].verdict) == ("fake", "fake")
    assert str(bad) == "broken"


def test_a_full_queue_refuses_and_a_whole_batch_is_taken_or_not(held):
    async def work():
        engine = engine_of(places=2)
        first = asyncio.create_task(engine.check([CheckTask("k", held, upload())]))
        await until(held.begun.is_set)
        with pytest.raises(BusyError, match="1 pictures are waiting, limit 2"):
            await engine.check([CheckTask("k", held, upload())] * 2)
        second = asyncio.create_task(engine.check([CheckTask("k", held, upload())]))
        await until(lambda: engine.capacity.waiting == 2)
        with pytest.raises(BusyError) as refused:
            await engine.check([CheckTask("k", held, upload())])
        assert refused.value.retry_after >= 1
        held.gate.set()
        await asyncio.gather(first, second)
        assert engine.capacity.waiting == 0
        await engine.check([CheckTask("k", held, upload())] * 2)
        await engine.close()

    run(work)


def test_who_is_cancelled_gives_the_place_back_and_is_not_judged(held):
    async def work():
        engine = engine_of()
        first = asyncio.create_task(engine.check([CheckTask("k", held, upload())]))
        await until(held.begun.is_set)
        left = Upload("left.png", picture())
        waiting = asyncio.create_task(engine.check([CheckTask("k", held, left)] * 3))
        await until(lambda: held.opened == 4)
        await asyncio.sleep(0.02)
        waiting.cancel()
        await until(lambda: engine.capacity.waiting == 1)
        held.gate.set()
        await first
        await engine.check([CheckTask("k", held, upload())])
        await engine.close()

    run(work)
    assert held.batches == [["a.png"], ["a.png"]]


def test_a_late_answer_is_refused_and_its_place_is_free_when_its_thread_is(held):
    async def work():
        engine = engine_of(answer_seconds=0.1)
        begun = time.monotonic()
        with pytest.raises(DeadlineError, match=r"within 0\.1 seconds"):
            await engine.check([CheckTask("k", held, upload())])
        assert time.monotonic() - begun < 5
        held.gate.set()
        await until(lambda: engine.capacity.waiting == 0)
        await engine.close()

    run(work)


def test_who_still_waits_at_the_end_is_told(held):
    async def work():
        engine = engine_of()
        waiting = asyncio.create_task(engine.check([CheckTask("k", held, upload())]))
        await until(held.begun.is_set)
        engine.give_up()
        with pytest.raises(StoppingError):
            await waiting
        with pytest.raises(StoppingError):
            await engine.check([CheckTask("k", held, upload())])
        held.gate.set()
        await engine.close()

    run(work)


def test_a_batch_that_is_not_full_does_not_wait_for_nothing(held):
    async def work():
        engine = engine_of(batch_wait_ms=1000)
        held.gate.set()
        begun = time.monotonic()
        await engine.check([CheckTask("k", held, upload())])
        seconds = time.monotonic() - begun
        await engine.close()
        return seconds

    assert run(work) < 0.9


def test_a_thread_that_runs_is_waited_for_and_a_queue_is_left_at_once(held):
    async def work():
        stage = ThreadPool(1, "test")
        running = asyncio.create_task(stage.run(lambda: held.judge([])))
        await until(held.begun.is_set)
        queued = asyncio.create_task(stage.run(lambda: held.judge([])))
        await asyncio.sleep(0.01)
        queued.cancel()
        running.cancel()
        await asyncio.wait([queued], timeout=1)
        assert queued.cancelled()
        assert not running.done()
        assert stage.under_way == 1
        held.gate.set()
        await asyncio.wait([running], timeout=5)
        assert running.cancelled()
        stage.close()

    run(work)


def test_bytes_are_counted_while_they_are_held():
    room = Capacity(places=1, bytes_=100)
    with room.open_budget() as one, room.open_budget() as other:
        one.add(60)
        other.add(40)
        with pytest.raises(BusyError, match="memory limit for request bodies"):
            other.add(1)
        assert room.bytes_in_use == 100
    assert room.bytes_in_use == 0


def test_the_time_to_ask_again_follows_the_pace():
    now = [0.0]
    pace = ThroughputEstimate(clock=lambda: now[0])
    for _ in range(200):
        now[0] += 0.5
        pace.record_answer(left=10)
    assert pace.estimate_seconds(10) == 5
    assert pace.estimate_seconds(10_000) == LONGEST_RETRY
    pace.record_answer(left=0)
    now[0] += 1000
    pace.record_answer(left=3)  # an idle night says nothing of the pace
    assert pace.estimate_seconds(10) == 5
