"""The results beside a pushed model: what is written, and when not."""

import json
import logging
from pathlib import Path

import pytest

from components.export.layout import RESULTS_FILE
from pipeline.pushed_models.results import figures, write_results

METRICS = {
    "validation_top1_error": 1.67,
    "test_top1_error": 2.78,
    "test_top1_error_low": 1.19,
    "test_top1_error_high": 6.34,
    "test_example_count": 180.0,
    "log_z": 3.0,
}


def test_measures_with_their_intervals_test_first():
    assert figures(METRICS) == [
        {"name": "top-1 error", "split": "test", "value": 2.78, "unit": "%", "low": 1.19, "high": 6.34},
        {"name": "top-1 error", "split": "validation", "value": 1.67, "unit": "%"},
    ]
    assert figures({"test_log_probability": -85.5})[0]["unit"] == "nats"


def test_written_once(tmp_path: Path):
    write_results(tmp_path, METRICS, run_id="abc", experiment_id="1", warnings=["few chains"])
    said = json.loads((tmp_path / RESULTS_FILE).read_text())
    assert said["mlflow"] == {"experiment_id": "1", "run_id": "abc"}
    assert said["warnings"] == ["few chains"]
    write_results(tmp_path, {}, run_id="later")  # the same model, from the cache
    assert json.loads((tmp_path / RESULTS_FILE).read_text()) == said
    assert [file.name for file in (tmp_path / "assets.extra").iterdir()] == ["results.json"]


def test_without_a_record_there_is_no_run(tmp_path: Path):
    write_results(tmp_path, METRICS)
    assert "mlflow" not in json.loads((tmp_path / RESULTS_FILE).read_text())


def test_a_folder_that_cannot_be_written_is_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    (tmp_path / "assets.extra").write_text("a file")
    with caplog.at_level(logging.WARNING):
        write_results(tmp_path, METRICS)
    assert "cannot be written" in caplog.text
