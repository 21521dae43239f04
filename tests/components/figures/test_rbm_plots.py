"""Plots of RBMs, and the arrays computed for them."""

import numpy as np
import pytest

from components.figures import rbm_arrays, rbm_plots
from components.figures.layer_report import log_layers
from components.reporting.station_tracker import StationTracker
from models.rbm import RBM

RUINED = [np.zeros((4, 3)), np.full((4, 3), 0.5), np.full((4, 3), np.nan), np.full((4, 3), np.inf)]


def texts(figure):
    return [text.get_text() for axes in figure.axes for text in (axes.title, *axes.texts)]


def canvas_of(axes):
    return np.ma.filled(axes.images[0].get_array(), np.nan)


def names(ticks):
    return [text.get_text() for text in ticks]


def made_rbm(**kwargs):
    rbm = RBM(7, weight_stddev=1.0, seed=3, **kwargs)
    rbm.build((None, 6))
    return rbm


# Hidden activations ----------------------------------------------------------------------------------------------


def test_activations_are_the_first_cases_and_units_with_the_mean_of_all_images_above():
    probabilities = np.random.default_rng(0).random((30, 12))
    figure = rbm_plots.hidden_activations(probabilities, max_images=20, max_units=10)
    bars, map_ = figure.axes[:2]
    np.testing.assert_array_equal(canvas_of(map_), probabilities[:20, :10])
    assert map_.images[0].get_clim() == (0, 1)
    np.testing.assert_allclose([bar.get_height() for bar in bars.patches], probabilities.mean(axis=0)[:10])


def test_idle_units_are_counted_among_all():
    probabilities = np.full((5, 9), 0.4)
    probabilities[:, [2, 7, 8]] = 0
    probabilities[:, 4] = 1
    figure = rbm_plots.hidden_activations(probabilities, max_units=3)
    assert f"mean {probabilities.mean():.3f}, 9 units: 3 never on, 1 always on" in texts(figure)


def test_linear_codes_have_a_scale_of_their_own():
    codes = np.array([[-4.0, 0.5], [3.0, 2.0]])
    figure = rbm_plots.hidden_activations(codes)
    assert figure.axes[1].images[0].get_clim() == (-4, 3)
    assert not any("never on" in text for text in texts(figure))


@pytest.mark.lengthy
@pytest.mark.parametrize("values", RUINED)
def test_activations_of_a_ruined_training_can_be_drawn(values, drawn):
    assert drawn(rbm_plots.hidden_activations(values)).std() > 0


# Histograms ------------------------------------------------------------------------------------------------------


def counted(axes):
    return sum(bar.get_height() for bar in axes.patches)


def test_histograms_count_every_weight_and_compare_its_update():
    random = np.random.default_rng(1)
    values = {"kernel": random.normal(size=(20, 30)), "bias": random.normal(size=30)}
    updates = {"kernel": values["kernel"] * 1e-3, "bias": values["bias"] * -0.02}
    figure = rbm_plots.histograms(values, updates)
    assert [counted(axes) for axes in figure.axes] == [600, 30, 600, 30]
    assert [axes.get_title() for axes in figure.axes[:2]] == ["kernel", "bias"]
    below = [axes.texts[0].get_text() for axes in figure.axes]
    assert below[0] == f"mean magnitude {np.abs(values['kernel']).mean():.2g}"
    assert below[2].endswith(", 0.1 % of it")
    assert below[3].endswith(", 2 % of it")


def test_weights_that_are_not_finite_are_counted_apart():
    figure = rbm_plots.histograms({"kernel": np.array([1.0, 2, np.nan, -np.inf, 3])})
    assert counted(figure.axes[0]) == 3
    assert "2 not finite" in texts(figure)


@pytest.mark.lengthy
@pytest.mark.parametrize("values", RUINED)
def test_histograms_of_a_ruined_training_can_be_drawn(values, drawn):
    figure = rbm_plots.histograms({"kernel": values}, {"kernel": values})
    assert drawn(figure).std() > 0


# Tables of images ------------------------------------------------------------------------------------------------


def test_a_chain_is_a_row_and_a_snapshot_a_column():
    states = np.random.default_rng(2).random((4, 3, 2 * 5))
    figure = rbm_plots.fantasies(states, (2, 5), (0, 1, 10, 1000))
    axes = figure.axes[0]
    canvas = canvas_of(axes)
    assert canvas.shape == (3 * 3 - 1, 4 * 6 - 1)
    for snapshot, chain in ((0, 0), (3, 1), (1, 2)):
        tile = canvas[3 * chain : 3 * chain + 2, 6 * snapshot : 6 * snapshot + 5]
        np.testing.assert_array_equal(tile, states[snapshot, chain].reshape(2, 5))
    assert names(axes.get_xticklabels()) == ["start", "1", "10", "1,000"]
    assert axes.images[0].get_clim() == (0, 1)


def test_means_of_gaussian_pixels_are_shown_from_their_least_to_their_greatest():
    states = np.array([-2.0, 0.5, 1, 3]).reshape(1, 1, 4)
    assert rbm_plots.fantasies(states, (2, 2), (5,)).axes[0].images[0].get_clim() == (-2, 3)


def test_samples_of_a_class_stand_in_its_row():
    samples = np.random.default_rng(3).random((2, 5, 2 * 2 * 3))
    figure = rbm_plots.class_samples(samples, (2, 2, 3), ["cat", "a dog with a very long name"])
    canvas = canvas_of(figure.axes[0])
    assert canvas.shape == (2 * 3 - 1, 5 * 3 - 1, 3)
    np.testing.assert_allclose(canvas[3:, 3:5], samples[1, 1].reshape(2, 2, 3))
    np.testing.assert_array_equal(canvas[2, 0], 1)  # the gap is white
    assert names(figure.axes[0].get_yticklabels()) == ["cat", "a dog with a very…"]


@pytest.mark.parametrize("value", [0.0, 0.3, 1.0, np.nan])
def test_images_of_one_value_can_be_drawn(value, drawn):
    figure = rbm_plots.fantasies(np.full((3, 2, 4), value), (2, 2), (0, 1, 2))
    assert figure.axes[0].images[0].get_clim() == (0, 1)
    assert drawn(figure).std() > 0


def test_an_image_stands_above_what_each_layer_leaves_of_it():
    random = np.random.default_rng(11)
    images, layers = random.random((15, 6)), random.random((2, 15, 6))
    figure = rbm_plots.layer_reconstructions(images, layers, (2, 3))
    axes = figure.axes[0]
    canvas = canvas_of(axes)
    assert canvas.shape == (3 * 3 - 1, 12 * 4 - 1)
    np.testing.assert_array_equal(canvas[:2, 4:7], images[1].reshape(2, 3))
    np.testing.assert_array_equal(canvas[6:, 4:7], layers[1, 1].reshape(2, 3))
    errors = np.mean((images - layers) ** 2, axis=(1, 2))
    assert names(axes.get_yticklabels()) == ["image", f"layer 1, {errors[0]:.4f}", f"layer 2, {errors[1]:.4f}"]


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e30])
def test_reconstructions_of_a_ruined_training_can_be_drawn(value, drawn):
    figure = rbm_plots.layer_reconstructions(np.ones((3, 4)), [np.full((3, 4), value)], (2, 2))
    assert drawn(figure).std() > 0


# The annealing bracket -------------------------------------------------------------------------------------------


def test_bracket_shows_both_estimates_and_the_last_gap():
    forward, reverse = [-90.0, -91.0, -91.5], [-99.0, -93.0, -92.25]
    figure = rbm_plots.annealing_bracket([100, 1000, 14500], forward, reverse, along="temperatures", logarithmic=True)
    axes = figure.axes[0]
    by_name = {line.get_label(): line.get_ydata() for line in axes.lines}
    np.testing.assert_array_equal(by_name["forward"], forward)
    np.testing.assert_array_equal(by_name["reverse"], reverse)
    assert "last: forward -91.50, reverse -92.25, gap 0.75" in texts(figure)
    assert names(axes.get_xticklabels()) == ["100", "1,000", "14,500"]
    assert axes.get_xlabel() == "temperatures"


@pytest.mark.parametrize("reverse", [[1.0, 1.0], [np.nan, 2.0], [np.nan, np.nan]])
def test_bracket_of_constants_and_with_gaps_can_be_drawn(reverse, drawn):
    assert drawn(rbm_plots.annealing_bracket([1, 2], [1.0, 1.0], reverse)).std() > 0


# Arrays ---------------------------------------------------------------------------------------------------------


def test_snapshots_belong_to_one_chain_that_continues_from_samples():
    start = np.random.default_rng(5).random((8, 6)).round().astype("float32")
    snapshots = rbm_arrays.gibbs_snapshots(made_rbm(), start, (0, 1, 3))
    assert snapshots.shape == (3, 8, 6)
    np.testing.assert_array_equal(snapshots[0], start)
    twin, states, wanted = made_rbm(), start, []
    for _ in range(3):
        means = twin.visible_probabilities(twin.sample_hidden(states))
        states = twin.draw_visible(means)
        wanted.append(means)
    np.testing.assert_allclose(snapshots[1:], [wanted[0], wanted[2]], rtol=1e-6)


def test_activations_pass_all_rbms_and_labels_are_neutral():
    top = RBM(2, label_units=4, weight_stddev=1.0, seed=1)
    top.build((None, 7 + 4))
    images = np.random.default_rng(6).random((5, 6)).astype("float32")
    below = made_rbm()
    found = rbm_arrays.activations([below, top], images)
    states = np.hstack([below.hidden_probabilities(images), np.full((5, 4), 0.25, "float32")])
    np.testing.assert_allclose(found, top.hidden_probabilities(states), rtol=1e-6)


def test_updates_are_what_the_last_update_added():
    rbm = made_rbm(visible_type="gaussian", learn_variance=True)
    data = np.random.default_rng(7).normal(size=(20, 6)).astype("float32")
    assert rbm_arrays.parameters(rbm)[1] is None
    rbm.compile()
    rbm.fit(data, epochs=2, batch_size=20, verbose=0)
    before, _ = rbm_arrays.parameters(rbm)
    rbm.fit(data, batch_size=20, verbose=0)
    after, updates = rbm_arrays.parameters(rbm)
    assert list(after) == ["kernel", "visible bias", "hidden bias", "log variance"]
    for name, update in updates.items():
        np.testing.assert_allclose(after[name] - before[name], update, atol=1e-6)
        assert np.abs(update).max() > 1e-4


def stack():
    top = RBM(5, label_units=3, weight_stddev=1.0, seed=2)
    top.build((None, 7 + 3))
    return [made_rbm(), top]


def test_reconstructions_go_up_and_down_through_means_and_drop_the_labels():
    below, top = stack()
    images = np.random.default_rng(8).random((4, 6)).astype("float32")
    np.testing.assert_allclose(rbm_arrays.reconstructions([below], images), below.reconstruct(images), rtol=1e-6)
    features = np.hstack([below.hidden_probabilities(images), np.full((4, 3), 1 / 3, "float32")])
    wanted = below.visible_probabilities(top.reconstruct(features)[:, :7])
    np.testing.assert_allclose(rbm_arrays.reconstructions([below, top], images), wanted, rtol=1e-5)


def test_fantasies_are_snapshots_of_the_last_rbm_projected_down():
    below, top = stack()
    images = np.random.default_rng(9).random((4, 6)).astype("float32")
    found = rbm_arrays.fantasies([below, top], images, (0, 2))
    below, top = stack()
    features = np.hstack([below.hidden_probabilities(images), np.full((4, 3), 1 / 3, "float32")])
    snapshots = rbm_arrays.gibbs_snapshots(top, features, (0, 2))
    wanted = [below.visible_probabilities(snapshot[:, :7]) for snapshot in snapshots]
    np.testing.assert_allclose(found, wanted, rtol=1e-5)


def test_kernels_leave_labels_out():
    below, top = stack()
    kernels = rbm_arrays.kernels([below, top])
    np.testing.assert_array_equal(kernels[0], below.kernel)
    np.testing.assert_array_equal(kernels[1], top.kernel[:7])


# In the pipeline -------------------------------------------------------------------------------------------------


class Album:
    """Draws and keeps what is logged."""

    def __init__(self):
        self.figures = {}

    def log_figure(self, draw, name):
        self.figures[name] = draw()


def test_every_layer_of_a_pretraining_is_plotted():
    album, images = Album(), np.random.default_rng(10).random((30, 6)).astype("float32")
    log_layers(stack(), images, (2, 3, 1), album)
    kinds = ("filters", "fantasies", "hidden_activations", "weights")
    layers = [f"{kind}_{number}" for number in (1, 2) for kind in kinds]
    assert list(album.figures) == [f"{name}.png" for name in ("reconstructions", *layers)]
    assert names(album.figures["reconstructions.png"].axes[0].get_yticklabels())[0] == "image"
    assert album.figures["filters_2.png"].axes[0].get_title() == "Filters of layer 2, projected to the pixels"
    assert album.figures["fantasies_2.png"].axes[0].get_title() == "Fantasies of layer 2, projected to the pixels"
    assert canvas_of(album.figures["hidden_activations_2.png"].axes[1]).shape == (30, 5)
    assert counted(album.figures["weights_1.png"].axes[0]) == 6 * 7


class Undrawable:
    """An array that fails when a plot is computed from it."""

    def __array__(self, *_, **__):
        pytest.fail("drawn")

    def __getitem__(self, _):
        pytest.fail("drawn")


def test_without_a_run_nothing_is_drawn():
    log_layers(stack(), Undrawable(), (2, 3, 1), StationTracker())
