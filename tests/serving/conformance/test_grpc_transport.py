"""Transport: TLS on both ports, tokens, sizes, compression, deadlines, and the shutdown of a server."""

import json
import signal
import tempfile
import threading
import time

import numpy as np
import pytest
import urllib3

grpc = pytest.importorskip("grpc")
tf = pytest.importorskip("tensorflow")
predict_pb2 = pytest.importorskip("tensorflow_serving.apis.predict_pb2")

from tensorflow_serving.apis import prediction_service_pb2_grpc  # noqa: E402

pytestmark = pytest.mark.lengthy

_TIMEOUT = 30
_TOKEN = "a-secret"  # noqa: S105
_LIMIT = 1_000_000


def request(model: str, **inputs):
    made = predict_pb2.PredictRequest()
    made.model_spec.name = model
    for alias, value in inputs.items():
        made.inputs[alias].CopyFrom(tf.make_tensor_proto(value))
    return made


def half(channel, size: int = 1, **options):
    stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
    x = np.ones(size, np.float32)
    response = stub.Predict(request("half_plus_two", x=x), timeout=_TIMEOUT, **options)
    return tf.make_ndarray(response.outputs["y"])


def code(call, *arguments, **options) -> str:
    with pytest.raises(grpc.RpcError) as caught:
        call(*arguments, **options)
    return caught.value.code().name


def healthy(channel) -> bool:
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=_TIMEOUT)
    return answer.status == health_pb2.HealthCheckResponse.SERVING


def ssl_config(path, pair, authority) -> str:
    texts = {"server_key": pair.key, "server_cert": pair.certificate, "custom_ca": authority.certificate}
    lines = [f"{name}: {json.dumps(text)}" for name, text in texts.items()]
    path.write_text("\n".join([*lines, "client_verify: true"]))
    return str(path)


def secure(server, authority, pair=None):
    """A channel that trusts the authority."""
    return grpc.secure_channel(
        server.grpc,
        grpc.ssl_channel_credentials(
            authority.certificate.encode(),
            pair and pair.key.encode(),
            pair and pair.certificate.encode(),
        ),
    )


def test_mutual_tls_and_token(serve, model_root, certificates, tmp_path):
    authority, stranger = certificates.Authority(), certificates.Authority("stranger")
    client = authority.sign("client")
    token = tmp_path / "token"
    token.write_text(f"{_TOKEN}\n")
    config = ssl_config(tmp_path / "ssl.config", authority.sign("server"), authority)
    models = ("--model-base-path", model_root / "half_plus_two", "--model-name", "half_plus_two")
    server = serve(*models, "--ssl-config-file", config, "--bearer-token-file", token)
    bearer = [("authorization", f"Bearer {_TOKEN}")]

    with secure(server, authority, client) as channel:
        assert half(channel, metadata=bearer).tolist() == [2.5]
        assert half(channel, metadata=[("authorization", f"bearer {_TOKEN}")]).tolist() == [2.5]
        for wrong in ([], [("authorization", "Bearer wrong")], [("authorization", _TOKEN)]):
            assert code(half, channel, metadata=wrong) == "UNAUTHENTICATED"
        assert healthy(channel)
    for refused in (
        secure(server, authority),
        secure(server, authority, stranger.sign("client")),
        secure(server, stranger, client),
        grpc.insecure_channel(server.grpc),
    ):
        with refused as channel:
            assert code(half, channel, metadata=bearer) == "UNAVAILABLE"

    assert server.rest.startswith("https://")
    paths = {}
    for name, text in (("ca", authority.certificate), ("key", client.key), ("cert", client.certificate)):
        paths[name] = tmp_path / f"{name}.pem"
        paths[name].write_text(text)
    url = f"{server.rest}/v1/models/half_plus_two:predict"
    headers = {"Authorization": f"Bearer {_TOKEN}"}
    with urllib3.PoolManager(
        ca_certs=str(paths["ca"]), cert_file=str(paths["cert"]), key_file=str(paths["key"]), retries=False
    ) as http:
        assert http.request("POST", url, json={"instances": [1]}, headers=headers).json() == {"predictions": [2.5]}
        assert http.request("POST", url, json={"instances": [1]}).status == 401
    with (
        urllib3.PoolManager(ca_certs=str(paths["ca"]), retries=False) as http,
        pytest.raises(urllib3.exceptions.HTTPError),
    ):
        http.request("POST", url, json={"instances": [1]}, headers=headers)


@pytest.fixture(scope="module")
def limited(serve_all, model_root, tmp_path_factory):
    """A server with small limits, and its access log."""
    log = tmp_path_factory.mktemp("limited") / "access.jsonl"
    options = ("--max-body-bytes", _LIMIT, "--max-batch-rows", 1_000_000, "--access-log", log)
    return serve_all("--model-config-file", model_root / "models.config", *options), log


def test_size(limited):
    server, _ = limited
    with grpc.insecure_channel(server.grpc) as channel:
        assert len(half(channel, 200_000)) == 200_000
        assert code(half, channel, 300_000) == "RESOURCE_EXHAUSTED"
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        made = request("half_plus_two", x=np.ones(1, np.float32))
        made.inputs["x"].tensor_shape.dim[0].size = 250_000
        assert len(stub.Predict(made, timeout=_TIMEOUT).outputs["y"].float_val) == 250_000
        made.inputs["x"].tensor_shape.dim[0].size = 250_001
        assert code(stub.Predict, made, timeout=_TIMEOUT) == "INVALID_ARGUMENT"


def test_compression(limited):
    server, _ = limited
    with grpc.insecure_channel(server.grpc) as channel:
        assert len(half(channel, 200_000, compression=grpc.Compression.Gzip)) == 200_000


def test_a_message_that_grows(limited):
    """100 MB that gzip compresses to 100 kB exceed the limit too, and leave nothing behind."""
    server, _ = limited
    with grpc.insecure_channel(server.grpc) as channel:
        call = channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
        got = code(call, bytes(100_000_000), timeout=_TIMEOUT, compression=grpc.Compression.Gzip)
        assert got in ("RESOURCE_EXHAUSTED", "INVALID_ARGUMENT")
        assert half(channel).tolist() == [2.5]


def test_deadline_in_the_log(limited):
    server, log = limited
    with grpc.insecure_channel(server.grpc) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        made = request("slow", rounds=np.array([3000], np.int32))
        assert code(stub.Predict, made, timeout=0.2) == "DEADLINE_EXCEEDED"
        call = stub.Predict.future(made, timeout=_TIMEOUT)
        time.sleep(0.2)
        call.cancel()
        assert half(channel).tolist() == [2.5]
    end = time.monotonic() + 10
    while time.monotonic() < end:
        entries = [json.loads(line) for line in log.read_text().splitlines()]
        statuses = [entry["status"] for entry in entries if entry["model"] == "slow"]
        if len(statuses) == 2:
            break
        time.sleep(0.05)
    assert statuses == ["DEADLINE_EXCEEDED", "CANCELLED"]


def test_draining(serve, model_root):
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    server = serve("--model-config-file", model_root / "models.config")
    with grpc.insecure_channel(server.grpc) as channel:
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(), timeout=60)
        assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        slow = stub.Predict.future(request("slow", rounds=np.array([2000], np.int32)), timeout=60)
        time.sleep(0.5)
        start = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        assert next(watch).status == health_pb2.HealthCheckResponse.NOT_SERVING
        assert slow.result().outputs["rounds_out"].int_val[0] == 2000
        assert code(half, channel) == "UNAVAILABLE"
        assert server.process.wait(30) == 0
        assert time.monotonic() - start < 25


def test_channel_arguments_and_a_unix_socket(serve, model_root):
    folder = tempfile.mkdtemp(prefix="s")  # the path of a socket has at most 107 characters
    path = f"{folder}/s"
    models = ("--model-base-path", model_root / "half_plus_two", "--model-name", "half_plus_two")
    arguments = "grpc.max_receive_message_length=1000,grpc.primary=a"
    server = serve(*models, "--grpc-socket-path", path, "--grpc-channel-arguments", arguments)
    for address in (f"unix:{path}", server.grpc):
        with grpc.insecure_channel(address) as channel:
            assert list(half(channel)) == [2.5]
            assert half(channel, 100).size == 100
            assert code(half, channel, 1000) == "RESOURCE_EXHAUSTED"


def test_many_at_once(limited):
    """Calls of many threads on one channel all get their own responses."""
    server, _ = limited
    answers, errors = {}, []
    with grpc.insecure_channel(server.grpc) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)

        def one(number: int) -> None:
            try:
                made = request("half_plus_two", x=np.full(3, number, np.float32))
                answers[number] = list(stub.Predict(made, timeout=_TIMEOUT).outputs["y"].float_val)
            except grpc.RpcError as error:
                errors.append(error)

        threads = [threading.Thread(target=one, args=(number,)) for number in range(100)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not errors
    assert answers == {number: [number / 2 + 2] * 3 for number in range(100)}
