"""The outcome of a finished run, read from its artifacts: results, refusals, the pushed model, the data."""

import csv
import io
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfx.utils import path_utils

from components import features
from components.blessing import INFRA_NOT_BLESSED, is_blessed
from components.evaluation import model_evaluation
from components.evaluation.measures import PARTITION
from components.evaluation.model_evaluation import OVERALL
from components.evaluation.results import TEN_CROP_TEST, Result
from components.export import layout, publishing
from components.export.density import partition_metrics
from components.ingest.manifest import count_images
from components.input_pipeline import image_data
from components.pusher import PUSHED_DESTINATION
from pipeline.reports import StationReport

if TYPE_CHECKING:
    from pipeline.dag import LocalDag

Stations = Mapping[str, StationReport]
_EVALUATORS = {features.VALIDATION: "Evaluator", features.TEST: "TestEvaluator"}
_TEN_CROPS = "TenCropEvaluator"


def _uri(stations: Stations, name: str, key: str) -> str:
    return stations[name].outputs[key][0]


def results(stations: Stations) -> tuple[Result, ...]:
    """Returns the results of the run over all images of each split, and log Z of a density.

    Args:
        stations: Reports of the run by name; every evaluator ran or was cached.
    """
    partition = partition_metrics({name: value for name, value in _partition(stations).items() if name != "warnings"})
    found = [Result(PARTITION[name], "", value) for name, value in partition.items()]
    for split in _EVALUATORS:
        found += _evaluation(stations, split)[OVERALL]
    if _TEN_CROPS in stations:
        by_slice = model_evaluation.read_results(_uri(stations, _TEN_CROPS, "evaluation"), TEN_CROP_TEST)
        found += (result for result in by_slice[OVERALL] if result.measure.best is not None)
    return tuple(found)


def _evaluation(stations: Stations, split: str) -> dict[str, tuple[Result, ...]]:
    return model_evaluation.read_results(_uri(stations, _EVALUATORS[split], "evaluation"), split)


def warnings(stations: Stations) -> tuple[str, ...]:
    """Returns the reasons not to trust the results: the diagnostics of annealed importance sampling."""
    return tuple(_partition(stations).get("warnings", ()))


def _partition(stations: Stations) -> dict[str, Any]:
    """Returns the model's estimate of its partition function; empty for a model without one."""
    file = Path(path_utils.serving_model_path(_uri(stations, "Trainer", "model")), layout.PARTITION_FILE)
    return dict(json.loads(file.read_text(encoding="utf-8"))) if file.is_file() else {}


def slices_table(stations: Stations, split: str) -> str:
    """Returns the results by class and by band of size and luminance as CSV, one line per slice, with 95 % intervals.

    Args:
        stations: Reports of the run by name.
        split: "validation" or "test".
    """
    by_slice = {
        name: {column: number for result in each for column, number in result.numbers.items()}
        for name, each in _evaluation(stations, split).items()
    }
    columns = sorted(by_slice[OVERALL])
    table = io.StringIO()
    writer = csv.writer(table)
    writer.writerow(["slice", *columns])
    for name in sorted(by_slice, key=lambda name: (name != OVERALL, name)):
        writer.writerow([name, *(f"{by_slice[name].get(column, float('nan')):.4g}" for column in columns)])
    return table.getvalue()


def refusals(stations: Stations) -> list[str]:
    """Returns why the model was not blessed, one line per threshold that it missed; empty if it was blessed."""
    lines = []
    for split, name in _EVALUATORS.items():
        if not is_blessed(Path(_uri(stations, name, "blessing"))):
            lines += [f"{split}: {line}" for line in model_evaluation.refusals(_uri(stations, name, "evaluation"))]
    infra = Path(_uri(stations, "InfraValidator", "blessing"))
    if not is_blessed(infra):
        lines.append("InfraValidator: " + Path(infra, INFRA_NOT_BLESSED).read_text(encoding="utf-8").strip())
    return lines


def recorded_push(dag: "LocalDag", stations: Stations) -> Path:
    """Returns the folder that Pusher wrote, in this run or in the cached one; it may have been removed since."""
    return Path(str(dag.properties(_uri(stations, "Pusher", "pushed_model"))[PUSHED_DESTINATION]))


def publish_again(stations: Stations, served: Path) -> Path:
    """Publishes the run's model again after the folder that Pusher wrote was removed.

    Args:
        stations: Reports of the run by name; the model is blessed.
        served: Base path of the served model.

    Returns:
        The folder of the new version.
    """
    version = publishing.push(Path(path_utils.serving_model_path(_uri(stations, "Trainer", "model"))), served)
    logging.warning("The pushed version was removed; it is published again as version %d.", version)
    return served / str(version)


@dataclass(frozen=True)
class DataFacts:
    """Facts about the data of a run.

    Args:
        digest: Hash of the content of all images.
        source: A folder, or the name of a data set.
        splits: Number of images by split.
        example: One encoded image of the validation split.
    """

    digest: str
    source: str
    splits: dict[str, int]
    example: bytes


def data_facts(dag: "LocalDag", stations: Stations, source: str) -> DataFacts:
    """Reads the facts about the data from ImageExampleGen's artifact.

    Args:
        dag: The pipeline that ran.
        stations: Reports of the run by name.
        source: A folder, or the name of a data set.
    """
    import tensorflow as tf

    uri = _uri(stations, "ImageExampleGen", "examples")
    [record] = image_data.read_records(uri, features.VALIDATION, 1)
    example = tf.train.Example.FromString(record).features.feature[features.IMAGE].bytes_list.value[0]
    digest = str(dag.properties(uri).get("input_fingerprint", ""))
    return DataFacts(digest, source, count_images(Path(uri)), example)
