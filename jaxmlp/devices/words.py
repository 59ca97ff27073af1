"""Words: tables of two columns, and sizes that a person can read."""

from collections.abc import Sequence


def table(rows: Sequence[tuple[str, str]]) -> str:
    """Lay rows of a name and a value out in two columns.

    Args:
        rows: the names and the values.

    Returns:
        Lines of text.

    Example:
        >>> print(table([("jax", "0.10.1"), ("devices", "8 x cpu")]))
        jax      0.10.1
        devices  8 x cpu
    """
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name.ljust(width)}  {value}" for name, value in rows)


def size(count: int) -> str:
    """Write a number of bytes in powers of 1000.

    Args:
        count: the bytes.

    Returns:
        Three digits or so, and the unit.

    Example:
        >>> size(999), size(2_544_040), size(16 * 10**9)
        ('999 B', '2.5 MB', '16.0 GB')
    """
    value, units = float(count), ["B", "kB", "MB", "GB", "TB"]
    while value >= 999.95 and len(units) > 1:  # which would be rounded to 1000.0
        value, units = value / 1000, units[1:]
    return f"{count} B" if units[0] == "B" else f"{value:.1f} {units[0]}"
