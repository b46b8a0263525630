"""Names the datasets that influence a run's metrics.

In: a recipe. Out: tags of its run. Next: ``poise.tracking.run``, which writes them.
"""

from poise.config import Recipe
from poise.data.manifest import Manifest


def dataset_tags(recipe: Recipe) -> dict[str, str]:
    """Makes tags for the training set and for the probes' datasets, if they are named.

    ``poise.dataset`` is the training set's name. ``poise.dataset_fingerprint``,
    ``poise.queries_fingerprint`` and ``poise.bank_fingerprint`` come from the datasets' manifests.
    A bank that is not named is the training set and has no tag.

    Raises:
        PoiseError: a folder is not a prepared dataset.
    """
    trained, probes = Manifest.read(recipe.data.dataset), recipe.evaluation
    tags = {"poise.dataset": trained.name, "poise.dataset_fingerprint": trained.fingerprint}
    if probes.every_epochs is None:
        return tags
    for role, folder in (("queries", probes.queries), ("bank", probes.bank)):
        if folder is not None:
            tags[f"poise.{role}_fingerprint"] = Manifest.read(folder).fingerprint
    return tags
