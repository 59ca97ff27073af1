import subprocess
import sys
import textwrap
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from registry import TRANSFORMS

from jaxmlp import archive, losses, metrics, optimizers, regularizers, training
from jaxmlp.early_stopping import EarlyStopping
from jaxmlp.mlp import MLP
from jaxmlp.training import Recipe, StopReason, fit, saving

KEY = jax.random.key(3)
RNG = np.random.default_rng(0)
X = RNG.normal(size=(53, 4))
Y = (X[:, 0] + X[:, 1] ** 2 > 0.7).astype(int) + (X[:, 2] > 0.5)
DATA, VALIDATION = (X[:40], Y[:40]), (X[40:], Y[40:])
NET = MLP((4, 8, 3), dropout=0.2)
RECIPE = Recipe(NET, optimizers.adam(0.02), losses.softmax_cross_entropy)
OPTIONS = {
    "validation": VALIDATION, "batch_size": 7, "key": KEY, "metrics": {"accuracy": metrics.accuracy},
    "early_stopping": EarlyStopping(patience=50),
}  # fmt: skip


def by_value(*trees):
    """The leaves of states and other trees as bytes, to be compared to the bit."""
    return [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(trees)]


OPTIMIZERS = {
    "sgd": optimizers.sgd(0.1), "momentum": optimizers.momentum(0.1), "nesterov": optimizers.nesterov(0.1),
    "adagrad": optimizers.adagrad(0.1), "adadelta": optimizers.adadelta(1.0), "rmsprop": optimizers.rmsprop(0.01),
    "adam": optimizers.adam(0.02), "amsgrad": optimizers.amsgrad(0.02), "adamax": optimizers.adamax(0.02),
    "nadam": optimizers.nadam(0.02), "adamw": optimizers.adamw(0.02), "lion": optimizers.lion(0.003),
    "muon": optimizers.muon(0.02), "schedule_free_sgd": optimizers.schedule_free_sgd(0.1),
    "schedule_free_adamw": optimizers.schedule_free_adamw(0.02), "sam": optimizers.sam(0.1),
    "chain": optax.chain(
        regularizers.gradient_noise(0.1), regularizers.l1(1e-3),
        optimizers.adam(lambda count: 0.1 / (1 + count.astype(float))), regularizers.ema(0.9),
    ),
}  # fmt: skip


def test_every_optimizer_is_tried():
    assert {name for name in TRANSFORMS if hasattr(optimizers, name) and not name.startswith("scale_by")} <= set(
        OPTIMIZERS
    )


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_run_that_was_saved_and_goes_on_equals_one_that_was_not(name, tmp_path):
    net, options = MLP((4, 8, 8, 3)), {"batch_size": 7, "key": KEY}
    recipe, path = Recipe(net, OPTIMIZERS[name], losses.softmax_cross_entropy), tmp_path / "run.npz"

    def save_after_four(epoch, run):
        if epoch == 4:
            run.save(path)

    whole = fit(recipe, DATA, epochs=10, chunk=2, callback=save_after_four, **options)
    resumed = fit(recipe, DATA, epochs=10, resume=path, **options)
    assert archive.read(path)[0]["epoch"] == 4
    assert whole.epochs == resumed.epochs == 10
    assert by_value(whole.state) == by_value(resumed.state)


def test_it_does_so_in_another_process(tmp_path):
    program = """
        import sys
        import test_saving as here
        resumed = here.fit(here.RECIPE, here.DATA, epochs=100, resume=sys.argv[1] + "/run.npz", **here.OPTIONS)
        resumed.save(sys.argv[1] + "/all.npz")
    """
    whole = fit(RECIPE, DATA, epochs=100, **OPTIONS)
    fit(RECIPE, DATA, epochs=37, **OPTIONS).save(tmp_path / "run.npz")
    command = [sys.executable, "-c", "import conftest\n" + textwrap.dedent(program), str(tmp_path)]
    subprocess.run(command, check=True, cwd=Path(__file__).parent)
    saved, _ = archive.read(tmp_path / "all.npz")
    assert [np.asarray(leaf).tobytes() for leaf in saved.values()] == by_value(whole.state)


def test_a_run_in_memory_goes_on_and_stays_as_it_was():
    whole, part = (fit(RECIPE, DATA, epochs=epochs, **OPTIONS) for epochs in (9, 4))
    before = by_value(part.state)
    assert by_value(fit(RECIPE, DATA, epochs=9, resume=part, **OPTIONS).state) == by_value(whole.state)
    assert by_value(part.state) == before
    assert part.epochs == 4


def test_the_same_call_goes_on_from_its_folder(tmp_path):
    folder = tmp_path / "runs"
    options = {"resume": True, "save": folder, "keep": 2, **OPTIONS}
    first = fit(RECIPE, DATA, epochs=4, **options)
    assert archive.numbers(folder) == [4]
    second = fit(RECIPE, DATA, epochs=6, **options)
    third = fit(RECIPE, DATA, epochs=9, **options)
    assert archive.numbers(folder) == [6, 9]
    assert (first.epochs, second.epochs, third.epochs) == (4, 6, 9)
    assert by_value(third.state) == by_value(fit(RECIPE, DATA, epochs=9, **OPTIONS).state)


def test_saves_while_it_runs(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules["jaxmlp.training.host"], "SECONDS_PER_SAVE", 0.0)
    fit(RECIPE, DATA, epochs=6, save=tmp_path, keep=4, chunk=1, **OPTIONS)
    assert archive.numbers(tmp_path) == [3, 4, 5, 6]


@pytest.mark.parametrize("saved", [True, False])
def test_any_earlier_epoch_can_be_had_again(saved, tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules["jaxmlp.training.host"], "SECONDS_PER_SAVE", 0.0)
    run = fit(RECIPE, DATA, epochs=8, chunk=2, **({"save": tmp_path} if saved else {}), **OPTIONS)
    for epoch in (0, 3, 5, 8):
        alone = run.at(epoch)
        assert alone.epochs == epoch == len(alone.history["train/loss"])
        assert alone.stop_reason is StopReason.RUNNING
        if epoch:
            wanted = fit(RECIPE, DATA, epochs=epoch, **OPTIONS)
            assert by_value(alone.params) == by_value(wanted.params)
            assert by_value(alone.state.opt_state) == by_value(wanted.state.opt_state)
    assert by_value(run.at(run.best_epoch).params) == by_value(run.best_params)
    with pytest.raises(ValueError, match="epoch is 9, but the run has 8; give one of those"):
        run.at(9)


def test_a_run_that_was_stopped_early_does_not_go_on(tmp_path):
    options = {**OPTIONS, "early_stopping": EarlyStopping(patience=1, min_delta=9.0)}
    run = fit(RECIPE, DATA, epochs=20, **options)
    again = fit(RECIPE, DATA, epochs=20, resume=run, **options)
    assert again.stop_reason is StopReason.STOPPED_EARLY
    assert by_value(again.state) == by_value(run.state)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"batch_size": 8}, "batch_size is 8, that of the saved run 7; give those that"),
        ({"key": jax.random.key(4)}, "key is another than that of the saved run"),
        ({"data": (X[:39], Y[:39])}, "data are others than those of the saved run"),
        ({"data": (X[:40] + 1e-3, Y[:40])}, "data are others than those of the saved run"),
        ({"validation": None}, "validation data are others"),
        ({"epochs": 3}, "epochs is 3, but the saved run has run 4 already; give at least those"),
        ({"recipe": Recipe(NET, optimizers.sgd(0.1), losses.softmax_cross_entropy)}, "'opt_state/"),
        ({"recipe": Recipe(MLP((4, 9, 3)), optimizers.adam(0.1), losses.softmax_cross_entropy)}, r"shape \(4, 8\) in"),
    ],
)
def test_another_run_s_file_is_refused(changes, sentence, tmp_path):
    fit(RECIPE, DATA, epochs=4, **OPTIONS).save(tmp_path / "run.npz")
    options = {"recipe": RECIPE, "data": DATA, "epochs": 9, "resume": tmp_path / "run.npz", **OPTIONS, **changes}
    with pytest.raises(ValueError, match=sentence):
        fit(**options)


@pytest.mark.parametrize(
    ("options", "error", "sentence"),
    [
        ({"resume": True}, ValueError, "resume is True, but save is None; give the folder"),
        ({"resume": 3}, TypeError, "resume is 3; give a Run, the path of a saved one"),
        ({"resume": "nowhere.npz"}, FileNotFoundError, "nowhere"),
        ({"save": "somewhere", "keep": 0}, ValueError, "keep"),
    ],
)
def test_what_cannot_be_gone_on_from_gets_a_sentence(options, error, sentence, unchecked, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=sentence):
        fit(RECIPE, DATA, epochs=2, **options, **OPTIONS)
    assert list(tmp_path.iterdir()) == []


def test_another_version_of_jax_and_another_recipe_are_said(tmp_path, monkeypatch):
    run = fit(RECIPE, DATA, epochs=2, **OPTIONS)
    with monkeypatch.context() as patched:
        patched.setattr(jax, "__version__", "0.1.2")
        run.save(tmp_path / "run.npz")
    with pytest.warns(RuntimeWarning, match=r"saved under jax 0\.1\.2, and this is .*; the last bits may differ"):
        fit(RECIPE, DATA, epochs=3, resume=tmp_path / "run.npz", **OPTIONS)
    run.save(tmp_path / "run.npz")
    other = Recipe(NET, optimizers.adam(0.03), RECIPE.loss)
    with pytest.warns(RuntimeWarning, match="saved with another recipe: a step computed something else; it goes on"):
        fit(other, DATA, epochs=3, resume=tmp_path / "run.npz", **OPTIONS)


def of_parts(slope, scale, optimizer):
    """A recipe whose step has an array of its own, and a function with a slope of its own."""

    @jax.custom_jvp
    def bent(z):
        return jnp.where(z > 0, z, slope * z)

    bent.defjvp(lambda z, tangent: (bent(*z), jnp.where(z[0] > 0, 1.0, slope) * tangent[0]))

    def scaled(outputs, y):
        return jnp.asarray(scale, outputs.dtype) * losses.softmax_cross_entropy(outputs, y)

    return Recipe(MLP((4, 8, 3), activation=bent), optimizer, scaled)


@pytest.mark.parametrize(
    "other",
    [
        (0.2, np.array([1.0]), optimizers.adam(0.01)),
        (0.1, np.array([2.0]), optimizers.adam(0.01)),
        (0.1, np.array([1.0]), optimizers.adam(0.01, b1=0.8)),
    ],
    ids=["activation", "array", "optimizer"],
)
def test_a_recipe_is_another_if_its_step_computes_something_else(other):
    def step(*parts):
        program, inputs, _ = training.prepare(of_parts(*parts), DATA, epochs=1, batch_size=7, key=KEY)
        return saving.describe(program, inputs)["step"]

    same = (0.1, np.array([1.0]), optimizers.adam(0.01))
    assert step(*same) == step(0.1, np.array([1.0]), optimizers.adam(0.01)) != step(*other)


def test_a_saved_run_holds_its_best_parameters(tmp_path):
    run = fit(RECIPE, DATA, epochs=5, **OPTIONS)
    run.save(tmp_path / "run.npz")
    again = fit(RECIPE, DATA, epochs=5, resume=tmp_path / "run.npz", **OPTIONS)
    assert by_value(again.best_params) == by_value(run.best_params)
    assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(again.best_params))
    np.testing.assert_array_equal(again.history["validation/accuracy"], run.history["validation/accuracy"])


def test_a_state_from_a_file_has_the_types_of_one_that_begins(tmp_path):
    """Weak types do not come back from a file, and would have the run compiled a second time."""
    run = fit(RECIPE, DATA, epochs=2, save=tmp_path, **OPTIONS)
    began = training.start(run.origin.program, run.origin.inputs)
    again = fit(RECIPE, DATA, epochs=2, save=tmp_path, resume=True, **OPTIONS)
    types = [
        [(leaf.dtype, leaf.shape, leaf.weak_type) for leaf in jax.tree.leaves(state)] for state in (began, again.state)
    ]
    assert types[0] == types[1]
