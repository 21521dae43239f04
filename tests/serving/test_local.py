"""Predictions of a tiny SavedModel on disk, which has the contract's signature."""

from pathlib import Path

import pytest

tf = pytest.importorskip("tensorflow")

from serving.local import BATCH, LocalModel  # noqa: E402


class Brightness(tf.Module):
    """Classifies a PNG as "dark" or "bright" by its first pixel."""

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


def test_best_first_with_class_names_of_any_alphabet(model: LocalModel):
    dark, bright = model.predict([png(51), png(255)])
    assert dark.classes == ("dunkel", "größer")
    assert dark.scores == pytest.approx((0.8, 0.2))
    assert bright.classes == ("größer", "dunkel")


def test_one_bad_image_does_not_spoil_its_batch(model: LocalModel):
    predictions = model.predict([png(0), b"no image", png(255), b""])
    assert [prediction and prediction.classes[0] for prediction in predictions] == ["dunkel", None, "größer", None]


def test_more_than_one_batch(model: LocalModel):
    greys = [255 * (index % 2) for index in range(BATCH + 3)]
    predictions = model.predict([png(grey) for grey in greys])
    assert [prediction.classes[0] == "größer" for prediction in predictions] == [grey == 255 for grey in greys]


def test_no_images(model: LocalModel):
    assert model.predict([]) == []


class Length(tf.Module):
    """Returns a number and a list for each image."""

    @tf.function(input_signature=[tf.TensorSpec((None,), tf.string, "image_bytes")])
    def serve(self, image_bytes):
        lengths = tf.cast(tf.strings.length(image_bytes), tf.float32)
        return {"length": lengths, "code": tf.stack([lengths, lengths], axis=1)}


def test_numbers_of_a_model_without_classes(tmp_path: Path):
    module = Length()
    tf.saved_model.save(module, str(tmp_path), signatures={"serving_default": module.serve})
    first, second = LocalModel(tmp_path).predict([b"abc", b"a"])
    assert (first.numbers, second.numbers) == ({"length": 3.0}, {"length": 1.0})
    assert first.classes == first.scores == ()


def test_folder_without_a_model(tmp_path: Path):
    with pytest.raises(OSError, match="SavedModel"):
        LocalModel(tmp_path)
