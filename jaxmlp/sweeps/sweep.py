"""The call: check the settings, make groups of one structure each, run them, and lay out what came of it."""

import functools
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from numpy.typing import NDArray

from jaxmlp import checks, devices, schedules, training
from jaxmlp.early_stopping import EarlyStopping
from jaxmlp.sweeps import members as crew
from jaxmlp.sweeps import saving
from jaxmlp.sweeps.layout import laid_out, spent
from jaxmlp.sweeps.members import Group, Members, Shared, Slice
from jaxmlp.sweeps.result import Sweep
from jaxmlp.sweeps.settings import BATCH_SIZE, Reading, Setting, checked, grid, numbers_of
from jaxmlp.training import AnyRecipe, Recipe
from jaxmlp.types import Key, Metric, Params

Hyper = Mapping[str, Any] | Sequence[Mapping[str, Any]] | None
"""One setting or several."""

TURNED_INTO_STRUCTURE = (
    jax.errors.ConcretizationTypeError,
    jax.errors.TracerArrayConversionError,
    jax.errors.TracerIntegerConversionError,
)
"""What JAX raises where a recipe makes structure of a number that the program computes with."""


def sweep(
    recipe: AnyRecipe,
    data: Any,
    *,
    hyper: Hyper = None,
    seeds: int = 1,
    epochs: int,
    batch_size: int | None,
    key: Key,
    validation: Any = None,
    params: Params = None,
    early_stopping: EarlyStopping | None = None,
    metrics: Mapping[str, Metric] | None = None,
    class_weight: Mapping[int, float] | str | None = None,
    evaluate_every: int = 1,
    watch: bool | int = False,
    exact: bool = False,
    at_once: int | None = None,
    progress: bool = True,
    save: str | os.PathLike[str] | None = None,
    resume: bool = False,
    mesh: Mesh | None = None,
) -> Sweep:
    """Train many models: every setting with every seed, each a run of its own with its own early stopping.

    A member is the run that ``training.fit`` gives with ``hyper=setting`` and ``key=jax.random.fold_in(key, seed)``: to
    the bit on a CPU, where members go through the program of a single run one after another, on every core; to rounding
    on GPUs and TPUs, where they are computed side by side. All settings share their seeds' first parameters and orders
    of rows, so that they differ by their numbers alone.

    Args:
        recipe: what is trained, and how; or a function from a setting to it.
        data: (x, y) or (x, y, weight), as for ``fit``.
        hyper: a setting or a list of them, from ``grid`` or ``sample`` or written by hand. Floats are computed with by
            one program; all else is structure, and each combination of it a program of its own. "batch_size" among the
            names takes the place of the argument. None tries the ladder of learning rates, 0.001, 0.003 ... 1, if the
            recipe is a function: the first thing to run on a new problem.
        seeds: runs of each setting, at least 1.
        epochs: how many at most, at least 1.
        batch_size: rows of a step, as for ``fit``.
        key: a random key, from which each seed has its own.
        validation: (x, y) or (x, y, weight) to evaluate after each epoch, as for ``fit``.
        params: parameters to begin with, the same for all; drawn by the net unless given.
        early_stopping: when a member stops, as for ``fit``.
        metrics: what to compute after each epoch, by name, as for ``fit``.
        class_weight: how much the rows of a class count, as for ``fit``.
        evaluate_every: epochs from one evaluation to the next, as for ``fit``.
        watch: whether to record how training is doing, as for ``fit``.
        exact: compute members one after another on GPUs and TPUs as well, for the bits of single runs.
        at_once: members of a slice; unless given it suits the cores, or the memory of the device.
        progress: show a bar on a terminal or in a notebook, if tqdm is installed.
        save: a folder in which all members are saved every half minute or so, and at the end; as archives, not through
            ``checkpoints``.
        resume: whether to go on from what is in ``save``, if there is something, to the bit.
        mesh: devices to spread the members over, such as ``devices.mesh(members=8)``; and, if one is not enough for a
            member, its rows and weights, as for ``fit``. None takes JAX's default device.

    Returns:
        The ``Sweep``. Ctrl-C ends it after the chunks that are running; what has been run is in it.

    Raises:
        TypeError: an argument of the wrong kind.
        ValueError: what ``fit`` refuses; a hyperparameter that the recipe never reads, or that it makes structure of
            though it is a float.

    Warns:
        UserWarning: the members do not fit into the memory of the device together.
        RuntimeWarning: what is in ``save`` was saved with another recipe, or under another version of JAX.

    Example:
        >>> from jaxmlp import losses, optimizers
        >>> from jaxmlp.mlp import MLP
        >>> x = np.linspace(-1, 1, 32)[:, None]
        >>> def recipe(hyper):
        ...     return training.Recipe(MLP((1, 16, 1)), optimizers.adam(hyper["learning_rate"]), losses.squared_error)
        >>> runs = sweep(
        ...     recipe, (x, x**2), hyper=grid(learning_rate=[1e-5, 0.01]), seeds=3, epochs=20, batch_size=8,
        ...     key=jax.random.key(0),
        ... )
        >>> runs.history["train/loss"].shape, runs.best().hyper
        ((6, 20), {'learning_rate': 0.01})
    """
    plan = planned(
        recipe, data, hyper, seeds, key, exact=exact, at_once=at_once, epochs=epochs, batch_size=batch_size,
        validation=validation, params=params, early_stopping=early_stopping, metrics=metrics,
        class_weight=class_weight, evaluate_every=evaluate_every, watch=watch, mesh=mesh,
    )  # fmt: skip
    return carried_out(plan, epochs, progress=progress, save=save, resume=resume)


Folded: TypeAlias = Callable[[Shared, Members, NDArray[Any]], tuple[Shared, Members, NDArray[Any]]]
"""From data, members and their places to those of all folds."""


class Plan(NamedTuple):
    """A sweep before it is run."""

    settings: tuple[Setting, ...]
    seeds: int
    groups: tuple[Group, ...]


def planned(
    recipe: AnyRecipe,
    data: Any,
    hyper: Hyper,
    seeds: int,
    key: Key,
    *,
    batch_size: int | None,
    exact: bool,
    at_once: int | None,
    mesh: Mesh | None = None,
    folded: Folded | None = None,
    **options: Any,
) -> Plan:
    """Check everything, and make a group of the members of each structure; ``options`` are those of ``fit``."""
    checks.random_key("key", key)
    seeds = checks.whole_number("seeds", seeds, 1)
    if at_once is not None:
        at_once = checks.whole_number("at_once", at_once, 1)
    settings = _settings(recipe, hyper)
    numbers = numbers_of(settings)
    mapped = _one_after_another(exact, mesh)
    by_structure: dict[Any, tuple[Setting, list[int]]] = {}
    for i, setting in enumerate(settings):
        structure = {name: value for name, value in setting.items() if name not in numbers}
        by_structure.setdefault(training.fingerprint(structure), (structure, []))[1].append(i)
    keys = jax.vmap(lambda seed: training.keys_of(jax.random.fold_in(key, seed)))(jnp.arange(seeds))
    groups = []
    read: set[str] = set()
    for structure, places in by_structure.values():
        setting = settings[places[0]]
        of_group = functools.partial(with_structure, recipe, structure) if setting else recipe
        program, inputs, params = training.prepare(
            of_group,
            data,
            key=key,
            hyper={name: float(setting[name]) for name in numbers} if setting else None,
            batch_size=structure.get(BATCH_SIZE, batch_size),
            mesh=mesh,
            **options,
        )
        if callable(recipe):
            for i in places[1:]:
                recipe(dict(settings[i]))  # for the checks of its numbers
        read |= read_by(recipe, setting, inputs)
        rows = np.repeat(places, seeds), np.tile(np.arange(seeds), len(places))
        values = {name: jnp.asarray([float(settings[i][name]) for i in rows[0]], float) for name in numbers}
        members = Members(keys=crew.take(keys, rows[1]), hyper=values if setting else None)
        at = rows[0] * seeds + rows[1]
        shared = Shared(inputs, params=params)
        if folded is not None:
            shared, members, at = folded(shared, members, at)
        _refuse_structure_of_numbers(program, shared, crew.take(members, 0))
        size = min(at_once or crew.slice_size(program, shared, members, mapped), len(at))
        if mesh is not None:  # as many for each device
            size = -(-size // mesh.shape[devices.MEMBERS]) * mesh.shape[devices.MEMBERS]
        groups.append(Group(program, shared, members, at, mapped, size))
    for name in settings[0]:
        if name not in read and name != BATCH_SIZE:
            raise ValueError(f"hyper has {name!r}, which recipe never reads; leave it out, or use hyper[{name!r}]")
    return Plan(tuple(settings), seeds, tuple(groups))


def carried_out(
    plan: Plan, epochs: int, *, progress: bool, save: str | os.PathLike[str] | None = None, resume: bool = False
) -> Sweep:
    """Run all members of a plan, and lay out what came of it."""
    began = time.perf_counter()
    slices = [crew.slices_of(group) for group in plan.groups]
    saver = saving.Saver(save, plan.groups, lambda: [crew.state_of(of_group) for of_group in slices], resume)
    if found := saver.found(slices):
        slices = [crew.regrouped(group, state) for group, state in zip(plan.groups, found[0], strict=True)]
    everyone = _in_turns(slices)
    crew.compile_all(everyone)
    compile_seconds = time.perf_counter() - began

    began = time.perf_counter()
    total = sum(len(group.places) for group in plan.groups) * epochs
    with training.interruptible() as interrupted, training.progress_bar(progress, total, "epoch") as show:
        run_with_bar(everyone, epochs, interrupted, show, saver.now_and_then)
    saver.save()
    states = [crew.state_of(of_group) for of_group in slices]
    seconds = compile_seconds, time.perf_counter() - began
    return laid_out(plan.settings, plan.seeds, plan.groups, states, seconds, spent(everyone))


def run_with_bar(
    slices: Sequence[Slice],
    until: int,
    interrupted: threading.Event,
    show: training.Show,
    between: Callable[[], None] = lambda: None,
) -> None:
    """Run slices on until an epoch, showing the epochs run by all of them together."""
    done, lock = [0], threading.Lock()

    def told(epochs: int) -> None:
        with lock:
            done[0] += epochs

    def look() -> None:
        show(done[0], dict)
        between()

    crew.run_all(slices, until, interrupted, told, look)
    look()


def _one_after_another(exact: bool, mesh: Mesh | None) -> bool:
    """Return whether members are computed one after another, by each device its own."""
    if mesh is None or mesh.shape[devices.DATA] * mesh.shape[devices.MODEL] == 1:
        return exact or jax.default_backend() == "cpu"
    if exact:
        raise ValueError("exact gives the bits of one device, but mesh spreads rows or weights; leave one of them out")
    return False


def _in_turns(slices: Sequence[Sequence[Slice]]) -> list[Slice]:
    """Return all slices, the longest group's last, so that the cores are busy to the end."""
    return [part for of_group in sorted(slices, key=len) for part in of_group]


def _settings(recipe: AnyRecipe, hyper: Hyper) -> list[Setting]:
    """Return the settings; without any, the ladder of learning rates for a recipe that is a function."""
    if isinstance(recipe, Recipe):
        settings = checked(hyper)
        if any(set(setting) - {BATCH_SIZE} for setting in settings):
            raise TypeError("hyper is given, but recipe is fixed; give a function from a setting to a Recipe")
        return settings
    if not callable(recipe):
        raise TypeError(f"recipe is {recipe!r}; give a training.Recipe, or a function from a setting to one")
    return grid(learning_rate=schedules.ladder()) if hyper is None else checked(hyper)


def read_by(recipe: AnyRecipe, setting: Setting, inputs: training.Inputs) -> set[str]:
    """Return which hyperparameters are read, when the recipe is made or within a step of training."""
    if isinstance(recipe, Recipe):
        return set(setting)
    reading = Reading(setting)
    jax.eval_shape(lambda: training.first_step(recipe, reading, inputs.train, jax.random.key(0)))
    return reading.read


def with_structure(recipe: AnyRecipe, structure: Setting, numbers: Any) -> Any:
    """Make the recipe of a whole setting: of what decides the program, and of what it computes with."""
    return recipe({**structure, **(numbers or {})}) if callable(recipe) else recipe


def _refuse_structure_of_numbers(program: training.Program, shared: Shared, member: Members) -> None:
    """Refuse a recipe that makes structure, such as a width, of what the program computes with."""
    for name in member.hyper or {}:

        def start(number: Any, name: str = name) -> Any:
            others = {other: float(value) for other, value in member.hyper.items()}
            made = training.resolve(program.recipe, {**others, name: number})
            return made.optimizer.init(made.net.init(jax.random.key(0)))

        try:
            jax.eval_shape(start, member.hyper[name])
        except TURNED_INTO_STRUCTURE as error:
            raise ValueError(
                f"hyper has floats for {name!r}, of which recipe makes structure, such as a size; give whole numbers "
                "or text for structure, each of which makes a program of its own"
            ) from error
