"""The whole configuration of a run: data, model, training, gates, paths. Imports nothing heavy: every verb loads it."""

from dataclasses import dataclass, field

from components.ingest.data_gates import DataGates
from models.config import AlexNetConfig, DBNConfig, TrainingConfig
from models.ranges import FINITE, PENALTY, PERCENT, SEED, SHARE, Range
from models.settings import setting


@dataclass(frozen=True)
class GatesConfig(DataGates):
    """Limits that stop a run: those on its data and those on its model.

    Args:
        max_top1_error: Largest top-1 error on the test split, in percent; none for no limit but `min_gain`.
        max_top5_error: Largest top-5 error on the test split, in percent; none for no limit.
        max_squared_error: Largest mean squared error of a reconstruction on the test split, summed over the values of
            an image, which are scaled to [0, 1]; none for no limit but `min_gain`.
        min_log_probability: Smallest mean log-probability of the images of the test split, in nats; none for no limit
            but `min_gain`.
        min_gain: Smallest gain over the best constant answer, as a share of that answer's error: 0 is the constant
            answer itself, 1 a perfect model. The constant answer is the most frequent class; for a reconstruction it
            is the mean training image, for log-probabilities independent pixels. A negative gain accepts a model that
            is worse than the constant answer, for example in a smoke test on a few images.
        max_error_increase: Largest increase of the top-1 error on validation over the newest other blessed model, in
            percentage points.
        max_squared_error_increase: Largest increase of the squared error per image on validation over the newest other
            blessed model.
        max_log_probability_decrease: Largest decrease of the log-probability on validation below the newest other
            blessed model, in nats.

    Example:
        >>> gates = GatesConfig(max_top1_error=5.0)
        >>> gates.max_top1_error, gates.max_broken_percent
        (5.0, 0.1)
    """

    max_top1_error: float | None = field(default=None, metadata=setting(PERCENT))
    max_top5_error: float | None = field(default=None, metadata=setting(PERCENT))
    max_squared_error: float | None = field(default=None, metadata=setting(PENALTY))
    min_log_probability: float | None = field(default=None, metadata=setting(Range(-FINITE, 0)))
    min_gain: float = field(default=0.1, metadata=setting(Range(-FINITE, 1, open_high=True)))
    max_error_increase: float = field(default=0.0, metadata=setting(PERCENT))
    max_squared_error_increase: float = field(default=0.0, metadata=setting(PENALTY))
    max_log_probability_decrease: float = field(default=0.0, metadata=setting(PENALTY))


@dataclass(frozen=True)
class RunConfig:
    """The configuration of a run.

    Args:
        name: Name of the pipeline, of the MLflow experiment, of the registered model and of the served model.
        data: Data set: "digits" (bundled), "folder:PATH" (a folder of class folders) or "tfds:NAME" (any
            image-classification data set of TFDS); "imagenet2012" is short for "tfds:imagenet2012".
        data_dir: Folder of prepared TFDS data sets; none for TFDS' own default, ~/tensorflow_datasets.
        manual_dir: Folder of archives that TFDS does not download by itself, such as ImageNet's; none for TFDS' own
            default, <data_dir>/downloads/manual.
        wordnet_dir: Folder of WordNet 3.0 (data.noun), such as /usr/share/wordnet. Classes named by synset, such as
            n01440764, then get their words too, and evaluation a slice by kind (dog, bird, vehicle). None for neither.
        stored_size: Side, in pixels, of the stored images: at ingest the shorter side of every image is resized to it,
            and the central square is stored as JPEG; none stores the files as they are.
        validation_share: Share of the training images that becomes the validation split, if the data has none.
        test_share: Share of all images that becomes the test split, if the data has none.
        split_seed: Seed for the choice of the validation and test splits that the data lacks, and for the order of the
            images in the stored files.
        seed: Seed for initial weights, sampling and shuffling; models of different seeds are judged on the same
            images.
        home: Folder of everything that runs store.
        model: The network.
        training: Training by back-propagation.
        gates: Limits that stop a run.

    Example:
        >>> config = RunConfig("birds", data="folder:/pictures/birds")
        >>> config.model.family, config.training.epochs, config.gates.min_gain
        ('dbn', 40, 0.1)
    """

    name: str
    data: str = "digits"
    data_dir: str | None = None
    manual_dir: str | None = None
    wordnet_dir: str | None = None
    stored_size: int | None = field(default=None, metadata=setting(Range(16, 4096)))
    validation_share: float = field(default=0.1, metadata=setting(SHARE))
    test_share: float = field(default=0.1, metadata=setting(SHARE))
    split_seed: int = field(default=2006, metadata=setting(SEED))
    seed: int = field(default=2006, metadata=setting(SEED))
    home: str = "vision-tfx-home"
    model: AlexNetConfig | DBNConfig = field(default_factory=DBNConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    gates: GatesConfig = field(default_factory=GatesConfig)


@dataclass(frozen=True)
class _AlexNetRun(RunConfig):
    model: AlexNetConfig = field(default_factory=AlexNetConfig)


@dataclass(frozen=True)
class _DBNRun(RunConfig):
    model: DBNConfig = field(default_factory=DBNConfig)


# One type of run for each family: a parser can name the keys of a model only if their types are of one family.
RUN_TYPES: dict[str, type[RunConfig]] = {"alexnet": _AlexNetRun, "dbn": _DBNRun}
