"""`poise models compare`: compares versions, with their pictures side by side on one page.

In: references of versions. Out: tables, and an HTML page that works offline. Next:
`poise models promote`.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from poise.cli.completion import complete_model
from poise.cli.console import print_table
from poise.cli.models.arguments import described
from poise.cli.output import Output, prints

if TYPE_CHECKING:
    from collections.abc import Sequence

    from poise.tracking.registry.comparison import Comparison, FigureRow
    from poise.tracking.registry.paired_differences import Difference
    from poise.tracking.registry.version import Version
    from poise.tracking.store import Store

PAGE = Path("models.html")


@prints
def compare_command(
    models: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL", help="NAME/VERSION or NAME@ALIAS.", autocompletion=complete_model
        ),
    ],
    out: Annotated[Path, typer.Option(help="HTML page to write.")] = PAGE,
) -> Output:
    """Compare registered versions: different settings, measured values, and pictures side by side.

    Each model is compared with the first one. A difference is paired (image by image) if the
    answers of both models to the same images are stored. Both must have used the same bank or
    training images. The page is one file that works offline.

    Example: poise models compare scenes-vit@best scenes-vit@candidate --out comparison.html
    """
    from poise.config.files import write_whole
    from poise.reports.models import read_content, render_page
    from poise.tracking.registry.comparison import compare_versions
    from poise.tracking.store import open_store

    store = open_store()
    found = compare_versions(store, find_models(store, models))
    write_whole(out, render_page(read_content(store, found)))

    def show() -> None:
        print_comparison(found)
        print(f"wrote {out}")

    return Output(lambda: _as_json(found) | {"page": str(out)}, [str(out)], show)


def find_models(store: Store, references: Sequence[str]) -> list[Version]:
    """Finds several versions. No version may be named twice.

    Raises:
        PoiseError: a version does not exist, or two references name the same version.
    """
    from poise.config.errors import PoiseError
    from poise.tracking.registry.version_lookup import find_model

    found: dict[str, str] = {}
    versions = []
    for reference in references:
        version = find_model(store, reference)
        if version.uri in found:
            raise PoiseError(
                f"{found[version.uri]} and {reference} both name {version.uri}; name each version "
                "once"
            )
        found[version.uri] = reference
        versions.append(version)
    return versions


def print_comparison(found: Comparison) -> None:
    """Prints the settings that differ, and the measured values."""
    names = [version.short for version in found.versions]
    if found.settings:
        print_table(("option", *names), [(key, *values) for key, values in found.settings])
    elif len(names) > 1:
        print("no option differs")
    print()
    if found.figures:
        print_table(("figure", *names), [_row(row) for row in found.figures])
        print()
    if not all(row.is_comparable for row in found.figures):
        print(
            "Do not compare figures that end in a protocol, a dataset or “unknown”: they were "
            "measured differently."
        )
        print()


def _row(row: FigureRow) -> tuple[str, ...]:
    cells = []
    for figure, difference in zip(row.figures, row.differences, strict=True):
        text = "-" if figure is None else figure.with_interval
        if figure is not None and not row.is_comparable:
            text += f", {figure.where}"
        cells.append(text if difference is None else f"{text}, {_told(difference)}")
    return (row.metric, *cells)


def _told(found: Difference) -> str:
    other = f" to {found.other_metric}" if found.other_metric else ""
    return f"difference{other} {found}, {'paired' if found.is_paired else 'not paired'}"


def _as_json(found: Comparison) -> dict[str, Any]:
    return {
        "models": [described(version) for version in found.versions],
        "settings": dict(found.settings),
        "not_comparable": [row.metric for row in found.figures if not row.is_comparable],
        "differences": {
            row.metric: [asdict(each) if each is not None else None for each in row.differences]
            for row in found.figures
        },
    }
