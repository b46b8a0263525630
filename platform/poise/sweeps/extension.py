"""Adds seeds or settings to a study.

In: the study's name, and a larger search space. Out: the larger ``Study``. Earlier settings keep
their numbers, names and results. Next: ``poise.sweeps.runner``.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from poise.config import PoiseError
from poise.config.loading import override_space, parse_overrides
from poise.config.samplers import Sampler
from poise.config.space_files import sort_overrides
from poise.studies.study import Command, Study, count_trials
from poise.sweeps.planning import check_settings, check_trials, read_study, told_source
from poise.sweeps.resumption import WORDS, check_same, named_study, with_same_datasets

_MAY_GROW = ("parameters", "seeds", "trials")


def extend_study(
    name: str, path: str | None, overrides: Sequence[str] = (), command: Command = "sweep"
) -> Study:
    """Makes a study with more seeds or settings, without writing a file.

    Earlier settings keep their numbers, names and results.

    Args:
        name: name of the study, finished or not.
        path: file of the larger space; None uses the study's own space.
        overrides: changes of the space: ``seeds=[0,1,2,3]``, ``trials=16``, or the values of a
            parameter. A list must contain the old and the new values.
        command: command that began the study.

    Raises:
        PoiseError: there is no such study; the space adds nothing or removes something; or another
            setting or the content of a dataset has changed.
    """
    there = named_study(name, command, "--extend")
    here = _larger(there, overrides) if path is None else read_study(path, overrides, name, command)
    check_same(there, here, "--extend", _MAY_GROW, "only the list of trials may grow; ")
    _check_grown(there, here)
    known = [*there.settings]
    new = [settings for settings in here.settings if settings not in known]
    seeds = tuple(dict.fromkeys((*there.space.seeds, *here.space.seeds)))
    extended = replace(
        here,
        space=here.space.model_copy(update={"seeds": seeds}),
        settings=(*known, *new),
        renumbered=(*known, *new) != here.settings,
        datasets=there.datasets,
    )
    if count_trials(extended) == count_trials(there):
        raise PoiseError(
            f"--extend {name}: nothing is added; name the old and the new, such as "
            f"'seeds={[*seeds, max(seeds) + 1]}'"
        )
    check_trials(extended)
    return with_same_datasets(extended)


def _larger(study: Study, overrides: Sequence[str]) -> Study:
    for_space, for_recipe = sort_overrides(overrides)
    if for_recipe:
        raise PoiseError(
            f"--extend {study.name}: {for_recipe[0]}: its recipe stays as it is; without --extend "
            "a new study begins"
        )
    for key in parse_overrides(for_space):
        if key in WORDS:
            raise PoiseError(
                f"--extend {study.name}: {key}: stays as it was asked; name the space's file to "
                "change its words, or leave --extend out to begin a new study"
            )
    space = override_space(study.space, for_space, "command line")
    overrides = (*study.overrides, *overrides)
    source = told_source(study.source, overrides)
    settings = check_settings(space, study.recipe, source, study.command)
    return replace(study, space=space, settings=settings, overrides=overrides)


def _check_grown(there: Study, here: Study) -> None:
    lists: dict[str, tuple[Sequence[Any], Sequence[Any]]] = {
        "seeds": (there.space.seeds, here.space.seeds)
    }
    for key, old, new in _both_samplers(there, here):
        grows = there.command == "ablate" or old.name == "grid_search"
        if old != new and not (grows and old.name == new.name and old.values is not None):
            raise PoiseError(
                f"--extend {there.name}: parameters.{key}: {old.name} of other values would draw "
                "other settings; only lists that run completely can grow, and `trials` for draws"
            )
        lists[f"parameters.{key}"] = (old.values or (), new.values or ())
    for key, (olds, news) in lists.items():
        for value in olds:
            if value not in news:
                raise PoiseError(
                    f"--extend {there.name}: {key}: {value} was tried and is gone; name the old "
                    f"and the new: {[*olds]} and more"
                )
    if here.space.trials < there.space.trials:
        raise PoiseError(
            f"--extend {there.name}: trials={here.space.trials} is less than its "
            f"{there.space.trials}"
        )


def _both_samplers(there: Study, here: Study) -> Iterator[tuple[str, Sampler, Sampler]]:
    old, new = there.space.parameters, here.space.parameters
    for key in old | new:
        if key not in old or key not in new:
            raise PoiseError(
                f"--extend {there.name}: parameters.{key}: varies only "
                f"{'there' if key in old else 'here'}; the same hyperparameters must vary"
            )
        yield key, old[key], new[key]
