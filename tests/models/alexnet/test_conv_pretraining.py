"""What a convolution computes against what the RBM computes from whitened patches; patches against convolutions."""

import dataclasses
import gc

import keras
import numpy as np
import pytest
from keras import layers, ops
from sklearn.datasets import load_digits

from models.alexnet.conv_pretraining import IMAGES_AT_ONCE, pretrain_convolutions, sample_patches
from models.alexnet.patch_filters import PatchFilters, fold_whitening, learn_filters, normalise_contrast, patch_config
from models.alexnet.whitening import Whitening
from models.rbm import RBM

SHORT = dataclasses.replace(patch_config(27, 8), epochs=1)


def rows(count=400, features=6, seed=0):
    """Correlated rows with a mean."""
    random = np.random.default_rng(seed)
    return random.normal(size=(count, features)) @ random.normal(size=(features, features)) + random.normal(
        size=features
    )


def photographs(count=80, size=12, channels=3, seed=0):
    """Images of smooth noise."""
    images = np.random.default_rng(seed).normal(size=(count, size + 2, size + 2, channels))
    return sum(images[:, i : i + size, j : j + size] for i in range(3) for j in range(3)).astype("float32")


def convolution(model, name="conv", images=None):
    """What a layer gives before its activation, as NumPy."""
    layer = model.get_layer(name)
    inputs = images if layer is model.layers[0] else keras.Model(model.inputs[0], layer.input)(images)
    outputs = layer.convolution_op(inputs, layer.kernel)
    return ops.convert_to_numpy(outputs) + (layer.bias.numpy() if layer.use_bias else 0)


def single(filters=8, size=12, channels=3, dtype="float64", **kwargs):
    layer = layers.Conv2D(filters, **{"kernel_size": 3, "name": "conv", "dtype": dtype} | kwargs)
    return keras.Sequential([keras.Input((size, size, channels)), layer])


# Whitening -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["zca", "pca"])
def test_whitened_rows_have_mean_zero_and_the_identity_as_covariance(kind):
    whitened = Whitening(kind, 0).fit(rows()).transform(rows())
    np.testing.assert_allclose(whitened.mean(0), 0, atol=1e-10)
    np.testing.assert_allclose(np.cov(whitened.T, bias=True), np.eye(6), atol=1e-10)


@pytest.mark.parametrize("kind", ["zca", "pca"])
def test_regularised_covariance_has_the_documented_eigenvalues(kind):
    variances = np.linalg.eigvalsh(np.cov(rows().T, bias=True))
    wanted = variances / (variances + 0.3 * variances.mean())
    found = np.cov(Whitening(kind, 0.3).fit(rows()).transform(rows()).T, bias=True)
    np.testing.assert_allclose(np.linalg.eigvalsh(found), wanted, rtol=1e-10)


@pytest.mark.parametrize("kind", ["zca", "pca"])
def test_inverse_undoes_the_transform(kind):
    whitening = Whitening(kind, 0.3).fit(rows())
    np.testing.assert_allclose(whitening.inverse(whitening.transform(rows())), rows(), rtol=1e-10, atol=1e-12)


def test_zca_is_symmetric_and_pca_sorts_by_variance():
    matrix = Whitening("zca", 0.1).fit(rows()).matrix
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-12)
    unscaled = (rows() - rows().mean(0)) @ Whitening("pca", 0.0).fit(rows()).inverse_matrix.T
    variances = unscaled.var(0)
    assert np.all(np.diff(variances) < 0)


def test_whitening_refuses_what_it_cannot_do():
    flat = rows()
    flat[:, 0] = flat[:, 1]
    with pytest.raises(ValueError, match="no variance in some direction"):
        Whitening("zca", 0).fit(flat)
    Whitening("zca", 0.01).fit(flat)
    for wrong in (flat[0], flat[:1], flat[None]):
        with pytest.raises(ValueError, match="at least two rows"):
            Whitening().fit(wrong)
    with pytest.raises(ValueError, match="received"):
        Whitening("pcaa")
    with pytest.raises(ValueError, match="received"):
        Whitening(regularization=-1)


# Contrast and folding --------------------------------------------------------------------------------------------


def test_contrast_of_patches():
    patches = rows()
    np.testing.assert_array_equal(normalise_contrast(patches, None)[0], patches)
    centered, one = normalise_contrast(patches, "mean")
    np.testing.assert_allclose(centered, patches - patches.mean(1, keepdims=True), rtol=1e-12)
    assert one == 1
    full, deviation = normalise_contrast(patches)
    floor = 0.01 * patches.var(1).mean()
    np.testing.assert_allclose(full, centered / np.sqrt(patches.var(1, keepdims=True) + floor), rtol=1e-12)
    np.testing.assert_allclose(deviation, np.sqrt(1.01 * patches.var(1).mean()), rtol=1e-12)
    with pytest.raises(ValueError, match="flat"):
        normalise_contrast(np.ones((3, 4)))


@pytest.mark.parametrize("kind", ["zca", "pca"])
@pytest.mark.parametrize("subtracts_mean", [False, True])
def test_folded_kernel_computes_from_patches_what_the_given_one_does_from_whitened_ones(kind, subtracts_mean):
    random = np.random.default_rng(1)
    kernel, bias, patches = random.normal(size=(6, 4)), random.normal(size=4), rows(seed=2)
    prepared = (patches - subtracts_mean * patches.mean(1, keepdims=True)) / 1.7
    whitening = Whitening(kind, 0.1).fit(prepared)
    folded, folded_bias = fold_whitening(kernel, bias, whitening, subtracts_mean, deviation=1.7)
    wanted = whitening.transform(prepared) @ kernel + bias
    np.testing.assert_allclose(patches @ folded + folded_bias, wanted, rtol=1e-10, atol=1e-10)


def hidden_inputs(filters, patches):
    """What the RBM's hidden units receive, biases included, from its own probabilities."""
    whitened = filters.whitening.transform(normalise_contrast(patches, filters.contrast)[0])
    on = ops.convert_to_numpy(filters.rbm.hidden_probabilities(whitened))
    return np.log(on) - np.log1p(-on) if filters.rbm.hidden_type == "bernoulli" else np.log(np.expm1(on))


@pytest.mark.parametrize("contrast", [None, "mean"])
@pytest.mark.parametrize("hidden_type", ["bernoulli", "nrelu"])
@pytest.mark.parametrize("learn_variance", [False, True])
def test_folded_rbm_gives_its_hidden_inputs_exactly(contrast, hidden_type, learn_variance):
    random, patches = np.random.default_rng(1), rows(seed=2)
    rbm = RBM(4, visible_type="gaussian", hidden_type=hidden_type, learn_variance=learn_variance, dtype="float64")
    rbm.build((None, 6))
    for variable in rbm.trainable_variables:
        variable.assign(0.5 * random.normal(size=variable.shape))
    whitening = Whitening("zca", 0.1).fit(normalise_contrast(patches, contrast)[0])
    filters = PatchFilters(rbm, whitening, contrast)
    kernel, bias = filters.fold()
    np.testing.assert_allclose(patches @ kernel + bias, hidden_inputs(filters, patches), rtol=1e-8, atol=1e-10)


@pytest.mark.lengthy
def test_full_contrast_is_exact_for_patches_of_the_deviation_that_stands_for_all():
    patches = rows(2000, 8)
    filters = learn_filters(patches, 5, SHORT, contrast="full", seed=1, dtype="float64")
    floor = 0.01 * patches.var(1).mean()
    one = patches[:50] - patches[:50].mean(1, keepdims=True)
    one *= filters.deviation / one.std(1, keepdims=True)  # their deviation, without the floor
    kernel, bias = filters.fold()
    whitened = filters.whitening.transform(one / filters.deviation)
    on = ops.convert_to_numpy(filters.rbm.hidden_probabilities(whitened))
    np.testing.assert_allclose(one @ kernel + bias, np.log(np.expm1(on)), rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(filters.deviation**2, patches.var(1).mean() + floor, rtol=1e-12)


# Patches of a layer ----------------------------------------------------------------------------------------------

GEOMETRIES = [
    {},
    {"strides": 2},
    {"strides": (3, 2), "padding": "same"},
    {"padding": "same", "kernel_size": (4, 3)},
    {"dilation_rate": 2, "padding": "same"},
    {"kernel_size": 5, "strides": 4},
    {"groups": 2},
    {"groups": 2, "strides": 2, "padding": "same"},
]


@pytest.mark.lengthy
@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_patches_are_what_the_layer_sees(geometry):
    """Every patch times the kernel is one of the layer's outputs, and every output is met by some patch."""
    model, images = single(2, 9, 4, use_bias=False, **geometry), photographs(2, 9, 4)
    layer = model.get_layer("conv")
    patches = sample_patches(model, layer, images, 4000, seed=0)
    assert patches.shape == (4000, *layer.kernel_size, 4)
    kernel, groups = layer.kernel.numpy(), layer.groups
    fields = patches.reshape(4000, -1, groups, 4 // groups)
    kernel = kernel.reshape(-1, 4 // groups, groups, 2 // groups)
    found = np.einsum("nsgc,scgf->ngf", fields, kernel).reshape(4000, 2)
    wanted = convolution(model, images=images.astype("float64")).reshape(-1, 2)
    distances = np.abs(found[:, None] - wanted).max(2)
    assert distances.min(1).max() < 1e-10
    assert distances.min(0).max() < 1e-10


def test_patches_come_from_all_images_and_positions_alike():
    model = single(1, 4, 1, kernel_size=2)
    images = np.arange(5 * 16, dtype="float32").reshape(5, 4, 4, 1)
    corners = sample_patches(model, model.get_layer("conv"), images, 9000, seed=1)[:, 0, 0, 0]
    values, counts = np.unique(corners, return_counts=True)
    assert len(values) == 5 * 9
    assert np.abs(counts - 200).max() < 5 * np.sqrt(200)


def test_only_as_much_is_read_as_is_needed():
    read = []

    class Endless:
        def __iter__(self):
            while True:
                read.append(1)
                yield photographs(20), np.zeros(20)

    model = single()
    assert len(sample_patches(model, model.get_layer("conv"), Endless(), 1000)) == 1000
    assert len(read) == 5  # batches of 20 images, 10 patches each


# Whole models ----------------------------------------------------------------------------------------------------


def network(dtype="float64"):
    """Two grouped convolutions among pooling, normalisation and ReLU, one of them inside its layer."""
    keras.utils.set_random_seed(0)
    options = {"dtype": dtype}
    inputs = keras.Input((12, 12, 3), dtype=dtype)
    x = layers.Conv2D(8, 3, strides=2, padding="same", activation="relu", name="conv1", **options)(inputs)
    x = layers.BatchNormalization(**options)(x)
    x = layers.MaxPooling2D(2, **options)(x)
    x = layers.Conv2D(6, 3, padding="same", groups=2, use_bias=False, name="conv2", **options)(x)
    x = layers.ReLU(**options)(x)
    x = layers.Dropout(0.5, **options)(layers.Flatten(**options)(x))
    return keras.Model(inputs, layers.Dense(2, **options)(x))


def fields_of(model, name, images):
    """All receptive fields of a layer, by convolution with the identity: (images, rows, columns, groups, values)."""
    layer = model.get_layer(name)
    inputs = keras.Model(model.inputs[0], layer.input)(images)
    height, width = layer.kernel_size
    channels = inputs.shape[-1]
    values = height * width * channels
    probe = layers.Conv2D(values, layer.kernel_size, layer.strides, layer.padding, use_bias=False, dtype="float64")
    probe.build(inputs.shape)
    probe.kernel.assign(np.eye(values).reshape(height, width, channels, values))
    fields = ops.convert_to_numpy(probe(inputs))
    fields = fields.reshape(*fields.shape[:3], height * width, layer.groups, channels // layer.groups)
    return np.moveaxis(fields, 4, 3).reshape(*fields.shape[:3], layer.groups, -1)


@pytest.mark.lengthy
def test_layers_compute_the_hidden_inputs_of_their_groups_rbms():
    model, images = network(), photographs(30)
    learned = pretrain_convolutions(model, images, None, 400, SHORT, "mean", deviation=None, seed=1)
    assert {name: len(groups) for name, groups in learned.items()} == {"conv1": 1, "conv2": 2}
    for name, groups in learned.items():
        outputs, fields = convolution(model, name, images), fields_of(model, name, images)
        wanted = [
            hidden_inputs(filters, fields[..., group, :].reshape(-1, fields.shape[-1]))
            for group, filters in enumerate(groups)
        ]
        if name == "conv2":  # it has no bias, so all that is constant is missing
            wanted = [inputs - filters.fold()[1] for inputs, filters in zip(wanted, groups, strict=True)]
        np.testing.assert_allclose(
            outputs.reshape(-1, outputs.shape[-1]), np.concatenate(wanted, 1), rtol=1e-7, atol=1e-9
        )


@pytest.mark.lengthy
def test_outputs_have_the_deviation_asked_for_over_all_images():
    model, images = network(), photographs(IMAGES_AT_ONCE + 30)
    batches = [(images[:50], np.zeros(50)), (images[50:], np.zeros(44))]
    pretrain_convolutions(model, batches, patches=300, config=SHORT, deviation=0.7, seed=1)
    for name in ("conv1", "conv2"):
        np.testing.assert_allclose(convolution(model, name, images).std(), 0.7, rtol=1e-10)


@pytest.mark.lengthy
def test_scaling_keeps_the_features():
    features = []
    for deviation in (None, 2.0):
        model, images = single(filters=3), photographs(20)
        pretrain_convolutions(model, images, patches=200, config=SHORT, deviation=deviation, seed=1)
        features.append(convolution(model, images=images.astype("float64")))
    np.testing.assert_allclose(features[1] / features[1].std(), features[0] / features[0].std(), rtol=1e-9, atol=1e-12)


@pytest.mark.lengthy
def test_only_the_layers_named_change():
    model = network("float32")
    before = [weight.numpy() for weight in model.weights]
    pretrain_convolutions(model, photographs(20), layers=["conv2"], patches=200, config=SHORT, seed=1)
    changed = [
        weight.path
        for weight, old in zip(model.weights, before, strict=True)
        if not np.array_equal(weight.numpy(), old)
    ]
    assert changed == ["conv2/kernel"]


@pytest.mark.lengthy
def test_same_seed_same_kernels_and_groups_differ():
    def kernels(seed):
        model = single(4, 8, 2, groups=2, dtype="float32")
        images = np.repeat(photographs(20, 8, 1), 2, axis=-1)  # both groups see the same
        pretrain_convolutions(model, images, patches=300, config=SHORT, seed=seed)
        return model.get_layer("conv").kernel.numpy()

    first = kernels(1)
    np.testing.assert_array_equal(first, kernels(1))
    assert not np.array_equal(first, kernels(2))
    assert not np.allclose(first[..., :2], first[..., 2:])


@pytest.mark.lengthy
def test_each_group_learns_from_its_own_maps():
    model, images = single(2, 12, 4, groups=2, dtype="float32"), 0.1 * photographs(20, channels=4) + np.arange(4)
    learned = pretrain_convolutions(model, images, patches=300, config=SHORT, contrast=None, seed=1)["conv"]
    means = [filters.whitening.mean.reshape(9, 2) for filters in learned]
    np.testing.assert_allclose(np.concatenate(means, 1), np.tile(np.arange(4.0), (9, 1)), atol=0.2)


@pytest.mark.lengthy
def test_memory_does_not_grow_with_the_number_of_images():
    alive, most = [0], [0]

    class Counted(np.ndarray):
        """A batch that says when it has gone."""

        def __del__(self):
            if self.base is None:
                alive[0] -= 1

    class Stream:
        def __init__(self, count):
            self.count = count

        def __iter__(self):
            for i in range(self.count):
                batch = Counted((16, 12, 12, 3), "float32")
                batch[:] = photographs(16, seed=i)
                gc.collect()  # torch leaves batches in cycles of references
                alive[0] += 1
                most[0] = max(most[0], alive[0])
                yield batch
                del batch

    found = []
    gc.freeze()  # what other tests left would be searched for every batch: 2 s each
    try:
        for count in (4, 40):
            most[0] = 0
            pretrain_convolutions(single(dtype="float32"), Stream(count), patches=300, config=SHORT, seed=1)
            found.append(most[0])
    finally:
        gc.unfreeze()
    assert max(found) <= 3


@pytest.mark.lengthy
def test_filters_of_digits_reconstruct_better_than_nothing_and_are_sparse():
    images = (load_digits().images[..., None] / 16).astype("float32")
    model = single(16, 8, 1, kernel_size=5, padding="same", dtype="float32")
    (filters,) = pretrain_convolutions(model, images, patches=5000, seed=1)["conv"]
    patches = sample_patches(model, model.get_layer("conv"), images, 2000, seed=2).reshape(2000, -1)
    whitened = filters.whitening.transform(normalise_contrast(patches)[0])
    errors = np.square(whitened - ops.convert_to_numpy(filters.rbm.reconstruct(whitened))).sum(1)
    assert errors.mean() < 0.9 * np.square(whitened).sum(1).mean()
    assert 0.005 < (convolution(model, images=images) > 0).mean() < 0.1


def test_initial_kernel_has_a_largest_singular_value_of_one():
    for values, filters in ((363, 96), (1200, 128)):
        kernel = np.random.default_rng(0).normal(size=(values, filters)) * patch_config(values, filters).weight_stddev
        np.testing.assert_allclose(np.linalg.svd(kernel, compute_uv=False)[0], 1, atol=0.03)


@pytest.mark.lengthy
def test_refuses_an_rbm_that_diverges():
    wild = dataclasses.replace(SHORT, gaussian_learning_rate=1.0, weight_stddev=1.0, epochs=5)
    with pytest.raises(ValueError, match="diverged"):
        pretrain_convolutions(single(dtype="float32"), photographs(), patches=800, config=wild, seed=1)


def test_refuses_what_it_cannot_work_on():
    model, images = single(dtype="float32"), photographs(20)
    with pytest.raises(ValueError, match="must name `Conv2D` layers of the model, which has conv"):
        pretrain_convolutions(model, images, layers=["conv7"])
    with pytest.raises(ValueError, match="which has none"):
        pretrain_convolutions(keras.Sequential([keras.Input((3,)), layers.Dense(2)]), images)
    with pytest.raises(ValueError, match="functional or built sequential"):
        pretrain_convolutions(keras.Sequential([layers.Conv2D(2, 3)]), images)
    with pytest.raises(ValueError, match="read only once"):
        pretrain_convolutions(model, iter([images]))
    with pytest.raises(ValueError, match="no images"):
        pretrain_convolutions(model, [])
    with pytest.raises(ValueError, match="flat"):
        pretrain_convolutions(model, np.ones((20, 12, 12, 3)))
    with pytest.raises(ValueError, match="`contrast` must be one of"):
        pretrain_convolutions(model, images, contrast="half")
    with pytest.raises(ValueError, match="`centering`"):
        pretrain_convolutions(model, images, config=dataclasses.replace(SHORT, centering="data"))
