"""`poise models lineage`: shows the history of a version.

In: a reference of a version. Out: study, trial, run, recipe, dataset, code, and the models that
training started from. Next: nothing.
"""

from __future__ import annotations

from poise.cli.models.arguments import ModelArgument
from poise.cli.output import Output, prints


@prints
def lineage_command(model: ModelArgument) -> Output:
    """Show where a version comes from, and which models its training started from.

    With --quiet, the command prints only the version and these models, one per line.

    Example: poise models lineage scenes-dino-vit_small_patch16_224@best
    """
    from poise.tracking.registry.lineage import ancestors, find_run_of, lineage_of
    from poise.tracking.registry.version_lookup import find_model
    from poise.tracking.store import open_store

    store = open_store()
    version = find_model(store, model)
    chain = [version, *ancestors(store, version)]
    steps = [
        (each, [])
        if isinstance(each, str)
        else (each.uri, lineage_of(each, find_run_of(store, each)))
        for each in chain
    ]

    def show() -> None:
        for position, (uri, rows) in enumerate(steps):
            print(f"{'started from ' if position else ''}{uri}")
            for what, text in rows:
                print(f"  {what:<12}{text}")

    return Output(
        document=lambda: [{"model": uri, "lineage": rows} for uri, rows in steps],
        result=[uri for uri, _ in steps],
        show=show,
    )
