"""Writes `rapidjson_reference.json`: how RapidJSON 1.1.0 answers texts, parsed with TensorFlow Serving's flags.

    python tests/serving/rest/make_rapidjson_reference.py RAPIDJSON/include

Needs a C++ compiler and RapidJSON's headers at the tag v1.1.0, the version that TensorFlow Serving pins.
"""

import json
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import rest_mutations

PROGRAM = """
#include <cstdint>
#include <cstdio>
#include <string>
#include "rapidjson/document.h"
#include "rapidjson/encodedstream.h"
#include "rapidjson/error/en.h"
#include "rapidjson/memorystream.h"
using namespace rapidjson;
int main() {
  uint32_t size;
  while (std::fread(&size, 4, 1, stdin) == 1) {
    std::string text(size, 0), answer;
    if (size && std::fread(&text[0], 1, size, stdin) != size) return 1;
    MemoryStream memory(text.data(), text.size());
    EncodedInputStream<UTF8<>, MemoryStream> stream(memory);
    Document document;
    document.ParseStream<kParseIterativeFlag | kParseNanAndInfFlag | kParseStopWhenDoneFlag>(stream);
    if (document.HasParseError())
      answer = std::string(GetParseError_En(document.GetParseError())) + " at offset: "
             + std::to_string(document.GetErrorOffset());
    size = answer.size();
    std::fwrite(&size, 4, 1, stdout);
    std::fwrite(answer.data(), 1, size, stdout);
  }
}
"""
TEXTS = r"""
instances = [1, 2]|nul|[NaN, nul]|[1,]|[-]|[1e400]|[NaN, Inf, 1e400]|[1.]|[1.e5]|[1e]|[1E+]|[01]|[1 2]|[1|{"a": 1
{"a": 1,}|{1: 2}|{"a" 1}|["a|["\x"]|["\u12"]|["\ud83d"]|["\ud83d\u0041"]|["\udc00"]|[NaX]|[Na]|[N|[In]|[Infi]|[Infinit
[InfX]|[-N]|[-Na|[-I]|[-Infin]|[-a]|[+1]|[.5]|tru]|fals|falsX|[truX]|\u|{"a":}|{"a":1 "b"}|{"a":1,,}|{,}|[,]|,|:|]|}
{"\ud800":1}|["\ud800\ud800"]|["\ud800\uZZZZ"]|["\ud800\u00"]|["\u00"]|["\uD800x"]|["\u"]|["\|["\u0000"]
[-0, 0, -0.0, 1e5, 1E-5]|[1e+400]|[-1e400]|[1e-400]|[1.7976931348623159e308]
[18446744073709551616, -9223372036854775809]|[-|[1.5.5]|[1e5e]|[--1]|[0x10]|[1_0]|NaN|-Inf|-Infinity|-NaN|"a" x
{"a":1}}|[]]|5 5|{"a": 1, "a": 2}|[nan]|[inf]|[infinity]|[null,nulL]|[True]|[-1.]|[-1e]|[0.]|[0e]|[00]|[-01]|[0.5|[1e5
[12|"|[/* */1]|['a']|[}|{]|[{]}|[1}|{"a":1]|{"a":[}|[[1,2],[3,]]|[tru|[nullx]|[1.0E]|[1.0e+]|[5e+]|[1e99999999999]
[1e-99999999999]|[123456789012345678901234567890e300]|[1e308, 1e309]|[2e308]|[0.1e309]|[0.1e310]
"""
# Texts whose bytes a line above cannot hold.
BYTES = [
    b" \n",
    b"\xef\xbb\xbf",
    b"\xef\xbb\xbf[",
    b"\xef\xbb\xbf[1]",
    b"[\0]",
    b"[1\0]",
    b"\0",
    b'["a\0"]',
    b'["a\1"]',
]
BYTES += [b'["abc\nd"]', b'["\xff"]', b'{"a":"\x1f"}', b"\x0b1", b"[1\x0b]", b"9" * 400, b"[NaN, " + b"9" * 5000 + b"]"]
MUTATED = 600


def answers(include: str, texts: list[bytes]) -> list[str]:
    """Returns RapidJSON's error for each text, "" for a text that it reads."""
    with tempfile.TemporaryDirectory() as folder:
        source, program = Path(folder, "reference.cc"), Path(folder, "reference")
        source.write_text(PROGRAM)
        subprocess.run(["g++", "-O1", "-std=c++11", "-w", f"-I{include}", source, "-o", program], check=True)
        data = b"".join(struct.pack("<I", len(text)) + text for text in texts)
        output = subprocess.run([program], input=data, stdout=subprocess.PIPE, check=True).stdout
    found, position = [], 0
    while position < len(output):
        (size,) = struct.unpack_from("<I", output, position)
        found.append(output[position + 4 : position + 4 + size].decode())
        position += 4 + size
    return found


def main() -> None:
    """Writes pairs of a text, as Latin-1, and its error."""
    texts = [line.encode() for row in TEXTS.strip().splitlines() for line in row.split("|")] + BYTES
    bodies = (case.body for case in rest_mutations.cases(7, 5000, "m"))
    short = [body for body in bodies if body.startswith(b"{") and len(body) < 120 and not _deliberate(body)]
    texts += short[:MUTATED]
    pairs = [(text.decode("latin-1"), error) for text, error in zip(texts, answers(sys.argv[1], texts), strict=True)]
    lines = ",\n".join(map(json.dumps, pairs))
    Path(__file__).with_name("rapidjson_reference.json").write_text(f"[\n{lines}\n]\n")


def _deliberate(body: bytes) -> bool:
    """Whether a text may hold one of the differences that the reader's documentation names."""
    return any(part in body for part in (b"NaN.", b"nf.", b"nity.", b"0e", b"0E"))


if __name__ == "__main__":
    main()
