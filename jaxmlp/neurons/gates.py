"""The gates of logic as McCulloch-Pitts units (after figure 1 of 1943): any circuit can be built of such units.

AND, OR, NOT, NOR and the majority are one unit each. NAND and XOR are not: a unit that one input alone can silence
does not fire when that input does, and without inhibition more firing inputs never stop a unit. They take two layers.
"""

from jaxmlp import checks
from jaxmlp.neurons.mcculloch_pitts import Circuit, McCullochPitts


def and_gate(inputs: int) -> McCullochPitts:
    """AND: fires if all inputs do.

        sum_i x_i >= inputs

    Args:
        inputs: how many, at least 1.

    Returns:
        A unit.

    Raises:
        TypeError: ``inputs`` is no whole number.
        ValueError: ``inputs`` is below 1.

    Example:
        >>> import jax.numpy as jnp
        >>> and_gate(2).apply(jnp.array([[0, 0], [0, 1], [1, 0], [1, 1]]))
        Array([0, 0, 0, 1], dtype=int32)
    """
    return _at_least(inputs, checks.whole_number("inputs", inputs, 1))


def or_gate(inputs: int) -> McCullochPitts:
    """OR: fires if any input does.

        sum_i x_i >= 1

    Args:
        inputs: how many, at least 1.

    Returns:
        A unit.

    Raises:
        TypeError: ``inputs`` is no whole number.
        ValueError: ``inputs`` is below 1.

    Example:
        >>> import jax.numpy as jnp
        >>> or_gate(2).apply(jnp.array([[0, 0], [0, 1], [1, 0], [1, 1]]))
        Array([0, 1, 1, 1], dtype=int32)
    """
    return _at_least(1, checks.whole_number("inputs", inputs, 1))


def majority_gate(inputs: int) -> McCullochPitts:
    """Majority: fires if more than half of the inputs do; a tie is no majority.

        sum_i x_i > inputs / 2

    Args:
        inputs: how many, at least 1.

    Returns:
        A unit.

    Raises:
        TypeError: ``inputs`` is no whole number.
        ValueError: ``inputs`` is below 1.

    Example:
        >>> import jax.numpy as jnp
        >>> majority_gate(4).apply(jnp.array([[1, 1, 0, 0], [1, 1, 0, 1]]))
        Array([0, 1], dtype=int32)
    """
    inputs = checks.whole_number("inputs", inputs, 1)
    return _at_least(inputs // 2 + 1, inputs)


def nor_gate(inputs: int) -> McCullochPitts:
    """NOR: fires if no input does; each is a veto, and nothing has to excite.

    Args:
        inputs: how many, at least 1.

    Returns:
        A unit.

    Raises:
        TypeError: ``inputs`` is no whole number.
        ValueError: ``inputs`` is below 1.

    Example:
        >>> import jax.numpy as jnp
        >>> nor_gate(2).apply(jnp.array([[0, 0], [0, 1], [1, 0], [1, 1]]))
        Array([1, 0, 0, 0], dtype=int32)
    """
    inputs = checks.whole_number("inputs", inputs, 1)
    return McCullochPitts(excitatory=(), inhibitory=tuple(range(inputs)), threshold=0)


def not_gate() -> McCullochPitts:
    """NOT: fires if its only input does not.

    Returns:
        A unit.

    Example:
        >>> import jax.numpy as jnp
        >>> not_gate().apply(jnp.array([[0], [1]]))
        Array([1, 0], dtype=int32)
    """
    return nor_gate(1)


def nand_gate(inputs: int) -> Circuit:
    """NAND: fires unless all inputs do. Not one unit but two layers, by De Morgan's law.

        not (x_0 and x_1 ...) = (not x_0) or (not x_1) ...

    Args:
        inputs: how many, at least 1.

    Returns:
        A circuit.

    Raises:
        TypeError: ``inputs`` is no whole number.
        ValueError: ``inputs`` is below 1.

    Example:
        >>> import jax.numpy as jnp
        >>> nand_gate(2).apply(jnp.array([[0, 0], [0, 1], [1, 0], [1, 1]]))
        Array([1, 1, 1, 0], dtype=int32)
    """
    inputs = checks.whole_number("inputs", inputs, 1)
    negated = tuple(McCullochPitts(excitatory=(), inhibitory=(i,), threshold=0) for i in range(inputs))
    return Circuit(hidden=negated, output=or_gate(inputs))


def xor_gate() -> Circuit:
    """XOR: fires if one of its two inputs does, but not both. No single threshold unit can, with any weights.

        x_0 xor x_1 = (x_0 and not x_1) or (x_1 and not x_0)

    Minsky and Papert (1969) made it famous; the hidden layer makes of it a problem that one unit solves.

    Returns:
        A circuit.

    Example:
        >>> import jax.numpy as jnp
        >>> xor_gate().apply(jnp.array([[0, 0], [0, 1], [1, 0], [1, 1]]))
        Array([0, 1, 1, 0], dtype=int32)
    """
    only_first = McCullochPitts(excitatory=(0,), inhibitory=(1,), threshold=1)
    only_second = McCullochPitts(excitatory=(1,), inhibitory=(0,), threshold=1)
    return Circuit(hidden=(only_first, only_second), output=or_gate(2))


def _at_least(threshold: int, inputs: int) -> McCullochPitts:
    return McCullochPitts(excitatory=tuple(range(inputs)), inhibitory=(), threshold=threshold)
