"""Ensembles: which members to take together (Caruana et al. 2004, "Ensemble selection from libraries of models")."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from jaxmlp import checks
from jaxmlp.sweeps.result import Sweep


def select_ensemble(
    runs: Sweep, x: Any, y: Any, *, score: Callable[[Any, Any], Any] | None = None, size: int = 20
) -> tuple[int, ...]:
    """Choose members whose mean is good: again and again the one that helps most, which may be one already taken.

    Args:
        runs: the sweep.
        x: inputs of shape (rows, inputs) that no member was trained on, scaled as the training data were.
        y: their targets, as the loss wants them.
        score: a function of (predictions, y) to a number of which less is better, predictions being what
            ``Sweep.ensemble`` returns; unless given, the mean squared difference from y, for labels from 1 at the label
            and 0 elsewhere (the Brier score).
        size: how many are taken, at least 1; a member that is taken twice counts twice.

    Returns:
        Their places in the sweep, for ``runs.ensemble(x, members)``.

    Raises:
        ValueError: no member with finite predictions.

    Example:
        >>> import jax
        >>> from jaxmlp import losses, optimizers, sweeps, training
        >>> from jaxmlp.mlp import MLP
        >>> x = np.linspace(-1, 1, 32)[:, None]
        >>> recipe = training.Recipe(MLP((1, 16, 1)), optimizers.adam(0.01), losses.squared_error)
        >>> runs = sweeps.sweep(recipe, (x, x**2), seeds=4, epochs=20, batch_size=8, key=jax.random.key(0))
        >>> members = select_ensemble(runs, x, x**2, size=5)
        >>> error = lambda members: float(((runs.ensemble(x, members) - x**2) ** 2).mean())
        >>> len(members), error(members) <= min(error([i]) for i in range(4))
        (5, True)
    """
    size = checks.whole_number("size", size, 1)
    judge = _squared_difference if score is None else score
    everyone = range(len(runs))
    predicted = [jax.tree.map(np.asarray, runs.ensemble(x, [i])) for i in everyone]
    usable = [i for i in everyone if all(np.isfinite(part).all() for part in jax.tree.leaves(predicted[i]))]
    if not usable:
        raise ValueError("no member has finite predictions; run a sweep with smaller learning rates")
    chosen: list[int] = []
    total = jax.tree.map(np.zeros_like, predicted[usable[0]])
    for count in range(1, size + 1):
        means = [jax.tree.map(lambda a, b, n=count: (a + b) / n, total, predicted[i]) for i in usable]
        scores = [float(judge(mean, y)) for mean in means]
        best = int(np.nanargmin(scores))
        chosen.append(usable[best])
        total = jax.tree.map(np.add, total, predicted[usable[best]])
    return tuple(chosen)


def _squared_difference(predicted: Any, y: Any) -> Any:
    if isinstance(predicted, dict):
        return sum(_squared_difference(part, y[head]) for head, part in predicted.items())
    y = np.asarray(y)
    if y.ndim == 1 and predicted.shape[1] > 1:
        y = np.eye(predicted.shape[1])[y.astype(int)]
    return np.mean((predicted - y.reshape(predicted.shape)) ** 2)
