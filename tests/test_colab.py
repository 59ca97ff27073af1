import base64
import os
import re
import socket
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import colab_notebook
import colab_requirements
import nbformat
import pytest
from packaging.requirements import Requirement

from experiments import data_sets

ROOT = Path(__file__).parent.parent
STORED = nbformat.read(ROOT / "experiments" / "colab.ipynb", as_version=4)
TEXT = {cell.id: cell.source for cell in STORED.cells if cell.cell_type == "markdown"}
SMALL = ("EPOCHS=3", "MNIST_EPOCHS=1", "MEMBERS=50", "SWEEP_EPOCHS=1")


def code(notebook):
    """The cells of code, by their ids."""
    return {cell.id: cell for cell in notebook.cells if cell.cell_type == "code"}


def printed(cell):
    return "".join(output.text for output in cell.outputs if output.output_type == "stream")


def pictures(cell):
    found = [output.data.get("image/png") for output in cell.outputs if output.output_type == "execute_result"]
    return [base64.b64decode(picture) for picture in found if picture]


def check_outputs(notebook):
    """Every cell has run, in order and once, and nothing has gone wrong or been warned of."""
    nbformat.validate(notebook)
    cells = code(notebook)
    assert [cell.execution_count for cell in cells.values()] == list(range(1, len(cells) + 1))
    for cell in cells.values():
        for output in cell.outputs:
            assert output.output_type in ("stream", "execute_result"), output
            assert output.get("name", "stdout") == "stdout", output
    assert printed(cells["compare"]) == "Equal to the bit, parameters and history: True\n"


def run(folder, notebook, *settings, **environment):
    """Run a notebook in a process of its own, compiled faster than for users, though not as fast as the tests are."""
    nbformat.write(notebook, folder / "before.ipynb")
    flags = re.sub(r"--xla_force_host\S*", "", os.environ["XLA_FLAGS"]).replace("level=0", "level=1")
    environment = {"XLA_FLAGS": flags, "PYTHONPATH": str(ROOT), **environment}
    clean = {name: value for name, value in os.environ.items() if name != "MPLBACKEND"}
    return subprocess.run(
        [sys.executable, colab_notebook.__file__, folder / "before.ipynb", folder / "after.ipynb", *settings],
        cwd=folder, env=clean | environment, capture_output=True, text=True, timeout=300,
    )  # fmt: skip


def test_the_stored_outputs_are_those_of_the_stored_code():
    assert (STORED.nbformat, STORED.nbformat_minor) == (4, 5)
    check_outputs(STORED)
    assert STORED.metadata.executed == colab_notebook.digest(STORED), "run python tests/colab_notebook.py"


@pytest.mark.parametrize("name", ["digits", "mnist", "sweep"])
def test_the_stored_outputs_are_as_good_as_the_text_says(name):
    (claimed,) = re.findall(r"at least (\d+) %", TEXT[f"about-{name}"], re.IGNORECASE)
    (found,) = re.findall(r"([\d.]+)(?: \+- [\d.]+)? % of", printed(code(STORED)[name]))
    assert float(claimed) <= float(found) < float(claimed) + 3


def test_the_stored_outputs_are_small_and_tell_nothing_of_the_machine():
    path = ROOT / "experiments" / "colab.ipynb"
    assert path.stat().st_size <= 600_000
    drawn = {name: pictures(cell) for name, cell in code(STORED).items() if pictures(cell)}
    assert list(drawn) == ["digits-curves", "sweep-picture"]
    for (picture,) in drawn.values():
        assert picture.startswith(b"\x89PNG")
        assert 5_000 < len(picture) <= 100_000
    for cell in code(STORED).values():
        assert not re.search(r"(?<![\w.%])/\w", printed(cell)), printed(cell)
        assert socket.gethostname() not in printed(cell)


def test_the_notebook_runs_from_top_to_bottom(tmp_path):
    """At small settings; where MNIST is not there, nothing is fetched."""
    there = os.environ.get("JAXMLP_DATA") or data_sets.BESIDE_CHECKOUT
    done = run(tmp_path, STORED, *SMALL, JAXMLP_DATA=str(there))
    assert done.returncode == 0, done.stderr
    executed = nbformat.read(tmp_path / "after.ipynb", as_version=4)
    check_outputs(executed)
    assert "50 nets" in printed(code(executed)["sweep"])
    assert "3 epochs" in printed(code(executed)["digits"])
    assert list((tmp_path / "results" / "jaxmlp-colab").iterdir())
    for before, after in zip(code(STORED).values(), code(executed).values(), strict=True):
        assert before.source == after.source
        assert len(pictures(before)) == len(pictures(after))
        if before.id != "mnist" or "left out" not in printed(after):
            assert printed(before).count("\n") == printed(after).count("\n")


def test_a_broken_cell_is_noticed(tmp_path):
    cells = [code(STORED)["settings"], nbformat.v4.new_code_cell("EPOCHS / 0")]
    done = run(tmp_path, nbformat.v4.new_notebook(cells=cells))
    assert done.returncode != 0
    assert "ZeroDivisionError" in done.stderr
    assert not (tmp_path / "after.ipynb").exists()


def test_settings_that_there_are_not_are_refused():
    source = code(STORED)["settings"].source
    assert colab_notebook.with_settings(source, {"MEMBERS": 100}).splitlines()[2] == "MEMBERS = 100"
    with pytest.raises(ValueError, match="not enough values"):
        colab_notebook.with_settings(source, {"MEMBER": 100})


def test_without_mnist_the_notebook_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("JAXMLP_DATA", str(tmp_path / "absent"))
    exec(code(STORED)["mnist"].source, {})
    assert re.fullmatch(r"MNIST is left out: .*absent is no folder; .*\n", capsys.readouterr().out)


def test_the_install_line_leaves_what_is_there():
    """It names no version and asks for no newer one, and its extras are among those that pip is asked about in CI."""
    lines = [line.strip() for line in code(STORED)["install"].source.splitlines() if "pip" in line]
    (found,) = [re.fullmatch(r'%pip install --quiet "\.\[([a-z,]+)\]"', line) for line in lines]
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    asked = set(colab_requirements.EXTRAS)
    for name in colab_requirements.EXTRAS:
        asked.update(*(inner.split(",") for inner in re.findall(r"jaxmlp\[(.*)\]", " ".join(extras[name]))))
    assert set(found.group(1).split(",")) <= asked
    assert set(extras) - asked == {"dev"}


def test_the_badge_is_shown_once_there_is_an_address():
    (repository,) = re.findall(r'REPOSITORY = "([\w-]+/[\w-]+)"', code(STORED)["install"].source)
    known = not repository.startswith("OWNER/")
    link = f"https://colab.research.google.com/github/{repository}/blob/main/experiments/colab.ipynb"
    shown = re.sub(r"<!--.*?-->", "", TEXT["title"], flags=re.DOTALL)
    assert "colab-badge.svg" in TEXT["title"]
    for place in (shown, (ROOT / "README.md").read_text()):
        assert ("colab-badge.svg" in place, link in place) == (known, known)


THERE = colab_requirements.listed((ROOT / "tests" / "colab_packages.txt").read_text())


def requirements():
    """What jaxmlp requires in Colab, its own extras apart."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = [project["optional-dependencies"][name] for name in (*colab_requirements.EXTRAS, "plots", "sklearn")]
    listed = [Requirement(text) for text in sum(extras, project["dependencies"])]
    return {colab_requirements.plain(one.name): one.specifier for one in listed if one.name != "jaxmlp"}


def test_what_colab_brings_is_new_enough():
    found = requirements()
    assert {"jax", "numpy", "scikit-learn", "matplotlib", "orbax-checkpoint"} <= set(found) & set(THERE)
    assert set(found) <= set(THERE) | set(colab_requirements.ABSENT)
    assert [name for name in set(found) & set(THERE) if not found[name].contains(THERE[name])] == []


def wheel(folder, name, version, *requires):
    """Write a package of nothing but its metadata."""
    about = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n" + "".join(
        f"Requires-Dist: {r}\n" for r in requires
    )
    inside = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as file:
        file.writestr(f"{inside}/METADATA", about)
        file.writestr(f"{inside}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        file.writestr(f"{inside}/RECORD", "")


def test_pip_is_asked_what_would_change_in_colab(tmp_path):
    """A requirement of ours or of what we require; of what is there, or is not."""
    there = {"numpy": "2.1.3"}
    for version in ("2.1.3", "2.9.0"):
        wheel(tmp_path, "numpy", version)
    wheel(tmp_path, "harmless", "1.0", "numpy>=2.1")
    wheel(tmp_path, "greedy", "1.0", "numpy>=2.2")
    offline = ("--no-index", "--find-links", str(tmp_path))
    new = colab_requirements.installs(["harmless", "numpy>=2.0"], there, *offline)
    assert new == {"harmless": "1.0"}
    assert colab_requirements.changes(new, there) == [
        "harmless may be there or not; add it to colab_packages.txt or ABSENT"
    ]
    new = colab_requirements.installs(["greedy"], there, *offline)
    assert new == {"greedy": "1.0", "numpy": "2.9.0"}
    assert colab_requirements.changes(new, there)[0] == "numpy 2.1.3 would become 2.9.0"
    assert colab_requirements.changes({"jaxmlp": "0.1.0", "jaxtyping": "0.3.0"}, there) == []
    with pytest.raises(SystemExit, match="pip finds nothing that fits absent"):
        colab_requirements.installs(["absent"], there, *offline)


def test_names_of_packages_are_compared_as_pip_does():
    there = colab_requirements.listed("# of today\n\nScikit_learn==1.6.1\nml.dtypes==0.5.4\n")
    assert there == {"scikit-learn": "1.6.1", "ml-dtypes": "0.5.4"}
