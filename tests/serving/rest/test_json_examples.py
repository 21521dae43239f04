import numpy as np
import pytest

from serving.errors import Code, ServingError
from serving.rest.json_examples import read_examples
from serving.rest.json_text import request_object


def read(text):
    from tensorflow.core.example.example_pb2 import Example

    return [
        {name: values(feature) for name, feature in Example.FromString(each).features.feature.items()}
        for each in read_examples(request_object(text.encode()))
    ]


def values(feature):
    kind = feature.WhichOneof("kind")
    return list(getattr(feature, kind).value) if kind else None


def test_without_context():
    text = """{"examples": [{"names": ["foo", "bar"], "ratings": [8.0, 9.0], "age": 20},
                            {"names": ["baz"], "ratings": 6.0}]}"""
    assert read(text) == [
        {"names": [b"foo", b"bar"], "ratings": [8.0, 9.0], "age": [20]},
        {"names": [b"baz"], "ratings": [6.0]},
    ]


def test_with_context():
    text = """{"context": {"query": "pizza", "location": ["sfo"], "age": 1},
               "examples": [{"names": ["foo", "bar"], "ratings": [8.0, 9.0, NaN, Infinity], "age": 20},
                            {"names": ["baz", {"b64": "aGVsbG8="}], "mix": [1, true, false]},
                            {"ratings": -Infinity, "empty": [], "big": [1e39, -1e39, 3.4028235e38]}]}"""
    context = {"query": [b"pizza"], "location": [b"sfo"], "age": [1]}
    np.testing.assert_equal(
        read(text),
        [
            {**context, "names": [b"foo", b"bar"], "ratings": [8.0, 9.0, np.nan, np.inf], "age": [20]},
            {**context, "names": [b"baz", b"hello"], "mix": [1, 1, 0]},
            {
                **context,
                "ratings": [-np.inf],
                "empty": None,
                "big": [np.inf, -np.inf, float(np.finfo("f").max)],
            },
        ],
    )


@pytest.mark.parametrize("number", [0, 1, 127, 128, 300, -1, 2**63 - 1, -(2**63)])
def test_integers(number):
    assert read(f'{{"examples": [{{"n": [{number}, 5, {number}]}}]}}') == [{"n": [number, 5, number]}]


def test_long_strings_and_odd_names():
    text = "ö" * 100_000
    assert read(f'{{"examples": [{{"ä\\u0000": "{text}", "": true}}]}}') == [{"ä\0": [text.encode()], "": [1]}]


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ('{"signature_name": ["hello"], "examples": [{"names": ["foo"]}]}', "'signature_name' key must be a string"),
        ('{"context": [{"names": ["foo"]}]}', "Example must be JSON object but got JSON Array"),
        ("{}", "When method is classify, key 'examples' is expected and was not found"),
        ('{"examples": {"names": ["foo"]}}', "Expecting 'examples' value to be an list/array"),
        ('{"examples": []}', "'examples' value is an empty array"),
        ('{"examples": [[{"names": ["foo"]}]]}', "Example must be JSON object but got JSON Array"),
        ('{"examples": [5]}', "Example must be JSON object but got JSON Number"),
        ('{"examples": [{"names": [10, null]}]}', "Feature: names has element with unexpected JSON type: Null"),
        ('{"examples": [{"names": [10, 10.0]}]}', "in feature: names expecting type: int64"),
        ('{"examples": [{"names": [10.0, 10]}]}', "in feature: names expecting type: float"),
        ('{"examples": [{"names": ["a", true]}]}', "in feature: names expecting type: bytes"),
        ('{"examples": [{"names": [10, {"test": 10}]}]}', "names has element with unexpected JSON type: Object"),
        ('{"examples": [{"names": [[10], 20]}]}', "names has element with unexpected JSON type: Array"),
        ('{"examples": [{"names": [20, 18446744073709551603]}]}', "Only int64_t is supported"),
        ('{"examples": [{"names": {"b64": "?"}}]}', "Unable to base64 decode"),
    ],
)
def test_errors(text, part):
    with pytest.raises(ServingError) as caught:
        read(text)
    assert caught.value.code is Code.INVALID_ARGUMENT
    assert part in caught.value.message
