"""The loss as a surface: a plane through the space of the parameters, and a run's path on it (Li et al. 2018).

L(alpha, beta) = loss(theta + alpha d_1 + beta d_2)        theta: the parameters; d_1, d_2: two directions

Random directions are filter-normalized (section 4): the part of d that enters a unit gets the length of the weights
that do. Otherwise a net of large weights, or any ReLU net rescaled without changing its function, would look flatter
than it is. A run's path is seen from the side that shows most of it (section 7.2): d_1 and d_2 are the first two
principal components of its points.
"""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float
from numpy.typing import NDArray

from jaxmlp import chains, checks, training
from jaxmlp.diagnostics import problem
from jaxmlp.mlp import MLP
from jaxmlp.training import Program, Recipe, Run
from jaxmlp.types import Key, Params, Scalar

AROUND, BEYOND = 1.0, 0.2
"""How far a surface goes where that is left open: from the parameters, in multiples of their own length, and beyond a
path, in shares of its extent."""


class Surface(NamedTuple):
    """The loss on a grid.

    ``losses[i, j]`` is the loss at ``alpha[i]`` of the first direction and ``beta[j]`` of the second, pytrees of the
    parameters' structure. Where it was made for a path, ``path`` has the places of its points on the plane, of shape
    (points, 2), and ``shares`` of how much of the path's variance each direction shows; else they are None.
    """

    alpha: NDArray[Any]
    beta: NDArray[Any]
    losses: NDArray[Any]
    directions: tuple[Params, Params]
    path: NDArray[Any] | None
    shares: NDArray[Any] | None

    def __repr__(self) -> str:
        """Say in sentences what it shows."""
        there = np.where(np.isfinite(self.losses), self.losses, np.nan)
        text = f"Loss on a grid of {len(self.alpha)} x {len(self.beta)}: "
        if np.isnan(there).all():
            return f"{text}nowhere finite."
        i, j = np.unravel_index(int(np.nanargmin(there)), there.shape)
        text += f"{there[i, j]:.4g} at ({self.alpha[i]:.3g}, {self.beta[j]:.3g}) to {np.nanmax(there):.4g}"
        if self.path is None or self.shares is None:
            return f"{text}."
        return f"{text}; the plane shows {self.shares.sum():.0%} of the variance of a path of {len(self.path)} points."


def loss_surface(
    recipe: Recipe,
    params: Params,
    data: Any,
    *,
    key: Key | None = None,
    path: Sequence[Params] | None = None,
    size: int = 25,
    reach: Scalar | None = None,
) -> Surface:
    """Compute the mean loss on a plane through the parameters: a random one, or that which shows most of a path.

        d_ij <- d_ij ||theta_ij|| / ||d_ij||        random, filter-normalized: i layers, j units; biases stay
        d_1, d_2: principal components of (theta_0 - theta, ..., theta_n - theta), theta_k points of a path

    The whole grid is one compiled program, whose points are computed side by side as far as they take 128 MiB. Points
    of a path are projected onto the plane, so the loss at one is not that of the grid there, unless the plane shows all
    of the path's variance. Weights of rows count, dropout is off. For 1,000 rows and a 20-64-64-2 net a grid of 25 x 25
    has taken as long as 460 steps of training on the same rows, compile time apart.

    Args:
        recipe: the model and the loss; its optimizer is not used.
        params: the parameters theta, at the place (0, 0).
        data: (x, y) or (x, y, weight), as for ``training.fit``.
        key: a random key for two random directions; give it, or ``path``.
        path: parameters at three points or more, such as ``path_of(run)``.
        size: points of the grid in each direction, at least 2. An odd number has one at theta.
        reach: how far the grid goes, above 0: from theta in multiples of its own length, 1 unless given; or beyond the
            path in shares of its extent, 0.2 unless given.

    Returns:
        The grid, and the path on it.

    Raises:
        TypeError: no recipe, neither ``key`` nor ``path``, or both; data of the wrong kind.
        ValueError: parameters of another net, data that the loss would misread, or a path that makes no plane.

    Example:
        >>> from jaxmlp import losses, optimizers
        >>> recipe = Recipe(MLP(sizes=(1, 1)), optimizers.sgd(0.1), losses.squared_error)
        >>> x, points = jnp.array([[1.0], [-1.0]]), [(([[w]], [b]),) for w, b in [(0.0, 1.0), (2.0, 1.0), (3.0, 0.0)]]
        >>> loss_surface(recipe, points[-1], (x, 3 * x), path=points, size=5)
        Loss on a grid of 5 x 5: 0.2348 at (-0.474, 0.1) to 15.03; the plane shows 100% of the variance of a path of 3
        points.
    """
    program, params, rows = problem.checked(recipe, params, data)
    size = checks.whole_number("size", size, 2)
    if (key is None) == (path is None):
        raise TypeError(
            "key and path are both given, or neither; give key for random directions, or path for those that show one, "
            "such as path_of(run)"
        )
    if reach is not None:
        checks.in_range("reach", reach, "(0, inf)")
    if path is None:
        checks.random_key("key", key)
        directions = _random(params, key)
        far = AROUND if reach is None else float(reach)
        alpha = beta = np.linspace(-far, far, size)
        places = shares = None
    else:
        directions, places, shares = _principal(params, [problem.parameters(recipe.net, point) for point in path])
        alpha, beta = (_span(places[:, i], BEYOND if reach is None else float(reach), size) for i in (0, 1))
    grid = jnp.asarray(np.stack(np.meshgrid(alpha, beta, indexing="ij"), axis=-1).reshape(-1, 2), float)
    width = max(recipe.net.sizes) if isinstance(recipe.net, MLP) else rows.x[0].size
    # Parameters, and the widest layer's sums and activations, of each point that is computed side by side.
    of_point = 3 * problem.size_of(params) + 3 * len(rows.x) * width * rows.x.dtype.itemsize
    losses = _losses(program, problem.at_once(of_point, len(grid)), params, directions, grid, rows)
    return Surface(alpha, beta, np.asarray(losses).reshape(size, size), directions, places, shares)


def path_of(run: Run, *, points: int = 50) -> list[Params]:
    """Return a run's parameters at epochs spread evenly from the beginning to its last: its path.

    A run stores its last and its best parameters alone. It is made again from the beginning, to the bit, which takes as
    long as the run did. Where the optimizer averages, the path is that of the average.

    Args:
        run: what ``training.fit`` returns.
        points: how many at most, at least 3; no more than epochs run, and the beginning.

    Returns:
        Parameters, the first those of epoch 0.

    Raises:
        TypeError: ``run`` is no run.
        ValueError: the run has fewer than two epochs, so that it makes no plane.

    Example:
        >>> from jaxmlp import losses, optimizers
        >>> x = jnp.linspace(-1, 1, 8)[:, None]
        >>> recipe = Recipe(MLP(sizes=(1, 1)), optimizers.sgd(0.1), losses.squared_error)
        >>> run = training.fit(recipe, (x, 3 * x), epochs=9, batch_size=4, key=jax.random.key(0))
        >>> path = path_of(run, points=4)  # after 0, 3, 6 and 9 epochs
        >>> len(path), path[-1][0].w == run.params[0].w
        (4, Array([[ True]], dtype=bool))
    """
    if not isinstance(run, Run):
        raise TypeError(f"run is {run!r}; give what training.fit returned")
    points = checks.whole_number("points", points, 3)
    if run.epochs < 2:
        raise ValueError(f"run has {run.epochs} epochs, which make no plane; train for two at least")
    epochs = np.linspace(0, run.epochs, min(points, run.epochs + 1)).round().astype(int)
    program, inputs, params, _ = run.origin
    state, path = training.compiled_start(program, inputs, params), []
    for epoch in epochs.tolist():
        state = training.compiled_advance(run.origin)(program, inputs, state, epoch)
        # Copies: the next advance writes over the state.
        path.append(jax.tree.map(jnp.copy, chains.evaluation_params(state.opt_state, state.params)))
    return path


@functools.partial(jax.jit, static_argnums=(0, 1))
def _losses(
    program: Program, at_once: int, params: Params, directions: Any, grid: Array, rows: Any
) -> Float[Array, "points"]:
    recipe: Any = program.recipe

    def at(place: Array) -> Array:
        moved = jax.tree.map(
            lambda p, *along: p + sum(place[i].astype(p.dtype) * d for i, d in enumerate(along)), params, *directions
        )
        return training.evaluate(recipe, moved, rows)["loss"]

    return lax.map(at, grid, batch_size=at_once)


def _random(params: Params, key: Any) -> tuple[Params, Params]:
    """Return two random directions whose parts are as long as the weights that enter each unit."""
    leaves, structure = jax.tree.flatten(params)

    def direction(key: Any) -> Params:
        drawn = [_like(leaf, jax.random.fold_in(key, i)) for i, leaf in enumerate(leaves)]
        return jax.tree.unflatten(structure, drawn)

    return direction(jax.random.fold_in(key, 0)), direction(jax.random.fold_in(key, 1))


def _like(weights: Array, key: Any) -> Array:
    """Return random weights of the same length for each unit; biases, and what else is one number a unit, stay."""
    if weights.ndim < 2:
        return jnp.zeros_like(weights)
    drawn = jax.random.normal(key, weights.shape, weights.dtype)
    axes = tuple(range(weights.ndim - 1))
    lengths, wanted = (jnp.sqrt(jnp.sum(jnp.square(w), axis=axes, keepdims=True)) for w in (drawn, weights))
    return drawn * (wanted / lengths)


def _principal(params: Params, path: Sequence[Params]) -> tuple[tuple[Params, Params], NDArray[Any], NDArray[Any]]:
    """Return the first two principal components of a path, its places on their plane, and their shares of variance."""
    if len(path) < 3:
        raise ValueError(f"path has {len(path)} points, and a plane needs 3 that are in no line; give more epochs")
    center, unravel = ravel_pytree(params)
    points = np.stack([np.asarray(ravel_pytree(point)[0], np.float64) for point in path]) - np.asarray(
        center, np.float64
    )
    _, sizes, components = np.linalg.svd(points - points.mean(axis=0), full_matrices=False)
    if len(sizes) < 2 or sizes[1] <= np.finfo(center.dtype).eps * sizes[0]:
        raise ValueError("path lies in a line, and a plane needs 3 points that do not; give others")
    # Either sign is right; that whose largest number is above 0 is the same on all machines.
    components = (
        components[:2] * np.sign([component[np.abs(component).argmax()] for component in components[:2]])[:, None]
    )
    first, second = (unravel(jnp.asarray(component, center.dtype)) for component in components)
    return (first, second), points @ components.T, np.square(sizes[:2]) / np.sum(np.square(sizes))


def _span(places: NDArray[Any], beyond: float, size: int) -> NDArray[Any]:
    """Return a grid's places along one direction: those of the path and of the parameters, and some way beyond."""
    low, high = min(places.min(), 0.0), max(places.max(), 0.0)
    more = beyond * (high - low)
    return np.linspace(low - more, high + more, size)
