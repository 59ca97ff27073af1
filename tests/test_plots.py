import functools
import io
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from PIL import Image

from jaxmlp import activations, metrics, neurons, plots
from jaxmlp.mlp import MLP
from jaxmlp.plots import style

NAN = np.nan
CORNERS = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
AND = np.array([0, 0, 0, 1])
GRID = np.linspace(-1, 1, 9)
BOWL = GRID[:, None] ** 2 + 2 * GRID**2
LAYERS = [
    (np.array([[1.0, -2.0, 0.5], [0.0, 4.0, -1.0]]), np.zeros(3)),
    (np.array([[1.0], [-3.0], [2.0]]), np.zeros(1)),
]


def line_of_sums(x):
    """Say yes above x0 + x1 = 1.5."""
    return x[:, 0] + x[:, 1] - 1.5


def nearest(x):
    """Score three classes by how near their centers are: (0, 0), (1, 0) and (0.5, 1)."""
    centers = np.array([[0.0, 0.0], [1.0, 0.0], [0.5, 1.0]])
    return -np.square(np.asarray(x)[:, None] - centers).sum(axis=2)


def legend(axes):
    return [text.get_text() for text in axes.get_legend().get_texts()]


def by_label(axes):
    """The lines that the legend names, by those names."""
    return {line.get_label(): line for line in axes.lines if not line.get_label().startswith("_")}


PICTURES = {
    "calibration": lambda axes=None: plots.calibration(np.linspace(0, 1, 30), np.arange(30) % 2, axes=axes),
    "confusion_matrix": lambda axes=None: plots.confusion_matrix(np.arange(9).reshape(3, 3), axes=axes),
    "decision_boundary": lambda axes=None: plots.decision_boundary(line_of_sums, CORNERS, 1 - AND, axes=axes),
    "gradient_flow": lambda axes=None: plots.gradient_flow([[1.0, 0.0, 0.1], [NAN, 1e-9, 2.0]], axes=axes),
    "heat_map": lambda axes=None: plots.heat_map([1, 2], [3, 4], [[1.0, NAN], [3.0, 4.0]], axes=axes),
    "ladder": lambda axes=None: plots.ladder([0, 1, 2, 3], [[0.1], [0.2], [1e20], [NAN]], axes=axes),
    "learning_curves": lambda axes=None: plots.learning_curves(
        {"train/loss": [1.0, NAN, 0.5]}, best_epoch=1, stop="diverged, the loss being no longer finite", axes=axes
    ),
    "loss_surface": lambda axes=None: plots.loss_surface(
        GRID, GRID, BOWL, paths={"sgd": [[1, 1], [0, 0.5]], "lost": [[1, 1], [9, 9]]}, axes=axes
    ),
    "moving_line": lambda axes=None: plots.moving_line(np.eye(2), [0.0, -0.5], CORNERS, AND, axes=axes),
    "network": lambda axes=None: plots.network(LAYERS, inputs=["a", "b"], most=2, axes=axes),
    "predicted_against_true": lambda axes=None: plots.predicted_against_true([1.0, 2.0], [1.0, 3.0], axes=axes),
    "regularization_paths": lambda axes=None: plots.regularization_paths([0, 1, 2], np.ones((3, 10)), axes=axes),
    "settings": lambda axes=None: plots.settings(["a", "b"], [[1.0, 2.0], [3.0, NAN]], axes=axes),
    "weight_histograms": lambda axes=None: plots.weight_histograms([LAYERS] * 3, axes=axes),
}
"""A picture by each function that takes axes."""

OTHERS = {"activation_gallery", "decision_boundary_gif", "race_gif"}
"""Those that take a figure or a path; each has tests of its own."""


def test_every_picture_is_among_those_that_are_tested():
    assert set(PICTURES) | OTHERS == set(plots.__all__)


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_needs_no_display_and_its_legend_hides_nothing(name, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)  # whoever imports it fails
    axes = PICTURES[name]()
    figure = axes.figure
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    if axes.get_legend() is not None:
        box, inside = axes.get_legend().get_window_extent(), axes.get_window_extent()
        assert not box.overlaps(inside)
        assert figure.bbox.x0 <= box.x0 < box.x1 <= figure.bbox.x1
        assert figure.bbox.y0 <= box.y0 < box.y1 <= figure.bbox.y1
        assert not box.overlaps(axes.xaxis.label.get_window_extent())
        assert inside.width > 0.4 * figure.bbox.width


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_drawn_on_the_axes_it_is_given(name):
    axes = Figure().add_subplot()
    assert PICTURES[name](axes=axes) is axes
    assert axes.has_data()


def test_lines_and_markers_differ_in_black_and_white():
    assert len(set(style.MARKERS)) == len(style.MARKERS) == len(style.LINES)
    light = {i: np.dot(to_rgb(color), (0.299, 0.587, 0.114)) for i, (color, _) in enumerate(style.LINES)}
    dashes = [repr(dash) for _, dash in style.LINES]
    for i in light:
        for j in range(i):
            assert dashes[i] != dashes[j] or abs(light[i] - light[j]) > 0.3


# -- learning curves --


def test_one_run_is_one_line_per_name_and_a_mark_at_the_best_epoch():
    history = {"train/loss": np.array([3.0, 2.0, 1.0]), "validation/loss": np.array([3.0, 2.5, 2.6])}
    axes = plots.learning_curves(history, best_epoch=2)
    train, validation, best = axes.lines
    np.testing.assert_array_equal(train.get_xydata(), [[1, 3], [2, 2], [3, 1]])
    np.testing.assert_array_equal(validation.get_ydata(), [3.0, 2.5, 2.6])
    assert set(best.get_xdata()) == {2}
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == ["train loss", "validation loss", "best epoch, 2"]
    assert (axes.get_xlabel(), axes.get_ylabel(), axes.get_yscale()) == ("epoch", "loss", "log")
    assert train.get_linestyle() != validation.get_linestyle()


def test_several_runs_are_their_mean_in_a_band_to_the_last_epoch_any_reached():
    history = {"train/loss": np.array([[4.0, 2.0, NAN, NAN], [2.0, 1.0, 0.5, NAN]])}
    axes = plots.learning_curves(history, log=False)
    np.testing.assert_array_equal(axes.lines[0].get_xydata(), [[1, 3], [2, 1.5], [3, 0.5]])
    (band,) = axes.collections
    corners = band.get_paths()[0].vertices
    assert (corners[:, 1].min(), corners[:, 1].max()) == (0.5, 4.0)
    assert axes.get_yscale() == "linear"


def test_a_history_without_a_finite_number_is_an_empty_picture():
    axes = plots.learning_curves({"train/loss": np.full(3, NAN)})
    assert len(axes.lines[0].get_xdata()) == 0
    assert axes.get_yscale() == "linear"


def test_a_history_without_the_names_gets_a_sentence():
    with pytest.raises(ValueError, match="history has loss; names asks for train/loss, validation/loss, none of them"):
        plots.learning_curves({"loss": np.ones(3)})


def test_a_gap_in_a_history_is_a_gap_in_its_line_and_a_single_epoch_a_dot():
    axes = plots.learning_curves({"train/loss": [4.0, np.inf, 2.0, NAN, 1.0, 0.5, NAN]})
    (line,) = axes.lines
    np.testing.assert_array_equal(line.get_xydata()[:, 1], [4.0, NAN, 2.0, NAN, 1.0, 0.5])
    assert (line.get_marker(), line.get_markevery()) == ("o", [0, 2])
    (whole,) = plots.learning_curves({"train/loss": [4.0, 2.0]}).lines
    assert whole.get_marker() in ("None", None)
    several = plots.learning_curves({"train/loss": [[1.0, NAN, 3.0, 4.0], [2.0, NAN, 5.0, NAN]]})
    np.testing.assert_array_equal(several.lines[0].get_ydata(), [1.5, NAN, 4.0, 4.0])
    (segment,) = several.collections[1].get_segments()  # of the first epoch, which has no band
    np.testing.assert_array_equal(segment, [[1, 1], [1, 2]])
    assert legend(several) == ["train loss", "lowest to highest of 2 runs"]


def test_the_end_of_a_run_is_marked_and_says_why():
    history = {"train/loss": [4.0, 2.0, NAN], "validation/loss": [3.0, NAN, NAN]}
    axes = plots.learning_curves(history, best_epoch=1, stop="stopped early, with nothing better in a row")
    *_, best, end = axes.lines
    assert (set(best.get_xdata()), set(end.get_xdata())) == ({1}, {2})
    assert legend(axes)[-1].replace("\n", " ") == "epoch 2: stopped early, with nothing better in a row"
    assert "\n" in legend(axes)[-1]
    assert legend(plots.learning_curves(history, best_epoch=jnp.array(0))) == ["train loss", "validation loss"]
    reason = type("Reason", (), {"value": "all epochs were run"})()
    assert legend(plots.learning_curves(history, stop=reason))[-1] == "epoch 2: all epochs were run"


def test_numbers_at_0_or_below_stay_in_the_picture():
    zero = plots.learning_curves({"train/loss": [1.0, 0.1, 0.0]})
    assert (zero.get_yscale(), zero.get_ylim()[0] < 0) == ("symlog", True)
    assert plots.learning_curves({"train/loss": [1.0, -0.1]}).get_yscale() == "linear"


def test_epochs_are_whole_numbers_at_the_axis():
    axes = plots.learning_curves({"train/loss": [4.0, 2.0, 1.0]})
    assert all(float(tick).is_integer() for tick in axes.get_xticks())


# -- answers --


def test_confusion_matrix_writes_every_count_in_its_cell():
    counts = np.array([[8, 2, 0], [0, 5, 1], [3, 0, 9]])
    axes = plots.confusion_matrix(counts, labels=["a", "b", "c"])
    written = {tuple(int(p) for p in t.get_position()): t.get_text() for t in axes.texts}
    assert {place: text for place, text in written.items() if text} == {
        (0, 0): "8", (1, 0): "2", (1, 1): "5", (2, 1): "1", (0, 2): "3", (2, 2): "9",
    }  # fmt: skip
    assert [t.get_text() for t in axes.get_xticklabels()] == ["a", "b", "c"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted class", "true class")
    np.testing.assert_allclose(axes.images[0].get_array()[0], [0.8, 0.2, 0.0])


def test_a_matrix_that_is_not_square_gets_a_sentence():
    with pytest.raises(ValueError, match=r"counts has shape \(2, 3\); give as many columns as rows"):
        plots.confusion_matrix(np.ones((2, 3)))


# -- hyperparameters --


def test_a_ladder_is_the_median_in_its_band_with_the_best_and_the_diverged_marked():
    results = np.array([[0.1, 0.3, 0.2], [0.5, 0.7, 0.6], [0.4, NAN, np.inf]])
    axes = plots.ladder([0.1, 0.01, 1.0], results, result="validation loss")  # in any order
    median, best, diverged = axes.lines
    np.testing.assert_allclose(median.get_xydata(), [[0.01, 0.6], [0.1, 0.2], [1.0, 0.4]])
    np.testing.assert_allclose(best.get_xydata(), [[0.1, 0.2]])
    np.testing.assert_allclose(diverged.get_xdata(), [1.0])
    corners = axes.collections[0].get_paths()[0].vertices
    assert (corners[:, 1].min(), corners[:, 1].max()) == (0.1, 0.7)
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == ["median of 3 seeds", "lowest to highest", "best, 0.1", "diverged"]
    assert (axes.get_xlabel(), axes.get_ylabel(), axes.get_xscale()) == ("learning rate", "validation loss", "log")
    larger = plots.ladder([0.1, 0.01, 1.0], results, larger_is_better=True)
    np.testing.assert_allclose(larger.lines[1].get_xydata(), [[0.01, 0.6]])
    assert plots.ladder([-1.0, 1.0], results[:2]).get_xscale() == "linear"
    assert len(plots.ladder([1.0], np.array([[NAN]])).lines) == 1
    with pytest.raises(ValueError, match=r"results has shape \(3, 3\) for 2 values; give an array of"):
        plots.ladder([1.0, 2.0], results)


def test_a_heat_map_writes_every_number_and_frames_the_best():
    results = np.array([[0.5, 0.25, 100.0], [NAN, 0.75, 0.3]])
    axes = plots.heat_map([0.1, 1.0], [8, 16, 32], results, names=("rate", "width"), result="loss")
    written = {tuple(int(p) for p in text.get_position()): text.get_text() for text in axes.texts}
    assert written == {(0, 0): "0.5", (1, 0): "0.25", (2, 0): "100", (0, 1): "x", (1, 1): "0.75", (2, 1): "0.3"}
    (frame,) = axes.patches
    assert frame.get_xy() == (0.5, -0.5)
    shades = np.asarray(axes.images[0].get_array())
    assert shades[0, 1] > shades[1, 2] > shades[0, 0] > shades[1, 1] > shades[0, 2] == 0
    assert [text.get_text() for text in axes.get_xticklabels()] == ["8", "16", "32"]
    assert (axes.get_ylabel(), axes.get_xlabel()) == ("rate", "width")
    (frame,) = plots.heat_map([0.1, 1.0], [8, 16, 32], results, larger_is_better=True).patches
    assert frame.get_xy() == (1.5, -0.5)
    many = plots.heat_map([1], list(range(16)), np.full((1, 16), -1.234e-5))
    assert many.figure.get_figwidth() > 16 * 0.8  # room for the numbers
    assert {text.get_rotation() for text in many.get_xticklabels()} == {60.0}
    with pytest.raises(ValueError, match=r"results has shape \(2, 3\); give one number for 2 rows, 2 columns"):
        plots.heat_map([1, 2], [1, 2], results)


def test_settings_are_lines_of_dots_with_the_best_at_the_top():
    results = np.array([[0.5, 0.6], [0.1, 0.3], [NAN, 0.0], [0.9, 0.7]])
    axes = plots.settings(["a", "b", "c", "d"], results, result="loss")
    assert [label.get_text() for label in axes.get_yticklabels()] == ["b", "a", "d"]
    dots = axes.lines[0]
    np.testing.assert_allclose(dots.get_xydata(), [[0.1, 0], [0.3, 0]])
    np.testing.assert_allclose(axes.lines[1].get_xdata(), [0.2])
    assert axes.yaxis_inverted()
    assert axes.get_xlabel() == "loss by seed"
    best = plots.settings(["a", "b", "c", "d"], results, larger_is_better=True, most=2)
    assert [label.get_text() for label in best.get_yticklabels()] == ["d", "a"]
    with pytest.raises(ValueError, match=r"results has shape \(4, 2\) for 1 settings"):
        plots.settings(["a"], results)
    with pytest.raises(ValueError, match="most is 0; give a whole number of at least 1"):
        plots.settings(["a"], [[1.0]], most=0)


def test_settings_that_are_not_drawn_are_counted():
    results = np.array([[0.5, 0.6], [0.1, 0.3], [NAN, 0.0], [0.9, 0.7], [np.inf, 1.0]])
    axes = plots.settings(list("abcde"), results, most=2)
    assert axes.get_title(loc="left") == "best 2 of 3; 2 with a diverged seed are left out"
    assert len(axes.get_yticklabels()) == 2
    assert plots.settings(list("abcde"), results).get_title(loc="left") == "2 with a diverged seed are left out"
    assert plots.settings(["a"], [[1.0]]).get_title(loc="left") == ""
    lost = plots.settings(["a"], [[NAN]])
    assert lost.get_title(loc="left") == "1 with a diverged seed is left out"
    assert plots.settings(["a", "b"], [[0.1], [100.0]]).get_xscale() == "log"
    assert plots.settings(["a", "b"], [[0.1], [0.9]]).get_xscale() == "linear"


def test_a_huge_result_stands_beyond_the_axis_and_leaves_the_others_apart():
    results = np.array([[0.5, 0.6], [0.1, 0.2], [0.3, 1e9], [1e12, 1e13]])
    axes = plots.ladder([1.0, 2.0, 3.0, 4.0], results)
    beyond = by_label(axes)["beyond the axis, up to 1e+13"]
    np.testing.assert_array_equal(beyond.get_xdata(), [3.0, 4.0])
    low, high = axes.get_ylim()
    assert 0.05 < low < 0.1
    assert 0.6 < high < 2
    np.testing.assert_allclose(axes.lines[0].get_ydata()[:2], [0.55, 0.15])  # the data are what they were
    worse = plots.ladder([1.0, 2.0, 3.0, 4.0], np.array([[0.9], [0.8], [0.5], [-1e6]]), larger_is_better=True)
    assert by_label(worse)["beyond the axis, down to -1e+06"].get_xdata() == [4.0]
    assert 0.2 < worse.get_ylim()[0] < 0.5 < 0.9 < worse.get_ylim()[1] < 1


@pytest.mark.parametrize(
    "results", [[[1e-6], [1e-3], [1.0]], [[0.9], [0.89], [0.88], [0.5]], [[-1.0], [-1.0], [-1.0], [3.0]], [[2.0]]]
)
def test_results_that_merely_differ_all_stay_on_the_axis(results):
    axes = plots.ladder(np.arange(1.0, len(results) + 1), results, larger_is_better=results[0][0] > 0.5)
    low, high = axes.get_ylim()
    assert low < np.min(results) <= np.max(results) < high
    assert not [label for label in legend(axes) if "beyond" in label]


def test_two_ladders_on_the_same_axes_are_both_in_the_picture():
    axes = plots.ladder([1.0, 2.0], [[1.0], [2.0]])
    plots.ladder([1.0, 2.0], [[5.0], [6.0]], axes=axes)
    assert axes.get_ylim()[0] < 1
    assert axes.get_ylim()[1] > 6


def test_a_0_leaves_the_rest_of_the_scale_as_it_is():
    axes = plots.ladder([0.0, 1e-3, 1e-2, 0.1], [[0.0], [1e-3], [0.1], [1.0]])
    assert (axes.get_xscale(), axes.get_yscale()) == ("symlog", "symlog")
    assert axes.xaxis.get_transform().linthresh == axes.yaxis.get_transform().linthresh == 1e-3
    assert axes.get_ylim()[0] < 0
    at = axes.transData.transform([[0.0, 0.0], [1e-3, 1e-3], [1e-2, 1e-2], [0.1, 0.1]])
    steps = np.diff(at, axis=0)
    np.testing.assert_allclose(steps[1], steps[2])  # powers of ten are equally far apart
    assert (steps[0] > 0.3 * steps[1]).all()  # and 0 is told from the smallest of them


def test_a_map_with_lost_cells_says_what_a_cross_is():
    assert plots.heat_map([1], [1, 2], [[1.0, NAN]]).get_title() == "loss, darker is better, x diverged"
    assert plots.heat_map([1], [1, 2], [[1.0, 2.0]]).get_title() == "loss, darker is better"


# -- answers --


def test_calibration_is_the_true_share_over_the_mean_probability_of_each_bin():
    p, y = np.array([0.2, 0.11, 0.85, 0.9, 0.95, 1.0, 0.0]), np.array([0, 1, 1, 1, 0, 1, 0])
    axes = plots.calibration(p, y)
    _, line = axes.lines
    np.testing.assert_allclose(line.get_xydata(), [[0, 0], [0.155, 0.5], [0.875, 1], [0.975, 0.5]])
    (above,) = axes.child_axes
    assert [text.get_text() for text in above.get_xticklabels()] == ["1", "2", "2", "2"]
    np.testing.assert_allclose(above.get_xticks(), [0.05, 0.15, 0.85, 0.95])
    assert axes.get_xlabel() == "probability of yes"
    np.testing.assert_array_equal(plots.calibration(p[:, None], 2 * y - 1).lines[1].get_xydata(), line.get_xydata())


def test_calibration_of_several_classes_is_that_of_the_answer():
    outputs = jnp.asarray(np.random.default_rng(0).normal(size=(50, 3)), float)
    labels = jnp.arange(50) % 3
    axes = plots.calibration(np.asarray(jax.jit(jax.nn.softmax)(outputs)), labels)
    error = jax.jit(functools.partial(metrics.expected_calibration_error, bins=10))(outputs, labels)
    assert legend(axes)[1] == f"50 rows, calibration error {error:.3f}"
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("probability of the answer", "share that is right")


def test_bars_of_a_calibration_hold_the_true_share_in_95_of_100_cases():
    bars = plots.calibration(np.full(20, 0.55), np.arange(20) < 5).collections[0]
    (low, high) = bars.get_segments()[0][:, 1]
    for end in (low, high):  # where 5 of 20 lies 1.96 standard errors off
        assert abs(0.25 - end) == pytest.approx(1.96 * np.sqrt(end * (1 - end) / 20))
    assert low < 0.25 < high


def test_predicted_against_true_lies_about_the_diagonal():
    true, predicted = np.array([1.0, 2.0, 4.0, 5.0]), np.array([1.5, 2.0, 3.0, 9.0])
    axes = plots.predicted_against_true(predicted[:, None], true, name="price")
    points, diagonal = axes.lines
    np.testing.assert_array_equal(points.get_xydata(), np.stack([true, predicted], axis=1))
    np.testing.assert_array_equal(diagonal.get_xdata(), diagonal.get_ydata())
    assert axes.get_xlim() == axes.get_ylim() == tuple(diagonal.get_xdata())
    assert axes.get_xlim()[0] < 1
    assert axes.get_xlim()[1] > 9
    rmse, r2 = np.sqrt(17.25 / 4), 1 - 17.25 / 10
    assert legend(axes)[0] == f"4 rows, RMSE {rmse:.3g}, R2 {r2:.3f}"
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("true price", "predicted price")
    assert "R2" not in legend(plots.predicted_against_true([1.0, 2.0], [1.0, 1.0]))[0]


# -- the plane --


def test_a_decision_boundary_lies_where_the_net_changes_its_answer():
    axes = plots.decision_boundary(line_of_sums, CORNERS, AND, classes=["no", "yes"], names=("a", "b"))
    no, yes = axes.lines
    np.testing.assert_array_equal(no.get_xydata(), CORNERS[:3])
    np.testing.assert_array_equal(yes.get_xydata(), CORNERS[3:])
    assert no.get_marker() != yes.get_marker()
    assert no.get_markerfacecolor() != yes.get_markerfacecolor()
    assert legend(axes) == ["no, 3", "yes, 1"]
    regions = np.asarray(axes.images[0].get_array())
    left, right, bottom, top = axes.images[0].get_extent()
    assert (left, right, bottom, top) == (*axes.get_xlim(), *axes.get_ylim()) == (-0.1, 1.1, -0.1, 1.1)
    assert axes.images[0].origin == "lower"
    assert (regions[-1, -1], regions[0, 0]) == (1, 0)
    at = np.concatenate([path.vertices for path in axes.collections[0].get_paths()])
    np.testing.assert_allclose(at.sum(axis=1), 1.5, atol=1e-5)
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("a", "b")


def test_points_on_the_wrong_side_have_a_ring():
    axes = plots.decision_boundary(line_of_sums, CORNERS, [1, 0, 0, 1])
    np.testing.assert_array_equal(by_label(axes)["wrong, 1"].get_xydata(), CORNERS[:1])
    half = plots.decision_boundary(lambda x: x[:, :1], CORNERS, [-1, -1, 1, 1], boundary=0.5)
    assert legend(half) == ["0, 2", "1, 2"]
    assert legend(plots.decision_boundary(lambda x: x[:, :1], CORNERS, [-1, -1, 1, 1], boundary=2))[-1] == "wrong, 2"


def test_each_of_several_classes_has_its_region_its_marker_and_its_shade():
    labels = np.array([0, 2, 1, 2])
    axes = plots.decision_boundary(nearest, CORNERS, labels)
    assert legend(axes) == ["0, 1", "1, 1", "2, 2"]
    assert len({line.get_marker() for line in axes.lines}) == len({line.get_mfc() for line in axes.lines}) == 3
    regions = np.asarray(axes.images[0].get_array())
    assert (regions[0, 0], regions[0, -1], regions[-1, 75]) == (0, 1, 2)
    assert len(axes.images[0].cmap.colors) == 3
    for lines in axes.collections:  # where the two best are equally good
        at = np.concatenate([path.vertices for path in lines.get_paths()])
        scores = np.sort(nearest(at), axis=1)
        np.testing.assert_allclose(scores[:, 2], scores[:, 1], atol=0.01)


def test_a_net_draws_its_boundary():
    params = [(np.ones((2, 2), np.float32), np.array([0.0, 0.25], np.float32))]  # the second leads everywhere
    axes = plots.decision_boundary(jax.jit(functools.partial(MLP((2, 2)).apply, params)), CORNERS, AND)
    assert legend(axes) == ["0, 3", "1, 1", "wrong, 3"]
    assert np.asarray(axes.images[0].get_array()).min() == 1


def test_lines_of_a_perceptron_are_where_its_score_is_0():
    run = neurons.learn_perceptron(CORNERS, AND, epochs=20)
    axes = plots.moving_line(run.path.w, run.path.b, CORNERS, AND, most=4)
    points, drawn = axes.lines[:2], axes.lines[2:]
    np.testing.assert_array_equal(points[1].get_xydata(), CORNERS[3:])
    w, b = np.asarray(run.path.w), np.asarray(run.path.b)
    steps = [step for step in range(int(run.epochs)) if w[step].any()]
    assert legend(axes)[2:] == [
        f"line after step {steps[0] + 1}",
        f"between, later is darker, 4 of {len(steps)} shown",
        f"after step {run.epochs}, the last",
    ]
    assert len(drawn) == 4
    for line, step in ((drawn[0], steps[0]), (drawn[-1], int(run.epochs) - 1)):
        np.testing.assert_allclose(line.get_xydata() @ w[step] + b[step], 0, atol=1e-5)
        ends = line.get_xydata()  # on both sides of the picture
        assert (np.linalg.norm(ends - 0.5, axis=1) > np.hypot(0.6, 0.6)).all()
    shades = [float(line.get_color()) for line in drawn]
    assert shades == sorted(shades, reverse=True)
    assert drawn[-1].get_linewidth() > 2 * drawn[0].get_linewidth() - 1
    assert [line.get_linestyle() for line in drawn] == [":", "--", "--", "-"]


# -- the surface --


def test_levels_of_a_surface_are_powers_above_the_lowest_loss():
    axes = plots.loss_surface(GRID, GRID, BOWL - 5)
    levels = axes.collections[0].levels
    assert (levels[0], levels[-1]) == (-5.0, -2.0)
    above = levels[1:] + 5
    np.testing.assert_allclose(above[1:] / above[:-1], above[1] / above[0])
    assert axes.figure.axes[1].get_ylabel() == "loss"
    lightness = [color[0] for color in axes.collections[0].get_facecolor()]
    assert lightness == sorted(lightness, reverse=True)


def test_paths_on_a_surface_have_a_start_an_end_and_dashes_of_their_own():
    ways = {"sgd": [[1.0, 1.0], [0.5, 0.5], [0.0, 0.0]], "lost": [[1.0, -1.0], [5.0, 0.0], [NAN, 1.0], [0.0, 0.0]]}
    axes = plots.loss_surface(GRID, GRID, BOWL, paths=ways)
    assert legend(axes) == ["sgd, 2 steps", "lost, 1 step, ends outside", "start"]
    sgd, start, end, lost, *_ = axes.lines
    np.testing.assert_array_equal(sgd.get_xydata(), ways["sgd"])
    np.testing.assert_array_equal(start.get_xydata(), [[1.0, 1.0]])
    np.testing.assert_array_equal(end.get_xydata(), [[0.0, 0.0]])
    np.testing.assert_array_equal(lost.get_xydata(), ways["lost"][:2])
    assert (start.get_color(), end.get_color()) == ("white", sgd.get_color())
    assert (sgd.get_linestyle(), sgd.get_marker()) != (lost.get_linestyle(), lost.get_marker())
    assert (axes.get_xlim(), axes.get_ylim()) == ((-1, 1), (-1, 1))
    holes = np.where(BOWL > 2.5, NAN, BOWL)
    assert legend(plots.loss_surface(GRID, GRID, holes)) == ["not finite"]


# -- nets and activations --


def test_a_network_has_lines_as_thick_as_its_weights_dashed_where_they_are_negative():
    axes = plots.network(LAYERS)
    positive, negative = axes.collections
    np.testing.assert_allclose(positive.get_linewidths(), 4 * np.array([1, 0.5, 4, 1, 2]) / 4)
    np.testing.assert_allclose(negative.get_linewidths(), 4 * np.array([2, 1, 3]) / 4)
    assert (positive.get_linestyle()[0][1], negative.get_linestyle()[0][1] is None) == (None, False)
    assert legend(axes) == ["positive, up to 4", "negative, down to -3"]
    assert len(axes.patches) == 2 + 3 + 1
    units = [patch.center for patch in axes.patches]
    np.testing.assert_allclose(positive.get_segments()[2], [units[1], units[3]])  # of the second input, w = 4
    np.testing.assert_allclose(negative.get_segments()[2], [units[3], units[5]])


def test_a_network_shades_its_units_by_their_activations():
    axes = plots.network(LAYERS, activations=[[1.0, 0.0], [0.0, 5.0, 10.0], [7.0]], outputs=["yes"])
    shades = [patch.get_facecolor()[0] for patch in axes.patches]
    np.testing.assert_allclose(shades, [0.15, 1, 1, 0.575, 0.15, 1], atol=1e-3)
    assert [text.get_text() for text in axes.texts] == ["1", "0", "0", "5", "10", "7", "yes"]
    assert [text.get_color() for text in axes.texts][:2] == ["white", "black"]


def test_a_network_says_which_units_it_leaves_out():
    axes = plots.network([(np.ones((64, 5)), np.ones(5)), (np.ones((5, 2)), np.ones(2))], most=3)
    assert [text.get_text() for text in axes.texts] == ["3 of 64\nshown", "3 of 5\nshown"]
    assert len(axes.patches) == 3 + 3 + 2
    assert sum(len(lines.get_segments()) for lines in axes.collections) == 9 + 6


def test_the_gallery_has_each_activation_its_derivative_and_where_it_is_saturated():
    figure = plots.activation_gallery()
    drawn = {axes.get_title(): axes for axes in figure.axes if axes.lines}
    assert list(drawn) == list(activations.ACTIVATIONS)
    _, _, line, slope = drawn["tanh"].lines
    z = line.get_xdata()
    np.testing.assert_allclose(line.get_ydata(), np.tanh(z), atol=1e-6)
    np.testing.assert_allclose(slope.get_ydata(), 1 - np.tanh(z) ** 2, atol=1e-6)
    left, right = (path.vertices[:, 0] for path in drawn["tanh"].collections[0].get_paths())
    edge = np.arctanh(np.sqrt(0.95))  # where the slope is 5 % of the steepest
    assert (left.min(), right.max()) == (-6, 6)
    assert (left.max(), right.min()) == pytest.approx((-edge, edge), abs=0.02)
    left, right = (path.vertices[:, 0] for path in drawn["sigmoid"].collections[0].get_paths())
    assert (left.max(), right.min()) == pytest.approx(
        (-2 * edge, 2 * edge), abs=0.02
    )  # it is tanh(z / 2), but for scale
    (dead,) = drawn["relu"].collections[0].get_paths()
    assert dead.vertices[:, 0].max() == pytest.approx(0, abs=0.02)
    assert not drawn["identity"].collections[0].get_paths()
    (all_of_it,) = drawn["threshold"].collections[0].get_paths()
    assert (all_of_it.vertices[:, 0].min(), all_of_it.vertices[:, 0].max()) == (-6, 6)
    np.testing.assert_allclose(drawn["prelu"].lines[2].get_ydata()[0], -1.5)
    assert drawn["tanh"].lines[2].get_linestyle() != drawn["tanh"].lines[3].get_linestyle()


def test_a_gallery_of_some_is_drawn_on_the_figure_it_is_given():
    figure = Figure()
    assert plots.activation_gallery({"sine": jnp.sin, "gelu": "gelu"}, figure=figure) is figure
    assert [axes.get_title() for axes in figure.axes] == ["sine", "gelu"]
    figure.savefig(io.BytesIO())


# -- weights and gradients --


def test_paths_of_weights_are_named_if_they_are_large_and_gray_if_not():
    strengths = [1.0, 0.1, 10.0]
    weights = np.array([[0.5, -0.1, 0.0], [1.0, -2.0, 0.1], [0.0, 0.0, NAN]])
    axes = plots.regularization_paths(strengths, weights, names=["a", "b", "c"], name="l1")
    _, a, b, c = axes.lines
    np.testing.assert_array_equal(a.get_xydata(), [[0.1, 1.0], [1.0, 0.5], [10.0, 0.0]])
    np.testing.assert_array_equal(b.get_ydata(), [-2.0, -0.1, 0.0])
    np.testing.assert_array_equal(c.get_ydata(), [0.1, 0.0, NAN])
    assert (axes.get_xscale(), axes.get_xlabel()) == ("log", "l1")
    many = plots.regularization_paths([0.0, 1.0, 2.0], np.arange(10.0) * np.ones((3, 1)))
    assert legend(many) == [str(i) for i in range(2, 10)] + ["the 2 smaller ones"]
    assert many.get_xscale() == "symlog"
    thin = many.lines[1]
    assert (thin.get_color(), thin.get_ydata()[0]) == ("0.75", 0.0)


def test_histograms_of_weights_are_ridges_of_equal_bins_and_equal_areas():
    rng = np.random.default_rng(0)
    snapshots = [[(scale * rng.normal(size=(10, 10)), np.full(10, 99.0))] for scale in (1.0, 2.0, 4.0)]
    axes = plots.weight_histograms(snapshots, epochs=[0, 5, 10], bins=20)
    ridges = axes.lines[:3]
    ends = np.histogram_bin_edges(np.concatenate([s[0][0].ravel() for s in snapshots]), 20)
    heights = [ridge.get_ydata()[::2] - place for place, ridge in enumerate(ridges)]
    scale = heights[0].max() / np.histogram(snapshots[0][0][0], ends)[0].max()
    for ridge, height, snapshot in zip(ridges, heights, snapshots, strict=True):
        np.testing.assert_allclose(height, scale * np.histogram(snapshot[0][0], ends)[0], atol=1e-9)
        np.testing.assert_allclose(ridge.get_xdata()[[0, -1]], ends[[0, -1]])
    assert [label.get_text() for label in axes.get_yticklabels()] == ["0", "5", "10"]
    many = plots.weight_histograms(snapshots * 4, most=3)
    assert [label.get_text() for label in many.get_yticklabels()] == ["0", "6", "11"]
    assert many.get_title(loc="left") == "3 of 12 epochs shown"


def test_gradient_flow_shades_by_powers_of_ten():
    norms = np.array([[1.0, NAN, 1e-3], [0.1, NAN, 0.0], [0.01, NAN, np.inf]])
    axes = plots.gradient_flow(norms, columns=[10, 20, 30])
    shades = axes.images[0].get_array()
    np.testing.assert_allclose(shades.filled(99), [[0, -3], [-1, 99], [-2, 99]])
    assert axes.images[0].get_clim() == (-3, 0)
    assert [text.get_text() for text in axes.get_xticklabels()] == ["10", "30"]
    assert axes.get_xlabel() == "epoch (2 of 3 measured)"
    assert [text.get_text() for text in axes.texts] == ["1", "0.001", "0.1", "0", "0.01", "inf"]
    zero, lost = axes.collections
    assert legend(axes) == ["0", "not finite, or not measured"]
    assert zero.get_hatch() != lost.get_hatch()
    np.testing.assert_array_equal(np.ma.getmaskarray(zero.get_array()).reshape(3, 2).T, [[1, 1, 1], [1, 0, 1]])
    np.testing.assert_array_equal(np.ma.getmaskarray(lost.get_array()).reshape(3, 2).T, [[1, 1, 1], [1, 1, 0]])
    assert plots.gradient_flow([[1.0, NAN], [1.0, 1.0]]).get_xlabel() == "epoch"  # the first layer's alone is missing
    many = plots.gradient_flow(np.ones((2, 50)))
    assert (len(many.texts), many.get_xlabel(), many.get_legend()) == (0, "epoch", None)
    assert [text.get_text() for text in many.get_xticklabels()][:: len(many.get_xticks()) - 1] == ["1", "50"]


# -- animations --


def test_a_gif_of_a_boundary_has_its_frames_and_stays_small(tmp_path):
    thresholds = np.linspace(0.5, 1.5, 7)
    path = tmp_path / "and.GIF"
    asked = []

    def predict(threshold, x):
        asked.append(float(threshold))
        return x[:, 0] + x[:, 1] - threshold

    assert plots.decision_boundary_gif(path, predict, thresholds, CORNERS, AND, frames=3, seconds=0.1) == path
    assert sorted(set(asked)) == [0.5, 1.0, 1.5]
    assert path.stat().st_size < 40_000
    with Image.open(path) as gif:
        assert (gif.n_frames, gif.info["loop"], gif.info["duration"]) == (3, 0, 100)
        frames = []
        for i in range(3):
            gif.seek(i)
            frames.append(np.asarray(gif.convert("L"), float))
        assert gif.info["duration"] == 1100
    gray = [(frame[20:-60, 40:] == 180).mean() for frame in frames]  # of the region of yes, which becomes smaller
    assert gray[0] > gray[1] > gray[2] > 0


def test_a_gif_of_a_race_shows_the_colors_and_waits_for_the_slower(tmp_path):
    ways = {"black": np.linspace([1, 1], [0, 0], 5), "orange": np.linspace([-1, 1], [0, 0.5], 3)}
    path = plots.race_gif(str(tmp_path / "race.gif"), GRID, GRID, BOWL, ways, frames=2, names=("a", "b"))
    assert path.stat().st_size < 60_000
    with Image.open(path) as gif:
        assert gif.n_frames == 2
        gif.seek(1)
        last = np.asarray(gif.convert("RGB")).reshape(-1, 3)
    assert (last == (255, 127, 14)).all(axis=1).sum() > 100
    np.testing.assert_array_equal(ways["orange"][-1], [0, 0.5])


def test_a_gif_without_pillow_gets_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ImportError, match="a GIF needs Pillow, which is not installed; pip install pillow"):
        plots.race_gif(tmp_path / "race.gif", GRID, GRID, BOWL, {"sgd": [[0, 0]]})


# -- bad input --

FOUR = np.ones((3, 4))
BAD = {
    "no curves": (lambda: plots.learning_curves({"train/loss": []}, best_epoch=1), "history.'train/loss'. has shape"),
    "a cube": (lambda: plots.learning_curves({"train/loss": np.ones((2, 2, 2))}), "give an array of shape .runs"),
    "too many curves": (
        lambda: plots.learning_curves({name: [1.0] for name in "abcdefghi"}, names="abcdefghi"), "there are 9 curves"
    ),
    "a best epoch that is not there": (
        lambda: plots.learning_curves({"train/loss": [1.0, 0.5]}, best_epoch=3), "best_epoch is 3, but the history"
    ),
    "best epochs": (lambda: plots.learning_curves({"train/loss": [1.0]}, best_epoch=np.ones(2)), "best_epoch is array"),
    "text": (lambda: plots.learning_curves({"train/loss": ["low"]}), "cannot be made numbers"),
    "labels of a matrix": (lambda: plots.confusion_matrix(np.eye(2), labels=["a"]), "labels has 1 names for 2 classes"),
    "NaN among rates": (lambda: plots.ladder([NAN, 1.0], [[1.0], [1.0]]), "values holds NaN or infinity in 1 place"),
    "no rates": (lambda: plots.ladder([], np.ones((0, 2))), "values has shape .0,.; give an array of shape .values,."),
    "no seeds": (lambda: plots.ladder([1.0], np.ones((1, 0))), "results has shape .1, 0."),
    "an empty map": (lambda: plots.heat_map([], [], np.ones((0, 0))), "results has shape .0, 0."),
    "no settings": (lambda: plots.settings([], np.ones((0, 2))), "results has shape .0, 2."),
    "raw outputs": (lambda: plots.calibration([3.0, -1.0], [0, 1]), "reach from -1 to 3; give numbers from 0 to 1"),
    "other labels": (lambda: plots.calibration([0.5, 0.5], [1, 2]), "y holds 1, 2; give 0 and 1, or -1 and 1"),
    "too few labels": (lambda: plots.calibration([0.5, 0.5], [1]), "y has shape .1,. for 2 rows; give one label"),
    "two outputs": (
        lambda: plots.predicted_against_true(np.ones((3, 2)), np.ones(3)), "predicted has 2 outputs; draw one at a time"
    ),
    "NaN predicted": (lambda: plots.predicted_against_true([NAN], [1.0]), "predicted holds NaN"),
    "unequal rows": (lambda: plots.predicted_against_true([1.0], [1.0, 2.0]), "predicted has 1 rows and true has 2"),
    "four inputs": (
        lambda: plots.decision_boundary(line_of_sums, FOUR, [0, 0, 1]), "x has 4 inputs, and a picture shows 2; give"
    ),
    "one input": (lambda: plots.decision_boundary(line_of_sums, FOUR[:, :1], [0, 0, 1]), "x has 1 inputs"),
    "a class too many": (
        lambda: plots.decision_boundary(nearest, CORNERS, [0, 1, 2, 3]),
        "y holds 0, 1, 2, 3; give whole numbers from 0 to 2, one for each of the 3 outputs",
    ),
    "three classes, one output": (lambda: plots.decision_boundary(line_of_sums, CORNERS, [0, 1, 2, 0]), "y holds 0, 1"),
    "a net that diverged": (
        lambda: plots.decision_boundary(lambda x: x[:, 0] * NAN, CORNERS, AND),
        "predict returns NaN or infinity at 22500 of 22500 points, the first at .-0.1, -0.1.; give parameters",
    ),
    "one answer for all": (lambda: plots.decision_boundary(lambda x: 1.0, CORNERS, AND), "predict returns shape .."),
    "heads": (lambda: plots.decision_boundary(lambda x: {"a": x}, CORNERS, AND), "predict returns a mapping of heads"),
    "classes without names": (
        lambda: plots.decision_boundary(line_of_sums, CORNERS, AND, classes=["a"]), "classes has 1 names for 2 classes"
    ),
    "nine classes": (
        lambda: plots.decision_boundary(lambda x: np.tile(x[:, :1], 9), CORNERS, AND), "there are 9 classes"
    ),
    "lines in space": (lambda: plots.moving_line(FOUR, np.ones(3), CORNERS, AND), "w has shape .3, 4.; give an array"),
    "no line": (lambda: plots.moving_line(np.zeros((2, 2)), [1.0, NAN], CORNERS, AND), "w is 0 or not finite at every"),
    "unequal steps": (lambda: plots.moving_line(np.eye(2), [1.0], CORNERS, AND), "w has 2 rows and b has 1"),
    "a flat surface": (lambda: plots.loss_surface(GRID, GRID, 0 * BOWL), "losses is 0 everywhere"),
    "a lost surface": (lambda: plots.loss_surface(GRID, GRID, NAN * BOWL), "losses is not finite anywhere"),
    "another grid": (lambda: plots.loss_surface(GRID[:8], GRID, BOWL), "give one number for 9 rows, 8 columns"),
    "a falling grid": (lambda: plots.loss_surface(GRID[::-1], GRID, BOWL), "columns does not ascend"),
    "a path in space": (
        lambda: plots.loss_surface(GRID, GRID, BOWL, paths={"sgd": FOUR}), "goes through 4 weights, and"
    ),
    "a path from nowhere": (
        lambda: plots.loss_surface(GRID, GRID, BOWL, paths={"sgd": [[NAN, 0.0]]}), "give a finite start"
    ),
    "no layers": (lambda: plots.network([]), "params is empty; give the layers"),
    "layers of two nets": (lambda: plots.network([LAYERS[1], LAYERS[0]]), r"params\[0\] has 1 outputs, but"),
    "NaN weights": (lambda: plots.network([(NAN * np.eye(2), np.ones(2))]), "params.0..w holds NaN or infinity in 4"),
    "too few activations": (lambda: plots.network(LAYERS, activations=[[1, 1]]), "activations has 1 entries for 3"),
    "activations of another net": (
        lambda: plots.network(LAYERS, activations=[[1, 1, 1], [1, 1, 1], [1]]), r"activations\[0\] has shape .3,."
    ),
    "an input without name": (lambda: plots.network(LAYERS, inputs=["a"]), "inputs has 1 names for 2 units"),
    "nothing to show": (lambda: plots.activation_gallery([]), "chosen is empty"),
    "two of a name": (lambda: plots.activation_gallery([lambda z: z, lambda z: -z]), "chosen has two called"),
    "an unknown activation": (lambda: plots.activation_gallery(["rellu"]), "did you mean 'relu'"),
    "strengths below 0": (lambda: plots.regularization_paths([-1.0], [[1.0]]), "strengths has -1; give numbers of at"),
    "unequal strengths": (lambda: plots.regularization_paths([1.0], np.ones((2, 2))), "weights has shape .2, 2. for 1"),
    "a weight without name": (lambda: plots.regularization_paths([1.0], [[1, 2]], names=["a"]), "names has 1 names"),
    "no parameters": (lambda: plots.weight_histograms([]), "params is empty"),
    "no such layer": (lambda: plots.weight_histograms([LAYERS], layer=2), "layer is 2, but there are 2, counted"),
    "other epochs": (lambda: plots.weight_histograms([LAYERS], epochs=[1, 2]), "epochs has 2 entries for 1 parameters"),
    "weights that diverged": (
        lambda: plots.weight_histograms([[(NAN * np.eye(2), 0)]], epochs=[7]), "w of layer 0 at epoch 7 holds NaN"
    ),
    "negative norms": (lambda: plots.gradient_flow([[-1.0]]), "norms has -1; give numbers of at least 0"),
    "nothing measured": (lambda: plots.gradient_flow([[NAN]]), "norms is all NaN"),
    "a layer without name": (lambda: plots.gradient_flow([[1.0]], layers=["a", "b"]), "for 2 layers and 1 columns"),
    "a film": (lambda: plots.race_gif("race.mp4", GRID, GRID, BOWL, {}), "path is 'race.mp4'; give one that ends in"),
    "no folder": (
        lambda: plots.race_gif("nowhere/race.gif", GRID, GRID, BOWL, {}), "there is no folder 'nowhere'; make it first"
    ),
    "no racers": (lambda: plots.race_gif("race.gif", GRID, GRID, BOWL, {}), "paths is empty; give one at least"),
    "one frame": (lambda: plots.race_gif("race.gif", GRID, GRID, BOWL, {"a": [[0, 0]]}, frames=1), "frames is 1; give"),
    "no time": (
        lambda: plots.decision_boundary_gif("a.gif", line_of_sums, [1], CORNERS, AND, seconds=0), "seconds is 0; give"
    ),
    "no snapshots": (lambda: plots.decision_boundary_gif("a.gif", line_of_sums, [], CORNERS, AND), "params is empty"),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD)
def test_bad_input_gets_a_sentence(what):
    draw, sentence = BAD[what]
    with pytest.raises((ValueError, TypeError), match=sentence):
        draw()


def test_traced_numbers_are_refused():
    with pytest.raises(TypeError, match="norms is traced, and this function works on the host; draw outside of jit"):
        jax.jit(lambda norms: plots.gradient_flow(norms))(jnp.ones((2, 2)))
