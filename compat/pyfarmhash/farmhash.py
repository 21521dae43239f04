"""FarmHash's portable fingerprints in plain Python, for tensorflow-data-validation.

PyPI distributes pyfarmhash as C++ source only, so installing it needs a compiler and Python's headers. TFDV calls two
of its nine functions: `fingerprint32` to divide features into partitions, `fingerprint64` to compare examples for skew.
The pipeline of vision-tfx uses neither feature, so speed (70 us for 100 bytes) does not matter here.

Source: FarmHash 1.1 (https://github.com/google/farmhash), `farmhashmk::Hash32` and `farmhashna::Hash64`.
"""

__all__ = ["fingerprint32", "fingerprint64"]

_MASK32 = 0xFFFFFFFF
_MASK64 = 0xFFFFFFFFFFFFFFFF

# Odd multipliers of Murmur3 (32 bits) and primes between 2^63 and 2^64 (64 bits).
_C1 = 0xCC9E2D51
_C2 = 0x1B873593
_K0 = 0xC3A5C85C97CB3127
_K1 = 0xB492B66FBE98F273
_K2 = 0x9AE16A3B2F90404F


def fingerprint32(text: str) -> int:
    """Returns the 32-bit fingerprint of a text, which counts as its UTF-8 bytes."""
    data = text.encode()
    size = len(data)
    if size <= 4:
        return _hash32_up_to_4(data)
    if size <= 12:
        return _hash32_5_to_12(data)
    if size <= 24:
        return _hash32_13_to_24(data)
    return _hash32_long(data)


def fingerprint64(text: str) -> int:
    """Returns the 64-bit fingerprint of a text, which counts as its UTF-8 bytes."""
    data = text.encode()
    size = len(data)
    if size <= 16:
        return _hash64_up_to_16(data)
    if size <= 32:
        return _hash64_17_to_32(data)
    if size <= 64:
        return _hash64_33_to_64(data)
    return _hash64_long(data)


# 32 bits


def _word32(data: bytes, start: int) -> int:
    return int.from_bytes(data[start : start + 4], "little")


def _rotate32(value: int, bits: int) -> int:
    value &= _MASK32
    return (value >> bits | value << (32 - bits)) & _MASK32


def _avalanche(h: int) -> int:
    """Murmur3's finalizer: every input bit reaches every output bit."""
    h &= _MASK32
    h = (h ^ h >> 16) * 0x85EBCA6B & _MASK32
    h = (h ^ h >> 13) * 0xC2B2AE35 & _MASK32
    return h ^ h >> 16


def _scramble(a: int) -> int:
    return _rotate32(a * _C1, 17) * _C2 & _MASK32


def _step(h: int, bits: int = 19) -> int:
    return (_rotate32(h, bits) * 5 + 0xE6546B64) & _MASK32


def _murmur(a: int, h: int) -> int:
    return _step(h ^ _scramble(a))


def _hash32_up_to_4(data: bytes) -> int:
    b, c = 0, 9
    for byte in data:
        signed = byte - 256 if byte > 127 else byte
        b = (b * _C1 + signed) & _MASK32
        c ^= b
    return _avalanche(_murmur(b, _murmur(len(data), c)))


def _hash32_5_to_12(data: bytes) -> int:
    size = len(data)
    a = size + _word32(data, 0)
    b = size * 5 + _word32(data, size - 4)
    c = 9 + _word32(data, size >> 1 & 4)
    return _avalanche(_murmur(c, _murmur(b, _murmur(a, size * 5))))


def _hash32_13_to_24(data: bytes) -> int:
    size = len(data)
    a = _word32(data, (size >> 1) - 4)
    b = _word32(data, 4)
    c = _word32(data, size - 8)
    d = _word32(data, size >> 1)
    e = _word32(data, 0)
    f = _word32(data, size - 4)
    h = d * _C1 + size
    a = _rotate32(a, 12) + f
    h = _murmur(c, h & _MASK32) + a
    a = _rotate32(a, 3) + c
    h = _murmur(e, h & _MASK32) + a
    a = _rotate32(a + f, 12) + d
    h = _murmur(b, h & _MASK32) + a
    return _avalanche(h)


def _hash32_long(data: bytes) -> int:
    size = len(data)
    f, g, h = _hash32_tail(data)
    for start in range(0, (size - 1) // 20 * 20, 20):
        a, b, c, d, e = (_word32(data, start + offset) for offset in range(0, 20, 4))
        h, g, f = h + a, g + b, f + c
        h = _murmur(d, h & _MASK32) + e
        g = _murmur(c, g & _MASK32) + a
        f = _murmur(b + e * _C1, f & _MASK32) + d
        f += g
        g += f
    g = _rotate32(_rotate32(g, 11) * _C1, 17) * _C1
    f = _rotate32(_rotate32(f, 11) * _C1, 17) * _C1
    h = _rotate32(_step(h + g), 17) * _C1
    return _rotate32(_step(h + f), 17) * _C1 & _MASK32


def _hash32_tail(data: bytes) -> tuple[int, int, int]:
    """Returns the state `f, g, h` of a long input: its size and its last 20 bytes."""
    size = len(data)
    last, second, third, fourth, fifth = (_scramble(_word32(data, size - offset)) for offset in (4, 8, 16, 12, 20))
    h = _step(_step(size ^ last) ^ third)
    g = _step(_step(_C1 * size & _MASK32 ^ second) ^ fourth)
    f = _rotate32(_C1 * size + fifth, 19) + 113
    return f, g, h


# 64 bits


def _word64(data: bytes, start: int) -> int:
    return int.from_bytes(data[start : start + 8], "little")


def _rotate64(value: int, bits: int) -> int:
    value &= _MASK64
    return (value >> bits | value << (64 - bits)) & _MASK64


def _shift_mix(value: int) -> int:
    value &= _MASK64
    return value ^ value >> 47


def _mix128(u: int, v: int, multiplier: int) -> int:
    """Returns 64 bits for 128, as Murmur does (`HashLen16`)."""
    a = _shift_mix(((u ^ v) & _MASK64) * multiplier)
    b = _shift_mix(((v ^ a) & _MASK64) * multiplier)
    return b * multiplier & _MASK64


def _hash64_up_to_16(data: bytes) -> int:
    size = len(data)
    multiplier = _K2 + size * 2
    if size >= 8:
        a = _word64(data, 0) + _K2
        b = _word64(data, size - 8)
        c = _rotate64(b, 37) * multiplier + a
        d = (_rotate64(a, 25) + b) * multiplier
        return _mix128(c, d, multiplier)
    if size >= 4:
        return _mix128(size + (_word32(data, 0) << 3), _word32(data, size - 4), multiplier)
    if size > 0:
        y = data[0] + (data[size >> 1] << 8)
        z = size + (data[-1] << 2)
        return _shift_mix(y * _K2 ^ z * _K0) * _K2 & _MASK64
    return _K2


def _hash64_17_to_32(data: bytes) -> int:
    size = len(data)
    multiplier = _K2 + size * 2
    a = _word64(data, 0) * _K1
    b = _word64(data, 8)
    c = _word64(data, size - 8) * multiplier
    d = _word64(data, size - 16) * _K2
    return _mix128(
        _rotate64(a + b, 43) + _rotate64(c, 30) + d,
        a + _rotate64(b + _K2, 18) + c,
        multiplier,
    )


def _hash64_33_to_64(data: bytes) -> int:
    size = len(data)
    multiplier = _K2 + size * 2
    a = _word64(data, 0) * _K2
    b = _word64(data, 8)
    c = _word64(data, size - 8) * multiplier
    d = _word64(data, size - 16) * _K2
    y = _rotate64(a + b, 43) + _rotate64(c, 30) + d
    z = _mix128(y, a + _rotate64(b + _K2, 18) + c, multiplier)
    e = _word64(data, 16) * multiplier
    f = _word64(data, 24)
    g = (y + _word64(data, size - 32)) * multiplier
    h = (z + _word64(data, size - 24)) * multiplier
    return _mix128(
        _rotate64(e + f, 43) + _rotate64(g, 30) + h,
        e + _rotate64(f + a, 18) + g,
        multiplier,
    )


def _weak_hash(data: bytes, start: int, a: int, b: int) -> tuple[int, int]:
    """Returns 128 bits for 32 bytes and two seeds (`WeakHashLen32WithSeeds`)."""
    w, x, y, z = (_word64(data, start + offset) for offset in range(0, 32, 8))
    a += w
    b = _rotate64(b + a + z, 21)
    c = a
    a += x + y
    b += _rotate64(a, 44)
    return (a + z) & _MASK64, (b + c) & _MASK64


_State = tuple[int, int, int, tuple[int, int], tuple[int, int]]


def _round(data: bytes, start: int, state: _State, multiplier: int, factor: int) -> _State:
    """Mixes 64 bytes into the 56 bytes of state; `factor` is 1 in the loop and 9 for the last 64 bytes."""
    x, y, z, v, w = state
    x = _rotate64(x + y + v[0] + _word64(data, start + 8), 37) * multiplier
    y = _rotate64(y + v[1] + _word64(data, start + 48), 42) * multiplier
    x = (x ^ w[1] * factor) & _MASK64
    y = (y + v[0] * factor + _word64(data, start + 40)) & _MASK64
    z = _rotate64(z + w[0], 33) * multiplier & _MASK64
    v = _weak_hash(data, start, v[1] * multiplier, x + w[0])
    w = _weak_hash(data, start + 32, z + w[1], y + _word64(data, start + 16))
    return z, y, x, v, w


def _hash64_long(data: bytes) -> int:
    size = len(data)
    x, y = 81 * _K2 + _word64(data, 0), 81 * _K1 + 113
    state: _State = (x, y, _shift_mix(y * _K2 + 113) * _K2, (0, 0), (0, 0))
    for start in range(0, (size - 1) // 64 * 64, 64):
        state = _round(data, start, state, _K1, 1)
    x, y, z, v, w = state
    multiplier = _K1 + ((z & 0xFF) << 1)
    w = (w[0] + (size - 1 & 63), w[1])
    v = (v[0] + w[0], v[1])
    w = (w[0] + v[0], w[1])
    x, y, z, v, w = _round(data, size - 64, (x, y, z, v, w), multiplier, 9)
    return _mix128(
        _mix128(v[0], w[0], multiplier) + _shift_mix(y) * _K0 + z,
        _mix128(v[1], w[1], multiplier) + x,
        multiplier,
    )
