"""Training: what is trained, one step, the whole run as one program, and the host around it.

In reading order: ``recipe`` says what is trained and how, ``evaluation`` how good it is, ``step`` is one step of
gradient descent, ``watch`` measures how training itself is doing, ``fingerprint`` tells which programs are the same,
``state`` where a run stands, ``kernel`` makes one kernel of the steps of small nets, ``program`` is the compiled run,
``inputs`` checks what it is given, ``store`` is where states are kept and ``saving`` keeps them, ``replay`` looks into
a single step, ``compiling`` has XLA's options and the cache of programs, ``run`` is what comes out, ``host`` hears
Ctrl-C and draws a progress bar, and ``fit`` is the call that a person makes.

What ``sweeps`` and ``diagnostics`` build on stands here under its own names, too, though not in ``__all__``.
"""

from jaxmlp.training.compiling import compilation_cache
from jaxmlp.training.evaluation import evaluate as evaluate
from jaxmlp.training.fingerprint import fingerprint as fingerprint
from jaxmlp.training.fit import fit
from jaxmlp.training.host import SECONDS_PER_CHUNK as SECONDS_PER_CHUNK
from jaxmlp.training.host import SECONDS_PER_SAVE as SECONDS_PER_SAVE
from jaxmlp.training.host import Show as Show
from jaxmlp.training.host import interruptible as interruptible
from jaxmlp.training.host import next_pace as next_pace
from jaxmlp.training.host import progress_bar as progress_bar
from jaxmlp.training.inputs import parts_of as parts_of
from jaxmlp.training.inputs import prepare as prepare
from jaxmlp.training.inputs import to_batch as to_batch
from jaxmlp.training.kernel import is_key as is_key
from jaxmlp.training.program import advance as advance
from jaxmlp.training.program import gather as gather
from jaxmlp.training.program import make_run
from jaxmlp.training.program import start as start
from jaxmlp.training.recipe import AnyRecipe as AnyRecipe
from jaxmlp.training.recipe import Recipe
from jaxmlp.training.recipe import resolve as resolve
from jaxmlp.training.replay import Replay
from jaxmlp.training.run import Origin as Origin
from jaxmlp.training.run import Run, StopReason
from jaxmlp.training.run import compiled_advance as compiled_advance
from jaxmlp.training.run import compiled_start as compiled_start
from jaxmlp.training.run import names_in_order as names_in_order
from jaxmlp.training.run import options_of as options_of
from jaxmlp.training.run import reason as reason
from jaxmlp.training.run import to_run as to_run
from jaxmlp.training.saving import WHAT as WHAT
from jaxmlp.training.saving import describe as describe
from jaxmlp.training.saving import digest as digest
from jaxmlp.training.saving import fitted as fitted
from jaxmlp.training.saving import warn_of_changes as warn_of_changes
from jaxmlp.training.state import DIVERGED as DIVERGED
from jaxmlp.training.state import RUNNING as RUNNING
from jaxmlp.training.state import STOPPED_EARLY as STOPPED_EARLY
from jaxmlp.training.state import Inputs as Inputs
from jaxmlp.training.state import Keys as Keys
from jaxmlp.training.state import Program as Program
from jaxmlp.training.state import RunState
from jaxmlp.training.state import keys_of as keys_of
from jaxmlp.training.step import first_step as first_step
from jaxmlp.training.step import plan_step as plan_step
from jaxmlp.training.step import train_step
from jaxmlp.training.watch import by_layer as by_layer
from jaxmlp.training.watch import measure_plan as measure_plan

__all__ = ["Recipe", "Replay", "Run", "RunState", "StopReason", "compilation_cache", "fit", "make_run", "train_step"]
