"""Suggests settings with Optuna, without repetitions.

In: a search space, and the results of the settings tried so far. Out: the next settings to try.
Next: ``poise.sweeps.trial_queue``.
"""

import math
import warnings
from collections.abc import Hashable
from typing import Any, Literal

from poise.config import PoiseError, Space
from poise.config.samplers import every_setting, num_settings
from poise.config.values import canonical
from poise.studies.trials import Settings
from poise.sweeps.random_settings import domain

_REDRAWS = 20  # then an untried setting is taken without Optuna


class OptunaSampler:
    """Optuna's sampler TPE (tree-structured Parzen estimator), for one or several metrics.

    Args:
        space: search space.
        seed: seed of the sampler.

    Raises:
        PoiseError: Optuna is not installed.
    """

    def __init__(self, space: Space, seed: int) -> None:
        try:
            import optuna
        except ModuleNotFoundError:
            raise PoiseError(
                "searcher optuna is not installed; run `pip install 'poise[optuna]'`, or set "
                "searcher.name=random"
            ) from None
        from ray.tune.search.optuna import OptunaSearch

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        domains = {key: domain(sampler) for key, sampler in space.parameters.items()}
        with warnings.catch_warnings():
            # A list as one of several values can be kept in memory, but not in a database.
            warnings.filterwarnings("ignore", "Choices for a categorical distribution")
            self._distributions = OptunaSearch.convert_search_space(domains)
        self.study: Any = optuna.create_study(
            sampler=optuna.samplers.TPESampler(seed=seed),
            directions=["minimize" if goal.mode == "min" else "maximize" for goal in space.goals],
        )
        states = optuna.trial.TrialState
        self._states = {"pruned": states.PRUNED, "failed": states.FAIL}
        self._parameters = space.parameters
        self._asked: dict[int, Any] = {}  # number of a setting → Optuna's trial
        self._tried: set[Hashable] = set()

    def enqueue(self, settings: Settings) -> None:
        """Adds settings that Optuna suggests before it samples others."""
        self.study.enqueue_trial(settings)

    def begin(self, number: int, settings: Settings) -> None:
        """Tells Optuna that settings are being tried that ``suggest`` did not return."""
        self.enqueue(settings)
        self._asked[number] = self._ask()
        self._tried.add(_identity(settings))

    def suggest(self, number: int) -> Settings | None:
        """Returns settings that were not tried before; None if all settings were tried."""
        for _ in range(_REDRAWS):
            trial = self._ask()
            settings = {key: trial.params[key] for key in self._parameters}
            if _identity(settings) not in self._tried:
                self._asked[number] = trial
                self._tried.add(_identity(settings))
                return settings
            self.study.tell(trial, state=self._states["failed"])
        if math.isinf(num_settings(self._parameters.values())):
            return None
        for settings in every_setting(self._parameters):
            if _identity(settings) not in self._tried:
                self.begin(number, settings)
                return settings
        return None

    def tell(self, number: int, result: list[float] | Literal["pruned", "failed"]) -> None:
        """Reports to Optuna the metrics of a setting, or its state if it has no metrics."""
        trial = self._asked[number]
        if isinstance(result, str):
            self.study.tell(trial, state=self._states[result])
        else:
            self.study.tell(trial, values=result)

    def _ask(self) -> Any:
        return self.study.ask(fixed_distributions=self._distributions)


def _identity(settings: Settings) -> Hashable:
    """Returns a key that is equal for settings that differ only by rounding."""
    rounded = {
        key: float(f"{value:.12g}") if isinstance(value, float) else value
        for key, value in settings.items()
    }
    return canonical(rounded)
