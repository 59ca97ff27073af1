"""Losses of classification: minus the log of the probability that the net gave to the truth.

z: logits        y: targets        eps: label smoothing
"""

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, Shaped

from jaxmlp import checks
from jaxmlp.losses.rows import mean_over_outputs, refuse_other_shape
from jaxmlp.types import Scalar, like


def softmax_cross_entropy(
    logits: Float[Array, "rows classes"],
    labels: Int[Array, "rows"] | Shaped[Array, "rows classes"],
    *,
    label_smoothing: Scalar = 0.0,
) -> Float[Array, "rows"]:
    """Cross-entropy of classes that exclude each other: minus the log of the true class's probability.

        p = softmax(z)
        l = -log p_y                                                     y: a label
        l = -sum_k y_k log p_k                                           y: probabilities
        y_k <- (1 - eps) y_k + eps / classes        label smoothing (Szegedy et al. 2016, section 7)

    Keras smooths alike, but not in its loss for labels. PyTorch's CrossEntropyLoss smooths alike too, and also
    tells labels from probabilities by their shape; scikit-learn's MLPClassifier has neither.

    Args:
        logits: raw outputs z of shape (rows, classes).
        labels: whole numbers 0 ... classes - 1 of shape (rows,), or probabilities of shape (rows, classes), each
            row summing to 1.
        label_smoothing: eps, the share of the truth that is spread over all classes, in [0, 1]. Zero as a Python
            number costs nothing.

    Returns:
        Losses in nats, of shape (rows,); log(classes) for a net that knows nothing.

    Raises:
        ValueError: the shapes do not match, or labels are no whole numbers, or ``label_smoothing`` is a Python
            number outside [0, 1].

    Example:
        >>> logits = jnp.array([[0.0, 0.0], [1000.0, 0.0]])
        >>> softmax_cross_entropy(logits, jnp.array([1, 0]))
        Array([0.6931472, 0.       ], dtype=float32)
        >>> softmax_cross_entropy(logits, jnp.array([[0.5, 0.5], [0.9, 0.1]]))
        Array([  0.6931472, 100.       ], dtype=float32)
        >>> softmax_cross_entropy(logits, jnp.array([1, 0]), label_smoothing=0.2)
        Array([  0.6931472, 100.       ], dtype=float32)
    """
    checks.in_range("label_smoothing", label_smoothing, "[0, 1]")
    if logits.ndim != 2 or labels.shape not in (logits.shape[:1], logits.shape):
        raise ValueError(
            f"logits have shape {logits.shape} and labels {labels.shape}; give logits of shape (rows, classes) "
            "and labels of shape (rows,), or probabilities of the logits' shape"
        )
    if labels.ndim == 1:
        if not jnp.issubdtype(labels.dtype, jnp.integer):
            raise ValueError(f"labels have dtype {labels.dtype}; give whole numbers 0 ... classes - 1")
        is_true = (
            labels[:, None] == jnp.arange(logits.shape[1], dtype=labels.dtype)[None]
        )  # no gather, whose derivative is a slow scatter
        shifted = logits - jax.lax.stop_gradient(jnp.max(logits, axis=-1, keepdims=True))  # so that exp cannot overflow
        loss = jnp.log(jnp.sum(jnp.exp(shifted), axis=-1)) - jnp.sum(jnp.where(is_true, shifted, 0), axis=-1)
    else:
        loss = optax.safe_softmax_cross_entropy(logits, labels.astype(logits.dtype))
    if _is_off(label_smoothing):
        return loss
    eps = like(label_smoothing, logits)
    of_no_class = jax.nn.logsumexp(logits, axis=-1) - jnp.mean(logits, axis=-1)  # the loss for y_k = 1 / classes
    return (1 - eps) * loss + eps * of_no_class


def sigmoid_binary_cross_entropy(
    logits: Float[Array, "rows outputs"], targets: Shaped[Array, "rows outputs"], *, label_smoothing: Scalar = 0.0
) -> Float[Array, "rows"]:
    """Cross-entropy of yes-or-no answers, one per output; their mean is the row's loss.

        p = sigmoid(z)
        l = -mean_k( y_k log p_k + (1 - y_k) log(1 - p_k) )
        y_k <- (1 - eps) y_k + eps / 2                    label smoothing

    With several outputs a row may have several labels at once. Keras takes the mean and smooths alike;
    scikit-learn's MLPClassifier takes the sum over the outputs; PyTorch's BCEWithLogitsLoss does not smooth.

    Args:
        logits: raw outputs z of shape (rows, outputs).
        targets: 0, 1 or a probability between them, of the same shape.
        label_smoothing: eps, the share of the truth that is spread over yes and no, in [0, 1]. Zero as a Python
            number costs nothing.

    Returns:
        Losses in nats, of shape (rows,); log(2) for a net that knows nothing.

    Raises:
        ValueError: the shapes differ, or ``label_smoothing`` is a Python number outside [0, 1].

    Example:
        >>> logits, targets = jnp.array([[0.0], [1000.0]]), jnp.array([[1.0], [1.0]])
        >>> sigmoid_binary_cross_entropy(logits, targets)
        Array([0.6931472, 0.       ], dtype=float32)
        >>> sigmoid_binary_cross_entropy(logits, targets, label_smoothing=0.5)
        Array([  0.6931472, 250.       ], dtype=float32)
    """
    checks.in_range("label_smoothing", label_smoothing, "[0, 1]")
    refuse_other_shape("logits", logits, targets)
    y = targets.astype(logits.dtype)
    if not _is_off(label_smoothing):
        eps = like(label_smoothing, logits)
        y = (1 - eps) * y + eps / 2
    return mean_over_outputs(_binary_cross_entropy(logits, y))


def sigmoid_focal(
    logits: Float[Array, "rows outputs"],
    targets: Shaped[Array, "rows outputs"],
    *,
    gamma: Scalar = 2.0,
    alpha: Scalar | None = 0.25,
) -> Float[Array, "rows"]:
    """Focal loss: binary cross-entropy that turns away from what is already easy (Lin et al. 2017, equation 5).

        p_t     = sigmoid(z) where y = 1, 1 - sigmoid(z) where y = 0
        alpha_t = alpha      where y = 1, 1 - alpha      where y = 0
        l       = -mean_k( alpha_t (1 - p_t)^gamma log p_t )

    Where one class is rare, the many easy rows of the other would drown it; gamma = 0 and ``alpha=None`` is
    ``sigmoid_binary_cross_entropy``. For several classes there is one yes-or-no output for each, as in the paper.
    Between 0 and 1 a target y means p_t = y p + (1 - y) (1 - p), as in optax and Keras. Keras has the same gamma,
    but leaves alpha out unless ``apply_class_balancing``, as optax does unless it is given.

    Args:
        logits: raw outputs z of shape (rows, outputs).
        targets: 0, 1 or a probability between them, of the same shape.
        gamma: how fast an easy row fades, a scalar of at least 0.
        alpha: how much a yes weighs, a no weighing 1 - alpha, a scalar in [0, 1]; None is 1 for both.

    Returns:
        Losses in weighted nats, of shape (rows,).

    Raises:
        ValueError: the shapes differ, or a Python number lies out of its range.

    Example:
        >>> logits, targets = jnp.array([[0.0], [2.0]]), jnp.array([[1], [1]])
        >>> easy = sigmoid_focal(logits, targets, alpha=None) / sigmoid_binary_cross_entropy(logits, targets)
        >>> print(easy.round(3))  # (1 - p)^2
        [0.25  0.014]
    """
    checks.in_range("gamma", gamma, "[0, inf)")
    if alpha is not None:
        checks.in_range("alpha", alpha, "[0, 1]")
        alpha = like(alpha, logits)
    refuse_other_shape("logits", logits, targets)
    y = targets.astype(logits.dtype)
    return mean_over_outputs(optax.sigmoid_focal_loss(logits, y, alpha=alpha, gamma=like(gamma, logits)))


@jax.custom_jvp
def _binary_cross_entropy(z: Array, y: Array) -> Array:
    """Compute -y log p - (1 - y) log(1 - p) without overflow, and without loss of digits where p is near y."""
    return jnp.maximum(z, 0) - y * z + jnp.log1p(jnp.exp(-jnp.abs(z)))


@_binary_cross_entropy.defjvp
def _of_binary_cross_entropy(primals: tuple[Array, Array], tangents: tuple[Array, Array]) -> tuple[Array, Array]:
    """Return the loss, and its derivative: dl = (p - y) dz - z dy, which is one line where JAX's own is thirty."""
    (z, y), (dz, dy) = primals, tangents
    return _binary_cross_entropy(z, y), (jax.nn.sigmoid(z) - y) * dz - z * dy


def _is_off(label_smoothing: Scalar) -> bool:
    """Whether a Python number switches smoothing off, so that the program does without."""
    return isinstance(label_smoothing, float | int) and label_smoothing == 0
