"""The client against a running server, over both protocols: `vision-tfx serve` or TensorFlow Serving itself."""

import json
import math

import pytest

from pipeline.cli import main
from serving.client import ModelClient
from serving.client.errors import InvalidRequestError, NotAllowedError, NotFoundError, ServerUnreachableError

pytestmark = pytest.mark.lengthy


@pytest.fixture(scope="module", params=["rest", "grpc"])
def client(request, server):
    with ModelClient(server.rest if request.param == "rest" else f"grpc://{server.grpc}") as client:
        yield client


def test_predict(client):
    assert client.predict([1.0, 2.0, 5.0], model="half_plus_two") == {"y": [2.5, 3.0, 4.5]}
    assert client.predict({"x": [0]}, model="half_plus_two", version=123) == {"y": [2.0]}


def test_several_inputs_and_outputs(client):
    answer = client.predict({"a": [3.0, 1.0], "b": [1.0, 1.0]}, model="sums")
    assert answer == {"sum": [4.0, 2.0], "difference": [2.0, 0.0]}
    scalar = client.predict({"a": [3.0], "b": [1.0]}, model="sums", signature_name="scalar")
    assert scalar == {"total": 4.0}


@pytest.mark.parametrize(
    ("signature", "value"),
    [
        ("float32", [[1.5, -2.0]]),
        ("float64", 0.1),
        ("int64", [2**62]),
        ("uint8", [0, 255]),
        ("bool", [True, False]),
        ("string", ["größer", ""]),
        ("float32", [math.inf, -math.inf]),
    ],
)
def test_values_are_returned_unchanged(client, signature, value):
    assert client.predict({"x": value}, model="echoes", signature_name=signature) == {"x_out": value}


def test_bytes(client):
    value = [b"\xff\x00", b""]
    assert client.predict({"x": value}, model="echoes", signature_name="bytes") == {"x_bytes": value}


def test_status_and_metadata(client):
    [state] = client.status(model="half_plus_two")
    assert (state.version, state.available, state.error) == (123, True, "")
    metadata = client.metadata(model="half_plus_two")
    assert (metadata.name, metadata.version) == ("half_plus_two", 123)
    signature = metadata.signatures["serving_default"]
    assert (signature.inputs["x"].dtype, signature.inputs["x"].shape) == ("DT_FLOAT", (None,))
    assert signature.image_input is None


def test_errors(client):
    with pytest.raises(NotFoundError, match="Servable not found for request: Latest"):
        client.predict({"x": [1.0]}, model="nobody")
    with pytest.raises(NotFoundError, match="Could not find version 9 of model half_plus_two"):
        client.status(model="half_plus_two", version=9)
    with pytest.raises(InvalidRequestError):
        client.predict({"z": [1.0]}, model="half_plus_two")


@pytest.mark.parametrize("protocol", ["rest", "grpc"])
def test_mutual_tls_and_a_token(serve, model_root, certificates, tmp_path, capfd, protocol):
    authority, stranger = certificates.Authority(), certificates.Authority("strangers")
    server, own = authority.sign("server"), authority.sign("client")
    texts = {"server_key": server.key, "server_cert": server.certificate, "custom_ca": authority.certificate}
    lines = [f"{name}: {json.dumps(text)}" for name, text in texts.items()]
    files = {
        "ssl.config": "\n".join([*lines, "client_verify: true"]),
        "token": "a-secret\n",
        "ca.pem": authority.certificate,
        "strangers.pem": stranger.certificate,
        "client.pem": own.certificate,
        "client.key": own.key,
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    path = {name: str(tmp_path / name) for name in files}
    running = serve(
        *("--model-base-path", model_root / "half_plus_two", "--model-name", "half_plus_two"),
        *("--ssl-config-file", path["ssl.config"], "--bearer-token-file", path["token"]),
    )
    address = running.rest if protocol == "rest" else f"grpcs://{running.grpc}"
    settings = {"model": "half_plus_two", "retries": 0}
    shown = {"client_certificate": (path["client.pem"], path["client.key"])}
    with ModelClient(address, ca_file=path["ca.pem"], token="a-secret", **shown, **settings) as client:  # noqa: S106
        assert client.predict([1.0]) == {"y": [2.5]}
    with (
        ModelClient(address, ca_file=path["ca.pem"], **shown, **settings) as client,
        pytest.raises(NotAllowedError, match="send the token that the server requires"),
    ):
        client.predict([1.0])
    for trusted, more in (("ca.pem", {}), ("strangers.pem", shown)):
        with (
            ModelClient(address, ca_file=path[trusted], token="a-secret", **more, **settings) as client,  # noqa: S106
            pytest.raises(ServerUnreachableError, match="certificate"),
        ):
            client.predict([1.0])
    (tmp_path / "seven.png").write_bytes(b"PNG")
    words = ["--server", address, "--model", "half_plus_two", "--bearer-token-file", path["token"]]
    words += ["--ca-file", path["ca.pem"], "--client-certificate", path["client.pem"], path["client.key"]]
    assert main(["predict", *words, str(tmp_path / "seven.png")]) == 1
    assert "has the input x (DT_FLOAT), not encoded images" in capfd.readouterr().err
