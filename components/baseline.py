"""Baseline: the newest blessed model other than the candidate.

With TFX's LatestBlessedModelStrategy an identical second run would evaluate and push again: its candidate, taken from
the cache, is by then the latest blessed model itself.
"""

from collections import Counter

from tfx.dsl.components.common.resolver import ResolverStrategy
from tfx.types.artifact import Artifact

# Both evaluators, on validation and on test, have to bless a model.
_JUDGES = 2


def newest_blessed(models: list[Artifact], blessings: list[Artifact], candidates: list[Artifact]) -> list[Artifact]:
    """The newest model, other than the candidates, that both evaluators blessed; an empty list if there is none.

    Args:
        models: all that Trainer made, in any order.
        blessings: all of both evaluators, with custom properties `blessed` and `current_model_id`.
        candidates: the models to be judged now.
    """
    yes = {
        (blessing.get_int_custom_property("current_model_id"), blessing.get_string_custom_property("component_id"))
        for blessing in blessings
        if blessing.get_int_custom_property("blessed") == 1
    }
    votes = Counter(model for model, _ in yes)
    excluded = {candidate.id for candidate in candidates}
    eligible = [model for model in models if model.id not in excluded and votes[model.id] >= _JUDGES]
    return sorted(eligible, key=lambda model: model.id)[-1:]


class BaselineStrategy(ResolverStrategy):
    """Resolves `model` to the newest blessed one other than `candidate`; see `newest_blessed`."""

    def resolve_artifacts(self, store: object, input_dict: dict[str, list[Artifact]]) -> dict[str, list[Artifact]]:
        """Called by TFX's Resolver with all artifacts of the channels `model`, `model_blessing` and `candidate`."""
        baseline = newest_blessed(input_dict["model"], input_dict["model_blessing"], input_dict["candidate"])
        return {"model": baseline, "model_blessing": [], "candidate": []}
