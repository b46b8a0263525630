"""Registers backbones that other programs trained.

In: an ``Imported`` and its source. Out: its package under ``home()/imports``, a run that describes
how the file was read, and a registered version. Next: ``poise evaluate``.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from poise.config.files import locked
from poise.config.paths import home
from poise.models.package import save_backbone
from poise.models.published.loading import Fact, Imported
from poise.models.published.sources import ImportSource
from poise.tracking.ending import controlled
from poise.tracking.initial_weights import ENTRY, start_tags
from poise.tracking.registry.registration import register_model
from poise.tracking.run import create_run, log_environment, log_json, set_tags
from poise.tracking.store import Store

EXPERIMENT = "imports"


@dataclass(frozen=True)
class Registered:
    """Registered version of an imported backbone, and the folder of its package."""

    uri: str
    package: Path


def register_import(
    store: Store, imported: Imported, source: ImportSource, name: str
) -> Registered:
    """Packages an imported backbone and registers it as the next version of a model.

    The same weights with the same name are registered only once. Two imports of one name wait for
    each other, because their packages have the same folder.

    Args:
        store: store with the registry.
        imported: imported backbone.
        source: file or model that the backbone comes from. Its SHA-256 becomes a tag.
        name: name of the registered model.

    Raises:
        PoiseError: the registry refuses the version, or the package's folder contains something
            else.
    """
    folder = home() / EXPERIMENT / name
    folder.parent.mkdir(parents=True, exist_ok=True)
    with locked(folder.with_name(f".{name}.lock")):
        return _register(store, imported, source, folder)


def _register(store: Store, imported: Imported, source: ImportSource, folder: Path) -> Registered:
    name = folder.name
    run = create_run(store, EXPERIMENT, name, folder)
    lineage = _lineage(imported, source)
    with controlled(run):
        package = folder / "backbone"
        folder.mkdir(parents=True, exist_ok=True)
        save_backbone(
            package,
            imported.backbone,
            {**imported.config, "lineage": {"run_id": run.run_id, **lineage}},
        )
        log_environment(run)
        log_json(run, {**lineage, **_account(imported, source)}, "import.json")
        # The tag contains the dataset's name, because its folder may have moved.
        tags = {key: value for key, value in lineage.items() if key not in ("dataset", ENTRY)}
        tags |= start_tags(lineage[ENTRY]) if ENTRY in lineage else {}
        tags |= {"dataset": lineage["dataset_name"]} if "dataset_name" in lineage else {}
        set_tags(run, {f"poise.{key}": value for key, value in tags.items()})
        uri = register_model(store, package, name, run.run_id, tags)
    return Registered(uri, package)


def _lineage(imported: Imported, source: ImportSource) -> dict[str, Any]:
    """Returns the known history of a backbone. A package that Poise made keeps its own history."""
    own = dict(imported.config.get("lineage", {}))
    known = {
        **own,
        "run_id": None,
        "trained_by": own.get("trained_by", own.get("run_id")),
        "imported_from": source.source,
        "layout": imported.layout,
        "source_sha256": source.sha256,
        "checkpoint_key": source.checkpoint_key,
    }
    return {key: value for key, value in known.items() if value is not None}


def _account(imported: Imported, source: ImportSource) -> dict[str, Any]:
    return {
        "matched": imported.matched,
        "mapped": imported.mapped,
        "dropped": imported.dropped,
        "missing": 0,
        "prefix": imported.prefix,
        "facts": {fact.name: _described(fact) for fact in imported.facts},
        "notes": list(imported.notes),
        "unread": list(source.unread),
    }


def _described(fact: Fact) -> dict[str, Any]:
    return {
        "value": fact.value,
        "source": fact.basis.text,
        "assumed": fact.basis.option is not None,
    }
