"""How the textbook and other libraries say it, and how it is said here: data, which ``test_dialects.py`` executes.

``python tests/dialects.py`` writes ``jaxmlp/optimizers/DIALECTS.md`` anew.
"""

import dataclasses
from pathlib import Path

import numpy as np

TABLE = Path(__file__).parent.parent / "jaxmlp" / "optimizers" / "DIALECTS.md"
STEPS = 100
START = {"w": [[0.5, 0.1, -4.0]], "b": [1.0, -2.0, 3.0]}
GRADIENT = "theta * (1, 20, 0.1) + sin(3 theta), for w and for b"


def gradient(theta, xp=np):
    """The gradient of an elongated bowl with a ripple, so that no two steps are alike; ``xp`` is NumPy or jax.numpy."""
    return theta * xp.broadcast_to(xp.asarray([1.0, 20.0, 0.1]), theta.shape) + xp.sin(3 * theta)


@dataclasses.dataclass(frozen=True)
class Dialect:
    """One thing said twice.

    Attributes:
        library: a key of ``LIBRARIES``.
        topic: what is said, unlike all other topics of the library.
        theirs: code as a user of the library writes it; ``LIBRARIES`` says what it evaluates to.
        ours: code that evaluates to a gradient transform which walks the same path.
        note: what surprises.
    """

    library: str
    topic: str
    theirs: str
    ours: str
    note: str = ""


LIBRARIES = {
    "textbook": (
        "One step of an iteration, in the notation of Géron's *Hands-On Machine Learning* (the equations' numbers are "
        "those of its first edition): `g` is the gradient, `t` = 1, 2, ... the step, `w` the weights in `theta`, "
        "without the biases; `m`, `s` and `v` begin at 0."
    ),
    "Keras": (
        "Keras 3, run on JAX. A pair is a layer and the optimizer that trains it. Weight decay acts on biases as well, "
        "unless `exclude_from_weight_decay` is called. `keras.optimizers.Muon` is not here: it takes its norm in 32 "
        "bits whatever the parameters are, and no one rate translates its scale of a layer, "
        "`rms_rate * sqrt(max(inputs, outputs))`, into ours, `sqrt(max(1, outputs / inputs))`."
    ),
    "PyTorch": (
        "`params` are all parameters, so weight decay acts on biases as well. `torch.optim.Muon` is not here: it "
        "computes in bfloat16, which leaves two digits to compare."
    ),
    "scikit-learn": (
        "Trained with batches of 4 rows. The optimizers stand inside of `MLPRegressor` and `MLPClassifier`, whose "
        "default is a penalty of `alpha=0.0001`."
    ),
}

FALLING = "lambda t: 0.02 * 0.96 ** t.astype(float)"
KERAS_FALLING = "keras.optimizers.schedules.ExponentialDecay(0.02, 1, 0.96)"
# Keras and scikit-learn fold both of Adam's corrections into the rate and add eps beside the root of v itself.
EPS_HAT = "eps=lambda t: 0.3 / (1 - 0.95 ** (t + 1).astype(float)) ** 0.5"

TEXTBOOK = (
    Dialect(
        "textbook",
        "momentum",
        "m = 0.8 * m - 0.02 * g(theta); theta = theta + m",
        "optimizers.momentum(0.02, momentum=0.8)",
        "equation 11-4; the rate inside the velocity is the same path while it is constant",
    ),
    Dialect(
        "textbook",
        "momentum with a schedule",
        "eta = 0.02 * 0.96 ** (t - 1); m = 0.8 * m - eta * g(theta); theta = theta + m",
        f"optax.chain(optimizers.sgd({FALLING}), optimizers.scale_by_momentum(0.8))",
        "equation 11-4; the rate stands inside the velocity, and so before it in the chain",
    ),
    Dialect(
        "textbook",
        "Nesterov",
        "m = 0.8 * m - 0.02 * g(theta + 0.8 * m); theta = theta + m; phi = theta + 0.8 * m",
        "optimizers.nesterov(0.02, momentum=0.8)",
        "equation 11-5; our parameters are the point phi at which the gradient is taken",
    ),
    Dialect(
        "textbook",
        "Nesterov with a schedule",
        "eta = 0.02 * 0.96 ** (t - 1); m = 0.8 * m - eta * g(theta + 0.8 * m); "
        "theta = theta + m; phi = theta + 0.8 * m",
        f"optax.chain(optimizers.sgd({FALLING}), optimizers.scale_by_nesterov(0.8))",
        "equation 11-5; our parameters are phi",
    ),
    Dialect(
        "textbook",
        "AdaGrad",
        "s = s + g(theta) ** 2; theta = theta - 0.5 * g(theta) / sqrt(s + 0.1)",
        "optimizers.adagrad(0.5, initial_accumulator_value=0.0, eps_root=0.1)",
        "equation 11-6; s begins at 0, and epsilon, 1e-10, is inside the root",
    ),
    Dialect(
        "textbook",
        "RMSProp",
        "s = 0.8 * s + (1 - 0.8) * g(theta) ** 2; theta = theta - 0.02 * g(theta) / sqrt(s + 0.1)",
        "optimizers.rmsprop(0.02, decay=0.8, eps_root=0.1)",
        "equation 11-7; epsilon is inside the root",
    ),
    Dialect(
        "textbook",
        "Adam",
        "m = 0.7 * m - (1 - 0.7) * g(theta); s = 0.95 * s + (1 - 0.95) * g(theta) ** 2; "
        "m_hat = m / (1 - 0.7**t); s_hat = s / (1 - 0.95**t); theta = theta + 0.02 * m_hat / sqrt(s_hat + 0.1)",
        "optimizers.adam(0.02, b1=0.7, b2=0.95, eps=0.0, eps_root=0.1)",
        "equation 11-8; epsilon, 1e-7, is inside the root, and m has the sign of the step",
    ),
    Dialect(
        "textbook",
        "weight decay",
        "m = 0.7 * m + (1 - 0.7) * g(theta); v = 0.95 * v + (1 - 0.95) * g(theta) ** 2; "
        "m_hat = m / (1 - 0.7**t); v_hat = v / (1 - 0.95**t); eta = 0.96 ** (t - 1); "
        "theta = theta - eta * (0.02 * m_hat / (sqrt(v_hat) + 0.3) + 0.01 * theta)",
        f"optimizers.adamw({FALLING}, b1=0.7, b2=0.95, eps=0.3, weight_decay=0.01 / 0.02, mask=masks.everything)",
        "Loshchilov and Hutter 2019, algorithm 2; only the schedule multiplies the decay, so divide it by the rate",
    ),
    Dialect(
        "textbook",
        "L2 penalty",
        "theta = theta - 0.02 * (g(theta) + 0.3 * w)",
        "optax.chain(regularizers.l2(0.3), optimizers.sgd(0.02))",
        "equation 4-8, the gradient of `0.3 / 2 * sum(w**2)`",
    ),
    Dialect(
        "textbook",
        "L1 penalty",
        "theta = theta - 0.02 * (g(theta) + 0.3 * sign(w))",
        "optax.chain(regularizers.l1(0.3), optimizers.sgd(0.02))",
        "equation 4-11, with sign(0) = 0",
    ),
    Dialect(
        "textbook",
        "elastic net",
        "r = 0.4; theta = theta - 0.02 * (g(theta) + r * 0.3 * sign(w) + (1 - r) * 0.3 * w)",
        "optax.chain(regularizers.elastic_net(0.4 * 0.3, (1 - 0.4) * 0.3), optimizers.sgd(0.02))",
        "equation 4-12",
    ),
)

KERAS = (
    Dialect(
        "Keras",
        "momentum",
        "keras.optimizers.SGD(0.02, momentum=0.8)",
        "optimizers.momentum(0.02, momentum=0.8)",
    ),
    Dialect(
        "Keras",
        "momentum with a schedule",
        f"keras.optimizers.SGD({KERAS_FALLING}, momentum=0.8)",
        f"optax.chain(optimizers.sgd({FALLING}), optimizers.scale_by_momentum(0.8))",
        "the rate stands inside the velocity",
    ),
    Dialect(
        "Keras",
        "Nesterov",
        "keras.optimizers.SGD(0.02, momentum=0.8, nesterov=True)",
        "optimizers.nesterov(0.02, momentum=0.8)",
    ),
    Dialect(
        "Keras",
        "Nesterov with a schedule",
        f"keras.optimizers.SGD({KERAS_FALLING}, momentum=0.8, nesterov=True)",
        f"optax.chain(optimizers.sgd({FALLING}), optimizers.scale_by_nesterov(0.8))",
        "the rate stands inside the velocity",
    ),
    Dialect(
        "Keras",
        "AdaGrad",
        "keras.optimizers.Adagrad(0.5, initial_accumulator_value=0.3, epsilon=0.1)",
        "optimizers.adagrad(0.5, initial_accumulator_value=0.3, eps_root=0.1)",
    ),
    Dialect(
        "Keras",
        "AdaDelta",
        "keras.optimizers.Adadelta(0.05, rho=0.7, epsilon=0.1)",
        "optimizers.adadelta(0.05, rho=0.7, eps=0.1)",
        "Keras's default rate is 0.001, ours that of the paper, 1",
    ),
    Dialect(
        "Keras",
        "RMSProp",
        "keras.optimizers.RMSprop(0.02, rho=0.8, epsilon=0.1)",
        "optimizers.rmsprop(0.02, decay=0.8, eps_root=0.1)",
    ),
    Dialect(
        "Keras",
        "RMSProp, centred",
        "keras.optimizers.RMSprop(0.02, rho=0.8, epsilon=0.1, centered=True)",
        "optimizers.rmsprop(0.02, decay=0.8, eps_root=0.1, centered=True)",
    ),
    Dialect(
        "Keras",
        "RMSProp with momentum",
        "keras.optimizers.RMSprop(0.02, rho=0.8, momentum=0.6, epsilon=0.1)",
        "optimizers.rmsprop(0.02, decay=0.8, momentum=0.6, eps_root=0.1)",
    ),
    Dialect(
        "Keras",
        "RMSProp with momentum and a schedule",
        f"keras.optimizers.RMSprop({KERAS_FALLING}, rho=0.8, momentum=0.6, epsilon=0.1)",
        f"optax.chain(optimizers.scale_by_rmsprop(decay=0.8, eps_root=0.1), optimizers.sgd({FALLING}), "
        "optimizers.scale_by_momentum(0.6))",
        "the rate stands inside the velocity",
    ),
    Dialect(
        "Keras",
        "Adam",
        "keras.optimizers.Adam(0.02, beta_1=0.7, beta_2=0.95, epsilon=0.3)",
        f"optax.inject_hyperparams(optimizers.adam)(0.02, b1=0.7, b2=0.95, {EPS_HAT})",
        "epsilon stands beside the root of the uncorrected v",
    ),
    Dialect(
        "Keras",
        "AMSGrad",
        "keras.optimizers.Adam(0.02, beta_1=0.7, beta_2=0.95, epsilon=0.3, amsgrad=True)",
        "optax.inject_hyperparams(optimizers.amsgrad, static_args='maximum_of')"
        f"(0.02, b1=0.7, b2=0.95, {EPS_HAT}, maximum_of='raw')",
        "epsilon as in Adam",
    ),
    Dialect(
        "Keras",
        "AdaMax",
        "keras.optimizers.Adamax(0.02, beta_1=0.7, beta_2=0.95, epsilon=0.3)",
        "optimizers.adamax(0.02, b1=0.7, b2=0.95, eps=0.0, eps_outside=0.3)",
    ),
    Dialect(
        "Keras",
        "NAdam",
        "keras.optimizers.Nadam(0.02, beta_1=0.7, beta_2=0.95, epsilon=0.3)",
        "optimizers.nadam(0.02, b1=0.7, b2=0.95, eps=0.3, "
        "mu=lambda t: 0.7 * (1 - 0.5 * 0.96 ** (t + 1).astype(float)))",
    ),
    Dialect(
        "Keras",
        "Lion",
        "keras.optimizers.Lion(0.01, beta_1=0.6, beta_2=0.8, weight_decay=0.3)",
        "optimizers.lion(0.01, b1=0.6, b2=0.8, weight_decay=0.3, mask=masks.everything)",
    ),
    Dialect(
        "Keras",
        "Schedule-Free",
        "keras.optimizers.ScheduleFreeAdamW(0.02, beta_1=0.7, beta_2=0.95, epsilon=0.3)",
        "optimizers.schedule_free_adamw(0.02, b1=0.7, b2=0.95, eps=0.3)",
        "without weight decay, which Keras applies to the average as well; at a constant rate all steps count alike",
    ),
    Dialect(
        "Keras",
        "AdamW",
        "keras.optimizers.AdamW(0.02, beta_1=0.7, beta_2=0.95, epsilon=0.3, weight_decay=0.3)",
        f"optax.chain(optax.inject_hyperparams(optimizers.scale_by_adam)(b1=0.7, b2=0.95, {EPS_HAT}), "
        "regularizers.weight_decay(0.3, mask=masks.everything), optimizers.sgd(0.02))",
        "epsilon as in Adam",
    ),
    Dialect(
        "Keras",
        "weight decay in Adam",
        f"keras.optimizers.Adam({KERAS_FALLING}, beta_1=0.7, beta_2=0.95, epsilon=0.3, weight_decay=0.3)",
        f"optax.chain(optax.inject_hyperparams(optimizers.scale_by_adam)(b1=0.7, b2=0.95, {EPS_HAT}), "
        f"regularizers.weight_decay(0.3, mask=masks.everything), optimizers.sgd({FALLING}))",
        "decoupled, and times the whole rate, as in every optimizer",
    ),
    Dialect(
        "Keras",
        "weight decay in momentum",
        "keras.optimizers.SGD(0.02, momentum=0.8, weight_decay=0.3)",
        "optax.chain(optimizers.scale_by_momentum(0.8), regularizers.weight_decay(0.3, mask=masks.everything), "
        "optimizers.sgd(0.02))",
        "not seen by the velocity",
    ),
    Dialect(
        "Keras",
        "weight decay in momentum with a schedule",
        f"keras.optimizers.SGD({KERAS_FALLING}, momentum=0.8, weight_decay=0.3)",
        f"optax.chain(optimizers.sgd({FALLING}), optimizers.scale_by_momentum(0.8), optax.scale(-1), "
        "optax.inject_hyperparams(regularizers.weight_decay, static_args='mask')"
        "(lambda t: 0.3 * 0.02 * 0.96 ** t.astype(float), mask=masks.everything), optax.scale(-1))",
        "the velocity keeps the rates of old and the decay has today's, so it follows the schedule by itself; "
        "for loops of your own, as `fit` refuses a decay behind a rate",
    ),
    Dialect(
        "Keras",
        "weight decay in RMSProp",
        "keras.optimizers.RMSprop(0.02, rho=0.8, epsilon=0.1, weight_decay=0.3)",
        "optax.chain(optimizers.scale_by_rmsprop(decay=0.8, eps_root=0.1), "
        "regularizers.weight_decay(0.3, mask=masks.everything), optimizers.sgd(0.02))",
    ),
    Dialect(
        "Keras",
        "L2 penalty",
        "keras.layers.Dense(3, kernel_regularizer=keras.regularizers.L2(0.3)), keras.optimizers.SGD(0.02)",
        "optax.chain(regularizers.l2(2 * 0.3), optimizers.sgd(0.02))",
        "Keras's penalty is `0.3 * sum(w**2)`, without 1/2",
    ),
    Dialect(
        "Keras",
        "L1 penalty",
        "keras.layers.Dense(3, kernel_regularizer=keras.regularizers.L1(0.3)), keras.optimizers.SGD(0.02)",
        "optax.chain(regularizers.l1(0.3), optimizers.sgd(0.02))",
        "at a weight of exactly 0 Keras has its backend's gradient, 1 on JAX; ours is 0",
    ),
    Dialect(
        "Keras",
        "elastic net",
        "keras.layers.Dense(3, kernel_regularizer=keras.regularizers.L1L2(0.3, 0.2)), keras.optimizers.SGD(0.02)",
        "optax.chain(regularizers.elastic_net(0.3, 2 * 0.2), optimizers.sgd(0.02))",
        "without 1/2, and at 0 as L1",
    ),
)

PYTORCH = (
    Dialect(
        "PyTorch",
        "momentum",
        "torch.optim.SGD(params, lr=0.02, momentum=0.8)",
        "optimizers.momentum(0.02, momentum=0.8)",
    ),
    Dialect(
        "PyTorch",
        "momentum with a schedule",
        "torch.optim.lr_scheduler.ExponentialLR(torch.optim.SGD(params, lr=0.02, momentum=0.8), 0.96)",
        f"optimizers.momentum({FALLING}, momentum=0.8)",
        "the rate stands outside of the velocity",
    ),
    Dialect(
        "PyTorch",
        "momentum with dampening",
        "torch.optim.SGD(params, lr=0.05, momentum=0.8, dampening=0.3)",
        "optimizers.momentum(0.05, momentum=0.8, dampening=0.3)",
        "the first gradient is not dampened",
    ),
    Dialect(
        "PyTorch",
        "Nesterov",
        "torch.optim.SGD(params, lr=0.02, momentum=0.8, nesterov=True)",
        "optimizers.nesterov(0.02, momentum=0.8)",
    ),
    Dialect(
        "PyTorch",
        "Nesterov with a schedule",
        "torch.optim.lr_scheduler.ExponentialLR(torch.optim.SGD(params, lr=0.02, momentum=0.8, nesterov=True), 0.96)",
        f"optimizers.nesterov({FALLING}, momentum=0.8)",
    ),
    Dialect(
        "PyTorch",
        "weight decay in momentum",
        "torch.optim.SGD(params, lr=0.02, momentum=0.8, weight_decay=0.3)",
        "optax.chain(regularizers.l2(0.3, mask=masks.everything), optimizers.momentum(0.02, momentum=0.8))",
        "an L2 penalty, seen by the velocity",
    ),
    Dialect(
        "PyTorch",
        "AdaGrad",
        "torch.optim.Adagrad(params, lr=0.5, initial_accumulator_value=0.3, eps=0.1)",
        "optimizers.adagrad(0.5, initial_accumulator_value=0.3, eps=0.1, eps_root=0.0)",
        "PyTorch's default for the accumulator is 0",
    ),
    Dialect(
        "PyTorch",
        "AdaGrad with a decaying rate",
        "torch.optim.Adagrad(params, lr=0.5, lr_decay=0.05, eps=0.1)",
        "optimizers.adagrad(lambda t: 0.5 / (1 + 0.05 * t.astype(float)), initial_accumulator_value=0.0, eps=0.1, "
        "eps_root=0.0)",
    ),
    Dialect(
        "PyTorch",
        "AdaDelta",
        "torch.optim.Adadelta(params, lr=0.05, rho=0.7, eps=0.1)",
        "optimizers.adadelta(0.05, rho=0.7, eps=0.1)",
    ),
    Dialect(
        "PyTorch",
        "RMSProp",
        "torch.optim.RMSprop(params, lr=0.02, alpha=0.8, eps=0.3)",
        "optimizers.rmsprop(0.02, decay=0.8, eps=0.3, eps_root=0.0)",
        "PyTorch's default decay is 0.99",
    ),
    Dialect(
        "PyTorch",
        "RMSProp, centred",
        "torch.optim.RMSprop(params, lr=0.02, alpha=0.8, eps=0.3, centered=True)",
        "optimizers.rmsprop(0.02, decay=0.8, eps=0.3, eps_root=0.0, centered=True)",
    ),
    Dialect(
        "PyTorch",
        "RMSProp with momentum",
        "torch.optim.RMSprop(params, lr=0.02, alpha=0.8, eps=0.3, momentum=0.6)",
        "optimizers.rmsprop(0.02, decay=0.8, eps=0.3, eps_root=0.0, momentum=0.6)",
    ),
    Dialect(
        "PyTorch",
        "Adam",
        "torch.optim.Adam(params, lr=0.02, betas=(0.7, 0.95), eps=0.3)",
        "optimizers.adam(0.02, b1=0.7, b2=0.95, eps=0.3)",
    ),
    Dialect(
        "PyTorch",
        "AMSGrad",
        "torch.optim.Adam(params, lr=0.02, betas=(0.7, 0.95), eps=0.3, amsgrad=True)",
        "optimizers.amsgrad(0.02, b1=0.7, b2=0.95, eps=0.3, maximum_of='raw')",
        "v is corrected after the maximum",
    ),
    Dialect(
        "PyTorch",
        "weight decay in Adam",
        "torch.optim.Adam(params, lr=0.02, betas=(0.7, 0.95), eps=0.3, weight_decay=0.3)",
        "optax.chain(regularizers.l2(0.3, mask=masks.everything), optimizers.adam(0.02, b1=0.7, b2=0.95, eps=0.3))",
        "an L2 penalty, seen by both moments",
    ),
    Dialect(
        "PyTorch",
        "AdamW",
        "torch.optim.AdamW(params, lr=0.02, betas=(0.7, 0.95), eps=0.3, weight_decay=0.3)",
        "optimizers.adamw(0.02, b1=0.7, b2=0.95, eps=0.3, weight_decay=0.3, mask=masks.everything)",
        "PyTorch's default decay is 0.01",
    ),
    Dialect(
        "PyTorch",
        "AdaMax",
        "torch.optim.Adamax(params, lr=0.02, betas=(0.7, 0.95), eps=0.3)",
        "optimizers.adamax(0.02, b1=0.7, b2=0.95, eps=0.3)",
    ),
    Dialect(
        "PyTorch",
        "NAdam",
        "torch.optim.NAdam(params, lr=0.02, betas=(0.7, 0.95), eps=0.3, momentum_decay=0.3)",
        "optimizers.nadam(0.02, b1=0.7, b2=0.95, eps=0.3, "
        "mu=lambda t: 0.7 * (1 - 0.5 * 0.96 ** (0.3 * (t + 1).astype(float))))",
        "PyTorch's default momentum_decay is 0.004",
    ),
    Dialect(
        "PyTorch",
        "NAdam with decoupled weight decay",
        "torch.optim.NAdam(params, lr=0.02, betas=(0.7, 0.95), eps=0.3, momentum_decay=0.3, weight_decay=0.3, "
        "decoupled_weight_decay=True)",
        "optax.chain(optimizers.scale_by_nadam(b1=0.7, b2=0.95, eps=0.3, "
        "mu=lambda t: 0.7 * (1 - 0.5 * 0.96 ** (0.3 * (t + 1).astype(float)))), "
        "regularizers.weight_decay(0.3, mask=masks.everything), optimizers.sgd(0.02))",
    ),
)

SCIKIT_LEARN = (
    Dialect(
        "scikit-learn",
        "momentum",
        "MLPRegressor(solver='sgd', learning_rate_init=0.05, momentum=0.8, nesterovs_momentum=False, alpha=0)",
        "optimizers.momentum(0.05, momentum=0.8)",
    ),
    Dialect(
        "scikit-learn",
        "Nesterov",
        "MLPRegressor(solver='sgd', learning_rate_init=0.05, momentum=0.8, alpha=0)",
        "optimizers.nesterov(0.05, momentum=0.8)",
    ),
    Dialect(
        "scikit-learn",
        "Nesterov with a schedule",
        "MLPRegressor(solver='sgd', learning_rate_init=0.2, learning_rate='invscaling', power_t=0.3, momentum=0.8, "
        "alpha=0)",
        "optax.chain(optimizers.sgd(lambda t: 0.2 / (4 * t + 1).astype(float) ** 0.3), "
        "optimizers.scale_by_nesterov(0.8))",
        "the rate stands inside the velocity; it falls once an epoch, by the rows seen, and here an epoch is one batch",
    ),
    Dialect(
        "scikit-learn",
        "Adam",
        "MLPRegressor(solver='adam', learning_rate_init=0.02, beta_1=0.7, beta_2=0.95, epsilon=0.3, alpha=0)",
        f"optax.inject_hyperparams(optimizers.adam)(0.02, b1=0.7, b2=0.95, {EPS_HAT})",
        "epsilon stands beside the root of the uncorrected v",
    ),
    Dialect(
        "scikit-learn",
        "L2 penalty",
        "MLPRegressor(solver='sgd', learning_rate_init=0.05, momentum=0.8, nesterovs_momentum=False, alpha=0.3)",
        "optax.chain(regularizers.l2(0.3 / 4), optimizers.momentum(0.05, momentum=0.8))",
        "alpha is divided by the rows of a batch; weights only",
    ),
    Dialect(
        "scikit-learn",
        "L2 penalty in Adam",
        "MLPRegressor(solver='adam', learning_rate_init=0.02, beta_1=0.7, beta_2=0.95, epsilon=0.3, alpha=0.3)",
        "optax.chain(regularizers.l2(0.3 / 4), "
        f"optax.inject_hyperparams(optimizers.adam)(0.02, b1=0.7, b2=0.95, {EPS_HAT}))",
        "seen by both moments",
    ),
)

DIALECTS = TEXTBOOK + KERAS + PYTORCH + SCIKIT_LEARN


def markdown():
    """Return the text of DIALECTS.md."""
    parts = [
        "# Dialects",
        "The same optimizer goes by different numbers in different places. Each line below says one thing twice, and "
        "`tests/test_dialects.py` executes both: over 100 steps in 64-bit numbers the two paths are the same. The "
        "numbers are chosen so that every term shows; they are no advice.",
        "In ours `t` is the number of steps already made, 0 at the first. The lines stand in `tests/dialects.py`; "
        "`python tests/dialects.py` writes this file anew.",
    ]
    for library, sentence in LIBRARIES.items():
        lines = [f"| topic | {library} | ours | note |", "|---|---|---|---|"]
        lines += [f"| {d.topic} | `{d.theirs}` | `{d.ours}` | {d.note} |" for d in DIALECTS if d.library == library]
        parts += [f"## {library.replace('textbook', 'Textbook')}", sentence, "\n".join(lines)]
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    TABLE.write_text(markdown(), encoding="utf-8")
