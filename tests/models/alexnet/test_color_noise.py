"""Colour noise: against its definition in NumPy."""

import keras
import numpy as np
import pytest

from models.alexnet.color_noise import ColorNoise

COVARIANCE = np.array([[4000.0, 3600.0, 3300.0], [3600.0, 4100.0, 3700.0], [3300.0, 3700.0, 4900.0]])
IMAGES = np.random.default_rng(0).uniform(0, 255, (6, 5, 4, 3)).astype("float32")


def noise_of(layer, images):
    return keras.ops.convert_to_numpy(layer(images, training=True)) - images


def test_inference_changes_nothing():
    layer = ColorNoise(COVARIANCE, seed=1)
    np.testing.assert_array_equal(layer(IMAGES), IMAGES)
    np.testing.assert_array_equal(layer(IMAGES, training=False), IMAGES)


def test_an_image_gets_one_colour_and_each_image_another():
    noise = noise_of(ColorNoise(COVARIANCE, seed=1), IMAGES)
    np.testing.assert_allclose(noise, np.broadcast_to(noise[:, :1, :1], noise.shape), atol=1e-4)
    assert len(np.unique(np.round(noise[:, 0, 0], 3), axis=0)) == len(IMAGES)


def test_noise_is_the_sum_over_scaled_principal_components():
    noise = noise_of(ColorNoise(COVARIANCE, deviation=0.1, seed=3), np.zeros((4, 1, 1, 3), "float32"))[:, 0, 0]
    alpha = 0.1 * keras.ops.convert_to_numpy(keras.random.normal((4, 3), seed=keras.random.SeedGenerator(3)))
    variances, components = np.linalg.eigh(COVARIANCE)
    expected = sum(alpha[:, i, None] * np.sqrt(variances[i]) * components[:, i] for i in range(3))
    np.testing.assert_allclose(noise, expected, rtol=1e-4, atol=1e-4)


def test_noise_has_a_hundredth_of_the_covariance():
    noise = noise_of(ColorNoise(COVARIANCE, seed=1), np.zeros((100_000, 1, 1, 3), "float32"))[:, 0, 0]
    np.testing.assert_allclose(noise.mean(axis=0), 0, atol=0.1)  # deviation 7, 0.02 of the mean
    np.testing.assert_allclose(np.cov(noise.T), COVARIANCE / 100, rtol=0.03)


def test_a_seed_gives_the_same_noise_and_every_call_another():
    one, other = ColorNoise(COVARIANCE, seed=5), ColorNoise(COVARIANCE, seed=5)
    first = noise_of(one, IMAGES)
    np.testing.assert_array_equal(first, noise_of(other, IMAGES))
    assert np.abs(first - noise_of(one, IMAGES)).max() > 0.1


def test_a_singular_covariance_gives_grey_noise():
    noise = noise_of(ColorNoise(np.full((3, 3), 2500.0), seed=1), IMAGES)
    np.testing.assert_allclose(noise, np.broadcast_to(noise[..., :1], noise.shape), atol=1e-3)


def test_a_saved_model_has_the_layer(tmp_path):
    model = keras.Sequential([keras.Input((5, 4, 3)), ColorNoise(COVARIANCE, deviation=0.2, seed=7)])
    model.save(tmp_path / "model.keras")
    layer = keras.saving.load_model(tmp_path / "model.keras").layers[-1]
    np.testing.assert_array_equal(layer.covariance, COVARIANCE)
    assert (layer.deviation, layer.seed) == (0.2, 7)
    np.testing.assert_array_equal(noise_of(layer, IMAGES), noise_of(ColorNoise(COVARIANCE, 0.2, 7), IMAGES))


@pytest.mark.parametrize(
    ("covariance", "message"),
    [(np.ones(3), "square"), ([[1, 2], [0, 1]], "symmetric"), ([[1, 2], [2, 1]], "negative"),
     ([[np.nan, 0], [0, 1]], "numbers")],
)  # fmt: skip
def test_what_is_no_covariance_is_refused(covariance, message):
    with pytest.raises(ValueError, match=message):
        ColorNoise(covariance)


def test_a_negative_deviation_is_refused():
    with pytest.raises(ValueError, match="deviation"):
        ColorNoise(COVARIANCE, deviation=-0.1)
