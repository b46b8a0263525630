"""Collects the facts for a model card.

In: the exact name of a model and the config of its package. Out: ``CardFacts``, and pictures in a
folder. Next: ``poise.reports.model_card``.

A fact that was not stored is None. No fact is guessed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from poise.tracking.registry.description import ordered_figures
from poise.tracking.registry.pictures import list_pictures, read_file
from poise.tracking.registry.version import RegisteredFigure, Version
from poise.tracking.registry.version_lookup import find_model
from poise.tracking.store import Store, open_store

_PICTURES = "pictures"


@dataclass(frozen=True)
class CardFacts:
    """Facts about a model for its model card, as stored in the registry or the package."""

    uri: str
    """``models:/NAME/VERSION``, or the folder of a package."""

    figures: tuple[tuple[str, RegisteredFigure], ...] = ()
    """Measured values with the names of their metrics. The main metric is first."""

    pictures: tuple[str, ...] = ()
    """File names of the pictures that were fetched."""

    tags: Mapping[str, str] | None = None
    """Tags of the version, such as verdict, recipe and dataset, or None for the folder of a
    package.
    """

    lineage: Mapping[str, Any] | None = None
    """Entry ``lineage`` of the package's config."""

    def fact(self, name: str) -> str | None:
        """Returns a fact as text, or None if the fact is unknown."""
        found = (self.tags or {}).get(name) or (self.lineage or {}).get(name)
        return None if found is None else str(found)


def collect_facts(uri: str, config: Mapping[str, Any], folder: Path) -> CardFacts:
    """Collects the facts about a model, and fetches the pictures of its run into a folder.

    Args:
        uri: exact name of the model, from ``locate``.
        config: config of the model's package.
        folder: existing folder. If there are pictures, ``pictures/`` is created in it.
    """
    lineage = config.get("lineage", {})
    if not uri.startswith("models:/"):
        return CardFacts(Path(uri).name, lineage=lineage)
    store = open_store()
    version = find_model(store, uri)
    return CardFacts(
        uri=uri,
        figures=tuple(ordered_figures(version)),
        pictures=_fetch_pictures(store, version, folder),
        tags=version.tags,
        lineage=lineage,
    )


def _fetch_pictures(store: Store, version: Version, folder: Path) -> tuple[str, ...]:
    """Fetches the pictures of the run into ``pictures/``.

    Fetches nothing if the run was deleted.
    """
    fetched = []
    for path in list_pictures(store, version):
        content = read_file(store, version, path)
        if content is not None:
            name = path.replace("/", "-")  # evaluations of several datasets have the same names
            (folder / _PICTURES).mkdir(exist_ok=True)
            (folder / _PICTURES / name).write_bytes(content)
            fetched.append(name)
    return tuple(sorted(fetched))
