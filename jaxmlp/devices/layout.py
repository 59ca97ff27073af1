"""The layout: where the rows of the data and the columns of the weights lie on a mesh.

The program of a run is the same on one device and on many: what is laid out is its data. The rows are cut into as many
shards as the mesh has devices along "data", padded to shards of equal length; ``place`` tells where a row lies. At
every step the rows of a batch are brought to the devices that will work on them, whatever their order, so that one
device and eight see the same batches. What is computed from them and from the weights XLA divides up by itself
(GSPMD, Xu et al. 2021), and adds up the gradients where they meet.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Int
from numpy.typing import NDArray

from jaxmlp.devices.mesh import DATA, MEMBERS, MODEL
from jaxmlp.types import Batch, Key

# JAX's own annotations are not complete.
spec: Callable[..., PartitionSpec] = PartitionSpec
constrained: Callable[..., Any] = lax.with_sharding_constraint


@dataclasses.dataclass(frozen=True)
class Rows:
    """Where the rows of one data set lie.

    Attributes:
        count: how many there are, padding not counted.
        length: how many with it.
        firsts: for each shard that has rows the number of its first one, ascending.
        places: for each of these rows, where it lies in the padded array.
    """

    count: int
    length: int
    firsts: tuple[int, ...]
    places: tuple[int, ...]

    @property
    def moved(self) -> bool:
        """Whether rows do not lie where their numbers say."""
        return self.firsts != self.places

    def place(self, rows: Int[Array, "n"]) -> Int[Array, "n"]:
        """Return where rows lie."""
        if not self.moved:
            return rows
        shard = jnp.searchsorted(jnp.asarray(self.firsts, rows.dtype), rows, side="right") - 1
        return rows + jnp.asarray(np.subtract(self.places, self.firsts), rows.dtype)[shard]


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class Layout:
    """Where data and weights lie, and how they are brought together. It is structure: JAX sees no array in it.

    Attributes:
        mesh: the devices.
        train: where the rows lie that are trained on.
        validation: where those lie that are validated on.
    """

    mesh: Mesh
    train: Rows
    validation: Rows | None = None

    @property
    def shards(self) -> int:
        """In how many parts rows are cut."""
        return self.mesh.shape[DATA]

    @property
    def alone(self) -> bool:
        """Whether a run has one device for itself: only members are spread."""
        return self.mesh.shape[DATA] * self.mesh.shape[MODEL] == 1

    def filled_up(self, batch_size: int) -> int:
        """Return the size of a batch with as many rows for each device."""
        return -(-batch_size // self.shards) * self.shards

    def take(self, rows: Rows, index: Int[Array, "batch"], array: Array) -> Array:
        """Return some rows, in the order of the index, a part of them on each device.

        Each device looks up those that it has, and leaves 0 in place of the others; added up, each part by the device
        that will work on it, these are the rows (a reduce-scatter).

        Args:
            rows: where the rows of the array lie.
            index: the numbers of rows; as many as a multiple of the devices along "data".
            array: of shape (padded rows, ...).

        Returns:
            An array of shape (batch, ...).
        """

        def exchanged(part: Array, places: Array) -> Array:
            local = places - lax.axis_index(DATA).astype(places.dtype) * part.shape[0]
            here = (local >= 0) & (local < part.shape[0])
            mine = jnp.take(part, local, axis=0, mode="clip")
            here = here.reshape(-1, *(1,) * (part.ndim - 1))
            known = jnp.where(here, mine, jnp.zeros_like(mine))
            return lax.psum_scatter(known, DATA, tiled=True)  # type: ignore[no-untyped-call]  # JAX's own lack

        by_rows = spec(DATA)
        return jax.shard_map(exchanged, mesh=self.mesh, in_specs=(by_rows, spec()), out_specs=by_rows, check_vma=False)(
            array, rows.place(index)
        )

    def in_order(self, rows: Rows, tree: Any) -> Any:
        """Return all rows in order and without the padding, on every device if there is any."""
        if not rows.moved and rows.length == rows.count:
            return tree
        index = rows.place(jnp.arange(rows.count, dtype=jnp.int32))
        return jax.tree.map(lambda array: jnp.take(array, index, axis=0, mode="clip"), self.everywhere(tree))

    def by_rows(self, tree: Any) -> Any:
        """Spread arrays with rows first, as many as a multiple of the devices along "data"."""
        return constrained(tree, NamedSharding(self.mesh, spec(DATA)))

    def everywhere(self, tree: Any) -> Any:
        """Bring arrays together on every device."""
        return constrained(tree, NamedSharding(self.mesh, spec()))

    def state(self, tree: Any) -> Any:
        """Spread the columns of wide matrices along "model", and have all else on every device."""
        return jax.tree.map(lambda leaf: constrained(leaf, self.sharding(leaf)), tree)

    def sharding(self, leaf: Any, of_members: bool = False) -> NamedSharding:
        """Return where an array of a state lies: weights, and what an optimizer remembers of each of them."""
        parts, first = self.mesh.shape[MODEL], (MEMBERS,) * of_members
        shape = leaf.shape[of_members:]
        wide = parts > 1 and len(shape) == 2 and shape[1] % parts == 0
        return NamedSharding(self.mesh, spec(*first, None, MODEL) if wide else spec(*first))

    def placed(self, tree: Any, of_members: bool = False) -> Any:
        """Bring a state, or those of many members, from the host or from elsewhere to where it lies."""
        return jax.tree.map(lambda leaf: _put(leaf, self.sharding(leaf, of_members)), tree)

    def for_members(self, each: Callable[..., Any], alone: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function of (common, members) that spreads the members.

        Args:
            each: a function of (common, member) that itself spreads rows and weights.
            alone: a function of (common, members) that knows of no mesh: what each device does with its members where
                rows and weights are not spread.
        """
        if not self.alone:
            return lambda common, members: jax.vmap(functools.partial(each, common), spmd_axis_name=MEMBERS)(members)
        specs, out = (spec(), spec(MEMBERS)), spec(MEMBERS)
        return jax.shard_map(alone, mesh=self.mesh, in_specs=specs, out_specs=out, check_vma=False)

    def augmented(self, augment: Callable[[Key, Batch], Batch], batch_size: int) -> Callable[[Key, Batch], Batch]:
        """Return an augmentation that sees the rows of a batch without those that fill it up."""

        def without_filling(key: Key, batch: Batch) -> Batch:
            size = batch.x.shape[0]
            augmented = augment(key, jax.tree.map(lambda part: part[:batch_size], batch))
            more = functools.partial(_lengthened, size=size)
            return Batch(*self.by_rows(jax.tree.map(more, tuple(augmented))))

        return without_filling if self.filled_up(batch_size) > batch_size else augment


def spread(mesh: Mesh, train: Batch, validation: Batch | None) -> tuple[Layout, Batch, Batch | None]:
    """Bring data to a mesh, rows along "data"; each process its own.

    Args:
        mesh: the devices.
        train: this process's rows to train on, on the host or on one device.
        validation: those to validate on.

    Returns:
        Where they lie, and the arrays, padded with zeros.

    Raises:
        ValueError: processes that hold the same rows gave different numbers of them.
    """
    rows, placed = _spread(mesh, train)
    if validation is None:
        return Layout(mesh, rows), placed, None
    held_out, placed_validation = _spread(mesh, validation)
    return Layout(mesh, rows, held_out), placed, placed_validation


def _spread(mesh: Mesh, batch: Batch) -> tuple[Rows, Batch]:
    """Cut the rows into shards of equal length."""
    shards_of, here = _shards_by_process(mesh), jax.process_index()
    count = len(batch.x)
    counts = {here: count}
    if jax.process_count() > 1:
        counts = dict(enumerate(multihost_utils.process_allgather(np.array(count)).tolist()))
    of_shards: dict[tuple[int, ...], int] = {}
    for process, shards in shards_of.items():
        if of_shards.setdefault(shards, counts[process]) != counts[process]:
            raise ValueError(
                f"processes that hold the same part of the data gave {of_shards[shards]} and {counts[process]} rows; "
                "give the same rows in each of them"
            )
    length = max(-(-count // len(shards)) for shards, count in of_shards.items())
    firsts, places, begin = [], [], 0
    for shards, count in sorted(of_shards.items()):
        for k, shard in enumerate(shards[: -(-count // length)]):
            firsts.append(begin + k * length)
            places.append(shard * length)
        begin += count
    mine, sharding = shards_of[here], NamedSharding(mesh, spec(DATA))
    total = length * mesh.shape[DATA]

    def placed(part: Any) -> Any:
        local = _lengthened(np.asarray(part), length * len(mine))
        shape = (total, *local.shape[1:])
        return jax.make_array_from_process_local_data(sharding, local, shape)  # type: ignore[no-untyped-call]  # as above

    return Rows(begin, total, tuple(firsts), tuple(places)), jax.tree.map(placed, batch)


def _put(leaf: Any, sharding: NamedSharding) -> Any:
    """Bring an array that every process holds alike to devices, be they of other processes."""
    if sharding.is_fully_addressable or (isinstance(leaf, jax.Array) and not leaf.is_fully_addressable):
        return jax.device_put(leaf, sharding)
    if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        kind, numbers = jax.random.key_impl(leaf), jax.random.key_data(leaf)
        return jax.random.wrap_key_data(_put(numbers, sharding), impl=kind)
    host = np.asarray(leaf)
    return jax.make_array_from_callback(host.shape, sharding, lambda index: host[index])


def _shards_by_process(mesh: Mesh) -> dict[int, tuple[int, ...]]:
    """Return for each process which shards of the rows lie on its devices, ascending."""
    found: dict[int, set[int]] = {}
    for (_, shard, _), device in np.ndenumerate(mesh.devices):
        found.setdefault(device.process_index, set()).add(shard)
    return {process: tuple(sorted(shards)) for process, shards in found.items()}


def _lengthened(part: Any, size: int) -> Any:
    """Add zeros behind the last row."""
    more: Any = [(0, size - part.shape[0])] + [(0, 0)] * (part.ndim - 1)
    pad: Callable[..., NDArray[Any] | Array] = np.pad if isinstance(part, np.ndarray) else jnp.pad
    return pad(part, more)
