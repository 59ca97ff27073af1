"""What every experiment does around its question: the command line, the table, the files it leaves.

An experiment is a module with a frozen dataclass ``Config``, whose fields are its options, and a function
``run(config)``, which answers the question and returns what it found.
"""

import contextlib
import dataclasses
import importlib.metadata
import io
import json
import os
import platform
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import jax
import tyro

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Config = TypeVar("Config")

PACKAGES = ("jaxmlp", "jax", "jaxlib", "optax", "numpy")
SAVED = "Numbers and pictures are in"


def main(config: type[Config], run: Callable[[Config], Any], description: str | None) -> None:
    """Read the command line into a config and run the experiment.

    Args:
        config: the experiment's frozen dataclass.
        run: the experiment.
        description: the experiment's module docstring, shown by ``--help``.
    """
    program = f"python -m {_module_name()}"
    options = tyro.cli(config, prog=program, description=description)
    try:
        run(options)
    except (ValueError, OSError) as error:
        sys.exit(f"{program}: {error}")


def check_folder(folder: Path) -> None:
    """Make the folder for the results, or end with a sentence: better now than after the run.

    Args:
        folder: where the results will go.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        sys.exit(f"The results cannot be written to {folder} ({error.strerror}); choose another with --out.")


@contextlib.contextmanager
def double_precision() -> Iterator[None]:
    """Compute in 64-bit numbers for a while."""
    before = jax.config.values["jax_enable_x64"]
    jax.config.update("jax_enable_x64", True)  # type: ignore[no-untyped-call]  # JAX's own lack
    try:
        yield
    finally:
        jax.config.update("jax_enable_x64", before)  # type: ignore[no-untyped-call]


def environment() -> dict[str, Any]:
    """Return what a number depends on besides the code: versions, device, precision."""
    device = jax.devices()[0]
    return {
        "python": platform.python_version(),
        "versions": {package: importlib.metadata.version(package) for package in PACKAGES},
        "device": f"{device.platform} ({device.device_kind}), {os.cpu_count()} cores",
        "matmul_precision": str(jax.config.values["jax_default_matmul_precision"]),
        "x64": bool(jax.config.values["jax_enable_x64"]),
    }


def save(folder: Path, config: Any, numbers: Mapping[str, Any], figures: Mapping[str, "Figure"]) -> None:
    """Write ``result.json`` and the pictures, and say where; each file appears whole or not at all.

    Args:
        folder: where to; it is made if need be.
        config: the experiment's dataclass, written verbatim.
        numbers: what was found, such as JSON can hold.
        figures: matplotlib figures by name, written as PNG.
    """
    check_folder(folder)
    result = {"config": dataclasses.asdict(config), "environment": environment(), "numbers": dict(numbers)}
    text = json.dumps(result, indent=2, default=_jsonable)
    write(folder / "result.json", text.encode())
    for name, figure in figures.items():
        drawn = io.BytesIO()
        figure.savefig(drawn, format="png", dpi=150)
        write(folder / f"{name}.png", drawn.getvalue())
    print(f"\n{SAVED} {folder}/")


def write(path: Path, contents: bytes) -> None:
    """Write a file that appears whole or not at all.

    Args:
        path: where to; what is there is replaced.
        contents: of the file.

    Raises:
        OSError: it could not be written, and why.
    """
    temporary = None
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            temporary = file.name
            file.write(contents)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
        temporary = None
    except OSError as error:
        raise OSError(f"{path} cannot be written ({error.strerror}).") from error
    finally:
        if temporary is not None:
            os.unlink(temporary)


def table(rows: Sequence[Sequence[Any]]) -> str:
    """Lay rows of cells out as text, the first column to the left and the others to the right.

    Args:
        rows: the cells of each row; the first row is the heading.

    Returns:
        The lines, with a rule below the heading.
    """
    cells = [[str(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    lines = [
        "  ".join(
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    ]
    return "\n".join([lines[0], "-" * (sum(widths) + 2 * (len(widths) - 1)), *lines[1:]])


def _module_name() -> str:
    spec = sys.modules["__main__"].__spec__
    return spec.name if spec is not None else "experiments"


def _jsonable(value: Any) -> Any:
    """Turn what JSON does not know into what it does: arrays to lists, paths to text."""
    return value.tolist() if hasattr(value, "tolist") else str(value)
