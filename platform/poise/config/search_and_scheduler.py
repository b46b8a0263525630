"""Settings of the searcher and the scheduler of a study.

The searcher decides which settings a study tries. The scheduler decides which trials end early.

In: names and options from a YAML file. Out: checked ``SchedulerConfig`` and ``SearcherConfig``.
Next: ``poise.config.space``.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from poise.config.base import NonNegative, Positive, PositiveInt, Probability, Strict
from poise.config.keys import nearest
from poise.config.wording import requirement, shown


class _HalvingOptions(Strict):
    """Options of ``asha`` and ``hyperband``. Times are numbers of steps."""

    grace_period: PositiveInt = 1
    max_t: PositiveInt = 1
    reduction_factor: float = Field(2, ge=1.1)
    brackets: PositiveInt = 1
    stop_last_trials: bool = True


class _MedianOptions(Strict):
    """Options of ``median``. Times are numbers of steps."""

    grace_period: PositiveInt = 1
    min_samples_required: PositiveInt = 1
    min_time_slice: NonNegative = 0


class _PopulationOptions(Strict):
    """Options of ``pbt``. Times are numbers of steps."""

    perturbation_interval: PositiveInt = 1
    burn_in_period: NonNegative = 0
    quantile_fraction: float = Field(0.25, gt=0, le=0.5)
    resample_probability: Probability = 0.25
    perturbation_factors: Annotated[tuple[Positive, Positive], Field(strict=False)] = (1.2, 0.8)


class _OptunaOptions(Strict):
    """Options of ``optuna``."""

    points_to_evaluate: Annotated[tuple[dict[str, Any], ...], Field(strict=False)] = ()


class _NoOptions(Strict):
    """Options of ``fifo`` and ``random``, which have no options."""


_OPTIONS: dict[str, type[Strict]] = {
    "fifo": _NoOptions,
    "asha": _HalvingOptions,
    "hyperband": _HalvingOptions,
    "median": _MedianOptions,
    "pbt": _PopulationOptions,
    "random": _NoOptions,
    "optuna": _OptunaOptions,
}

_DECIDED = {
    "metric": "`metric` of the space decides",
    "mode": "`mode` of the space decides",
    "time_attr": "trials are compared by their steps",
    "seed": "`sampling_seed` of the space decides",
    "space": "`parameters` of the space say what varies",
    "hyperparam_mutations": "`parameters` of the space say what varies",
    "sampler": "Poise uses Optuna's TPE sampler",
    "storage": "the study's own records hold what was tried",
    "study_name": "the study's own records hold what was tried",
    "evaluated_rewards": "Poise gives Optuna the results of the study's own trials",
    "hard_stop": "a paused trial would have to begin again",
    "synch": "all trials would pause at each interval, and a paused trial has to begin again",
    "custom_explore_fn": "a space holds values, no functions",
    "require_attrs": "Poise sees to it that every report has the metric and the step",
    "log_config": "the records of the trials say what changed",
}
"""Maps each option of Ray Tune or Optuna that the user may not set to the reason."""


class _Chosen(Strict):
    """Scheduler or searcher, chosen by its name, with its options."""

    name: str
    """Name of the scheduler or searcher."""

    options: dict[str, Any] = Field(default_factory=dict)
    """Options of Ray Tune's scheduler or searcher. Unknown options are refused."""

    @model_validator(mode="after")
    def _known_options(self) -> Self:
        kind = type(self).__name__.removesuffix("Config").lower()
        model = _OPTIONS[self.name]
        known = list(model.model_fields)
        for option in self.options:
            if option in known:
                continue
            if option in _DECIDED:
                raise ValueError(
                    f"{kind}.options.{option}: {_DECIDED[option]}; leave the option out"
                )
            there_are = f"; it takes {', '.join(known)}" if known else "; it takes none"
            hint = nearest(option, known) or there_are
            raise ValueError(f"{kind} {self.name} has no option '{option}'{hint}")
        try:
            model.model_validate(self.options)
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join([f"{kind}.options", *map(str, first["loc"])])
            raise ValueError(
                f"{key}={shown(first['input'])} must be {requirement(first)}"
            ) from None
        return self


class SchedulerConfig(_Chosen):
    """Decides which trials end early or continue from another trial.

    `options` are options of Ray Tune's scheduler.
    """

    name: Literal["fifo", "asha", "median", "hyperband", "pbt"] = "fifo"

    @property
    def stops_trials(self) -> bool:
        """Whether the scheduler may stop a trial before its last step."""
        return self.name != "fifo"

    @property
    def changes_settings(self) -> bool:
        """Whether a trial's settings may change during training (population-based training)."""
        return self.name == "pbt"


class SearcherConfig(_Chosen):
    """Decides which settings are tried next. `options` are options of Ray Tune's searcher."""

    name: Literal["random", "optuna"] = "random"

    @property
    def points(self) -> tuple[dict[str, Any], ...]:
        """Settings that Optuna tries first."""
        return tuple(self.options.get("points_to_evaluate", ()))
