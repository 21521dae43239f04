"""The mean image: subtracted, saved, never trained."""

import keras
import numpy as np
import pytest

from models.alexnet.mean_image import MeanImage

IMAGES = np.random.default_rng(0).integers(0, 256, (4, 5, 6, 3)).astype("uint8")
MEAN = np.random.default_rng(1).uniform(0, 255, (5, 6, 3)).astype("float32")


def numbers(tensor):
    return keras.ops.convert_to_numpy(tensor)


def test_the_mean_is_taken_out_of_every_image():
    np.testing.assert_allclose(numbers(MeanImage(MEAN)(IMAGES)), IMAGES - MEAN, rtol=1e-6)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_half_precision_rounds_the_difference_and_not_the_levels(policy):
    mean = np.full((5, 6, 3), 254.9, "float32")
    found = MeanImage(mean, dtype=policy)(np.full((1, 5, 6, 3), 255, "uint8"))
    assert keras.backend.standardize_dtype(found.dtype) == policy.removeprefix("mixed_")
    np.testing.assert_allclose(numbers(keras.ops.cast(found, "float32")), 0.1, rtol=5e-3)


def test_a_saved_model_has_the_mean_which_is_not_trained(tmp_path):
    model = keras.Sequential([keras.Input((5, 6, 3)), MeanImage(MEAN)])
    assert model.trainable_variables == []
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(numbers(loaded(IMAGES)), numbers(model(IMAGES)))
    np.testing.assert_array_equal(numbers(loaded.layers[-1].mean), MEAN)
