"""The reason why a node ran, from a real metadata store."""

import json

import pytest


@pytest.fixture
def store():
    import ml_metadata
    from ml_metadata.proto import metadata_store_pb2 as mlmd

    config = mlmd.ConnectionConfig()
    config.fake_database.SetInParent()
    return ml_metadata.MetadataStore(config)


class Node:
    """The executions of one node in a metadata store."""

    def __init__(self, store):
        from ml_metadata.proto import metadata_store_pb2 as mlmd

        self.mlmd, self.store = mlmd, store
        self.type = store.put_execution_type(mlmd.ExecutionType(name="Trainer"))
        self.artifacts = store.put_artifact_type(mlmd.ArtifactType(name="Examples"))
        node = store.put_context_type(mlmd.ContextType(name="node"))
        [self.context] = store.put_contexts([mlmd.Context(type_id=node, name="digits.Trainer")])

    def execute(self, state="COMPLETE", examples=1, **parameters):
        """Adds an execution with an input and parameters, and returns why it was not cached."""
        from pipeline.cache_reason import why_not_cached

        mlmd = self.mlmd
        execution = mlmd.Execution(type_id=self.type, last_known_state=mlmd.Execution.State.Value(state))
        for name, value in {"__TFX_internal__": str(state), **parameters}.items():
            execution.custom_properties[name].string_value = value
        [execution.id] = self.store.put_executions([execution])
        uri = f"examples/{examples}"
        known = self.store.get_artifacts_by_uri(uri)
        [artifact] = (
            [known[0].id] if known else self.store.put_artifacts([mlmd.Artifact(type_id=self.artifacts, uri=uri)])
        )
        event = mlmd.Event(artifact_id=artifact, execution_id=execution.id, type=mlmd.Event.INPUT)
        event.path.steps.add().key = "examples"
        self.store.put_events([event])
        association = mlmd.Association(execution_id=execution.id, context_id=self.context)
        self.store.put_attributions_and_associations([], [association])
        [stored] = self.store.get_executions_by_id([execution.id])
        return why_not_cached(self.store, stored)


@pytest.fixture
def node(store):
    return Node(store)


def custom(epochs, source="a"):
    return json.dumps({"config": json.dumps({"training": {"epochs": epochs}}), "fingerprint": source})


def test_first_run(node):
    assert node.execute() == "first run"


def test_a_failed_run_is_not_an_earlier_one(node):
    node.execute("FAILED")
    assert node.execute() == "first run"


def test_a_parameter_within_json_is_named(node):
    node.execute(custom_config=custom(10))
    assert node.execute(custom_config=custom(20)) == "changed: training.epochs"


def test_source_and_input(node):
    node.execute(custom_config=custom(10))
    assert node.execute(custom_config=custom(10, "b"), examples=2) == "changed: examples, source code"


def test_a_digest_that_a_cached_execution_lacks_has_not_changed(node):
    node.execute(input_fingerprint="x", fingerprint="a")
    node.execute("CACHED", fingerprint="a")
    assert node.execute(input_fingerprint="x", fingerprint="b") == "changed: source code"
    assert node.execute(input_fingerprint="y", fingerprint="b") == "changed: data"


def test_nothing_changed_but_the_outputs_are_gone(node):
    node.execute()
    assert node.execute() == "its cached outputs are gone"
