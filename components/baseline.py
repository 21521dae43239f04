"""Baseline: the newest blessed model of the candidate's kind, other than the candidate.

TFX's LatestBlessedModelStrategy would make an identical second run evaluate and push again: its candidate, which comes
from the cache, is by then the latest blessed model itself.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from tfx.dsl.components.common.resolver import ResolverStrategy
from tfx.types.artifact import Artifact
from tfx.utils import path_utils


def newest_blessed(
    models: Sequence[Artifact], blessings: Sequence[Sequence[Artifact]], candidates: Sequence[Artifact]
) -> list[Artifact]:
    """Returns the newest model, other than the candidates, that every evaluator blessed.

    Only models of the candidates' kind count: an autoencoder cannot be compared with a classifier of the same name.

    Args:
        models: All models of Trainer, in any order.
        blessings: All blessings of each evaluator, with the properties `blessed` and `current_model_id`.
        candidates: Models to be evaluated now.

    Returns:
        A list with the model; an empty list if there is none.

    Example:
        >>> from tfx.types import standard_artifacts
        >>> models = [standard_artifacts.Model(), standard_artifacts.Model()]
        >>> blessing = standard_artifacts.ModelBlessing()
        >>> for number, model in enumerate(models):
        ...     model.id = number
        >>> blessing.set_int_custom_property("blessed", 1)
        >>> blessing.set_int_custom_property("current_model_id", 0)
        >>> [model.id for model in newest_blessed(models, [[blessing]], models[1:])]
        [0]
    """
    blessed = [
        {b.get_int_custom_property("current_model_id") for b in every if b.get_int_custom_property("blessed") == 1}
        for every in blessings
    ]
    eligible = set.intersection(*blessed) - {candidate.id for candidate in candidates}
    kinds = [_assets(candidate) for candidate in candidates]
    alike = (model for model in models if model.id in eligible and _assets(model) in kinds)
    return sorted(alike, key=lambda model: model.id)[-1:]


def _assets(model: Artifact) -> set[str]:
    """Returns the names of a model's assets, which tell its kind: class names of a classifier, log Z of a density."""
    folder = Path(path_utils.serving_model_dir(model.uri), "assets")
    return {file.name for file in folder.iterdir()} if folder.is_dir() else set()


class BaselineStrategy(ResolverStrategy):
    """Resolver strategy that selects the baseline; see `newest_blessed`.

    | channel | content |
    |---|---|
    | `model` | all models of Trainer; resolves to the baseline |
    | `candidate` | the model of this run |
    | `validation_blessing`, `test_blessing` | all blessings of each evaluator |
    """

    def resolve_artifacts(
        self, store: object, input_dict: Mapping[str, Sequence[Artifact]]
    ) -> dict[str, list[Artifact]]:
        """Resolves `model` to the newest blessed model other than `candidate`, and the other channels to nothing."""
        blessings = [input_dict["validation_blessing"], input_dict["test_blessing"]]
        baseline = newest_blessed(input_dict["model"], blessings, input_dict["candidate"])
        return {key: baseline if key == "model" else [] for key in input_dict}
