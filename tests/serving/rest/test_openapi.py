import json

import orjson

from serving.rest.openapi import description

FILLED = {"{model}": "m", "{version}": "3", "{label}": "stable"}


def references(value):
    if isinstance(value, dict):
        if "$ref" in value:
            yield value["$ref"]
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from references(each)


def test_every_path_is_a_route(rest_fakes):
    client = rest_fakes.Client()
    for path, item in description()["paths"].items():
        for name, value in FILLED.items():
            path = path.replace(name, value)
        if not client.api.handles(path):
            assert path in ("/healthz", "/readyz")
            continue
        for method in ("get", "post"):
            reply = client.ask(method.upper(), path, b"{}")
            wrong = reply.status == 400 and "Malformed request" in reply.body.decode()
            assert (method in item) != wrong or "metrics" in path, (method, path)


def test_references_and_operations():
    described = description()
    assert orjson.loads(orjson.dumps(described)) == described
    schemas = described["components"]["schemas"]
    used = {reference.removeprefix("#/components/schemas/") for reference in references(described)}
    assert used == schemas.keys()
    operations = [item[method] for item in described["paths"].values() for method in item if method != "parameters"]
    assert len({operation["operationId"] for operation in operations}) == len(operations)
    for path, item in described["paths"].items():
        names = {parameter["name"] for parameter in item.get("parameters", [])}
        assert names == {name.strip("{}") for name in FILLED if name in path}


def test_examples(rest_fakes):
    client = rest_fakes.Client()
    rows, _ = description()["components"]["schemas"]["PredictRequest"]["examples"]
    assert client.post(json.dumps(rows).encode()).json == {"predictions": rows["instances"]}
