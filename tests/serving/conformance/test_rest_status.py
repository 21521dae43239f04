"""Paths, status, metadata and headers of REST."""

import json
import os

import pytest
import urllib3

pytestmark = pytest.mark.lengthy

HTTP = urllib3.PoolManager(retries=False)
OURS = not os.environ.get("VISION_TFX_SERVING_REST")


@pytest.fixture
def get(rest):
    def ask(target, method="GET", **headers):
        return HTTP.request(method, rest + target, headers=headers)

    return ask


AVAILABLE = {"version": "123", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}


@pytest.mark.parametrize("target", ["", "/versions/123", "/versions/0123", "/labels/unknown"])
def test_status(get, target):
    reply = get(f"/v1/models/half_plus_two{target}")
    assert (reply.status, reply.headers["content-type"]) == (200, "application/json")
    assert json.loads(reply.data) == {"model_version_status": [AVAILABLE]}


@pytest.mark.parametrize(
    ("target", "part"),
    [
        ("/v1/models/foo", "Could not find any versions of model foo"),
        ("/v1/models/half_plus_two/versions/9", "Could not find version 9 of model half_plus_two"),
        ("/v1/models/foo/metadata", "Servable not found for request: Latest(foo)"),
    ],
)
def test_unknown(get, target, part):
    reply = get(target)
    assert reply.status == 404
    assert part in json.loads(reply.data)["error"]


@pytest.mark.parametrize("version", ["", "/versions/123"])
def test_metadata(get, version):
    reply = get(f"/v1/models/half_plus_two{version}/metadata")
    assert (reply.status, reply.headers["content-type"]) == (200, "application/json")
    answer = json.loads(reply.data)
    assert answer["model_spec"] == {"name": "half_plus_two", "signature_name": "", "version": "123"}
    signatures = answer["metadata"]["signature_def"]["signature_def"]
    assert {"serving_default", "regress_x_to_y", "classify_x_to_y"} <= signatures.keys()
    shape = {"dim": [{"size": "-1", "name": ""}], "unknown_rank": False}
    assert signatures["serving_default"] == {
        "inputs": {"x": {"dtype": "DT_FLOAT", "tensor_shape": shape, "name": "x:0"}},
        "outputs": {"y": {"dtype": "DT_FLOAT", "tensor_shape": shape, "name": "y:0"}},
        "method_name": "tensorflow/serving/predict",
        "defaults": {},
    }


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", "/v1/foo"),
        ("POST", "/v1/foo"),
        ("POST", "/v1/models"),
        ("GET", "/v1/models/half_plus_two:predict"),
        ("POST", "/v1/models/half_plus_two/version/50:regress"),
        ("POST", "/v1/models/half_plus_two/versions/HELLO:regress"),
        ("POST", "/v1/models/half_plus_two/versions/123/labels/x:predict"),
        ("GET", "/v1/models/half_plus_two/"),
        ("GET", "/v1/models/half_plus_two?a=b"),
        ("POST", "/v1/models/half_plus_two:PREDICT"),
        ("PUT", "/v1/models/half_plus_two"),
        ("DELETE", "/v1/models/half_plus_two"),
    ],
)
def test_malformed(get, method, target):
    reply = get(target, method)
    assert reply.status == 400
    assert f"Malformed request: {method} {target}" in json.loads(reply.data)["error"]


def test_head(get):
    assert get("/v1/models/half_plus_two", "HEAD").status == 400


def test_missing_name(get):
    reply = get("/v1/models")
    assert reply.status == 400
    assert "Missing model name in request." in json.loads(reply.data)["error"]


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_version_beyond_64_bits(get, method):
    reply = get(f"/v1/models/half_plus_two/versions/{2**64 - 1}" + ":predict" * (method == "POST"), method)
    assert reply.status == 400
    assert not reply.data or "Failed to convert version" in json.loads(reply.data)["error"]


def test_case_and_escapes(get):
    assert get("/V1/Models/half_plus_two/Versions/123").status == 200
    assert get("/v1/models/half%5Fplus%5ftwo").status == 200
    assert "a/b c" in json.loads(get("/v1/models/a%2Fb%20c").data)["error"]


@pytest.mark.parametrize(("origin", "status"), [("http://a", 200), ("https://a", 200), ("null", 400), (None, 400)])
def test_preflight(get, origin, status):
    reply = get("/v1/models/half_plus_two:predict", "OPTIONS", **({"Origin": origin} if origin else {}))
    assert reply.status == status
    assert status == 400 or not reply.data
    assert "access-control-allow-origin" not in reply.headers


def test_cors(serve, model_root):
    server = serve("--model-base-path", model_root / "half_plus_two", "--rest-api-enable-cors-support", "true")
    for method, target in (("OPTIONS", "/v1/models/default"), ("GET", "/v1/models/default"), ("GET", "/v1/x")):
        reply = HTTP.request(method, server.rest + target, headers={"Origin": "http://a"})
        assert reply.headers["access-control-allow-origin"] == "*"
        assert reply.headers["access-control-allow-methods"] == "POST, GET"
        assert reply.headers["access-control-allow-headers"] == "Content-Type"


@pytest.mark.skipif(not OURS, reason="TensorFlow Serving has no metrics without a file")
def test_metrics(get, rest):
    document = {"instances": [1.0]}
    HTTP.request("POST", f"{rest}/v1/models/half_plus_two:predict", body=json.dumps(document).encode())
    reply = get("/monitoring/prometheus/metrics")
    assert (reply.status, reply.headers["content-type"].partition(";")[0]) == (200, "text/plain")
    text = reply.data.decode()
    assert "# TYPE :tensorflow:serving:request_count counter" in text
    assert 'model_name="half_plus_two"' in text
    assert "# HELP" not in text
    assert "# TYPE :tensorflow:serving:request_latency histogram" in text
    ours = [line for line in text.splitlines() if "request_latency" in line and 'model_name="half_plus_two"' in line]
    last = next(line for line in ours if 'le="+Inf"' in line)
    count = last.rpartition(" ")[2]
    assert any(line.startswith(":tensorflow:serving:request_latency_count{") and line.endswith(count) for line in ours)
    assert any(line.startswith(":tensorflow:serving:request_latency_sum{") for line in ours)
    reply = get("/monitoring/prometheus/metrics?a=b")
    assert reply.status == 400
    assert b"Unexpected path: " in reply.data


@pytest.mark.skipif(not OURS, reason="an addition of ours")
def test_a_body_that_is_too_large_is_refused_at_once(serve, model_root):
    server = serve("--model-base-path", model_root / "half_plus_two", "--max-body-bytes", 1000)
    target = f"{server.rest}/v1/models/default:predict"
    reply = HTTP.request("POST", target, body=b" " * 1001)
    assert reply.status == 413
    assert "--max-body-bytes" in json.loads(reply.data)["error"]
    assert HTTP.request("POST", target, body=b'{"instances": [1.0]}').status == 200
