"""Classify and regress over REST."""

import json

import numpy as np
import pytest
import urllib3

pytestmark = pytest.mark.lengthy

HTTP = urllib3.PoolManager(retries=False)


@pytest.fixture
def post(rest):
    """Returns the status and the document."""

    def ask(verb, document, model="half_plus_two"):
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        reply = HTTP.request("POST", f"{rest}/v1/models/{model}:{verb}", body=body)
        assert reply.headers["content-type"] == "application/json"
        return reply.status, json.loads(reply.data)

    return ask


def test_regress(post):
    document = {"signature_name": "regress_x_to_y", "examples": [{"x": 80.0}, {"x": [20.0]}]}
    for model in ("half_plus_two", "half_plus_two/versions/123"):
        assert post("regress", document, model) == (200, {"results": [42, 12]})


def test_classify(post):
    document = {"signature_name": "classify_x_to_y", "examples": [{"x": 20.0}]}
    assert post("classify", document) == (200, {"results": [[["", 12]]]})
    document["examples"] = [{"x": 10.0}]
    assert post("classify", document, "half_plus_two/versions/123") == (200, {"results": [[["", 7]]]})


def test_labels(post):
    document = {"signature_name": "classify_labels", "examples": [{"x": 4.0}, {"x": 0.0}]}
    status, answer = post("classify", document)
    assert status == 200
    assert [[label for label, _ in row] for row in answer["results"]] == [["low", "high"]] * 2
    np.testing.assert_allclose([[score for _, score in row] for row in answer["results"]], [[0.25, 0.75], [0.5, 0.5]])


def test_context(post):
    document = {"signature_name": "regress_x_to_y", "context": {"x": 80.0}, "examples": [{"y": 1}, {"x": 20.0}]}
    assert post("regress", document) == (200, {"results": [42, 12]})


def test_no_number(post):
    status, answer = post("regress", b'{"signature_name": "regress_x_to_y", "examples": [{"x": NaN}, {"x": -Inf}]}')
    assert status == 200
    np.testing.assert_array_equal(answer["results"], [np.nan, -np.inf])


@pytest.mark.parametrize("verb", ["classify", "regress"])
@pytest.mark.parametrize(
    ("document", "part"),
    [
        (b"", "JSON Parse error: The document is empty"),
        ({"signature_name": ["hello"], "examples": [{"x": 1.0}]}, "'signature_name' key must be a string"),
        ({}, "When method is classify, key 'examples' is expected and was not found"),
        ({"examples": {"x": 1.0}}, "value to be an list/array"),
        ({"examples": []}, "'examples' value is an empty array"),
        ({"examples": [[{"x": 1.0}]]}, "Example must be JSON object but got JSON Array"),
        ({"context": [1], "examples": 5}, "Example must be JSON object but got JSON Array"),
        ({"examples": [{"x": [10, None]}]}, "Feature: x has element with unexpected JSON type: Null"),
        ({"examples": [{"x": [10, {"test": 10}]}]}, "Feature: x has element with unexpected JSON type: Object"),
        ({"examples": [{"x": [[10], 20]}]}, "Feature: x has element with unexpected JSON type: Array"),
        ({"examples": [{"x": [10, 10.0]}]}, "feature: x expecting type: int64"),
        ({"examples": [{"x": [20, 18446744073709551603]}]}, "Only int64"),
        ({"signature_name": "nothing", "examples": [{"x": 1.0}]}, "No signature was found with the name: nothing"),
    ],
)
def test_errors(post, verb, document, part):
    status, answer = post(verb, document)
    assert status == 400
    assert part in answer["error"]


def test_unknown_model(post):
    status, answer = post("classify", {"examples": [{"x": 1.0}]}, "foo")
    assert status == 404
    assert "Servable not found for request: Latest(foo)" in answer["error"]


def test_a_signature_of_another_method(post):
    for verb in ("classify", "regress"):
        assert post(verb, {"signature_name": "serving_default", "examples": [{"x": 1.0}]})[0] == 400


def test_a_feature_that_is_missing(post):
    status, answer = post("regress", {"signature_name": "regress_x_to_y", "examples": [{"y": 1.0}]})
    assert status == 400
    assert "x" in answer["error"]
