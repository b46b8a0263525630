"""The content of the datasets that a run reads: a run is resumed on the images it began with.

In: a recipe. Out: a fingerprint for each folder, and an error where the content changed. Next:
checkpoints, runs and studies keep the fingerprints.

A dataset's fingerprint is the SHA-256 over the bytes and labels of all its samples, in order, as
its manifest has it. So a dataset may be moved, and may not be replaced.
"""

from collections.abc import Iterable, Mapping

from poise.config import PoiseError, Recipe
from poise.data.manifest import Manifest

Fingerprints = Mapping[str, str]
"""Fingerprint by folder."""

_SHOWN_CHARACTERS = 12


def fingerprints(recipe: Recipe) -> dict[str, str]:
    """The fingerprint of each dataset that a run of the recipe reads.

    Raises:
        PoiseError: one of the folders is no prepared dataset.
    """
    probes = recipe.evaluation
    watched = () if probes.every_epochs is None else (probes.queries, probes.bank)
    return fingerprints_of([recipe.data.dataset, *(each for each in watched if each is not None)])


def fingerprints_of(folders: Iterable[str]) -> dict[str, str]:
    """The fingerprint of the dataset in each folder.

    Raises:
        PoiseError: one of the folders is no prepared dataset.
    """
    return {folder: Manifest.read(folder).fingerprint for folder in dict.fromkeys(folders)}


def check_unchanged(what: str, known: Fingerprints, now: Fingerprints) -> None:
    """Refuses datasets whose content changed. A folder that was not known before passes.

    Args:
        what: the thing that is resumed, for messages: ``run a``.
        known: the fingerprints that were kept.
        now: the fingerprints of today.

    Raises:
        PoiseError: the message names both fingerprints and the ways out.
    """
    for folder, found in now.items():
        before = known.get(folder, found)
        if before != found:
            raise PoiseError(
                f"{folder}: its images or labels are not those that {what} began with (fingerprint "
                f"{_short(before)} then, {_short(found)} now); put that dataset back to go on, or "
                "leave --resume and --extend out to begin anew under another --name"
            )


def trains_on_the_same(known: Fingerprints, there: Recipe, here: Recipe) -> bool:
    """Whether two recipes train on the same images, wherever these are now.

    Args:
        known: the fingerprints that were kept; empty where an older version kept none.
        there: the recipe that the run began with.
        here: the recipe to go on with.
    """
    before = known.get(there.data.dataset)
    return before is not None and before == Manifest.read(here.data.dataset).fingerprint


def _short(fingerprint: str) -> str:
    return fingerprint[:_SHOWN_CHARACTERS]
