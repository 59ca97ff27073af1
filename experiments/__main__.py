"""List the experiments: ``python -m experiments``."""

import ast
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent

CHAPTERS = {
    "Neurons": ("logic_gates", "concert", "perceptron_convergence"),
    "Multilayer perceptrons": ("xor_mlp", "backprop_by_hand", "activations"),
    "Gradient descent": (
        "gradient_descent", "learning_rate", "batch_size", "vanishing_gradients", "optimizer_race", "feature_scaling",
    ),
    "Generalization": ("architecture", "overfitting", "l1_l2", "dropout", "early_stopping"),
    "Real data": ("digits", "pumpkin_seeds", "mnist"),
}  # fmt: skip
"""The experiments in the lecture's order."""


class Header(NamedTuple):
    """What an experiment's docstring says."""

    question: str
    method: str
    expected: str
    """The answer at full settings: all from the word "Expected" on."""


def header(name: str) -> Header:
    """Read an experiment's docstring without importing the experiment.

    Args:
        name: of the module in this package, such as "xor_mlp".
    """
    path = HERE.joinpath(*name.split(".")).with_suffix(".py")
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    question, _, rest = text.partition("\n\n")
    paragraphs = [" ".join(part.split()) for part in rest.split("\n\n") if not part.startswith("    ")]
    method, word, expected = " ".join(paragraphs).partition("Expected")
    return Header(" ".join(question.split()), method.strip(), word + expected)


def questions() -> dict[str, str]:
    """Return each module with options and its question: experiments in the lecture's order, then the others."""
    modules = sorted(path.relative_to(HERE).with_suffix("") for path in HERE.rglob("*.py"))
    others = [
        ".".join(module.parts)
        for module in modules
        if any(isinstance(node, ast.ClassDef) and node.name == "Config" for node in _body(module))
    ]
    known = [name for names in CHAPTERS.values() for name in names]
    names = known + [name for name in others if name not in known]
    return {f"experiments.{name}": header(name).question for name in names}


def main() -> None:
    """Print the list."""
    chapters = {f"experiments.{names[0]}": chapter for chapter, names in CHAPTERS.items()}
    chapters |= {"experiments.benchmarks.data_scaling": "Benchmarks", "experiments.gallery": "All on one page"}
    print("One question, one command, one picture.")
    for name, question in questions().items():
        if name in chapters:
            print(f"\n{chapters[name]}")
        print(f"  python -m {name}\n      {question}")
    print("\nAdd --help to any of them for its options.")


def _body(module: Path) -> list[ast.stmt]:
    return ast.parse(HERE.joinpath(module).with_suffix(".py").read_text(encoding="utf-8")).body


if __name__ == "__main__":
    main()
