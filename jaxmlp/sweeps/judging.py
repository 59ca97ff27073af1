"""Judging: whether a metric is better small or large, and tables of what settings come to."""

from collections.abc import Sequence
from typing import Any

from jaxmlp import metrics as ours
from jaxmlp.types import base

OF_TABLE = ("mean", "std", "lowest", "highest", "epochs", "best epoch", "diverged")
LARGER_IS_BETTER = (
    ours.accuracy,
    ours.balanced_accuracy,
    ours.top_k_accuracy,
    ours.precision,
    ours.recall,
    ours.f1,
    ours.roc_auc,
    ours.r2,
)


def known_mode(metrics: Sequence[tuple[str, Any]], name: str) -> str | None:
    """Return whether one of this project's metrics is better small or large; None for others."""
    function = base(dict(metrics).get(name.partition("/")[2]))
    function = base(function.metric) if isinstance(function, ours.OfHead) else function
    if function in LARGER_IS_BETTER:
        return "max"
    return "min" if getattr(function, "__module__", "").startswith("jaxmlp.metrics") else None


def as_table(rows: list[dict[str, Any]]) -> Any:
    """Return a pandas data frame if pandas is installed, else the rows as they are."""
    try:
        import pandas
    except ImportError:
        return rows
    return pandas.DataFrame(rows)
