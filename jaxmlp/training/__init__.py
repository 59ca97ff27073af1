"""Training: what is trained, one step, the whole run as one program, and the host around it.

In reading order: ``recipe`` says what is trained and how, ``evaluation`` how good it is, ``step`` is one step of
gradient descent, ``fingerprint`` tells which programs are the same, ``state`` where a run stands, ``kernel`` makes
one kernel of the steps of small nets, ``program`` is the compiled run, ``inputs`` checks what it is given, ``saving``
keeps it, ``replay`` looks into a single step, ``run`` is what comes out, and ``fit`` the call that a person makes.
"""

from jaxmlp.training.fit import fit
from jaxmlp.training.program import make_run
from jaxmlp.training.recipe import Recipe
from jaxmlp.training.replay import Replay
from jaxmlp.training.run import Run, StopReason
from jaxmlp.training.state import RunState
from jaxmlp.training.step import train_step

__all__ = ["Recipe", "Replay", "Run", "RunState", "StopReason", "fit", "make_run", "train_step"]
