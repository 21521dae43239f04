"""Presets and configurations: precedence, names, and the round trip through YAML."""

from pathlib import Path

import pytest

from components.errors import UsageError
from components.evaluation.measures import MEASURES
from pipeline.config import RUN_TYPES, RunConfig
from pipeline.options.arguments import parse
from pipeline.options.combinations import check_combinations
from pipeline.options.config_file import to_yaml
from pipeline.options.keys import accepted, keys_of
from pipeline.options.preflight import check_ranges
from pipeline.options.suggestions import nearest
from pipeline.presets import PRESETS


@pytest.fixture(autouse=True)
def _no_home_in_environment(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("VISION_TFX_HOME", raising=False)


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_complete_and_in_range(name: str):
    preset = PRESETS[name]
    assert preset.config.name == name
    assert preset.summary.endswith(".")
    assert preset.command.startswith("vision-tfx run")
    assert preset.expected_time and preset.expected_result and preset.source
    check_ranges(preset.config)
    check_combinations(preset.config)


@pytest.mark.parametrize("name", PRESETS)
def test_a_result_says_what_it_measures(name: str):
    result = PRESETS[name].expected_result
    measured = any(measure.words in result for measure in MEASURES[PRESETS[name].config.model.objective])
    assert measured or result in ("not yet recorded", "depends on the folder")


@pytest.mark.lengthy
@pytest.mark.parametrize("name", PRESETS)
def test_named_preset_is_taken_as_it_is(name: str):
    assert parse([name]).config == PRESETS[name].config


EXTREMES = RunConfig(
    name="on",  # a boolean in YAML 1.1 unless it is quoted
    data="folder:/tmp/Straße mit: Leerzeichen #1",
    data_dir="2024",
    validation_share=1e-9,
    seed=2**31 - 1,
    home="007",
)


@pytest.mark.lengthy
@pytest.mark.parametrize("config", [*(preset.config for preset in PRESETS.values()), EXTREMES], ids=lambda c: c.name)
def test_yaml_is_taken_back_unchanged(config: RunConfig, tmp_path: Path):
    file = tmp_path / "config.yaml"
    file.write_text(to_yaml(config), encoding="utf-8")
    assert parse(["--config", str(file)]).config == config


def test_yaml_shows_every_field():
    text = to_yaml(PRESETS["digits-dbn"].config)
    for key in keys_of(RUN_TYPES["dbn"]):
        assert f"{key.rpartition('.')[2]}:" in text


def test_command_line_beats_file_beats_preset(tmp_path: Path):
    file = tmp_path / "part.yaml"
    file.write_text("training: {epochs: 7, batch_size: 11, learning_rate: 1e-3}\n")
    for words in (["--training.epochs", "8", "--config", str(file)], ["--config", str(file), "--training.epochs", "8"]):
        training = parse(["digits-dbn", *words]).config.training
        assert (training.epochs, training.batch_size, training.learning_rate) == (8, 11, 1e-3)
        assert training.momentum == PRESETS["digits-dbn"].config.training.momentum


def test_home_from_environment_unless_given(monkeypatch: pytest.MonkeyPatch):
    assert parse(["digits-dbn"]).config.home == "vision-tfx-home"
    monkeypatch.setenv("VISION_TFX_HOME", "/srv/models")
    assert parse(["digits-dbn"]).config.home == "/srv/models"
    assert parse(["digits-dbn", "--home", "here"]).config.home == "here"


@pytest.mark.parametrize(
    ("words", "name", "data"),
    [
        (["--data", "digits"], "digits-dbn", "digits"),
        (["--data", "tfds:mnist"], "mnist-dbn", "tfds:mnist"),
        (["--data", "tfds:oxford_flowers102/2.1.1"], "oxford-flowers102-2-1-1", "tfds:oxford_flowers102/2.1.1"),
        (["--data", "folder:/pictures/My Cats & Dögs/"], "my-cats-dogs", "folder:/pictures/My Cats & Dögs"),
        (["--data", "folder:/pictures/写真"], "folder-dbn", "folder:/pictures/写真"),
        (["folder-dbn", "--data", "folder:/pictures/birds"], "birds", "folder:/pictures/birds"),
        (["mnist-dbn", "--data", "folder:/pictures/birds"], "mnist-dbn", "folder:/pictures/birds"),
        (["--data", "folder:/pictures/birds", "--name", "B2"], "B2", "folder:/pictures/birds"),
    ],
)
def test_name_and_data(words: list[str], name: str, data: str):
    config = parse(words).config
    assert (config.name, config.data) == (name, data)


def test_home_of_the_user(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", "/home/ada")
    config = parse(["digits-dbn", "--home=~/models", "--data-dir=~/tfds"]).config
    assert (config.home, config.data_dir) == ("/home/ada/models", "/home/ada/tfds")


def test_one_folder_is_one_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "birds").mkdir()
    monkeypatch.chdir(tmp_path)
    assert parse(["--data", "folder:birds"]) == parse(["--data", f"folder:{tmp_path}/birds/"])


@pytest.mark.parametrize("text", ["64,32", "[64,32]", "[64, 32]", "64, 32"])
def test_lists(text: str):
    assert parse(["digits-dbn", "--model.hidden_units", text]).config.model.hidden_units == (64, 32)
    assert parse(["digits-dbn", f"--model.hidden-units={text}"]).config.model.hidden_units == (64, 32)


def test_none_and_booleans():
    config = parse(["digits-dbn", "--gates.max-top1-error", "none", "--training.use-validation", "true"]).config
    assert config.gates.max_top1_error is None
    assert config.training.use_validation is True


def test_images_to_predict_are_not_configuration():
    request = parse(["digits-dbn", "--predict", "a.png", "--predict", "b.png"])
    assert request.predict == ("a.png", "b.png")
    assert request.config == PRESETS["digits-dbn"].config


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("trainning: {epochs: 3}", "there is no key trainning.epochs in .*; did you mean training.epochs"),
        ("model: {hiden_units: [3]}", "did you mean model.hidden_units?"),
        ("training: {epochs: many}", "training.epochs must be a whole number, not 'many'"),
        ("model: {image_size: [8]}", "model.image_size must be a list of 2 whole numbers"),
        ("name: 7", "name must be text"),
        ("a: [", "is not YAML"),
        ("- 1", "does not consist of `key: value` lines"),
        ("training: 3", "training is a section, not a value; set its keys, such as training.epochs"),
    ],
)
def test_bad_files(text: str, words: str, tmp_path: Path):
    file = tmp_path / "bad.yaml"
    file.write_text(text)
    with pytest.raises(UsageError, match=words) as error:
        parse(["digits-dbn", "--config", str(file)])
    assert "\n" not in str(error.value)


def test_empty_file_changes_nothing(tmp_path: Path):
    file = tmp_path / "empty.yaml"
    file.write_text("# nothing\n")
    assert parse(["mnist-dbn", "--config", str(file)]).config == PRESETS["mnist-dbn"].config


def test_binary_file_as_configuration(tmp_path: Path):
    file = tmp_path / "image.yaml"
    file.write_bytes(b"\x89PNG\r\n\x1a\n\xff\x00")
    with pytest.raises(UsageError, match="is not YAML"):
        parse(["--config", str(file)])


def test_nearest_prefers_the_same_last_part():
    found = nearest("epochs", keys_of())
    assert found == ["training.epochs", "model.up_down.epochs", "model.pretraining.epochs"]
    assert nearest("xyzzy", keys_of()) == []


def test_every_type_has_words():
    for key in keys_of().values():
        assert "typing" not in accepted(key.type)
