"""Checkpoints: the states of large runs, and of runs on several hosts, kept through Orbax.

``training.fit(..., save=checkpoints.Folder("runs/a"))`` has each process write its own part of every array, in the
background while training goes on, and read back only what it needs, laid out on other devices if need be. The
promises are those of ``archive``: a checkpoint is there whole or not at all; a damaged one is found by its checksums
and passed over; what was saved comes back to the bit. For a run on one device an archive is simpler: a single file.

Needs orbax-checkpoint, which ``pip install "jaxmlp[scale]"`` brings.
"""

from jaxmlp.checkpoints.checksums import checksums
from jaxmlp.checkpoints.folder import Folder
from jaxmlp.checkpoints.writer import Writer

__all__ = ["Folder", "Writer", "checksums"]
