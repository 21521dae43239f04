"""Selection of the model that a candidate is compared with."""


def artifact(kind, number, **properties):
    from tfx.types import standard_artifacts

    result = getattr(standard_artifacts, kind)()
    result.id = number
    for key, value in properties.items():
        setter = result.set_int_custom_property if isinstance(value, int) else result.set_string_custom_property
        setter(key, value)
    return result


def blessings(*verdicts):
    """Returns the blessings of one evaluator from (model, verdict) pairs."""
    return [
        artifact("ModelBlessing", 100 + model, blessed=verdict, current_model_id=model) for model, verdict in verdicts
    ]


def resolve(models, judges, candidate):
    from components.baseline import newest_blessed

    artifacts = {number: artifact("Model", number) for number in models}
    return [model.id for model in newest_blessed(list(artifacts.values()), judges, [artifacts[candidate]])]


def test_nothing_before_the_first_model():
    assert resolve([1], [[], []], 1) == []


def test_never_the_candidate_itself():
    assert resolve([1], [blessings((1, 1)), blessings((1, 1))], 1) == []


def test_newest_other_one_that_every_judge_blessed():
    validation, test = blessings((1, 1), (2, 1), (3, 1)), blessings((1, 1), (2, 1), (3, 0))
    assert resolve([3, 1, 4, 2], [validation, test], 4) == [2]


def test_one_judge_is_not_enough():
    assert resolve([1, 2], [blessings((1, 1), (1, 1)), []], 2) == []


def test_older_candidate_is_compared_with_the_newer_model():
    judge = blessings((1, 1), (2, 1))
    assert resolve([1, 2], [judge, judge], 1) == [2]


def test_a_model_of_another_kind_is_no_baseline(tmp_path):
    from components.baseline import newest_blessed

    models = [artifact("Model", number) for number in (1, 2, 3)]
    for model, asset in zip(models, ("labels.txt", "log_partition.json", "labels.txt"), strict=True):
        model.uri = str(tmp_path / str(model.id))
        assets = tmp_path / str(model.id) / "Format-Serving" / "assets"
        assets.mkdir(parents=True)
        (assets / asset).touch()
    judge = blessings((1, 1), (2, 1))
    assert newest_blessed(models, [judge, judge], [models[2]]) == [models[0]]
