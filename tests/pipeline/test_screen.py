"""The screen: the output of libraries goes to the log, our own to the console, on a terminal and elsewhere."""

import io
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from components.evaluation.measures import BY_NAME, GAIN, LOG_PROBABILITY, PARTITION, SQUARED_ERROR, TOP1
from components.evaluation.results import Result
from pipeline.reports import RunResult, StationReport
from pipeline.screen import Screen, summary_lines

RESULT = RunResult(
    blessed=True,
    pushed_version=1700000000,
    pushed_uri="/home/serving/digits-dbn/1700000000",
    served_version=1700000000,
    up_to_date=False,
    mlflow_run_id="abc",
    results=(Result(TOP1, "validation", 4.0), Result(TOP1, "test", 3.5, 2.1, 5.4)),
    stations=[StationReport("Trainer", "ran", 0, 12_340), StationReport("Pusher", "cached", 0, 20)],
    log_file="/home/logs/1/run.log",
)


NOISE = """
import os, subprocess, sys
from pathlib import Path
from pipeline.screen import Screen
screen = Screen()
with screen.capture(Path(sys.argv[1])):
    screen.start(["Trainer"])
    print("python noise")
    print("python error", file=sys.stderr)
    os.write(2, b"C++ noise\\n")
    subprocess.run(["echo", "child noise"])
    screen.update("Trainer", "running")
    screen.progress("Trainer", "epoch 1 of 2")
    screen.update("Trainer", "ran", 1.5, "source changed")
print("after")
"""


def test_only_the_screen_reaches_stdout(tmp_path: Path):
    log = tmp_path / "logs" / "run.log"
    done = subprocess.run([sys.executable, "-c", NOISE, str(log)], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["Trainer                  ran           1.5 s  source changed", "after"]
    assert done.stderr == ""
    written = log.read_text()
    for noise in ("python noise", "python error", "C++ noise", "child noise"):
        assert noise in written


def test_descriptors_come_back_after_an_error(tmp_path: Path, capfd: pytest.CaptureFixture):
    with pytest.raises(KeyboardInterrupt), Screen().capture(tmp_path / "run.log"):
        raise KeyboardInterrupt
    os.write(1, b"heard\n")
    assert capfd.readouterr().out == "heard\n"
    assert "KeyboardInterrupt" in (tmp_path / "run.log").read_text()


def test_log_file_is_appended_to(tmp_path: Path):
    for word in (b"first\n", b"second\n"):
        with Screen().capture(tmp_path / "run.log"):
            os.write(1, word)
    assert (tmp_path / "run.log").read_bytes() == b"first\nsecond\n"


def test_live_table_on_a_terminal():
    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    screen = Screen(console)
    screen.start(["Ingest", "Trainer"])
    screen.update("Ingest", "cached", 0.1)
    screen.update("Trainer", "running")
    screen.progress("Trainer", "epoch 3 of 30")
    screen.stop()
    seen = console.file.getvalue()
    assert "Ingest" in seen
    assert "epoch 3 of 30" in seen


def test_one_plain_line_per_finished_station():
    console = Console(file=io.StringIO(), width=40)
    screen = Screen(console)
    screen.start(["A", "B"])
    screen.update("A", "running")
    screen.update("A", "failed", 2.0, "a reason that is longer than forty columns of a narrow screen")
    lines = console.file.getvalue().splitlines()
    assert len(lines) == 1
    assert lines[0].split()[:3] == ["A", "failed", "2.0"]
    assert lines[0].endswith("narrow screen")


def test_summary_of_a_pushed_run():
    console = Console(file=io.StringIO(), width=60)
    Screen(console).summary(RESULT)
    seen = console.file.getvalue()
    assert "Trainer" in seen and "12.3" in seen
    assert "top-1 error 3.50 % (95 % confidence 2.10 to 5.40)" in seen
    assert "version 1700000000" in seen
    assert "/home/serving/digits-dbn/1700000000" in seen


def test_table_of_a_failed_run():
    console = Console(file=io.StringIO(), width=80)
    screen = Screen(console)
    screen.start(["Trainer", "Pusher"])
    screen.stations(
        [StationReport("Trainer", "failed", 0, 3_000, reason="no memory"), StationReport("Pusher", "skipped")]
    )
    lines = [line.split() for line in console.file.getvalue().splitlines()]
    assert ["Trainer", "failed", "3.0", "no", "memory"] in lines


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"up_to_date": True}, "Up to date: version 1700000000"),
        ({"served_version": 1800000000}, "Servers answer with version 1800000000"),
        ({"blessed": False, "pushed_uri": None, "pushed_version": None}, "version 1700000000 stays served"),
        ({"pushed_uri": None, "pushed_version": None}, "Blessed, but not pushed"),
    ],
)
def test_summary_reports_the_outcome(changes: dict, words: str):
    assert any(words in line for line in summary_lines(replace(RESULT, **changes)))


def test_summary_of_an_autoencoder():
    results = [
        Result(SQUARED_ERROR, "test", 3.0, 2.9, 3.1),
        Result(SQUARED_ERROR.constant, "test", 52.7),
        Result(GAIN, "test", 0.94),
        Result(BY_NAME["squared_error_standard_error"], "test", 0.05),
    ]
    lines = summary_lines(replace(RESULT, results=results))
    assert lines[0] == "test       squared error 3.00 per image (95 % confidence 2.90 to 3.10)   mean image 52.70"
    assert any(line.endswith("squared error of each image") for line in lines)


def test_summary_of_a_density_warns():
    estimate = {"log_z": 451.25, "log_z_reverse": 451.75, "log_z_gap": 0.5, "log_z_lower": 451.0, "log_z_upper": 452.5}
    results = [
        *(Result(PARTITION[name], "", value) for name, value in estimate.items()),
        Result(LOG_PROBABILITY, "test", -85.2),
        Result(LOG_PROBABILITY.constant, "test", -206.3),
    ]
    lines = summary_lines(replace(RESULT, results=results, warnings=("2.0 of 100 chains carry the weight",)))
    assert lines[:3] == [
        "test       log-probability -85.20 nats   base rate -206.30",
        "log Z      451.25 nats forward, 451.75 in reverse (gap 0.50, bracket 451.00 to 452.50)",
        "Warning: 2.0 of 100 chains carry the weight.",
    ]


def test_summary_of_ten_crops():
    results = [Result(TOP1, split, 3.5) for split in ("validation", "test", "test_ten_crop")]
    assert summary_lines(replace(RESULT, results=results))[:3] == [
        "validation top-1 error 3.50 %",
        "test       top-1 error 3.50 %",
        "ten crops  top-1 error 3.50 %",
    ]


def test_summary_gives_the_reason_if_nothing_was_pushed():
    stations = [StationReport("Evaluator", "ran"), StationReport("Pusher", "skipped", reason="its folder is gone")]
    result = replace(RESULT, pushed_uri=None, pushed_version=None, stations=stations)
    assert "Blessed, but not pushed (Pusher: its folder is gone)." in summary_lines(result)
