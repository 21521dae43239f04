"""Statistics of the training images: Transform's analyzers agree with NumPy."""

import numpy as np
import pytest

from components import features

RNG = np.random.default_rng(0)
SIZE = (4, 6)


@pytest.fixture(scope="module")
def analyzed(tmp_path_factory, png):
    """24 RGB images and the statistics that a TransformGraph of them carries."""
    import apache_beam as beam
    import tensorflow as tf
    import tensorflow_transform.beam as tft_beam
    from tensorflow_transform.tf_metadata import dataset_metadata, schema_utils

    from components import transform
    from components.input_pipeline.image_statistics import load_statistics

    images = RNG.integers(0, 256, (24, *SIZE, 3), np.uint8)
    rows = [{features.IMAGE: np.array([png(image)], object), features.LABEL: np.array([0])} for image in images]
    schema = schema_utils.schema_from_feature_spec(
        {features.IMAGE: tf.io.FixedLenFeature([1], tf.string), features.LABEL: tf.io.FixedLenFeature([1], tf.int64)}
    )
    metadata = dataset_metadata.DatasetMetadata(schema)
    root = tmp_path_factory.mktemp("transform")
    config = {"image_size": list(SIZE), "channels": 3}
    with beam.Pipeline(runner="FnApiRunner") as pipeline, tft_beam.Context(temp_dir=str(root / "temp")):
        data = pipeline | beam.Create(rows)
        function = (data, metadata) | tft_beam.AnalyzeDataset(lambda x: transform.preprocessing_fn(x, config))
        _ = function | tft_beam.WriteTransformFn(str(root / "graph"))
        _ = metadata | tft_beam.WriteMetadata(str(root / "graph" / "metadata"), pipeline=pipeline)
    return images, load_statistics(str(root / "graph"), SIZE, 3)


@pytest.mark.lengthy
def test_mean_image(analyzed):
    images, statistics = analyzed
    np.testing.assert_array_equal(statistics.mean_image, images.mean(0).astype(np.float32))


@pytest.mark.lengthy
def test_colour_covariance(analyzed):
    images, statistics = analyzed
    expected = np.cov(images.reshape(-1, 3).astype(float).T, bias=True)
    np.testing.assert_allclose(statistics.covariance, expected, rtol=1e-5, atol=1e-2)
