"""`poise models`: shows the registered backbones and their history."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from poise.cli.console import print_table
from poise.cli.models_add_register import add_register_command
from poise.cli.models_import import export_command, import_command

if TYPE_CHECKING:
    from poise.tracking.registry.versions import Version

app = typer.Typer(
    help="List, inspect, import and export registered backbones.", no_args_is_help=True
)
app.command("import")(import_command)
app.command("export")(export_command)
app.command("add-register")(add_register_command)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("list")
def list_command(as_json: AsJson = False) -> None:
    """List every registered version, newest first."""
    from poise.tracking.registry.versions import list_models
    from poise.tracking.store import open_store

    versions = list_models(open_store(part="registry"))
    if as_json:
        print(json.dumps([_describe(version) for version in versions], indent=2))
    elif versions:
        headers = ("model", "aliases", "metric", "verdict", "backbone", "dataset", "created")
        print_table(headers, [_row(version) for version in versions])
    else:
        print(
            "nothing is registered yet; `poise pretrain` and `poise sweep` register healthy "
            "backbones, and `poise models import` registers published ones"
        )


@app.command("show")
def show_command(
    model: Annotated[
        str, typer.Argument(metavar="NAME[/VERSION|@ALIAS]", help="Default: the newest version.")
    ],
    as_json: AsJson = False,
) -> None:
    """Show one version: its lineage, its metrics and its files."""
    from poise.tracking.ending import reconcile
    from poise.tracking.registry.fetch import read_files
    from poise.tracking.registry.versions import find_model
    from poise.tracking.store import open_store

    store = open_store()
    reconcile(store)
    version = find_model(store, model)
    files = read_files(store, version)
    if as_json:
        print(json.dumps(_describe(version) | {"files": files}, indent=2))
        return
    print(f"{version.uri}  {' '.join(f'@{alias}' for alias in version.aliases)}".rstrip())
    print()
    for name, value in _story(version):
        print(f"{name:<12}{value}")
    print()
    print_table(
        ("file", "bytes", "sha256"),
        [(name, entry["bytes"], entry["sha256"]) for name, entry in files.items()],
    )


def _row(version: "Version") -> tuple[object, ...]:
    tags = version.tags
    return (
        f"{version.name}/{version.version}",  # the form that other commands accept
        " ".join(version.aliases) or "-",
        _figure(version).removeprefix("eval/"),
        tags.get("verdict", "-"),
        tags.get("backbone", "-"),
        tags.get("dataset", "-"),
        _created(version)[:10],
    )


def _story(version: "Version") -> list[tuple[str, str]]:
    """Returns the version's history, back to the images that it was trained on."""
    tags = version.tags
    origin = [
        ("trial", tags.get("trial_run", version.run_id)),
        ("study", tags.get("study_run", "none: a single run")),
    ]
    if "imported_from" in tags:
        origin = [("imported", f"{tags['imported_from']}  ({tags.get('layout')} layout)")]
        origin += [("trained by", tags["trained_by"])] if "trained_by" in tags else []
    return [
        *origin,
        *_start(tags),
        ("recipe", tags.get("recipe", "-")),
        ("backbone", tags.get("backbone", "-")),
        ("dataset", f"{tags.get('dataset', '-')}  {tags.get('dataset_fingerprint', '')}".rstrip()),
        ("metric", f"{_figure(version)}  ({tags.get('protocol', 'no protocol')})"),
        ("verdict", tags.get("verdict", "-")),
        ("created", f"{_created(version)} by Poise {tags.get('version', '-')}"),
        ("stored in", version.source),
    ]


def _start(tags: Mapping[str, str]) -> list[tuple[str, str]]:
    """The trained model that the version's run started from; empty for random weights."""
    if "initial_weights" not in tags:
        return []
    origin = tags.get("initial_weights_origin", "")
    sha256 = f"SHA-256 {tags.get('initial_weights_sha256', '')[:12]}…"
    rows = [("start", f"{tags['initial_weights']}  ({sha256})")]
    return [*rows, ("", origin)] if origin else rows


def _describe(version: "Version") -> dict[str, Any]:
    return {
        "uri": version.uri,
        "name": version.name,
        "version": version.version,
        "aliases": list(version.aliases),
        "created": _created(version),
        "run_id": version.run_id,
        "source": version.source,
        "tags": version.tags,
    }


def _figure(version: "Version") -> str:
    if "metric_value" not in version.tags:
        return "-"
    return f"{version.tags.get('metric', '')} {float(version.tags['metric_value']):.2f}".strip()


def _created(version: "Version") -> str:
    from datetime import datetime

    return datetime.fromtimestamp(version.created_ms / 1000).astimezone().isoformat(" ", "seconds")
