"""The configuration of RBMPretrainer and Trainer as JSON: an execution property, which TFX's cache key covers."""

import json
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from typing import Any, TypeVar, get_type_hints

from models.config import (
    AlexNetConfig,
    AugmentationConfig,
    DBNConfig,
    PartitionConfig,
    TrainingConfig,
    UpDownConfig,
)

FAMILIES: dict[str, type[DBNConfig] | type[AlexNetConfig]] = {"dbn": DBNConfig, "alexnet": AlexNetConfig}
_Config = TypeVar("_Config")


@dataclass(frozen=True)
class StationConfig:
    """The part of a run's configuration that RBMPretrainer and Trainer depend on.

    Args:
        model: The network.
        seed: Seed of all random numbers.
        splits: Names of the splits to train on.
        training: The supervised training; RBMPretrainer does not depend on it.

    Example:
        >>> config = StationConfig(DBNConfig(hidden_units=(20,)), seed=1)
        >>> StationConfig.from_json(config.to_json()) == config
        True
        >>> config.dbn.hidden_units
        (20,)
    """

    model: DBNConfig | AlexNetConfig
    seed: int
    splits: tuple[str, ...] = ("train",)
    training: TrainingConfig = field(default_factory=TrainingConfig)

    @property
    def dbn(self) -> DBNConfig:
        """The network, a deep belief net.

        Raises:
            TypeError: The network is an AlexNet.
        """
        if not isinstance(self.model, DBNConfig):
            raise TypeError(f"expected a DBNConfig, got {self.model}")
        return self.model

    @property
    def alexnet(self) -> AlexNetConfig:
        """The network, an AlexNet.

        Raises:
            TypeError: The network is a deep belief net.
        """
        if not isinstance(self.model, AlexNetConfig):
            raise TypeError(f"expected an AlexNetConfig, got {self.model}")
        return self.model

    def for_pretraining(self) -> "StationConfig":
        """Returns a copy with defaults for all settings that pretraining does not depend on.

        A change of these settings then leaves a pretrained net in the cache.
        """
        model: DBNConfig | AlexNetConfig
        if isinstance(self.model, AlexNetConfig):
            model = replace(self.model, augmentation=AugmentationConfig(), initial_weights=None, dropout=None)
        else:
            model = replace(self.model, up_down=UpDownConfig(), partition=PartitionConfig())
        return replace(self, model=model, training=TrainingConfig())

    def to_json(self) -> str:
        """Returns the configuration as JSON with sorted keys, so that equal configurations are equal texts."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "StationConfig":
        """Returns the configuration that `to_json` wrote."""
        values = json.loads(text)
        model = _built(FAMILIES[values["model"]["family"]], values["model"])
        return cls(model, values["seed"], tuple(values["splits"]), _built(TrainingConfig, values["training"]))


def _built(kind: type[_Config], values: dict[str, Any]) -> _Config:
    """Builds a dataclass from the dictionary of `asdict` after JSON, which turns tuples into lists."""
    hints = get_type_hints(kind)
    made = {}
    for each in fields(kind):  # type: ignore[arg-type]  # every kind here is a dataclass
        value = values[each.name]
        if is_dataclass(hints[each.name]):
            value = _built(hints[each.name], value)
        made[each.name] = tuple(value) if isinstance(value, list) else value
    return kind(**made)
