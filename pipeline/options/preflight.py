"""What can be known in a second, before TFX is imported: ranges of the configuration, the data, the home, the disk."""

import re
import shutil
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from components.errors import UsageError
from components.sources import imagenet
from components.sources.wordnet import WordNet
from models.config import AlexNetConfig
from pipeline.config import RunConfig
from pipeline.home import Home
from pipeline.options.combinations import check_combinations
from pipeline.options.fields import did_you_mean, flatten
from pipeline.presets import FOLDER_PLACEHOLDER

# Room for metadata, statistics, logs and models beside the copy of the images; a run on the bundled digits leaves
# less than a fifth of it.
SPARE_BYTES = 500 * 1024**2
# Pixels: ImageNet stored at 256 takes a third of its room (31 of 97 KB an image were measured).
_SMALL = 256
# Names under the home that are not a pipeline's.
RESERVED_NAMES = ("serving", "checkpoints", "logs", "mlartifacts", "mlruns")


@dataclass(frozen=True)
class Range:
    """The accepted values of a number: low <= value <= high, or < at an open end.

    Args:
        low: Least value.
        high: Largest value.
        open_low: Whether `low` itself is refused.
        open_high: Whether `high` itself is refused.
    """

    low: float
    high: float = float("inf")
    open_low: bool = False
    open_high: bool = False

    def __contains__(self, value: float) -> bool:
        """Whether a value is accepted; NaN never is."""
        above = value > self.low if self.open_low else value >= self.low
        return above and (value < self.high if self.open_high else value <= self.high)

    def __str__(self) -> str:
        """The range in words."""
        low = f"above {self.low:g}" if self.open_low else f"at least {self.low:g}"
        if self.high == float("inf"):
            return low
        return f"{low} and {'below' if self.open_high else 'at most'} {self.high:g}"


_SHARE = Range(0, 1, open_low=True, open_high=True)
_COUNT = Range(1)
_COUNT_OR_NONE = Range(0)
_FINITE = 1e6
_RATE = Range(0, _FINITE, open_low=True)
_MOMENTUM = Range(0, 1, open_high=True)
_PENALTY = Range(0, _FINITE)
_PERCENT = Range(0, 100)
_DROPPED = Range(0, 1, open_high=True)

# Every number of the configuration; for lists, of each element.
RANGES = {
    "validation_share": _SHARE,
    "test_share": _SHARE,
    "stored_size": Range(16, 4096),
    "split_seed": Range(0, 2**31 - 1),
    "seed": Range(0, 2**31 - 1),
    "model.image_size": Range(1, 4096),
    "model.channels": Range(1, 3),
    "model.hidden_units": _COUNT,
    "model.pretraining.epochs": _COUNT_OR_NONE,
    "model.pretraining.batch_size": _COUNT,
    "model.pretraining.learning_rate": _RATE,
    "model.pretraining.gaussian_learning_rate": _RATE,
    "model.pretraining.initial_momentum": _MOMENTUM,
    "model.pretraining.final_momentum": _MOMENTUM,
    "model.pretraining.momentum_switch_epochs": _COUNT_OR_NONE,
    "model.pretraining.weight_cost": _PENALTY,
    "model.pretraining.weight_stddev": _RATE,
    "model.pretraining.gibbs_steps": _COUNT,
    "model.pretraining.temperatures": _COUNT,
    "model.pretraining.sparsity_target": _SHARE,
    "model.pretraining.sparsity_cost": _PENALTY,
    "model.crop_size": Range(1, 4096),
    "model.dropout": _DROPPED,
    "model.augmentation.color_noise": Range(0, 10),
    "model.augmentation.mixup": Range(0, 100),
    "model.pretraining.patches": _COUNT_OR_NONE,
    "model.pretraining.deviation": _RATE,
    "model.up_down.epochs": _COUNT_OR_NONE,
    "model.up_down.gibbs_steps": _COUNT,
    "model.up_down.batch_size": _COUNT,
    "model.up_down.learning_rate": _RATE,
    "model.up_down.momentum": _MOMENTUM,
    "model.up_down.weight_cost": _PENALTY,
    "model.partition.chains": Range(2),
    "model.partition.temperatures": Range(3),
    "training.epochs": _COUNT,
    "training.batch_size": _COUNT,
    "training.learning_rate": _RATE,
    "training.momentum": _MOMENTUM,
    "training.weight_cost": _PENALTY,
    "training.input_dropout": _DROPPED,
    "training.hidden_dropout": _DROPPED,
    "training.max_norm": _RATE,
    "training.plateau_epochs": _COUNT,
    "training.warmup_epochs": _COUNT_OR_NONE,
    "training.accumulation": _COUNT,
    "training.averaging": _DROPPED,
    "training.label_smoothing": _DROPPED,
    "training.label_share": Range(0, 1, open_low=True),
    "training.top_layer_epochs": _COUNT_OR_NONE,
    "training.patience": _COUNT_OR_NONE,
    "gates.max_broken_percent": _PERCENT,
    "gates.max_leaked_percent": _PERCENT,
    "gates.max_top1_error": _PERCENT,
    "gates.max_top5_error": _PERCENT,
    "gates.max_squared_error": _PENALTY,
    "gates.min_log_probability": Range(-_FINITE, 0),
    "gates.min_gain": Range(-_FINITE, 1, open_high=True),
    "gates.max_error_increase": _PERCENT,
    "gates.max_squared_error_increase": _PENALTY,
    "gates.max_log_probability_decrease": _PENALTY,
}


def check(config: RunConfig) -> None:
    """Checks a configuration and this machine's readiness for it; changes nothing but making the home.

    Raises:
        UsageError: The first thing that is wrong, with its cure.
    """
    check_ranges(config)
    check_combinations(config)
    check_name(config.name)
    check_data(config.data)
    check_folders(config)
    check_initial_weights(config)
    home = Home(Path(config.home))
    check_writable(home.root)
    # An earlier run has its copy of the images already.
    check_space(home.root, 0 if home.artifacts(config.name).is_dir() else _data_bytes(config))


def check_initial_weights(config: RunConfig) -> None:
    """A file of weights that is there, of a kind that can be read."""
    path = config.model.initial_weights if isinstance(config.model, AlexNetConfig) else None
    if path is None:
        return
    if not path.endswith((".weights.h5", ".keras", ".npz")):
        raise UsageError(f"model.initial_weights is {path}, but must end in .weights.h5, .keras or .npz; convert it")
    if not Path(path).is_file():
        raise UsageError(f"there is no file of weights {path}; correct --model.initial-weights")


def check_ranges(config: RunConfig) -> None:
    """Every number within its range, every list with an element."""
    for key, value in flatten(asdict(config)).items():
        accepted = RANGES.get(key)
        if accepted is None or value is None:
            continue
        if value == ():
            raise UsageError(f"{key} is empty; give at least one, each {accepted}, such as --{_dashed(key)} 500,500")
        for number in value if isinstance(value, tuple) else (value,):
            if number not in accepted:
                raise UsageError(f"{key} is {number}, but must be {accepted}; change it with --{_dashed(key)}")
    if config.validation_share + config.test_share >= 1:
        shares = f"{config.validation_share:g} + {config.test_share:g}"
        raise UsageError(f"validation_share + test_share is {shares}, which leaves nothing to train on; lower one")


def check_name(name: str) -> None:
    """A name that a folder, an MLflow experiment and a model server's URL all take."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", name):
        raise UsageError(
            f"name is {name!r}, but must be 1 to 63 ASCII letters, digits, dots, dashes or underscores, the first a "
            "letter or digit; change it with --name"
        )
    if name in RESERVED_NAMES:
        raise UsageError(f"name is {name!r}, which is a folder of the home itself; take another with --name")


def check_data(data: str) -> None:
    """Data that exists, as far as that can be seen without reading it."""
    kind, colon, rest = data.partition(":")
    if data == FOLDER_PLACEHOLDER:
        raise UsageError("this preset has no data of its own: name a folder of class folders with --data folder:PATH")
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
    """The folders that some data needs besides its own: ImageNet's archives with room to prepare them, WordNet."""
    if config.wordnet_dir is not None:
        WordNet(Path(config.wordnet_dir))
    if imagenet.is_imagenet(config.data) and not imagenet.prepared_bytes(config.data, config.data_dir):
        imagenet.check_space(imagenet.find_archives(config.data_dir, config.manual_dir), config.data_dir)


def check_writable(home: Path) -> None:
    """Makes the home and writes a file in it, the only test that holds for every kind of permission and disk."""
    try:
        home.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=home) as probe:
            probe.write(b"x")
    except OSError as error:
        reason = error.strerror or str(error)
        raise UsageError(f"the home {home} cannot be written ({reason}); give another with --home DIR") from None


def check_space(home: Path, data_bytes: int) -> None:
    """Room for one copy of the images and what a run adds.

    Args:
        home: An existing folder on the disk in question.
        data_bytes: Size of the images, 0 where it is not known beforehand.
    """
    needed, free = data_bytes + SPARE_BYTES, shutil.disk_usage(home).free
    if free < needed:
        mib = 1024**2
        raise UsageError(
            f"the disk of the home {home} has {free // mib} MiB free, but this run needs about {needed // mib} MiB; "
            "free some space, or give a home on another disk with --home DIR"
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


def _dashed(key: str) -> str:
    return key.replace("_", "-")
