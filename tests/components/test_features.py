"""Bands: every image is in one, at the bounds too."""

import pytest

from components.features import luminance_band, size_band


@pytest.mark.parametrize(
    ("width", "height", "band"),
    [
        (8, 8, "below 32"),
        (31, 900, "below 32"),
        (32, 33, "32 to 63"),
        (640, 255, "128 to 255"),
        (511, 512, "256 to 511"),
        (512, 512, "512 and above"),
    ],
)
def test_size_band_is_of_the_shorter_side(width, height, band):
    assert size_band(width, height) == band


@pytest.mark.parametrize(
    ("luminance", "band"), [(0.0, "dark"), (84.9, "dark"), (85.0, "medium"), (170.0, "bright"), (255.0, "bright")]
)
def test_luminance_band(luminance, band):
    assert luminance_band(luminance) == band
