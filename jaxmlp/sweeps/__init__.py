"""Sweeps: many runs at once, and what they come to.

In reading order: ``settings`` says what is tried, ``folds`` which rows train, ``members`` runs many runs as one program
on all cores, ``judging`` and ``picture`` lay out what they come to, ``result`` is what comes out and ``layout`` puts it
together, ``saving`` keeps it, and ``sweep`` is the call that a person makes; ``cross_validation``, ``nested``,
``halving`` and ``range_test`` are built on it, ``ensembles`` takes members together, and ``patience`` replays stopping
rules.

In the examples of their methods, ``runs`` and ``validated`` are those of ``sweep`` and ``cross_validate``.
"""

from jaxmlp.sweeps.cross_validation import CrossValidation, cross_validate
from jaxmlp.sweeps.ensembles import select_ensemble
from jaxmlp.sweeps.halving import Halving, Rung, halving
from jaxmlp.sweeps.nested import Nested, nested
from jaxmlp.sweeps.patience import patience_table
from jaxmlp.sweeps.range_test import RangeTest, lr_range_test
from jaxmlp.sweeps.result import Best, Sweep
from jaxmlp.sweeps.settings import choice, grid, log_uniform, sample, uniform
from jaxmlp.sweeps.sweep import sweep

__all__ = [
    "Best",
    "CrossValidation",
    "Halving",
    "Nested",
    "RangeTest",
    "Rung",
    "Sweep",
    "choice",
    "cross_validate",
    "grid",
    "halving",
    "log_uniform",
    "lr_range_test",
    "nested",
    "patience_table",
    "sample",
    "select_ensemble",
    "sweep",
    "uniform",
]
