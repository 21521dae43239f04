import asyncio
import math

import numpy as np
import pytest

from serving.batching.batch import Task
from serving.batching.tuned_queue import TunedQueue


@pytest.fixture
def loop():
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


@pytest.fixture
def task(loop):
    def make(rows=1, width=3, since=0.0):
        return Task({"x": np.zeros((rows, width))}, rows, loop.create_future(), since)

    return make


class Fixed:
    """Fake of a `ParallelTuner` with a fixed number of batches."""

    def __init__(self, number):
        self._number = number
        self.interrupted = 0

    def parallel(self, _):
        return self._number

    def finished(self, *_):
        pass

    def interrupt(self):
        self.interrupted += 1


def queue(parallel=2, latency=0.01):
    return TunedQueue(latency, Fixed(parallel))


def finish(queue, tasks, seconds, now):
    queue.finished(len(tasks), sum(task.rows for task in tasks), seconds, now)


def test_without_load_a_request_runs_at_once(task):
    waiting, now = queue(), 0.0
    for _ in range(20):
        waiting.put(task(since=now))
        assert waiting.due(now) == now
        batch = waiting.take(now)
        assert len(batch) == 1
        finish(waiting, batch, 0.1, now + 0.1)
        now += 0.101


def test_requests_gather_while_all_threads_are_busy(task):
    waiting = queue()
    for _ in range(2):
        waiting.put(task())
        assert len(waiting.take(0.0)) == 1
    for _ in range(6):
        waiting.put(task())
    assert waiting.due(0.0) is None
    assert waiting.take(0.0) == []


def test_two_threads_share_the_requests_evenly(task):
    """Sixteen clients that send again 3 ms after their answer: 8 and 8, not 15 and 1."""
    waiting, now, sizes = queue(), 0.0, []
    for _ in range(16):
        waiting.put(task())
    running = [(0.1, waiting.take(now)), (0.15, waiting.take(now))]
    for _ in range(40):
        running.sort(key=lambda pair: pair[0])
        now, batch = running.pop(0)
        finish(waiting, batch, 0.1, now)
        waiting.take(now)
        for number in range(len(batch)):
            at = now + 0.003 + 0.0001 * number
            waiting.put(task(since=at))
            if taken := waiting.take(at):
                sizes.append(len(taken))
                running.append((at + 0.1, taken))
        if len(running) < 2:
            at = waiting.due(now + 0.02)
            if at is not None and (taken := waiting.take(at)):
                sizes.append(len(taken))
                running.append((at + 0.1, taken))
    assert set(sizes[4:]) == {8}


def test_no_request_waits_longer_than_the_latency_for_clients_that_do_not_come_back(task):
    waiting = queue(latency=0.01)
    for _ in range(8):
        waiting.put(task())
    first, second = waiting.take(0.0), waiting.take(0.0)
    assert (len(first), len(second)) == (4, 4)
    finish(waiting, first, 1.0, 1.0)
    finish(waiting, second, 1.0, 1.0)
    waiting.put(task(since=1.001))
    assert waiting.due(1.001) == pytest.approx(1.01)
    assert waiting.take(1.009) == []
    assert len(waiting.take(1.0101)) == 1


def test_after_a_short_batch_the_next_waits_for_a_quarter_of_its_time(task):
    waiting = queue(latency=0.01)
    for _ in range(8):
        waiting.put(task())
    first = waiting.take(0.0)
    waiting.take(0.0)
    finish(waiting, first, 0.004, 1.0)
    waiting.put(task(since=1.0))
    assert waiting.due(1.0) == pytest.approx(1.001)


def test_the_batch_grows_as_long_as_its_throughput_does(task):
    def run(rate_of, rounds=60):
        waiting, now, limits = queue(parallel=1), 0.0, []
        for _ in range(rounds):
            while waiting.waiting < 2048:
                waiting.put(task())
            batch = waiting.take(now)
            seconds = len(batch) / rate_of(len(batch))
            now += seconds + 1
            finish(waiting, batch, seconds, now)
            limits.append(waiting.limit)
        return limits

    assert run(lambda rows: 100 * rows / (rows + 20))[-1] >= 256  # a row costs 10 ms, a batch 200
    assert set(run(lambda rows: 100.0)) <= {8, 16}
    assert max(run(lambda rows: 100 * rows if rows <= 32 else 1000)[20:]) <= 64


def test_a_request_that_is_larger_than_any_batch_runs_alone(task):
    waiting = queue(parallel=1)
    waiting.put(task(rows=100))
    waiting.put(task())
    assert [each.rows for each in waiting.take(0.0)] == [100]


def test_shapes_are_not_mixed_and_order_is_kept(task):
    waiting = queue(parallel=1)
    tasks = [task(width=width) for width in (3, 4, 3, 4, 5)]
    for each in tasks:
        waiting.put(each)
    first = waiting.take(0.0)
    assert first == [tasks[0], tasks[2]]
    finish(waiting, first, 0.0, 0.0)
    second = waiting.take(0.0)
    assert second == [tasks[1], tasks[3]]
    finish(waiting, second, 0.0, 0.0)
    assert waiting.take(0.0) == [tasks[4]]
    assert not waiting.waiting


def test_cancelled_requests_are_left_out(task):
    waiting = queue(parallel=1)
    gone, here = task(), task()
    waiting.put(gone)
    waiting.put(here)
    gone.answer.cancel()
    assert waiting.take(0.0) == [here]


def test_measurements_without_load_do_not_count(task):
    tuner = Fixed(2)
    waiting = TunedQueue(0.01, tuner)
    for second in range(3):
        waiting.put(task(since=second))
        finish(waiting, waiting.take(second), 0.1, second + 0.1)
    assert tuner.interrupted == 2  # each time but the first


def test_the_expected_duration_is_that_of_batches_at_least_as_large():
    waiting = queue()
    assert waiting.expected_seconds(1) == math.inf
    waiting.learn(4, 0.4)
    assert waiting.expected_seconds(1) == 0.4
    assert waiting.expected_seconds(5) == math.inf
    waiting.learn(1, 0.1)
    assert waiting.expected_seconds(1) == 0.1
