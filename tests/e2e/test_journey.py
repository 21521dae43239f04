"""The journey of a user with a folder of three classes: first run, repeats, changes, refusals, rollback."""

from collections import Counter
from dataclasses import replace

import pytest

pytestmark = pytest.mark.e2e

BEFORE_TRAINER = (
    *("ImageExampleGen", "StatisticsGen", "SchemaGen", "ExampleValidator", "DataGate", "Transform", "RBMPretrainer"),
)
STATIONS = (*BEFORE_TRAINER, "Trainer", "Baseline", "Evaluator", "TestEvaluator", "InfraValidator", "Pusher")


def artifact(place, station: str, key: str):
    """Folder of a node's first artifact, which the first run made."""
    folders = (place.home / place.name / "artifacts" / station / key).iterdir()
    return min(folders, key=lambda folder: int(folder.name))


def test_first_run_pushes(first):
    place, done = first
    assert done.code == 0
    assert done.err == ""
    assert tuple(done.statuses) == STATIONS
    assert set(done.statuses.values()) == {"ran", "resolved"}
    assert f"Blessed and pushed as version {place.versions[0]}." in done.out


def test_three_classes_have_no_top_five(first, cli):
    place, done = first
    assert "top-1 error" in done.out
    assert "top-5" not in done.out
    answer = place.predict(place.an_image)
    assert answer["classes"][0] == "zöld fa"
    assert sorted(answer["classes"]) == ["rotes Auto", "zöld fa", "青 ボール"]
    assert sum(answer["scores"]) == pytest.approx(1, abs=1e-5)


def test_no_image_is_lost_on_the_way(first):
    import pyarrow.parquet

    from components.evaluation.model_evaluation import read_results
    from components.evaluation.results import flat

    place, _ = first
    manifest = pyarrow.parquet.read_table(artifact(place, "ImageExampleGen", "examples") / "manifest.parquet")
    assert Counter(manifest["verdict"].to_pylist()) == {"ok": 96}
    splits = Counter(manifest["split"].to_pylist())
    counts = {}
    for split, station in (("validation", "Evaluator"), ("test", "TestEvaluator")):
        results = read_results(str(artifact(place, station, "evaluation")), split)["overall"]
        counts[split] = int(flat(results)[f"{split}_example_count"])
    assert counts == {"validation": splits["validation"], "test": 24}  # val/ is the test split
    assert splits["train"] + counts["validation"] + counts["test"] == 96


def test_the_same_again_does_nothing(pushed):
    pushed.run()  # other tests may have pushed another model, with which this one is compared then
    before = pushed.versions
    done = pushed.run()
    assert done.code == 0
    assert set(done.statuses.values()) == {"cached", "resolved"}
    assert "Up to date" in done.out
    assert pushed.versions == before
    assert pushed.mlflow_statuses() == ("FINISHED", Counter({"FINISHED": len(STATIONS)}))


def test_a_shown_configuration_is_the_same_run(pushed, cli, tmp_path):
    shown = cli("show", "--data", f"folder:{pushed.data}", "--name", pushed.name, "--home", pushed.home, *pushed.model)
    assert shown.code == 0
    (tmp_path / "config.yaml").write_text(shown.out)
    pushed.run()
    before = pushed.versions
    done = cli("run", "--config", tmp_path / "config.yaml")
    assert done.code == 0
    assert set(done.statuses.values()) == {"cached", "resolved"}
    assert pushed.versions == before


def test_a_worse_model_is_refused_and_the_better_one_served(pushed):
    before = pushed.versions
    # One epoch of 1e-6: the untrained net.
    done = pushed.run("--training.epochs", 1, "--training.learning-rate", 1e-6, "--gates.min-gain", 0)
    assert done.code == 3
    assert "above that of the newest other blessed model; --gates.max-error-increase allows 0.00" in done.sentence
    assert f"version {before[-1]} stays served" in done.out
    assert pushed.versions == before
    pushed.assert_tidy("FINISHED")


def test_only_nodes_affected_by_a_change_run_again(pushed):
    done = pushed.run("--training.epochs", 11)
    assert {name: done.statuses[name] for name in BEFORE_TRAINER} == dict.fromkeys(BEFORE_TRAINER, "cached")
    assert done.statuses["Trainer"] == done.statuses["Evaluator"] == done.statuses["InfraValidator"] == "ran"
    assert "changed: training.epochs" in done.note("Trainer")
    assert "changed: model" in done.note("InfraValidator")
    assert done.code == 0


def test_a_diverging_training_is_reported(pushed):
    before = pushed.versions
    done = pushed.run("--training.learning-rate", 1e6, "--training.weight-cost", 0.1, "--gates.max-error-increase", 100)
    assert done.code == 1
    assert "the training diverged: its loss is not a finite number between updates" in done.sentence
    assert "lower --training.learning-rate" in done.sentence
    assert pushed.versions == before


def test_a_bound_that_is_not_met_refuses(pushed):
    before = pushed.versions
    done = pushed.run("--gates.max-top5-error", 3)
    assert done.code == 3
    assert "top5_error cannot be measured with so few classes; leave out --gates.max-top5-error" in done.sentence
    assert done.statuses["Trainer"] == "cached"
    assert done.statuses["TestEvaluator"] == "ran"
    assert pushed.versions == before
    assert pushed.run().code == 0  # the good configuration still passes


def test_rollback_serves_the_older_version(pushed, cli):
    from mlflow import MlflowClient

    if len(pushed.versions) < 2:
        pushed.run("--training.epochs", 10)
    *_, older, newest = pushed.versions
    done = cli("rollback", pushed.name, "--home", pushed.home)
    assert done.code == 0, done.err
    served = pushed.versions[-1]
    assert served > newest
    assert f"version {older} is published again as version {served}" in done.out
    model = pushed.home / "serving" / pushed.name
    variables = "variables/variables.data-00000-of-00001"
    assert (model / str(served) / variables).read_bytes() == (model / str(older) / variables).read_bytes()
    assert pushed.predict(pushed.an_image)["version"] == served
    champion = MlflowClient(f"sqlite:///{pushed.home / 'mlflow.db'}").get_model_version_by_alias(
        pushed.name, "champion"
    )
    assert champion.tags["serving_version"] == str(served)


def test_another_name_has_a_baseline_of_its_own(pushed, cli):
    other = replace(pushed, name="others")
    assert cli("rollback", other.name, "--home", other.home).code == 2
