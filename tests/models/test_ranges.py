"""Ranges: ends, NaN, words."""

import pytest

from models.ranges import Range


@pytest.mark.parametrize(
    ("accepts", "words", "inside", "outside"),
    [
        (Range(0, 1, open_low=True, open_high=True), "above 0 and below 1", (0.5,), (0, 1, float("nan"))),
        (Range(0, 1), "at least 0 and at most 1", (0, 1), (-1e-9, 1.1, float("inf"))),
        (Range(1), "at least 1", (1, 1e9), (0, float("nan"))),
    ],
)
def test_range(accepts: Range, words: str, inside: tuple, outside: tuple):
    assert str(accepts) == words
    assert all(value in accepts for value in inside)
    assert not any(value in accepts for value in outside)
