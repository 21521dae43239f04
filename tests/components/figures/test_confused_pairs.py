import numpy as np
import pytest

from components.figures import confused_pairs
from components.figures.confused_pairs import ConfusedPair

TRUE = ["cat", "cat", "dog", "cat", "cat", "dog", "cow", "cow", "dog", "cow"]
PREDICTED = ["dog", "dog", "cat", "cow", "dog", "cat", "cow", "cat", "dog", "cow"]
SCORES = [0.51, 0.93, 0.4, 0.99, 0.72, 0.6, 1, 0.35, 1, 1]


def first_pixels(figure):
    """Returns the first pixel of each image, by row."""
    rows = {}
    for axes in figure.axes:
        first = rows.setdefault(axes.get_subplotspec().rowspan.start, [])
        first += [image.get_array()[0, 0] for image in axes.images]
    return list(rows.values())


def numbered(count):
    return [np.full((2, 3), index) for index in range(count)]


def test_pairs_are_ordered_and_the_most_frequent_comes_first():
    assert confused_pairs.most_confused(TRUE, PREDICTED, SCORES) == [
        ConfusedPair("cat", "dog", (1, 4, 0), 4),
        ConfusedPair("dog", "cat", (5, 2), 3),
        ConfusedPair("cow", "cat", (7,), 3),  # before the next: one of three is more than one of four
        ConfusedPair("cat", "cow", (3,), 4),
    ]
    assert confused_pairs.most_confused(TRUE, PREDICTED)[0].images == (0, 1, 4)


def test_a_row_shows_the_most_confident_images_of_a_pair_below_its_caption():
    figure = confused_pairs.confused_pairs(numbered(10), TRUE, PREDICTED, SCORES, count=3, images_each=2)
    assert first_pixels(figure) == [[1, 4], [5, 2], [7]]
    texts = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert texts == [
        "cat, predicted as dog: 3 of 4", "93 %", "72 %",
        "dog, predicted as cat: 2 of 3", "60 %", "40 %",
        "cow, predicted as cat: 1 of 3", "35 %",
    ]  # fmt: skip
    assert figure.get_supxlabel() == "3 of 4 confused pairs among 10 images"


def test_at_most_six_rows_of_six():
    true = [f"class {index % 8}" for index in range(80)]
    said = [f"class {(index + 1) % 8}" for index in range(80)]
    assert list(map(len, first_pixels(confused_pairs.confused_pairs(numbered(80), true, said)))) == [6] * 6


def test_images_that_are_not_shown_may_be_missing():
    images = dict(enumerate(numbered(10)))
    for index in (6, 8, 9, 0):
        del images[index]
    figure = confused_pairs.confused_pairs(images, TRUE, PREDICTED, SCORES, images_each=2)
    assert first_pixels(figure) == [[1, 4], [5, 2], [7], [3]]


def test_no_mistakes_are_said_so_and_can_be_drawn(drawn):
    figure = confused_pairs.confused_pairs(numbered(3), ["a", "b", "b"], ["a", "b", "b"], [1, 1, 1])
    assert (figure.get_suptitle(), figure.get_supxlabel()) == ("No mistakes", "among 3 images")
    assert not any(axes.images or axes.texts for axes in figure.axes)
    assert drawn(figure).std() > 0


@pytest.mark.lengthy
@pytest.mark.parametrize(("rows", "count"), [(1, 1), (2, 1), (6, 1), (6, 6)])
def test_long_names_stay_in_the_figure_and_off_the_other_texts(rows, count, drawn):
    true = [f"n0212304{row} tabby, tabby cat" for row in range(rows) for _ in range(count)]
    said = [name.replace("tabby, tabby", "tiger, tiger") for name in true]
    figure = confused_pairs.confused_pairs(np.zeros((len(true), 5, 4, 3)), true, said, np.full(len(true), 0.5))
    drawn(figure)
    shown = [axes for axes in figure.axes if axes.images]
    assert len(shown) == rows * count
    texts = [*figure.texts, *(text for axes in shown for text in axes.texts)]
    boxes = [artist.get_window_extent() for artist in (*texts, *shown)]
    assert all(figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1 for box in boxes)
    assert all(figure.bbox.y0 <= box.y0 and box.y1 <= figure.bbox.y1 for box in boxes)
    for index, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[index + 1 :])
    assert f"{true[0]}, predicted as {said[0]}: {count} of {count}" in [text.get_text() for text in texts]
