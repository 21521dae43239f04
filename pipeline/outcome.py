"""What a finished run comes to, read from its artifacts: results, refusals, the pushed model, the data."""

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
from components.blessing import is_blessed
from components.evaluation import eval_config
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


def metrics(stations: Stations) -> dict[str, float]:
    """Figures of the whole run: see `evaluator.read_metrics`, with the split's name before each, and log Z in nats."""
    values = partition_metrics({name: value for name, value in _partition(stations).items() if name != "warnings"})
    for split, name in _EVALUATORS.items():
        overall = eval_config.read_metrics(_uri(stations, name, "evaluation"))["overall"]
        values |= {f"{split}_{metric}": value for metric, value in overall.items()}
    if _TEN_CROPS in stations:
        overall = eval_config.read_metrics(_uri(stations, _TEN_CROPS, "evaluation"))["overall"]
        values |= {f"test_ten_crop_{metric}": value for metric, value in overall.items() if "error" in metric}
    return values


def warnings(stations: Stations) -> tuple[str, ...]:
    """Reasons not to trust the figures: what annealed importance sampling says of itself."""
    return tuple(_partition(stations).get("warnings", ()))


def _partition(stations: Stations) -> dict[str, Any]:
    """What the model says of its partition function; empty for a model without one."""
    file = Path(path_utils.serving_model_path(_uri(stations, "Trainer", "model")), layout.PARTITION_FILE)
    return dict(json.loads(file.read_text(encoding="utf-8"))) if file.is_file() else {}


def slices_table(stations: Stations, split: str) -> str:
    """Measures by class and by band of size and luminance, as CSV: one line per slice, with 95 % intervals."""
    by_slice = eval_config.read_metrics(_uri(stations, _EVALUATORS[split], "evaluation"))
    columns = sorted(by_slice["overall"])
    table = io.StringIO()
    writer = csv.writer(table)
    writer.writerow(["slice", *columns])
    for name in sorted(by_slice, key=lambda name: (name != "overall", name)):
        writer.writerow([name, *(f"{by_slice[name].get(column, float('nan')):.4g}" for column in columns)])
    return table.getvalue()


def refusals(stations: Stations) -> list[str]:
    """Why the model was not blessed, one line per judge that refused; empty if all blessed it."""
    lines = []
    for split, name in _EVALUATORS.items():
        if not is_blessed(Path(_uri(stations, name, "blessing"))):
            lines += [f"{split}: {line}" for line in eval_config.refusals(_uri(stations, name, "evaluation"))]
    infra = Path(_uri(stations, "InfraValidator", "blessing"))
    if not is_blessed(infra):
        lines.append("InfraValidator: " + Path(infra, "INFRA_NOT_BLESSED").read_text(encoding="utf-8").strip())
    return lines


def recorded_push(dag: "LocalDag", stations: Stations) -> Path:
    """The folder that Pusher wrote, in this run or in the one that the cache remembers; it may be gone since."""
    return Path(str(dag.properties(_uri(stations, "Pusher", "pushed_model"))[PUSHED_DESTINATION]))


def publish_again(stations: Stations, served: Path) -> Path:
    """Publishes the run's model after somebody removed what Pusher wrote.

    Args:
        stations: the run's reports; every judge blessed.
        served: base path of the served model.

    Returns:
        The folder of the new version.
    """
    version = publishing.push(Path(path_utils.serving_model_path(_uri(stations, "Trainer", "model"))), served)
    logging.warning("The pushed version was removed; it is published again as version %d.", version)
    return served / str(version)


@dataclass(frozen=True)
class DataFacts:
    """What a run was made on.

    Args:
        digest: hash of the content of all images.
        source: a folder or the name of a data set.
        splits: number of images by split.
        example: one encoded image of the validation split.
    """

    digest: str
    source: str
    splits: dict[str, int]
    example: bytes


def data_facts(dag: "LocalDag", stations: Stations, source: str) -> DataFacts:
    """Reads the facts of ImageExampleGen's artifact."""
    import tensorflow as tf

    uri = _uri(stations, "ImageExampleGen", "examples")
    [record] = image_data.read_records(uri, features.VALIDATION, 1)
    example = tf.train.Example.FromString(record).features.feature[features.IMAGE].bytes_list.value[0]
    digest = str(dag.properties(uri).get("input_fingerprint", ""))
    return DataFacts(digest, source, count_images(Path(uri)), example)
