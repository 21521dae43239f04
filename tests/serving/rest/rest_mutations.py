"""Almost valid requests: valid ones, damaged in the ways of clients and attackers."""

import copy
import gzip
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass

TOKENS = [
    *(b"NaN", b"-Infinity", b"Inf", b"null", b"true", b"1e400", b"-0", b"1.", b".5", b"01", b"0x10", b"1_0", b"--1"),
    *(b"18446744073709551616", b"-9223372036854775809", b"9" * 400, b"1e-400", b'"', b"'", b"\\", b"\0", b"\xff"),
    *(
        b"[",
        b"]",
        b"{",
        b"}",
        b",",
        b":",
        b"[]",
        b"{}",
        b"[[[[[[[[",
        b"]]]]]]]]",
        b"[" * 2000,
        b"{" * 50,
        b'{"a":' * 200,
    ),
    *(b'"\\ud800"', b'"\\udc00\\ud800"', b'"\\u12"', b'"\xf0\x9f"', b'{"b64":"?"}', b'{"b64":1}', b'{"b64":"QQ=="}'),
    *(
        b'"instances":',
        b'"inputs":',
        b'"signature_name":',
        b'"examples":',
        b'"context":',
        b'"x"',
        b'"b64"',
        b"\xef\xbb\xbf",
    ),
]
PATHS = [b"/", b":", b"%", b"%2F", b"%00", b"%ff", b"?", b"..", b"versions/", b"labels/x", b"9" * 30, b"metadata", b" "]
METHODS = ["GET", "POST", "POST", "POST", "POST", "POST", "OPTIONS", "HEAD", "PUT"]
VALID = [
    *({"instances": [1.0, 2.5]}, {"instances": [[1, 2], [3, 4]]}, {"inputs": [[0.5] * 8] * 4}, {"inputs": {"x": 1}}),
    {"signature_name": "string", "instances": ["a", {"b64": "QQ=="}, "ö\n"]},
    {"signature_name": "bool", "inputs": [[True, False], [False, True]]},
    {"signature_name": "uint64", "instances": [{"x": [1, 18446744073709551615]}]},
    {"signature_name": "int8", "instances": [[[1], [2]], [[3], [4]]]},
    {"signature_name": "two", "instances": [{"a": 1.0, "b": "x"}, {"a": 2.0, "b": "y"}]},
    {"context": {"c": "q"}, "examples": [{"x": 1.0, "n": [1, True], "s": ["a", {"b64": "QQ=="}]}, {"x": [2.0, 3.0]}]},
]


VALUES = [
    *(None, True, False, 0, 1, -1, 1.5, 2**31, 2**63, 2**64 - 1, 1e39, float("nan"), float("inf"), "", "x", "\0"),
    *(
        [],
        {},
        [[]],
        [1],
        ["a"],
        {"b64": "QQ=="},
        {"b64": "?"},
        {"b64": 1},
        {"x": 1.0},
        [[1.0], [2.0]],
        "serving_default",
    ),
]


@dataclass
class Case:
    """A request; `headers` are names and values."""

    method: str
    target: bytes
    body: bytes
    headers: list[tuple[str, str]]


def cases(seed: int, count: int, model: str) -> Iterator[Case]:
    """Yields reproducible requests.

    Args:
        seed: Seed of the random choices.
        count: Number of requests.
        model: Name of the model in most of the requests.
    """
    rng = random.Random(seed)
    for _ in range(count):
        document = copy.deepcopy(rng.choice(VALID))
        verb = rng.choice(["classify", "regress"]) if "examples" in document else "predict"
        target = f"/v1/models/{model}:{verb}".encode()
        for _ in range(rng.choice([0, 0, 1, 1, 2, 3])):
            _change(rng, document)
        body = json.dumps(document, ensure_ascii=rng.random() < 0.5).encode()
        for _ in range(rng.choice([0, 0, 0, 1, 1, 2, 4])):
            body = _damaged(rng, body)
        method, headers = "POST", []
        if rng.random() < 0.1:
            headers = [("content-encoding", "gzip")]
            body = _damaged(rng, gzip.compress(body, mtime=0)) if rng.random() < 0.5 else gzip.compress(body, mtime=0)
        if rng.random() < 0.15:
            method, target = rng.choice(METHODS), _spliced(rng, target, rng.choice(PATHS))
        yield Case(method, target, body, headers)


def _change(rng: random.Random, document: dict) -> None:
    """Replaces, removes or adds one value somewhere in a document; it stays JSON."""
    above, key = document, rng.choice([*document, "signature_name"])
    while rng.random() < 0.8 and (below := above.get(key) if isinstance(above, dict) else above[key]):
        if not isinstance(below, dict | list):
            break
        above, key = below, rng.choice(list(below) if isinstance(below, dict) else range(len(below)))
    value = copy.deepcopy(rng.choice(VALUES))
    if rng.random() < 0.2:
        above.pop(key) if isinstance(above, list) else above.pop(key, None)
    elif rng.random() < 0.2:
        above.append(value) if isinstance(above, list) else above.update(y=value)
    else:
        above[key] = value


def _damaged(rng: random.Random, body: bytes) -> bytes:
    start = rng.randrange(len(body) + 1)
    end = min(len(body), start + rng.randrange(1, 9))
    kind = rng.randrange(6)
    if kind == 0:
        return body[:start] + body[end:]
    if kind == 1:
        return body[:end] + body[start:]
    if kind == 2:
        return body[:start]
    if kind == 3:
        return body[:start] + bytes([rng.randrange(256)]) + body[start + 1 :]
    if kind == 4:
        return _spliced(rng, body, rng.choice(TOKENS))
    digits = [i for i, each in enumerate(body) if each in b"0123456789"]
    at = rng.choice(digits or [len(body)])
    return body[:at] + rng.choice(TOKENS) + body[at + 1 :]


def _spliced(rng: random.Random, text: bytes, part: bytes) -> bytes:
    at = rng.randrange(len(text) + 1)
    return text[:at] + part + text[at:]
