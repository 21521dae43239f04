"""Answers from a SavedModel on disk: a tiny one with the contract's signature, made here."""

from pathlib import Path

import pytest

tf = pytest.importorskip("tensorflow")

from serving.local import BATCH, LocalModel  # noqa: E402


class Brightness(tf.Module):
    """Says "dark" or "bright", from the first pixel of a PNG."""

    @tf.function(input_signature=[tf.TensorSpec((None,), tf.string, "image_bytes")])
    def serve(self, image_bytes):
        def first(data):
            return tf.cast(tf.io.decode_png(data, channels=1)[0, 0, 0], tf.float32) / 255.0

        bright = tf.map_fn(first, image_bytes, fn_output_signature=tf.float32)
        probabilities = tf.stack([1 - bright, bright], axis=1)
        scores, indices = tf.math.top_k(probabilities, k=2)
        classes = tf.gather(tf.constant(["dunkel", "größer"]), indices)
        return {"probabilities": probabilities, "classes": classes, "scores": scores}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LocalModel:
    folder = tmp_path_factory.mktemp("model")
    module = Brightness()
    tf.saved_model.save(module, str(folder), signatures={"serving_default": module.serve})
    return LocalModel(folder)


def png(grey: int) -> bytes:
    return tf.io.encode_png(tf.constant([[[grey]]], tf.uint8)).numpy()


def test_best_first_with_labels_of_any_alphabet(model: LocalModel):
    dark, bright = model.predict([png(51), png(255)])
    assert dark.classes == ("dunkel", "größer")
    assert dark.scores == pytest.approx((0.8, 0.2))
    assert bright.classes == ("größer", "dunkel")


def test_one_bad_image_does_not_spoil_its_batch(model: LocalModel):
    answers = model.predict([png(0), b"no image", png(255), b""])
    assert [answer and answer.classes[0] for answer in answers] == ["dunkel", None, "größer", None]


def test_more_than_one_batch(model: LocalModel):
    greys = [255 * (index % 2) for index in range(BATCH + 3)]
    answers = model.predict([png(grey) for grey in greys])
    assert [answer.classes[0] == "größer" for answer in answers] == [grey == 255 for grey in greys]


def test_no_images(model: LocalModel):
    assert model.predict([]) == []


class Length(tf.Module):
    """Says a figure and a list for each image."""

    @tf.function(input_signature=[tf.TensorSpec((None,), tf.string, "image_bytes")])
    def serve(self, image_bytes):
        lengths = tf.cast(tf.strings.length(image_bytes), tf.float32)
        return {"length": lengths, "code": tf.stack([lengths, lengths], axis=1)}


def test_figures_of_a_model_without_labels(tmp_path: Path):
    module = Length()
    tf.saved_model.save(module, str(tmp_path), signatures={"serving_default": module.serve})
    first, second = LocalModel(tmp_path).predict([b"abc", b"a"])
    assert (first.figures, second.figures) == ({"length": 3.0}, {"length": 1.0})
    assert first.classes == first.scores == ()


def test_folder_without_a_model(tmp_path: Path):
    with pytest.raises(OSError, match="SavedModel"):
        LocalModel(tmp_path)
