"""`poise models show`: shows everything that is known about one version.

In: a reference of a version. Out: its lineage, verdict, figures, pictures and files, as text or
JSON. Next: `poise models compare` and `poise evaluate`.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from poise.cli.console import print_table
from poise.cli.models.arguments import ModelArgument, created, described
from poise.cli.output import Output, prints
from poise.config.errors import PoiseError
from poise.config.redaction import redacted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from poise.tracking.registry.lineage import Maker
    from poise.tracking.registry.promotion_records import Promotion
    from poise.tracking.registry.version import Version
    from poise.tracking.store import Store


@prints
def show_command(model: ModelArgument) -> Output:
    """Show one version: its lineage, verdict, measured values, pictures and files.

    With --quiet, the command prints models:/NAME/VERSION. So a script can find out which version
    has an alias.

    Example: poise models show scenes-dino-vit_small_patch16_224@best
    """
    from poise.tracking.ending import reconcile
    from poise.tracking.registry.lineage import find_run_of, lineage_of
    from poise.tracking.registry.pictures import list_pictures
    from poise.tracking.registry.promotion_records import promotions_of
    from poise.tracking.registry.version_lookup import find_model
    from poise.tracking.store import open_store

    store = open_store()
    reconcile(store)
    version = find_model(store, model)
    (files, fault), maker = _files(store, version), find_run_of(store, version)
    lineage, pictures = lineage_of(version, maker), list_pictures(store, version)
    promotions = promotions_of(store, version.name, version.version)
    facts: dict[str, Any] = {
        "verdict_evidence": maker.evidence,
        "study": maker.study,
        "run": maker.name,
    }
    facts |= {"lineage": lineage, "pictures": pictures, "settings": maker.settings}
    facts["promotions"] = [{"alias": alias, **asdict(record)} for alias, record in promotions]
    facts |= {"files": files, "files_fault": fault}

    def show() -> None:
        _print_version(version, maker, lineage)
        _print_figures(version)
        _print_pictures(version, pictures)
        _print_promotions(promotions)
        _print_files(files, fault)

    return Output(lambda: described(version) | facts, [version.uri], show)


def _files(store: Store, version: Version) -> tuple[dict[str, dict[str, Any]], str | None]:
    """Reads the checksums of a version's files, or the reason why they cannot be read."""
    from poise.tracking.registry.fetch import read_files

    try:
        return read_files(store, version), None
    except PoiseError as error:
        return {}, str(error)


def _print_version(version: Version, maker: Maker, lineage: Sequence[tuple[str, str]]) -> None:
    print(f"{version.uri}  {' '.join(f'@{alias}' for alias in version.aliases)}".rstrip())
    print()
    verdict = version.tags.get("verdict", "-")
    rows = [
        ("backbone", version.tags.get("backbone", "-")),
        ("objective", version.tags.get("objective", "-")),
        ("verdict", f"{verdict}. {maker.evidence}" if maker.evidence else verdict),
        *lineage,
        ("created", created(version)),
        ("stored in", redacted(version.source)),
    ]
    for name, value in rows:
        print(f"{name:<12}{value}")
    print()


def _print_figures(version: Version) -> None:
    from poise.tracking.registry.description import ordered_figures

    rows = [
        (name, str(figure), figure.interval, figure.protocol or "-", figure.dataset or "-")
        for name, figure in ordered_figures(version)
    ]
    if rows:
        print_table(("figure", "value", "95 % interval", "protocol", "dataset"), rows)
    else:
        print(f"nothing was measured; try `poise evaluate knn {version.uri} DATASET`")
    print()


def _print_pictures(version: Version, pictures: Sequence[str]) -> None:
    if pictures:
        print(f"pictures    {len(pictures)} among the artifacts of run {version.run_id}:")
        for path in pictures:
            print(f"            {path}")
        print(f"            `poise models compare {version.short}` writes them into one page")
        print()


def _print_files(files: Mapping[str, Mapping[str, Any]], fault: str | None) -> None:
    if fault is not None:
        print(f"files       its files cannot be read: {fault}")
        return
    rows = [(name, entry["bytes"], entry["sha256"]) for name, entry in files.items()]
    print_table(("file", "bytes", "sha256"), rows)


def _print_promotions(promotions: Sequence[tuple[str, Promotion]]) -> None:
    for alias, record in promotions:
        print(f"promoted    @{alias} {record}")
    if promotions:
        print()
