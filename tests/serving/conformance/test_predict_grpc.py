"""PredictionService.Predict over gRPC, through the generated stubs."""

import numpy as np
import pytest

grpc = pytest.importorskip("grpc")
tf = pytest.importorskip("tensorflow")
predict_pb2 = pytest.importorskip("tensorflow_serving.apis.predict_pb2")

from tensorflow_serving.apis import prediction_service_pb2_grpc  # noqa: E402

pytestmark = pytest.mark.lengthy

_TIMEOUT = 30


@pytest.fixture(scope="module")
def stub(channel):
    return prediction_service_pb2_grpc.PredictionServiceStub(channel)


def request(model: str, inputs: dict | None = None, signature: str = "", **fields):
    made = predict_pb2.PredictRequest(**fields)
    made.model_spec.name = model
    made.model_spec.signature_name = signature
    for alias, value in (inputs or {}).items():
        proto = value if isinstance(value, tf.make_tensor_proto(0).__class__) else tf.make_tensor_proto(value)
        made.inputs[alias].CopyFrom(proto)
    return made


def predict(stub, made) -> dict[str, np.ndarray]:
    response = stub.Predict(made, timeout=_TIMEOUT)
    return {alias: tf.make_ndarray(proto) for alias, proto in response.outputs.items()}


def refused(stub, made) -> tuple[str, str]:
    with pytest.raises(grpc.RpcError) as caught:
        stub.Predict(made, timeout=_TIMEOUT)
    return caught.value.code().name, caught.value.details()


def floats(*numbers: float) -> np.ndarray:
    return np.array(numbers, np.float32)


def test_predict(stub):
    response = stub.Predict(request("half_plus_two", {"x": floats(1, 2, 5)}), timeout=_TIMEOUT)
    output = response.outputs["y"]
    assert list(output.float_val) == [2.5, 3.0, 4.5]
    assert not output.tensor_content
    assert [dim.size for dim in output.tensor_shape.dim] == [3]
    spec = response.model_spec
    assert (spec.name, spec.version.value, spec.signature_name) == ("half_plus_two", 123, "serving_default")


def test_version(stub):
    made = request("half_plus_two", {"x": floats(1)}, "serving_default")
    made.model_spec.version.value = 123
    response = stub.Predict(made, timeout=_TIMEOUT)
    assert response.model_spec.version.value == 123
    made.model_spec.version.value = 9
    code, details = refused(stub, made)
    assert code == "NOT_FOUND"
    assert details.startswith("Servable not found for request: Specific(half_plus_two, 9)")


def test_unknown_model(stub):
    code, details = refused(stub, request("nobody", {"x": floats(1)}))
    assert code == "NOT_FOUND"
    assert details.startswith("Servable not found for request: Latest(nobody)")


def test_unknown_label(stub):
    made = request("half_plus_two", {"x": floats(1)})
    made.model_spec.version_label = "canary"
    code, details = refused(stub, made)
    assert code == "INVALID_ARGUMENT"
    assert details.startswith("Unrecognized servable version label: canary")


def test_no_model_spec(stub):
    code, details = refused(stub, predict_pb2.PredictRequest())
    assert code == "INVALID_ARGUMENT"
    assert details.startswith("Missing ModelSpec")
    code, details = refused(stub, request(""))
    assert code == "INVALID_ARGUMENT"
    assert details.startswith("ModelSpec has no name specified.")


def test_unknown_signature(stub):
    code, details = refused(stub, request("half_plus_two", {"x": floats(1)}, "nothing"))
    assert code == "FAILED_PRECONDITION"
    assert 'Serving signature key "nothing" not found.' in details


def test_two_inputs_and_outputs(stub):
    outputs = predict(stub, request("sums", {"a": floats(1, 2), "b": floats(10, 20)}))
    assert {alias: array.tolist() for alias, array in outputs.items()} == {"sum": [11, 22], "difference": [-9, -18]}


def test_wrong_number_of_inputs(stub):
    code, details = refused(stub, request("sums", {"a": floats(1)}))
    assert code == "INVALID_ARGUMENT"
    phrase = "input size does not match signature: 1!=2 len({a}) != len({a,b}). Sent extra: {}. "
    assert details.startswith(phrase + "Missing but required: {b}.")
    _, details = refused(stub, request("half_plus_two", {"x": floats(1), "z": floats(1)}))
    assert "2!=1 len({x,z}) != len({x}). Sent extra: {z}. Missing but required: {}." in details
    _, details = refused(stub, request("half_plus_two"))
    assert "0!=1 len({}) != len({x}). Sent extra: {}. Missing but required: {x}." in details


def test_wrong_names_of_inputs(stub):
    code, _ = refused(stub, request("sums", {"a": floats(1), "c": floats(1)}))
    assert code == "INVALID_ARGUMENT"


def test_wrong_type(stub):
    code, details = refused(stub, request("half_plus_two", {"x": [b"text"]}))
    assert code == "INVALID_ARGUMENT"
    assert "to be float but string is provided" in details


def test_wrong_shape(stub):
    code, _ = refused(stub, request("matrix", {"x": np.zeros((1, 63), np.float32)}))
    assert code == "INVALID_ARGUMENT"


def test_output_filter(stub):
    made = request("sums", {"a": floats(1), "b": floats(10)}, output_filter=["difference"])
    assert list(predict(stub, made)) == ["difference"]
    made.output_filter.append("sum")
    assert sorted(predict(stub, made)) == ["difference", "sum"]
    made.output_filter.append("sum")
    code, details = refused(stub, made)
    assert code == "INVALID_ARGUMENT"
    assert details.startswith("duplicate output tensor alias: sum")
    made.output_filter[:] = ["product"]
    code, details = refused(stub, made)
    assert code == "INVALID_ARGUMENT"
    phrase = "output tensor alias not found in signature: product Outputs expected to be in the set {difference,sum}."
    assert details.startswith(phrase)


@pytest.mark.parametrize("signature", ["uneven", "scalar"])
def test_outputs_of_any_shape(stub, signature):
    outputs = predict(stub, request("sums", {"a": floats(1, 2), "b": floats(10, 20)}, signature))
    if signature == "scalar":
        assert outputs["total"].tolist() == 33
    else:
        assert outputs["joined"].tolist() == [1, 2, 10, 20]


def test_classify_and_regress_signatures(stub):
    example = tf.train.Example()
    example.features.feature["x"].float_list.value.append(2)
    examples = [example.SerializeToString()] * 2
    outputs = predict(stub, request("half_plus_two", {"inputs": examples}, "regress_x_to_y"))
    assert outputs["outputs"].tolist() == [[3], [3]]
    outputs = predict(stub, request("half_plus_two", {"inputs": examples}, "classify_labels"))
    assert outputs["classes"].tolist() == [[b"low", b"high"]] * 2
    assert sorted(outputs) == ["classes", "scores"]


_NUMBERS = ["float32", "float64", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "bool"]


@pytest.mark.parametrize("shape", [(), (1,), (2, 3), (0, 2), (400,)])
@pytest.mark.parametrize("name", [*_NUMBERS, "half", "bfloat16", "complex64", "string", "bytes"])
def test_every_type_comes_back(stub, name, shape):
    if name in ("string", "bytes"):
        array = np.full(shape, b"\xff\x00text", object)
    else:
        dtype = tf.as_dtype(name).as_numpy_dtype
        array = (np.random.default_rng(0).random(shape) * 100).astype(np.int64).astype(dtype)
    outputs = predict(stub, request("echoes", {"x": tf.make_tensor_proto(array)}, name))
    assert np.array_equal(outputs["x_bytes" if name == "bytes" else "x_out"], array)


def tensor(shape: list[int], enum: int = 1, **fields):
    proto = tf.make_tensor_proto(0.0).__class__(dtype=enum, **fields)
    for length in shape:
        proto.tensor_shape.dim.add(size=length)
    return proto


def test_the_last_value_is_repeated(stub):
    outputs = predict(stub, request("half_plus_two", {"x": tensor([4], float_val=[2, 4])}))
    assert outputs["y"].tolist() == [3, 4, 4, 4]


def test_no_value_means_zeros(stub):
    assert predict(stub, request("half_plus_two", {"x": tensor([2])}))["y"].tolist() == [2, 2]


def test_content_wins(stub):
    proto = tensor([2], tensor_content=floats(2, 4).tobytes(), float_val=[9])
    assert predict(stub, request("half_plus_two", {"x": proto}))["y"].tolist() == [3, 4]


def test_not_finite(stub):
    y = predict(stub, request("half_plus_two", {"x": floats(np.nan, np.inf, -np.inf)}))["y"]
    assert np.isnan(y[0])
    assert y[1:].tolist() == [np.inf, -np.inf]


def test_no_rows(stub):
    assert predict(stub, request("half_plus_two", {"x": floats()}))["y"].shape == (0,)


@pytest.mark.parametrize(
    "proto",
    [
        tensor([2], tensor_content=b"123"),
        tensor([-1]),
        tensor([2], enum=0),
        tensor([1], enum=20),
        tensor([2**40, 2**40], float_val=[1]),
    ],
    ids=["short content", "negative length", "no type", "resource", "huge"],
)
def test_bad_tensor(stub, proto):
    code, details = refused(stub, request("half_plus_two", {"x": proto}))
    assert code == "INVALID_ARGUMENT"
    assert details.startswith("tensor parsing error: x")


def test_long_messages_are_cut(stub):
    code, details = refused(stub, request("n" * 5000, {"x": floats(1)}))
    assert code == "NOT_FOUND"
    assert len(details) == 1024
    assert details.endswith("...TRUNCATED")
    _, details = refused(stub, request("ü" * 5000, {"x": floats(1)}))
    assert details.endswith("...TRUNCATED")


def test_large_answer(stub):
    """More than 4 MB, which is the limit of the client."""
    array = np.zeros((1, 2_000_000), np.float32)
    with pytest.raises(grpc.RpcError) as caught:
        stub.Predict(request("echoes", {"x": array}), timeout=_TIMEOUT)
    assert caught.value.code().name == "RESOURCE_EXHAUSTED"


def test_deadline(stub):
    made = request("slow", {"rounds": np.array([100_000], np.int32)})
    with pytest.raises(grpc.RpcError) as caught:
        stub.Predict(made, timeout=0.3)
    assert caught.value.code().name == "DEADLINE_EXCEEDED"
    assert predict(stub, request("half_plus_two", {"x": floats(1)}))["y"].tolist() == [2.5]


def test_other_services(channel):
    call = channel.unary_unary("/tensorflow.serving.SessionService/SessionRun")
    with pytest.raises(grpc.RpcError) as caught:
        call(b"", timeout=_TIMEOUT)
    assert caught.value.code().name == "UNIMPLEMENTED"
