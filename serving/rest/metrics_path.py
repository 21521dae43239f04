"""The path of the metrics, from TensorFlow Serving's `MonitoringConfig`."""

from pathlib import Path

from serving.errors import invalid
from serving.protobuf.text_format import read_text_proto

DEFAULT_PATH = "/monitoring/prometheus/metrics"
_FIELDS = {"prometheus_config": {"enable": bool, "path": str}}


def metrics_path(monitoring_config_file: str) -> str | None:
    """Returns the path of the metrics, or None if they are disabled.

    >>> metrics_path("")
    '/monitoring/prometheus/metrics'

    Args:
        monitoring_config_file: Text proto such as `prometheus_config { enable: true, path: "/metrics" }`. If empty, the
            metrics are enabled, unlike TensorFlow Serving's.

    Raises:
        ServingError: INVALID_ARGUMENT if the file cannot be read or its path does not begin with a slash.
    """
    if not monitoring_config_file:
        return DEFAULT_PATH
    config = read_text_proto(Path(monitoring_config_file), "MonitoringConfig", _FIELDS).get("prometheus_config", {})
    if not config.get("enable"):
        return None
    path = config.get("path") or DEFAULT_PATH
    if not path.startswith("/"):
        raise invalid(f'{monitoring_config_file}: path: "{path}" must begin with a slash')
    return path
