"""Checks that a run is resumed on the same images that it began with.

In: a recipe. Out: a fingerprint for each dataset's folder, and an error if the content has changed.
Next: checkpoints, runs and studies, which store the fingerprints.

A dataset's fingerprint is in its manifest. The fingerprint is the SHA-256 of the bytes and labels
of all samples, in order. So a dataset may be moved but not changed.
"""

from collections.abc import Iterable, Mapping

from poise.config import PoiseError, Recipe
from poise.data.manifest import Manifest
from poise.data.shard_checks import check_shards

Fingerprints = Mapping[str, str]
"""Maps the folder of each dataset to the dataset's fingerprint."""

DATASET_KEYS = ("data.dataset", "evaluation.queries", "evaluation.bank")
"""Dotted keys of the settings that name a dataset."""

_SHOWN_CHARACTERS = 12


def folders_of(recipe: Recipe) -> list[str]:
    """Returns the folder of each dataset that a run of the recipe reads."""
    probes = recipe.evaluation
    watched = () if probes.every_epochs is None else (probes.queries, probes.bank)
    return [recipe.data.dataset, *(each for each in watched if each is not None)]


def fingerprints(recipe: Recipe) -> dict[str, str]:
    """Returns the fingerprint of each dataset that a run of the recipe reads.

    Raises:
        PoiseError: see ``fingerprints_of``.
    """
    return fingerprints_of(folders_of(recipe))


def fingerprints_of(folders: Iterable[str]) -> dict[str, str]:
    """Returns the fingerprint of the dataset in each folder.

    Raises:
        PoiseError: a folder is not a prepared dataset, or its files do not agree with its manifest.
    """
    return {folder: _fingerprint_of(folder) for folder in dict.fromkeys(folders)}


def _fingerprint_of(folder: str) -> str:
    manifest = Manifest.read(folder)
    check_shards(folder, manifest)
    return manifest.fingerprint


def check_unchanged(what: str, known: Fingerprints, now: Fingerprints) -> None:
    """Raises an error if the content of a dataset has changed.

    Folders without a known fingerprint are accepted.

    Args:
        what: name of the resumed run or study, for messages: ``run a``.
        known: fingerprints from the beginning of the run.
        now: present fingerprints.

    Raises:
        PoiseError: a dataset has changed; the message names both fingerprints and the possible
            fixes.
    """
    for folder, found in now.items():
        before = known.get(folder, found)
        if before != found:
            raise PoiseError(
                f"{folder}: its images or labels are not those that {what} began with (fingerprint "
                f"{_short(before)} then, {_short(found)} now); restore that dataset to continue, "
                "or leave --resume and --extend out to begin a new run with another --name"
            )


def trains_on_the_same(known: Fingerprints, there: Recipe, here: Recipe) -> bool:
    """Returns True if two recipes train on the same images, even in different folders.

    Args:
        known: fingerprints from the beginning of the run; empty if an old version of Poise saved
            none.
        there: recipe that the run began with.
        here: recipe to continue with.
    """
    before = known.get(there.data.dataset)
    return before is not None and before == Manifest.read(here.data.dataset).fingerprint


def _short(fingerprint: str) -> str:
    return fingerprint[:_SHOWN_CHARACTERS]
