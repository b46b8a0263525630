"""The datasets that a run's figures depend on.

In: a recipe. Out: tags of its run. Next: ``poise.tracking.run``, which writes them.
"""

from poise.config import Recipe
from poise.data.manifest import Manifest


def dataset_tags(recipe: Recipe) -> dict[str, str]:
    """Tags for the training set and, where the probes have sets of their own, for these.

    ``poise.dataset`` is the training set's name; ``poise.dataset_fingerprint``,
    ``poise.queries_fingerprint`` and ``poise.bank_fingerprint`` are as the datasets' manifests have
    them. A bank that is not named is the training set and has no tag.

    Raises:
        PoiseError: one of the folders is no prepared dataset.
    """
    trained, probes = Manifest.read(recipe.data.dataset), recipe.evaluation
    tags = {"poise.dataset": trained.name, "poise.dataset_fingerprint": trained.fingerprint}
    if probes.every_epochs is None:
        return tags
    for role, folder in (("queries", probes.queries), ("bank", probes.bank)):
        if folder is not None:
            tags[f"poise.{role}_fingerprint"] = Manifest.read(folder).fingerprint
    return tags
