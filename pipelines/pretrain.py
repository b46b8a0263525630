"""Pretrains one backbone: ``python pipelines/pretrain.py recipe.yaml [key=value …]``.

The core of ``poise pretrain``, as a script to read and to change.
"""

import sys
from functools import partial

from poise.cli.main import exit_status, resumable
from poise.cluster.connection import start_ray_early
from poise.config import PoiseError
from poise.runs.folder import begin
from poise.runs.pretraining import carry_out


def main(arguments: list[str]) -> None:
    """Trains, tracks and judges one run."""
    if not arguments:
        raise PoiseError("name a recipe: python pipelines/pretrain.py recipe.yaml")
    path, *overrides = arguments
    recipe, name = begin(path, overrides, meanwhile=start_ray_early)
    with resumable(f"poise pretrain --resume {name}"):
        finished = carry_out(recipe, name, print)
    print(f"verdict: {finished.verdict.kind}")
    print(f"evidence: {finished.verdict.evidence}")
    print(f"backbone: {finished.package}")


if __name__ == "__main__":
    sys.exit(exit_status(partial(main, sys.argv[1:])))
