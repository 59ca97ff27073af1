"""Faults of one character or one word, and the tests that must notice them.

    python tests/mutants.py            # all, a few minutes
    python tests/mutants.py adam l1    # those whose file or fault names one of these words

Each fault is put into a copy of the project, and the tests named beside it are run there. One that they do not
notice is reported, and the command fails.
"""

import concurrent.futures
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
OPTIMIZERS = "tests/test_optimizers.py"
CONTRACTS = "tests/test_contracts.py"
REGULARIZERS = "tests/test_regularizers.py"
WATCH = "tests/test_watch.py -k "


class Mutant(NamedTuple):
    """A fault: in a file one text becomes another. The text stands there once."""

    file: str
    text: str
    fault: str
    tests: str


def in_optimizer(name: str, text: str, fault: str, tests: str | None = None) -> Mutant:
    """A fault in an optimizer's file, noticed by its trajectories unless said otherwise."""
    return Mutant(f"optimizers/{name}.py", text, fault, tests or f"{OPTIMIZERS} -k hundred and {name}")


def in_regularizers(name: str, text: str, fault: str, words: str) -> Mutant:
    """A fault in one of the regularizers' files."""
    return Mutant(f"regularizers/{name}.py", text, fault, f"{REGULARIZERS} -k {words}")


def in_loss(name: str, text: str, fault: str, words: str) -> Mutant:
    """A fault in one of the losses' files."""
    return Mutant(f"losses/{name}.py", text, fault, f"tests/test_losses.py -k {words}")


def in_metric(name: str, text: str, fault: str, words: str) -> Mutant:
    """A fault in one of the metrics' files."""
    return Mutant(f"metrics/{name}.py", text, fault, f"tests/test_metrics.py -k {words}")


def in_model(name: str, text: str, fault: str, tests: str) -> Mutant:
    """A fault in one of the files that make up a net."""
    return Mutant(f"{name}.py", text, fault, f"tests/test_{tests.replace(' -k', '.py -k')}")


def in_fingerprint(text: str, fault: str) -> Mutant:
    """A fault in what tells equal programs."""
    return Mutant("training/fingerprint.py", text, fault, "tests/test_training.py -k written_out")


def in_watch(text: str, fault: str, words: str) -> Mutant:
    """A fault in what measures how training is doing."""
    return Mutant("training/watch.py", text, fault, WATCH + words)


def in_sweeps(name: str, text: str, fault: str, words: str) -> Mutant:
    """A fault in one of the sweeps' files."""
    return Mutant(f"sweeps/{name}.py", text, fault, f"tests/test_sweeps.py -k {words}")


def in_folds(name: str, text: str, fault: str, words: str) -> Mutant:
    """A fault in how rows are cut into folds, and in what comes of them."""
    return Mutant(f"sweeps/{name}.py", text, fault, f"tests/test_cross_validation.py -k {words}")


def in_plots(name: str, text: str, fault: str, words: str) -> Mutant:
    """A fault in one of the pictures' files."""
    return Mutant(f"plots/{name}.py", text, fault, f"tests/test_plots.py -k {words}")


def in_diagnostics(name: str, text: str, fault: str, words: str) -> Mutant:
    """A fault in what looks inside a net."""
    return Mutant(f"diagnostics/{name}.py", text, fault, f"tests/test_diagnostics.py -k {words}")


def in_kernel(text: str, fault: str, tests: str) -> Mutant:
    """A fault in what makes one kernel of a loop."""
    return Mutant("training/kernel.py", text, fault, f"tests/test_kernel.py -k {tests}")


def in_mesh(name: str, text: str, fault: str, words: str) -> Mutant:
    """A fault where devices are arranged, or rows and weights are laid out on them."""
    return Mutant(f"devices/{name}.py", text, fault, f"tests/test_mesh.py -k {words}")


def in_devices(name: str, text: str, fault: str, words: str) -> Mutant:
    """A fault in the report on devices, or in what a run is said to take."""
    return Mutant(f"devices/{name}.py", text, fault, f"tests/test_devices.py -k {words}")


def in_lowering(file: str, text: str, fault: str, words: str) -> Mutant:
    """A fault that some platform would mind."""
    return Mutant(file, text, fault, f"tests/test_lowering.py -k {words}")


def in_order(text: str, fault: str, words: str) -> Mutant:
    """A fault in the order of batches."""
    return Mutant("data/order.py", text, fault, f"tests/test_order.py -k {words}")


MUTANTS = [
    # -- optimizers --
    in_optimizer("sgd", "like(-eta,", "like(eta,"),
    in_optimizer("sgd", "SGDState(optax.safe_increment(state.count),", "SGDState(state.count,"),
    in_optimizer("momentum", "like(momentum, m) * m +", "like(momentum, m) * m -"),
    in_optimizer("momentum", "state.count == 0", "state.count == 1"),
    in_optimizer("momentum", "1.0, 1 - dampening", "1.0, 1 + dampening"),
    in_optimizer("nesterov", "like(momentum, v) * v).astype", "v).astype"),
    in_optimizer("nesterov", "jax.tree.map(ahead, updates, v)", "jax.tree.map(ahead, updates, state.v)"),
    in_optimizer("adagrad", "s + g.astype(s.dtype) ** 2", "s + g.astype(s.dtype)"),
    in_optimizer("adagrad", "jnp.sqrt(s + like(eps_root, s)) + like(eps, s)", "jnp.sqrt(s + like(eps_root, s) + like(eps, s))"),
    in_optimizer("adagrad", "accumulator(p, initial_accumulator_value)", "accumulator(p, 0.0)"),
    in_optimizer("adagrad", "jnp.where(root > 0, root, 1)", "root", f"{OPTIMIZERS} -k always_0"),
    in_optimizer("adadelta", "jnp.sqrt(d + like(eps, d))", "jnp.sqrt(d)"),
    in_optimizer("adadelta", "jax.tree.map(step, updates, s, state.d)", "jax.tree.map(step, updates, state.s, state.d)"),
    in_optimizer("adadelta", "jax.tree.map(average, state.d, u)", "jax.tree.map(average, state.d, updates)"),
    in_optimizer("rmsprop", "jnp.maximum(s - a**2, 0)", "jnp.maximum(s - a, 0)"),
    in_optimizer("rmsprop", "jnp.maximum(s - a**2, 0)", "(s - a**2)", f"{OPTIMIZERS} -k steady"),
    in_optimizer("rmsprop", "jnp.sqrt(spread + like(eps_root, s)) + like(eps, s)", "jnp.sqrt(spread + like(eps, s)) + like(eps_root, s)"),
    in_optimizer("rmsprop", "optax.chain(scale, scale_by_momentum(momentum), sgd(learning_rate))", "optax.chain(scale, sgd(learning_rate), scale_by_momentum(momentum))"),
    in_optimizer("adam", "m_hat = m / like(1 - b1**t, m)", "m_hat = m"),
    in_optimizer("adam", "v_hat = v / like(1 - b2**t, v)", "v_hat = v"),
    in_optimizer("adam", "jnp.sqrt(v_hat + like(eps_root, v)) + like(eps, v)", "jnp.sqrt(v_hat + like(eps, v)) + like(eps_root, v)"),
    in_optimizer("adam", "t = count.astype(float)", "t = state.count.astype(float)"),
    in_optimizer("adam", "like(1 - b2, v) * g", "like(1 - b1, v) * g"),
    in_optimizer("amsgrad", "jnp.maximum(w,", "jnp.minimum(w,"),
    in_optimizer("amsgrad", 'if maximum_of == "corrected"', 'if maximum_of != "corrected"'),
    in_optimizer("amsgrad", "jnp.sqrt(w / like(after, w) +", "jnp.sqrt(w +"),
    in_optimizer("adamax", "jnp.maximum(like(b2, u) * u,", "jnp.maximum(u,"),
    in_optimizer("adamax", "jnp.abs(g.astype(u.dtype)) + like(eps, u)", "jnp.abs(g.astype(u.dtype))"),
    in_optimizer("adamax", "size = u + like(eps_outside, u)", "size = u"),
    in_optimizer("nadam", "like(mu_next, m) * m", "like(mu_now, m) * m"),
    in_optimizer("nadam", "like(1 - product_next, m)", "like(1 - product, m)"),
    in_optimizer("nadam", "like(1 - mu_now, m) * g", "like(mu_now, m) * g"),
    in_optimizer("adamw", "optax.chain(direction, decay_weights(weight_decay, mask=mask), sgd(learning_rate))", "optax.chain(decay_weights(weight_decay, mask=mask), direction, sgd(learning_rate))"),
    in_optimizer("lion", "jnp.sign(like(b1, m) * m", "jnp.sign(like(b2, m) * m"),
    in_optimizer("lion", "jax.tree.map(direction, updates, state.m), LionState(m=jax.tree.map(moment, state.m, updates))", "jax.tree.map(direction, updates, jax.tree.map(moment, state.m, updates)), LionState(m=jax.tree.map(moment, state.m, updates))"),
    in_optimizer("muon", "outputs / inputs) ** 0.5", "inputs / outputs) ** 0.5", f"{OPTIMIZERS} -k muon_equals"),
    in_optimizer("muon", "a, b, c = 3.4445, -4.7750", "a, b, c = 3.4445, -4.7570", f"{OPTIMIZERS} -k muon_equals"),
    in_optimizer("muon", "return x.T if tall else x", "return x", f"{OPTIMIZERS} -k muon_equals"),
    in_optimizer("schedule_free", "like(b1, x) * x + like(1 - b1, x) * z", "like(1 - b1, x) * x + like(b1, x) * z"),
    in_optimizer("schedule_free", "jnp.maximum(state.largest_rate,", "jnp.minimum(state.largest_rate,"),
    in_optimizer("schedule_free", "jax.tree.map(average, state.x, z)", "jax.tree.map(average, state.x, state.z)"),
    in_optimizer("sam", "return p + like(share, p)", "return p - like(share, p)"),
    in_optimizer("sam", "rho / jnp.where(length > 0, length, 1)", "rho"),
    in_optimizer("sam", "jnp.where(length > 0, length, 1)", "length", f"{CONTRACTS} -k zero_gradient and sam"),
    # -- regularizers --
    in_regularizers("penalties", "like(strength, w) * jnp.sign(w), mask", "like(strength, w) * w, mask", "l1"),
    in_regularizers("penalties", "like(strength, w) * jnp.sign(w), mask", "like(strength, w) * jnp.where(w >= 0, 1.0, -1.0), mask", "l1"),
    in_regularizers("penalties", "lambda w: like(strength, w) * w, mask", "lambda w: 2 * like(strength, w) * w, mask", "l2 or ridge"),
    in_regularizers("penalties", "floats(g) + gradient(", "floats(g) - gradient(", "l1 or l2"),
    in_regularizers("penalties", "return u + like(strength, u) * w", "return u - like(strength, u) * w", "weight_decay or decay"),
    in_regularizers("constraints", "jnp.abs(w) - like(eta, w) * like(strength, w)", "jnp.abs(w) - like(strength, w)", "proximal"),
    in_regularizers("constraints", "jnp.sign(w) * jnp.maximum(", "jnp.maximum(", "proximal"),
    in_regularizers("constraints", "(like(limit, w) / jnp.where(norm > 0, norm, 1))", "like(limit, w)", "max_norm"),
    in_regularizers("constraints", "axis=tuple(range(w.ndim - 1))", "axis=tuple(range(1, w.ndim))", "norm"),
    in_regularizers("constraints", "return w / jnp.where(norm > 0, norm, 1)", "return w / norm", "unit_norm"),
    in_regularizers("constraints", "jnp.maximum(w, 0), mask", "jnp.abs(w), mask", "non_negative"),
    in_regularizers("constraints", "(project(moved, state.count) - wide(w))", "(project(moved, state.count))", "norm or non_negative"),
    in_regularizers("clipping", "jnp.clip(g, -like(limit, g), like(limit, g))", "jnp.clip(g, 0, like(limit, g))", "clip"),
    in_regularizers("clipping", "(length > limit)", "(length < limit)", "clip"),
    in_regularizers("clipping", "jnp.maximum(length, like(eps, length))", "length", "clip"),
    in_regularizers("noise", "kept = jax.random.bernoulli(key, keep, a.shape)", "kept = jax.random.bernoulli(key, 1 - keep, a.shape)", "alpha"),
    in_regularizers("noise", "jnp.where(jax.random.bernoulli(key, keep, a.shape), a / like(keep, a), 0)", "jnp.where(jax.random.bernoulli(key, keep, a.shape), a, 0)", "dropout"),
    in_regularizers("noise", "jnp.where(jax.random.bernoulli(key, keep, a.shape), a / like(keep, a), 0)", "jnp.where(jax.random.bernoulli(key, 1 - keep, a.shape), a / like(keep, a), 0)", "dropout"),
    in_regularizers("noise", "- like((1 - keep) * SATURATED, a)", "+ like((1 - keep) * SATURATED, a)", "alpha"),
    in_regularizers("noise", "jnp.sqrt(variance / (1 + ", "(variance / (1 + ", "gradient_noise"),
    in_regularizers("noise", "jax.random.fold_in(key, i)", "key", "gradient_noise"),
    in_regularizers("noise", "p=batch.weight", "p=None", "mixup"),
    in_regularizers("noise", "s * a + (1 - s) * a[partner]", "s * a + s * a[partner]", "mixup"),
    in_regularizers("averaging", "total = jnp.where(begun, self.total, 1)", "total = jnp.ones(())", "ema or average"),
    in_regularizers("averaging", "theta = p.astype(m.dtype) + u.astype(m.dtype)", "theta = p.astype(m.dtype)", "ema or average"),
    # -- masks, schedules, chains, and where the run is evaluated --
    Mutant("masks.py", "jnp.ndim(p) >= 2", "jnp.ndim(p) > 2", "tests/test_masks.py"),
    Mutant("masks.py", "return chosen if selected else otherwise", "return otherwise if selected else chosen", "tests/test_masks.py"),
    Mutant("masks.py", "places[1:-1]", "places[1:]", "tests/test_masks.py"),
    Mutant("schedules.py", "for digit in (1, 3)", "for digit in (1, 2)", "tests/test_schedules.py"),
    Mutant("schedules.py", "jnp.log2(1 + 15 * share)", "jnp.log2(1 + 16 * share)", "tests/test_schedules.py"),
    Mutant("schedules.py", "(share - flat) / (1 - flat)", "(share - flat) / flat", "tests/test_schedules.py -k flat"),
    Mutant("schedules.py", "margin = rtol * jnp.abs(state.best) + atol", "margin = rtol * state.best + atol", "tests/test_schedules.py"),
    Mutant("schedules.py", "falls = waited >= patience", "falls = waited > patience", "tests/test_schedules.py"),
    Mutant("chains.py", "later.value < Stage.CONSTRAINT.value", "later.value > Stage.CONSTRAINT.value", "tests/test_chains.py"),
    Mutant("training/program.py", "    params = chains.evaluation_params(state.opt_state, state.params)", "    params = state.params", f"{REGULARIZERS} -k fit"),
    Mutant("training/run.py", "params=chains.evaluation_params(state.opt_state, state.params)", "params=state.params", f"{REGULARIZERS} -k fit"),
    # -- losses --
    in_loss("classification", "return (1 - eps) * loss + eps * of_no_class", "return loss + eps * of_no_class", "equation and smooth"),
    in_loss("classification", "- jnp.mean(logits, axis=-1)", "- jnp.max(logits, axis=-1)", "equation and smooth"),
    in_loss("classification", "y = (1 - eps) * y + eps / 2", "y = (1 - eps) * y + eps", "equation and smooth"),
    in_loss("classification", "optax.safe_softmax_cross_entropy", "optax.softmax_cross_entropy", "minus_infinity"),
    in_loss("classification", "alpha=alpha, gamma=like(gamma, logits)", "alpha=alpha", "equation and focal"),
    in_loss("classification", "alpha: Scalar | None = 0.25", "alpha: Scalar | None = 0.5", "equation and focal"),
    in_loss("margins", "jnp.where(m > 1, 0, 1 - m)", "jnp.where(m >= 1, 0, 1 - m)", "kink"),
    in_loss("margins", "jnp.where(m > 1, 0, 1 - m)", "jnp.where(m <= 1, 1 - m, 0)", "nan"),
    in_loss("margins", "jnp.where(m > 0, 0, -m)", "jnp.where(m >= 0, 0, -m)", "kink or rule"),
    in_loss("margins", "targets.astype(outputs.dtype) > 0", "targets.astype(outputs.dtype) >= 0", "equation and hinge"),
    in_loss("margins", "jnp.where(true, -jnp.inf, outputs)", "jnp.where(true, 0, outputs)", "equation and labels"),
    in_loss("margins", "outputs.shape[1] > 1 and", "outputs.shape[1] > 0 and", "broadcast"),
    in_loss("regression", "e * jnp.sign(e)", "jnp.abs(e)", "kink"),
    in_loss("regression", "delta=like(delta, outputs)", "delta=1.0", "equation and huber"),
    in_loss("regression", "jnp.where(e > 0, 1 - tau,", "jnp.where(e >= 0, 1 - tau,", "kink"),
    in_loss("regression", "jnp.where(e > 0, 1 - tau,", "jnp.where(e > 0, tau,", "equation and quantile"),
    in_loss("regression", "len(level) != outputs.shape[-1]", "len(level) > outputs.shape[-1]", "levels"),
    in_loss("regression", "jnp.exp(outputs) - targets", "jnp.exp(outputs) + targets", "equation and poisson"),
    in_loss("rows", "jnp.mean(values, axis=", "jnp.sum(values, axis=", "equation and error"),
    in_loss("rows", "if outputs.shape != targets.shape:", "if outputs.ndim != targets.ndim:", "broadcast"),
    in_loss("targets", "labels >= classes", "labels > classes", "Targets"),
    in_loss("targets", "abs(sums - 1) > SUM_TOLERANCE).any()", "sums - 1 > SUM_TOLERANCE).any()", "Targets"),
    in_loss("targets", "SUM_TOLERANCE = 0.01", "SUM_TOLERANCE = 0.001", "Targets"),
    in_loss("targets", "(targets < 0) | (targets > 1)", "(targets < 0) | (targets > 2)", "Targets"),
    in_loss("targets", "_refuse_where(targets < 0, name", "_refuse_where(targets < -1, name", "Targets"),
    in_loss("targets", "(targets != no) & (targets != 1)", "(targets < no) | (targets > 1)", "Targets"),
    in_loss("targets", "if seen.ndim == 1 and outputs > 1:", "if seen.ndim == 1:", "Targets"),
    Mutant("types.py", "while isinstance(function, functools.partial):", "while isinstance(function, int):", "tests/test_losses.py -k Targets"),
    in_loss("targets", "jax.eval_shape(loss,", "jax.eval_shape(base(loss),", "hyperparameters"),
    # -- metrics --
    in_metric("forms", "return outputs > 0, _is_yes(targets)", "return outputs >= 0, _is_yes(targets)", "yes_or_no"),
    in_metric("forms", "targets.astype(float) > 0.5", "targets.astype(float) >= 0.5", "yes_or_no"),
    in_metric("forms", "outputs.shape[1] < 2", "outputs.shape[1] < 1", "shapes"),
    in_metric("answers", "[None, :] >= label)", "[None, :] > label)", "first"),
    in_metric("answers", "[None, :] >= label)", "[None, :] <= label)", "first"),
    in_metric("answers", "ahead = jnp.sum(~behind, axis=1)", "ahead = classes - jnp.sum(outputs <= of_label, axis=1)", "first or nan"),
    in_metric("answers", "(ahead < k)", "(ahead <= k)", "top_k"),
    in_metric("answers", "k: int = 5", "k: int = 4", "first"),
    in_metric("answers", "(tp + fn > 0).astype", "(tp + fn >= 0).astype", "occur"),
    in_metric("answers", "_averaged(tp, tp + fp, ", "_averaged(tp, tp + tp, ", "precision"),
    in_metric("answers", "(answers & truth, answers & ~truth, ~answers & truth)", "(answers & truth, ~answers & truth, answers & ~truth)", "precision"),
    in_metric("answers", "_averaged(2 * tp, 2 * tp + fp + fn,", "_averaged(2 * tp, tp + fp + fn,", "f1"),
    in_metric("answers", "tp + fp + fn > 0 if exclusive", "tp + fp + fn >= 0 if exclusive", "occur"),
    in_metric("answers", "else jnp.ones(tp.shape, bool)", "else tp + fp + fn > 0", "occur"),
    in_metric("answers", "answers[:, 1:], truth[:, 1:]", "answers[:, :1], truth[:, :1]", "precision"),
    in_metric("answers", "_ratio(jnp.sum(part), jnp.sum(whole))", "jnp.mean(_ratio(part, whole))", "precision"),
    in_metric("answers", "at[labels, jnp.argmax(outputs, axis=-1)]", "at[jnp.argmax(outputs, axis=-1), labels]", "confusion"),
    in_metric("probabilities", "scale = 1 / 2 if outputs.shape[1] == 2 else 1", "scale = 1", "brier"),
    in_metric("probabilities", "jnp.ceil(confidence * bins).astype(int) - 1", "jnp.floor(confidence * bins).astype(int)", "bins"),
    in_metric("probabilities", "bins: int = 15", "bins: int = 14", "bins"),
    in_metric("probabilities", "jax.nn.sigmoid(jnp.abs(outputs)).ravel()", "jax.nn.sigmoid(outputs).ravel()", "output_by_output"),
    in_metric("probabilities", "forms.no_below_zero(targets)), weight)", "forms.no_below_zero(targets)), None)", "log_loss"),
    in_metric("ranking", 'side="left"', 'side="right"', "equal_scores or roc_auc"),
    in_metric("ranking", "scores[:, 1:] - scores[:, :1]", "scores[:, 1:] + scores[:, :1]", "roc_auc"),
    in_metric("ranking", "scores = _log_odds(scores)", "scores = scores", "roc_auc"),
    in_metric("ranking", "outputs - but_largest", "log_p", "sure"),
    in_metric("ranking", "log_p - jnp.log1p(-jnp.exp(log_p))", "outputs", "roc_auc"),
    in_metric("answers", "jnp.ones(labels.shape, jnp.int32)", "jnp.ones(labels.shape, dtype)", "stop"),
    in_metric("forms", "jnp.maximum(targets, 0)", "targets", "noes"),
    in_metric("ranking", "jnp.isnan(score) & (weight > 0)", "jnp.isnan(score) & (weight < 0)", "nan"),
    in_metric("ranking", "jnp.where(known, area, jnp.nan)", "area", "defined"),
    in_metric("errors", "jnp.mean(jnp.sqrt(_mean", "jnp.sqrt(jnp.mean(_mean", "errors"),
    in_metric("errors", "y, outputs = y - y_0, outputs - y_0", "y, outputs = y, outputs", "r2"),
    in_metric("errors", "y[jnp.argmax(w)][None, :]", "y[-1][None, :]", "r2"),
    in_metric("errors", "jnp.sum(w > 0) < 2", "jnp.sum(w > 0) < 1", "r2 or defined"),
    in_metric("errors", "jnp.sum(w > 0) < 2", "jnp.sum(w > 0) < 3", "r2"),
    in_metric("errors", "jnp.where(unexplained == 0, 1, 0)", "jnp.where(unexplained == 0, 1, -1)", "r2"),
    # -- neurons --
    Mutant("neurons/mcculloch_pitts.py", "excitation >= self.threshold", "excitation > self.threshold", "tests/test_neurons.py -k truth or veto"),
    Mutant("neurons/mcculloch_pitts.py", "& ~inhibited", "& inhibited", "tests/test_neurons.py -k truth or veto"),
    Mutant("neurons/gates.py", "inhibitory=tuple(range(inputs)), threshold=0", "inhibitory=tuple(range(inputs)), threshold=1", "tests/test_neurons.py -k truth"),
    Mutant("neurons/gates.py", "output=or_gate(inputs)", "output=and_gate(inputs)", "tests/test_neurons.py -k truth"),
    Mutant("neurons/threshold_unit.py", "sums - jnp", "sums + jnp", "tests/test_neurons.py -k threshold_unit"),
    Mutant("neurons/perceptron.py", "+ b) > 0)", "+ b) >= 0)", "tests/test_neurons.py -k numpy or boundary"),
    Mutant("neurons/perceptron.py", "w + step * x, b + step", "w + step * x, b", "tests/test_neurons.py -k numpy or scikit"),
    Mutant("neurons/perceptron.py", "like(learning_rate, x) * t, 0)", "like(learning_rate, x), 0)", "tests/test_neurons.py -k numpy or scikit"),
    Mutant("neurons/epochs.py", "& ~run.converged", "", "tests/test_neurons.py -k numpy"),
    Mutant("neurons/epochs.py", "run.path, unit)", "run.path, run.unit)", "tests/test_neurons.py -k numpy"),
    Mutant("neurons/epochs.py", "converged=mistakes == 0", "converged=mistakes == 1", "tests/test_neurons.py -k numpy"),
    Mutant("neurons/rows.py", "> 0, 1, -1)", "> 0, 1, 0)", "tests/test_neurons.py -k numpy"),
    Mutant("neurons/rows.py", "x.astype(floats(w).dtype)", "x.astype(w.dtype)", "tests/test_neurons.py -k whole_numbers"),
    Mutant("neurons/rows.py", "x[order], y[order]", "x[order], y", "tests/test_neurons.py -k numpy"),
    Mutant("neurons/averaged_perceptron.py", "unit, mistake = correct(1.0, unit, row)\n    return unit, (unit,", "old = unit\n    unit, mistake = correct(1.0, unit, row)\n    return unit, (old,", "tests/test_neurons.py -k averag"),
    Mutant("neurons/multiclass_perceptron.py", "> score[rival])", ">= score[rival])", "tests/test_neurons.py -k multiclass"),
    Mutant("neurons/multiclass_perceptron.py", "is_y - jax", "is_y + jax", "tests/test_neurons.py -k multiclass"),
    Mutant("neurons/multiclass_perceptron.py", "is_y == 1, -jnp.inf", "is_y == 0, -jnp.inf", "tests/test_neurons.py -k multiclass"),
    Mutant("neurons/pocket.py", "run == contest.pocket_run + 1", "run == contest.pocket_run", "tests/test_neurons.py -k pocket"),
    Mutant("neurons/pocket.py", "right > contest.pocket_right", "right >= contest.pocket_right", "tests/test_neurons.py -k pocket"),
    Mutant("neurons/pocket.py", "contest.pocket_right < rows", "contest.pocket_right <= rows", "tests/test_neurons.py -k pocket"),
    Mutant("neurons/adaline.py", "error = y - (jnp", "error = y + (jnp", "tests/test_neurons.py -k adaline"),
    Mutant("neurons/adaline.py", "jnp.mean(jnp.square(errors))", "jnp.sum(jnp.square(errors))", "tests/test_neurons.py -k adaline"),
    Mutant("neurons/separability.py", "(radius / gamma) ** 2", "radius / gamma", "tests/test_neurons.py -k separab or margin or bound"),
    Mutant("neurons/separability.py", "margin = (low - high) / 2", "margin = low - high", "tests/test_neurons.py -k separab or margin"),
    Mutant("neurons/separability.py", "ROUNDS = 4", "ROUNDS = 0", "tests/test_neurons.py -k separab or margin"),
    Mutant("neurons/separability.py", "rows[multipliers > 0]", "rows[multipliers >= 0]", "tests/test_neurons.py -k separab or margin"),
    # -- activations, initializers, normalization --
    in_model("activations/named", "atol=1e-6, equal_nan=True", "atol=1e-6", "activations -k pass_whatever"),
    in_model("activations/named", "jnp.shape(together) != (2, 3)", "jnp.ndim(together) != 2", "activations -k element_wise"),
    in_model("activations/named", "entry.reshape(1, 1)) for", "z).ravel()[0] for", "activations -k element_wise"),
    in_model("activations/named", "function not in OURS", "function in OURS", "activations -k element_wise"),
    in_model("activations/parametric", "z >= 0, z, slope * z", "z > 0, z, slope * z", "activations -k parametric"),
    in_model("activations/parametric", "slopes * like(self.slope, slopes)", "slopes", "activations -k parametric"),
    in_model("activations/parametric", "slope: Scalar = 0.25", "slope: Scalar = 0.3", "activations -k parametric"),
    in_model("initializers/fixed", "dtype, -1, 1)", "dtype, 0, 1)", "initializers -k uniform"),
    in_model("initializers/fixed", "initializers.normal(1.0)", "initializers.normal(0.1)", "initializers -k variance"),
    in_model("initializers/scaled", "variance_scaling(1.0, mode", "variance_scaling(1.1, mode", "initializers -k variance"),
    in_model("initializers/drawing", "(like(scale, w) * w)", "w", "initializers -k number"),
    in_model("initializers/drawing", "wide(jnp.zeros((), dtype)).dtype)", "dtype)", "initializers -k half"),
    in_model("initializers/choice", "return 1 / jnp.sqrt(", "return jnp.sqrt(", "initializers -k gain"),
    in_model("initializers/choice", "np.exp(-(z**2) / 2)", "np.exp(-(z**2))", "initializers -k gain"),
    in_model("initializers/choice", "functools.partial(he_normal, gain=gain(known))", "he_normal", "initializers -k choice"),
    in_model("initializers/choice", "functools.partial(glorot_uniform, gain=gain(known))", "glorot_uniform", "initializers -k fifty"),
    in_model("initializers/choice", "        return lecun_normal\n", "        return he_normal\n", "initializers -k fifty"),
    in_model("normalization", "wide(z) - jnp.mean(wide(z), axis=-1)[..., None]", "wide(z)", "normalization -k equations"),
    in_model("normalization", "jnp.square(z), axis=-1", "jnp.square(z), axis=-2", "normalization -k itself"),
    in_model("normalization", "+ like(eps, z))", ")", "normalization -k equations or equal_sums"),
    in_model("normalization", "* normalized + _per_unit(params.shift, z)", "* normalized", "normalization -k equations"),
    in_model("normalization", "_to_unit_scale(wide(z), self.eps)", "_to_unit_scale(z, self.eps)", "normalization -k dtype"),
    # -- MLP --
    in_model("mlp/net", "len(self.residual_layers) ** 0.5", "len(self.residual_layers)", "mlp -k residual"),
    in_model("mlp/net", "self.initializer is None and i in", "i in", "mlp -k residual"),
    in_model("mlp/net", "w * inputs**0.5", "w * inputs", "mlp -k ntk"),
    in_model("mlp/net", "z / self.sizes[i] ** 0.5", "z / self.sizes[i + 1] ** 0.5", "mlp -k ntk or tangent"),
    in_model("mlp/net", "z = z + sums if i + 1 in", "z = a + sums if i + 1 in", "mlp -k pass_by"),
    in_model("mlp/net", "z + sums if i + 1 in", "z + sums if i in", "mlp -k pass_by"),
    in_model("mlp/net", "hidden[i] == hidden[i - 1]", "hidden[i] <= hidden[i - 1]", "mlp -k residual"),
    in_model("mlp/net", "for i in range(1, len(hidden))", "for i in range(1, len(hidden) - 1)", "mlp -k residual"),
    in_model("mlp/net", "precision=self.precision", "precision=None", "mlp -k precision"),
    in_model("mlp/net", "preferred_element_type=result", "preferred_element_type=dtype", "mlp -k compute_dtype"),
    in_model("mlp/net", "z = jnp.matmul(a.astype(dtype), w,", "z = jnp.matmul(a.astype(result), layer.w,", "mlp -k compute_dtype"),
    in_model("mlp/net", "base(self.hidden_activations[i]) is selu", "base(self.hidden_activations[0]) is selu", "mlp -k saturated"),
    in_model("mlp/net", "entering = self._normalization.apply(layer.normalization, z)", "entering = z", "forward -k flax"),
    in_model("mlp/net", "itertools.accumulate(sizes.values())", "sizes.values()", "mlp -k heads"),
    in_model("mlp/net", "return dict(zip(sizes, parts", "return dict(zip(sorted(sizes), parts", "mlp -k heads"),
    in_model("mlp/arguments", "if total != outputs", "if total > outputs", "mlp -k description"),
    in_model("mlp/arguments", "params=tuple(params) if by_name else layers", "params=layers", "mlp -k another"),
    in_model("mlp/arguments", "list(map(jnp.asarray, leaves))", "leaves", "mlp -k plain_tuples"),
    in_model("mlp/net", "getattr(w, \"shape\", None) != (inputs, outputs)", "len(getattr(w, \"shape\", ())) != 2", "initializers -k something_else"),
    in_model("activations/modern", "jax.nn.gelu(wide(z), approximate=True)", "jax.nn.gelu(z, approximate=True)", "activations -k half_precision"),
    in_model("checks/arguments", "np.asarray(value).item()", "value", "mlp -k array_is"),
    in_model("mlp/arguments", "if given and not layers", "if given and layers is None", "mlp -k description"),
    in_model("mlp/table", "2 * inputs * outputs + outputs", "2 * inputs * outputs", "mlp -k flops"),
    # -- fingerprints --
    in_fingerprint("(function.__defaults__, function.__kwdefaults__,", "(function.__kwdefaults__,"),
    in_fingerprint("(function.__defaults__, function.__kwdefaults__,", "(function.__defaults__,"),
    in_fingerprint("function.__code__, cells,", "cells,"),
    in_fingerprint("function.__code__, cells,", "function.__code__,"),
    in_fingerprint("vars(function), named)", "vars(function))"),
    in_fingerprint("yield from _globals_of(constant, there_are)", "continue"),
    in_fingerprint("contents.dtype.str, contents.shape,", "contents.shape,"),
    in_fingerprint("hashlib.sha256(contents.tobytes()).digest()", "0"),
    in_fingerprint("(thing.func, thing.args, dict(thing.keywords))", "(thing.func, thing.args)"),
    # -- one kernel, the losses it needs, logs --
    in_kernel("of_b, of_a).T", "of_b, of_a)", "equals_numpy"),
    in_kernel("return outer_products(terms - rest, rest, total)", "return outer_products(0, rest, total)", "equals_numpy"),
    in_kernel("[product(b, a, of_b, of_a) if turn", "[product(a, b, of_a, of_b) if turn", "every_side"),
    in_kernel('used.get(variable) == ["transpose"]', '"transpose" in used.get(variable, [])', "used_twice"),
    in_kernel("return flops <= MOST_FLOPS", "return flops < MOST_FLOPS", "only_what_is_small"),
    in_kernel("aval.size > MOST_NUMBERS", "aval.size >= MOST_NUMBERS", "only_what_is_small"),
    in_kernel('!= "key<fry>"', '== "key<fry>"', "only_what_is_known"),
    in_kernel("[:3] <= NEWEST or", "[:3] <= (99,) or", "not_tested_yet"),
    in_kernel("cpu=as_one_kernel, default=plain", "default=as_one_kernel", "other_platforms"),
    in_kernel("0 if is_batched else None", "0", "mapped"),
    Mutant("losses/classification.py", "(jax.nn.sigmoid(z) - y) * dz - z * dy", "(jax.nn.sigmoid(z) + y) * dz - z * dy", "tests/test_losses.py"),
    Mutant("losses/classification.py", "jnp.maximum(z, 0) - y * z", "jnp.minimum(z, 0) - y * z", "tests/test_losses.py"),
    Mutant("losses/classification.py", "jnp.max(logits, axis=-1, keepdims=True)", "jnp.min(logits, axis=-1, keepdims=True)", "tests/test_losses.py -k huge"),
    Mutant("training/fit.py", "kept = jax.tree.map(jnp.copy, state)", "kept = state", "tests/test_training.py -k callback"),
    Mutant("training/run.py", "STOPPED_EARLY: StopReason.STOPPED_EARLY,", "STOPPED_EARLY: StopReason.DIVERGED,", "tests/test_training.py -k callback"),
    Mutant("training/saving.py", "entries[..., :epochs], more", "entries[:epochs], [(0, 0)]", "tests/test_saving.py -k memory"),
    Mutant("training/saving.py", "if int(state.epoch) > epochs", "if int(state.epoch) >= epochs", "tests/test_saving.py -k earlier"),
    Mutant("training/saving.py", 'shape=(about["epochs"],)', "shape=(program.epochs,)", "tests/test_saving.py -k folder"),
    Mutant("training/run.py", "at_most=epoch", "at_most=None", "tests/test_saving.py -k earlier"),
    Mutant("training/fit.py", "        if writer is not None:\n            saving.write(writer, state, about)\n", "", "tests/test_saving.py -k folder"),
    Mutant("training/fit.py", "if writer.preempted():", "if False:", "tests/test_checkpoints.py -k taken"),
    Mutant("checkpoints/checksums.py", "mix(words ^ _mix(place", "mix(words ^ (place", "tests/test_checkpoints.py -k format"),
    Mutant("checkpoints/checksums.py", "place * jnp.uint32(size)", "place", "tests/test_checkpoints.py -k order"),
    Mutant("checkpoints/contents.py", 'if checksum != described[name]["checksum"]:', "if False:", "tests/test_checkpoints.py -k takes_no_notice"),
    Mutant("checkpoints/contents.py", 'if said.pop("sha256") != _digest(said):', 'if not said.pop("sha256"):', "tests/test_checkpoints.py -k changed_description"),
    Mutant("checkpoints/contents.py", "if leaf.sharding is None:", "if True:", "tests/test_checkpoints.py -k eight"),
    Mutant("checkpoints/contents.py", "if math.isfinite(value)", "if True", "tests/test_checkpoints.py -k best_few"),
    Mutant("checkpoints/writer.py", "self._step += self._step == self._written", "self._step += 0", "tests/test_checkpoints.py -k last_few"),
    Mutant("checkpoints/writer.py", "cleanup_tmp_directories=True", "cleanup_tmp_directories=False", "tests/test_checkpoints.py -k kill"),
    Mutant("checkpoints/writer.py", "last[-self._folder.keep :]", "last[-self._folder.keep - 1 :]", "tests/test_checkpoints.py -k last_few"),
    Mutant("checkpoints/writer.py", '-1.0 if self._folder.mode == "max"', '-1.0 if self._folder.mode == "min"', "tests/test_checkpoints.py -k best_few"),
    Mutant("checkpoints/writer.py", " or checkpoint.step not in self._epochs", "", "tests/test_checkpoints.py -k left_alone"),
    Mutant("checkpoints/folder.py", "if found and not described:", "if False:", "tests/test_checkpoints.py -k somebody"),
    Mutant("checkpoints/folder.py", 'said["epoch"] > at_most', 'said["epoch"] >= at_most', "tests/test_checkpoints.py -k last_few"),
    Mutant("archive/file.py", "os.fsync(file.fileno())", "pass", "tests/test_archive.py -k full"),
    Mutant("archive/file.py", "            temporary.unlink()", "            pass", "tests/test_archive.py -k full"),
    Mutant("archive/file.py", "os.replace(temporary, path)", "shutil.copy(temporary, path)", "tests/test_archive.py"),
    Mutant("archive/file.py", 'if _digest(array) != description["sha256"]:', "if False:", "tests/test_archive.py"),
    Mutant("archive/series.py", "if n <= number][:-keep]", "if n <= number][:-keep - 1]", "tests/test_archive.py -k few"),
    Mutant("early_stopping.py", "better | (seen <= self.ignore)", "better | (seen < self.ignore)", "tests/test_early_stopping.py"),
    Mutant("early_stopping.py", "jnp.fmin(cost, state.reference) if", "jnp.fmax(cost, state.reference) if", "tests/test_early_stopping.py"),
    Mutant("early_stopping.py", "return self.cost(value) <=", "return self.cost(value) <", "tests/test_early_stopping.py"),
    Mutant("early_stopping.py", "whole_number(\"n_iter_no_change\", n_iter_no_change, 1) + 1", "whole_number(\"n_iter_no_change\", n_iter_no_change, 1)", "tests/test_early_stopping.py"),
    Mutant("training/program.py", "cost = rule.cost(value) if rule else value", "cost = value", "tests/test_training.py -k any_metric"),
    Mutant("training/inputs.py", "of_labels[places] * weight", "of_labels[places]", "tests/test_training.py -k classes"),
    Mutant("training/replay.py", "rows = np.asarray(order)[int(state.step) * batch_size :]", "rows = np.asarray(order)[int(state.step) :]", "tests/test_replay.py"),
    Mutant("training/replay.py", "epoch * steps + step)", "epoch * steps)", "tests/test_replay.py"),
    Mutant("logs.py", "file.truncate()", "file.flush()", "tests/test_logs.py"),
    in_fingerprint("(_of(key, seen), _of(value, seen))", "(_of(value, seen),)"),
    in_fingerprint("return found is function", "return True"),
    in_fingerprint('return "met", seen[id(thing)]', "pass"),
    Mutant("training/state.py", "dataclasses.fields(self)))", "dataclasses.fields(self)[:3]))", "tests/test_training.py -k written_out"),
    # -- the order of batches --
    in_order("ROUNDS = 12", "ROUNDS = 4", "shuffle or all_orders"),
    in_order("ROUNDS = 12", "ROUNDS = 8", "shuffle and 16"),
    in_order(" * jnp.uint32(0x85EBCA6B)", "", "shuffle and 16"),
    in_order(" * jnp.uint32(0xC2B2AE35)", "", "murmur3"),
    in_order("return i, i >= n", "return i, i < 0", "five_thousand"),
    in_order("% a) % a", "% a) % b", "five_thousand"),
    in_order("% a) % a", "% b) % a", "network"),
    in_order("% b) % b", "% a) % b", "network"),
    in_order("if a % 2 and b % 2", "if False", "odd_and_even"),
    in_order("a = max(4,", "a = max(1,", "all_orders"),
    in_order("b = max(4,", "b = max(1,", "all_orders"),
    in_order("isqrt(n - 1) + 1", "isqrt(n - 1) + 9", "few_besides"),
    in_order("round_keys[r + 1]", "round_keys[r]", "all_orders"),
    in_order("random.bits(key,", "random.bits(jax.random.key(0),", "next_epoch"),
    in_order("checks.whole_number(\"n\", n, 1)", "n", "sentence"),
    # -- what is watched, and when --
    in_watch("dtype=np.int64) * n // batch_size", "dtype=np.int64)", "spread"),
    in_watch("SATURATED = 0.05", "SATURATED = 0.06", "twentieth"),
    in_watch("(-4.0, 4.0, 81)", "(-1.0, 1.0, 81)", "twentieth"),
    in_watch("slope < SATURATED * steepest", "slope < SATURATED", "twentieth"),
    in_watch("axis=0, keepdims=True)", "axis=None, keepdims=True)", "learned"),
    in_watch("(batch.weight > 0)[:, None]", "(batch.weight >= 0)[:, None]", "weight_0"),
    in_watch("weighted_mean(saturated, batch.weight)", "jnp.mean(saturated)", "weight_0"),
    in_watch("~jnp.any(works", "~jnp.all(works", "relu"),
    in_watch('("weighted sums", "normalized sums")', '("weighted sums", "activations")', "normalization"),
    in_watch("of_params[layer] + float", "of_params[\"\"] + float", "would_make_next"),
    in_watch("of_params[layer] + float(np.finfo(norm.dtype).tiny)", "of_params[layer]", "are_0"),
    in_watch("_norms(plan.gradient).items()", "_norms(plan.updates).items()", "epoch"),
    in_watch("chains.learning_rates(plan.opt_state)", "chains.learning_rates(opt_state)", "come_next"),
    in_watch("-(-STEPS_APART // steps)", "STEPS_APART // steps", "longer"),
    in_watch("int(part) if i % 2 else part", "part", "layer_10"),
    Mutant("training/program.py", "(state.epoch + 1) % every == 0", "state.epoch % every == 0", WATCH + "multiples"),
    Mutant("training/program.py", "due = epoch % apart == 0", "due = epoch % apart == 1", WATCH + "multiples"),
    Mutant("training/program.py", "for name in sorted(measured)", "for name in measured", WATCH + "would_make_next"),
    Mutant("training/program.py", "due |= epoch == 1", "due |= epoch == 2", WATCH + "two_hundred"),
    Mutant("training/program.py", "epoch * steps_per_epoch(program, inputs))", "epoch)", WATCH + "would_make_next"),
    Mutant("training/run.py", "*watch.in_order(history)", "*filter(watch.is_measured, history)", WATCH + "order"),
    Mutant("training/saving.py", '"evaluate_every": program.evaluate_every', '"evaluate_every": 1', WATCH + "refused"),
    Mutant("training/saving.py", "copied.history.get(name, none), epochs) for name in names", "entries) for name, entries in copied.history.items()", WATCH + "later"),
    Mutant("training/state.py", "if every > epochs", "if every >= epochs", WATCH + "as_many"),
    Mutant("early_stopping.py", "seen = state.seen + epochs", "seen = state.seen + 1", WATCH + "patience"),
    Mutant("chains.py", "return [scale * rate for rate in rates], 1", "return rates, scale", WATCH + "last_step"),
    Mutant("chains.py", "rates, math.prod(scale for _, scale in parts)", "rates, 1", WATCH + "last_step"),
    Mutant("chains.py", "jax.tree.leaves(state, is_leaf=lambda node: node is not state)))\n    rates", "state))\n    rates", WATCH + "last_step"),
    in_optimizer("sgd", "jnp.array(eta, float, copy=True)", "state.learning_rate", WATCH + "last_step"),
    in_optimizer("sgd", "jnp.array(value_at(learning_rate, count), float, copy=True)", "jnp.asarray(value_at(learning_rate, count), float)", WATCH + "stay_the_user"),
    in_optimizer("sgd", "jnp.array(eta, float, copy=True)", "jnp.asarray(eta, float)", WATCH + "stay_the_user"),
    in_optimizer("schedule_free", "jnp.array(eta, float, copy=True)", "state.learning_rate", WATCH + "last_step"),
    in_model("mlp/net", '"normalized sums", entering', '"normalized sums", z', "watch -k normalization"),
    Mutant("logs.py", '"" if math.isnan(v) else v', "v", "tests/test_logs.py"),
    # -- heads --
    Mutant("losses/heads.py", "coefficients.get(name, 1.0)", "coefficients.get(name, 2.0)", "tests/test_heads.py -k weighed"),
    Mutant("losses/heads.py", "functools.reduce(jnp.add, weighed)", "weighed[0]", "tests/test_heads.py -k weighed"),
    Mutant("losses/heads.py", "tuple(sorted(losses.items()))", "tuple(losses.items())", "tests/test_heads.py -k alike"),
    Mutant("losses/heads.py", "set(parts) != set(names)", "not set(parts) <= set(names)", "tests/test_heads.py -k fit"),
    Mutant("training/evaluation.py", "base(loss) is softmax_cross_entropy", "loss is softmax_cross_entropy", "tests/test_heads.py -k misread"),
    Mutant("training/evaluation.py", "OF_ANSWERS if base(metric) in OF_ERRORS else OF_NUMBERS", "OF_NUMBERS", "tests/test_heads.py -k otherwise"),
    Mutant("training/evaluation.py", "OF_ANSWERS if base(metric) in OF_ERRORS else OF_NUMBERS", "OF_ANSWERS", "tests/test_heads.py -k otherwise"),
    Mutant("losses/heads.py", "if part.shape != outputs[name].shape[:1]", "if part.ndim > 1", "tests/test_heads.py -k taken_a_mean"),
    Mutant("training/evaluation.py", "and y.ndim == 2", "and y.ndim == 1", "tests/test_heads.py -k misread"),
    Mutant("training/evaluation.py", "if base(metric) not in", "if metric not in", "tests/test_heads.py -k misread"),
    Mutant("training/evaluation.py", "begin, 1)\n\n        return", "0, 1)\n\n        return", "tests/test_heads.py -k slice"),
    Mutant("regularizers/noise.py", "jax.tree.map(mixed, batch.y)", "batch.y", "tests/test_heads.py -k mixup"),
    in_sweeps("members", "& (before < until)", "& (before < until - 1)", "halving"),
    in_sweeps("members", "jnp.arange(len(state.stop)) < filled", "jnp.arange(len(state.stop)) < 1", "size_of_slices"),
    in_sweeps("members", "copy: RunState = devices.on_host(self.state)", "copy: RunState = self.state", "while_it_runs"),
    in_sweeps("members", "failed.set()  # what", "pass  # what", "one_worker"),
    in_folds("members", "fold.held_out.of(inputs.validation)", "fold.held_out.of(inputs.train)", "class_weights"),
    in_folds("folds", "np.arange(size) < len(part)", "np.arange(size) <= len(part)", "unequal"),
    in_folds("folds", "of_group[group] = sizes.argmin()", "of_group[group] = group % folds", "no_group"),
    in_folds("folds", "else taken.weight * self.weight", "else taken.weight", "unequal or out_of_fold"),
    in_folds("cross_validation", "np.asarray(train.x)[~mask]", "np.asarray(train.x)", "scaler_sees"),
    in_folds("cross_validation", "range(self.folds)]", "reversed(range(self.folds))]", "out_of_fold"),
    in_folds("nested", "np.flatnonzero(fold_of_row != fold)", "np.flatnonzero(fold_of_row >= 0)", "nested"),
    in_sweeps("sweep", "np.tile(np.arange(seeds), len(places))", "np.repeat(np.arange(seeds), len(places))", "setting_and_seed"),
    in_sweeps("sweep", "at = rows[0] * seeds + rows[1]", "at = np.arange(len(rows[0]))", "structure_makes"),
    in_sweeps("settings", "name != BATCH_SIZE and is_number(name)", "is_number(name)", "bad_input"),
    in_sweeps("halving", ")[: _staying(len(kept), factor)]", ")[-_staying(len(kept), factor) :]", "halving"),
    in_sweeps("halving", "max(1, last // crew.workers())", "max(1, last)", "all_cores_busy"),
    in_sweeps("halving", "members >= 2 * crew.workers() * group.at_once", "members < 0", "all_cores_busy"),
    in_sweeps("halving", "min(group.at_once, members) or 1", "group.at_once or members", "narrows"),
    in_sweeps("halving", "rungs[:] = [Rung(epoch", "rungs[1:] = [Rung(epoch", "interrupted_halving"),
    in_sweeps("halving", "- set(rungs[-1].settings)", "- set(rungs[0].settings)", "halving"),
    in_sweeps("layout", "place // seeds in dropped", "place in dropped", "halving"),
    in_sweeps("layout", "- begin, 0)[: part.filled]", "- begin, 0)", "share_wasted"),
    in_sweeps("layout", "int(ran.max()) * len", "int(ran.max() + begin) * len", "share_wasted"),
    in_sweeps("saving", '"params": training.digest(group.shared.params)', '"params": ""', "saved_sweep"),
    in_folds("saving", "(group.members.fold, group.shared.folds)", "group.members.fold", "saved_folds"),
    in_sweeps("saving", "        training.warn_of_changes(folder, was, now, stacklevel=5)\n", "", "saved_sweep"),
    Mutant("training/saving.py", "    warn_of_changes(source, about, now, stacklevel=4)\n", "", "tests/test_saving.py -k recipe"),
    in_folds("nested", 'Path(save) / f"outer_{fold}"', "Path(save)", "goes_on"),
    in_folds("nested", "            raise KeyboardInterrupt\n", "            pass\n", "goes_on"),
    in_folds("nested", "checks.same_rows(x=rows[0], **{name: array})", "pass", "bad_rows"),
    in_folds("cross_validation", "counts[rows].any()", "counts.any()", "without_weight"),
    in_sweeps("range_test", '"learning_rate" not in read_by', '"learning_rate" in read_by', "range_test"),
    Mutant("training/saving.py", "without_addresses + digest(traced.consts)", "digest(traced.consts)", "tests/test_saving.py -k recipe"),
    Mutant("training/saving.py", "without_addresses + digest(traced.consts)", "without_addresses", "tests/test_saving.py -k recipe"),
    in_sweeps("patience", "np.asarray(epochs) * every", "np.asarray(epochs)", "not_all_are_evaluated"),
    in_sweeps("patience", "jnp.fmin(best, waiting.cost(value))", "waiting.cost(value)", "each_patience"),
    in_sweeps("ensembles", "int(np.nanargmin(scores))", "int(np.nanargmax(scores))", "selected_ensemble"),
    in_sweeps("range_test", "(1 - SMOOTHING) * loss", "SMOOTHING * loss", "range_test"),
    in_sweeps("result", "sign * values, np.inf", "values, np.inf", "best_mean"),
    in_sweeps("layout", "back = np.argsort(places)", "back = np.arange(len(places))", "structure_makes"),
    in_sweeps("saving", '"hyper": training.digest((group.members.hyper, group.places))', '"hyper": ""', "saved_sweep"),
    # -- pictures --
    in_plots("curves", "seen = np.where(np.isfinite(seen), seen, np.nan)", "seen = np.where(np.isfinite(seen), seen, 0.0)", "gap or finite"),
    in_plots("curves", "there[1:-1] & ~there[:-2] & ~there[2:]", "there[1:-1] & ~there[:-2]", "gap"),
    in_plots("curves", "reached[-1] + 1 if", "reached[-1] if", "gap or several_runs"),
    in_plots("curves", "axes.axvline(last,", "axes.axvline(best_epoch,", "says_why"),
    in_plots("curves", "if best_epoch > last:", "if best_epoch > last + 1:", "bad_input"),
    in_plots("style", '{"value": "symlog", "linthresh": above, "linscale": 0.5}', '{"value": "linear"}', "stay_in or a_0_leaves"),
    in_plots("style", '"linthresh": above', '"linthresh": 10 * above', "a_0_leaves"),
    in_plots("style", "np.linspace(0, count - 1, min(count, most))", "np.linspace(0, count - 2, min(count, most))", "ridges or perceptron"),
    in_plots("style", "<= inches", ">= inches", "hides_nothing"),
    in_plots("style", '("tab:orange", "-"), ("tab:blue", (0, (6, 2)))', '("tab:gray", ":"), ("tab:blue", (0, (6, 2)))', "black_and_white"),
    in_plots("hyperparameters", "cost = -t if larger else t", "cost = t", "huge or merely"),
    in_plots("hyperparameters", "beyond = cost > best + reach", "beyond = cost > best + 2 * reach + 9", "huge"),
    in_plots("hyperparameters", "if reach == 0 or np.nanmax(cost)", "if np.nanmax(cost)", "merely"),
    in_plots("hyperparameters", "found[beyond].min() if larger else found[beyond].max()", "found[beyond].max() if larger else found[beyond].min()", "huge"),
    in_plots("hyperparameters", "bool(whole.sum() > most)", "bool(whole.sum() < most)", "counted"),
    in_plots("hyperparameters", "diverged = int((~whole).sum())", "diverged = int(whole.sum())", "counted"),
    in_plots("answers", "np.ceil(sure * bins).astype(int) - 1", "np.floor(sure * bins).astype(int)", "calibration"),
    in_plots("answers", "z**2 / (4 * count**2)", "z**2 / (4 * count)", "95"),
    in_plots("answers", "arguments.classes(y, len(p), p.shape[1]) == p.argmax(axis=1)", "arguments.classes(y, len(p), p.shape[1]) == p.argmin(axis=1)", "calibration"),
    in_plots("answers", "1 - squares.sum() / spread", "squares.sum() / spread", "diagonal"),
    in_plots("answers", "axes.plot(t, p,", "axes.plot(p, t,", "diagonal"),
    in_plots("arguments", "(seen > 0).astype(int)", "(seen >= 0).astype(int)", "boundary or calibration"),
    in_plots("arguments", "set(range(count))", "set(range(count + 1))", "bad_input"),
    in_plots("plane", "return seen - boundary", "return seen + boundary", "wrong_side"),
    in_plots("plane", 'origin="lower"', 'origin="upper"', "boundary_lies"),
    in_plots("plane", "_answers(here) != labels", "_answers(here) == labels", "wrong_side"),
    in_plots("plane", "np.delete(seen, i, axis=1).max(axis=1)", "np.delete(seen, i, axis=1).min(axis=1)", "several_classes"),
    in_plots("plane", "(w @ middle + b) * w", "(w @ middle - b) * w", "perceptron"),
    in_plots("plane", "b / np.linalg.norm(w)", "b", "perceptron"),
    in_plots("surface", "[losses.min()], losses.min() + np.geomspace", "[losses.min()], np.geomspace", "levels"),
    in_plots("surface", "seen[: lost[0] if len(lost) else None]", "seen", "paths_on"),
    in_plots("surface", "*route[-1:].T", "*route[:1].T", "paths_on"),
    in_plots("diagram", "np.abs(w[of_sign]) / largest", "np.abs(w[of_sign])", "as_thick"),
    in_plots("diagram", "w[: len(a), : len(b)]", "w[: len(a), : len(b)][::-1]", "as_thick"),
    in_plots("diagram", "if count < of:", "if count > of:", "leaves_out"),
    in_plots("diagram", "1 - 0.85 * (values - values.min()) / span", "0.15 + 0.85 * (values - values.min()) / span", "shades_its_units"),
    in_plots("functions", "SATURATED * np.abs(slope).max()", "SATURATED", "gallery_has"),
    in_plots("functions", "still = np.abs(slope) <=", "still = np.abs(slope) <", "gallery_has"),
    in_plots("weights", "np.argsort(-sizes", "np.argsort(sizes", "named_if"),
    in_plots("weights", "np.histogram(w, ends)[0] / len(w)", "np.histogram(w, len(ends) - 1)[0] / len(w)", "ridges"),
    in_plots("weights", "~np.isnan(found).all(axis=0)", "~np.isnan(found).any(axis=0)", "flow"),
    in_plots("weights", "zero, lost = found == 0, ~np.isfinite(found)", "zero, lost = found == 0, np.isnan(found)", "flow"),
    in_plots("animations", "np.asarray(route)[: step + 1]", "np.asarray(route)[: step]", "race"),
    in_plots("animations", "milliseconds[-1] += 1000", "milliseconds[0] += 1000", "gif_of_a_boundary"),
    in_plots("animations", "*grays, *INKS, *rims", "*grays, *rims", "race"),
    # -- diagnostics --
    in_diagnostics("flow", "jnp.square(delta / scale)", "jnp.square(delta) / scale / scale", "too_small"),
    in_diagnostics("backprop", "share = counts / counts.sum()", "share = counts / len(counts)", "TestBackprop and every_loss"),
    in_diagnostics("backprop", "delta @ params[i - 1].w.T", "delta @ params[i - 1].w", "TestBackprop and every_loss"),
    in_diagnostics("slopes", "lambda z, a: 1 - a * a,", "lambda z, a: 1 - a,", "TestBackprop and finite"),
    in_diagnostics("slopes", "lambda z, a: (z > 0)", "lambda z, a: (z < 0)", "every_activation"),
    in_diagnostics("worked", "_products(np.asarray(behind.delta[0]), w[k])", "_products(np.asarray(behind.delta[0]), w[0])", "lines_that_are_true"),
    in_diagnostics("worked", "else count) - TERMS", "else count)", "leaves_out"),
    in_diagnostics("flow", "jnp.square(whole - mean)", "jnp.square(whole)", "measures_signals"),
    in_diagnostics("flow", "jnp.sum(jnp.square(delta / scale), axis=1)", "jnp.mean(jnp.square(delta / scale), axis=1)", "measures_signals"),
    in_diagnostics("flow", "vanished = ~spoiled &", "vanished = ", "not_what_follows"),
    in_diagnostics("flow", "& bounded & ~dead", "& ~dead", "finds_a_net_healthy or names_a_fault"),
    in_diagnostics("flow", "after > RAISED * before", "after < RAISED * before", "names_a_fault"),
    in_diagnostics("flow", 'column("length") > 0, column("update_ratio")', 'column("length") >= 0, column("update_ratio")', "layer_of_zeros"),
    in_diagnostics("links", "_run(link, updates, of_link, params", "_run(link, gradient, of_link, params", "TestExplain"),
    in_diagnostics("links", "_norm(u), _norm(v), _cosine(v, g)", "_norm(u), _norm(v), _cosine(u, g)", "chain_within"),
    in_diagnostics("surface", "drawn * (wanted / lengths)", "drawn / lengths", "as_long_as"),
    in_diagnostics("surface", "points - points.mean(axis=0), full", "points, full", "most_of_a_path"),
    in_diagnostics("surface", "np.square(sizes[:2]) / np.sum(np.square(sizes))", "sizes[:2] / np.sum(sizes)", "most_of_a_path"),
    in_diagnostics("curvature", "float((sizes[0] / sizes[-1]) ** 2)", "float(sizes[0] / sizes[-1])", "TestConditionNumber"),
    in_diagnostics("curvature", "largest_rate=2 / largest", "largest_rate=1 / largest", "up_to_which_rate or whole_spectrum"),
    in_diagnostics("curvature", "for _ in range(2):", "for _ in range(0):", "whole_spectrum"),
    in_diagnostics("curvature", "<= rounding)) + 1", "< 0)) + 1", "many_times"),
    in_diagnostics("cost", "- 2 * layers[0].shape[0] * layers[0].shape[1]", "- layers[0].shape[0] * layers[0].shape[1]", "counted_by_hand"),
    in_diagnostics("rows", "np.argsort(-self.loss", "np.argsort(self.loss", "mislabelled"),
    in_diagnostics("rows", "jnp.sqrt(sum_of_squares(gradient))", "sum_of_squares(gradient)", "loop_over"),
    # -- devices --
    in_mesh("layout", "-(-batch_size // self.shards)", "(batch_size // self.shards)", "any_mesh"),
    in_mesh("layout", 'side="right") - 1', 'side="left") - 1', "lie_apart"),
    in_mesh("layout", "mine, jnp.zeros_like(mine))", "mine, mine)", "any_order"),
    in_mesh("layout", "shape[1] % parts == 0", "shape[1] % parts == 1", "any_mesh"),
    in_mesh("layout", "part[:batch_size]", "part[:size]", "mixing"),
    in_mesh("layout", "firsts.append(begin + k * length)", "firsts.append(begin + k)", "has_its_place"),
    in_mesh("mesh", "len(devices) // (members * model)", "len(devices) // members", "leave"),
    Mutant("training/program.py", "place < batch_size)", "place <= batch_size)", "tests/test_mesh.py -k any_mesh"),
    Mutant("training/program.py", "layout.augmented(recipe.augment, batch_size)", "recipe.augment", "tests/test_mesh.py -k mixing"),
    Mutant("training/state.py", "else self.layout.train.count", "else self.layout.train.length", "tests/test_mesh.py -k any_mesh"),
    Mutant("training/evaluation.py", "layout.in_order(getattr(layout, of), (outputs, rows.y, rows.weight))", "outputs, rows.y, rows.weight", "tests/test_mesh.py -k any_mesh"),
    Mutant("training/saving.py", "yield first, np.asarray(shard.data)[: after - first]", "yield first, np.asarray(shard.data)", "tests/test_mesh.py -k checksums"),
    Mutant("training/saving.py", "first + begin + len(some)", "begin + len(some)", "tests/test_mesh.py -k checksums"),
    Mutant("training/saving.py", "_mixed(_mixed(numbers) ^ of_rows)", "_mixed(of_rows)", "tests/test_mesh.py -k checksums"),
    Mutant("training/saving.py", "(words * odd)", "words", "tests/test_mesh.py -k checksums"),
    Mutant("training/inputs.py", "if batch_size < layout.shards:", "if batch_size < layout.shards - 1:", "tests/test_mesh.py -k suit"),
    Mutant("sweeps/members.py", "inputs._replace(layout=None))", "inputs)", "tests/test_mesh.py -k exchange_nothing"),
    Mutant("training/inputs.py", "_batch_size(batch_size, inputs.rows)", "_batch_size(batch_size, len(train.x))", "tests/test_hosts.py -k several"),
    Mutant("devices/hosts.py", "max(axis=0)", "min(axis=0)", "tests/test_hosts.py -k several"),
    in_devices("facts", "same = seen[: len(limit)] == limit", "same = seen == limit", "compares"),
    in_devices("facts", '">=" in clause and seen > limit', '">=" in clause and seen < limit', "compares"),
    in_devices("facts", 'name == "jaxlib" and not condition', 'name == "jaxlib"', "requires"),
    in_devices("facts", 'os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")', 'os.sysconf("SC_PHYS_PAGES")', "memory_of_the_machine"),
    in_devices("problems", 'elif "libtpu" in _mismatches(facts):', 'elif "libtpu" not in _mismatches(facts):', "says_what"),
    in_devices("problems", '("vfio" in file and libtpu)', '("vfio" in file)', "all_is_well"),
    in_devices("problems", "len(hosts) > 1", "len(hosts) > 0", "all_is_well"),
    in_devices("problems", ">= AMPERE", "> AMPERE", "notes"),
    in_devices("problems", "return not facts.platforms or any(", "return any(", "says_what"),
    in_devices("problems", 'if name != "libtpu" or "tpu" in _platforms(facts):', "if True:", "each_thing_once"),
    in_devices("problems", "by_itself and not as_needed", "by_itself", "notes"),
    in_devices("report", "size(min(known))", "size(sum(known))", "short_table"),
    in_devices("__main__", "return 1 if found.problems else 0", "return 0 if found.problems else 1", "exit_code"),
    in_devices("products", "tiles[name] = max(tiles[name], tile)", "tiles[name] = tile", "lie"),
    in_devices("products", "TILE = (128, 8)", "TILE = (8, 128)", "by_hand"),
    in_devices("products", 'times * equation.params["length"] if', "times if", "loops or ones_own"),
    in_devices("preflight", "shards = -(-members // devices), batch_size, 1", "shards = members // devices, batch_size, 1", "members_are"),
    in_devices("preflight", "flops=counted.flops * -(-rows // batch_size)", "flops=counted.flops * (rows // batch_size)", "last_batch"),
    in_devices("preflight", "self.total <= SHARE_OF_MEMORY * self.memory", "self.total <= self.memory", "whether_it_fits"),
    in_devices("preflight", "else memory // devices", "else memory", "have_a_share"),
    in_devices("preflight", "for name, aval in kept.items() if name not in before)", "for name, aval in kept.items())", "leave_by_hand"),
    in_devices("preflight", "(_bytes(params) + _bytes(state))", "_bytes(params)", "by_hand"),
    in_devices("preflight", "outputs * rows // at_once", "outputs", "leave_by_hand"),
    in_devices("preflight", "if empty >= WORTH_SAYING:", "if empty > 0:", "advises"),
    # -- what TPUs and GPUs are given --
    in_lowering("training/kernel.py", "cpu=as_one_kernel, default=plain", "cuda=as_one_kernel, default=plain", "one_kernel"),
    in_lowering("training/kernel.py", "loop(begin, end, step, carry), _touch(", "loop(begin, end, step, carry), jax.debug.callback(print, begin) or _touch(", "_advance"),
    in_lowering("training/program.py", "return state._replace(step=end,", "jax.debug.print('{}', loss)\n    return state._replace(step=end,", "epoch"),
    in_lowering("training/evaluation.py", "return values | {name", "jax.debug.callback(print, values['loss'])\n    return values | {name", "slices"),
    in_lowering("sweeps/members.py", "_chosen = jax.jit(take)", "_taken = jax.jit(take)\n_chosen = jax.jit(take)", "place"),
    in_lowering("normalization.py", "jnp.mean(wide(z), axis=-1)[..., None]", "jnp.mean(wide(z), axis=-1, keepdims=True)", "registry"),
    in_lowering("losses/margins.py", "return of_true - of_best_other", "return (of_true - of_best_other)[:, None]", "registry"),
    in_lowering("metrics/answers.py", "(jnp.argmax(outputs, axis=1) == targets.astype(int)).astype(wide(outputs).dtype)", "jnp.mean((jnp.argmax(outputs, axis=1) == targets.astype(int))[:, None].astype(wide(outputs).dtype), axis=1)", "whole"),
    in_lowering("metrics/ranking.py", "axis=1)[:, None]", "axis=1, keepdims=True)", "columns"),
]  # fmt: skip


def misfits() -> list[str]:
    """Return what in the table no longer fits the code."""
    counts = [(m, (ROOT / "jaxmlp" / m.file).read_text(encoding="utf-8").count(m.text)) for m in MUTANTS]
    return [f"{mutant.file} holds {mutant.text!r} {count} times" for mutant, count in counts if count != 1]


def survives(mutant: Mutant, copy: Path) -> bool:
    """Put the fault into a copy of the project, run its tests there, and take it out again."""
    path = copy / "jaxmlp" / mutant.file
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace(mutant.text, mutant.fault), encoding="utf-8")
    file, _, words = mutant.tests.partition(" -k ")
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-n", "0", "-p", "no:cacheprovider", file]
    command += ["-k", words] if words else []
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(copy)}
    try:
        run = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, check=False)
    finally:
        path.write_text(text, encoding="utf-8")
    if run.returncode not in (0, 1):  # 0: all passed; 1: some failed; else no test was run
        raise RuntimeError(f"{mutant.tests} could not be run:\n{run.stdout}{run.stderr}")
    return run.returncode == 0


def main(words: list[str], workers: int = 2) -> int:
    """Try all mutants, or those that a word names, and return the number of those that survive."""
    mutants = [m for m in MUTANTS if not words or any(word in f"{m.file} {m.text}" for word in words)]
    if misfits():
        raise ValueError("mend the table: " + "; ".join(misfits()))
    began, survivors = time.perf_counter(), []
    with tempfile.TemporaryDirectory() as folder:
        copies: queue.Queue[Path] = queue.Queue()
        for worker in range(workers):
            copy = Path(folder) / str(worker)
            for part in ("jaxmlp", "tests", "experiments"):
                shutil.copytree(ROOT / part, copy / part, ignore=shutil.ignore_patterns("__pycache__"))
            for file in ("pyproject.toml", "README.md"):
                shutil.copy(ROOT / file, copy)
            copies.put(copy)

        def attempt(mutant: Mutant) -> tuple[Mutant, bool]:
            copy = copies.get()
            try:
                return mutant, survives(mutant, copy)
            finally:
                copies.put(copy)

        with concurrent.futures.ThreadPoolExecutor(workers) as pool:
            for mutant, alive in pool.map(attempt, mutants):
                print(
                    f"{'SURVIVES' if alive else 'killed  '}  {mutant.file}: {mutant.text}  ->  {mutant.fault}",
                    flush=True,
                )
                survivors += [mutant] * alive
    print(f"{len(mutants) - len(survivors)} of {len(mutants)} killed in {time.perf_counter() - began:.0f} s")
    return len(survivors)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]) > 0)
