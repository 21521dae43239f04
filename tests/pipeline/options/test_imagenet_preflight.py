"""What a command line may say of ImageNet, and what is refused before anything is imported."""

import dataclasses
from pathlib import Path

import pytest

from components.errors import UsageError
from components.sources import imagenet
from pipeline.options import preflight
from pipeline.options.arguments import parse
from pipeline.presets import PRESETS

DIGITS = PRESETS["digits-dbn"].config


def test_the_short_name_is_tfds():
    assert parse(["digits-dbn", "--data", "imagenet2012"]).config.data == imagenet.DATA


def test_folders_lose_their_tilde():
    config = parse(["digits-dbn", "--manual-dir=~/archives", "--wordnet-dir=~/wordnet"]).config
    assert (config.manual_dir, config.wordnet_dir) == (str(Path.home() / "archives"), str(Path.home() / "wordnet"))


def test_the_long_name_is_guessed():
    with pytest.raises(UsageError, match="did you mean imagenet2012"):
        preflight.check_data("imagenet")


def test_archives_are_asked_for_until_the_data_is_prepared(tmp_path: Path):
    config = dataclasses.replace(
        DIGITS,
        data=imagenet.DATA,
        data_dir=str(tmp_path / "tfds"),
        manual_dir=str(tmp_path),
        home=str(tmp_path / "home"),
    )
    with pytest.raises(UsageError, match=r"lacks ILSVRC2012_img_train\.tar and ILSVRC2012_img_val\.tar"):
        preflight.check(config)
    for archive in (imagenet.TRAIN_ARCHIVE, imagenet.VALIDATION_ARCHIVE):
        (tmp_path / archive).write_bytes(b"")
    preflight.check(config)
    (tmp_path / "tfds/imagenet2012/5.1.0").mkdir(parents=True)
    (tmp_path / "tfds/imagenet2012/5.1.0/dataset_info.json").write_text("{}")
    preflight.check(dataclasses.replace(config, manual_dir=None))


def test_room_for_the_examples_is_a_third_of_the_archives_where_they_are_stored_small(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    asked: list[int] = []
    monkeypatch.setattr(preflight, "check_space", lambda _, data_bytes: asked.append(data_bytes))
    for archive in (imagenet.TRAIN_ARCHIVE, imagenet.VALIDATION_ARCHIVE):
        (tmp_path / archive).write_bytes(bytes(1500))
    config = dataclasses.replace(
        DIGITS,
        data=imagenet.DATA,
        data_dir=str(tmp_path / "tfds"),
        manual_dir=str(tmp_path),
        home=str(tmp_path / "home"),
    )
    preflight.check(config)
    preflight.check(dataclasses.replace(config, stored_size=256))
    assert asked == [3000, 1000]


def test_a_folder_without_wordnet_is_refused(tmp_path: Path):
    with pytest.raises(UsageError, match="--wordnet-dir"):
        preflight.check(dataclasses.replace(DIGITS, wordnet_dir=str(tmp_path), home=str(tmp_path / "home")))


def test_a_negative_gain_lets_every_model_pass():
    config = parse(["digits-dbn", "--gates.min-gain=-1"]).config
    assert config.gates.min_gain == -1
    preflight.check_ranges(config)
