"""The gallery draws whatever net it is given."""

import re

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from benchmarks import gallery
from models.dbn import DBN
from models.up_down import LabelDBN

# Of Keras 3.15 with NumPy 2, whenever a variable becomes an array.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Untrained nets for the digits' 64 pixels, by their kinds."""
    root = tmp_path_factory.mktemp("nets")
    DBN((12,), num_visible=64, seed=1).save(root / "machine")
    DBN((12, 9, 7), num_visible=64, seed=1).save(root / "stack")
    DBN((12, 3), num_visible=64, code_type="gaussian", seed=1).save(root / "code")
    LabelDBN((12, 9), num_classes=10, num_visible=64, seed=1).save(root / "labels")
    DBN((12,), num_visible=64, visible_type="gaussian", seed=1).save(root / "real")
    DBN((12,), num_visible=784, seed=1).save(root / "large")
    return root


def kinds(page, chapter):
    return re.findall(rf"!\[{chapter}: ([\w-]+)\]", page)


@pytest.mark.lengthy
def test_page_shows_what_each_kind_of_net_has(folders, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(gallery, "TEMPERATURES", (10, 30))
    monkeypatch.setattr(gallery, "STEPS", (0, 1, 12))
    chapters = ("machine", "stack", "code", "labels")
    gallery.main([*(f"{name}={folders / name}" for name in chapters), "--data", "digits", "--out", str(tmp_path)])
    page = (tmp_path / "gallery.md").read_text(encoding="utf-8")
    assert kinds(page, "machine") == ["filters", "activations", "fantasies", "log-probability"]
    assert kinds(page, "stack") == ["filters-1", "filters-2", "filters-3", "fantasies"]
    assert kinds(page, "code") == ["reconstructions", "codes"]
    assert kinds(page, "labels") == ["classes"]
    linked = re.findall(r"\]\((images/gallery/[\w.-]+)\)", page)
    written = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.png"))
    assert sorted(linked) == written
    assert "machine=FOLDER stack=FOLDER code=FOLDER labels=FOLDER --data digits" in page
    printed = capsys.readouterr().out
    for name in written:
        assert name in printed
        assert (tmp_path / name).stat().st_size < 150_000
        assert np.asarray(Image.open(tmp_path / name).convert("L")).std() > 0


def test_fine_tuned_autoencoder_is_shown_from_its_saved_model(tmp_path):
    class Served(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec((None, 8, 8, 1), tf.float32, name="pixels")])
        def answer(self, pixels):
            return {"code": pixels[:, :2, 0, 0] / 255, "reconstruction": 1 - pixels / 255}

    model = Served()
    tf.saved_model.save(model, str(tmp_path), signatures={"pixels": model.answer})
    data = gallery.load_data("digits", None)
    reconstructions, codes = gallery.pictures_of(tmp_path, data)
    canvas = np.asarray(reconstructions.figure.axes[0].images[0].get_array())
    np.testing.assert_allclose(canvas[:8, :8], data.images[0].reshape(8, 8), atol=1e-6)
    np.testing.assert_allclose(canvas[9:, :8], 1 - data.images[0].reshape(8, 8), atol=1e-6)
    assert "2 numbers" in codes.caption


@pytest.mark.parametrize(
    ("net", "sentence"), [("none", "no trained net"), ("real", "64 gaussian units"), ("large", "784 bernoulli units")]
)
def test_what_cannot_be_shown_is_refused_in_one_sentence(folders, tmp_path, net, sentence):
    with pytest.raises(SystemExit, match=sentence):
        gallery.main([f"net={folders / net}", "--data", "digits", "--out", str(tmp_path)])


def test_a_net_without_a_folder_is_refused(capsys):
    with pytest.raises(SystemExit):
        gallery.main(["mnist-rbm"])
    assert "write NAME=FOLDER" in capsys.readouterr().err
