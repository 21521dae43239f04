"""Fixtures that read a plot: its pixels and its texts."""

import io

import pytest
from matplotlib.image import imread


def _drawn(figure):
    file = io.BytesIO()
    figure.savefig(file, format="png")
    file.seek(0)
    return imread(file)


def _texts(figure):
    found = [text.get_text() for axes in figure.axes for text in (axes.title, *axes.texts)]
    return [*found, figure.get_suptitle(), figure.get_supxlabel()]


@pytest.fixture(scope="session")
def drawn():
    """A function that returns a figure's pixels, (height, width, 4), in [0, 1]."""
    return _drawn


@pytest.fixture(scope="session")
def texts():
    """A function that returns the titles and other texts of a figure."""
    return _texts
