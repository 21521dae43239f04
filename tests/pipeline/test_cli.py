"""The command line: exit codes, one-sentence errors, time to answer. The runner is a fake."""

import errno
import os
import signal
import subprocess
import sys
import time
import types
from pathlib import Path

import pytest

from components.errors import GateRefused, UsageError, VisionTfxError
from pipeline import cli
from pipeline.config import RunConfig

PROGRAM = [sys.executable, "-m", "pipeline.cli"]


class FakeRunner(types.ModuleType):
    """Stands in for `pipeline.runner`, which imports TFX."""

    def __init__(self, outcome):
        super().__init__("pipeline.runner")
        self.outcome = outcome
        self.configs: list[RunConfig] = []

    def run_local(self, config: RunConfig):
        self.configs.append(config)
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        return self.outcome


def result(*, blessed: bool = True, version: int | None = 1, up_to_date: bool = False):
    refused = types.SimpleNamespace(status="skipped", reason="top1_error is 12 %; --gates.max-top1-error allows 5")
    stations = [] if blessed else [refused]
    return types.SimpleNamespace(blessed=blessed, pushed_version=version, up_to_date=up_to_date, stations=stations)


@pytest.fixture
def runner(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("VISION_TFX_HOME", str(tmp_path / "home"))

    def install(outcome) -> FakeRunner:
        fake = FakeRunner(outcome)
        monkeypatch.setitem(sys.modules, "pipeline.runner", fake)
        return fake

    return install


@pytest.mark.lengthy
@pytest.mark.parametrize(
    ("outcome", "code"),
    [
        (result(), 0),
        (result(version=3, up_to_date=True), 0),
        (result(blessed=False, version=None), 3),
        (result(blessed=False, version=None, up_to_date=True), 3),
        (result(version=None), 1),
        (GateRefused("2 images are in two splits"), 3),
        (UsageError("no such data set"), 2),
        (VisionTfxError("the data set cannot be downloaded"), 1),
        (KeyboardInterrupt(), 130),
        (ValueError("surprise"), 1),
    ],
)
def test_exit_codes_of_a_run(runner, outcome, code: int, capsys: pytest.CaptureFixture):
    runner(outcome)
    assert cli.main(["run", "digits-dbn"]) == code
    assert "Traceback" not in capsys.readouterr().err


def test_overrides_reach_the_runner(runner):
    fake = runner(result())
    cli.main(
        ["run", "digits-dbn", "--model.hidden-units", "64,32", "--training.epochs=2", "--gates.max-top1-error", "9"]
    )
    (config,) = fake.configs
    assert config.model.hidden_units == (64, 32)
    assert config.training.epochs == 2
    assert config.gates.max_top1_error == 9.0
    assert config.name == "digits-dbn"


def test_a_refused_model_is_one_line(runner, capsys: pytest.CaptureFixture):
    runner(result(blessed=False, version=None))
    cli.main(["run", "digits-dbn"])
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "--gates.max-top1-error allows 5" in said


def test_errors_are_one_line(runner, capsys: pytest.CaptureFixture):
    runner(GateRefused("2 images are in two splits"))
    cli.main(["run", "digits-dbn"])
    assert capsys.readouterr().err == "vision-tfx: error: 2 images are in two splits\n"


def test_debug_shows_the_traceback(runner, capsys: pytest.CaptureFixture):
    runner(GateRefused("2 images are in two splits"))
    assert cli.main(["run", "digits-dbn", "--debug"]) == 3
    assert "Traceback" in capsys.readouterr().err


def chained(outer: BaseException, inner: BaseException) -> BaseException:
    outer.__cause__ = inner
    return outer


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "the disk is full"),
        (chained(RuntimeError("in a station"), OSError(errno.ENOSPC, "No space left on device")), "the disk is full"),
        (RuntimeError("worker: [Errno 28] No space left on device"), "the disk is full"),
        (RuntimeError("(sqlite3.OperationalError) database or disk is full"), "the disk is full"),
        (PermissionError(errno.EACCES, "Permission denied", "/data/x"), "no permission to /data/x"),
        (chained(RuntimeError("in a station"), UsageError("one class only")), "one class only"),
        (ValueError("first\nsecond"), "ValueError: first second"),
    ],
)
def test_explained_in_one_sentence(error: BaseException, words: str):
    assert words in cli.explain(error)
    assert "\n" not in cli.explain(error)


def test_wrapped_gate_keeps_its_exit_code(runner):
    runner(chained(RuntimeError("in a station"), GateRefused("too many broken files")))
    assert cli.main(["run", "digits-dbn"]) == 3


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["rum"], "did you mean run?"),
        (["run"], "name a preset"),
        (["run", "digit-dbn"], "did you mean digits-dbn?"),
        (["run", "mnist"], "did you mean mnist-dbn or "),
        (["run", "digits-dbn", "--model.hiden-units", "[3]"], "did you mean --model.hidden-units?"),
        (["run", "digits-dbn", "--epochs", "3"], "--training.epochs"),
        (["run", "digits-dbn", "--training.epochs", "many"], "training.epochs must be a whole number, not 'many'"),
        (["run", "digits-dbn", "--training.epochs", "0"], "training.epochs is 0, but must be at least 1"),
        (["run", "--config", "nowhere.yaml"], "there is no configuration file nowhere.yaml"),
        (["run", "folder-dbn"], "--data folder:PATH"),
        (["run", "--data", "mnist"], "did you mean tfds:mnist?"),
        (["run", "tfds:mnist"], "did you mean --data tfds:mnist?"),
        (["presets", "--all"], "--all"),
    ],
)
def test_usage_errors(runner, words: list[str], hint: str, capsys: pytest.CaptureFixture):
    fake = runner(result())
    assert cli.main(words) == 2
    said = capsys.readouterr().err
    assert hint in said
    assert said.count("\n") == 1
    assert fake.configs == []


def test_folder_without_its_scheme_is_recognised(runner, tmp_path: Path, capsys: pytest.CaptureFixture):
    runner(result())
    for words in (["run", str(tmp_path)], ["run", "--data", str(tmp_path)]):
        assert cli.main(words) == 2
        assert f"did you mean {'--data ' if words[1] != '--data' else ''}folder:{tmp_path}?" in capsys.readouterr().err


def test_no_verb_shows_help(capsys: pytest.CaptureFixture):
    assert cli.main([]) == 2
    shown = capsys.readouterr().out
    assert all(verb in shown for verb in cli.VERBS)


@pytest.mark.parametrize("verb", cli.VERBS)
def test_every_verb_has_help(verb: str, capsys: pytest.CaptureFixture):
    assert cli.main([verb, "--help"]) == 0
    assert f"vision-tfx {verb}" in capsys.readouterr().out


@pytest.mark.parametrize("words", [["--help"], ["presets"]])
def test_answers_at_once(words: list[str]):
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        subprocess.run([*PROGRAM, *words], check=True, capture_output=True)
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 0.5


def test_help_imports_nothing_heavy():
    code = "import sys; from pipeline.cli import main; main(['presets']); print(sorted(sys.modules), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    for module in ("tensorflow", "tfx", "numpy", "mlflow", "jsonargparse"):
        assert f"'{module}'" not in done.stderr


INTERRUPTED = """
import sys, time, types
from pathlib import Path
from pipeline.screen import Screen
def run_local(config):
    screen = Screen()
    with screen.capture(Path(config.home) / "run.log"):
        screen.message("running")
        time.sleep(60)
sys.modules["pipeline.runner"] = types.SimpleNamespace(run_local=run_local)
from pipeline.cli import main
sys.exit(main(["run", "digits-dbn", "--home", sys.argv[1]]))
"""


def test_ctrl_c(tmp_path: Path):
    command = [sys.executable, "-c", INTERRUPTED, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout and process.stdout.readline() == "running\n"
        process.send_signal(signal.SIGINT)
        _, said = process.communicate()
    assert process.returncode == 130
    assert said.startswith("vision-tfx: interrupted")
    assert said.count("\n") == 1


def test_reader_that_goes_away(tmp_path: Path):
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([*PROGRAM, "presets"], stdout=writer, stderr=subprocess.PIPE, text=True)
    os.close(writer)
    assert "Traceback" not in done.stderr


def test_an_error_that_is_its_own_cause_is_explained():
    error = GateRefused("the data was refused")
    error.__cause__ = error
    assert cli.explain(error) == "the data was refused"
    other = ValueError("broken")
    other.__cause__ = other
    assert "ValueError: broken" in cli.explain(other)
