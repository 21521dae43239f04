import threading

import pytest

from serving.metrics import EXAMPLE_COUNTS, REQUEST_COUNT, REQUEST_LATENCY, Metrics


def own(metrics):
    """The text without the metrics of the process."""
    return metrics.text().split("# TYPE process_")[0]


def test_a_counter_as_tensorflow_serving_writes_it():
    metrics = Metrics()
    metrics.count("/test/path/total", 2, name="abc")
    assert own(metrics) == '# TYPE :test:path:total counter\n:test:path:total{name="abc"} 2\n'


def test_a_gauge_keeps_the_last_value():
    metrics = Metrics()
    metrics.gauge("/test/path/gauge", 7, x="abc", y="def")
    metrics.gauge("/test/path/gauge", 5, x="abc", y="def")
    assert own(metrics) == '# TYPE :test:path:gauge gauge\n:test:path:gauge{x="abc",y="def"} 5\n'


def test_a_histogram_has_half_open_buckets():
    metrics = Metrics()
    for value in (2, 20, 200):
        metrics.observe(EXAMPLE_COUNTS, value, model="good")
    lines = own(metrics).splitlines()
    name = ":tensorflow:serving:request_example_counts"
    assert lines[0] == f"# TYPE {name} histogram"
    counts = [int(line.split()[-1]) for line in lines[1:17]]
    # as in the real server's test: 2 is in the bucket that ends at 4, 20 in that of 32, 200 in that of 256
    assert counts == [0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3]
    assert lines[3] == f'{name}_bucket{{model="good",le="4"}} 1'
    assert lines[16] == f'{name}_bucket{{model="good",le="+Inf"}} 3'
    assert lines[17:] == [f'{name}_sum{{model="good"}} 222', f'{name}_count{{model="good"}} 3']


def test_latencies_have_33_buckets():
    metrics = Metrics()
    metrics.observe(REQUEST_LATENCY, 18.0, API="predict", entrypoint="REST", model_name="m")
    buckets = [line for line in own(metrics).splitlines() if "_bucket" in line]
    assert len(buckets) == 34
    assert 'le="10"} 0' in buckets[0]
    assert 'le="18"} 0' in buckets[1]
    assert 'le="32.4"} 1' in buckets[2]


def test_names_and_values_are_escaped():
    metrics = Metrics()
    metrics.count("0/path-total_count", **{"my-name+1": 'ab"c\\d\n', "0x": "é"})
    line = own(metrics).splitlines()[1]
    assert line == r'_0:path:total_count{_0x="é",my_name_1="ab\"c\\d\n"} 1'


def test_labels_of_tensorflow_serving_come_first_however_they_were_given():
    metrics = Metrics()
    metrics.count(REQUEST_COUNT, status="OK", version="3", model_name="m", signature="s")
    metrics.count(REQUEST_COUNT, model_name="m", signature="s", status="OK", version="3")
    line = own(metrics).splitlines()[1]
    assert line == ':tensorflow:serving:request_count{model_name="m",status="OK",signature="s",version="3"} 2'


def test_the_first_value_is_what_a_reload_reports():
    metrics = Metrics()
    assert metrics.value(REQUEST_COUNT) == 0
    metrics.count(REQUEST_COUNT, 3, model_name="a")
    metrics.count(REQUEST_COUNT, 4, model_name="b")
    assert metrics.value(REQUEST_COUNT) == 3


def test_names_that_clients_invent_do_not_fill_the_memory():
    metrics = Metrics()
    for number in range(6000):
        metrics.count(REQUEST_COUNT, model_name=f"m{number}")
    lines = own(metrics).splitlines()
    assert len(lines) == 5002
    assert lines[-1] == ':tensorflow:serving:request_count{model_name="other"} 1000'
    metrics.count(REQUEST_COUNT, model_name="m7")
    assert ':tensorflow:serving:request_count{model_name="m7"} 2' in metrics.text()


def test_a_name_has_one_kind():
    metrics = Metrics()
    metrics.count(REQUEST_COUNT)
    with pytest.raises(TypeError, match="counter"):
        metrics.gauge(REQUEST_COUNT, 1)


def test_threads_lose_nothing():
    metrics = Metrics()

    def work():
        for _ in range(5000):
            metrics.count(REQUEST_COUNT, model_name="m")

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert metrics.value(REQUEST_COUNT) == 20000


def test_the_process_is_described():
    text = Metrics().text()
    assert "process_resident_memory_bytes" in text
    assert text.endswith("\n")
