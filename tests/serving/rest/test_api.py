import asyncio
import json
import logging

import pytest


@pytest.fixture
def client(rest_fakes):
    return rest_fakes.Client()


ROWS = {"instances": [1.0, 2.0]}


class TestRoutes:
    @pytest.mark.parametrize("target", ["/v1/foo", "/v1/models", "/v1/models/m/version/50:regress", "/v1/models/m:"])
    def test_malformed_posts(self, client, target):
        reply = client.post(ROWS, target)
        assert reply.status == 400
        assert reply.error.startswith(f"Malformed request: POST {target}")

    @pytest.mark.parametrize(
        "target",
        [
            "/v1/foo",
            "/v1/models/m:predict",
            "/v1/models/m/version/50:predict",
            "/v1/models/m/",
            "/v1/models/m?x=1",
            "/v1/models/m/versions/1/labels/stable",
            "/v1/models/m/versions/HELLO",
            "/v1/models/m/versions/",
        ],
    )
    def test_malformed_gets(self, client, target):
        reply = client.get(target)
        assert reply.status == 400
        assert reply.error.startswith(f"Malformed request: GET {target}")

    @pytest.mark.parametrize(
        "target",
        [
            "/v1/models/m/versions/HELLO:regress",
            "/v1/models/m/versions/3/labels/stable:predict",
            "/v1/models/m:PREDICT",
            "/v1/models/m:predict/",
            "/v1/models/m:predict?pretty",
        ],
    )
    def test_almost_a_route(self, client, target):
        reply = client.post(ROWS, target)
        assert reply.status == 400
        assert f"Malformed request: POST {target}" in reply.error

    @pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "HEAD", "post"])
    def test_other_methods(self, client, method):
        reply = client.ask(method, "/v1/models/m")
        assert reply.status == 400
        assert f"Malformed request: {method} /v1/models/m" in reply.error

    def test_no_name(self, client):
        for target in ("/v1/models", "/v1/models/versions/5"):
            assert client.get(target).error == "Missing model name in request."

    @pytest.mark.parametrize("number", [2**63, 2**64 - 1, "9" * 5000])
    def test_versions_beyond_64_bits(self, client, number):
        for reply in (
            client.post(ROWS, f"/v1/models/m/versions/{number}:predict"),
            client.get(f"/v1/models/m/versions/{number}"),
        ):
            assert reply.status == 400
            assert "Failed to convert version: " in reply.error
            assert len(reply.body) < 500

    @pytest.mark.parametrize(
        "target",
        [
            "/v1/models/m:predict",
            "/V1/MODELS/m:predict",
            "/v1/models/m/versions/3:predict",
            f"/v1/models/m/versions/{3:030}:predict",
            "/v1/models/m/Labels/stable:predict",
            "/v1/models/m/labels/%73table:predict",
            "/v1/models/%6d:predict",
            "/v1/models/a%2Fb%20c:predict",
        ],
    )
    def test_ways_to_one_model(self, client, target):
        assert client.post(ROWS, target).json == {"predictions": [1.0, 2.0]}

    def test_handles(self, client):
        assert all(map(client.api.handles, ("/v1/models", "/V1/x", "/monitoring/prometheus/metrics")))
        assert not any(map(client.api.handles, ("/", "/v1", "/v2/models", "/statuspage", "/healthz")))

    def test_a_path_that_is_no_utf8(self, client):
        reply = client.get("/v1/models/%ff%00")
        assert reply.status == 404
        assert "�\0" in reply.error


class TestPredict:
    def test_rows_and_columns(self, client):
        reply = client.post(ROWS)
        assert (reply.status, reply.headers["content-type"]) == (200, "application/json")
        assert reply.json == {"predictions": [1.0, 2.0]}
        assert client.post({"inputs": [1.0, 2.0]}).json == {"outputs": [1.0, 2.0]}
        assert client.post({"inputs": {"x": 5}, "unknown": [{}]}).json == {"outputs": 5.0}
        rows = [{"a": 1.5, "b": "x"}, {"a": 2.5, "b": {"b64": "eQ=="}}]
        assert client.post({"signature_name": "two", "instances": rows}).json == {
            "predictions": [{"a": 1.5, "b": "x"}, {"a": 2.5, "b": "y"}]
        }

    def test_content_type_does_not_matter(self, client):
        assert client.post(ROWS, headers=[("content-type", "text/plain")]).status == 200

    def test_an_empty_signature_name_is_the_default(self, client):
        assert client.post({"signature_name": "", **ROWS}).status == 200

    def test_order_of_checks(self, client):
        """Each request also has all later faults; the response reports the first in the protocol's order."""
        broken = "/v1/models/nobody/versions/9:predict"
        value = {"instances": ["x"]}
        for body, target, status, part in [
            (b"", broken, 400, "JSON Parse error: The document is empty"),
            (b"instances = [1, 2]", broken, 400, "JSON Parse error: Invalid value. at offset: 0"),
            (b"[1]", broken, 400, "Is not object"),
            (b'{"signature_name": 5, "instances": 1, "inputs": 1}', broken, 400, "key must be a string value."),
            ({"signature_name": "?", **value}, broken, 404, "Servable not found for request: Specific(nobody, 9)"),
            ({"signature_name": "?", **value}, "/v1/models/nobody:predict", 404, "request: Latest(nobody)"),
            (value, "/v1/models/m/labels/L:predict", 400, "Unrecognized servable version label: L"),
            (
                {"signature_name": "?", **value, "inputs": 1},
                "/v1/models/m:predict",
                400,
                'Serving signature name: "?" not found in signature def',
            ),
            ({**value, "inputs": 1}, "/v1/models/m:predict", 400, "expecting only one of 'inputs' or 'instances'"),
            ({}, "/v1/models/m:predict", 400, "Missing 'inputs' or 'instances' key"),
            (value, "/v1/models/m:predict", 400, "not of expected type: float"),
        ]:
            reply = client.post(body, target)
            assert reply.status == status, part
            assert part in reply.error
        assert client.inference.received == []

    def test_unsupported_type(self, client):
        assert client.post({"signature_name": "half", "inputs": [1.5]}).status == 501
        assert client.post({"signature_name": "half", "instances": [1.5]}).status == 400

    def test_errors_are_written_as_tensorflow_serving_does(self, client):
        assert client.post({}).body == b"{\n    \"error\": \"Missing 'inputs' or 'instances' key\"\n}"

    def test_bytes(self, client):
        document = {"signature_name": "bytes", "instances": ["a", {"b64": "/w=="}]}
        assert client.post(document).json == {"predictions": [{"b64": "YQ=="}, {"b64": "/w=="}]}

    def test_no_number(self, client):
        assert client.post(b'{"instances": [NaN, -Inf, 1e39]}').body == b'{"predictions":[NaN,-Infinity,Infinity]}'

    def test_a_large_body_leaves_the_loop(self, client):
        reply = client.post({"instances": [[0.1234567] * 1000] * 200}, chunk=65536)
        assert reply.status == 200
        assert len(reply.json["predictions"]) == 200


class TestExamples:
    def test_answers(self, client):
        document = {"signature_name": "two", "context": {"q": "a"}, "examples": [{"x": 1.0}, {"x": [2.0]}]}
        assert client.post(document, "/v1/models/m:classify").json == {"results": [[["", 0.0]], [["", 1.0]]]}
        assert client.post(document, "/v1/models/m/versions/3:regress").json == {"results": [0.0, 1.0]}
        assert [len(examples) for _, examples in client.inference.received] == [2, 2]

    @pytest.mark.parametrize("verb", ["classify", "regress"])
    def test_json_is_checked_before_the_model(self, client, verb):
        target = f"/v1/models/nobody:{verb}"
        assert "key 'examples' is expected" in client.post({}, target).error
        assert client.post({"examples": [{"x": 1.0}]}, target).status == 404
        document = {"signature_name": "?", "examples": [{"x": 1.0}]}
        reply = client.post(document, f"/v1/models/m:{verb}")
        assert reply.status == 400
        assert reply.error.startswith("No signature was found with the name: ?")


class TestStatus:
    def test_all_versions(self, client):
        rows = [
            {"version": "3", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}},
            {"version": "2", "state": "END", "status": {"error_code": "NOT_FOUND", "error_message": "gone"}},
        ]
        for target in ("/v1/models/m", "/v1/models/m/labels/unknown", "/v1/models/m/METADATA"):
            reply = client.get(target)
            assert (reply.status, reply.headers["content-type"]) == (200, "application/json")
            assert reply.json == {"model_version_status": rows}
        assert client.get("/v1/models/m/versions/2").json == {"model_version_status": rows[1:]}

    def test_unknown(self, client):
        reply = client.get("/v1/models/nobody")
        assert (reply.status, reply.error) == (404, "Could not find any versions of model nobody")
        reply = client.get("/v1/models/m/versions/9")
        assert (reply.status, reply.error) == (404, "Could not find version 9 of model m")


class TestCors:
    HEADERS = ("access-control-allow-origin", "access-control-allow-methods", "access-control-allow-headers")

    def test_off(self, client):
        assert not set(self.HEADERS) & client.post(ROWS).headers.keys()

    def test_on_every_reply(self, rest_fakes):
        client = rest_fakes.Client(rest_api_enable_cors_support=True)
        preflight = client.ask("OPTIONS", "/v1/models/m:predict", headers=[("origin", "http://a")])
        for reply in (client.post(ROWS), client.post({}), client.get("/v1/models/m"), preflight):
            assert [reply.headers[name] for name in self.HEADERS] == ["*", "POST, GET", "Content-Type"]

    def test_preflight(self, client):
        for origin in ("http://a", "https://a"):
            reply = client.ask("OPTIONS", "/v1/anything", headers=[("origin", origin)])
            assert (reply.status, reply.body) == (200, b"")
        for headers in ([], [("origin", "null")]):
            assert client.ask("OPTIONS", "/v1/models/m", headers=headers).status == 400


class TestBodies:
    def test_gzip(self, client, rest_fakes):
        for encoding in ("gzip", "x-GZIP, identity"):
            reply = client.post(rest_fakes.zipped(ROWS), headers=[("content-encoding", encoding)], chunk=7)
            assert reply.json == {"predictions": [1.0, 2.0]}

    def test_broken_gzip_is_an_empty_document(self, rest_fakes):
        client = rest_fakes.Client(max_body_bytes=1000)
        whole = rest_fakes.zipped(ROWS)
        bomb = rest_fakes.zipped({"instances": [0] * 100_000})
        assert len(bomb) < 1000
        for body in (json.dumps(ROWS).encode(), whole[:-9], b"", bomb, whole[:15] + b"\0" + whole[16:]):
            reply = client.post(body, headers=[("content-encoding", "gzip")])
            assert reply.status == 400
            assert reply.error.startswith("JSON Parse error: The document is empty")

    def test_too_long(self, rest_fakes):
        client = rest_fakes.Client(max_body_bytes=100)
        body = json.dumps({"instances": [1.0] * 200}).encode()
        for reply in (
            client.post(body),
            client.post(body, chunk=10),
            client.post(b"{}", headers=[("content-length", "101")]),
        ):
            assert reply.status == 413
            assert "--max-body-bytes" in reply.error
        assert client.post({"instances": [1.0]}).status == 200

    def test_disconnected_client(self, client):
        async def send():
            async def receive():
                return {"type": "http.disconnect"}

            sent = []
            scope = {
                "type": "http",
                "method": "POST",
                "path": "/v1/models/m:predict",
                "query_string": b"",
                "headers": [],
            }
            await client.api({**scope, "headers": []}, receive, sent.append)
            return sent

        assert asyncio.run(send()) == []
        assert client.admission.in_progress == 0


class TestLimits:
    def test_timeout(self, rest_fakes):
        client = rest_fakes.Client(before=lambda: asyncio.sleep(10), rest_api_timeout_in_ms=20)
        reply = client.post(ROWS)
        assert reply.status == 504
        assert "--rest-api-timeout-in-ms" in reply.error
        assert 'status="DEADLINE_EXCEEDED"' in client.metrics.text()

    def test_no_timeout(self, rest_fakes):
        client = rest_fakes.Client(before=lambda: asyncio.sleep(0.05), rest_api_timeout_in_ms=0)
        assert client.post(ROWS).status == 200

    def test_admission_control(self, rest_fakes):
        client = rest_fakes.Client(max_concurrent=0)
        assert client.post(ROWS).status == 429
        client = rest_fakes.Client()
        client.admission.draining = True
        assert client.post(ROWS).status == client.get("/v1/models/m").status == client.get("/v1/x").status == 503

    def test_unexpected_error(self, rest_fakes, caplog):
        async def fail():
            raise ZeroDivisionError("secret")

        client = rest_fakes.Client(before=fail)
        with caplog.at_level(logging.ERROR):
            reply = client.post(ROWS)
        assert reply.status == 500
        assert "secret" not in reply.error
        assert "ZeroDivisionError: secret" in caplog.text
        assert client.admission.in_progress == 0


class TestMetrics:
    PATH = "/monitoring/prometheus/metrics"

    def test_on_by_default(self, client):
        client.post(ROWS)
        client.post({})
        client.get("/v1/nothing")
        for method in ("GET", "POST"):
            reply = client.ask(method, self.PATH)
            assert reply.status == 200
            assert reply.headers["content-type"].startswith("text/plain")
        lines = reply.body.decode().splitlines()

        def has(name, *labels):
            return any(
                line.startswith(f":tensorflow:serving:{name}{{") and all(map(line.count, labels)) for line in lines
            )

        default = 'signature="serving_default"'
        assert has("request_count", 'model_name="m"', 'status="OK"', 'version="3"', default, "} 1")
        assert has("request_count", 'model_name="m"', 'status="INVALID_ARGUMENT"', default, "} 1")
        assert has("request_count", 'model_name=""', 'status="INVALID_ARGUMENT"', "} 1")
        assert has("request_latency_count", 'API="predict"', 'entrypoint="REST"', 'model_name="m"', "} 1")

    def test_query(self, client):
        reply = client.get(f"{self.PATH}?a=b")
        assert (reply.status, reply.body.decode()) == (400, f"Unexpected path: {self.PATH}?a=b. Should be {self.PATH}")

    def test_configured(self, rest_fakes, tmp_path):
        file = tmp_path / "monitoring.config"
        file.write_text('prometheus_config { enable: true, path: "/numbers" }')
        client = rest_fakes.Client(monitoring_config_file=str(file))
        assert client.api.handles("/numbers")
        assert not client.api.handles(self.PATH)
        assert client.get("/numbers").status == 200
        file.write_text("prometheus_config { enable: false }")
        assert not rest_fakes.Client(monitoring_config_file=str(file)).api.handles(self.PATH)
