import numpy as np
import pytest
from matplotlib.figure import Figure

from jaxmlp import plots

NAN = np.nan


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


def test_draws_on_the_axes_it_is_given():
    for draw, what in ((plots.learning_curves, {"train/loss": np.ones(3)}), (plots.confusion_matrix, np.eye(2))):
        axes = Figure().add_subplot()
        assert draw(what, axes=axes) is axes


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
    many = plots.heat_map([1], list(range(16)), np.ones((1, 16)))
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
