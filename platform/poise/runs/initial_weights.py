"""The trained backbone that a run starts from: found, checked, and written beside the run.

In: a recipe whose ``backbone.initial_weights`` names a model. Out: an ``InitialWeights``, kept in
the run's folder. Next: ``poise.runs.pretraining``, which hands it to workers and lineage.

A run that is resumed reads the file in its folder and its checkpoint. It never looks for the model
again, which may have been deleted or may have a newer version by then.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from poise.config.errors import PoiseError
from poise.config.files import read_json, write_json
from poise.config.paths import given_path

if TYPE_CHECKING:
    from poise.config import Recipe
    from poise.training.spec import InitialWeights

KEY = "backbone.initial_weights"
FILE = "initial_weights.json"


def find(recipe: Recipe) -> InitialWeights | None:
    """Finds the model that a recipe starts from, and checks that its backbone goes on from it.

    Raises:
        PoiseError: there is no such model, its package is damaged, its backbone is another one than
            the recipe's, or it was trained on images with another normalisation.
    """
    reference = recipe.backbone.initial_weights
    if reference is None:
        return None
    from poise.models.checksums import WEIGHTS_FILE, read_config, verify_package
    from poise.runs.start_checks import checked
    from poise.training.spec import InitialWeights

    resolved, folder = _located(reference)
    files = verify_package(folder)
    config = read_config(folder)
    return InitialWeights(
        reference=reference,
        resolved=resolved,
        package=str(folder),
        weights_sha256=str(files[WEIGHTS_FILE]["sha256"]),
        adapted=tuple(checked(recipe, config, resolved)),
        lineage=dict(config.get("lineage", {})),
    )


def check_start(recipe: Recipe, source: str) -> None:
    """Refuses a trial that could not start from the model that its recipe names.

    Args:
        recipe: the trial's recipe.
        source: the space's file, for messages.

    Raises:
        PoiseError: see ``find``; or the name may point to another version before the last trial
            starts.
    """
    start = find(recipe)
    if start is not None and start.resolved not in (start.reference, f"models:/{start.reference}"):
        raise PoiseError(
            f"{source}: {KEY}={start.reference}: may name another version before the last trial "
            f"starts; write {start.resolved}, which it names now"
        )


def pinned(recipe: Recipe, start: InitialWeights | None) -> Recipe:
    """The recipe with the exact version or folder in place of an alias or a relative path."""
    from poise.config.loading import override

    return recipe if start is None else override(recipe, {KEY: start.resolved}, recipe.name)


def as_begun(recipe: Recipe, folder: Path) -> Recipe:
    """The recipe with the model as the run in ``folder`` keeps it, if it names the same one.

    An alias may point to a newer version by now. The run goes on with the version that it began
    with.
    """
    from poise.config.loading import override

    reference, start = recipe.backbone.initial_weights, read(folder)
    if reference is None or start is None:
        return recipe
    same = reference == start.reference or str(given_path(reference).absolute()) == start.resolved
    if not same and reference != start.resolved:
        reference = _located(reference)[0]
    return override(recipe, {KEY: start.resolved if same else reference}, recipe.name)


def keep(folder: Path, start: InitialWeights | None) -> None:
    """Writes the model that a run starts from into the run's folder."""
    if start is not None:
        write_json(folder / FILE, asdict(start))


def read(folder: Path) -> InitialWeights | None:
    """Reads the model that a run started from; none for a run with random weights."""
    from poise.training.spec import InitialWeights

    path = folder / FILE
    if not path.exists():
        return None
    written = read_json(path)
    return InitialWeights(**written | {"adapted": tuple(written["adapted"])})


def kept_or_found(recipe: Recipe, folder: Path) -> InitialWeights | None:
    """The model that a run starts from, found at its first start and read at every later one."""
    if recipe.backbone.initial_weights is None:
        return None
    kept = read(folder) or read(folder.parent)  # or of the trial, after its settings changed
    if kept is not None:
        return kept
    start = find(recipe)
    folder.mkdir(parents=True, exist_ok=True)
    keep(folder, start)
    return start


def check_same_start(recipe: Recipe, folder: Path) -> None:
    """Refuses a trial whose model was replaced since another trial of its study started from it.

    Args:
        recipe: the trial's recipe.
        folder: the trial's folder, beside those of the other trials.

    Raises:
        PoiseError: the message names both checksums; or see ``find``.
    """
    start = read(folder) or find(recipe)
    for other in folder.parent.glob(f"*/{FILE}") if start is not None else ():
        known = read(other.parent)
        assert start is not None and known is not None
        if known.resolved == start.resolved and known.weights_sha256 != start.weights_sha256:
            there, here = (each.weights_sha256[:12] for each in (known, start))
            raise PoiseError(
                f"{start.resolved}: its weights (SHA-256 {here}…) are not those that trial "
                f"{other.parent.name} started from ({there}…); put that package back, or begin "
                "another study"
            )


def described(start: InitialWeights) -> Iterator[str]:
    """Yields lines for a person: the model, what is known of it, and what was adapted."""
    known = start.lineage.get("imported_from") or start.lineage.get("recipe")
    origin = f", {known}" if known else ""
    yield f"starts from {start.resolved}{origin} (SHA-256 {start.weights_sha256[:12]}…)"
    for phrase in start.adapted:
        yield f"  {phrase}"


def lineage_of(start: InitialWeights) -> dict[str, Any]:
    """The entries for the lineage in the package of the trained backbone."""
    entries = asdict(start)
    del entries["package"]  # a folder of one machine
    return {"initial_weights": entries}


def tags_of(start: InitialWeights) -> dict[str, str]:
    """The tags of the run in MLflow, which its registered version gets too."""
    from poise.tracking.initial_weights import start_tags

    return {f"poise.{key}": value for key, value in start_tags(asdict(start)).items()}


def _located(reference: str) -> tuple[str, Path]:
    """The exact name of a model, and the folder of its package."""
    from poise.tracking.registry.fetch import locate

    if given_path(reference).is_file():
        raise PoiseError(
            f"{KEY}={reference}: is a file; register it with `poise models import {reference}` and "
            "name the version that this prints"
        )
    try:
        return locate(reference)
    except PoiseError as error:
        raise PoiseError(f"{KEY}={error}") from None
