"""RapidJSON's dialect of JSON, as TensorFlow Serving reads it: more tolerant than orjson, with RapidJSON's errors.

We keep our own reader because no package reads the same dialect. TensorFlow Serving pins RapidJSON 1.1.0 and parses
with `kParseIterativeFlag | kParseNanAndInfFlag | kParseStopWhenDoneFlag`. python-rapidjson 1.25 has only the second of
these flags, so that it refuses bytes after the document and more than 1,000 levels; it also refuses a byte order mark
and bytes that are not UTF-8, and keeps the last of repeated keys. It would hardly be faster: 78,400 numbers take 11 ms
with it, 14 ms here and 6 ms with orjson.

`tests/serving/rest/rapidjson_reference.json` holds RapidJSON's own answers. Three differences are deliberate: numbers
are rounded exactly, where RapidJSON may be off in the last digit; a zero may have any exponent; and "NaN.5", which
RapidJSON reads as 0.5, is refused.
"""

import json
import re
from math import inf, isinf, nan
from typing import Any, NoReturn

import orjson

from serving.errors import invalid

_BOM = b"\xef\xbb\xbf"
_SPACE = re.compile(rb"[ \t\n\r]*")


def _beginnings(*words: bytes) -> bytes:
    """Returns an expression for the words and their beginnings: RapidJSON reports where a word breaks off."""
    return b"|".join(word[:length] for word in words for length in range(len(word), 0, -1))


_LITERAL = re.compile(_beginnings(b"null", b"true", b"false"))
_LITERALS = {b"null": None, b"true": True, b"false": False}
_NUMBER = re.compile(
    rb"-?(?:(?P<whole>0|[1-9][0-9]*)(?P<fraction>\.[0-9]*)?(?P<exponent>[eE][+-]?[0-9]*)?|(?:%b))?"
    % _beginnings(b"Infinity", b"NaN")
)
_NOT_FINITE = {b"NaN": nan, b"-NaN": nan, b"Inf": inf, b"Infinity": inf, b"-Inf": -inf, b"-Infinity": -inf}
_PLAIN = re.compile(rb'[^"\\\x00-\x1f]*')
_HEX = re.compile(rb"[0-9a-fA-F]{4}")
_LEAF_LIST = re.compile(rb'\[[^\[\]{}"]*\]')
_ESCAPES = {b'"': b'"', b"\\": b"\\", b"/": b"/", b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t"}
_MIN_INT64, _MAX_UINT64 = -(2**63), 2**64 - 1
_MAX_EXPONENT = 308  # of a double
# Each level costs about 130 bytes, so that a body of 100 MB of brackets would need 13 GB.
MAX_DEPTH = 1_000_000


class _ParseError(Exception):
    def __init__(self, text: str, offset: int) -> None:
        super().__init__(text, offset)
        self.text, self.offset = text, offset


class JsonReader:
    """Reader of the first JSON document in a text, however deeply nested.

    It accepts NaN, Inf and Infinity, a byte order mark, bytes after the document, and bytes that are not UTF-8, which
    become lone surrogates ("surrogateescape"). Of a repeated key the first value is kept.

    >>> JsonReader(b'{"inputs": [1, NaN, -Inf], "inputs": 2} trailing').read()
    {'inputs': [1, nan, -inf]}
    >>> JsonReader(b'{"inputs": [1.]}').read()
    Traceback (most recent call last):
    serving.errors.ServingError: JSON Parse error: Miss fraction part in number. at offset: 14

    Args:
        body: The text, in UTF-8.
        max_depth: Most levels of lists and objects.
    """

    def __init__(self, body: bytes, max_depth: int = MAX_DEPTH) -> None:
        self._body, self._max_depth = body, max_depth
        self._at = len(_BOM) if body.startswith(_BOM) else 0

    def read(self) -> Any:
        """Returns the document: None, bool, int (of at most 64 bits), float, str, list or dict.

        Raises:
            ServingError: INVALID_ARGUMENT "JSON Parse error: ... at offset: N", with RapidJSON's text and offset.
        """
        try:
            return self._document()
        except _ParseError as error:
            raise invalid(f"JSON Parse error: {error.text} at offset: {error.offset}") from None

    def _document(self) -> Any:
        if self._next() in b"\0,:]}":  # the empty bytes at the end of the text too
            self._fail("The document is empty.")
        open_containers: list[Any] = []  # the lists and objects around the next value
        keys: list[str] = []  # for each open object, the key whose value comes next
        while True:
            value, is_open = self._value(keys)
            if is_open:
                open_containers.append(value)
                if len(open_containers) > self._max_depth:
                    self._fail(f"Nested deeper than {self._max_depth}.")
                continue
            while open_containers:
                if self._add(open_containers[-1], value, keys):
                    break
                value = open_containers.pop()
            else:
                return value

    def _add(self, container: Any, value: Any, keys: list[str]) -> bool:
        """Adds a value to its container; returns whether another one follows."""
        if type(container) is list:
            closing, place = b"]", "an array element"
            container.append(value)
        else:
            closing, place = b"}", "an object member"
            container.setdefault(keys.pop(), value)
        found = self._next()
        if found not in (b",", closing):
            self._fail(f"Missing a comma or '{closing.decode()}' after {place}.")
        self._at += 1
        if found == closing:
            return False
        if closing == b"}":
            keys.append(self._key())
        return True

    def _value(self, keys: list[str]) -> tuple[Any, bool]:
        """Reads the next value; True marks a list or an object of which only the opening bracket was read."""
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
        if literal := _LITERAL.match(self._body, self._at):
            self._at = literal.end()
            if literal[0] not in _LITERALS:
                self._fail("Invalid value.")
            return _LITERALS[literal[0]], False
        return self._number(), False

    def _next(self) -> bytes:
        self._at = _SPACE.match(self._body, self._at).end()  # type: ignore[union-attr]  # the empty match is one
        return self._body[self._at : self._at + 1]

    def _open(self, container: Any, closing: bytes) -> tuple[Any, bool]:
        self._at += 1
        if self._next() != closing:
            return container, True
        self._at += 1
        return container, False

    def _leaves(self) -> list | None:
        """Reads a list that holds no list, object or string in one call instead of one per element.

        Returns None if the elements must be read one by one, because there may be an error to report.
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
            if end != b"\\":  # a control character
                self._fail("Invalid escape character in string.")
            parts.append(self._escape())

    def _escape(self) -> bytes:
        kind = self._body[self._at + 1 : self._at + 2]
        if kind in _ESCAPES:
            self._at += 2
            return _ESCAPES[kind]
        if kind != b"u":
            self._fail("Invalid escape character in string.")
        start = self._at
        code = self._hex(start)
        if 0xD800 <= code < 0xDC00:
            low = self._hex(start) if self._body.startswith(b"\\u", self._at) else 0
            if not 0xDC00 <= low < 0xE000:
                self._fail("The surrogate pair in string is invalid.", start)
            code = 0x10000 + ((code - 0xD800) << 10) + low - 0xDC00
        return chr(code).encode("utf-8", "surrogatepass")  # RapidJSON 1.1.0 accepts a low surrogate by itself

    def _hex(self, start: int) -> int:
        digits = _HEX.match(self._body, self._at + 2)
        if digits is None:
            self._fail("Incorrect hex digit after \\u escape in string.", start)
        self._at = digits.end()
        return int(digits[0], 16)

    def _number(self) -> int | float:
        match = _NUMBER.match(self._body, self._at)
        value = _number(match)  # type: ignore[arg-type]  # the empty match is one
        self._at = match.end()  # type: ignore[union-attr]
        return value

    def _fail(self, text: str, at: int | None = None) -> NoReturn:
        raise _ParseError(text, self._at if at is None else at)


def _number(match: re.Match[bytes]) -> int | float:
    """Converts a match of `_NUMBER`: to an int if it is written as one and has at most 64 bits, else to a float."""
    token, fraction, exponent = match[0], match["fraction"], match["exponent"]
    if match["whole"] is None:
        if token not in _NOT_FINITE:
            raise _ParseError("Invalid value.", match.end())
        return _NOT_FINITE[token]
    if fraction == b".":
        raise _ParseError("Miss fraction part in number.", match.end("fraction"))
    if exponent and not exponent[-1:].isdigit():
        raise _ParseError("Miss exponent in number.", match.end())
    if not fraction and not exponent and len(token) <= 20:  # longer ones have more than 64 bits
        integer = int(token)
        if _MIN_INT64 <= integer <= _MAX_UINT64:
            return integer
    value = float(token)
    if isinf(value) and _too_big(match):
        raise _ParseError("Number too big to be stored in double.", match.start())
    return value


def _too_big(match: re.Match[bytes]) -> bool:
    """Whether RapidJSON refuses a number beyond the range of a double; it reads others, such as 2e308, as infinite."""
    fraction_digits = len(match["fraction"] or b".") - 1
    return isinf(float(match["whole"])) or float((match["exponent"] or b"e0")[1:]) > _MAX_EXPONENT + fraction_digits


# Accepts NaN and Infinity, which orjson does not.
_STANDARD = json.JSONDecoder(parse_int=lambda text: _number(_NUMBER.match(text.encode())))  # type: ignore[arg-type]


def _leaf_list(text: bytes) -> list | None:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        pass
    try:
        values = _STANDARD.decode(text.decode())
        # A number that is too large becomes infinite here; only those spelled as infinite are meant to be.
        if values.count(inf) + values.count(-inf) == text.count(b"Inf"):
            return values
    except (ValueError, _ParseError):
        pass
    try:
        return [_scalar(item.strip(b" \t\n\r")) for item in text[1:-1].split(b",")]
    except _ParseError:
        return None


def _scalar(item: bytes) -> Any:
    if item in _LITERALS:
        return _LITERALS[item]
    match = _NUMBER.fullmatch(item)
    if match is None:
        raise _ParseError("Invalid value.", 0)
    return _number(match)
