"""A space held against its recipe, before anything starts.

In: a space and the recipe that it varies. Out: nothing, or one error that names the file, the
key, the value and the fix. Next: ``poise.sweeps.drawing``, whose trials tell whether values go
together.
"""

import inspect
from collections.abc import Iterator
from typing import Any

from poise.config import PoiseError, Recipe, Space, override
from poise.config.keys import check_key, nearest
from poise.config.loading import check_value
from poise.config.metrics import EVALUATION, LABELLED
from poise.config.space import Sampler
from poise.studies.trials import ablation_settings, baseline_of, sweep_command, value_of

_OWN = {
    "seed": "`seeds` of the space gives each trial its seed",
    "training.stop_collapsed": "`stop_collapsed` of the space decides for all trials",
    "name": "trials are named by the study",
    "objective.name": "each objective has settings of its own; write a space for each",
}
_FRACTIONS = ("uniform", "quniform", "loguniform", "qloguniform", "randn")


def check_space(space: Space, recipe: Recipe, source: str) -> None:
    """Raises PoiseError for whatever would fail later, or silently mean something else.

    Each value is held against the limits of its own setting alone. What settings must agree on is
    up to the trials: those that are drawn beforehand are checked before the first one starts, and
    of a searcher that decides as it goes a combination that does not hold fails its trial.

    Args:
        space: to check.
        recipe: that the space names, with what was changed on the command line.
        source: the space's file, for messages.
    """
    _check_metric(space, recipe, source)
    _check_goal(space, recipe, source)
    for key, sampler in space.parameters.items():
        where = f"{source}: parameters"
        if key in _OWN:
            raise PoiseError(f"{where}: '{key}' cannot be varied: {_OWN[key]}")
        check_key(key, where, (recipe.objective.name,))
        _check_kind(key, sampler, recipe, where)
        for value in _ends(sampler):
            check_value(recipe, key, value, f"{where}.{key}")
    for seed in space.seeds:
        override(recipe, {"seed": seed}, f"{source}: seeds")
    _check_count(space, source)


def check_ablation(space: Space, recipe: Recipe, source: str) -> None:
    """Raises PoiseError for what would keep settings from being compared fairly.

    Args:
        space: that ``check_space`` has passed.
        recipe: that the space names, with what was changed on the command line.
        source: the space's file, for messages.
    """
    reasons = {
        f"scheduler.name={space.scheduler.name}": not space.scheduler.stops_trials,
        f"searcher.name={space.searcher.name}": space.searcher.name == "random",
        f"trials={space.trials}": space.trials == 1,
    }
    for written, fair in reasons.items():
        if not fair:
            raise PoiseError(
                f"{source}: {written}: an ablation runs every setting once with each seed, "
                "whatever others measure; leave it out, or choose with "
                f"`{sweep_command(space, source)}`"
            )
    ablation_settings(space, recipe, source)
    for key, value in baseline_of(space, recipe).items():
        values = space.parameters[key].values or ()
        if value not in values:
            raise PoiseError(
                f"{source}: baseline: the recipe's own {key}={value!r} is none of {[*values]}; "
                f"add it, or name another: baseline.{key}={values[0]}"
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
        if metric in LABELLED and recipe.evaluation.queries is None:
            raise PoiseError(
                f"{source}: metric: '{metric}' is never measured, because the recipe's "
                "evaluation.queries names no labelled dataset"
            )


def _check_goal(space: Space, recipe: Recipe, source: str) -> None:
    """Optuna is told which settings collapsed; a scheduler sees the figure alone."""
    metric, mode = space.goal
    has_teacher = recipe.signals.num_prototypes is not None
    if space.scheduler.stops_trials and has_teacher and (metric[:5], mode) == ("loss/", "min"):
        raise PoiseError(
            f"{source}: metric: by '{metric}' scheduler {space.scheduler.name} would keep the "
            "trials that collapse: once one prototype takes every image, the loss is lowest; "
            "compare by eval/rankme or a probe, or leave the scheduler out"
        )


def _check_kind(key: str, sampler: Sampler, recipe: Recipe, where: str) -> None:
    current = value_of(recipe, key)
    written = f"{{{sampler.name}: {list(sampler.arguments)}}}"
    whole = isinstance(current, int) and not isinstance(current, bool)
    if sampler.values is None and not isinstance(current, int | float | None):
        raise PoiseError(
            f"{where}: '{key}': {written} draws numbers, and the recipe has {current!r}; "
            "use choice or grid_search"
        )
    if whole and sampler.name in _FRACTIONS:
        raise PoiseError(
            f"{where}: '{key}': {written} draws fractions, and it takes whole numbers; use randint "
            "(its high end is left out) or choice"
        )


def _ends(sampler: Sampler) -> Iterator[Any]:
    """Every listed value, or the ends of the range; of a normal distribution its mean."""
    if sampler.values is not None:
        yield from sampler.values
    elif sampler.name == "randn":
        yield sampler.arguments[0]
    else:
        low, high = sampler.arguments[:2]
        yield low
        yield high - 1 if "randint" in sampler.name else high


def _check_count(space: Space, source: str) -> None:
    grids = [key for key, sampler in space.parameters.items() if sampler.name == "grid_search"]
    if len(grids) == len(space.parameters) and space.trials > 1:
        raise PoiseError(
            f"{source}: trials={space.trials} would run the same grid {space.trials} times; "
            "leave it at 1, and give several `seeds` to repeat it"
        )
    if grids and space.searcher.name != "random":
        raise PoiseError(
            f"{source}: parameters: '{grids[0]}': searcher {space.searcher.name} chooses values "
            "itself and cannot run a grid_search; use choice, or searcher random"
        )


def check_options(kind: Any, options: dict[str, Any], where: str) -> None:
    """Raises PoiseError with the nearest name where something of Tune's has no such option."""
    known = [name for name in inspect.signature(kind.__init__).parameters if name != "self"]
    for name in options:
        if name not in known:
            raise PoiseError(f"{where} has no option '{name}'{nearest(name, known)}")
