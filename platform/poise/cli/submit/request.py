"""Reads the command for a job, and finds mistakes before the job is sent.

In: the words after `poise submit --`. Out: a ``Request``: the words for the cluster, and the name
and recipe of the run or study. Next: ``poise.cli.submit``.
"""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import Any

from poise.cli import usage_errors as usage
from poise.cli.main import COMMANDS, load_command
from poise.cli.resume_arguments import read_words
from poise.cluster.job_files import ProjectFiles, why_left_out
from poise.config import Recipe, load_recipe
from poise.config.errors import PoiseError, did_you_mean
from poise.config.paths import check_run_name, given_path
from poise.config.space_files import load_space_and_recipe, recipe_file
from poise.training.datasets import DATASET_KEYS, folders_of
from poise.training.elastic import worker_settings

HERE_ONLY = ("submit", "jobs")
"""Commands that work only on the machine where they are typed."""

_STUDIES = ("sweep", "ablate")


@dataclass(frozen=True)
class Request:
    """Command that runs on the cluster."""

    words: tuple[str, ...]
    """Words of the command without `poise`. The name of a run or study is one of the words."""

    study: str | None = None
    """Name of the run or study. It is None for other commands, or if only the cluster can find it.
    """

    recipe: Recipe | None = None
    """Recipe of a run or study that may begin, or None if it is not known here."""

    @property
    def question(self) -> dict[str, Any]:
        """Question for ``cluster_facts.look_for``: the run or study, and the datasets it reads."""
        datasets = folders_of(self.recipe) if self.recipe is not None else []
        return {"study": self.study, "datasets": datasets}

    def continued(self) -> "Request":
        """Returns the request that resumes the run or study of an earlier job."""
        return replace(self, words=(*self.words, "--resume"))


def read_request(words: Sequence[str]) -> Request:
    """Checks a command, and gives a name to the run or study that the command starts.

    The name depends on the command and its files. So the same command, sent twice, continues its
    study.

    Raises:
        PoiseError: a command or option does not exist, a file has a mistake, or the path of a
            dataset is not absolute.
    """
    words = words[1:] if words[:1] == ["poise"] else words  # users paste it with "poise"
    known = [name for name in COMMANDS if name not in HERE_ONLY]
    if not words or words[0] not in known:
        found = f"'{words[0]}'" if words else "nothing"
        raise PoiseError(f"submit: expected one of {', '.join(known)} after --, found {found}")
    if {"-h", "--help"} & set(words):
        return Request(tuple(words))
    options = _options(words)
    if words[0] in _STUDIES:
        return _with_study(words, options, options["words"] or ())
    if words[0] == "pretrain":
        recipe = [options["recipe"]] if options["recipe"] else []
        workers = worker_settings(options["workers"]) if options["workers"] is not None else []
        return _with_study(words, options, [*recipe, *(options["settings"] or ()), *workers])
    return Request(tuple(words))


def _options(words: Sequence[str]) -> Mapping[str, Any]:
    """Parses a command line as the command itself would."""
    command, path, rest = load_command(words[0]), f"poise {words[0]}", list(words[1:])
    while hasattr(command, "list_commands"):
        names = command.list_commands(None)
        there_are = f"there are {', '.join(names)}"
        if not rest:
            raise PoiseError(f"{path}: name one of its commands; {there_are}")
        if rest[0] not in names:
            choice = did_you_mean(rest[0], names, there_are)
            raise PoiseError(f"{path}: no command is called '{rest[0]}'; {choice}")
        command, path = command.get_command(None, rest[0]), f"{path} {rest[0]}"
        rest = rest[1:]
    try:
        options: Mapping[str, Any] = command.make_context(path, rest).params
    except usage.UsageError as error:
        raise PoiseError(usage.explain(error)) from None
    return options


def _with_study(words: Sequence[str], options: Mapping[str, Any], typed: Sequence[str]) -> Request:
    goes_on = options["resume"] or options.get("extend", False)
    if goes_on or options.get("dry_run", False) or not typed or "=" in typed[0]:
        name = read_words(typed, options["name"], "study").name if goes_on else None
        return Request(tuple(words), name)
    path, *settings = typed
    recipe, files = _read_files(words[0], path, settings)
    for key in DATASET_KEYS:
        _check_reaches(recipe, key)
    name = options["name"] or _name(given_path(path).stem, words, files)
    check_run_name(name)
    named = words if options["name"] else [*words, "--name", name]
    return Request(tuple(named), name, recipe)


def _read_files(command: str, path: str, settings: Sequence[str]) -> tuple[Recipe, list[Path]]:
    if command == "pretrain":
        return load_recipe(path, settings), [given_path(path)]
    space, recipe = load_space_and_recipe(path, settings)
    return recipe, [given_path(path), recipe_file(path, space)]


def _name(stem: str, words: Sequence[str], files: Sequence[Path]) -> str:
    """Makes a name that depends on the command, its files and POISE_HOME."""
    texts = [path.read_text(encoding="utf-8") for path in files if path.is_file()]
    content = json.dumps([*words, os.environ.get("POISE_HOME", ""), *texts])
    return f"{stem[:80]}-{hashlib.sha256(content.encode()).hexdigest()[:8]}"


def _check_reaches(recipe: Recipe, key: str) -> None:
    """Raises an error for a relative path of a dataset, because a job's folder contains no data."""
    group, _, field = key.partition(".")
    path = getattr(getattr(recipe, group), field)
    if path and "://" not in path and not given_path(path).is_absolute():
        raise PoiseError(
            f"{key}={path}: data is not sent with a job; give a path that every node of the "
            f"cluster has, such as {key}=/shared/{PurePath(path).name}"
        )


def check_paths(words: Sequence[str], files: ProjectFiles) -> None:
    """Raises an error for a relative path that exists here but is not sent with the job.

    Args:
        words: words after the name of the command.
        files: files that are sent with the job.

    Raises:
        PoiseError: a word is such a path. The message contains the path and the fix.
    """
    sent = {*files.chosen, *(parent for name in files.chosen for parent in name.parents)}
    for word in words:
        written = word.partition("=")[2] or word
        is_path = "/" in written or "." in written
        if not is_path or "://" in written or PurePath(written).is_absolute():
            continue
        name = PurePath(os.path.normpath(written))
        if _exists(files.folder / written) and name not in sent:
            raise PoiseError(
                f"{written}: is on this machine and is not sent ({_reason(files.folder, name)}); a "
                "job takes code and settings, no data, results or secrets: give an absolute path "
                "that every node of the cluster has"
            )


def _reason(folder: Path, name: PurePath) -> str:
    """Explains why a file or folder is not sent with the job."""
    if name.parts[:1] == ("..",):
        return "it is outside of this folder"
    if (folder / name).is_dir():
        return "nothing in it is code or settings"
    return why_left_out(folder, name) or "git ignores it"


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # too long for a name
        return False
