"""What the examples of ``jaxmlp.sweeps`` have before them: ``runs`` and ``validated``, those of the calls' own."""

import functools

import pytest

OF_RUNS = ("jaxmlp.sweeps.result.", "jaxmlp.sweeps.patience.")
OF_FOLDS = "jaxmlp.sweeps.cross_validation.CrossValidation."


@pytest.fixture(autouse=True)
def runs_for_examples(request, doctest_namespace):
    """Give them to the examples that need them."""
    if request.node.name.startswith(OF_RUNS):
        doctest_namespace["runs"] = runs()
    if request.node.name.startswith(OF_FOLDS):
        doctest_namespace["validated"] = validated()


@functools.cache
def validated():
    """Return what ``sweeps.cross_validate``'s own example makes."""
    import jax
    import numpy as np

    from jaxmlp import losses, optimizers, sweeps, training
    from jaxmlp.mlp import MLP

    x = np.linspace(-1, 1, 40)[:, None]
    recipe = training.Recipe(MLP((1, 16, 1)), optimizers.adam(0.01), losses.squared_error)
    return sweeps.cross_validate(recipe, (x, x**2), folds=4, epochs=50, batch_size=10, key=jax.random.key(0))


@functools.cache
def runs():
    """Return the sweep of ``sweeps.sweep``'s own example."""
    import jax
    import numpy as np

    from jaxmlp import losses, optimizers, sweeps, training
    from jaxmlp.mlp import MLP

    def recipe(hyper):
        return training.Recipe(MLP((1, 16, 1)), optimizers.adam(hyper["learning_rate"]), losses.squared_error)

    x, hyper = np.linspace(-1, 1, 32)[:, None], sweeps.grid(learning_rate=[1e-5, 0.01])
    return sweeps.sweep(recipe, (x, x**2), hyper=hyper, seeds=3, epochs=20, batch_size=8, key=jax.random.key(0))
