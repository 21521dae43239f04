"""Which model a candidate is compared with."""

import pytest

pytestmark = pytest.mark.filterwarnings("ignore")


def artifact(kind, number, **properties):
    from tfx.types import standard_artifacts

    result = getattr(standard_artifacts, kind)()
    result.id = number
    for key, value in properties.items():
        setter = result.set_int_custom_property if isinstance(value, int) else result.set_string_custom_property
        setter(key, value)
    return result


def blessings(model, *verdicts):
    judges = ("Evaluator", "TestEvaluator")
    return [
        artifact("ModelBlessing", 100 + model * 2 + i, blessed=verdict, current_model_id=model, component_id=judges[i])
        for i, verdict in enumerate(verdicts)
    ]


def resolve(models, all_blessings, candidate):
    from components.baseline import newest_blessed

    artifacts = {number: artifact("Model", number) for number in models}
    return [model.id for model in newest_blessed(list(artifacts.values()), all_blessings, [artifacts[candidate]])]


def test_nothing_before_the_first_model():
    assert resolve([1], [], 1) == []


def test_never_the_candidate_itself():
    assert resolve([1], blessings(1, 1, 1), 1) == []


def test_newest_other_one_that_both_judges_blessed():
    judged = blessings(1, 1, 1) + blessings(2, 1, 1) + blessings(3, 1, 0)
    assert resolve([1, 2, 3, 4], judged, 4) == [2]


def test_two_blessings_of_one_judge_are_one():
    judged = blessings(1, 1) + blessings(1, 1)
    assert resolve([1, 2], judged, 2) == []


def test_older_candidate_is_compared_with_the_newer_model():
    assert resolve([1, 2], blessings(1, 1, 1) + blessings(2, 1, 1), 1) == [2]
