"""Runs ``experiments/colab.ipynb`` from top to bottom in a fresh kernel.

``python tests/colab_notebook.py`` runs it at the settings it shows, in a minute or two, and stores what comes out.
With ``FROM TO MEMBERS=100 ...`` behind it, it runs another file at other settings and writes a third.
"""

import hashlib
import os
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parent.parent / "experiments" / "colab.ipynb"
SETTINGS = "settings"
"""The id of the cell whose numbers may be others."""

QUIET = {"TQDM_DISABLE": "1", "PYTHONWARNINGS": "ignore:IProgress not found"}
"""A bar that moves is nothing to store, nor is the remark that it would be a prettier one with ipywidgets."""


def digest(notebook):
    """Return a checksum of the code, by which stored outputs are known to be those of the code beside them."""
    sources = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    return hashlib.sha256("\0".join(sources).encode()).hexdigest()


def with_settings(source, settings):
    """Return the lines of a cell with other numbers behind some of its names."""
    lines = source.splitlines()
    for name, value in settings.items():
        (at,) = (i for i, line in enumerate(lines) if line.startswith(f"{name} = "))
        lines[at] = f"{name} = {value}"
    return "\n".join(lines)


def execute(notebook, settings):
    """Run all cells in the current folder; what the cells say stays as it is."""
    (cell,) = (cell for cell in notebook.cells if cell.id == SETTINGS)
    shown, cell.source = cell.source, with_settings(cell.source, settings)
    client = NotebookClient(notebook, timeout=600, record_timing=False, coalesce_streams=True)
    client.execute(env=os.environ | QUIET)
    cell.source = shown
    notebook.metadata.language_info = {"name": "python"}  # without the version, which is not Colab's
    notebook.metadata.executed = digest(notebook)


def main(source=NOTEBOOK, target=NOTEBOOK, *settings):
    """Read a notebook, run it and write it."""
    notebook = nbformat.read(source, as_version=4)
    execute(notebook, dict(setting.split("=") for setting in settings))
    nbformat.write(notebook, target)


if __name__ == "__main__":
    main(*sys.argv[1:])
