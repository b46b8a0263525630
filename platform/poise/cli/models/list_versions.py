"""`poise models list`: lists registered versions that meet conditions.

In: filters and a sort order. Out: a table or JSON. Next: `poise models show`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from poise.cli.completion import complete_alias, complete_model_name, complete_tag
from poise.cli.console import print_table
from poise.cli.models.arguments import at, created, described
from poise.cli.option_groups import options_of
from poise.cli.output import Output, prints
from poise.cli.streams import note

if TYPE_CHECKING:
    from poise.tracking.registry.list_filters import Query
    from poise.tracking.registry.version import Version

_LIMIT = 50
_FILTERS = ("objective", "backbone", "dataset", "verdict")


@dataclass(frozen=True)
class ListRequest:
    """Options of `poise models list`."""

    name: Annotated[
        str | None,
        typer.Argument(help="Only versions of this model.", autocompletion=complete_model_name),
    ] = None
    objective: Annotated[
        str | None,
        typer.Option(
            help="Only this objective: dino, mae.", autocompletion=complete_tag("objective")
        ),
    ] = None
    backbone: Annotated[
        str | None,
        typer.Option(
            help="Only this backbone, such as vit_small_patch16_224.",
            autocompletion=complete_tag("backbone"),
        ),
    ] = None
    dataset: Annotated[
        str | None,
        typer.Option(help="Only trained on this dataset.", autocompletion=complete_tag("dataset")),
    ] = None
    verdict: Annotated[
        str | None,
        typer.Option(
            help="Only this verdict, such as healthy.", autocompletion=complete_tag("verdict")
        ),
    ] = None
    metric: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CONDITION",
            help="Only versions with such a figure, such as 'eval/knn_top1>=60'. May be given "
            "several times.",
        ),
    ] = None
    alias: Annotated[
        str | None,
        typer.Option(help="Only versions with this alias.", autocompletion=complete_alias),
    ] = None
    sort: Annotated[
        str,
        typer.Option(
            help="created, name, or a figure: METRIC (best first), METRIC:asc, METRIC:desc."
        ),
    ] = "created"
    limit: Annotated[int, typer.Option(min=0, help="Largest number of rows; 0 prints all.")] = (
        _LIMIT
    )


@prints
@options_of(ListRequest)
def list_command(request: ListRequest) -> Output:
    """List registered versions, newest first.

    With --quiet, the command prints NAME/VERSION, one per line. If no version meets the conditions,
    the exit status is 0. It is 2 if no version has the figure of a condition.

    Example: poise models list --verdict healthy --sort eval/knn_top1

    Example: poise models list --metric 'eval/knn_top1>=60' --limit 5

    Example: poise models list scenes-vit --alias production --json
    """
    from poise.tracking.registry.version_search import search_versions
    from poise.tracking.store import open_store

    query = _query(request)
    found = search_versions(open_store(part="registry"), query)
    for metric in query.metrics:
        _warn_if_mixed(metric, found.versions)
    if len(found.versions) < found.total:
        note(f"{len(found.versions)} of {found.total} versions; --limit 0 prints all")
    return Output(
        document=lambda: [described(version) for version in found.versions],
        result=[version.short for version in found.versions],
        show=lambda: _print(found.versions, query) if found.versions else print(_nothing(request)),
    )


def _query(request: ListRequest) -> Query:
    from poise.tracking.registry.list_filters import Query, read_condition, read_order

    tags = {key: getattr(request, key) for key in _FILTERS}
    return Query(
        name=request.name,
        tags={key: value for key, value in tags.items() if value is not None},
        alias=request.alias.removeprefix("@") if request.alias else None,
        conditions=tuple(map(read_condition, request.metric or ())),
        order=read_order(request.sort),
        limit=request.limit or None,
    )


def _print(versions: list[Version], query: Query) -> None:
    """Prints a table. Each metric in a condition or in the sort order has its own column."""
    columns = query.metrics
    names = columns or ["metric"]
    headers = ("model", "aliases", *names, "verdict", "backbone", "dataset", "created")
    print_table(headers, [_row(version, columns) for version in versions])


def _warn_if_mixed(metric: str, versions: list[Version]) -> None:
    """Prints a note if the values of a metric cannot be compared with each other."""
    from poise.config.errors import first_few
    from poise.tracking.registry.version import places_of

    places = places_of(version.figures.get(metric) for version in versions)
    if len(places) > 1:
        note(f"{metric} was not measured alike, so its values do not rank: {first_few(places)}")


def _row(version: Version, columns: list[str]) -> tuple[object, ...]:
    tags = version.tags
    figures = [_figure(version, column) for column in columns] or [_main_figure(version)]
    return (
        version.short,  # the form that other commands accept
        at(version),
        *figures,
        tags.get("verdict", "-"),
        tags.get("backbone", "-"),
        tags.get("dataset", "-"),
        created(version)[:10],
    )


def _main_figure(version: Version) -> str:
    figure = version.main_figure
    if figure is None:
        return "-"
    return f"{(version.metric or '').removeprefix('eval/')} {_figure(version, version.metric)}"


def _figure(version: Version, metric: str | None) -> str:
    figure = version.figures.get(metric or "")
    if figure is None:
        return "-"
    return figure.with_interval


def _nothing(request: ListRequest) -> str:
    if request == ListRequest(sort=request.sort, limit=request.limit):
        return (
            "nothing is registered yet; `poise pretrain` and `poise sweep` register healthy "
            "backbones, and `poise models import` registers published ones"
        )
    return "no version meets these conditions; `poise models list` shows all versions"
