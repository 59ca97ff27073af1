"""Says what installing jaxmlp in Colab would change of what is there, and fails if it is anything.

``python tests/colab_requirements.py`` asks pip, without installing anything, for this project with all extras that are
of use there; ``python tests/colab_requirements.py "numpy>=2.2"`` for something else. pip is shown the packages of
``colab_packages.txt`` as if they were installed: their names and versions are all that it looks at.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parent.parent
EXTRAS = ("experiments", "scale", "tensorboard")
ABSENT = ("jaxmlp", "jaxtyping", "tensorboardx", "tyro", "wadler-lindig")
"""What Colab does not bring, as its list says, and installing may add."""


def listed(text: str) -> dict[str, str]:
    """Return the version of each package in a list such as ``pip freeze`` prints, by its name as ``plain`` makes it."""
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return {plain(name): version for name, version in (line.split("==") for line in lines)}


def plain(name: str) -> str:
    """Return a package's name in the one way of writing it that counts (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def pretend(packages: dict[str, str], folder: Path) -> None:
    """Make a folder look to pip as if packages were installed in it."""
    for name, version in packages.items():
        about = folder / f"{name.replace('-', '_')}-{version}.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        (about / "INSTALLER").write_text("pip\n")


def installs(requirements: Sequence[str], there: dict[str, str], *options: str) -> dict[str, str]:
    """Return what pip would install where some packages are there, by name."""
    with tempfile.TemporaryDirectory() as folder:
        pretend(there, Path(folder))
        done = subprocess.run(
            [sys.executable, "-m", "pip", "install", "--dry-run", "--quiet", "--report", "-", *options, *requirements],
            env={**os.environ, "PYTHONPATH": folder}, capture_output=True, text=True, check=False,
        )  # fmt: skip
    if done.returncode:
        sys.exit(f"pip finds nothing that fits {', '.join(requirements)}:\n{done.stderr}")
    found = [item["metadata"] for item in json.loads(done.stdout)["install"]]
    return {plain(about["name"]): about["version"] for about in found}


def changes(new: dict[str, str], there: dict[str, str]) -> list[str]:
    """Return a sentence for each package that would become another version, or of which it is not known."""
    unknown = new.keys() - there.keys() - set(ABSENT)
    changed = [f"{name} {there[name]} would become {new[name]}" for name in sorted(new.keys() & there.keys())]
    return changed + [f"{name} may be there or not; add it to colab_packages.txt or ABSENT" for name in sorted(unknown)]


def main(*requirements: str) -> None:
    """Print what would be installed; end with an error if it takes the place of something."""
    there = listed((Path(__file__).parent / "colab_packages.txt").read_text(encoding="utf-8"))
    new = installs(requirements or (f"{ROOT}[{','.join(EXTRAS)}]",), there)
    if sentences := changes(new, there):
        sys.exit("In Colab " + "; ".join(sentences))
    print(f"In Colab nothing would change; new would be {', '.join(sorted(new)) or 'nothing'}")


if __name__ == "__main__":
    main(*sys.argv[1:])
