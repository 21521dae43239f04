"""Predict over REST: the requests of TensorFlow Serving's own tests, and those that follow from its source."""

import base64
import gzip
import json

import numpy as np
import pytest
import urllib3

pytestmark = pytest.mark.lengthy

HTTP = urllib3.PoolManager(retries=False)
HALF = "/v1/models/half_plus_two:predict"


@pytest.fixture
def post(rest):
    def ask(target, document, **headers):
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        return HTTP.request("POST", rest + target, body=body, headers=headers)

    return ask


@pytest.fixture
def predict(post):
    """Returns the response of half_plus_two, or of another model, to a valid document."""

    def ask(document, target=HALF):
        reply = post(target, document)
        assert (reply.status, reply.headers["content-type"]) == (200, "application/json"), reply.data
        return json.loads(reply.data)

    return ask


@pytest.fixture
def refusal(post):
    """Returns the status and the error for an invalid document."""

    def ask(document, target=HALF):
        reply = post(target, document)
        answer = json.loads(reply.data)
        assert list(answer) == ["error"]
        return reply.status, answer["error"]

    return ask


@pytest.fixture
def echo(predict):
    """Returns the response of a type's signature of the model `echoes` to a value in columns."""

    def ask(kind, value):
        return predict({"signature_name": kind, "inputs": value}, "/v1/models/echoes:predict")["outputs"]

    return ask


class TestHalfPlusTwo:
    def test_latest(self, predict):
        assert predict({"instances": [1.0, 2.0, 5.0]}) == {"predictions": [2.5, 3.0, 4.5]}

    def test_version(self, predict):
        target = "/v1/models/half_plus_two/versions/123:predict"
        assert predict({"instances": [1.0, 2.0]}, target) == {"predictions": [2.5, 3.0]}
        document = {"signature_name": "serving_default", "instances": [3.0, 4.0]}
        assert predict(document, target) == {"predictions": [3.5, 4.0]}

    def test_columns(self, predict):
        assert predict({"inputs": [3.0, 4.0]}) == {"outputs": [3.5, 4.0]}
        assert predict({"inputs": {"x": [3.0, 4.0]}}) == {"outputs": [3.5, 4.0]}
        assert predict({"instances": [{"x": 3.0}, {"x": 4.0}]}) == {"predictions": [3.5, 4.0]}

    def test_extras_are_ignored_in_columns_only(self, predict, refusal):
        assert predict({"inputs": {"x": [3.0], "more": 1}, "unknown": 1}) == {"outputs": [3.5]}
        status, error = refusal({"instances": [{"x": 3.0, "more": 1}]})
        assert (status, "Failed to process element: 0" in error) == (400, True)

    def test_any_content_type(self, post):
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        assert post(HALF, {"instances": [1.0]}, **headers).status == 200

    def test_predict_on_other_methods_of_signature(self, predict):
        from tensorflow.core.example.example_pb2 import Example

        example = Example()
        example.features.feature["x"].float_list.value.append(80.0)
        text = base64.b64encode(example.SerializeToString()).decode()
        document = {"signature_name": "regress_x_to_y", "instances": [{"b64": text}]}
        assert predict(document) == {"predictions": [[42.0]]}


class TestTolerance:
    def test_no_numbers(self, post):
        reply = post(HALF, b'{"instances": [NaN, Infinity, -Infinity, Inf, -Inf]}')
        answer = json.loads(reply.data)["predictions"]
        np.testing.assert_array_equal(answer, [np.nan, np.inf, -np.inf, np.inf, -np.inf])
        assert b"NaN" in reply.data
        assert b"-Infinity" in reply.data

    def test_after_the_document_and_before_it(self, post):
        assert post(HALF, b'\xef\xbb\xbf{"instances": [1.0]}X').status == 200

    def test_first_of_two_keys(self, predict):
        assert predict(b'{"instances": [1.0], "instances": [2.0]}') == {"predictions": [2.5]}

    def test_depth(self, refusal):
        status, error = refusal(b'{"signature_name":' + b"[" * 500_000)
        assert (status, error.startswith("JSON Parse error: ")) == (400, True)

    def test_gzip(self, post):
        body = gzip.compress(b'{"instances": [1.0]}')
        headers = {"Content-Encoding": "gzip"}
        assert json.loads(post(HALF, body, **headers).data) == {"predictions": [2.5]}
        for broken in (b'{"instances": [1.0]}', body[:-9]):
            reply = post(HALF, broken, **headers)
            assert reply.status == 400
            assert "JSON Parse error: The document is empty" in json.loads(reply.data)["error"]

    def test_answers_are_not_packed(self, post):
        reply = post(HALF, {"instances": [1.0] * 1000}, **{"Accept-Encoding": "gzip"})
        assert "content-encoding" not in reply.headers


class TestErrors:
    @pytest.mark.parametrize(
        ("body", "part"),
        [
            (b"", "JSON Parse error: The document is empty"),
            (b"instances = [1, 2]", "JSON Parse error: Invalid value"),
            (b"[1.0]", "Is not object"),
            ({"signature_name": 5, "instances": [1.0]}, "'signature_name' key must be a string value."),
            (
                {"signature_name": "nothing", "instances": [1.0]},
                'Serving signature name: "nothing" not found in signature def',
            ),
            ({"instances": [1.0], "inputs": [1.0]}, "Not formatted correctly expecting only one of"),
            ({"predict": 1}, "Missing 'inputs' or 'instances' key"),
            ({"instances": 1.0}, "to be an list/array"),
            ({"instances": []}, "No values in 'instances' array"),
            ({"instances": ["x"]}, 'JSON Value: "x" Type: String is not of expected type: float'),
            ({"instances": ["x"]}, "Failed to process element: 0 of 'instances' list. Error: "),
            ({"instances": [[1, 2], [3]]}, "Expecting tensor size: 2 but got: 1"),
            ({"instances": [[1, 2], [[3, 4]]]}, "Expecting shape [2] but got: [1,2]"),
            ({"instances": [{"x": 1.0}, 1.0]}, "Expecting object but got list at item 1 of input list"),
            ({"instances": [1.0, {"x": 1.0}]}, "Expecting value/list but got object at item 1 of input list"),
            ({"instances": [{"y": 1.0}]}, "does not have named input: y"),
            ({"instances": [{"x": 1.0}, {}]}, "keys must be equal to: x"),
            ({"inputs": {"y": 1.0}}, "Missing named input: x in 'inputs' object."),
        ],
    )
    def test_documents(self, refusal, body, part):
        status, error = refusal(body)
        assert status == 400
        assert part in error

    @pytest.mark.parametrize(
        ("target", "status", "part"),
        [
            ("/v1/models/foo:predict", 404, "Servable not found for request: Latest(foo)"),
            ("/v1/models/foo/versions/50:predict", 404, "Servable not found for request: Specific(foo, 50)"),
            ("/v1/models/half_plus_two99:predict", 404, "Servable not found for request"),
            ("/v1/models/half_plus_two/labels/unknown:predict", 400, "Unrecognized servable version label: unknown"),
        ],
    )
    def test_models(self, refusal, target, status, part):
        received, error = refusal({"instances": [1.0]}, target)
        assert received == status
        assert part in error

    def test_the_parser_comes_before_the_model(self, refusal):
        assert refusal(b"{", "/v1/models/foo:predict")[0] == 400
        assert refusal({"signature_name": "x", "instances": []}, "/v1/models/foo:predict")[0] == 404

    def test_a_shape_that_the_graph_refuses(self, refusal):
        status, error = refusal({"instances": [[1.0] * 63]}, "/v1/models/matrix:predict")
        assert (status, bool(error)) == (400, True)


class TestSeveral:
    TARGET = "/v1/models/sums:predict"

    def test_rows(self, predict):
        answer = predict({"instances": [{"a": 1, "b": 2}, {"a": 5, "b": 7}]}, self.TARGET)
        assert answer == {"predictions": [{"sum": 3, "difference": -1}, {"sum": 12, "difference": -2}]}

    def test_columns(self, predict):
        answer = predict({"inputs": {"a": [1, 5], "b": [2, 7]}}, self.TARGET)
        assert answer == {"outputs": {"sum": [3, 12], "difference": [-1, -2]}}

    def test_bare_values(self, refusal):
        status, error = refusal({"instances": [1.0]}, self.TARGET)
        assert status == 400
        assert "instances is a plain list, but expecting list of objects as multiple input tensors required" in error
        status, error = refusal({"inputs": [1.0]}, self.TARGET)
        assert status == 400
        assert "inputs is a plain value/list, but expecting an object as multiple input tensors required" in error

    def test_outputs_without_a_common_batch(self, predict, refusal):
        rows, columns = {"instances": [{"a": 1, "b": 2}]}, {"inputs": {"a": [1], "b": [2]}}
        status, error = refusal({"signature_name": "uneven", **rows}, self.TARGET)
        assert status == 400
        assert "has inconsistent batch size: " in error
        answer = predict({"signature_name": "uneven", **columns}, self.TARGET)
        assert answer == {"outputs": {"sum": [3], "joined": [1, 2]}}

    def test_scalar_output(self, predict, refusal):
        rows, columns = {"instances": [{"a": 1, "b": 2}]}, {"inputs": {"a": [1], "b": [2]}}
        status, error = refusal({"signature_name": "scalar", **rows}, self.TARGET)
        assert status == 400
        assert "has no shape information" in error
        assert predict({"signature_name": "scalar", **columns}, self.TARGET) == {"outputs": 3}


class TestTypes:
    @pytest.mark.parametrize(
        ("kind", "value"),
        [
            ("float32", [1, 2.5, -0.25]),
            ("float64", [0.1, 1e300]),
            ("int8", [-128, 127]),
            ("uint8", [0, 255]),
            ("int16", [-5]),
            ("int32", [-(2**31), 2**31 - 1]),
            ("int64", [-(2**63), 2**63 - 1]),
            ("uint32", [2**32 - 1]),
            ("uint64", [2**64 - 1]),
            ("bool", [True, False]),
            ("string", ["a", "ö\n"]),
        ],
    )
    def test_come_back(self, echo, kind, value):
        assert echo(kind, value) == value
        assert echo(kind, [[value], [value]]) == [[value], [value]]
        assert echo(kind, value[0]) == value[0]
        assert echo(kind, []) == []

    def test_range_of_float(self, echo):
        np.testing.assert_array_equal(echo("float32", [1e39, -1e39, 1e-60]), [np.inf, -np.inf, 0])

    @pytest.mark.parametrize("kind", ["int8", "uint8", "int16", "int32", "int64", "uint32", "uint64", "bool"])
    def test_decimals_are_no_integers(self, refusal, kind):
        status, error = refusal({"signature_name": kind, "inputs": [1.0]}, "/v1/models/echoes:predict")
        assert status == 400
        assert f"is not of expected type: {kind}" in error

    @pytest.mark.parametrize("kind", ["half", "bfloat16", "complex64"])
    def test_types_without_json(self, refusal, kind):
        target = "/v1/models/echoes:predict"
        status, error = refusal({"signature_name": kind, "inputs": [1.5]}, target)
        assert status == 501
        assert f"to type: {kind}" in error
        assert refusal({"signature_name": kind, "instances": [1.5]}, target)[0] == 400

    def test_bytes(self, echo, predict):
        assert echo("bytes", [{"b64": "/w=="}, "a"]) == [{"b64": "/w=="}, {"b64": "YQ=="}]
        assert echo("string", {"b64": "aGVsbG8="}) == "hello"
        document = {"signature_name": "bytes", "instances": [{"b64": "aGVsbG8="}, {"b64": "d29ybGQ"}]}
        answer = predict(document, "/v1/models/echoes:predict")
        assert answer == {"predictions": [{"b64": "aGVsbG8="}, {"b64": "d29ybGQ="}]}

    def test_bad_base64(self, refusal):
        document = {"signature_name": "string", "inputs": [{"b64": "?"}]}
        status, error = refusal(document, "/v1/models/echoes:predict")
        assert status == 400
        assert "Unable to base64 decode" in error

    def test_floats_have_a_point(self, post):
        reply = post("/v1/models/echoes:predict", {"instances": [3, 0.1, 555557.5]})
        tokens = [token.strip(" []}\n") for token in reply.data.decode().split(":")[1].split(",")]
        assert tokens == ["3.0", "0.1", "555557.5"]

    def test_nothing(self, predict):
        assert predict({"inputs": []}) == {"outputs": []}
