"""Baseline: the newest blessed model of the candidate's kind, other than the candidate.

With TFX's LatestBlessedModelStrategy an identical second run would evaluate and push again: its candidate, taken from
the cache, is by then the latest blessed model itself.
"""

from pathlib import Path

from tfx.dsl.components.common.resolver import ResolverStrategy
from tfx.types.artifact import Artifact
from tfx.utils import path_utils


def newest_blessed(
    models: list[Artifact], blessings: list[list[Artifact]], candidates: list[Artifact]
) -> list[Artifact]:
    """The newest model, other than the candidates, that every judge blessed; an empty list if there is none.

    Only models of the candidates' kind count: an autoencoder cannot be compared with a classifier of the same name.

    Args:
        models: all that Trainer made, in any order.
        blessings: for each judge all of its blessings, with the properties `blessed` and `current_model_id`.
        candidates: the models to be judged now.
    """
    blessed = [
        {b.get_int_custom_property("current_model_id") for b in judge if b.get_int_custom_property("blessed") == 1}
        for judge in blessings
    ]
    eligible = set.intersection(*blessed) - {candidate.id for candidate in candidates}
    kinds = [_assets(candidate) for candidate in candidates]
    alike = (model for model in models if model.id in eligible and _assets(model) in kinds)
    return sorted(alike, key=lambda model: model.id)[-1:]


def _assets(model: Artifact) -> set[str]:
    """Names of the files that travel with a model: class names with a classifier, log Z with a density."""
    folder = Path(path_utils.serving_model_dir(model.uri), "assets")
    return {file.name for file in folder.iterdir()} if folder.is_dir() else set()


class BaselineStrategy(ResolverStrategy):
    """Resolves `model` to the newest blessed one other than `candidate`; see `newest_blessed`."""

    def resolve_artifacts(self, store: object, input_dict: dict[str, list[Artifact]]) -> dict[str, list[Artifact]]:
        """Called by TFX's Resolver with all artifacts of its channels: one of blessings for each evaluator."""
        judges = [input_dict["validation_blessing"], input_dict["test_blessing"]]
        baseline = newest_blessed(input_dict["model"], judges, input_dict["candidate"])
        return {key: baseline if key == "model" else [] for key in input_dict}
