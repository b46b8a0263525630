"""Finds an interrupted study, so that it can continue.

In: the study's name, or the file of its search space. Out: the ``Study`` in its present state.
Next: ``poise.sweeps.runner``.
"""

import logging
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from typing import Any

from poise.config import PoiseError
from poise.config.keys import leaves
from poise.config.loading import override_space, parse_overrides
from poise.config.paths import STUDY_FILE, home
from poise.studies.study import Command, Study, load_study, stored_study
from poise.studies.study_progress import is_finished
from poise.sweeps.planning import datasets_of, read_study
from poise.training.datasets import check_unchanged

logger = logging.getLogger(__name__)

CONDUCT = ("budget", "concurrency")
"""Fields of a search space that a resumed study may change. They do not change what a trial learns.
"""

WORDS = ("question", "published", "recipe")
"""Fields of a search space that are not compared: texts, and the recipe's path. The content of the
recipe is compared.
"""


def find_study(
    name: str | None,
    path: str | None,
    overrides: Sequence[str] = (),
    command: Command = "sweep",
) -> Study:
    """Finds an interrupted study: by its name, or the latest study of a search space.

    Args:
        name: name of the study.
        path: file of the search space; None requires a name.
        overrides: with a file, the overrides that the study began with. New values of budget and
            concurrency are always allowed, such as ``budget.hours=6`` and ``concurrency=1``.
        command: command that began the study.

    Raises:
        PoiseError: there is no such study, or it began with other settings.
    """
    if path is None:
        assert name is not None
        found = named_study(name, command, "--resume")
        _check_conduct(found, overrides)
        found = replace(found, space=override_space(found.space, overrides, found.source))
        return with_same_datasets(found)
    wanted = read_study(path, overrides, name, command)
    found = (
        named_study(name, command, "--resume")
        if name
        else _latest_unfinished(wanted.space.name, command)
    )
    check_same(found, wanted, "--resume")
    conduct = {key: getattr(wanted.space, key) for key in CONDUCT}
    found = replace(found, space=found.space.model_copy(update=conduct))
    return with_same_datasets(found)


def with_same_datasets(study: Study) -> Study:
    """Adds the fingerprints of the datasets of new trials to a study.

    Raises:
        PoiseError: the content of a dataset has changed since the study began.
    """
    now = datasets_of(study)
    check_unchanged(f"study {study.name}", study.datasets, now)
    if not study.datasets:
        logger.info(
            "study %s began with an older version of Poise, which saved no fingerprints; Poise "
            "assumes that its datasets have not changed",
            study.name,
        )
    return replace(study, datasets={**study.datasets, **now})


def _check_conduct(study: Study, overrides: Sequence[str]) -> None:
    for key in parse_overrides(overrides):
        if key.partition(".")[0] not in CONDUCT:
            raise PoiseError(
                f"--resume {study.name}: continues the study as it began and takes no {key}, only "
                f"{' and '.join(CONDUCT)}; `poise {study.command} --extend {study.name}` adds "
                "seeds and settings"
            )


def named_study(name: str, command: Command, option: str) -> Study:
    """Returns the study of this name. ``option`` is the user's option, for messages."""
    study = stored_study(name, option)
    if study.command != command:
        raise PoiseError(
            f"{option} {name}: was begun by `poise {study.command}`; go on with `poise "
            f"{study.command} {option} {name}`"
        )
    return study


def _latest_unfinished(space: str, command: Command) -> Study:
    paths = sorted(home().glob(f"*/{STUDY_FILE}"), key=lambda path: -path.stat().st_mtime)
    studies, unread = [], []
    for path in paths:
        try:
            studies.append(load_study(path.parent))
        except PoiseError:
            unread.append(path.parent.name)  # from another version, and perhaps of another space
    of_space = [s for s in studies if s.space.name == space and s.command == command]
    for study in of_space:
        if not is_finished(study):
            return study
    seen = f"all {len(of_space)} are finished" if of_space else "there is none"
    skipped = f" (cannot be read: {', '.join(unread)})" if unread else ""
    raise PoiseError(f"--resume: {home()} holds no unfinished study of {space}: {seen}{skipped}")


def check_same(
    found: Study, wanted: Study, option: str, may_grow: Collection[str] = (), but: str = ""
) -> None:
    """Raises PoiseError if two studies differ. The message names the first difference.

    Args:
        found: study as it was stored.
        wanted: study that the user describes now.
        option: the user's option, for the message.
        may_grow: fields of the search space that are not compared here.
        but: text before the suggested fix, for example ``only the list of trials may grow;``.
    """
    may_differ = {*CONDUCT, *WORDS, *may_grow}
    there, here = (dict(_leaves_of(study, may_differ)) for study in (found, wanted))
    for key in there | here:
        if there.get(key) != here.get(key):
            raise PoiseError(
                f"{option}: study {found.name} was begun with another {key} "
                f"({there.get(key)} there, {here.get(key)} here); {but}`poise {found.command} "
                f"--resume {found.name}` finishes it as it began, without {option} a new one begins"
            )


def _leaves_of(study: Study, may_differ: Collection[str]) -> Iterator[tuple[str, Any]]:
    space = study.space.model_dump(mode="json", exclude=set(may_differ))
    space["mode"] = [goal.mode for goal in study.space.goals]  # a default counts as written
    yield from leaves(space)
    yield from leaves(study.recipe.model_dump(mode="json"), "recipe's ")
