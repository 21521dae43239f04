import pytest

from serving.errors import ServingError
from serving.protobuf.text_format import read_text_proto
from serving.rest.metrics_path import metrics_path

DEFAULT = "/monitoring/prometheus/metrics"


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ('prometheus_config { enable: true, path: "/numbers" }', "/numbers"),
        ("prometheus_config { enable: true }", DEFAULT),
        ("prometheus_config: < enable: true path: '' >  # as good", DEFAULT),
        ("prometheus_config { enable: false }", None),
        ("prometheus_config {}", None),
        ("", None),
    ],
)
def test_paths(tmp_path, text, path):
    (tmp_path / "config").write_text(text)
    assert metrics_path(str(tmp_path / "config")) == path


def test_on_without_a_file():
    assert metrics_path("") == DEFAULT


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("prometheus { }", "Error parsing text-format tensorflow.serving.MonitoringConfig"),
        ("prometheus_config { enable: maybe }", "Error parsing text-format tensorflow.serving.MonitoringConfig"),
        ('prometheus_config { enable: true path: "numbers" }', "must begin with a slash"),
    ],
)
def test_wrong_files(tmp_path, text, part):
    (tmp_path / "config").write_text(text)
    with pytest.raises(ServingError, match=part):
        metrics_path(str(tmp_path / "config"))


def test_no_file(tmp_path):
    with pytest.raises(ServingError, match="cannot be read"):
        metrics_path(str(tmp_path / "nothing"))


def test_all_kinds_of_fields(tmp_path):
    fields = {"flag": bool, "count": int, "share": float, "name": str, "sizes": [int], "part": [{"of": {"x": int}}]}
    (tmp_path / "proto").write_text(
        'flag: true count: -5 share: 0.5 name: "a\\nb" sizes: [1, 2] sizes: 3 part { of { x: 1 } } part { }'
    )
    assert read_text_proto(tmp_path / "proto", "Sample", fields) == {
        "flag": True,
        "count": -5,
        "share": 0.5,
        "name": "a\nb",
        "sizes": [1, 2, 3],
        "part": [{"of": {"x": 1}}, {}],
    }
