"""How many batches of one call run best at the same time."""

from dataclasses import dataclass

FIRST = 2
# Batches, for each that runs at the same time, and seconds that a measurement takes at least.
_BATCHES, _SECONDS = 3, 0.25
_FEWEST_BATCHES = 6
_SMOOTHING = 0.5
# After so many measurements one of the others is measured again.
_AGAIN = 16


@dataclass
class _Window:
    level: int
    parallel: int
    start: float
    batches: int = 0
    rows: int = 0


class ParallelTuner:
    """Measures the throughput with one, two, four ... batches at a time, and keeps to the best.

    Two at a time hide what one of them does on a single core, such as decoding; but one of twice the size does less
    work for the same rows. Which is better differs between models, between machines, and with the number of requests
    that are there; so it is measured for each power of two of these, while the call is under load.

    Args:
        threads: Most batches at the same time.
    """

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._chosen: dict[int, int] = {}  # by level
        self._rates: dict[int, dict[int, float]] = {}  # rows per second by level and number of batches
        self._measured: dict[int, int] = {}
        self._window: _Window | None = None

    def parallel(self, requests: float) -> int:
        """Batches that may run at the same time when so many requests are there."""
        level = _level(requests)
        return self._chosen.get(level) or min(FIRST, self._threads, level)

    def interrupt(self) -> None:
        """There was nothing to do: what is being measured would be the load."""
        self._window = None

    def finished(self, requests: float, rows: int, now: float) -> None:
        """A batch is done.

        Args:
            requests: Requests that are there.
            rows: Rows of the batch.
            now: The time, in seconds.
        """
        level, window = _level(requests), self._window
        if window is None or window.level != level:
            self._window = _Window(level, self.parallel(requests), now)
            return
        window.batches += 1
        settling = 2 * window.parallel  # these began, or were formed, under the number before
        if window.batches <= settling:
            window.start = now
            return
        window.rows += rows
        enough = max(_FEWEST_BATCHES, _BATCHES * window.parallel)
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
        elif count % _AGAIN == 0:
            self._chosen[level] = numbers[count // _AGAIN % len(numbers)]
        else:
            # Not one that is nearly as fast and waits less: clients that ask again when they are answered wait for as
            # long as their number divided by the throughput.
            self._chosen[level] = max(numbers, key=lambda number: rates[number])


def _numbers(most: int) -> list[int]:
    """Powers of two, and the largest that is possible."""
    return [*(1 << k for k in range((most - 1).bit_length())), most]


def _level(requests: float) -> int:
    return 1 << max(0, round(requests) - 1).bit_length()
