"""Checks that take a second, before TFX is imported: ranges of the configuration, data, home, disk."""

import re
import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from components.errors import UsageError
from components.sources import imagenet
from components.sources.wordnet import WordNet
from models.config import AlexNetConfig
from pipeline.config import RUN_TYPES, RunConfig
from pipeline.home import RESERVED_NAMES, Home
from pipeline.options.combinations import check_combinations
from pipeline.options.keys import as_option, flatten, keys_of
from pipeline.options.suggestions import did_you_mean
from pipeline.presets import FOLDER_PLACEHOLDER

# Free space for metadata, statistics, logs and models beside the copy of the images; a run on the bundled digits
# needs less than a fifth of it.
SPARE_BYTES = 500 * 1024**2
# Pixels: ImageNet stored at 256 needs a third of its original space (31 of 97 KB per image were measured).
_SMALL = 256


def check(config: RunConfig, given: Iterable[str] = ()) -> None:
    """Checks a configuration and the readiness of this host for it. Creates the home and changes nothing else.

    Args:
        config: The configuration.
        given: Keys that a user set, see `pipeline.options.arguments.Request`.

    Raises:
        UsageError: The first problem, with its cure.
    """
    check_ranges(config)
    check_combinations(config, given)
    check_name(config.name)
    check_data(config.data)
    check_folders(config)
    check_initial_weights(config)
    home = Home(Path(config.home))
    check_writable(home.root)
    # An earlier run has stored its copy of the images already.
    check_space(home.root, 0 if home.artifacts(config.name).is_dir() else _data_bytes(config))


def check_ranges(config: RunConfig) -> None:
    """Checks that every number is within its range and that no list is empty.

    Raises:
        UsageError: A number is out of its range, a list is empty, or no images are left to train on.

    Example:
        >>> check_ranges(RunConfig("x", seed=-1))
        Traceback (most recent call last):
        components.errors.UsageError: seed is -1, but must be at least 0 and at most ...; change it with --seed
    """
    keys = keys_of(RUN_TYPES[config.model.family])
    for key, value in flatten(asdict(config)).items():
        accepts, option = keys[key].accepts, as_option(key)
        if accepts is None or value is None:
            continue
        if value == ():
            raise UsageError(f"{key} is empty; give at least one number, {accepts}, such as {option} 500,500")
        for number in value if isinstance(value, tuple) else (value,):
            if number not in accepts:
                raise UsageError(f"{key} is {number}, but must be {accepts}; change it with {option}")
    if config.validation_share + config.test_share >= 1:
        shares = f"{config.validation_share:g} + {config.test_share:g}"
        raise UsageError(f"validation_share + test_share is {shares}, which leaves no images to train on; lower one")


def check_initial_weights(config: RunConfig) -> None:
    """Checks that the file of initial weights, if one is named, exists and has a format that can be read.

    Raises:
        UsageError: It does not.
    """
    path = config.model.initial_weights if isinstance(config.model, AlexNetConfig) else None
    if path is None:
        return
    if not path.endswith((".weights.h5", ".keras", ".npz")):
        raise UsageError(f"model.initial_weights is {path}, but must end in .weights.h5, .keras or .npz; convert it")
    if not Path(path).is_file():
        raise UsageError(f"there is no file of weights {path}; correct --model.initial-weights")


def check_name(name: str) -> None:
    """Checks that folders, MLflow and URLs of model servers accept a name.

    Raises:
        UsageError: They do not, or the name is that of another folder of the home.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", name):
        raise UsageError(
            f"name is {name!r}, but must be 1 to 63 ASCII letters, digits, dots, dashes or underscores, the first a "
            "letter or digit; change it with --name"
        )
    if name in RESERVED_NAMES:
        raise UsageError(f"name is {name!r}, which is a folder of the home itself; choose another with --name")


def check_data(data: str) -> None:
    """Checks that data exists, as far as that is known without reading it.

    Raises:
        UsageError: It does not.
    """
    kind, colon, rest = data.partition(":")
    if data == FOLDER_PLACEHOLDER:
        raise UsageError("this preset has no data of its own; name a folder of class folders with --data folder:PATH")
    if data == "digits" or (kind == "tfds" and rest):
        return
    if kind == "folder" and rest:
        from components.sources.datasets import check_folder  # numpy and Pillow: not for `--help`

        check_folder(Path(rest))
        return
    candidates = [f"folder:{data}"] if Path(data).exists() else []
    if not candidates and not colon and re.fullmatch(r"\w+", data):
        near = {"digit": "digits", "imagenet": imagenet.ALIAS}
        candidates = [name for start, name in near.items() if data.startswith(start)] or [f"tfds:{data}"]
    raise UsageError(f"data is {data!r}, but must be digits, folder:PATH or tfds:NAME{did_you_mean(candidates)}")


def check_folders(config: RunConfig) -> None:
    """Checks the folders that data needs besides its own: WordNet, and ImageNet's archives with space to prepare them.

    Raises:
        UsageError: A folder lacks a file, or its disk lacks space.
    """
    if config.wordnet_dir is not None:
        WordNet(Path(config.wordnet_dir))
    if imagenet.is_imagenet(config.data) and not imagenet.prepared_bytes(config.data, config.data_dir):
        imagenet.check_space(imagenet.find_archives(config.data_dir, config.manual_dir), config.data_dir)


def check_writable(home: Path) -> None:
    """Creates the home and writes a file in it, the only test that is valid for every kind of permission and disk.

    Raises:
        UsageError: The home cannot be written.
    """
    try:
        home.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=home) as probe:
            probe.write(b"x")
    except OSError as error:
        reason = error.strerror or str(error)
        raise UsageError(f"the home {home} cannot be written ({reason}); choose another with --home DIR") from None


def check_space(home: Path, data_bytes: int) -> None:
    """Checks that the disk has space for one copy of the images and for the outputs of a run.

    Args:
        home: Existing folder on the disk in question.
        data_bytes: Size of the images; 0 if it is not known beforehand.

    Raises:
        UsageError: The disk has too little free space.
    """
    needed, free = data_bytes + SPARE_BYTES, shutil.disk_usage(home).free
    if free < needed:
        mib = 1024**2
        raise UsageError(
            f"the disk of the home {home} has {free // mib} MiB free, but this run needs about {needed // mib} MiB; "
            "free some space, or choose a home on another disk with --home DIR"
        )


def _data_bytes(config: RunConfig) -> int:
    kind, _, path = config.data.partition(":")
    if kind == "folder":
        return sum(file.stat().st_size for file in Path(path).rglob("*") if file.is_file())
    if not imagenet.is_imagenet(config.data):
        return 0
    known = imagenet.prepared_bytes(config.data, config.data_dir)
    if not known:
        archives = imagenet.find_archives(config.data_dir, config.manual_dir)
        known = sum(archive.stat().st_size for archive in archives)
    small = config.stored_size is not None and config.stored_size <= _SMALL
    return known // 3 if small else known
