"""What does the whole lecture come to, in pictures?

    python -m experiments.gallery
    python -m experiments.gallery --smoke
    python -m experiments.gallery --experiments xor_mlp learning_rate

Runs the experiments one after the other and writes one HTML page that needs no other file: for each its question, the
answer that its header expects, its pictures, the table that this run printed and the command. The page is written
anew after each experiment, so that one that is interrupted keeps what there is. One that fails, or whose data are not
there, is named on the page and does not stop the others.
Expected: all experiments but mnist in a quarter of an hour on two CPU cores, in three minutes with --smoke.
"""

import base64
import contextlib
import dataclasses
import html
import importlib
import io
import sys
import time
import traceback
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import jax
from PIL import Image

from experiments import data_sets, reporting
from experiments.__main__ import CHAPTERS, header
from jaxmlp import checks

STYLE = """
:root { color-scheme: light dark; }
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 60rem; margin: 0 auto; padding: 1rem; overflow-wrap: anywhere; }
section { border-top: 1px solid #8886; margin-top: 2.5rem; }
img { max-width: 100%; height: auto; background: white; display: block; margin: 1rem 0; }
pre { overflow-x: auto; overflow-wrap: normal; padding: 0.75rem; border: 1px solid #8886; font-size: 0.85rem; }
.note { border-left: 0.25rem solid #c60; padding-left: 0.75rem; }
"""
WIDTH_OF_COPIES = 1000  # pixels
COLORS_OF_COPIES = 64


@dataclasses.dataclass(frozen=True)
class Config:
    """The options of the gallery."""

    experiments: tuple[str, ...] = ()
    """Which to run; without it all but mnist, which takes as long as all the others."""
    data_dir: Path | None = None
    """Folder with the data sets of the experiments that need one."""
    smoke: bool = False
    """Try each for seconds, to see that it runs."""
    out: Path = Path("results/gallery")
    """Folder for index.html and, in a folder each, for what the experiments write."""
    copies: Path | None = None
    """Folder for a small copy of a picture of each, such as experiments/README.md shows."""


@dataclasses.dataclass(frozen=True)
class Exhibit:
    """What the page shows of an experiment."""

    name: str
    printed: str
    pictures: tuple[Path, ...]
    seconds: float
    missing: str = ""
    """Why there is nothing to show: which data are not there."""
    failure: str = ""
    """What went wrong."""


def run(config: Config) -> list[Exhibit]:
    """Run the experiments and write the page."""
    known = [name for names in CHAPTERS.values() for name in names]
    for name in config.experiments:
        checks.one_of("experiments", name, known)
    reporting.check_folder(config.out)
    if config.copies is not None:
        reporting.check_folder(config.copies)
    chosen = [name for name in known if name in config.experiments or (not config.experiments and name != "mnist")]
    exhibits: list[Exhibit] = []
    for name in chosen:
        print(f"\n# {name}: {header(name).question}\n", flush=True)
        exhibits.append(exhibit(name, config))
        reporting.write(config.out / "index.html", page(exhibits, config.smoke).encode())
        if config.copies is not None and exhibits[-1].pictures:
            copy(exhibits[-1], config.copies)
    print(f"\nThe page is {config.out / 'index.html'}")
    return exhibits


def exhibit(name: str, config: Config) -> Exhibit:
    """Run an experiment, as its command would, and keep what it prints."""
    module = importlib.import_module(f"experiments.{name}")
    options: dict[str, Any] = {"smoke": config.smoke, "out": config.out / name}
    if "data_dir" in {field.name for field in dataclasses.fields(module.Config)}:
        options["data_dir"] = config.data_dir
    printed, missing, failure = io.StringIO(), "", ""
    start = time.perf_counter()
    try:
        with contextlib.redirect_stdout(printed):
            module.run(module.Config(**options))
    except data_sets.DataError as error:
        missing = str(error)
    except Exception as error:  # the other experiments must not suffer from it
        traceback.print_exc()
        failure = f"It failed: {type(error).__name__}: {error}"
    finally:
        jax.clear_caches()  # type: ignore[no-untyped-call]  # the next one has other programs
    seconds = time.perf_counter() - start
    text = printed.getvalue().split(f"\n{reporting.SAVED}")[0].strip("\n")
    print(text or missing or failure, flush=True)
    pictures = () if missing or failure else tuple(sorted(options["out"].glob("*.png")))
    return Exhibit(name, text, pictures, seconds, missing, failure)


def page(exhibits: Iterable[Exhibit], smoke: bool) -> str:
    """Return the page as HTML that refers to no other file."""
    shown = {exhibit.name: exhibit for exhibit in exhibits}
    contents, sections = [], []
    for chapter, names in CHAPTERS.items():
        there = [shown[name] for name in names if name in shown]
        if there:
            contents.append(f"<h2>{html.escape(chapter)}</h2>\n<ul>")
            contents += [f'<li><a href="#{e.name}">{html.escape(header(e.name).question)}</a></li>' for e in there]
            contents.append("</ul>")
            sections += [section(exhibit, smoke) for exhibit in there]
    about = reporting.environment()
    versions = ", ".join(f"{package} {version}" for package, version in about["versions"].items())
    tried = (
        '<p class="note">Each experiment was only tried for some seconds (<code>--smoke</code>): '
        "tables and pictures show that everything runs, not the answers.</p>\n"
    )
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>jaxmlp: the lecture in pictures</title>
<style>{STYLE}</style>
</head>
<body>
<header>
<h1>The lecture in pictures</h1>
<p>One question, one command, one picture. Below each question stands the answer that the full command gives, from its
header, and then what this run came to.</p>
{tried if smoke else ""}</header>
<nav>
{chr(10).join(contents)}
</nav>
<main>
{chr(10).join(sections)}
</main>
<footer>
<p>Python {about["python"]}, {html.escape(versions)}; {html.escape(about["device"])};
{sum(exhibit.seconds for exhibit in shown.values()):.0f} s in all.</p>
</footer>
</body>
</html>
"""


def section(exhibit: Exhibit, smoke: bool) -> str:
    """Return an experiment's part of the page."""
    about = header(exhibit.name)
    command = f"python -m experiments.{exhibit.name}{' --smoke' if smoke else ''}"
    parts = [
        f'<section id="{exhibit.name}">',
        f"<h2>{html.escape(about.question)}</h2>",
        f"<p>{html.escape(about.method)}</p>" if about.method else "",
        f"<p>{html.escape(about.expected)}</p>",
        *(image(path, about.question) for path in exhibit.pictures),
        f'<pre tabindex="0">{html.escape(exhibit.printed)}</pre>' if exhibit.printed else "",
        f'<p class="note">{html.escape(note)}</p>' if (note := exhibit.missing or exhibit.failure) else "",
        f"<p><code>{command}</code>, {exhibit.seconds:.0f} s</p>",
        "</section>",
    ]
    return "\n".join(part for part in parts if part)


def image(path: Path, question: str) -> str:
    """Return a picture as HTML that holds its bytes."""
    data = path.read_bytes()
    with Image.open(io.BytesIO(data)) as opened:
        width, height = opened.size
    text = html.escape(f"{path.stem.replace('_', ' ')}: {question}", quote=True)
    encoded = base64.b64encode(data).decode()
    return f'<img alt="{text}" width="{width}" height="{height}" src="data:image/png;base64,{encoded}">'


def copy(exhibit: Exhibit, folder: Path) -> None:
    """Write a copy of an experiment's first picture that is small enough for a repository."""
    with Image.open(exhibit.pictures[0]) as opened:
        small = opened.convert("RGB")
    small.thumbnail((WIDTH_OF_COPIES, WIDTH_OF_COPIES), Image.Resampling.LANCZOS)
    written = io.BytesIO()
    small.quantize(COLORS_OF_COPIES).save(written, "PNG", optimize=True)
    reporting.write(folder / f"{exhibit.name}.png", written.getvalue())


def command(config: Config) -> None:
    """Run the gallery, and end with a sentence if an experiment failed."""
    failed = [exhibit.name for exhibit in run(config) if exhibit.failure]
    if failed:
        sys.exit(f"python -m experiments.gallery: {', '.join(failed)} failed; the page says how.")


if __name__ == "__main__":
    reporting.main(Config, command, __doc__)
