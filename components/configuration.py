"""Configurations travel to the stations as JSON: an execution property that the cache key covers."""

import json
from dataclasses import asdict, dataclass, replace

from models.config import DBNConfig, PartitionConfig, RBMConfig, TrainingConfig, UpDownConfig

_PARTS = {"pretraining": RBMConfig, "up_down": UpDownConfig, "partition": PartitionConfig}


@dataclass(frozen=True)
class StationConfig:
    """What RBMPretrainer and Trainer need to know of a run.

    Args:
        model: the network.
        seed: of all randomness.
        splits: whose images are trained on.
        training: the supervised training; none for RBMPretrainer, whose result does not depend on it.
    """

    model: DBNConfig
    seed: int
    splits: tuple[str, ...] = ("train",)
    training: TrainingConfig | None = None

    def for_pretraining(self) -> "StationConfig":
        """Without what pretraining does not depend on, so that nothing of it makes a pretrained net stale."""
        model = replace(self.model, up_down=UpDownConfig(), partition=PartitionConfig())
        return replace(self, model=model, training=None)

    def to_json(self) -> str:
        """As JSON with sorted keys: equal configurations are equal texts."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "StationConfig":
        """The inverse of `to_json`."""
        values = json.loads(text)
        model = _with_tuples(values["model"])
        model |= {name: part(**_with_tuples(model[name])) for name, part in _PARTS.items()}
        training = values["training"] and TrainingConfig(**values["training"])
        return cls(DBNConfig(**model), values["seed"], tuple(values["splits"]), training)


def _with_tuples(values: dict) -> dict:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
