"""Shapes and counts as published, what the layers compute and in which order, and what is refused."""

import functools

import keras
import numpy as np
import pytest

from models.alexnet import LocalResponseNormalization, alexnet
from models.alexnet.network import VARIANTS

PARAMETERS = {
    "paper": [34_944, 307_456, 885_120, 663_936, 442_624, 37_752_832, 16_781_312, 4_097_000],
    "ungrouped": [34_944, 614_656, 885_120, 1_327_488, 884_992, 37_752_832, 16_781_312, 4_097_000],
    "owt": [23_296, 307_392, 663_936, 884_992, 590_080, 37_752_832, 16_781_312, 4_097_000],
}
TOTALS = {"paper": 60_965_224, "ungrouped": 62_378_344, "owt": 61_100_840, "bn": 60_993_928, "small": 1_494_856}
SHAPES = {
    "conv1": (55, 55, 96),
    "pool1": (27, 27, 96),
    "conv2": (27, 27, 256),
    "pool2": (13, 13, 256),
    "conv3": (13, 13, 384),
    "conv4": (13, 13, 384),
    "conv5": (13, 13, 256),
    "pool5": (6, 6, 256),
    "fc6": (4096,),
    "fc7": (4096,),
    "fc8": (1000,),
}
WEIGHTED = [f"conv{n}" for n in range(1, 6)] + ["fc6", "fc7", "fc8"]


@pytest.fixture(scope="module")
def cheap():
    """Builds every net once, with zeros for random weights."""

    @functools.cache
    def build(*arguments, **options):
        with pytest.MonkeyPatch.context() as patch:
            zeros = keras.initializers.Zeros()
            patch.setattr(
                keras.initializers.RandomNormal, "__call__", lambda _, *shape, **kwargs: zeros(*shape, **kwargs)
            )
            return alexnet(*arguments, **options)

    return build


def numbers(tensor):
    return keras.ops.convert_to_numpy(tensor)


def names(model):
    return [layer.name for layer in model.layers]


def small(**options):
    return alexnet("small", 3, **{"seed": 1} | options)


# Shapes and counts -----------------------------------------------------------------------------------------------


@pytest.mark.lengthy
@pytest.mark.parametrize("variant", VARIANTS)
def test_parameters_as_published(cheap, variant):
    model = cheap(variant)
    assert model.count_params() == TOTALS[variant]
    if variant in PARAMETERS:
        assert [model.get_layer(name).count_params() for name in WEIGHTED] == PARAMETERS[variant]


@pytest.mark.parametrize("side", [224, 227])
def test_shapes_as_published(cheap, side):
    model = cheap(input_shape=(side, side, 3))
    assert {name: model.get_layer(name).output.shape[1:] for name in SHAPES} == SHAPES
    assert ("pad" in names(model)) == (side == 224)


def test_224_is_padded_right_and_below_only(cheap):
    assert cheap(input_shape=(224, 224, 3)).get_layer("pad").padding == ((0, 3), (0, 3))
    assert cheap("owt", input_shape=(224, 224, 3), padding=2).get_layer("pad").padding == ((2, 2), (2, 2))


def test_single_column(cheap):
    model = cheap("owt")
    assert [model.get_layer(name).filters for name in WEIGHTED[:5]] == [64, 192, 384, 256, 256]
    assert all(model.get_layer(name).groups == 1 for name in WEIGHTED[:5])
    assert model.get_layer("norm1").convention == "cuda_convnet"


@pytest.mark.parametrize("shape", [(32, 32, 3), (56, 64, 1), (99, 40, 4)])
def test_small_takes_any_small_image(shape):
    assert small(input_shape=shape)(np.zeros((2, *shape))).shape == (2, 3)


# Order, groups, dropout ------------------------------------------------------------------------------------------


def test_order_of_the_paper_and_of_its_code(cheap):
    paper, code = names(cheap()), names(cheap(order="code2012"))
    assert paper[1:9] == ["conv1", "relu1", "norm1", "pool1", "conv2", "relu2", "norm2", "pool2"]
    assert code[1:10] == ["conv1", "norm1", "pool1", "relu1", "conv2", "relu2", "norm2", "cnorm2", "pool2"]
    assert (paper[13:16], code[14:17]) == (["conv5", "relu5", "pool5"], ["conv5", "pool5", "relu5"])
    norm = cheap(order="code2012").get_layer("norm1")
    assert isinstance(norm, LocalResponseNormalization)
    assert (norm.convention, norm.groups, norm.k) == ("cuda_convnet", 2, 2)
    assert cheap(order="code2012", convention="caffe").get_layer("norm2").k == 1


@pytest.mark.parametrize("normalization", ["batch", "none"])
def test_other_normalisations(normalization):
    found = [name for name in names(small(normalization=normalization)) if name.startswith("norm")]
    assert found == ([f"norm{n}" for n in range(1, 6)] if normalization == "batch" else [])


def test_groups_are_two_convolutions_side_by_side(cheap):
    layers = [cheap().get_layer(name) for name in WEIGHTED[:5]]
    assert [layer.groups for layer in layers] == [1, 2, 1, 2, 2]
    layer = type(layers[1]).from_config(layers[1].get_config() | {"filters": 6})
    x = np.random.default_rng(0).normal(size=(2, 9, 9, 4)).astype("float32")
    found = layer(x)
    halves = [
        numbers(keras.ops.conv(x[..., 2 * i : 2 * i + 2], layer.kernel[..., 3 * i : 3 * i + 3], padding="same"))
        for i in (0, 1)
    ]
    np.testing.assert_allclose(numbers(found), np.concatenate(halves, -1) + numbers(layer.bias), rtol=1e-5, atol=1e-6)


def test_half_of_the_outputs_of_fc6_and_fc7_is_dropped():
    model = small()
    assert names(model)[-7:] == ["fc6", "relu6", "dropout6", "fc7", "relu7", "dropout7", "fc8"]
    assert model.get_layer("dropout6").rate == model.get_layer("dropout7").rate == 0.5
    dropped = numbers(model.get_layer("dropout7")(np.ones((50, 512)), training=True))
    assert set(np.unique(dropped)) == {0, 2}
    assert abs(dropped.mean() - 1) < 0.02
    assert "dropout6" not in names(small(dropout=0.0))


def test_no_dropout_where_all_is_batch_normalised(cheap):
    assert names(cheap("bn"))[-7:] == ["fc6", "norm6", "relu6", "fc7", "norm7", "relu7", "fc8"]


# Weights ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("initialization", "deviations"),
    [("paper", [0.01] * 8), ("code2012", [0.01] * 2 + [0.03] * 3 + [0.01] * 3), ("he", None)],
)
def test_initial_statistics(initialization, deviations):
    model = alexnet("small", 50, initialization=initialization, normalization="none", seed=1)
    biases = [0, 0, 0, 0, 0, 0, 0, 0] if initialization == "he" else [0, 1, 0, 1, 1, 1, 1, 0]
    for i, name in enumerate(WEIGHTED):
        kernel, bias = model.get_layer(name).get_weights()
        wanted = (2 / kernel[..., 0].size) ** 0.5 if deviations is None else deviations[i]
        assert abs(kernel.std() / wanted - 1) < 0.05
        assert abs(kernel.mean()) < 0.1 * wanted
        assert (bias == biases[i]).all()


def test_defaults_of_initialisation(cheap):
    bias = {variant: cheap(variant).get_layer("fc8").bias_initializer.value for variant in ("paper", "owt")}
    assert bias == {"paper": 0, "owt": -7}
    conv3 = [cheap(variant).get_layer("conv3").kernel_initializer.stddev for variant in ("paper", "owt", "bn")]
    np.testing.assert_allclose(conv3, [0.01, 0.03, (2 / (9 * 256)) ** 0.5])


def test_seed_decides_weights_and_dropout():
    one, same, other, unseeded = (small(seed=seed) for seed in (1, 1, 2, None))
    x = np.random.default_rng(0).normal(size=(2, 64, 64, 3)).astype("float32")
    np.testing.assert_array_equal(numbers(one(x, training=True)), numbers(same(x, training=True)))
    for model in (other, unseeded):
        assert np.abs(numbers(one.get_layer("conv1").kernel) - numbers(model.get_layer("conv1").kernel)).max() > 0
    assert one.get_layer("dropout6").seed != one.get_layer("dropout7").seed


def test_survives_saving(tmp_path):
    model = small(order="code2012", normalization="response")
    model.save(tmp_path / "net.keras")
    x = np.random.default_rng(0).normal(size=(2, 64, 64, 3)).astype("float32")
    loaded = keras.saving.load_model(tmp_path / "net.keras")
    np.testing.assert_array_equal(numbers(loaded(x)), numbers(model(x)))


@pytest.mark.lengthy
@pytest.mark.parametrize("normalization", ["response", "batch"])
def test_learns_in_mixed_precision_and_gives_float32(normalization):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = small(normalization=normalization, initialization="he", dropout=0.0, input_shape=(32, 32, 1))
    finally:
        keras.config.set_dtype_policy(before)
    random = np.random.default_rng(0)
    x, y = random.normal(size=(12, 32, 32, 1)).astype("float32"), np.arange(12) % 3
    logits = model(x)
    assert keras.backend.standardize_dtype(logits.dtype) == "float32"
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(1e-3), loss, jit_compile=False)
    history = model.fit(x, y, epochs=15, verbose=0).history["loss"]
    assert history[-1] < 0.5 * history[0]


# Errors ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"variant": "vgg"}, "`variant` must be one of paper, ungrouped, owt, bn, small"),
        ({"order": "code"}, "`order` must be one of"),
        ({"normalization": "layer"}, "`normalization` must be one of"),
        ({"convention": "torch"}, "`convention` must be one of"),
        ({"initialization": "glorot"}, "`initialization` must be one of"),
        ({"num_classes": 1}, "`num_classes` must be an integer of at least 2"),
        ({"dropout": 1.0}, "`dropout` must be at least 0 and below 1"),
        ({"padding": -1}, "`padding` must be an integer of at least 0"),
        ({"variant": "bn", "order": "code2012"}, "requires response normalisation"),
        ({"input_shape": (227, 227)}, "must be .height, width, channels"),
        ({"input_shape": (227, 63, 3)}, 'requires images of at least 64 x 64 pixels.*variant="small"'),
        ({"input_shape": (8, 8, 3)}, "requires images of at least 64 x 64 pixels"),
        ({"variant": "small", "input_shape": (28, 28, 1)}, 'the variant "small" requires images of at least 3. x 3.'),
    ],
)
def test_what_cannot_be_built_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        alexnet(**arguments)
