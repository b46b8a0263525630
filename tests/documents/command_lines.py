"""What is wrong with a command line of a page, without running it.

In: words, as a shell splits them. Out: one line that says what is wrong, or None. Next:
``test_blocks_are_right.py``.

`poise`, `mlflow` and `ray` parse their own words: commands, options, required arguments and types.
Recipes and spaces are loaded with the settings that follow them. Targets of make, scripts and
modules must exist.
"""

import importlib.util
import re
from collections.abc import Sequence
from functools import cache
from typing import Any

import typer

from poise.cli import usage_errors as usage
from poise.cli.main import app
from poise.cli.resume_arguments import read_words
from poise.cli.submit.request import read_request
from poise.config import load_recipe
from poise.config.errors import PoiseError
from poise.config.space_files import load_space_and_recipe
from tests.documents.blocks import REPOSITORY

Words = Sequence[str]

_DEMO = "pipelines/recipes/dino_scenes_demo.yaml"
STAND_INS = {"recipe.yaml": _DEMO, "my_recipe.yaml": _DEMO, "RECIPE": _DEMO}
"""Files that a reader has and this repository lacks."""

_OF_POISE = {"--help", "--version", "--install-completion", "--show-completion"}
"""Options of `poise` itself, which no command follows."""


def what_is_wrong(words: Words) -> str | None:
    """Explains the first mistake in a command line."""
    program, *rest = words
    if program == "make":
        return next((f"no target {word}" for word in rest if word not in _make_targets()), None)
    if program == "python":
        return _wrong_script(rest)
    if program in ("mlflow", "ray"):
        return _parse(program, _group(program), rest)[1]
    return _wrong_poise(rest) if program == "poise" else None


def unknown_words(words: Words) -> str | None:
    """Explains which command or option of a mentioned `poise` command does not exist.

    A sentence may leave arguments out, or name no command: `poise evaluate NAME MODEL`.
    """
    kept = [word for word in words if "…" not in word]
    if kept and kept[0] in _OF_POISE:
        return None
    _, wrong = _parse("poise", _group("poise"), [*_up_to_inner(kept)])
    is_open = wrong is not None and re.search(r" is missing|write `|no command '[A-Z]+'", wrong)
    return None if is_open else wrong


def _wrong_poise(words: Words) -> str | None:
    if words[0] in _OF_POISE:
        return None
    options, wrong = _parse("poise", _group("poise"), [*_up_to_inner(words), *_inner(words)[:1]])
    if wrong is not None:
        return wrong
    if _inner(words):
        return _wrong_poise(_inner(words)) or _wrong_job(_inner(words))
    files = [word for word in words if word.endswith(".yaml") and "=" not in word]
    lost = [file for file in files if not (REPOSITORY / STAND_INS.get(file, file)).exists()]
    return f"no file {lost[0]}" if lost else _wrong_settings(words[0], options or {})


def _wrong_job(words: Words) -> str | None:
    """Explains why `poise submit` would not send a command."""
    try:
        read_request(words)
    except PoiseError as error:
        return str(error)
    return None


def _up_to_inner(words: Words) -> Words:
    """Returns the words of `poise submit` before the command that it sends."""
    return words[: words.index("--") + 1] if words[0] == "submit" and "--" in words else words


def _inner(words: Words) -> Words:
    return words[len(_up_to_inner(words)) :]


def _wrong_settings(command: str, options: dict[str, Any]) -> str | None:
    try:
        for path, settings in _files(command, options):
            if command == "pretrain":
                load_recipe(STAND_INS.get(path, path), settings)
            else:
                load_space_and_recipe(path, settings)
    except PoiseError as error:
        return str(error)
    return None


def _files(command: str, options: dict[str, Any]) -> list[tuple[str, Words]]:
    """Returns the recipe or the space of a command, with its settings; empty if it names none."""
    if command == "pretrain":
        typed = [options["recipe"], *(options["settings"] or ())]
    elif command in ("ablate", "sweep"):
        typed = [*(options["words"] or ())]
    else:
        return []
    if options["resume"] or options.get("extend"):
        wanted = read_words(typed, options["name"], "study")
        return [(wanted.file, wanted.overrides)] if wanted.file else []
    return [(typed[0], typed[1:])]


def _parse(path: str, command: Any, words: Words) -> tuple[dict[str, Any] | None, str | None]:
    """Parses words as the program does, and returns its options, or what is wrong."""
    words = [*words]
    while hasattr(command, "list_commands"):
        name = words.pop(0) if words else ""
        found = command.get_command(None, name) if name else None
        if found is None:
            return None, f"{path}: write `{path} COMMAND`" if not name else f"no command '{name}'"
        command, path = found, f"{path} {name}"
    if "--help" in words:
        return {}, None
    try:
        return dict(command.make_context(path, words).params), None
    except Exception as error:
        if type(error).__module__.split(".")[0] not in ("click", "typer"):
            raise
        return None, usage.explain(error) if isinstance(error, usage.UsageError) else str(error)


@cache
def _group(program: str) -> Any:
    if program == "poise":
        return typer.main.get_command(app)
    if program == "ray":
        from ray.scripts.scripts import cli as ray

        return ray
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # about its own type hints
        from mlflow.cli import cli as mlflow

    return mlflow


@cache
def _make_targets() -> frozenset[str]:
    lines = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    return frozenset(re.findall(r"^([a-z-]+):", lines, re.MULTILINE))


def _wrong_script(words: Words) -> str | None:
    if words[0] == "-c":
        compile(words[1], "python -c", "exec")
        return None
    if words[0] == "-m":
        return None if importlib.util.find_spec(words[1]) else f"no module {words[1]}"
    return None if (REPOSITORY / words[0]).exists() else f"no file {words[0]}"
