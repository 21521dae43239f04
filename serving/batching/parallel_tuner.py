"""Tuner of the number of batches of one call that run at the same time."""

from dataclasses import dataclass

FIRST_PARALLEL = 2
# A measurement takes at least so many batches for each that runs at the same time, and so many seconds.
_BATCHES, _SECONDS = 3, 0.25
_MIN_BATCHES = 6
_SMOOTHING = 0.5
_REMEASURE_EVERY = 16  # measurements, after which another number of batches is measured again


@dataclass
class _Window:
    level: int
    parallel: int
    start: float
    batches: int = 0
    rows: int = 0


class ParallelTuner:
    """Measures the throughput with one, two, four ... batches at a time, and chooses the best number.

    Two batches at a time hide work that one of them does on a single core, such as decoding; one batch of twice the
    size does less work for the same rows. The better choice differs between models, between hosts, and with the number
    of pending requests. It is therefore measured under load, for each power of two of that number.

    Args:
        threads: Largest number of batches at the same time.

    Example:
        >>> tuner = ParallelTuner(threads=4)
        >>> tuner.parallel(requests=16), tuner.parallel(requests=1)
        (2, 1)
    """

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._chosen: dict[int, int] = {}  # number of batches by load level
        self._rates: dict[int, dict[int, float]] = {}  # rows per second by load level and number of batches
        self._measured: dict[int, int] = {}
        self._window: _Window | None = None

    def parallel(self, requests: float) -> int:
        """Returns the number of batches that may run at the same time.

        Args:
            requests: Number of pending requests, waiting or running.
        """
        level = _level(requests)
        return self._chosen.get(level) or min(FIRST_PARALLEL, self._threads, level)

    def interrupt(self) -> None:
        """Discards the current measurement after an idle time, which would measure the load instead."""
        self._window = None

    def finished(self, requests: float, rows: int, now: float) -> None:
        """Records a finished batch.

        Args:
            requests: Number of pending requests, waiting or running.
            rows: Number of rows in the batch.
            now: Current time in seconds.
        """
        level, window = _level(requests), self._window
        if window is None or window.level != level:
            self._window = _Window(level, self.parallel(requests), now)
            return
        window.batches += 1
        settling = 2 * window.parallel  # these batches were started or formed under the previous number
        if window.batches <= settling:
            window.start = now
            return
        window.rows += rows
        enough = max(_MIN_BATCHES, _BATCHES * window.parallel)
        if window.batches - settling >= enough and now - window.start >= _SECONDS:
            self._learn(level, window.parallel, window.rows / (now - window.start))
            self._window = None

    def _learn(self, level: int, parallel: int, rate: float) -> None:
        rates = self._rates.setdefault(level, {})
        rates[parallel] = rates.get(parallel, rate) + _SMOOTHING * (rate - rates.get(parallel, rate))
        count = self._measured[level] = self._measured.get(level, 0) + 1
        numbers = _numbers(min(self._threads, level))
        unknown = [number for number in numbers if number not in rates]
        if unknown:
            self._chosen[level] = unknown[0]
        elif count % _REMEASURE_EVERY == 0:
            self._chosen[level] = numbers[count // _REMEASURE_EVERY % len(numbers)]
        else:
            # Throughput alone decides: clients that send the next request after each answer wait for as long as their
            # number divided by the throughput.
            self._chosen[level] = max(numbers, key=lambda number: rates[number])


def _numbers(most: int) -> list[int]:
    """Returns the powers of two below the largest possible number, and that number."""
    return [*(1 << k for k in range((most - 1).bit_length())), most]


def _level(requests: float) -> int:
    return 1 << max(0, round(requests) - 1).bit_length()
