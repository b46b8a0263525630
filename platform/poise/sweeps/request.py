"""A study is asked for, or found again.

In: a space's file and what was changed on the command line. Out: a ``Study`` that can be carried
out: everything that could be wrong with it has been looked at. Next: ``poise.sweeps.study``.
"""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from poise.config import PoiseError, Recipe, Space, load_recipe, load_space
from poise.config.keys import field_names, nearest
from poise.config.loading import parse_overrides, with_absolute_paths
from poise.config.paths import check_run_name, home
from poise.evaluation.online import online_probes
from poise.sweeps.check import check_space
from poise.sweeps.records import STUDY_FILE, Study, load_study
from poise.sweeps.report import REPORT_FILE
from poise.sweeps.searching import count_trials, scheduler, trial_source
from poise.sweeps.settings import draw_trials
from poise.sweeps.trial import total_steps_of
from poise.training.capacity import check_builds

_HOW_NOT_WHAT = ("concurrency", "recipe")  # of a space; may change from one resumption to the next


def begin_study(path: str, overrides: Sequence[str] = (), name: str | None = None) -> Study:
    """Checks a space and takes the study's name.

    Args:
        path: of the space's file.
        overrides: ``key=value``; keys of the space (``trials=8``) change the space, keys of its
            recipe (``training.epochs=2``) every trial.
        name: of the study; by default the space's and the time.

    Raises:
        PoiseError: something is wrong; the message names it and the fix.
    """
    study = _requested(path, overrides, name)
    if study.folder.exists():
        raise PoiseError(
            f"{study.folder}: there is a study or run of this name; finish it with "
            f"`poise sweep --resume {study.name}`, or choose another --name"
        )
    _check_trials(study)
    study.save()
    return study


def find_study(name: str | None, path: str | None, overrides: Sequence[str] = ()) -> Study:
    """The interrupted study to finish: by name, or the latest of a space.

    Raises:
        PoiseError: there is none, or it was begun with other settings.
    """
    if path is None:
        assert name is not None
        return _named(name)
    wanted = _requested(path, overrides, name)
    found = _named(name) if name else _latest_unfinished(wanted.space.name)
    _check_same(found, wanted)
    return found


def is_finished(study: Study) -> bool:
    """Whether there is nothing left to do: every trial is done, and they were compared."""
    done = sum(record.is_done for record in study.records())
    return done >= count_trials(study.space) and (study.folder / REPORT_FILE).exists()


def _requested(path: str, overrides: Sequence[str], name: str | None) -> Study:
    if name is not None:
        check_run_name(name)
    for_space, for_recipe = _sort(overrides)
    space = load_space(path, for_space)
    recipe = load_recipe(Path(path).parent / space.recipe, for_recipe)
    for key in parse_overrides(for_recipe):
        if key in space.parameters:
            raise PoiseError(
                f"command line: '{key}' varies in {path}; fix it there with "
                f"`parameters.{key}={{choice: [VALUE]}}`"
            )
    check_space(space, recipe, path)
    name = name or f"{space.name}-{time.strftime('%Y%m%d-%H%M%S')}"
    return Study(name, space, with_absolute_paths(recipe), path, tuple(overrides))


def _sort(overrides: Sequence[str]) -> tuple[list[str], list[str]]:
    """What changes the space, and what changes its recipe."""
    for_space, for_recipe = [], []
    for text in overrides:
        (key,) = parse_overrides([text])
        top = key.partition(".")[0]
        if top in Space.model_fields:
            for_space.append(text)
        elif top in Recipe.model_fields:
            for_recipe.append(text)
        else:
            names = [*Space.model_fields, *field_names()]
            raise PoiseError(f"command line: no setting is called '{key}'{nearest(key, names)}")
    return for_space, for_recipe


def _check_trials(study: Study) -> None:
    """Every trial's recipe holds together, and its datasets are there and large enough."""
    space = study.space
    scheduler(space, total_steps_of(study.recipe), study.source)
    online_probes(study.recipe)
    if space.searcher.name == "random":
        for trial in draw_trials(space):
            recipe = trial.recipe(study.recipe, study.name)
            total_steps_of(recipe)
            check_builds(recipe)
    else:
        trial_source(space, [])


def _named(name: str) -> Study:
    if not (home() / name / STUDY_FILE).is_file():
        known = sorted(path.parent.name for path in home().glob(f"*/{STUDY_FILE}"))
        raise PoiseError(
            f"--resume {name}: {home()} holds no such study; "
            + (f"it holds {', '.join(known)}" if known else "it holds none")
        )
    return load_study(home() / name)


def _latest_unfinished(space: str) -> Study:
    paths = sorted(home().glob(f"*/{STUDY_FILE}"), key=lambda path: -path.stat().st_mtime)
    studies = [study for study in map(load_study, (p.parent for p in paths))]
    of_space = [study for study in studies if study.space.name == space]
    for study in of_space:
        if not is_finished(study):
            return study
    seen = f"all {len(of_space)} are finished" if of_space else "there is none"
    raise PoiseError(f"--resume: {home()} holds no unfinished study of {space}: {seen}")


def _check_same(found: Study, wanted: Study) -> None:
    there, here = dict(_settings(found)), dict(_settings(wanted))
    for key in there | here:
        if there.get(key) != here.get(key):
            raise PoiseError(
                f"--resume: study {found.name} was begun with another {key} "
                f"({there.get(key)} there, {here.get(key)} here); `poise sweep --resume "
                f"{found.name}` finishes it as it began, without --resume a new one begins"
            )


def _settings(study: Study) -> Iterator[tuple[str, Any]]:
    space = study.space.model_dump(mode="json", exclude=set(_HOW_NOT_WHAT))
    yield from _leaves(space, "")
    yield from _leaves(study.recipe.model_dump(mode="json"), "recipe's ")


def _leaves(tree: dict[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
