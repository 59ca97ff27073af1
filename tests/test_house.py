"""The rules of the house: reading order, documentation that runs, and an import that changes nothing."""

import ast
import contextlib
import enum
import importlib
import inspect
import io
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import jaxtyping
import mutants
import pytest

import jaxmlp
from jaxmlp.sweeps import Best, CrossValidation, Sweep
from jaxmlp.training import Replay, Run

ROOT = Path(__file__).parent.parent
MODULES = sorted(ROOT.glob("jaxmlp/**/*.py"))
OPTIONAL = (
    "matplotlib", "sklearn", "pandas", "tqdm", "tyro", "keras", "orbax", "grain", "tensorboardX", "beartype", "pytest",
)  # fmt: skip


def module_of(path):
    """The place of a file in the reading order: its module, a package counting as one."""
    return path.relative_to(ROOT / "jaxmlp").parts[0].removesuffix(".py")


def imported_names(path):
    """Every dotted name that a file imports from jaxmlp, wherever in the file."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] == "jaxmlp")
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name} imports relatively; name the module in full"
            if node.module == "jaxmlp":
                yield from (f"jaxmlp.{alias.name}" for alias in node.names)
            elif (node.module or "").startswith("jaxmlp."):
                yield node.module


def public_things():
    """Every public function, class and method, with its name."""
    for name in jaxmlp.__all__:
        module = importlib.import_module(f"jaxmlp.{name}")
        exported = getattr(module, "__all__", None) or [n for n in vars(module) if not n.startswith("_")]
        for n in exported:
            thing = getattr(module, n)
            if not (inspect.isfunction(thing) or inspect.isclass(thing)):
                continue
            if thing.__module__.startswith(f"jaxmlp.{name}"):
                yield f"{name}.{n}", thing
                if inspect.isclass(thing):
                    yield from methods(f"{name}.{n}", thing)


def methods(name, cls):
    for n, member in vars(cls).items():
        function = member.__func__ if isinstance(member, classmethod | staticmethod) else member
        if inspect.isfunction(function) and not n.startswith("_") and function.__module__ == cls.__module__:
            yield f"{name}.{n}", function


THINGS = dict(public_things())
FUNCTIONS = {name: thing for name, thing in THINGS.items() if not inspect.isclass(thing)}
# The verbs of a protocol or of a NamedTuple's own making are described, not run.
DESCRIBED = {name for name in FUNCTIONS if name.startswith("types.") and name.count(".") == 2}


ARRAYS = {
    name: [
        argument
        for argument, parameter in inspect.signature(function).parameters.items()
        if re.search(r"(Float|Int|Shaped)\[[\w.]*Array, '[^']", repr(parameter.annotation)) and argument != "key"
    ]
    for name, function in FUNCTIONS.items()
}


def documented_arguments(docstring):
    """Names and texts of the entries under ``Args:``."""
    section = re.search(r"\n\s*Args:\n(.*?)(?=\n\s*\n\s*\w+:\n|\n\s*\n\s*\w+:$|\Z)", docstring, re.DOTALL)
    if section is None:
        return {}
    lines = section.group(1).split("\n")
    indent = len(lines[0]) - len(lines[0].lstrip())
    entries = {}
    for line in lines:
        if line.strip() and len(line) - len(line.lstrip()) == indent and ":" in line:
            name, text = line.strip().split(":", 1)
            entries[name.lstrip("*")] = text
        elif line.strip() and entries:
            entries[next(reversed(entries))] += " " + line.strip()
    return entries


def test_every_module_is_in_the_reading_order():
    found = {info.name for info in pkgutil.iter_modules(jaxmlp.__path__)}
    assert found == set(jaxmlp.__all__)


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_modules_import_only_from_those_before_them(path):
    module = module_of(path)
    if module == "__init__":
        assert not list(imported_names(path))
        return
    place = jaxmlp.__all__.index(module)
    for name in imported_names(path):
        other = name.split(".")[1]
        assert other == module or other in jaxmlp.__all__[:place], f"{path.name} imports {name}"


PACKAGES = sorted(path.parent.name for path in ROOT.glob("jaxmlp/*/__init__.py"))


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_is_imported_by_its_own_name_only(package):
    """One import path per name: outside of the package nobody reaches into its files."""
    for path in MODULES:
        if module_of(path) != package:
            assert not [n for n in imported_names(path) if n.startswith(f"jaxmlp.{package}.")], path


def test_files_inside_training_import_only_from_those_before_them():
    order = ["recipe", "evaluation", "step", "watch", "fingerprint", "state", "kernel", "program", "inputs", "store"]
    order += ["saving", "replay", "compiling", "run", "host", "fit", "__init__"]
    for path in (ROOT / "jaxmlp/training").glob("*.py"):
        place = order.index(path.stem)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            module = node.module if isinstance(node, ast.ImportFrom) else ""
            if module and module.startswith("jaxmlp.training"):
                inner = module.split(".")[2:] or [alias.name for alias in node.names]
                assert all(order.index(i) < place for i in inner), path


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_files_hold_one_subject(path):
    code = [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    assert len(code) <= 300


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_modules_say_what_they_are_for(path):
    assert len(ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "") > 20


def test_importing_changes_no_setting_and_imports_nothing_optional():
    program = f"""
import sys, os
before = dict(os.environ)
import jax
settings = dict(jax.config.values)
import jaxmlp
for name in jaxmlp.__all__:
    if name != "plots":
        getattr(jaxmlp, name)
assert dict(jax.config.values) == settings, "a JAX setting has changed"
assert dict(os.environ) == before, "the environment has changed"
assert not jax._src.xla_bridge._backends, "a device has been initialised"
loaded = [name for name in {OPTIONAL!r} if name in sys.modules]
assert not loaded, loaded
"""
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT)


def test_an_unknown_module_gets_the_list():
    with pytest.raises(AttributeError, match="jaxmlp has no module 'optimisers'; it has types, checks, "):
        _ = jaxmlp.optimisers


@pytest.mark.parametrize("name", THINGS)
def test_public_things_are_described_in_one_line_first(name):
    lines = (THINGS[name].__doc__ or "").strip().split("\n")
    assert lines[0].endswith("."), f"{name} begins with {lines[0]!r}"
    assert len(lines) == 1 or not lines[1].strip()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_documented_arguments_are_those_of_the_signature(name):
    signature = [p for p in inspect.signature(FUNCTIONS[name]).parameters if p not in ("self", "cls")]
    if name not in DESCRIBED:
        assert list(documented_arguments(FUNCTIONS[name].__doc__)) == signature


@pytest.mark.parametrize("name", sorted(set(FUNCTIONS) - DESCRIBED))
def test_array_arguments_tell_their_shapes(name):
    texts = documented_arguments(FUNCTIONS[name].__doc__)
    for argument in ARRAYS[name]:
        assert re.search(r"shape|scalar", texts[argument]), f"{name}: {argument}:{texts[argument]}"


def test_most_functions_take_arrays():
    """Lest the rule above finds none to hold for."""
    assert ARRAYS["mlp.MLP.apply"] == ["x"]
    assert ARRAYS["losses.softmax_cross_entropy"] == ["logits", "labels"]
    assert ARRAYS["metrics.accuracy"] == ["outputs", "targets", "weight"]


RECORDS = (Best, CrossValidation, Replay, Run, Sweep)


def is_record(thing):
    """Whether a class only holds what others made: a tuple, an enumeration, a protocol, a result."""
    methods_of_its_own = [n for n in vars(thing) if not n.startswith("_") and inspect.isroutine(vars(thing)[n])]
    is_state = issubclass(thing, tuple) and thing.__name__.endswith("State")  # its methods have their own examples
    is_tuple = is_state or (issubclass(thing, tuple) and not methods_of_its_own)
    return is_tuple or issubclass(thing, enum.Enum) or getattr(thing, "_is_protocol", False) or thing in RECORDS


@pytest.mark.parametrize("name", sorted(set(THINGS) - DESCRIBED))
def test_public_things_have_an_example_that_runs(name):
    thing = THINGS[name]
    if not (inspect.isclass(thing) and is_record(thing)):
        assert ">>> " in thing.__doc__, f"{name} has no example"


def readme_blocks():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return re.findall(r"```python\n(.*?)```\n(?:\s*(?:It )?[Pp]rints:?\s*)?(?:\n?```text\n(.*?)```)?", text, re.DOTALL)


def split_numbers(text):
    """Words and numbers of a text apart, so that numbers may differ by a little between machines."""
    number = r"(?<![\w])\d+(?:\.\d+)?"
    return re.sub(number, "#", text).split(), [float(n) for n in re.findall(number, text)]


@pytest.mark.parametrize(("code", "expected"), readme_blocks())
def test_the_readme_runs_and_prints_what_it_says(code, expected):
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code, "README.md", "exec"), {"__name__": "__readme__"})
    words, numbers = split_numbers(printed.getvalue())
    expected_words, expected_numbers = split_numbers(expected)
    assert words == expected_words
    assert numbers == pytest.approx(expected_numbers, rel=0.03)


def test_the_readme_has_an_example():
    assert any(expected for _, expected in readme_blocks())


def test_the_readme_names_the_two_commands():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert 'pip install -e ".[experiments]" && python -m experiments.digits\n' in text
    assert 'pip install -e ".[dev]" && pytest\n' in text


def test_types_are_checked_in_the_tests():
    from jaxmlp import losses

    with pytest.raises(jaxtyping.TypeCheckError):
        losses.weighted_mean("no array")


def test_the_table_of_mutants_fits_the_code():
    assert mutants.misfits() == []
    assert len(mutants.MUTANTS) >= 40
