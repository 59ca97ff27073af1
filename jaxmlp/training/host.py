"""The host around a program that runs: Ctrl-C, and a bar that shows how far it has come."""

import contextlib
import signal
import sys
import threading
import types
from collections.abc import Callable, Iterator, Mapping
from typing import TypeAlias

SECONDS_PER_CHUNK = 0.2
"""How long the host leaves the program alone: short enough for a lively progress bar and a prompt Ctrl-C."""

SECONDS_PER_SAVE = 30.0
"""How much may be lost with the machine."""

Show: TypeAlias = Callable[[int, Callable[[], Mapping[str, float]]], None]
"""Shows how much is done, and numbers by name."""


def next_pace(pace: int, ran: int, seconds: float) -> int:
    """Return the number of epochs that should fill a chunk, growing at most fourfold."""
    return max(1, min(4 * pace, round(SECONDS_PER_CHUNK / max(seconds, 1e-9) * ran)))


@contextlib.contextmanager
def interruptible() -> Iterator[threading.Event]:
    """Turn the first Ctrl-C into a flag, and leave the second to Python; only in the main thread."""
    interrupted = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield interrupted
        return
    usual = signal.getsignal(signal.SIGINT)
    if usual is signal.SIG_IGN:  # as in the background of a shell script, where Ctrl-C is meant for others
        yield interrupted
        return

    def first(number: int, frame: types.FrameType | None) -> None:
        del number, frame
        interrupted.set()
        signal.signal(signal.SIGINT, usual)

    signal.signal(signal.SIGINT, first)
    try:
        yield interrupted
    finally:
        signal.signal(signal.SIGINT, usual)


@contextlib.contextmanager
def progress_bar(wanted: bool, total: int, unit: str) -> Iterator[Show]:
    """Yield a function that shows how much of the total is done, and numbers that it asks for; or does nothing."""
    on_screen = "ipykernel" in sys.modules or (sys.stderr is not None and sys.stderr.isatty())
    if not (wanted and on_screen):
        yield lambda done, numbers: None
        return
    try:
        from tqdm.auto import tqdm
    except ImportError:
        yield lambda done, numbers: None
        return
    with tqdm(total=total, unit=unit, dynamic_ncols=True) as bar:

        def show(done: int, numbers: Callable[[], Mapping[str, float]]) -> None:
            bar.set_postfix({name: f"{number:.4g}" for name, number in numbers().items()}, refresh=False)
            bar.update(done - bar.n)

        yield show
