"""Counters, gauges and histograms with TensorFlow Serving's names, and the text that Prometheus scrapes.

prometheus_client is not used: it appends "_total" to the names of counters, so that dashboards made for TensorFlow
Serving would not match, and each of its calls takes two to three times as long.
"""

import re
import sys
import threading
import time
from bisect import bisect_right
from dataclasses import dataclass, field
from pathlib import Path

# Names are TensorFlow's paths; the text replaces characters that Prometheus does not allow with ":".
REQUEST_COUNT = "/tensorflow/serving/request_count"
REQUEST_LATENCY = "/tensorflow/serving/request_latency"
RUNTIME_LATENCY = "/tensorflow/serving/runtime_latency"
EXAMPLE_COUNTS = "/tensorflow/serving/request_example_counts"
EXAMPLE_COUNT = "/tensorflow/serving/request_example_count_total"
LOG_COUNT = "/tensorflow/serving/request_log_count"
WARMUP_LATENCY = "/tensorflow/serving/model_warmup_latency"
WARMUP_RECORDS = "/tensorflow/serving/model_warmup_records_read"
QUEUING_LATENCY = "/tensorflow/serving/batching_session/queuing_latency"
WRAPPED_RUNS = "/tensorflow/serving/batching_session/wrapped_run_count"
PADDING_SIZE = "/tensorflow/serving/batching_session/padding_size"
INPUT_BATCH_SIZE = "/tensorflow/serving/batching_session/input_batch_size"
PROCESSED_BATCH_SIZE = "/tensorflow/serving/batching_session/processed_batch_size"
LOAD_ATTEMPTS = "/tensorflow/cc/saved_model/load_attempt_count"
LOAD_LATENCY = "/tensorflow/cc/saved_model/load_latency"
# Metrics that TensorFlow Serving lacks.
IN_PROGRESS = "/vision_tfx/serving/requests_in_progress"
QUEUED_REQUESTS = "/vision_tfx/serving/batching_queued_requests"

# TensorFlow Serving's labels come first, in its order, so that a line begins like its line; our own follow.
_FIRST_LABELS = ("model", "model_path", "model_name", "API", "entrypoint", "runtime", "status")
_SIZES = tuple(2.0**k for k in range(15))
_MICROSECONDS = tuple(10 * 1.8**k for k in range(33))
_BUCKETS = {
    QUEUING_LATENCY: tuple(100 * 1.2**k for k in range(52)),
    EXAMPLE_COUNTS: _SIZES,
    PADDING_SIZE: _SIZES,
    INPUT_BATCH_SIZE: _SIZES,
    PROCESSED_BATCH_SIZE: _SIZES,
}
# Clients choose some label values, such as the name of a model that does not exist. Further series of a metric are
# summed under "other", so that no client can fill the memory: 5,000 histograms are 4 MB.
_MAX_SERIES, _OTHER = 5000, "other"
_COUNTER, _GAUGE, _HISTOGRAM = "counter", "gauge", "histogram"
_START = time.time()


@dataclass
class _Series:
    labels: tuple[tuple[str, str], ...]
    value: float = 0  # for a histogram: the sum of the observed values
    buckets: list[int] = field(default_factory=list)


@dataclass
class _Family:
    kind: str
    limits: tuple[float, ...]
    series: dict[tuple, _Series] = field(default_factory=dict)


class Metrics:
    """Metrics of a server. Thread-safe; one call of `count`, `gauge` or `observe` takes 1 to 1.4 us.

    These methods accept the metric's name (TensorFlow's path, such as `REQUEST_COUNT`) and its labels as keywords. The
    first use of a name determines whether it is a counter, a gauge or a histogram.

    Example:
        >>> metrics = Metrics()
        >>> metrics.count(REQUEST_COUNT, model_name="digits", status="OK")
        >>> metrics.count(REQUEST_COUNT, model_name="digits", status="OK")
        >>> print(metrics.text().splitlines()[1])
        :tensorflow:serving:request_count{model_name="digits",status="OK"} 2
    """

    def __init__(self) -> None:
        self._families: dict[str, _Family] = {}
        self._found: dict[tuple, _Series] = {}  # by name and labels in the order of the call: needs no sorting
        self._lock = threading.Lock()

    def count(self, name: str, amount: float = 1, /, **labels: str) -> None:
        """Adds an amount, at least 0, to a counter."""
        key = (_COUNTER, name, *labels, *labels.values())
        with self._lock:
            series = self._found.get(key) or self._find(key, _COUNTER, name, labels)
            series.value += amount

    def gauge(self, name: str, value: float, /, **labels: str) -> None:
        """Sets a gauge."""
        key = (_GAUGE, name, *labels, *labels.values())
        with self._lock:
            series = self._found.get(key) or self._find(key, _GAUGE, name, labels)
            series.value = value

    def observe(self, name: str, value: float, /, **labels: str) -> None:
        """Adds a value to a histogram.

        Args:
            name: Name of the metric. Its buckets end at 10 * 1.8^k microseconds, k < 33; the buckets of sizes at powers
                of 2, and those of the queuing latency at 100 * 1.2^k microseconds, k < 52.
            value: Microseconds, or a size.
            **labels: Labels of the series.
        """
        key = (_HISTOGRAM, name, *labels, *labels.values())
        with self._lock:
            series = self._found.get(key) or self._find(key, _HISTOGRAM, name, labels)
            series.value += value
            series.buckets[bisect_right(self._families[name].limits, value)] += 1  # half-open: [lower, upper)

    def value(self, name: str) -> float:
        """Returns the value of a metric's first series, for a histogram its sum; 0 for an unknown name."""
        with self._lock:
            family = self._families.get(name)
            return next(iter(family.series.values())).value if family else 0

    def text(self) -> str:
        """Returns all metrics in Prometheus' text format, as TensorFlow Serving writes it."""
        lines = []
        with self._lock:
            for name in sorted(self._families):
                lines += _lines(name, self._families[name])
        return "\n".join(lines + _process_lines()) + "\n"

    def _find(self, key: tuple, kind: str, name: str, labels: dict[str, str]) -> _Series:
        family = self._families.get(name)
        if family is None:
            limits = _BUCKETS.get(name, _MICROSECONDS) if kind is _HISTOGRAM else ()
            family = self._families[name] = _Family(kind, limits)
        if family.kind is not kind:
            raise TypeError(f"metric {name} is a {family.kind} and was used as a {kind}")
        full = len(family.series) >= _MAX_SERIES
        names = sorted(labels, key=lambda label: ((*_FIRST_LABELS, label).index(label), label))
        series_key = tuple((label, str(labels[label])) for label in names)
        if full and series_key not in family.series:
            series_key = tuple((label, _OTHER) for label in names)
        series = family.series.get(series_key)
        if series is None:
            series = family.series[series_key] = _Series(series_key, 0, [0] * (len(family.limits) + 1))
        if not full:
            self._found[key] = series
        return series


def _lines(path: str, family: _Family) -> list[str]:
    name = re.sub("[^a-zA-Z0-9_]", ":", path)
    name = f"_{name}" if name[0].isdigit() else name
    lines = [f"# TYPE {name} {family.kind}"]
    for series in family.series.values():
        labels = ",".join(f'{_label_name(label)}="{_label_value(value)}"' for label, value in series.labels)
        if family.kind is not _HISTOGRAM:
            lines.append(f"{name}{{{labels}}} {_number(series.value)}")
            continue
        before = f"{name}_bucket{{{labels}{',' if labels else ''}le="
        total = 0
        for limit, count in zip([*map("{:g}".format, family.limits), "+Inf"], series.buckets, strict=True):
            total += count
            lines.append(f'{before}"{limit}"}} {total}')
        lines.append(f"{name}_sum{{{labels}}} {_number(series.value)}")
        lines.append(f"{name}_count{{{labels}}} {total}")
    return lines


def _label_name(name: str) -> str:
    name = re.sub("[^a-zA-Z0-9]", "_", name)
    return f"_{name}" if name[0].isdigit() else name


def _label_value(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    return f"{value:.15g}"


def _process_lines() -> list[str]:
    """Returns the process metrics of Prometheus' own clients; memory and open files on Linux only."""
    values = {
        "process_cpu_seconds_total": (_COUNTER, time.process_time()),
        "process_start_time_seconds": (_GAUGE, _START),
    }
    if sys.platform == "linux":
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        values["process_resident_memory_bytes"] = (_GAUGE, pages * 4096)
        values["process_open_fds"] = (_GAUGE, len(list(Path("/proc/self/fd").iterdir())))
    return [
        line for name, (kind, value) in values.items() for line in (f"# TYPE {name} {kind}", f"{name} {_number(value)}")
    ]
