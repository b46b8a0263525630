"""Registers the backbone of a finished run in the model registry, with its measured metrics.

In: a ``Finished`` and its recipe. Out: a registered version. Next: ``poise models list``.
"""

from collections.abc import Iterator

from poise.config import Recipe
from poise.config.metrics import ATTENTION, EVALUATION, FORGETTING
from poise.config.wording import unit
from poise.data.manifest import Manifest
from poise.evaluation import label_free
from poise.evaluation.measurement import wilson_interval
from poise.evaluation.neighbours import knn, ridge
from poise.evaluation.segmentation.online import PROTOCOL as DENSE_PROTOCOL
from poise.evaluation.tokens import online as attention_probe
from poise.models.fetched import fetched
from poise.runs.outcome import Finished
from poise.tracking.registry.registration import model_name, register_model
from poise.tracking.registry.version import RegisteredFigure
from poise.tracking.store import Store, open_store

PROTOCOLS = {
    "eval/knn_top1": knn.PROTOCOL,
    "eval/knn_top5": knn.PROTOCOL,
    "eval/linear_top1": ridge.PROTOCOL,
    "eval/rankme": label_free.RANKME_PROTOCOL,
    "eval/lidar": label_free.LIDAR_PROTOCOL,
    "eval/dense_miou": DENSE_PROTOCOL,
    **dict.fromkeys(ATTENTION, attention_probe.PROTOCOL),
}
"""Maps each metric that is evaluated during training to the id of its protocol. The id is stored
with the metric's value.
"""

_ACCURACIES = ("eval/knn_top1", "eval/knn_top5", "eval/linear_top1")
_SHARES = ("eval/knn_forgotten", "eval/knn_learned")
_KEPT = (*EVALUATION, *FORGETTING, "start/knn_top1", "patches/outlier_share")


def register_if_healthy(recipe: Recipe, finished: Finished) -> str | None:
    """Registers the backbone of a healthy run and returns ``models:/name/version``.

    If the run is not healthy, it registers nothing and returns None.
    """
    return register_finished(open_store(), recipe, finished) if finished.is_healthy else None


def register_finished(
    store: Store, recipe: Recipe, finished: Finished, metric: str = "eval/knn_top1"
) -> str:
    """Registers the backbone of a finished run and returns ``models:/name/version``.

    Args:
        store: MLflow store that contains the run.
        recipe: recipe of the run.
        finished: finished run.
        metric: metric by which the run was chosen. The version's tag ``metric`` names it.
    """
    dataset = Manifest.read(recipe.data.dataset).name
    name = model_name(dataset, recipe.objective.name, recipe.backbone.name)
    figures = dict(_figures(recipe, finished, metric))
    tags: dict[str, object] = {"objective": recipe.objective.name, "verdict": finished.verdict.kind}
    if metric in figures:
        tags["metric"] = metric
    package = fetched(finished.package)
    return register_model(store, package, name, finished.run_id, tags, figures)


def _figures(
    recipe: Recipe, finished: Finished, metric: str
) -> Iterator[tuple[str, RegisteredFigure]]:
    """Yields the latest value of each metric.

    Accuracies get a 95 % interval if the recipe names a dataset of query images.
    """
    for name in dict.fromkeys((metric, *_KEPT)):
        if name in finished.metrics:
            yield name, _figure(recipe, name, finished.metrics[name])


def _figure(recipe: Recipe, name: str, value: float) -> RegisteredFigure:
    queries = _num_queries(recipe) if name in _ACCURACIES else None
    low = high = None
    if queries:
        low, high = (100 * end for end in wilson_interval(value * queries / 100, queries))
    measured_on = recipe.evaluation.queries or recipe.evaluation.bank or recipe.data.dataset
    return RegisteredFigure(
        value=value,
        unit="%" if unit(name) or name in _SHARES else "",
        low=low,
        high=high,
        protocol=PROTOCOLS.get(name),
        dataset=Manifest.read(measured_on).name if name.startswith("eval/") else None,
    )


def _num_queries(recipe: Recipe) -> int | None:
    """Counts the classified images, with or without a label.

    None means that there are no queries.
    """
    config = recipe.evaluation
    if config.queries is None:
        return None
    manifest = Manifest.read(config.queries)
    return min(manifest.num_samples, config.max_query_images)
