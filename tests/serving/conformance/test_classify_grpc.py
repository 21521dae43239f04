"""PredictionService.Classify, Regress and MultiInference over gRPC, through the generated stubs."""

import pytest

grpc = pytest.importorskip("grpc")
tf = pytest.importorskip("tensorflow")
classification_pb2 = pytest.importorskip("tensorflow_serving.apis.classification_pb2")

from tensorflow_serving.apis import inference_pb2, prediction_service_pb2_grpc, regression_pb2  # noqa: E402

pytestmark = pytest.mark.lengthy

_TIMEOUT = 30
_CLASSIFY, _REGRESS = "tensorflow/serving/classify", "tensorflow/serving/regress"


@pytest.fixture(scope="module")
def stub(channel):
    return prediction_service_pb2_grpc.PredictionServiceStub(channel)


def example(**features: float):
    made = tf.train.Example()
    for name, value in features.items():
        made.features.feature[name].float_list.value.append(value)
    return made


def request(kind, signature: str, *numbers: float, model: str = "half_plus_two"):
    made = kind()
    made.model_spec.name = model
    made.model_spec.signature_name = signature
    made.input.example_list.examples.extend(example(x=number) for number in numbers)
    return made


def refused(call, made) -> tuple[str, str]:
    with pytest.raises(grpc.RpcError) as caught:
        call(made, timeout=_TIMEOUT)
    return caught.value.code().name, caught.value.details()


def test_classify_scores(stub):
    made = request(classification_pb2.ClassificationRequest, "classify_x_to_y", 2, 4)
    response = stub.Classify(made, timeout=_TIMEOUT)
    answers = [[(each.label, each.score) for each in row.classes] for row in response.result.classifications]
    assert answers == [[("", 3.0)], [("", 4.0)]]
    spec = response.model_spec
    assert (spec.name, spec.version.value, spec.signature_name) == ("half_plus_two", 123, "classify_x_to_y")


def test_classify_labels(stub):
    made = request(classification_pb2.ClassificationRequest, "classify_labels", 0, 4)
    response = stub.Classify(made, timeout=_TIMEOUT)
    answers = [[(each.label, each.score) for each in row.classes] for row in response.result.classifications]
    assert answers == [[("low", 0.5), ("high", 0.5)], [("low", 0.25), ("high", 0.75)]]


def test_regress(stub):
    response = stub.Regress(request(regression_pb2.RegressionRequest, "regress_x_to_y", 2, 4), timeout=_TIMEOUT)
    assert [each.value for each in response.result.regressions] == [3, 4]
    spec = response.model_spec
    assert (spec.name, spec.version.value, spec.signature_name) == ("half_plus_two", 123, "regress_x_to_y")


def test_context(stub):
    """Every example has the features of the context, unless it has its own."""
    made = request(regression_pb2.RegressionRequest, "regress_x_to_y")
    inputs = made.input.example_list_with_context
    inputs.context.CopyFrom(example(x=4))
    inputs.examples.extend([example(x=2), example(x2=1), example()])
    response = stub.Regress(made, timeout=_TIMEOUT)
    assert [each.value for each in response.result.regressions] == [3, 4, 4]


_BOTH = {
    "Classify": (classification_pb2.ClassificationRequest, "classify_x_to_y"),
    "Regress": (regression_pb2.RegressionRequest, "regress_x_to_y"),
}


@pytest.mark.parametrize("method", _BOTH)
def test_errors(stub, method):
    kind, signature = _BOTH[method]
    call = getattr(stub, method)
    code, details = refused(call, kind())
    assert (code, details[:17]) == ("INVALID_ARGUMENT", "Missing ModelSpec")
    code, details = refused(call, request(kind, signature, 1, model=""))
    assert (code, details[:32]) == ("INVALID_ARGUMENT", "ModelSpec has no name specified.")
    code, details = refused(call, request(kind, signature, 1, model="nobody"))
    assert (code, details[:46]) == ("NOT_FOUND", "Servable not found for request: Latest(nobody)")
    code, details = refused(call, request(kind, "nothing", 1))
    assert (code, details[:43]) == ("INVALID_ARGUMENT", "No signature was found with the name: nothi")
    code, details = refused(call, request(kind, signature))
    assert (code, details[:14]) == ("INVALID_ARGUMENT", "Input is empty")
    empty = request(kind, signature)
    empty.input.example_list_with_context.context.CopyFrom(example(x=1))
    code, details = refused(call, empty)
    assert (code, details[:14]) == ("INVALID_ARGUMENT", "Input is empty")


@pytest.mark.parametrize("method", _BOTH)
def test_signature_of_the_other_kind(stub, method):
    kind, _ = _BOTH[method]
    (_, other), *_ = (value for name, value in _BOTH.items() if name != method)
    code, _ = refused(getattr(stub, method), request(kind, other, 1))
    assert code in ("FAILED_PRECONDITION", "INVALID_ARGUMENT")


@pytest.mark.parametrize(
    ("signature", "phrase"),
    [
        ("classify_two_inputs", "Expected one input Tensor."),
        ("classify_flat", "Expected Tensor shape: [batch_size num_classes] but got"),
        ("classify_float_classes", "Expected classes Tensor of DT_STRING. Got: "),
        ("classify_text_scores", "Expected scores Tensor of DT_FLOAT. Got: "),
        ("classify_unequal", "Tensors class and score should match in shape[1]. Got 1 and 2"),
        ("classify_few", "Expected Tensor batch size of 2. Got: "),
        ("regress_two_inputs", "Expected one input Tensor."),
        ("regress_wide", "Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got"),
        ("regress_text", "Expected output Tensor of DT_FLOAT. Got: "),
        ("regress_few", "Input batch size did not match output batch size: 2 vs. 1"),
    ],
)
def test_signatures_that_do_not_fit(stub, signature, phrase):
    kind, _ = _BOTH[method := signature.partition("_")[0].title()]
    code, details = refused(getattr(stub, method), request(kind, signature, 2, 4, model="odd"))
    assert code in ("FAILED_PRECONDITION", "INVALID_ARGUMENT")
    assert details.startswith(phrase)


def test_example_without_its_feature(stub):
    made = request(regression_pb2.RegressionRequest, "regress_x_to_y")
    made.input.example_list.examples.add()
    code, details = refused(stub.Regress, made)
    assert code == "INVALID_ARGUMENT"
    assert "x" in details


def tasks(*wanted: tuple[str, str], model: str = "half_plus_two"):
    made = inference_pb2.MultiInferenceRequest()
    for signature, method in wanted:
        task = made.tasks.add(method_name=method)
        task.model_spec.name = model
        task.model_spec.signature_name = signature
    made.input.example_list.examples.extend([example(x=2), example(x=4)])
    return made


def test_multi_inference(stub):
    made = tasks(("regress_x_to_y", _REGRESS), ("classify_x_to_y", _CLASSIFY), ("regress_x_to_y2", _REGRESS))
    response = stub.MultiInference(made, timeout=_TIMEOUT)
    first, second, third = response.results
    assert [each.value for each in first.regression_result.regressions] == [3, 4]
    assert [row.classes[0].score for row in second.classification_result.classifications] == [3, 4]
    assert [each.value for each in third.regression_result.regressions] == [4, 5]
    assert [each.model_spec.signature_name for each in response.results] == [
        "regress_x_to_y",
        "classify_x_to_y",
        "regress_x_to_y2",
    ]
    assert {(each.model_spec.name, each.model_spec.version.value) for each in response.results} == {
        ("half_plus_two", 123)
    }


def test_multi_inference_errors(stub):
    call = stub.MultiInference
    one = ("regress_x_to_y", _REGRESS)
    code, details = refused(call, tasks(one, one))
    assert (code, details) == ("INVALID_ARGUMENT", "Duplicate evaluation of signature: regress_x_to_y")
    code, details = refused(call, tasks(one, ("nothing", _REGRESS)))
    assert code == "INVALID_ARGUMENT"
    assert details.startswith("Requested signature not found in model graph: nothing")
    code, details = refused(call, tasks(("serving_default", "tensorflow/serving/predict")))
    assert code == "UNIMPLEMENTED"
    assert details.startswith("Unsupported signature method_name: tensorflow/serving/predict")
    made = tasks(one, ("classify_x_to_y", _CLASSIFY))
    made.tasks[1].model_spec.name = "half_plus_three"
    code, details = refused(call, made)
    assert code == "INVALID_ARGUMENT"
    assert details == "All ModelSpecs in a MultiInferenceRequest must access the same model name."
    made.tasks[1].model_spec.name = ""
    code, details = refused(call, made)
    assert (code, details) == ("INVALID_ARGUMENT", "Found ModelSpec with an empty model name.")
    made = tasks(one)
    made.ClearField("input")
    code, details = refused(call, made)
    assert (code, details[:14]) == ("INVALID_ARGUMENT", "Input is empty")
    code, details = refused(call, inference_pb2.MultiInferenceRequest())
    assert code == "INVALID_ARGUMENT"
    code, details = refused(call, tasks(one, model="nobody"))
    assert (code, details[:46]) == ("NOT_FOUND", "Servable not found for request: Latest(nobody)")
