"""Tables of words and numbers, aligned."""

from collections.abc import Sequence
from typing import Any

import numpy as np


def aligned(rows: Sequence[Sequence[str]], words: int = 1) -> str:
    """Lay rows out in columns: the first few columns are words, flush left; the others numbers, flush right.

    Args:
        rows: the cells, the same number in each row.
        words: how many columns are words.

    Returns:
        Lines of text.

    Example:
        >>> print(aligned([("layer", "norm"), ("10", "3")]))
        layer  norm
        10        3
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (
        [
            cell.ljust(width) if i < words else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        for row in rows
    )
    return "\n".join("  ".join(line).rstrip() for line in lines)


def number(value: Any) -> str:
    """Write a number in three digits; one that there is not, NaN, is left out."""
    return "" if np.isnan(value) else f"{value:.3g}"


def share(value: Any) -> str:
    """Write a share in percent; NaN is left out."""
    return "" if np.isnan(value) else f"{value:.0%}"
