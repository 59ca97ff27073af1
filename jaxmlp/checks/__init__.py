"""Bad input, refused on the host and by a sentence, before anything is traced.

Each check names the argument, shows what was seen and ends with what to do. Traced values pass: what a
number is cannot be known while a program is being built. ``arguments`` are numbers, names and keys; ``arrays`` are data
and pytrees.
"""

from jaxmlp.checks.arguments import by_name, in_range, not_traced, number, one_of, random_key, whole_number
from jaxmlp.checks.arrays import array, same_rows, same_structure, to_floats

__all__ = [
    "array",
    "by_name",
    "in_range",
    "not_traced",
    "number",
    "one_of",
    "random_key",
    "same_rows",
    "same_structure",
    "to_floats",
    "whole_number",
]
