"""Sweeps a space: ``python pipelines/sweep.py search_spaces/demo.yaml [key=value …]``.

The same as ``poise sweep``, as a script to read and to change.
"""

import sys

from poise.cli.sweep import print_result
from poise.sweeps import begin_sweep, run_sweep


def main(arguments: list[str]) -> None:
    """Begins a new sweep, carries it out and prints the comparison of its trials."""
    space, *overrides = arguments
    print_result(run_sweep(begin_sweep(space, overrides)))


if __name__ == "__main__":
    main(sys.argv[1:])
