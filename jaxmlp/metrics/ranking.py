"""Metrics of ranking: whether what is true scores above what is not."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Shaped

from jaxmlp.metrics import forms
from jaxmlp.types import wide


def roc_auc(
    outputs: Float[Array, "rows outputs"],
    targets: Shaped[Array, "rows ..."],
    weight: Float[Array, "rows"] | None = None,
) -> Float[Array, ""]:
    """Area under the receiver operating characteristic (Hanley and McNeil 1982).

        auc = P(score of a yes > score of a no) + P(they are equal) / 2

    for a yes and a no drawn at random, each row as often as its weight says. The score is the raw output, or for
    two classes the difference of the two. For more classes, each against all others, the score is the log odds
    and the result the mean over the classes; for several yes-or-no outputs it is the mean over them. These are
    scikit-learn's ``multi_class="ovr"`` and ``average="macro"``.

    Args:
        outputs: raw outputs of shape (rows, outputs).
        targets: labels of shape (rows,), or zeros and ones of shape (rows, outputs).
        weight: weights of at least 0, of shape (rows,); None is 1 for all.

    Returns:
        A number from 0 to 1, one half for guessing. NaN, as in scikit-learn, if there is no yes or no no, for a
        class or an output; NaN too if a row that counts has the output NaN.

    Raises:
        ValueError: the shapes do not match.

    Example:
        >>> outputs, targets = jnp.array([[0.1], [0.4], [0.35], [0.8]]), jnp.array([[0], [0], [1], [1]])
        >>> print(roc_auc(outputs, targets), roc_auc(outputs[:2], targets[:2]))
        0.75 nan
    """
    _, truth = forms.yes_or_no(outputs, targets)
    scores = wide(outputs)
    if forms.are_labels(outputs, targets):
        if outputs.shape[1] == 2:
            scores, truth = scores[:, 1:] - scores[:, :1], truth[:, 1:]
        else:
            scores = _log_odds(scores)
    return jnp.mean(jax.vmap(_area, in_axes=(1, 1, None))(scores, truth, forms.weights(outputs, weight)))


def _log_odds(outputs: Float[Array, "rows classes"]) -> Float[Array, "rows classes"]:
    """Return log(p_k / (1 - p_k)) of the softmax p: z_k less the log of the sum of the others' exp(z_j).

    Rows so sure that the largest p rounds to 1 are told apart; of the other p, at most 1/2, 1 - p has all digits.
    """
    largest = jax.nn.one_hot(jnp.argmax(outputs, axis=1), outputs.shape[1], dtype=bool)
    but_largest = jax.nn.logsumexp(jnp.where(largest, -jnp.inf, outputs), axis=1)[:, None]
    log_p = jax.nn.log_softmax(outputs, axis=1)
    return jnp.where(largest, outputs - but_largest, log_p - jnp.log1p(-jnp.exp(log_p)))


def _area(score: Float[Array, "rows"], yes: Bool[Array, "rows"], weight: Float[Array, "rows"]) -> Float[Array, ""]:
    """The area for one answer: a sort, and for each yes the weight of the noes that stand below it."""
    order = jnp.argsort(score)
    score, yes, weight = score[order], yes[order], weight[order]
    noes = jnp.cumsum(jnp.where(yes, 0, weight))
    noes = jnp.concatenate([jnp.zeros(1, noes.dtype), noes])  # their weight among the first 0, 1, ... rows
    below = noes[jnp.searchsorted(score, score, side="left")]
    not_above = noes[jnp.searchsorted(score, score, side="right")]
    of_yes = jnp.where(yes, weight, 0)
    pairs = jnp.sum(of_yes) * noes[-1]
    area = jnp.sum(of_yes * (below + not_above) / 2) / jnp.where(pairs > 0, pairs, 1)
    known = (pairs > 0) & ~jnp.any(jnp.isnan(score) & (weight > 0))
    return jnp.where(known, area, jnp.nan)
