"""Space of a study: a recipe, and the settings that vary between its trials.

In: the content of a space's YAML file. Out: a checked ``Space``. Next: ``poise.studies.trials``.
"""

from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from poise.config.base import NAME_PATTERN, Positive, PositiveInt, Strict
from poise.config.keys import nearest, overlap
from poise.config.metrics import METRICS, Mode, better
from poise.config.samplers import Sampler, num_settings, read_sampler, written
from poise.config.search_and_scheduler import SchedulerConfig, SearcherConfig
from poise.config.values import canonical


class Budget(Strict):
    """Limits of a study's cost. A trial that would exceed a limit is not started.

    None means no limit.
    """

    trials: PositiveInt | None = None
    """Largest number of trials in the study."""

    steps: PositiveInt | None = None
    """Largest number of steps of all trials together."""

    hours: Positive | None = None
    """Largest running time in hours, including all resumptions."""


class Goal(NamedTuple):
    """Metric, and whether its highest or its lowest value wins."""

    metric: str
    mode: Mode


def _listed(content: Any) -> Any:
    return (content,) if isinstance(content, str) else content


class Space(Strict):
    """Recipe, and the settings that vary from trial to trial."""

    name: str = Field(pattern=NAME_PATTERN)
    """Name of the space. A study's name is this name and the time."""

    recipe: str
    """Path of the recipe, relative to the folder of the space's own file."""

    question: str = ""
    """Question that the study answers, in one or two sentences. The report begins with the
    question.
    """

    published: str = ""
    """Published result, with its source. The report compares it with the result of the study."""

    metric: Annotated[
        tuple[str, ...], BeforeValidator(_listed), Field(min_length=1, strict=False)
    ] = ("eval/knn_top1",)
    """One metric or several. The first metric decides the winner; Optuna uses all of them."""

    mode: Annotated[
        Annotated[tuple[Mode, ...], Field(min_length=1, strict=False)] | None,
        BeforeValidator(_listed),
    ] = None
    """Whether high (`max`) or low (`min`) values of the metric are better: one word for all
    metrics, or one for each. None uses the known better end of each metric.
    """

    baseline: dict[str, Any] | None = None
    """Setting with which all other settings are compared. Keys that the baseline does not name have
    the recipe's values. None means the recipe's values for all keys.
    """

    design: Literal["crossed", "one_at_a_time"] = "crossed"
    """Combinations that an ablation runs. `crossed` runs all combinations of values.
    `one_at_a_time` runs the baseline, and every change of a single value.
    """

    parameters: dict[str, Sampler] = Field(min_length=1)
    """Maps the dotted key of each setting that varies to the sampler of its values."""

    seeds: tuple[int, ...] = Field((0,), min_length=1, strict=False)
    """Seeds of the trials. Every setting runs once with each seed. Trials with the same seed see
    the same images and crops.
    """

    trials: PositiveInt = 1
    """Number of draws of the sampled parameters. Each draw is combined with every value of the
    grid.
    """

    sampling_seed: int = Field(0, ge=0, lt=2**31)
    """Seed of the draws. Equal seeds in equal spaces draw the same settings."""

    budget: Budget = Budget()
    concurrency: PositiveInt = 2
    """Number of trials that run at the same time."""

    stop_collapsed: bool = True
    """Whether a trial ends early if the judge says that the trial failed. This works with every
    scheduler.
    """

    scheduler: SchedulerConfig = SchedulerConfig()
    searcher: SearcherConfig = SearcherConfig()

    @field_validator("parameters", mode="before")
    @classmethod
    def _read_samplers(cls, parameters: Any) -> Any:
        if not isinstance(parameters, dict):
            return parameters
        return {key: read_sampler(key, content) for key, content in parameters.items()}

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        _check_goals(self.metric, self.mode)
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"seeds: {[*self.seeds]} names one twice; a seed is run once")
        both = overlap(self.parameters)
        if both:
            raise ValueError(
                f"parameters: '{both[1]}' is a part of '{both[0]}', which varies too; vary one of "
                "the two"
            )
        _check_baseline(self.baseline or {}, self.parameters)
        _check_points(self)
        return self

    @property
    def goals(self) -> tuple[Goal, ...]:
        """Every metric of the study, with its better end: the highest or the lowest value."""
        return tuple(Goal(*each) for each in zip(self.metric, self._modes, strict=True))

    @property
    def goal(self) -> Goal:
        """Metric and mode that decide the winner."""
        return self.goals[0]

    @property
    def _modes(self) -> tuple[Mode, ...]:
        if self.mode is None:
            return tuple(better(metric) or "max" for metric in self.metric)
        return self.mode if len(self.mode) > 1 else self.mode * len(self.metric)

    @property
    def num_searched(self) -> int:
        """Number of settings that a searcher tries: `trials`, or fewer if fewer settings exist."""
        return int(min(self.trials, num_settings(self.parameters.values())))


def _check_goals(metrics: tuple[str, ...], modes: tuple[Mode, ...] | None) -> None:
    if len(set(metrics)) < len(metrics):
        raise ValueError(f"metric: {[*metrics]} names one twice")
    if modes is not None and len(modes) not in (1, len(metrics)):
        raise ValueError(
            f"mode: {[*modes]} has {len(modes)} for the {len(metrics)} metrics {[*metrics]}; give "
            "one for all, or one for each"
        )
    directions = [better(metric) for metric in metrics]
    for number, (metric, direction) in enumerate(zip(metrics, directions, strict=True)):
        mode = modes[number if len(modes) > 1 else 0] if modes else None
        if mode is None and direction is None and metric in METRICS:
            raise ValueError(
                f"metric: neither end of '{metric}' is better by itself; say which one wins: "
                "mode=max or mode=min"
                + (", or a list with one for each" if len(metrics) > 1 else "")
            )
        if mode is not None and direction not in (None, mode):
            size = "more" if direction == "max" else "less"
            own = ", ".join(str(each or mode) for each in directions)
            fix = f"mode={direction}" if len(metrics) == 1 else f"mode=[{own}]"
            raise ValueError(
                f"mode: {mode} is the wrong end of '{metric}': {size} is better; {fix}"
            )


def _check_baseline(baseline: dict[str, Any], parameters: dict[str, Sampler]) -> None:
    for key, value in baseline.items():
        if key not in parameters:
            varied = ", ".join(parameters)
            raise ValueError(f"baseline.{key}: does not vary here; what does: {varied}")
        values = parameters[key].values
        if values is not None and not parameters[key].gives(value):
            raise ValueError(f"baseline.{key}={value!r} is none of its values {[*values]}")


def _check_points(space: Space) -> None:
    """Raises ValueError if one of the settings that are tried first is not in the space."""
    points, where = space.searcher.points, "searcher.options.points_to_evaluate"
    if len(points) > space.trials:
        raise ValueError(
            f"{where}: has {len(points)} settings and trials={space.trials} runs fewer; set "
            f"trials={len(points)} or more"
        )
    for number, point in enumerate(points, start=1):
        which = f"{where}: setting {number}"
        for key, value in point.items():
            if key not in space.parameters:
                hint = nearest(key, list(space.parameters))
                raise ValueError(f"{which}: '{key}' does not vary here{hint}")
            sampler = space.parameters[key]
            if not sampler.gives(value):
                raise ValueError(f"{which}: {key}={value!r} is not in {written(sampler)}")
        missing = [key for key in space.parameters if key not in point]
        if missing:
            raise ValueError(f"{which}: leaves out {missing[0]}; name every varied hyperparameter")
        if canonical(point) in map(canonical, points[: number - 1]):
            raise ValueError(f"{which}: comes twice; a setting is run once")
