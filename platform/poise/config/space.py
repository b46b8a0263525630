"""A space: the recipes that a study tries."""

import difflib
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from poise.config.base import NAME_PATTERN, PositiveInt, Strict

SAMPLERS = {
    "grid_search": 1,
    "choice": 1,
    "uniform": 2,
    "quniform": 3,
    "loguniform": 2,
    "qloguniform": 3,
    "randint": 2,
    "lograndint": 2,
    "randn": 2,
}
"""Ray Tune's samplers, and how many arguments each takes. `randint` leaves its high end out."""


class Sampler(Strict):
    """One of Ray Tune's samplers with its arguments, written ``{uniform: [0.04, 0.07]}``."""

    name: str
    arguments: tuple[Any, ...]

    @property
    def values(self) -> tuple[Any, ...] | None:
        """All that it can give, where that is a list; none for a range."""
        return tuple(self.arguments[0]) if SAMPLERS[self.name] == 1 else None


class SchedulerConfig(Strict):
    """Which trials end early, or go on from another. `options` go to Ray Tune's scheduler."""

    name: Literal["fifo", "asha", "median", "hyperband", "pbt"] = "fifo"
    options: dict[str, Any] = Field(default_factory=dict)

    @property
    def stops_trials(self) -> bool:
        """Whether a trial may be taken away before it ends by itself."""
        return self.name != "fifo"

    @property
    def changes_settings(self) -> bool:
        """Whether a trial's settings may change while it trains: population-based training."""
        return self.name == "pbt"


class SearcherConfig(Strict):
    """Which settings are tried next. `options` go to Ray Tune's searcher."""

    name: Literal["random", "optuna"] = "random"
    options: dict[str, Any] = Field(default_factory=dict)


class Budget(Strict):
    """What a study may cost; no trial begins that has no room left. None sets no limit."""

    trials: PositiveInt | None = None
    steps: PositiveInt | None = None
    """Of all trials together."""

    hours: Annotated[float, Field(gt=0)] | None = None
    """Of wall time while the study is carried out, all resumptions together."""


Mode = Literal["min", "max"]


class Goal(NamedTuple):
    """A metric, and which of its values win."""

    metric: str
    mode: Mode


def _listed(written: Any) -> Any:
    return (written,) if isinstance(written, str) else written


class Space(Strict):
    """A recipe, and the settings of it that vary from trial to trial."""

    name: str = Field(pattern=NAME_PATTERN)
    recipe: str
    """Path of the recipe, relative to the space's own file."""

    question: str = ""
    """What is asked, in a sentence or two; opens the report."""

    published: str = ""
    """What the literature found, with its source; the report holds the answer against it."""

    metric: Annotated[tuple[str, ...], BeforeValidator(_listed), Field(min_length=1)] = (
        "eval/knn_top1",
    )
    """One name, or several: the first decides the winner, Optuna weighs all. See ``goals``."""

    mode: Annotated[tuple[Mode, ...], BeforeValidator(_listed), Field(min_length=1)] = ("max",)
    """Which values win: one for all metrics, or one for each."""

    baseline: dict[str, Any] | None = None
    """The setting that others are compared with. Keys that it leaves out, and all of them where
    it is none, have the recipe's own values."""

    design: Literal["crossed", "one_at_a_time"] = "crossed"
    """What an ablation runs: every value with every other, or the baseline and, from there, each
    other value alone."""

    parameters: dict[str, Sampler] = Field(min_length=1)
    """Dotted key of a recipe's setting → how its values are drawn."""

    seeds: tuple[int, ...] = Field((0,), min_length=1)
    """Every setting is run once with each; trials of one seed see the same images and crops."""

    trials: PositiveInt = 1
    """Draws of the sampled parameters; a grid is run whole for each draw."""

    sampling_seed: int = Field(0, ge=0, lt=2**31)
    """Of the draws. The same space draws the same settings."""

    budget: Budget = Budget()
    concurrency: PositiveInt = 2
    stop_collapsed: bool = True
    """Whether a trial that is condemned ends early, whatever the scheduler."""

    scheduler: SchedulerConfig = SchedulerConfig()
    searcher: SearcherConfig = SearcherConfig()

    @field_validator("parameters", mode="before")
    @classmethod
    def _read_samplers(cls, parameters: Any) -> Any:
        if not isinstance(parameters, dict):
            return parameters
        return {key: _sampler(key, written) for key, written in parameters.items()}

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        _check_goals(self.metric, self.mode)
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"seeds: {[*self.seeds]} names one twice; a seed is run once")
        for key, value in (self.baseline or {}).items():
            if key not in self.parameters:
                varied = ", ".join(self.parameters)
                raise ValueError(f"baseline.{key}: does not vary here; what does: {varied}")
            values = self.parameters[key].values
            if values is not None and value not in values:
                raise ValueError(f"baseline.{key}={value!r} is none of its values {[*values]}")
        return self

    @property
    def goals(self) -> tuple[Goal, ...]:
        """Every metric with its mode."""
        modes = self.mode if len(self.mode) > 1 else self.mode * len(self.metric)
        return tuple(Goal(*each) for each in zip(self.metric, modes, strict=True))

    @property
    def goal(self) -> Goal:
        """What decides the winner."""
        return self.goals[0]


def _check_goals(metrics: tuple[str, ...], modes: tuple[str, ...]) -> None:
    if len(set(metrics)) < len(metrics):
        raise ValueError(f"metric: {[*metrics]} names one twice")
    if len(modes) not in (1, len(metrics)):
        raise ValueError(
            f"mode: {[*modes]} has {len(modes)} for the {len(metrics)} metrics {[*metrics]}; give "
            "one for all, or one for each"
        )


def _sampler(key: str, written: Any) -> Any:
    if isinstance(written, Sampler) or (isinstance(written, dict) and "arguments" in written):
        return written
    if not isinstance(written, dict) or len(written) != 1:
        raise ValueError(f"'{key}' must be one sampler with its values, such as {{choice: [1, 2]}}")
    ((name, values),) = written.items()
    if name not in SAMPLERS:
        close = difflib.get_close_matches(str(name), SAMPLERS, n=1)
        hint = f"did you mean '{close[0]}'?" if close else f"there are {', '.join(SAMPLERS)}"
        raise ValueError(f"'{key}': Ray Tune has no sampler '{name}'; {hint}")
    if not isinstance(values, list) or not values:
        raise ValueError(f"'{key}': {name} needs a list of values, got {values!r}")
    arguments = (values,) if SAMPLERS[name] == 1 else tuple(values)
    if len(arguments) != SAMPLERS[name]:
        raise ValueError(f"'{key}': {name} takes {SAMPLERS[name]} values, got {values!r}")
    if SAMPLERS[name] > 1:
        _check_numbers(key, name, values)
    elif any(value in values[:index] for index, value in enumerate(values)):
        raise ValueError(f"'{key}': {name} has a value twice in {values}; a setting is run once")
    return {"name": name, "arguments": arguments}


def _check_numbers(key: str, name: str, values: list[Any]) -> None:
    numbers = [value for value in values if isinstance(value, int | float)]
    if len(numbers) != len(values):
        raise ValueError(f"'{key}': {name} takes numbers, got {values!r}")
    if name == "randn":
        return
    low, high = numbers[:2]
    if low >= high:
        raise ValueError(f"'{key}': {name} needs a low end below its high end, got {values!r}")
    if "log" in name and low <= 0:
        raise ValueError(f"'{key}': {name} needs a low end above 0, got {values!r}")
