"""`poise models diff`: lists the settings and facts that differ between two versions.

In: two references of versions. Out: lines in the style of `diff`: values of the first version and
of the second version. Next: nothing.
"""

from __future__ import annotations

from typing import Annotated

import typer

from poise.cli.completion import complete_model
from poise.cli.models.compare import find_models
from poise.cli.output import Output, prints

_Model = Annotated[
    str,
    typer.Argument(
        metavar="MODEL", help="NAME/VERSION or NAME@ALIAS.", autocompletion=complete_model
    ),
]


@prints
def diff_command(first: _Model, second: _Model) -> Output:
    """List the settings and facts that differ between two versions.

    With --quiet, the command prints only the names of these settings and facts.

    Example: poise models diff scenes-vit/1 scenes-vit/2
    """
    from poise.tracking.registry.comparison import settings_that_differ
    from poise.tracking.registry.lineage import find_run_of
    from poise.tracking.store import open_store

    store = open_store()
    versions = find_models(store, (first, second))
    differing = dict(
        settings_that_differ(versions, [find_run_of(store, version) for version in versions])
    )

    def show() -> None:
        if not differing:
            print("no option differs")
        for key, (before, after) in differing.items():
            print(f"- {key}: {before}")
            print(f"+ {key}: {after}")

    return Output(lambda: differing, list(differing), show)
