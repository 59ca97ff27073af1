"""Proof without a TPU: every compiled program lowers for TPUs, GPUs and CPUs, and holds nothing that they mind.

``jax.export`` writes a program down once for all three; nothing is compiled, and nothing is run. Where platforms part
ways the program holds a ``case`` of the platform's number. It is followed here, so that each platform is judged by what
it gets to see. ``faults`` says what is minded.
"""

import ast
import dataclasses
import functools
import importlib
import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export, lax
from jax.experimental import io_callback
from jax.experimental.xla_metadata import set_xla_metadata
from jax.extend.mlir import ir
from jax.interpreters import mlir
from registry import ACTIVATIONS, INITIALIZERS, LOSSES, METRICS, NETS, TRANSFORMS

from jaxmlp import (
    checkpoints,
    data,
    devices,
    diagnostics,
    losses,
    metrics,
    neurons,
    optimizers,
    regularizers,
    sweeps,
    training,
)
from jaxmlp.early_stopping import EarlyStopping
from jaxmlp.mlp import MLP
from jaxmlp.normalization import NORMALIZATIONS
from jaxmlp.sweeps import folds, members, patience
from jaxmlp.training import inputs, kernel, replay, run
from jaxmlp.training import program as program_of_run
from jaxmlp.types import Batch

LIBRARY = Path(__file__).parent.parent / "jaxmlp"
PLATFORMS = ("tpu", "cuda", "cpu")
TESTED = kernel.OLDEST <= jax.__version_info__[:3] <= kernel.NEWEST

ERF = "mhlo.erf"  # which XLA knows, and which JAX 0.7 has no other name for
ON_THE_DEVICE = {
    "tpu": {ERF, "Qr", "ProductOfElementaryHouseholderReflectors"},
    "cuda": {ERF, "cu_threefry2x32_ffi", "cusolver_geqrf_ffi", "cusolver_orgqr_ffi"},
    "cpu": {ERF, "lapack_sgeqrf_ffi", "lapack_sorgqr_ffi"},
}
"""Custom calls that are allowed: random numbers on CUDA, and the QR decomposition of the orthogonal initializer."""

TO_THE_HOST = {"stablehlo.send", "stablehlo.recv", "stablehlo.infeed", "stablehlo.outfeed"}

LARGE = 4096
"""Numbers above which a last axis of 1 is minded: a TPU's tiles are 8 x 128, and 127 of 128 lanes would idle."""

OF_ONE = (".*", "the answer of one output is a column, as are its targets; a compiler may lay them out as a row")
COLUMNS = {
    "diagnostics.flow._measured": ("divide|reduce", "each row is a batch of one, whose mean loss is a column of one"),
    "loss: softmax_cross_entropy, probabilities": ("log", "optax's own, by jax.nn.log_softmax"),
    "loss: sigmoid_focal": ("slice", "optax's own"),
    "metric: roc_auc, labels": ("gather|log", "the binary search of jnp.searchsorted, and jax.nn.log_softmax"),
    "metric: top_k_accuracy": (
        ".*",
        "a number of each row is gathered; a masked maximum takes 1.7 times as long on CPUs",
    ),
    "mixup": (".*", "the keys of jax.random.beta, one for each number"),
    "the run of a net with one output": OF_ONE,
}
"""Programs that make large columns; by which operations they may, and why."""

VIEWS = {"stablehlo.reshape", "stablehlo.broadcast_in_dim", "func.call"}
"""What makes nothing, but looks at an array as a column within the kernel that uses it: one that is spread over the
columns of a matrix, or the numbers of rows, which ``gather`` wants as a column; or hands it on to a function."""


# ---- what a platform gets to see ----


def faults(text: str, platforms: tuple[str, ...] = PLATFORMS, *, columns: str = "") -> list[str]:
    """Return what some platform would mind in a program.

    Minded are 64-bit floats, shapes that are not known, calls to the host, custom calls other than those in
    ``ON_THE_DEVICE``, what is marked as one kernel for CPUs anywhere else, and large arrays with a last axis of 1,
    but for those made by operations that match ``columns``.
    """
    with mlir.make_ir_context():
        module = ir.Module.parse(text)
        return sorted({
            f"{platform}: {fault}"
            for platform in platforms
            for operation in seen_by(platform, module, platforms)
            for fault in faults_of(operation, platform)
            if not re.match(rf"\w+\.({columns}) makes a column", fault)
        })  # fmt: skip


def seen_by(platform: str, module: Any, platforms: tuple[str, ...] = PLATFORMS) -> list[Any]:
    """Return the operations that a platform gets to see: of a ``case`` of its number, those of its branch."""
    functions = {ir.StringAttr(f.attributes["sym_name"]).value: f.operation for f in module.body.operations}
    entered, seen = set(), []

    def enter(name: str, numbers: tuple[int | None, ...]) -> None:
        """Go through a function, of whose arguments some are numbers that are known."""
        if (name, numbers) in entered:
            return
        entered.add((name, numbers))
        seen.append(functions[name])
        (block,) = functions[name].regions[0].blocks
        known = {a: n for a, n in zip(block.arguments, numbers, strict=True) if n is not None}
        go_through(block, known)

    def go_through(block: Any, known: dict[Any, int]) -> None:
        for view in block.operations:
            operation = view.operation
            seen.append(operation)
            regions = list(operation.regions)
            if operation.name == "func.call":
                callee = ir.FlatSymbolRefAttr(operation.attributes["callee"]).value
                enter(callee, tuple(known.get(operand) for operand in operation.operands))
            elif operation.name == "stablehlo.constant" and str(operation.results[0].type) == "tensor<i32>":
                known[operation.results[0]] = ir.DenseIntElementsAttr(operation.attributes["value"])[0]
            elif operation.name == "stablehlo.case" and operation.operands[0] in known:
                regions = [regions[known[operation.operands[0]]]]
            for region in regions:
                for inner in region.blocks:
                    go_through(inner, known)
            if operation.name == "stablehlo.case" and len(regions) == 1:
                (inner,) = regions[0].blocks
                returned = inner.operations[len(inner.operations) - 1].operation.operands
                known |= {r: known[v] for r, v in zip(operation.results, returned, strict=True) if v in known}

    several = len(platforms) > 1
    main = functions["main"]
    rest = [None] * (len(main.regions[0].blocks[0].arguments) - several)
    enter("main", (*[platforms.index(platform)] * several, *rest))
    return seen


def faults_of(operation: Any, platform: str) -> list[str]:
    """Return what a platform minds in one operation."""
    name, found = operation.name, []
    types = [str(result.type) for result in operation.results]
    if name == "func.func" and str(operation.attributes["sym_name"]) == '"main"':
        types = [str(operation.attributes["function_type"])]
    for text in re.findall(r"tensor<[^>]*>", " ".join(types)):
        shape, dtype = re.fullmatch(r"tensor<((?:[\d?]+x)*)(.*?)(?:, .*)?>", text).groups()
        if "f64" in dtype:
            found.append(f"{name} makes 64-bit floats, {text}")
        if "?" in shape:
            found.append(f"{name} makes an array of unknown shape, {text}")
            continue
        sizes = [int(size) for size in shape.split("x")[:-1]]
        if sizes and sizes[-1] == 1 and math.prod(sizes) > LARGE and name not in VIEWS:
            found.append(f"{name} makes a column, {text}")
    if name == "stablehlo.custom_call":
        target = ir.StringAttr(operation.attributes["call_target_name"]).value
        if target not in ON_THE_DEVICE[platform]:
            found.append(f"calls {target}")
    if name in TO_THE_HOST:
        found.append(f"{name} goes to the host")
    if platform != "cpu" and is_marked(operation):
        found.append(f"{name} is marked for CPUs")
    return found


def is_marked(operation: Any) -> bool:
    """Return whether an operation is marked as one kernel, which CPUs alone know."""
    name = "mhlo.frontend_attributes"
    return name in operation.attributes and "xla_cpu" in str(operation.attributes[name])


def exported(function: Callable[..., Any], *arguments: Any, **more: Any) -> str:
    """Write a program down for all platforms."""
    jitted = function if hasattr(function, "trace") else jax.jit(function)
    return str(export.export(jitted, platforms=PLATFORMS)(*arguments, **more).mlir_module())


# ---- the programs ----

MANY = 6000
"""Rows, of which a column is large."""

KEY = jax.random.key(0)
RNG = np.random.default_rng(0)
X = jnp.asarray(RNG.normal(size=(MANY, 16)), jnp.float32)
LABELS = jnp.asarray(RNG.integers(0, 3, MANY), jnp.int32)
WEIGHT = jnp.asarray(np.ones(MANY), jnp.float32)
ROWS = Batch(X, LABELS, WEIGHT)
HELD_OUT = Batch(X[:5000], LABELS[:5000])
HYPER = {name: np.float32(0.1) for name in ("dropout", "learning_rate", "noise")}
RULE = EarlyStopping(patience=jnp.asarray(2, jnp.int32), min_delta=jnp.asarray(0, jnp.float32))
SMALL, LARGE_BATCH = 32, 4500
"""Batches whose steps are one kernel on a CPU, and batches of which a column is large."""


def classifier(hyper: Any) -> training.Recipe:
    """A recipe with a bit of everything, its floats traced."""
    net = MLP((16, 64, 64, 3), dropout=hyper["dropout"])
    optimizer = optimizers.adam(hyper["learning_rate"])
    return training.Recipe(net, optimizer, losses.softmax_cross_entropy, regularizers.input_noise(hyper["noise"]))


RECIPE = classifier(dict.fromkeys(HYPER, 0.1))
PARAMS = jax.eval_shape(RECIPE.net.init, KEY)
ADAM = jax.eval_shape(RECIPE.optimizer.init, PARAMS)


ONE_OUTPUT = training.Recipe(
    MLP((9, 20, 12, 6, 1), "tanh", normalization="layer"), optimizers.momentum(0.1), losses.sigmoid_binary_cross_entropy
)


def whole_run(batch_size: int, **changed: Any) -> tuple[training.Program, training.Inputs]:
    """A run with all that a run can have."""
    measured = (("accuracy", metrics.accuracy), ("F1", functools.partial(metrics.f1, average="macro")))
    options = {"epochs": 5, "metrics": measured, "evaluate_every": 2, "watch": 2} | changed
    given = training.Inputs(training.Keys(KEY, KEY, KEY), ROWS, HELD_OUT, HYPER, RULE)
    return training.Program(classifier, batch_size=batch_size, **options), given


def advancing(batch_size: int, **changed: Any) -> str:
    """The run of ``fit``, from one look of the host to the next."""
    program, given = whole_run(batch_size, **changed)
    state = jax.eval_shape(functools.partial(training.start, program), given)
    return exported(run._advance(), program, given, state, 1)


def on_a_mesh(**shape: int) -> str:
    """The run of ``fit`` on eight devices; neither rows nor batches are multiples of them."""
    program, given = whole_run(30)
    layout, train, held_out = devices.spread(devices.mesh(**shape), ROWS, HELD_OUT)
    given = given._replace(train=train, validation=held_out, layout=layout)
    state = jax.eval_shape(functools.partial(training.start, program), given)
    return exported(run._advance(), program, given, state, 1)


def sweeping(what: str, mapped: bool, folded: bool = False) -> str:
    """The sweep of three members, or of three folds."""
    program, given = whole_run(SMALL, watch=False)
    each = members.Members(given.keys, HYPER, np.int32(0) if folded else None)
    each = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((3, *leaf.shape), leaf.dtype), each)
    shared = members.Shared(given._replace(keys=None, hyper=None))
    if folded:
        train, held_out = (folds.Part(np.zeros((3, n), np.int32), np.ones((3, n), np.float32)) for n in (4500, 1500))
        scaler = data.StandardScaler(np.zeros((3, 16), np.float32), np.ones((3, 16), np.float32))
        shared = shared._replace(folds=folds.Folds(train, held_out, scaler))
        shared = shared._replace(inputs=shared.inputs._replace(validation=ROWS))
    if what == "start":
        return exported(members._compiled_start(), program, mapped, shared, each, 3)
    states = jax.eval_shape(functools.partial(members._start_all, program, mapped), shared, each, 3)
    return exported(members._compiled_advance(), program, mapped, shared, each, states, 1)


class Caught(Exception):  # noqa: N818  # not an error: what a function is given, on its way there
    pass


def on_its_way(name: str, call: Callable[[], Any]) -> str:
    """Write down the program that a call would run, by catching what it gives the compiled function of that name."""
    module_name, _, function = name.rpartition(".")
    module = importlib.import_module(f"jaxmlp.{module_name}")
    jitted = getattr(module, function)

    def catch(*arguments: Any, **more: Any) -> Any:
        raise Caught(arguments, more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, function, catch)
        with pytest.raises(Caught) as caught:
            call()
    arguments, more = caught.value.args
    return exported(jitted, *arguments, **more)


def zeros(shapes: Any) -> Any:
    return jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), shapes)


def stateful(what: Callable[..., Any]) -> str:
    """What a sweep does to the states of its members between two looks."""
    program, given = whole_run(SMALL)
    state = jax.eval_shape(functools.partial(training.start, program), given)
    states = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((3, *leaf.shape), leaf.dtype), state)
    return exported(what, states, np.array([0, 2]), *[1] * (what is members._picked))


def range_test() -> Any:
    return sweeps.lr_range_test(classifier, ROWS, hyper=HYPER, steps=10, seeds=2, batch_size=SMALL, key=KEY)


def path() -> list[Any]:
    """Three points that make a plane."""
    start, end = zeros(PARAMS), jax.tree.map(np.ones_like, zeros(PARAMS))
    return [start, end, (*start[:-1], end[-1])]


TWO = (X[:, :2], LABELS // 2)
"""Rows of two inputs, with the labels 0 and 1."""

JITTED: dict[str, Callable[[], Any]] = {
    "neurons.adaline._learn": lambda: neurons.learn_adaline(*TWO, learning_rate=0.1, epochs=3, key=KEY),
    "neurons.averaged_perceptron._learn": lambda: neurons.learn_averaged_perceptron(*TWO, epochs=3, key=KEY),
    "neurons.multiclass_perceptron._learn": lambda: neurons.learn_multiclass_perceptron(X, LABELS, epochs=3, key=KEY),
    "neurons.perceptron._learn": lambda: neurons.learn_perceptron(*TWO, epochs=3, key=KEY),
    "neurons.pocket._learn": lambda: neurons.learn_pocket(*TWO, epochs=3, key=KEY),
    "checkpoints.checksums._sums": lambda: checkpoints.checksums({"x": X, "labels": LABELS}),
    "training.inputs._keys_of": lambda: inputs._keys_of(KEY),
    "diagnostics.curvature._lanczos": lambda: diagnostics.hessian_extremes(RECIPE, zeros(PARAMS), ROWS, key=KEY),
    "diagnostics.flow._measured": lambda: diagnostics.gradient_flow(RECIPE, zeros(PARAMS), ROWS),
    "diagnostics.rows._per_row": lambda: diagnostics.per_row(RECIPE, zeros(PARAMS), ROWS),
    "diagnostics.surface._losses": lambda: diagnostics.loss_surface(RECIPE, zeros(PARAMS), ROWS, path=path()),
    "sweeps.folds._order": lambda: folds.assign(MANY, 3, key=KEY),
    "sweeps.patience._replayed": lambda: patience.replayed(RULE, [1, 2], np.ones((3, 5))),
    "sweeps.range_test._losses": range_test,
}
"""Functions that are compiled, and a call that comes to each."""

MADE: dict[str, Callable[[], str]] = {
    "training.run._start": lambda: exported(run._start(), *whole_run(SMALL)),
    "training.run._advance": lambda: advancing(SMALL),
    "training.replay._batch": lambda: exported(replay._batch, SMALL, whole_run(SMALL)[1], 0, 1),
    "sweeps.members._chosen": lambda: stateful(members._chosen),
    "sweeps.members._picked": lambda: stateful(members._picked),
    "sweeps.members._compiled_start": lambda: sweeping("start", mapped=True),
    "sweeps.members._compiled_advance": lambda: sweeping("advance", mapped=True),
}
"""Functions that are made when they are first needed, and the program of each."""

INSIDE = {
    "training.kernel.loop",  # a part of a run
    "training.replay._responsible",  # a step's gradient, of rows that the host chooses
}
"""Where a function is compiled inside of another."""


def compiled_places() -> set[str]:
    """Return where the library calls ``jax.jit``, by the name of the function or the variable that stands there."""
    found = set()
    for path in LIBRARY.glob("**/*.py"):
        module = ".".join(path.relative_to(LIBRARY).with_suffix("").parts)
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if any(ast.unparse(part) == "jax.jit" for part in ast.walk(node) if isinstance(part, ast.Attribute)):
                name = ast.unparse(node.targets[0]) if isinstance(node, ast.Assign) else node.name
                found.add(f"{module}.{name}")
    return found


def one_epoch() -> str:
    program, given = whole_run(LARGE_BATCH, metrics=(), watch=False)
    state = jax.eval_shape(functools.partial(training.start, program), given)
    return exported(functools.partial(program_of_run.turn, program), given, state)


def run_of_a_person() -> str:
    options = {"epochs": 5, "early_stopping": EarlyStopping(patience=2), "metrics": {"accuracy": metrics.accuracy}}
    return exported(training.make_run(RECIPE, batch_size=None, **options), KEY, tuple(ROWS), tuple(HELD_OUT[:2]))


BESIDES: dict[str, Callable[[], str]] = {
    "fit on a mesh, rows spread": lambda: on_a_mesh(data=8),
    "fit on a mesh, rows and weights spread": lambda: on_a_mesh(data=2, model=4),
    "a step": lambda: exported(functools.partial(training.train_step, RECIPE), PARAMS, ADAM, ROWS, KEY),
    "one epoch": one_epoch,
    "the run of fit, in large batches": lambda: advancing(LARGE_BATCH, evaluate_every=1, watch=1),
    "the whole run": run_of_a_person,
    "the run of a net with one output": lambda: exported(
        training.make_run(ONE_OUTPUT, epochs=2, batch_size=SMALL), KEY, (X[:, :9], X[:, 9:10])
    ),
    "a sweep's start, side by side": lambda: sweeping("start", mapped=False),
    "a sweep, side by side": lambda: sweeping("advance", mapped=False),
    "folds": lambda: sweeping("advance", mapped=True, folded=True),
    "folds, side by side": lambda: sweeping("advance", mapped=False, folded=True),
    "answers": lambda: exported(RECIPE.net.apply, PARAMS, X),
    "an evaluation in slices": lambda: exported(
        functools.partial(training.evaluate, RECIPE),
        PARAMS,
        Batch(*(np.repeat(part, 2, axis=0) for part in HELD_OUT[:2])),
    ),
}
"""What is compiled in other ways, or by others: what ``jax.jit`` makes of the functions that a person calls."""

PROGRAMS = MADE | BESIDES | {name: functools.partial(on_its_way, name, call) for name, call in JITTED.items()}


@functools.cache
def written(name: str) -> str:
    return PROGRAMS[name]()


@pytest.mark.parametrize("name", [name for name in PROGRAMS if name not in COLUMNS])
def test_the_program_suits_every_platform(name, unchecked):
    assert faults(written(name)) == []


@pytest.mark.parametrize("name", ["training.run._advance", "sweeps.members._compiled_advance"])
def test_the_loop_of_a_small_net_is_one_kernel_on_cpus_alone(name, unchecked):
    with mlir.make_ir_context():
        module = ir.Module.parse(written(name))
        marked = [platform for platform in PLATFORMS if any(map(is_marked, seen_by(platform, module)))]
    assert marked == ["cpu"] * TESTED


def test_every_place_that_compiles_is_tried():
    assert compiled_places() == set(JITTED) | set(MADE) | INSIDE


# ---- all that is in the registry ----

Part = tuple[Callable[..., Any], tuple[Any, ...]]
"""A function and its arguments."""


@dataclasses.dataclass(frozen=True)
class AnyParams:
    """A model of any parameters: its answer is x times a number that all of them make up."""

    make: Callable[[Any], Any]

    def init(self, key: Any) -> Any:
        del key
        return self.make(jnp.float32)

    def apply(self, params: Any, x: Any, *, key: Any = None) -> Any:
        del key
        return x * sum(jnp.sum(jnp.sin(leaf)) for leaf in jax.tree.leaves(params))


def with_transform(name: str) -> Part:
    """A run whose optimizer is a transform of the registry, its floats traced."""
    entry = TRANSFORMS[name]
    hyper = {number: np.float32(value) for number, (value, _) in entry.floats.items()}

    def recipe(hyper: Any) -> training.Recipe:
        return training.Recipe(AnyParams(entry.params), entry.make(**hyper), losses.squared_error)

    return training.make_run(recipe, epochs=2, batch_size=4), (KEY, (X[:8], X[:8]), None, hyper)


def learning(net: MLP, loss: Any, y: Any) -> Part:
    """A step of training on many rows, and their evaluation."""
    recipe = training.Recipe(net, optimizers.sgd(0.1), loss)

    def program(params: Any, batch: Batch, key: Any) -> Any:
        step = training.train_step(recipe, params, recipe.optimizer.init(params), batch, key)
        return step, training.evaluate(recipe, step.params, batch)

    return program, (jax.eval_shape(net.init, KEY), Batch(X[:, : net.sizes[0]], y), KEY)


def with_net(name: str) -> Part:
    net = NETS[name]
    if net.heads is None:
        return learning(net, losses.squared_error, X[:, : net.sizes[-1]])
    y = {head: X[:, :size] for head, size in net.heads}
    return learning(net, losses.PerHead(dict.fromkeys(y, losses.squared_error)), y)


def with_hidden(**of_net: Any) -> Part:
    return learning(MLP((16, 8, 3), dropout=0.3, **of_net), losses.softmax_cross_entropy, LABELS)


def with_loss(name: str) -> Part:
    entry = LOSSES[name]
    floats = {number: value for number, (value, _) in entry.floats.items()}
    return learning(MLP((16, 8, 3)), functools.partial(entry.loss, **floats), many(entry.targets))


def with_metric(name: str) -> Part:
    metric, targets = METRICS[name]
    outputs = 3 if targets.ndim == 1 else targets.shape[1]
    return metric, (X[:, :outputs], many(targets), WEIGHT)


def many(few: Any) -> Any:
    """Repeat the registry's rows."""
    rows = np.resize(np.asarray(few), (MANY, *np.shape(few)[1:]))
    return rows.astype(np.int32 if rows.dtype.kind == "i" else np.float32)


REGISTRY: dict[str, Callable[[], Part]] = {
    **{name: functools.partial(with_transform, name) for name in TRANSFORMS},
    **{f"net: {name}": functools.partial(with_net, name) for name in NETS},
    "net: bfloat16": lambda: with_hidden(compute_dtype="bfloat16", precision="high"),
    "mixup": lambda: (regularizers.mixup(0.2), (KEY, Batch(X, X, WEIGHT))),
    **{f"activation: {name}": functools.partial(with_hidden, activation=name) for name in ACTIVATIONS},
    **{f"normalization: {name}": functools.partial(with_hidden, normalization=name) for name in NORMALIZATIONS},
    **{f"initializer: {name}": lambda n=name: (MLP((16, 8, 3), initializer=n).init, (KEY,)) for name in INITIALIZERS},
    **{f"loss: {name}": functools.partial(with_loss, name) for name in LOSSES},
    **{f"metric: {name}": functools.partial(with_metric, name) for name in METRICS},
}
AT_ONCE = 8
"""Parts that make one program, as most of what is written down are the random numbers that they share."""

ORDER = jax.jit(data.order, static_argnums=1)
"""The order of rows, traced once for all of them: by itself it takes a third of the time."""

COLUMNS |= {f"net: {name}": OF_ONE for name, net in NETS.items() if 1 in dict(net.heads or {}).values()}
COLUMNS |= {f"metric: {name}": OF_ONE for name, (_, targets) in METRICS.items() if targets.shape[1:] == (1,)}
IN_GROUPS = [name for name in REGISTRY if name not in COLUMNS]


def together(names: Sequence[str]) -> str:
    """Write several parts down as one program."""
    functions, arguments = zip(*(REGISTRY[name]() for name in names), strict=True)
    return exported(lambda *each: [f(*given) for f, given in zip(functions, each, strict=True)], *arguments)


@pytest.mark.parametrize("begin", range(0, len(IN_GROUPS), AT_ONCE), ids=lambda begin: IN_GROUPS[begin])
def test_what_is_in_the_registry_suits_every_platform(begin, unchecked, monkeypatch):
    monkeypatch.setattr(data, "order", ORDER)
    names = IN_GROUPS[begin : begin + AT_ONCE]
    found = faults(together(names))
    assert not found, {name: faults(together([name])) for name in names}


@pytest.mark.parametrize("name", COLUMNS)
def test_what_may_hold_columns_does_and_suits_every_platform_otherwise(name, unchecked):
    text = written(name) if name in PROGRAMS else together([name])
    assert faults(text, columns=COLUMNS[name][0]) == []
    assert faults(text) != []


# ---- the checks themselves ----


GIVEN = "(tensor<f32>, !stablehlo.token) -> !stablehlo.token"
TAKEN = "(!stablehlo.token) -> (tensor<f32>, !stablehlo.token)"
CHANNEL = "<{{channel_handle = #stablehlo.channel_handle<handle = 1, type = {}>, is_host_transfer = true}}>"
HOST_OPERATIONS = [
    f'send"(%x, %token) {CHANNEL.format(2)} : {GIVEN}',
    f'recv"(%token) {CHANNEL.format(3)} : {TAKEN}',
    f'outfeed"(%x, %token) : {GIVEN}',
    f'infeed"(%token) : {TAKEN}',
]


def sums(x):
    return jnp.sum(x * 2)


class TestFaults:
    def test_there_are_none_in_a_plain_program(self):
        assert faults(exported(sums, X)) == []

    def test_64_bit_floats(self, x64):
        found = faults(exported(lambda x: x + jnp.sum(jnp.asarray([1.0, 2.0], jnp.float64)).astype(x.dtype), X))
        assert {fault.split(":")[0] for fault in found} == set(PLATFORMS)
        assert all("64-bit floats" in fault for fault in found)

    def test_a_64_bit_argument(self, x64):
        found = faults(exported(lambda x: x.astype(jnp.float32), jax.ShapeDtypeStruct((), jnp.float64)))
        assert "tpu: func.func makes 64-bit floats, tensor<f64>" in found

    @pytest.mark.parametrize(
        "callback",
        [
            lambda x: jax.debug.callback(print, x),
            lambda x: jax.debug.print("{}", x),
            lambda x: jax.pure_callback(np.sin, x, x),
            lambda x: io_callback(np.sin, x, x),
        ],
    )
    def test_what_calls_python(self, callback):
        """``jax.export`` refuses it, too, so it is written down for this machine alone."""

        def program(x):
            seen = callback(x)
            return x * 2 if seen is None else seen

        (found,) = faults(jax.jit(program).lower(X[0]).as_text(), ("cpu",))
        assert re.fullmatch("cpu: calls xla_.*python.*_callback", found)

    @pytest.mark.parametrize("operation", HOST_OPERATIONS, ids=lambda text: text.partition('"')[0])
    def test_what_is_sent_to_the_host(self, operation):
        """As a callback of a TPU does; written by hand, as JAX writes it down only where there is one."""
        text = f"""
        func.func public @main(%x: tensor<f32>, %token: !stablehlo.token) -> tensor<f32> {{
          %made{":2" * operation.endswith(")")} = "stablehlo.{operation}
          return %x : tensor<f32>
        }}
        """
        name = operation.partition('"')[0]
        assert faults(text, ("tpu",)) == [f"tpu: stablehlo.{name} goes to the host"]

    def test_calls_of_unknown_libraries(self):
        call = jax.ffi.ffi_call("somebody_elses", jax.ShapeDtypeStruct((3,), jnp.float32))
        lowered = jax.jit(call).trace(X[0, :3]).lower(lowering_platforms=PLATFORMS).as_text()
        assert faults(lowered) == [f"{platform}: calls somebody_elses" for platform in sorted(PLATFORMS)]

    def test_shapes_that_are_not_known(self):
        rows = jax.ShapeDtypeStruct(export.symbolic_shape("n, 3"), jnp.float32)
        assert any("unknown shape" in fault for fault in faults(exported(lambda x: jnp.sin(x) * 2, rows)))

    @pytest.mark.parametrize(("size", "minded"), [(LARGE, False), (LARGE + 1, True)])
    def test_large_columns(self, size, minded):
        found = faults(
            exported(lambda x, w: jnp.sum(x @ w), np.ones((size, 8), np.float32), np.ones((8, 1), np.float32))
        )
        wanted = {f"{platform}: stablehlo.dot_general makes a column, tensor<{size}x1xf32>" for platform in PLATFORMS}
        assert set(found) >= wanted if minded else not found
        assert all("makes a column" in fault for fault in found)

    def test_a_column_that_is_given_or_kept(self):
        column = np.ones((2, LARGE, 1), np.float32)
        assert any("func.func makes a column" in fault for fault in faults(exported(jnp.sum, column)))
        found = faults(exported(lambda n, x: lax.fori_loop(0, n, lambda i, x: x[::-1], x), 3, column))
        assert any("stablehlo.while makes a column" in fault for fault in found)

    def test_what_is_marked_for_cpus_elsewhere(self):
        def marked(x):
            with set_xla_metadata(**kernel.MARKS):
                return jax.jit(sums)(x)

        assert faults(exported(lambda x: lax.platform_dependent(x, cpu=marked, default=sums), X)) == []
        found = faults(exported(lambda x: lax.platform_dependent(x, tpu=marked, default=sums), X))
        assert {fault.split(":")[0] for fault in found} == {"tpu"}
        assert all("is marked for CPUs" in fault for fault in found)
        assert {fault.split(":")[0] for fault in faults(exported(marked, X))} == {"tpu", "cuda"}


def test_each_platform_gets_to_see_its_own_branch():
    def within(x):
        return lax.platform_dependent(x, tpu=jnp.sin, cuda=jnp.cos, default=jnp.tanh)

    def program(x):
        return jax.jit(lambda x: lax.fori_loop(0, 3, lambda i, x: lax.cond(x[0] > 0, within, jnp.exp, x), x))(x)

    own = {"tpu": "stablehlo.sine", "cuda": "stablehlo.cosine", "cpu": "stablehlo.tanh"}
    with mlir.make_ir_context():
        module = ir.Module.parse(exported(program, X[0]))
        seen = {platform: {operation.name for operation in seen_by(platform, module)} for platform in PLATFORMS}
    for platform, name in own.items():
        assert seen[platform] & set(own.values()) == {name}
        assert "stablehlo.exponential" in seen[platform]
