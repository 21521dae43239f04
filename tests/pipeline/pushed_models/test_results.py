"""The results beside a pushed model: what is written, and when not."""

import json
import logging
from pathlib import Path

import pytest

from components.evaluation.measures import EXAMPLE_COUNT, LOG_PROBABILITY, LOG_Z, TOP1
from components.evaluation.results import Result
from components.export.layout import RESULTS_FILE
from pipeline.pushed_models.results import shown_results, write_results

RESULTS = (
    Result(TOP1, "validation", 1.67),
    Result(TOP1, "test", 2.78, 1.19, 6.34),
    Result(EXAMPLE_COUNT, "test", 180.0),
    Result(LOG_Z, "", 3.0),
)


def test_measures_with_their_intervals_test_first():
    assert shown_results(RESULTS) == [
        {"name": "top-1 error", "split": "test", "value": 2.78, "unit": "%", "low": 1.19, "high": 6.34},
        {"name": "top-1 error", "split": "validation", "value": 1.67, "unit": "%"},
    ]
    assert shown_results([Result(LOG_PROBABILITY, "test", -85.5)])[0]["unit"] == "nats"


def test_written_once(tmp_path: Path):
    write_results(tmp_path, RESULTS, run_id="abc", experiment_id="1", warnings=["few chains"])
    written = json.loads((tmp_path / RESULTS_FILE).read_text())
    assert written["mlflow"] == {"experiment_id": "1", "run_id": "abc"}
    assert written["warnings"] == ["few chains"]
    write_results(tmp_path, (), run_id="later")  # the same model, from the cache
    assert json.loads((tmp_path / RESULTS_FILE).read_text()) == written
    assert [file.name for file in (tmp_path / "assets.extra").iterdir()] == ["results.json"]


def test_without_a_record_there_is_no_run(tmp_path: Path):
    write_results(tmp_path, RESULTS)
    assert "mlflow" not in json.loads((tmp_path / RESULTS_FILE).read_text())


def test_a_folder_that_cannot_be_written_is_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    (tmp_path / "assets.extra").write_text("a file")
    with caplog.at_level(logging.WARNING):
        write_results(tmp_path, RESULTS)
    assert "cannot be written" in caplog.text
