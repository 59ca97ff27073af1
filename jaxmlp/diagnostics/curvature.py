"""Curvature: how long a step of gradient descent may be, and how much longer the way is for that.

For a quadratic loss with the Hessian H = d^2 L / dtheta^2, L_max its largest eigenvalue and L_min its smallest above 0,
gradient descent at the rate eta multiplies the error along each eigenvector by 1 - eta L_i. So it

    diverges             where eta > 2 / L_max
    takes in the order of kappa = L_max / L_min steps, at the best rate
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from jaxmlp import checks, training
from jaxmlp.diagnostics import problem
from jaxmlp.training import Program, Recipe
from jaxmlp.types import Key, Params

OF = ("regression", "covariance")
"""The matrices whose condition number is asked for."""


def condition_number(x: Any, *, of: str = "regression") -> float:
    """Return by how much the inputs are stretched: the condition number of a matrix that they make.

        kappa = largest eigenvalue / smallest eigenvalue
        H = 2/n X^T X        "regression": the Hessian of the squared error of linear regression on x and a bias,
                             where X is x with a column of ones
        C = 1/n X^T X        "covariance": of the inputs, where X is x less its mean

    Gradient descent takes in the order of kappa steps. That of the regression falls when the inputs are centered and
    brought to one scale (``data.StandardScaler``); what is left is that they are correlated. Computed from the singular
    values of X in 64 bits, whose squares the eigenvalues are; 1,000 rows of 50 inputs have taken 2.5 ms on a CPU.

    Args:
        x: inputs of shape (rows, inputs).
        of: "regression" or "covariance".

    Returns:
        The condition number, at least 1; infinity where an input is constant or a sum of others, to rounding.

    Raises:
        TypeError: ``x`` holds no numbers.
        ValueError: ``x`` is no matrix of finite numbers, or an unknown name.

    Example:
        >>> x = np.array([[101.0], [103.0]])  # a mean of 102, and 1 to either side
        >>> print(f"{condition_number(x):.4g} {condition_number(x - 102):.4g}")
        1.083e+08 1
    """
    checks.one_of("of", of, OF)
    matrix = np.asarray(checks.array("x", x)).astype(np.float64)
    if matrix.ndim != 2:
        raise ValueError(f"x has shape {matrix.shape}; give an array of shape (rows, inputs)")
    if of == "regression":
        matrix = np.concatenate([matrix, np.ones((len(matrix), 1))], axis=1)
    else:
        matrix = matrix - matrix.mean(axis=0)
    sizes = np.linalg.svd(matrix, compute_uv=False)
    rounding = np.finfo(np.float64).eps * max(matrix.shape) * sizes[0]
    if len(sizes) < matrix.shape[1] or sizes[-1] <= rounding:
        return float("inf")
    return float((sizes[0] / sizes[-1]) ** 2)


class HessianExtremes(NamedTuple):
    """The ends of the Hessian's spectrum.

    ``largest`` and ``smallest`` are eigenvalues, in units of the loss per squared unit of the parameters, and
    ``largest_error`` and ``smallest_error`` say how far from the nearest true one each may be. ``largest_rate`` is
    2 / largest, infinite where the loss curves upwards nowhere.
    """

    largest: float
    smallest: float
    largest_error: float
    smallest_error: float
    largest_rate: float

    def __repr__(self) -> str:
        """Say in sentences what it means."""
        ends = (
            f"The Hessian's eigenvalues reach from {self.smallest:.4g} (+- {self.smallest_error:.1g}) to "
            f"{self.largest:.4g} (+- {self.largest_error:.1g})"
        )
        return f"{ends}; gradient descent is stable up to a rate of {self.largest_rate:.4g}."


def hessian_extremes(
    recipe: Recipe, params: Params, data: Any, *, steps: int = 50, key: Key | None = None
) -> HessianExtremes:
    """Compute the largest and the smallest eigenvalue of the Hessian of the mean loss, which is never made itself.

        H v = d/de gradient(theta + e v) at e = 0                          a Hessian-vector product: jvp of grad
        beta_j q_(j+1) = H q_j - alpha_j q_j - beta_(j-1) q_(j-1)          Lanczos
        H ~ Q T Q^T        T: tridiagonal, alpha_j on the diagonal and beta_j beside it

    The eigenvalues of T at both ends are soon close to those of H. Each q is made orthogonal to all before it, twice,
    which rounding would otherwise spoil. ``2 / largest`` is the largest stable rate of plain gradient descent on all
    rows; training at a rate eta by itself goes where the largest eigenvalue is about 2 / eta, the edge of stability
    (Cohen et al. 2021, section 2). ReLU's kink has no curvature here. Weights of rows count, dropout is off.

    It holds ``steps`` copies of the parameters. For 1,000 rows and a 20-64-64-2 net, 50 of them have taken as long as
    115 steps of training on the same rows, compile time apart.

    Args:
        recipe: the model and the loss; its optimizer is not used.
        params: the model's parameters.
        data: (x, y) or (x, y, weight), as for ``training.fit``: x of shape (rows, inputs). All rows are taken at once.
        steps: Hessian-vector products, a whole number of at least 1; at most as many as there are parameters are made.
        key: a random key, from which the vector to begin with is drawn; the same each time unless given.

    Returns:
        The eigenvalues, how far each may be from a true one, and the largest stable rate.

    Raises:
        TypeError: no recipe, or data of the wrong kind.
        ValueError: parameters of another net, data that the loss would misread, ``steps`` below 1, or a Hessian that is
            not finite.

    Example:
        >>> from jaxmlp import losses, optimizers
        >>> from jaxmlp.mlp import MLP
        >>> recipe = Recipe(MLP(sizes=(1, 1)), optimizers.sgd(0.1), losses.squared_error)
        >>> x = jnp.array([[-2.0], [2.0]])  # H is 2 mean(x^2) = 8 for the weight and 2 for the bias
        >>> print(f"{hessian_extremes(recipe, [([[2.0]], [0.0])], (x, 3 * x)).largest_rate:.4f}")
        0.2500
    """
    steps = checks.whole_number("steps", steps, 1)
    if key is not None:
        checks.random_key("key", key)
    program, params, rows = problem.checked(recipe, params, data)
    steps = min(steps, sum(leaf.size for leaf in jax.tree.leaves(params)))
    start = jax.random.key(0) if key is None else key
    alpha, beta = (np.asarray(part).astype(np.float64) for part in _lanczos(program, steps, params, rows, start))
    if not (np.isfinite(alpha).all() and np.isfinite(beta).all()):
        raise ValueError("params give a Hessian that is not finite; take smaller ones, or look where training left off")
    rounding = 10 * np.finfo(jnp.zeros(()).dtype).eps * max(np.abs(alpha).max(), beta.max())
    # Where beta is 0, to rounding, all is found that the first vector has a part in; what follows is noise.
    found = int(np.argmax(np.append(beta[:-1], 0.0) <= rounding)) + 1
    tridiagonal = np.diag(alpha[:found]) + np.diag(beta[: found - 1], 1) + np.diag(beta[: found - 1], -1)
    values, vectors = np.linalg.eigh(tridiagonal)
    errors = np.abs(beta[found - 1] * vectors[-1]) + rounding
    largest = float(values[-1])
    return HessianExtremes(
        largest=largest,
        smallest=float(values[0]),
        largest_error=float(errors[-1]),
        smallest_error=float(errors[0]),
        largest_rate=2 / largest if largest > 0 else float("inf"),
    )


@functools.partial(jax.jit, static_argnums=(0, 1))
def _lanczos(
    program: Program, steps: int, params: Params, rows: Any, key: Key
) -> tuple[Float[Array, "steps"], Float[Array, "steps"]]:
    """Return the diagonal of T, and the numbers beside it; the last of those is what is left over."""
    recipe: Any = program.recipe
    theta, unravel = ravel_pytree(params)
    gradient = jax.grad(lambda theta: training.evaluate(recipe, unravel(theta), rows)["loss"])
    matmul = functools.partial(jnp.matmul, precision="highest")
    q = jax.random.normal(key, theta.shape, theta.dtype)

    def turn(basis: Array, j: Array) -> tuple[Array, tuple[Array, Array]]:
        q = basis[j]
        product = jax.jvp(gradient, (theta,), (q,))[1]
        alpha, rest = jnp.vdot(q, product, precision="highest"), product
        for _ in range(2):
            rest = rest - matmul(matmul(basis, rest), basis)  # rows of basis that are still 0 take nothing away
        beta = jnp.sqrt(jnp.sum(jnp.square(rest)))
        return basis.at[j + 1].set(rest / jnp.where(beta > 0, beta, 1), mode="drop"), (alpha, beta)

    basis = jnp.zeros((steps, theta.size), theta.dtype).at[0].set(q / jnp.sqrt(jnp.sum(jnp.square(q))))
    return lax.scan(turn, basis, jnp.arange(steps))[1]
