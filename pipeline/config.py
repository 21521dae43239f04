"""The whole configuration of a run: data, model, training, gates, paths. Standard library and `models.config` only."""

from dataclasses import dataclass, field

from models.config import AlexNetConfig, DBNConfig, TrainingConfig


@dataclass(frozen=True)
class GatesConfig:
    """What stops a run. Errors and shares are in percent.

    Args:
        max_broken_percent: Share of files that may be undecodable, truncated, empty or absurdly large.
        max_leaked_percent: Share of images that may occur in more than one split.
        allow_missing_classes: Whether a class may be missing from a split.
        max_top1_error: Largest top-1 error on the test split; none means only `min_gain` is asked.
        max_top5_error: Largest top-5 error on the test split; none means it is not asked.
        max_squared_error: Largest mean squared error of a reconstruction on the test split, summed over the values of
            an image, which are scaled to [0, 1]; none means only `min_gain` is asked.
        min_log_probability: Least mean log-probability of the images of the test split, in nats; none means only
            `min_gain` is asked.
        min_gain: How far the model must be above the best constant answer, as a share of what that answer gets
            wrong: 0 is the constant answer itself, 1 a perfect model. The constant answer is the most frequent class;
            for a reconstruction the mean training image; for log-probabilities independent pixels. Below 0 even a
            model that is worse than that passes, as when a few images only try the road out.
        max_error_increase: How many percentage points the top-1 error on validation may lie above the error of the
            newest other blessed model.
        max_squared_error_increase: How much the squared error per image on validation may lie above that of the newest
            other blessed model.
        max_log_probability_decrease: How many nats the log-probability on validation may lie below that of the newest
            other blessed model.
    """

    max_broken_percent: float = 0.1
    max_leaked_percent: float = 0.0
    allow_missing_classes: bool = False
    max_top1_error: float | None = None
    max_top5_error: float | None = None
    max_squared_error: float | None = None
    min_log_probability: float | None = None
    min_gain: float = 0.1
    max_error_increase: float = 0.0
    max_squared_error_increase: float = 0.0
    max_log_probability_decrease: float = 0.0


@dataclass(frozen=True)
class RunConfig:
    """Everything that decides what a run does.

    Args:
        name: Name of the pipeline, the MLflow experiment, the registered model and the served model.
        data: "digits" (bundled), "folder:PATH" (class folders), "tfds:NAME" (any TFDS image-classification data set);
            "imagenet2012" is short for "tfds:imagenet2012".
        data_dir: Where TFDS data sets are prepared; none means TFDS' own default, ~/tensorflow_datasets.
        manual_dir: Folder of the archives that a TFDS data set does not download by itself, such as ImageNet's; none
            means TFDS' own default, <data_dir>/downloads/manual.
        wordnet_dir: Folder of WordNet 3.0 (data.noun), such as /usr/share/wordnet; classes named by synset, such as
            n01440764, then have their words too, and evaluation a slice by kind (dog, bird, vehicle). None leaves them.
        stored_size: Pixels. The shorter side of every image is brought to it once, at ingest, the central square cut
            out and stored as JPEG; none keeps the files as they are.
        validation_share: Part of the training images that becomes the validation split where there is none.
        test_share: Part of all images that becomes the test split where there is none.
        split_seed: Decides which images become the validation and test splits where there are none, and their order in
            the files.
        seed: Decides initial weights, sampling and shuffling. Models of other seeds are judged on the same images.
        home: Folder that holds all that runs leave behind.
        model: The network.
        training: Its training by back-propagation.
        gates: What stops the run.
    """

    name: str
    data: str = "digits"
    data_dir: str | None = None
    manual_dir: str | None = None
    wordnet_dir: str | None = None
    stored_size: int | None = None
    validation_share: float = 0.1
    test_share: float = 0.1
    split_seed: int = 2006
    seed: int = 2006
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


# A run of each family of models: only with one kind of model can a parser say what each of its keys accepts.
RUN_TYPES: dict[str, type[RunConfig]] = {"alexnet": _AlexNetRun, "dbn": _DBNRun}
for _run in RUN_TYPES.values():
    _run.__doc__ = RunConfig.__doc__
