"""Population-based training (arXiv 1711.09846): settings change while trials train.

In: a search space, and the reports of its trials. Out: a scheduler for Tune. At every interval the
worst quarter of the trials continues from checkpoints of the best quarter, with similar settings.
Next: ``poise.sweeps.tune_search``.

Tune chooses which trial continues from which checkpoint, and with which settings. The checkpoints
stay in Ray Train's folders. A trial reports the path of each checkpoint, and Tune gives a path to
another trial. The result depends on which trial reports first. So a repeated study may give other
results.
"""

import math
import random
from collections.abc import Callable
from typing import Any

from ray.tune import Checkpoint
from ray.tune.integration.ray_train import CHECKPOINT_PATH_KEY
from ray.tune.schedulers import PopulationBasedTraining, TrialScheduler
from ray.tune.schedulers.pbt import _PBTTrialState

from poise.config import PoiseError, Space
from poise.config.samplers import Sampler
from poise.studies.records import Change
from poise.studies.study import Study
from poise.sweeps.random_settings import domain
from poise.training.capacity import cpus_needed
from poise.training.schedule import timetable_of

MUTABLE = (
    "objective.teacher_momentum",
    "objective.final_teacher_momentum",
    "objective.teacher_temp",
    "objective.student_temp",
    "objective.center_momentum",
    "optimizer.base_lr",
    "optimizer.final_lr",
    "optimizer.weight_decay",
    "optimizer.final_weight_decay",
    "optimizer.clip_grad",
)
"""Settings that may change while a trial trains. They are read at every step and do not change the
shape of any tensor.
"""

Exchange = Callable[[str, Change], None]


class Population(PopulationBasedTraining):  # type: ignore[misc]
    """Tune's scheduler for population-based training, on checkpoints that Ray Train has stored.

    Args:
        space: space with the hyperparameters that change.
        exchange: function that is called before a trial continues from another trial's checkpoint.
            Its arguments are the name of the first trial and the ``Change``.
        options: options of Tune.
    """

    def __init__(self, space: Space, exchange: Exchange, **options: Any) -> None:
        mutations = {key: _mutation(sampler) for key, sampler in space.parameters.items()}
        super().__init__(
            time_attr="step",
            hyperparam_mutations={"settings": mutations},
            log_config=False,
            **options,
        )
        self._space, self._exchange = space, exchange

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        """Adds a trial, without Tune's own check.

        Tune's check refuses every searcher, because a searcher would learn from trials whose
        settings have changed. Poise's searcher is safe: it only returns settings that were drawn in
        advance.
        """
        self._trial_state[trial] = _PBTTrialState(trial)

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Lets Tune decide whether the trial continues, if the report contains a checkpoint."""
        if CHECKPOINT_PATH_KEY not in result:
            return str(TrialScheduler.CONTINUE)
        return str(super().on_trial_result(tune_controller, trial, result))

    def _checkpoint_or_exploit(
        self, trial: Any, tune_controller: Any, upper_quantile: Any, lower_quantile: Any
    ) -> None:
        """Replaces Tune's method. It uses the reported checkpoint instead of a new checkpoint."""
        state = self._trial_state[trial]
        state.last_checkpoint = Checkpoint(state.last_result[CHECKPOINT_PATH_KEY])
        if trial in lower_quantile:
            self._exploit(tune_controller, trial, random.choice(upper_quantile))

    def _get_new_config(self, trial: Any, trial_to_clone: Any) -> tuple[Any, Any]:
        """Returns the other trial's settings with mutations.

        The trial keeps its own name and seed.
        """
        drawn, operations = super()._get_new_config(trial, trial_to_clone)
        settings = {
            key: _within(self._space.parameters[key], value)
            for key, value in drawn["settings"].items()
        }
        seen = self._trial_state[trial_to_clone].last_result
        donor, checkpoint = trial_to_clone.config["name"], str(seen[CHECKPOINT_PATH_KEY])
        change = Change(int(seen["step"]), donor, checkpoint, settings)
        self._exchange(trial.config["name"], change)
        return {**trial.config, "settings": settings}, operations


def check_population(study: Study) -> None:
    """Raises PoiseError if population-based training is not possible with this space."""
    space, source = study.space, study.source
    for key in space.parameters:
        if key not in MUTABLE:
            raise PoiseError(
                f"{source}: parameters: '{key}' cannot change while a trial trains, which "
                f"scheduler pbt needs; these can change: {', '.join(MUTABLE)}"
            )
    if space.searcher.name != "random":
        raise PoiseError(
            f"{source}: searcher {space.searcher.name} would learn from trials whose settings "
            "scheduler pbt changes; use searcher random"
        )
    if len(study.trials) < 2:
        raise PoiseError(f"{source}: scheduler pbt needs a population, and there is one trial")
    check_conduct(study)
    _check_intervals(study)


def check_conduct(study: Study) -> None:
    """Raises PoiseError if concurrency or budget would let only a part of the population train.

    This is also checked when a study continues, because budget and concurrency may have changed.
    """
    space, source = study.space, study.source
    done = sum(record.is_done for record in study.records())
    size, left = len(study.trials), len(study.trials) - done
    if space.concurrency < left:
        raise PoiseError(
            f"{source}: scheduler pbt trains its {left} trials at once, and only "
            f"{space.concurrency} run at once; set concurrency={left}"
        )
    if left and space.budget.trials is not None and space.budget.trials < size:
        raise PoiseError(
            f"{source}: scheduler pbt trains its {size} trials at once, and "
            f"budget.trials={space.budget.trials} lets fewer begin; leave it out, or use fewer "
            "trials"
        )


def check_at_once(study: Study, num_cpus: float) -> None:
    """Raises PoiseError if this machine has too few CPUs to train the population at once."""
    done = sum(record.is_done for record in study.records())
    left, each = len(study.trials) - done, cpus_needed(study.recipe)
    if left * each > num_cpus:
        raise PoiseError(
            f"{study.source}: scheduler pbt trains its {left} trials at once, which needs "
            f"{left * each:g} CPUs, {each:g} for each, and this machine has {num_cpus:g}; take "
            "fewer trials, or set RAY_ADDRESS to a larger cluster"
        )


def _check_intervals(study: Study) -> None:
    recipe, metric = study.recipe, study.space.goal.metric
    timetable = timetable_of(recipe)
    steps = range(1, timetable.total_steps)
    measured = timetable.evaluates if metric.startswith("eval/") else timetable.is_boundary
    if not any(timetable.checkpoints(step) and measured(step) for step in steps):
        raise PoiseError(
            f"{study.source}: scheduler pbt: no step of {timetable.total_steps} has both a "
            f"checkpoint and '{metric}'; to have both at one step, change "
            f"training.checkpoint_every_steps (now {recipe.training.checkpoint_every_steps}; "
            f"an epoch has {timetable.steps_per_epoch})"
        )


def _mutation(sampler: Sampler) -> Any:
    """Returns a parameter's values for Tune: a list or a range.

    Tune replaces a value by its neighbour in a list, and multiplies a value in a range.
    """
    return list(sampler.values) if sampler.values is not None else domain(sampler)


def _within(sampler: Sampler, value: Any) -> Any:
    """Clips the value to its range."""
    if sampler.values is not None or sampler.name == "randn":
        return value
    low, high = sampler.arguments[:2]
    high = high - 1 if "randint" in sampler.name else high
    return min(max(value, low), high) if math.isfinite(value) else low
