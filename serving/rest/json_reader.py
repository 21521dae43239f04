"""JSON as RapidJSON reads it for TensorFlow Serving: slower than orjson, more tolerant, and with RapidJSON's errors."""

import json
import re
from math import inf, nan
from typing import Any, NoReturn

import orjson

from serving.errors import ServingError, invalid

_BOM = b"\xef\xbb\xbf"
_SPACE = re.compile(rb"[ \t\n\r]*")
# Also takes a fraction or an exponent without digits, which is then refused under its own name.
_NUMBER = re.compile(rb"-?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?(?:[eE][+-]?[0-9]*)?|NaN|Inf(?:inity)?)")
_PLAIN = re.compile(rb'[^"\\\x00-\x1f]*')
_HEX = re.compile(rb"[0-9a-fA-F]{4}")
_LEAF_LIST = re.compile(rb'\[[^\[\]{}"]*\]')
_ESCAPES = {b'"': b'"', b"\\": b"\\", b"/": b"/", b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t"}
_WORDS = {b"n": (b"null", None), b"t": (b"true", True), b"f": (b"false", False)}
_CONSTANTS = {b"null": None, b"true": True, b"false": False, b"NaN": nan, b"-NaN": nan}
_CONSTANTS |= {b"Inf": inf, b"Infinity": inf, b"-Inf": -inf, b"-Infinity": -inf}
_MIN_INT64, _MAX_UINT64 = -(2**63), 2**64 - 1
# Every level costs some 130 bytes, so that a body of 100 MB of brackets would take 13 GB.
MAX_DEPTH = 1_000_000


class Reader:
    """Reads the first JSON document of a text, however deep it is.

    It takes what RapidJSON takes with TensorFlow Serving's flags: NaN, Inf and Infinity, a byte order mark, bytes after
    the document, bytes that are not UTF-8 (they come back through "surrogateescape"), and of a repeated key the first.

    Args:
        body: The text.
    """

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._at = len(_BOM) if body.startswith(_BOM) else 0

    def read(self) -> Any:
        """The document.

        Raises:
            ServingError: "JSON Parse error: ... at offset: N".
        """
        if not self._next():
            self._fail("The document is empty.")
        above: list[Any] = []  # the lists and objects around the value that comes next
        keys: list[str] = []  # of the objects among them, the key that waits for its value
        while True:
            value, opened = self._value(keys)
            if opened:
                above.append(value)
                if len(above) > MAX_DEPTH:
                    self._fail(f"Nested deeper than {MAX_DEPTH}.")
                continue
            while above:
                inside = above[-1]
                closing = b"]" if type(inside) is list else b"}"
                if type(inside) is list:
                    inside.append(value)
                else:
                    inside.setdefault(keys.pop(), value)
                found = self._next()
                if found == b",":
                    self._at += 1
                    if closing == b"}":
                        keys.append(self._key())
                    break
                if found != closing:
                    before = "an array element" if closing == b"]" else "an object member"
                    self._fail(f"Missing a comma or {closing.decode()} after {before}.")
                self._at += 1
                value = above.pop()
            else:
                return value

    def _value(self, keys: list[str]) -> tuple[Any, bool]:
        """The value that begins here; True if it is a list or an object that has been opened only."""
        first = self._next()
        if first == b"[":
            if (values := self._leaves()) is not None:
                return values, False
            return self._open([], b"]")
        if first == b"{":
            opened = self._open({}, b"}")
            if opened[1]:
                keys.append(self._key())
            return opened
        if first == b'"':
            self._at += 1
            return self._string(), False
        if first in _WORDS:
            word, value = _WORDS[first]
            if not self._body.startswith(word, self._at):
                self._fail("Invalid value.")
            self._at += len(word)
            return value, False
        return self._number(), False

    def _next(self) -> bytes:
        self._at = _SPACE.match(self._body, self._at).end()  # type: ignore[union-attr]  # matches nothing, too
        return self._body[self._at : self._at + 1]

    def _open(self, container: Any, closing: bytes) -> tuple[Any, bool]:
        self._at += 1
        if self._next() != closing:
            return container, True
        self._at += 1
        return container, False

    def _leaves(self) -> list | None:
        """A whole list without lists, objects and strings in it: one call instead of one per element.

        None means: read it one by one, for there may be an error to report.
        """
        match = _LEAF_LIST.match(self._body, self._at)
        values = None if match is None else _leaf_list(match[0])
        if values is not None:
            self._at = match.end()  # type: ignore[union-attr]
        return values

    def _key(self) -> str:
        if self._next() != b'"':
            self._fail("Missing a name for object member.")
        self._at += 1
        key = self._string()
        if self._next() != b":":
            self._fail("Missing a colon after a name of object member.")
        self._at += 1
        return key

    def _string(self) -> str:
        parts = []
        while True:
            plain = _PLAIN.match(self._body, self._at)
            parts.append(plain[0])  # type: ignore[index]
            self._at = plain.end()  # type: ignore[union-attr]
            end = self._body[self._at : self._at + 1]
            if end == b'"':
                self._at += 1
                return b"".join(parts).decode("utf-8", "surrogateescape")
            if end in (b"", b"\0"):
                self._fail("Missing a closing quotation mark in string.")
            if end != b"\\":
                self._fail("Invalid encoding in string.")
            parts.append(self._escape())

    def _escape(self) -> bytes:
        kind = self._body[self._at + 1 : self._at + 2]
        if kind in _ESCAPES:
            self._at += 2
            return _ESCAPES[kind]
        if kind != b"u":
            self._fail("Invalid escape character in string.")
        start, code = self._at, self._hex()
        if 0xD800 <= code < 0xE000:
            if code >= 0xDC00 or not self._body.startswith(b"\\u", self._at):
                self._fail("The surrogate pair in string is invalid.", start)
            low = self._hex()
            if not 0xDC00 <= low < 0xE000:
                self._fail("The surrogate pair in string is invalid.", start)
            code = 0x10000 + ((code - 0xD800) << 10) + low - 0xDC00
        return chr(code).encode()

    def _hex(self) -> int:
        digits = _HEX.match(self._body, self._at + 2)
        if digits is None:
            self._fail("Incorrect hex digit after \\u escape in string.")
        self._at = digits.end()
        return int(digits[0], 16)

    def _number(self) -> float:
        match = _NUMBER.match(self._body, self._at)
        if match is None:
            self._fail("Invalid value.")
        try:
            value = number(match[0])
        except ServingError as error:
            self._fail(error.message)
        self._at = match.end()
        return value

    def _fail(self, text: str, at: int | None = None) -> NoReturn:
        raise invalid(f"JSON Parse error: {text} at offset: {self._at if at is None else at}")


def number(token: bytes) -> int | float:
    """The number of a token: an int where it is written as one and fits into 64 bits, else a float.

    Raises:
        ServingError: With RapidJSON's words.
    """
    lower = token.lower()
    if b".e" in lower or lower.endswith(b"."):
        raise invalid("Miss fraction part in number.")
    if lower[-1:] in b"e+-":
        raise invalid("Miss exponent in number.")
    if token.lstrip(b"-").isdigit() and len(token) <= 20:
        whole = int(token)
        if _MIN_INT64 <= whole <= _MAX_UINT64:
            return whole
    value = float(token)
    if value in (inf, -inf) and not token.lstrip(b"-").startswith(b"I"):
        raise invalid("Number too big to be stored in double.")
    return value


# Knows NaN and Infinity, which orjson does not.
_STANDARD = json.JSONDecoder(parse_int=lambda text: number(text.encode()))


def _leaf_list(text: bytes) -> list | None:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        pass
    try:
        values = _STANDARD.decode(text.decode())
        # It takes numbers that are too big for infinite; those that are meant to be are written so.
        if values.count(inf) + values.count(-inf) == text.count(b"Inf"):
            return values
    except (ValueError, ServingError):
        pass
    try:
        return [_scalar(item.strip(b" \t\n\r")) for item in text[1:-1].split(b",")]
    except ServingError:
        return None


def _scalar(item: bytes) -> Any:
    if item in _CONSTANTS:
        return _CONSTANTS[item]
    if not _NUMBER.fullmatch(item):
        raise invalid("Invalid value.")
    return number(item)
