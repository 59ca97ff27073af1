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
