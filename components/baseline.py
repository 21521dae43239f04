"""Baseline: the newest blessed model other than the candidate.

With TFX's LatestBlessedModelStrategy an identical second run would evaluate and push again: its candidate, taken from
the cache, is by then the latest blessed model itself.
"""

from tfx.dsl.components.common.resolver import ResolverStrategy
from tfx.types.artifact import Artifact


def newest_blessed(
    models: list[Artifact], blessings: list[list[Artifact]], candidates: list[Artifact]
) -> list[Artifact]:
    """The newest model, other than the candidates, that every judge blessed; an empty list if there is none.

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
    return sorted((model for model in models if model.id in eligible), key=lambda model: model.id)[-1:]


class BaselineStrategy(ResolverStrategy):
    """Resolves `model` to the newest blessed one other than `candidate`; see `newest_blessed`."""

    def resolve_artifacts(self, store: object, input_dict: dict[str, list[Artifact]]) -> dict[str, list[Artifact]]:
        """Called by TFX's Resolver with all artifacts of its channels: one of blessings for each evaluator."""
        judges = [input_dict["validation_blessing"], input_dict["test_blessing"]]
        baseline = newest_blessed(input_dict["model"], judges, input_dict["candidate"])
        return {key: baseline if key == "model" else [] for key in input_dict}
