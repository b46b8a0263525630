"""Makes a new study: reads and checks a search space, and plans the settings to try.

In: the file of a search space, and overrides from the command line. Out: a checked ``Study``. Next:
``poise.sweeps.runner``, which carries it out.
"""

import shlex
from collections.abc import Sequence
from dataclasses import replace

from poise.config import PoiseError, Recipe, Space, override
from poise.config.keys import overlap
from poise.config.loading import parse_overrides, with_absolute_paths
from poise.config.paths import check_run_name, new_name, taken
from poise.config.space_files import load_space_and_recipe, sort_overrides
from poise.evaluation.during_training import online_probes
from poise.runs.initial_weights import check_start
from poise.studies.study import Command, Study
from poise.studies.trials import Settings, ablation_settings
from poise.sweeps.population import check_population
from poise.sweeps.random_settings import draw_settings
from poise.sweeps.space_check import check_ablation, check_space
from poise.sweeps.trial_queue import trial_queue
from poise.sweeps.tune_search import check_compared, scheduler
from poise.training.capacity import check_builds
from poise.training.datasets import DATASET_KEYS, fingerprints
from poise.training.elastic import is_elastic
from poise.training.schedule import total_steps_of

_STOPS = "training.stop_collapsed"


def begin_study(
    path: str, overrides: Sequence[str] = (), name: str | None = None, command: Command = "sweep"
) -> Study:
    """Makes and checks a new study, and reserves its name.

    Arguments and errors are the same as for ``request_study``.
    """
    study = request_study(path, overrides, name, command)
    study.claim()
    return study


def request_study(
    path: str, overrides: Sequence[str] = (), name: str | None = None, command: Command = "sweep"
) -> Study:
    """Makes and checks a new study, without writing a file.

    Args:
        path: path of the space's file.
        overrides: ``key=value``. Keys of the space (``trials=8``) change the space; keys of its
            recipe (``training.epochs=2``) change every trial.
        name: name of the study; by default the space's name and the time.
        command: `sweep` or `ablate`.

    Raises:
        PoiseError: the space or the recipe is wrong; the message names the mistake and the fix.
    """
    study = read_study(path, overrides, name, command)
    if study.folder.exists():
        raise taken(study.folder, f"poise {command} --resume {study.name}")
    check_trials(study)
    return replace(study, datasets=datasets_of(study))


def read_study(path: str, overrides: Sequence[str], name: str | None, command: Command) -> Study:
    """Makes the study that these arguments describe. A study of this name may exist already."""
    if name is not None:
        check_run_name(name)
    _, for_recipe = sort_overrides(overrides)
    space, recipe = load_space_and_recipe(path, overrides)
    recipe = override(recipe, {_STOPS: space.stop_collapsed}, path)
    if space.scheduler.changes_settings:
        recipe = override(recipe, {"training.keep_checkpoints": None}, path)  # others need them
    for key, value in parse_overrides(for_recipe).items():
        if key == _STOPS:
            raise PoiseError(f"command line: '{key}': set `stop_collapsed` of the space instead")
        if key == "seed":
            raise PoiseError(
                f"command line: seed={value}: a study runs each setting with every one of its "
                f"`seeds`; did you mean seeds=[{value}]?"
            )
        for varied in space.parameters:
            if varied == key or overlap((varied, key)):
                raise PoiseError(
                    f"command line: '{key}': '{varied}' varies in {path}; fix it there with "
                    f"`parameters.{varied}={{choice: [VALUE]}}`"
                )
    name = name or new_name(space.name)
    settings = check_settings(space, recipe, told_source(path, overrides), command)
    recipe = with_absolute_paths(recipe)
    return Study(name, space, recipe, path, tuple(overrides), command, settings)


def told_source(path: str, overrides: Sequence[str]) -> str:
    """Returns the file and the overrides as the user typed them after `sweep` or `ablate`."""
    return shlex.join([path, *overrides])


def check_settings(
    space: Space, recipe: Recipe, source: str, command: Command
) -> tuple[Settings, ...]:
    """Checks a space and returns its settings, in the order of their numbers.

    If a searcher chooses settings during the study, the result is empty.

    Raises:
        PoiseError: a part of the space cannot be tried.
    """
    check_space(space, recipe, source)
    if command == "ablate":
        check_ablation(space, recipe, source)
    elif space.design != "crossed":
        raise PoiseError(
            f"{source}: design={space.design}: a sweep draws its settings; say design=crossed, or "
            f"run `poise ablate {source}`"
        )
    return plan_settings(space, recipe, source, command)


def plan_settings(
    space: Space, recipe: Recipe, source: str, command: Command
) -> tuple[Settings, ...]:
    """Returns the settings that are known before the first trial, in the order of their numbers."""
    if command == "ablate":
        return tuple(ablation_settings(space, recipe, source))
    return tuple(draw_settings(space)) if space.searcher.name == "random" else ()


def datasets_of(study: Study) -> dict[str, str]:
    """Returns the fingerprint of every dataset that a trial of a study may read.

    Raises:
        PoiseError: a folder is not a prepared dataset.
    """
    found = fingerprints(study.recipe)
    for key in DATASET_KEYS:
        sampler = study.space.parameters.get(key)
        for value in (sampler.values or ()) if sampler is not None else ():
            varied = with_absolute_paths(override(study.recipe, {key: value}, study.source))
            found |= fingerprints(varied)
    return found


def check_trials(study: Study) -> None:
    """Checks each trial's recipe, its datasets, and the trained backbone that it may start from."""
    source = told_source(study.source, study.overrides)
    scheduler(study.space, total_steps_of(study.recipe), source)
    check_compared(study.space, len(study.trials), source)
    if study.space.scheduler.changes_settings:
        check_population(study)
    online_probes(study.recipe)
    if study.decides_as_it_goes:
        trial_queue(study, [])
    started: set[str] = set()
    for trial in study.trials:
        recipe = trial.recipe(study.recipe, study.name)
        total_steps_of(recipe)
        _check_workers(recipe)
        check_builds(recipe)
        start = recipe.model_dump_json(
            include={"backbone", "data"}
        )  # the settings that decide how the trial starts
        if start not in started:
            check_start(recipe, source)
            started.add(start)


def _check_workers(recipe: Recipe) -> None:
    """Raises PoiseError for elastic trials, because a growing trial would take others' CPUs."""
    if is_elastic(recipe):
        raise PoiseError(
            f"training.min_workers={recipe.training.min_workers}: trials have a fixed number of "
            "workers; set it to null"
        )
