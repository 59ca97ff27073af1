"""List the experiments: ``python -m experiments``."""

import ast
from pathlib import Path


def questions() -> dict[str, str]:
    """Return each experiment's module name and its question, without importing any of them."""
    here = Path(__file__).parent
    found = {}
    for path in sorted(here.rglob("*.py")):
        module = ast.parse(path.read_text(encoding="utf-8"))
        if any(isinstance(node, ast.ClassDef) and node.name == "Config" for node in module.body):
            name = ".".join(path.relative_to(here.parent).with_suffix("").parts)
            found[name] = (ast.get_docstring(module) or "").split("\n\n")[0].replace("\n", " ")
    return found


def main() -> None:
    """Print the list."""
    for name, question in questions().items():
        print(f"python -m {name}\n    {question}")
    print("\nAdd --help to any of them for its options.")


if __name__ == "__main__":
    main()
