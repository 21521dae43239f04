"""Settings that a run would ignore: refused exactly if a user gave them."""

import dataclasses
from pathlib import Path

import pytest

from components.errors import UsageError
from models.config import DBNConfig, TrainingConfig
from models.settings import Reader
from pipeline.config import RUN_TYPES, RunConfig
from pipeline.options.arguments import parse
from pipeline.options.combinations import check_combinations
from pipeline.options.config_file import to_yaml
from pipeline.options.keys import keys_of
from pipeline.options.readers import ignored
from pipeline.presets import PRESETS

JOINT = ["digits-dbn", "--model.objective", "joint"]
TRAINING = sorted({field.name for field in dataclasses.fields(TrainingConfig)} - {"use_validation"})


def check(words: list[str]) -> None:
    request = parse(words)
    check_combinations(request.config, request.given)


@pytest.mark.lengthy
@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_gives_nothing(name: str):
    assert parse([name]).given == frozenset()


def test_options_are_given_whatever_their_value():
    epochs = PRESETS["digits-dbn"].config.training.epochs
    assert parse(["digits-dbn", f"--training.epochs={epochs}", "--seed", "7"]).given == {"training.epochs", "seed"}


@pytest.mark.parametrize("objective", ["joint", "density"])
@pytest.mark.parametrize("name", TRAINING)
def test_every_option_of_back_propagation_is_refused_where_there_is_none(objective: str, name: str):
    value = {"schedule": "constant", "max_norm": 1.0}.get(name) or getattr(TrainingConfig(), name) + 1
    config = RunConfig("x", model=DBNConfig(objective=objective), training=TrainingConfig(**{name: value}))
    [*messages] = ignored(config, [f"training.{name}"])
    assert messages
    assert messages[0].startswith(f"training.{name} is read only by ")
    assert list(ignored(config, [])) == []


def test_a_setting_of_the_preset_for_another_objective_is_ignored_silently():
    check(JOINT)
    check(["mnist-dbn-updown", "--model.objective", "classification"])
    check(["mnist-dbn-dropout", "--model.objective", "joint"])
    check(["digits-dbn", "--model.objective", "reconstruction"])


def test_a_setting_of_the_user_is_not():
    with pytest.raises(UsageError, match=r"^training.epochs is read only by .* leave out --training.epochs$"):
        check([*JOINT, "--training.epochs", "10"])
    with pytest.raises(UsageError, match=r"^training\.epochs"):
        check([*JOINT, "--training.epochs", str(PRESETS["digits-dbn"].config.training.epochs)])


@pytest.mark.parametrize(
    "option",
    ["--gates.max-squared-error none", "--training.input-dropout 0.0", "--model.pretraining.learn-variance false"],
)
def test_switching_off_a_setting_that_the_run_lacks_is_accepted(option: str):
    check([*JOINT, *option.split()])


def test_another_preset_changes_nothing_for_a_run(monkeypatch: pytest.MonkeyPatch):
    """A preset with these very values makes them no less ignored, and values of presets no more given."""
    words = [*JOINT, "--training.epochs", "10"]
    with pytest.raises(UsageError) as before:
        check(words)
    training = dataclasses.replace(PRESETS["digits-dbn"].config.training, epochs=10)
    config = dataclasses.replace(PRESETS["mnist-dbn-updown"].config, name="made-up", training=training)
    made_up = dataclasses.replace(PRESETS["mnist-dbn-updown"], config=config)
    monkeypatch.setitem(PRESETS, "made-up", made_up)
    with pytest.raises(UsageError) as after:
        check(words)
    assert str(after.value) == str(before.value)
    check(JOINT)
    check(["made-up"])


@pytest.mark.lengthy
@pytest.mark.parametrize("name", PRESETS)
def test_a_whole_file_gives_nothing(name: str, tmp_path: Path):
    file = tmp_path / "config.yaml"
    file.write_text(to_yaml(PRESETS[name].config))
    request = parse(["--config", str(file)])
    assert request == parse([name])
    check(["--config", str(file)])


def test_a_whole_file_of_a_preset_for_another_objective_runs(tmp_path: Path):
    file = tmp_path / "config.yaml"
    file.write_text(to_yaml(parse(["mnist-dbn-dropout", "--model.objective", "joint"]).config))
    check(["--config", str(file)])
    with pytest.raises(UsageError, match=r"^training\.momentum"):
        check(["--config", str(file), "--training.momentum", "0.5"])


def test_a_partial_file_gives_its_keys(tmp_path: Path):
    file = tmp_path / "part.yaml"
    file.write_text("seed: 3\ntraining: {epochs: 7}\n")
    assert parse(["digits-dbn", "--config", str(file)]).given == {"seed", "training.epochs"}
    with pytest.raises(UsageError, match=r"training\.epochs is read only by"):
        check([*JOINT, "--config", str(file)])


def test_a_configuration_made_in_python_gives_nothing():
    check_combinations(RunConfig("x", model=DBNConfig(objective="joint"), training=TrainingConfig(epochs=7)))


def test_every_reader_reads_something():
    read = {reader for run in RUN_TYPES.values() for key in keys_of(run).values() for reader in key.readers}
    assert read == set(Reader)
