"""What the examples of ``jaxmlp.sweeps`` have before them: ``runs``, the sweep of the call's own example."""

import functools

import pytest

OF_RUNS = ("jaxmlp.sweeps.result.", "jaxmlp.sweeps.patience.")


@pytest.fixture(autouse=True)
def runs_for_examples(request, doctest_namespace):
    """Give ``runs`` to the examples that need it."""
    if request.node.name.startswith(OF_RUNS):
        doctest_namespace["runs"] = example()


@functools.cache
def example():
    """Return the sweep of ``sweeps.sweep``'s own example."""
    import jax
    import numpy as np

    from jaxmlp import losses, optimizers, sweeps, training
    from jaxmlp.mlp import MLP

    def recipe(hyper):
        return training.Recipe(MLP((1, 16, 1)), optimizers.adam(hyper["learning_rate"]), losses.squared_error)

    x, hyper = np.linspace(-1, 1, 32)[:, None], sweeps.grid(learning_rate=[1e-5, 0.01])
    return sweeps.sweep(recipe, (x, x**2), hyper=hyper, seeds=3, epochs=20, batch_size=8, key=jax.random.key(0))
