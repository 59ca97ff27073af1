"""The report on the command line: python -m jaxmlp.devices."""

import sys
from collections.abc import Sequence

from jaxmlp import devices


def main(arguments: Sequence[str]) -> int:
    """Print the report and return the exit code: 1 if there are problems, 2 for arguments, which it does not take."""
    if arguments:
        print(f"python -m jaxmlp.devices takes no arguments; leave out {' '.join(arguments)}", file=sys.stderr)
        return 2
    found = devices.report()
    print(found)
    return 1 if found.problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
