"""Checks that a search space fits its recipe, before the study starts.

In: a search space and the recipe that it varies. Out: nothing, or one error that names the file,
the key, the value and the fix. Next: ``poise.sweeps.random_settings``, which draws settings from
the checked space.
"""

from collections.abc import Iterator
from typing import Any

from poise.config import PoiseError, Recipe, Space, override
from poise.config.keys import check_key, nearest
from poise.config.loading import check_value
from poise.config.metrics import DENSE, EVALUATION, LABELLED
from poise.config.samplers import Sampler, written
from poise.config.wording import shown
from poise.studies.trials import ablation_settings, baseline_of, sweep_command, value_of

_OWN = {
    "seed": "`seeds` of the space gives each trial its seed",
    "training.stop_collapsed": "`stop_collapsed` of the space decides for all trials",
    "name": "trials are named by the study",
    "objective.name": "each objective has options of its own; write a space for each",
}


_NOT_SEARCHED = {
    "grid_search": "choice",
    "qloguniform": "loguniform",
    "randn": "uniform",
}
"""Maps each sampler that Optuna does not have to Optuna's most similar sampler."""


def check_space(space: Space, recipe: Recipe, source: str) -> None:
    """Raises PoiseError for anything that would fail later, or would be misunderstood silently.

    Each value is checked only against the limits of its own setting. Rules about combinations of
    settings are checked for each trial. If settings are drawn in advance, this happens before the
    first trial starts. If a searcher such as Optuna chooses settings during the study, a forbidden
    combination makes its trial fail.

    Args:
        space: space to check.
        recipe: recipe of the space, with the changes of the command line.
        source: file of the space, for messages.
    """
    _check_metric(space, recipe, source)
    _check_goal(space, recipe, source)
    where = f"{source}: parameters"
    for key, sampler in space.parameters.items():
        if key in _OWN:
            raise PoiseError(f"{where}: '{key}' cannot be varied: {_OWN[key]}")
        check_key(key, where, (recipe.objective.name,))
        _check_kind(key, sampler, recipe, where)
        for value in _ends(sampler):
            check_value(recipe, key, value, f"{where}.{key}")
    for key, value in (space.baseline or {}).items():
        check_value(recipe, key, value, f"{source}: baseline")
    for seed in space.seeds:
        override(recipe, {"seed": seed}, f"{source}: seeds")
    _check_count(space, source)


def check_ablation(space: Space, recipe: Recipe, source: str) -> None:
    """Raises PoiseError for anything that would make the comparison of settings unfair.

    Args:
        space: space that ``check_space`` has accepted.
        recipe: recipe of the space, with the changes of the command line.
        source: file of the space, for messages.
    """
    reasons = {
        f"scheduler.name={space.scheduler.name}": not space.scheduler.stops_trials,
        f"searcher.name={space.searcher.name}": space.searcher.name == "random",
        f"trials={space.trials}": space.trials == 1,
    }
    for setting, fair in reasons.items():
        if not fair:
            raise PoiseError(
                f"{source}: {setting}: an ablation runs every setting once with each seed, "
                "independent of what others measure; leave it out, or choose with "
                f"`{sweep_command(space, source)}`"
            )
    ablation_settings(space, recipe, source)
    for key, value in baseline_of(space, recipe).items():
        sampler = space.parameters[key]
        if not sampler.gives(value):
            values = sampler.values or ()
            raise PoiseError(
                f"{source}: baseline: the recipe's own {key}={shown(value)} is none of "
                f"{[*values]}; add it, or name another: baseline.{key}={shown(values[0])}"
            )


def _check_metric(space: Space, recipe: Recipe, source: str) -> None:
    metrics = recipe.signals.metrics(recipe.data.views)
    for metric in space.metric:
        if metric not in metrics:
            hint = nearest(metric, metrics, most=2)
            raise PoiseError(
                f"{source}: metric: no run of this recipe logs '{metric}'{hint or ';'} "
                "docs/diagnostics.md lists all metrics"
            )
        if metric in EVALUATION and recipe.evaluation.every_epochs is None:
            raise PoiseError(
                f"{source}: metric: '{metric}' is never measured, because the recipe's "
                "evaluation.every_epochs=null switches the probes off"
            )
        if metric in LABELLED + DENSE and recipe.evaluation.queries is None:
            raise PoiseError(
                f"{source}: metric: '{metric}' is never measured, because the recipe's "
                "evaluation.queries names no labelled dataset"
            )
        if metric in DENSE:
            _check_masks(metric, recipe, source)


def _check_masks(metric: str, recipe: Recipe, source: str) -> None:
    """Raises PoiseError if a metric needs masks, and the bank or the queries have no masks."""
    from poise.data.annotations import check_annotations
    from poise.data.dataset import ImageDataset
    from poise.data.manifest import Manifest

    bank, queries = recipe.evaluation.bank or recipe.data.dataset, recipe.evaluation.queries
    if queries and Manifest.read(bank).fingerprint == Manifest.read(queries).fingerprint:
        raise PoiseError(
            f"{source}: metric: '{metric}' learns from the bank and is scored on the queries, but "
            f"both are {queries}; name other images as evaluation.queries"
        )
    for folder in filter(None, (bank, recipe.evaluation.queries)):
        try:
            check_annotations(ImageDataset.open(folder), "mask")
        except PoiseError as error:
            raise PoiseError(f"{source}: metric: '{metric}' needs masks: {error}") from None


def _check_goal(space: Space, recipe: Recipe, source: str) -> None:
    """Raises PoiseError if a scheduler would compare trials by DINO's loss.

    The loss is lowest for collapsed trials. Optuna is told which settings collapsed, but a
    scheduler gets only the loss.
    """
    metric, mode = space.goal
    has_teacher = recipe.signals.num_prototypes is not None
    if space.scheduler.stops_trials and has_teacher and (metric[:5], mode) == ("loss/", "min"):
        raise PoiseError(
            f"{source}: metric: by '{metric}' scheduler {space.scheduler.name} would keep the "
            "trials that collapse, because the loss is lowest if one prototype takes every image; "
            "compare by eval/rankme or a probe, or leave the scheduler out"
        )


def _check_kind(key: str, sampler: Sampler, recipe: Recipe, where: str) -> None:
    if sampler.values is not None:
        return
    current = value_of(recipe, key)
    is_number = isinstance(current, int | float) and not isinstance(current, bool)
    if not is_number and current is not None:
        raise PoiseError(
            f"{where}: '{key}': {written(sampler)} draws numbers, and the recipe has "
            f"{shown(current)}; use choice or grid_search"
        )
    if isinstance(current, int) and not sampler.draws_whole:
        raise PoiseError(
            f"{where}: '{key}': {written(sampler)} draws fractions, and it takes whole numbers; "
            "use randint (its high end is left out) or choice"
        )


def _ends(sampler: Sampler) -> Iterator[Any]:
    """Yields a sampler's listed values, the ends of its range, or the mean of its distribution."""
    if sampler.values is not None:
        yield from sampler.values
        return
    for value in sampler.ends or sampler.arguments[:1]:
        yield value if sampler.draws_whole else float(value)


def _check_count(space: Space, source: str) -> None:
    grids = [key for key, sampler in space.parameters.items() if sampler.name == "grid_search"]
    if len(grids) == len(space.parameters) and space.trials > 1:
        raise PoiseError(
            f"{source}: trials={space.trials} would run the same grid {space.trials} times; "
            "leave it at 1, and give several `seeds` to repeat it"
        )
    if space.searcher.name != "random":
        _check_searched(space, source)


def _check_searched(space: Space, source: str) -> None:
    """Raises PoiseError for samplers that Optuna does not have."""
    for key, sampler in space.parameters.items():
        fix = _NOT_SEARCHED.get(sampler.name)
        if fix:
            raise PoiseError(
                f"{source}: parameters: '{key}': searcher {space.searcher.name} chooses values "
                f"itself and cannot run a {sampler.name}; use {fix}, or searcher random"
            )
