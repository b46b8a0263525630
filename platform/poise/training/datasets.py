"""Checks the content of a run's datasets, so that a run is resumed on the images it began with.

In: a recipe. Out: a fingerprint for each folder, and an error if the content changed. Next:
checkpoints, runs and studies, which keep the fingerprints.

A dataset's fingerprint is in its manifest. It is the SHA-256 over the bytes and labels of all
samples, in order. So a dataset may be moved but not replaced.
"""

from collections.abc import Iterable, Mapping

from poise.config import PoiseError, Recipe
from poise.data.manifest import Manifest

Fingerprints = Mapping[str, str]
"""Fingerprint of each dataset by its folder."""

_SHOWN_CHARACTERS = 12


def fingerprints(recipe: Recipe) -> dict[str, str]:
    """Returns the fingerprint of each dataset that a run of the recipe reads.

    Raises:
        PoiseError: a folder is not a prepared dataset.
    """
    probes = recipe.evaluation
    watched = () if probes.every_epochs is None else (probes.queries, probes.bank)
    return fingerprints_of([recipe.data.dataset, *(each for each in watched if each is not None)])


def fingerprints_of(folders: Iterable[str]) -> dict[str, str]:
    """Returns the fingerprint of the dataset in each folder.

    Raises:
        PoiseError: a folder is not a prepared dataset.
    """
    return {folder: Manifest.read(folder).fingerprint for folder in dict.fromkeys(folders)}


def check_unchanged(what: str, known: Fingerprints, now: Fingerprints) -> None:
    """Raises an error if the content of a dataset changed. Unknown folders are accepted.

    Args:
        what: name of the resumed run or study, for messages: ``run a``.
        known: fingerprints from the beginning of the run.
        now: fingerprints of today.

    Raises:
        PoiseError: the message names both fingerprints and the possible fixes.
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
        known: fingerprints from the beginning of the run; an older version saved none.
        there: recipe that the run began with.
        here: recipe to continue with.
    """
    before = known.get(there.data.dataset)
    return before is not None and before == Manifest.read(here.data.dataset).fingerprint


def _short(fingerprint: str) -> str:
    return fingerprint[:_SHOWN_CHARACTERS]
