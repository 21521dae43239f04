"""Configurations travel to the stations as JSON: an execution property that the cache key covers."""

import json
from dataclasses import asdict, dataclass, fields, is_dataclass, replace
from typing import Any, get_type_hints

from models.config import (
    AlexNetConfig,
    AugmentationConfig,
    DBNConfig,
    PartitionConfig,
    TrainingConfig,
    UpDownConfig,
)

FAMILIES: dict[str, type] = {"dbn": DBNConfig, "alexnet": AlexNetConfig}


@dataclass(frozen=True)
class StationConfig:
    """What RBMPretrainer and Trainer need to know of a run.

    Args:
        model: the network.
        seed: of all randomness.
        splits: whose images are trained on.
        training: the supervised training; none for RBMPretrainer, whose result does not depend on it.
    """

    model: DBNConfig | AlexNetConfig
    seed: int
    splits: tuple[str, ...] = ("train",)
    training: TrainingConfig | None = None

    def for_pretraining(self) -> "StationConfig":
        """Without what pretraining does not depend on, so that nothing of it makes a pretrained net stale."""
        if isinstance(self.model, AlexNetConfig):
            model = replace(self.model, augmentation=AugmentationConfig(), initial_weights=None, dropout=None)
        else:
            model = replace(self.model, up_down=UpDownConfig(), partition=PartitionConfig())
        return replace(self, model=model, training=None)

    def to_json(self) -> str:
        """As JSON with sorted keys: equal configurations are equal texts."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "StationConfig":
        """The inverse of `to_json`."""
        values = json.loads(text)
        training = values["training"] and _built(TrainingConfig, values["training"])
        model = _built(FAMILIES[values["model"]["family"]], values["model"])
        return cls(model, values["seed"], tuple(values["splits"]), training)


def _built(kind: type, values: dict) -> Any:
    """A configuration from what `asdict` made of it and JSON of that: nested ones, and tuples that became lists."""
    hints = get_type_hints(kind)
    made = {}
    for name in (field.name for field in fields(kind)):
        value = values[name]
        if is_dataclass(hints[name]):
            value = _built(hints[name], value)
        made[name] = tuple(value) if isinstance(value, list) else value
    return kind(**made)
