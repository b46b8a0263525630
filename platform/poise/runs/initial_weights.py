"""Finds and checks the trained backbone that a run starts from, and records it in the run's folder.

In: a recipe whose ``backbone.initial_weights`` names a model. Out: an ``InitialWeights``, written
to the run's folder. Next: ``poise.runs.pretraining`` passes it to the workers and to the lineage of
the new backbone.

A resumed run reads the file in its folder and its last checkpoint. A resumed run does not look for
the model again, because the model may have been deleted or replaced by a newer version.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from poise.config.errors import PoiseError
from poise.config.files import lacking, read_fields, write_json
from poise.config.paths import given_path

if TYPE_CHECKING:
    from poise.config import Recipe
    from poise.training.spec import InitialWeights

KEY = "backbone.initial_weights"
FILE = "initial_weights.json"


def find(recipe: Recipe) -> InitialWeights | None:
    """Finds the model that a recipe starts from, and checks that the recipe can train it further.

    Raises:
        PoiseError: the model does not exist, its package is damaged, its architecture differs from
            the recipe's backbone, or it was trained on images with another normalisation.
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
    """Raises an error if a trial cannot start from the model that its recipe names.

    Args:
        recipe: recipe of the trial.
        source: file of the search space. Error messages name it.

    Raises:
        PoiseError: ``find`` fails. Or the recipe names an alias, which may point to another version
            before the last trial starts.
    """
    start = find(recipe)
    if start is not None and start.resolved not in (start.reference, f"models:/{start.reference}"):
        raise PoiseError(
            f"{source}: {KEY}={start.reference}: may name another version before the last trial "
            f"starts; write {start.resolved}, which it names now"
        )


def pinned(recipe: Recipe, start: InitialWeights | None) -> Recipe:
    """Replaces the model's alias or relative path in the recipe by its exact version or folder."""
    from poise.config.loading import override

    return recipe if start is None else override(recipe, {KEY: start.resolved}, recipe.name)


def as_begun(recipe: Recipe, folder: Path) -> Recipe:
    """Replaces the model in a resumed recipe by the exact version that the run began with.

    An alias in the recipe may point to a newer version by now. The run still continues with its
    first version. If the recipe names a different model, that name stays, so that a later check
    finds the difference.

    Args:
        recipe: recipe to continue with.
        folder: folder of the run.
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
    """Writes the description of the model that a run starts from into the run's folder."""
    if start is not None:
        write_json(folder / FILE, asdict(start))


def read(folder: Path) -> InitialWeights | None:
    """Reads the description of the model that a run started from, or None for random weights."""
    from poise.training.spec import InitialWeights

    path = folder / FILE
    if not path.exists():
        return None
    fix = "restore it from a backup, or begin another run"
    written = read_fields(path, fix, adapted=list)
    try:
        return InitialWeights(**written | {"adapted": tuple(written["adapted"])})
    except TypeError as error:
        raise PoiseError(f"{path}: {lacking(error, 'start of a run')}; {fix}") from None


def kept_or_found(recipe: Recipe, folder: Path) -> InitialWeights | None:
    """Returns the model that a run starts from.

    The first start of a run finds the model and records it. Later starts read this record.

    Args:
        recipe: recipe of the run.
        folder: folder of the run.
    """
    if recipe.backbone.initial_weights is None:
        return None
    # A trial whose settings changed trains in a subfolder of its own folder.
    kept = read(folder) or read(folder.parent)
    if kept is not None:
        return kept
    start = find(recipe)
    folder.mkdir(parents=True, exist_ok=True)
    keep(folder, start)
    return start


def check_same_start(recipe: Recipe, folder: Path) -> None:
    """Raises an error if two trials of a study would start from different weights of the same name.

    This happens if the model's package was replaced after the first of these trials started.

    Args:
        recipe: recipe of the trial.
        folder: folder of the trial. The folders of the other trials are beside it.

    Raises:
        PoiseError: the weights differ, and the message names both checksums. Or ``find`` fails.
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
    """Yields lines to print: the model's name, its origin and checksum, and each adaptation."""
    known = start.lineage.get("imported_from") or start.lineage.get("recipe")
    origin = f", {known}" if known else ""
    yield f"starts from {start.resolved}{origin} (SHA-256 {start.weights_sha256[:12]}…)"
    for phrase in start.adapted:
        yield f"  {phrase}"


def lineage_of(start: InitialWeights) -> dict[str, Any]:
    """Returns entries about the initial weights for the lineage in the new backbone's package."""
    entries = asdict(start)
    del entries["package"]  # a path that other machines do not have
    return {"initial_weights": entries}


def tags_of(start: InitialWeights) -> dict[str, str]:
    """Returns MLflow tags that name the initial weights, for the run and its registered version."""
    from poise.tracking.initial_weights import start_tags

    return {f"poise.{key}": value for key, value in start_tags(asdict(start)).items()}


def _located(reference: str) -> tuple[str, Path]:
    """Returns the exact name of a model, and the folder of its package."""
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
