"""Makes tags for the datasets that a run's metrics depend on.

In: a recipe. Out: tags of the run. Next: ``poise.tracking.run``, which writes the tags.
"""

from poise.config import Recipe
from poise.data.manifest import Manifest


def dataset_tags(recipe: Recipe) -> dict[str, str]:
    """Makes tags for the training set, and for the datasets of the evaluations during training.

    ``poise.dataset`` is the training set's name. ``poise.dataset_fingerprint``,
    ``poise.queries_fingerprint`` and ``poise.bank_fingerprint`` come from the manifests of the
    datasets. If the recipe names no bank, k-NN uses the training set, and there is no tag.
    """
    trained, probes = Manifest.read(recipe.data.dataset), recipe.evaluation
    tags = {"poise.dataset": trained.name, "poise.dataset_fingerprint": trained.fingerprint}
    if probes.every_epochs is None:
        return tags
    for role, folder in (("queries", probes.queries), ("bank", probes.bank)):
        if folder is not None:
            tags[f"poise.{role}_fingerprint"] = Manifest.read(folder).fingerprint
    return tags
