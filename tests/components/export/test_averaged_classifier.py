"""An average of served classifiers: against a mean taken by numpy, alone on disk, with its members' signatures."""

import shutil
from pathlib import Path

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow")

import keras  # noqa: E402

from components import features  # noqa: E402
from components.export.alexnet import ExportedAlexNet  # noqa: E402
from components.export.averaged_classifier import AveragedClassifier  # noqa: E402
from components.export.classifier import ExportedClassifier  # noqa: E402
from components.export.saved_model import export  # noqa: E402
from serving.local import LocalModel  # noqa: E402
from serving.replay.saved_model import replay  # noqa: E402

LABELS = ["null", "eins", "zwei", "drei", "vier", "fünf"]


def network(seed: int, size: int) -> keras.Model:
    keras.utils.set_random_seed(seed)
    layers = [keras.Input((size, size, 1)), keras.layers.Rescaling(1 / 50), keras.layers.Flatten()]
    return keras.Sequential([*layers, keras.layers.Dense(len(LABELS), kernel_initializer="random_normal")])


def classifier(seed: int, size: int = 4) -> ExportedClassifier:
    return ExportedClassifier(network(seed, size), LABELS)


def alexnet(seed: int) -> ExportedAlexNet:
    crop = network(seed, 4)
    cropped = keras.Sequential([keras.Input((6, 6, 1)), keras.layers.CenterCrop(4, 4), crop])
    return ExportedAlexNet(cropped, LABELS)


@pytest.fixture(scope="module")
def images(png):
    random = np.random.default_rng(1)
    return [png(random.integers(0, 256, (size, size), np.uint8)) for size in (4, 6, 9)]


@pytest.fixture(scope="module")
def records(images):
    found = []
    for image in images:
        example = tf.train.Example()
        example.features.feature[features.IMAGE].bytes_list.value.append(image)
        found.append(example.SerializeToString())
    return found


@pytest.fixture
def averaged(tmp_path: Path, records):
    """Exports the members and their average; returns the members as they answer, and the average's folder."""

    made: list[Path] = []

    def make(*members) -> tuple[list, Path]:
        made.append(tmp_path / f"average{len(made)}" / "1")
        folders = [made[-1].parent / f"member{index}" / "1" for index in range(len(members))]
        for member, folder in zip(members, folders, strict=True):
            export(member, records, str(folder))
        export(AveragedClassifier(folders, LABELS), records, str(made[-1]))
        loaded = [tf.saved_model.load(str(folder)) for folder in folders]
        for folder in folders:
            shutil.rmtree(folder)
        return loaded, made[-1]

    return make


def check_mean(members, average, signature, **inputs):
    inputs = {name: tf.constant(value) for name, value in inputs.items()}
    expected = np.mean([member.signatures[signature](**inputs)["probabilities"].numpy() for member in members], axis=0)
    found = {name: value.numpy() for name, value in average.signatures[signature](**inputs).items()}
    np.testing.assert_allclose(found["probabilities"], expected, atol=1e-7)
    best = np.argsort(-expected, axis=1)[:, :5]
    np.testing.assert_allclose(found["scores"], np.take_along_axis(expected, best, 1), atol=1e-7)
    assert [[label.decode() for label in row] for row in found["classes"]] == np.array(LABELS)[best].tolist()


@pytest.mark.lengthy
def test_the_mean_of_the_members_without_their_folders(averaged, images, records):
    members, folder = averaged(classifier(1), classifier(2), classifier(3))
    average = tf.saved_model.load(str(folder))
    assert set(average.signatures) == {"serving_default", "examples", "pixels"}
    check_mean(members, average, "serving_default", image_bytes=images)
    check_mean(members, average, "examples", examples=records)
    check_mean(members, average, "pixels", pixels=np.random.default_rng(2).uniform(0, 255, (3, 4, 4, 1)).astype("f"))


@pytest.mark.lengthy
def test_members_of_different_sizes_have_no_pixels_in_common(averaged, images):
    members, folder = averaged(classifier(1, size=4), classifier(2, size=5))
    average = tf.saved_model.load(str(folder))
    assert set(average.signatures) == {"serving_default", "examples"}
    check_mean(members, average, "serving_default", image_bytes=images)


@pytest.mark.lengthy
def test_ten_crops_where_all_members_have_them(averaged, images, records):
    members, folder = averaged(alexnet(1), alexnet(2))
    average = tf.saved_model.load(str(folder))
    check_mean(members, average, "ten_crops", image_bytes=images)
    check_mean(members, average, "ten_crop_examples", examples=records)
    _, mixed = averaged(alexnet(3), classifier(4, size=6))
    assert set(tf.saved_model.load(str(mixed)).signatures) == {"serving_default", "examples", "pixels"}


@pytest.mark.lengthy
def test_it_is_served_as_other_models_are(averaged, images):
    _, folder = averaged(classifier(1), classifier(2))
    assert sorted(path.name for path in (folder / "assets").iterdir()) == [features.LABELS_FILE]
    assert (folder / "assets" / features.LABELS_FILE).read_text(encoding="utf-8").splitlines() == LABELS
    assert replay(str(folder)) == {"serving_default": len(images) + 1, "examples": 1, "pixels": 1}
    [answer, *_] = LocalModel(folder).predict(images)
    assert len(answer.classes) == len(answer.scores) == 5


@pytest.mark.lengthy
def test_a_session_restores_every_variable(averaged, images):
    # TensorFlow Serving runs the graph in a session, without Python's objects.
    _, folder = averaged(classifier(1), classifier(2))
    expected = tf.saved_model.load(str(folder)).signatures["serving_default"](image_bytes=tf.constant(images))
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        loaded = tf.compat.v1.saved_model.load(session, ["serve"], str(folder))
        signature = loaded.signature_def["serving_default"]
        feed = {signature.inputs["image_bytes"].name: images}
        found = session.run(signature.outputs["probabilities"].name, feed)
    np.testing.assert_allclose(found, expected["probabilities"].numpy(), atol=1e-6)


@pytest.mark.lengthy
def test_an_average_can_be_averaged(averaged, tmp_path, images, records):
    members, folder = averaged(classifier(1), classifier(2))
    third = tmp_path / "third"
    export(classifier(3), records, str(third))
    twice = AveragedClassifier([folder, third], LABELS).from_bytes(tf.constant(images))["probabilities"]
    answers = [member.signatures["serving_default"](image_bytes=tf.constant(images)) for member in members]
    first, second = (answer["probabilities"].numpy() for answer in answers)
    last = tf.saved_model.load(str(third)).signatures["serving_default"](image_bytes=tf.constant(images))
    np.testing.assert_allclose(twice, (first + second) / 4 + last["probabilities"].numpy() / 2, atol=1e-6)
