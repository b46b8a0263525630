"""Sweeps a space: ``python pipelines/sweep.py search_spaces/demo.yaml [key=value …]``.

The same as ``poise sweep``, as a script to read and to change.
"""

import sys
from functools import partial

from poise.cli.main import exit_status
from poise.cli.study.output import carry_out, print_result
from poise.config import PoiseError
from poise.sweeps.planning import begin_study


def main(arguments: list[str]) -> None:
    """Begins a new study, carries it out and prints the comparison of its trials."""
    if not arguments:
        raise PoiseError("name a space: python pipelines/sweep.py search_spaces/demo.yaml")
    space, *overrides = arguments
    result = carry_out(begin_study(space, overrides))
    print_result(result)
    result.check_failures()  # the exit status is 3 where trials failed


if __name__ == "__main__":
    sys.exit(exit_status(partial(main, sys.argv[1:])))
