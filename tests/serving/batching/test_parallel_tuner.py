import itertools
import random

import pytest

from serving.batching.parallel_tuner import ParallelTuner


def settled(rate, requests=16, threads=16, batches=3000, noise=0.0, tuner=None):
    """The most frequent number of parallel batches in the second half of a run, and its share."""
    tuner = tuner or ParallelTuner(threads)
    chance, now, chosen = random.Random(0), 0.0, []
    for _ in range(batches):
        number = tuner.parallel(requests)
        rows = max(1, requests // number)
        now += rows / rate(number) * (1 + chance.uniform(-noise, noise))
        tuner.finished(requests, rows, now)
        chosen.append(number)
    last = chosen[batches // 2 :]
    return max(set(last), key=last.count), last.count(max(set(last), key=last.count)) / len(last)


def test_one_at_a_time_if_larger_batches_have_a_higher_throughput():
    number, share = settled(lambda number: {1: 72.0}.get(number, 66.0))
    assert number == 1
    assert share > 0.7


def test_two_at_a_time_if_one_hides_the_waits_of_the_other():
    assert settled(lambda number: {1: 60.0, 2: 80.0}.get(number, 70.0))[0] == 2


def test_all_threads_if_each_batch_keeps_one_core_busy():
    assert settled(lambda number: 10.0 * number)[0] == 16


def test_never_more_than_there_are_requests_or_threads():
    assert settled(lambda number: 10.0 * number, requests=4)[0] == 4
    assert settled(lambda number: 10.0 * number, threads=6)[0] == 6
    assert settled(lambda number: 10.0 * number, requests=1)[0] <= 2


def test_equal_throughputs_leave_the_largest_number():
    assert settled(lambda number: 100.0, noise=0.1)[0] == 16


def test_noise_of_five_percent_does_not_hide_ten():
    assert settled(lambda number: {1: 110.0}.get(number, 100.0), noise=0.05)[0] == 1


def test_a_change_is_noticed():
    tuner = ParallelTuner(4)
    assert settled(lambda number: {1: 110.0}.get(number, 80.0), tuner=tuner)[0] == 1
    assert settled(lambda number: {1: 60.0}.get(number, 100.0), tuner=tuner)[0] > 1


def test_levels_of_load_are_tuned_separately():
    tuner = ParallelTuner(2)
    assert settled(lambda number: {1: 72.0, 2: 66.0}[number], 16, tuner=tuner)[0] == 1
    assert settled(lambda number: {1: 73.0, 2: 75.0}[number], 32, tuner=tuner)[0] == 2
    assert tuner.parallel(16) == 1


@pytest.mark.parametrize("requests", [0, 0.4, 1, 1000])
def test_any_number_of_requests_is_accepted(requests):
    tuner = ParallelTuner(8)
    for now in itertools.islice(itertools.count(0, 0.1), 200):
        tuner.finished(requests, 1, now)
    assert 1 <= tuner.parallel(requests) <= 8


def test_idle_times_are_not_measured():
    tuner = ParallelTuner(2)
    for now in range(1000):
        tuner.interrupt()
        tuner.finished(16, 16, float(now))
    assert tuner.parallel(16) == 2
