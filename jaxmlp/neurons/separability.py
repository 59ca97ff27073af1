"""Linear separability: can a single threshold unit do it, and how many mistakes may its learning cost?

separable     there are w, b with t_i (w . x_i + b) >= 1 for all rows i          a linear program
margin        max over w, b of min_i t_i (w . x_i + b) / ||w||                   a quadratic program
mistakes   <= (R / gamma)^2                                                      Novikoff (1962)

t is -1 for the label 0 and +1 for the label 1. The perceptron learns its bias as the weight of an input that is
always 1, so Novikoff's R and gamma are those of x' = (x, 1): R = max ||x'_i||, and gamma = max over unit w' of
min_i t_i w' . x'_i. All is computed on the host in float64, by SciPy, which comes with JAX.
"""

import dataclasses
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog, nnls

from jaxmlp.neurons.rows import rows_and_signs_on_host

Floats = NDArray[np.float64]
"""An array of NumPy's floats."""

OFFSET_INPUT = 10.0
"""What stands in for 1 as the offset's input while the margin is sought: a large one makes the offset cheap."""

ROUNDS = 4
"""How often the margin is improved; after three its error is rounding."""

FOUND, INFEASIBLE = 0, 2
"""How ``linprog`` says that it has an answer, and that there is none."""


@dataclasses.dataclass(frozen=True, eq=False)
class Separability:
    """Whether a hyperplane separates two classes, by which margin, and what that promises of the perceptron.

    Attributes:
        separable: whether there is one.
        margin: distance of the nearest row from the best hyperplane, in units of ``x``: 0 if there is none,
            infinite if all rows are of one class.
        w: its normal, of length 1 and shape (inputs,), pointing to the label 1; zeros if there is none to point at.
        b: its offset: ``w @ x + b`` is the signed distance of x.
        radius: R, the length of the longest row of (x, 1).
        augmented_margin: gamma, the best margin of (x, 1) from a hyperplane through the origin; 0 if there is none.
        mistake_bound: (R / gamma)^2: the perceptron's mistakes in all are no more, if it begins at 0.

    Example:
        >>> separability([[0.0], [4.0]], [0, 1]).margin
        2.0
    """

    separable: bool
    margin: float
    w: Floats
    b: float
    radius: float
    augmented_margin: float
    mistake_bound: float


def separability(x: Any, y: Any) -> Separability:
    """Tell whether a hyperplane separates the rows of the label 0 from those of the label 1, and how well.

    The verdict is checked: rows are called separable only if the hyperplane found does separate them beyond all
    rounding. Where the margin is under about 1e-10 of the extent of ``x`` the linear program may miss it.

    Args:
        x: rows, an array of shape (rows, inputs) or what ``numpy.asarray`` takes; not traced.
        y: labels 0 and 1, of shape (rows,); not traced.

    Returns:
        The verdict, the margin, and Novikoff's bound on the mistakes of ``learn_perceptron``.

    Raises:
        TypeError: not numbers, or traced.
        ValueError: shapes that do not match, other labels than 0 and 1, or numbers that are not finite.

    Example:
        >>> x = [[0, 0], [0, 1], [1, 0], [1, 1]]
        >>> found = separability(x, [0, 0, 0, 1])  # AND
        >>> print(found.separable, round(found.margin, 4), round(found.mistake_bound, 4))
        True 0.3536 51.0
        >>> print(separability(x, [0, 1, 1, 0]).separable)  # XOR
        False
    """
    x, t = rows_and_signs_on_host(x, y)
    augmented = np.column_stack([x, np.ones(len(x))])
    radius = float(np.linalg.norm(augmented, axis=1).max())
    margin, w, b = widest(x, t)
    if margin <= 0:
        return Separability(False, 0.0, np.zeros_like(w), 0.0, radius, 0.0, math.inf)
    rows = t[:, None] * augmented
    gamma = max(float((rows @ v).min() / np.linalg.norm(v)) for v in (least_norm(rows), np.append(w, b)))
    return Separability(True, margin, w, b, radius, gamma, (radius / gamma) ** 2)


def widest(x: Floats, t: Floats) -> tuple[float, Floats, float]:
    """Return the best hyperplane between two classes: its margin, normal and offset; the margin 0 if there is none.

    If one class is empty, the other lies infinitely far from one that has no normal. Every normal found is judged by
    the gap it leaves, so what a solver lacks in accuracy makes the margin smaller, never too large.
    """
    if (t == t[0]).all():
        return math.inf, np.zeros(x.shape[1]), float(t[0])
    center = (x.max(axis=0) + x.min(axis=0)) / 2
    extent = float(np.abs(x - center).max()) or 1.0
    z = (x - center) / extent
    normal = some_normal(z, t)
    if normal is None:
        return 0.0, np.zeros(x.shape[1]), 0.0
    best = gap(normal, z, t)
    foot = np.zeros(x.shape[1])
    for _ in range(ROUNDS):
        # Here the offset is a weight like the others, and its square is part of the norm. It does no harm where it is
        # 0, so each round moves the origin onto the hyperplane found before.
        augmented = np.column_stack([z - foot, np.full(len(z), OFFSET_INPUT)])
        normal = least_norm(t[:, None] * augmented)[:-1]
        found = gap(normal, z, t)
        foot = -found[2] * found[1]
        best = max(best, found, key=lambda hyperplane: hyperplane[0])
    margin, w, b = best
    return extent * margin, w, extent * b - float(w @ center)


def some_normal(z: Floats, t: Floats) -> Floats | None:
    """Return the normal of a hyperplane with t (w . z + b) >= 1 for all rows, by linear programming; None if none."""
    rows = t[:, None] * np.column_stack([z, np.ones(len(z))])
    found = linprog(np.zeros(rows.shape[1]), A_ub=-rows, b_ub=-np.ones(len(rows)), bounds=(None, None))
    if found.status not in (FOUND, INFEASIBLE):
        raise RuntimeError(f"the linear program ended without an answer ({found.message}); scale the columns of x")
    return found.x[:-1] if found.status == FOUND else None


def gap(normal: Floats, z: Floats, t: Floats) -> tuple[float, Floats, float]:
    """Return the hyperplane of that normal amid both classes: margin, normal of length 1, offset.

    The margin is 0 where it is no more than rounding.
    """
    w = normal / np.linalg.norm(normal)
    along = z @ w
    low, high = along[t > 0].min(), along[t < 0].max()
    rounding = (len(w) + 2) * np.finfo(np.float64).eps * (np.abs(z) @ np.abs(w)).max()
    margin = (low - high) / 2
    return float(margin) if margin > rounding else 0.0, w, float(-(low + high) / 2)


def least_norm(rows: Floats) -> Floats:
    """Return the direction of the shortest v with v . row >= 1 for all rows.

    Lawson and Hanson 1974, section 23.4 (LDP): the rows that hold it up are those with a positive multiplier in a
    problem of non-negative least squares. On these v . row = 1, which is solved once more, as the multipliers lose
    half of the digits where the margin is small.
    """
    rows = rows / np.linalg.norm(rows, axis=1).max()
    problem = np.vstack([rows.T, np.ones(len(rows))])
    multipliers, _ = nnls(problem, np.append(np.zeros(rows.shape[1]), 1.0))
    support = rows[multipliers > 0]
    return np.asarray(np.linalg.lstsq(support, np.ones(len(support)))[0])
