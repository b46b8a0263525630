"""Names that a shell completes when the user presses Tab.

In: the beginning of a word. Out: names of recipes, spaces, datasets, runs, studies, models, aliases
or tags. Next: typer, which filters the names and answers the shell.

A shell waits for the answer each time the user presses Tab. So names are read only from files, and
this module does not load Ray, PyTorch or MLflow. If no name fits, the shell completes file names.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import typer

from poise.config.errors import PoiseError
from poise.config.paths import RECIPE_FILE, home

USUAL_ALIASES = ("best", "production")
# The modules of these names load slowly.
MANIFEST_FILE, STUDY_FILE, OWN_ALIAS = "manifest.json", "study.json", "candidate"


def complete_recipe(ctx: typer.Context) -> list[str]:
    """Returns recipe files of the repository or, after ``--resume``, names of runs."""
    return _in_home(RECIPE_FILE) if ctx.params.get("resume") else _shipped("pipelines/recipes")


def complete_space(ctx: typer.Context) -> list[str]:
    """Returns space files of the repository or, after ``--resume`` or ``--extend``, studies."""
    if ctx.params.get("words"):
        return []  # changes to the space come next
    goes_on = ctx.params.get("resume") or ctx.params.get("extend")
    return _in_home(STUDY_FILE) if goes_on else _shipped("search_spaces")


def complete_study() -> list[str]:
    """Returns the names of studies."""
    return _in_home(STUDY_FILE)


def complete_dataset() -> list[str]:
    """Returns the prepared datasets in the folder ``data``."""
    return [path.parent.as_posix() for path in sorted(Path("data").glob(f"*/{MANIFEST_FILE}"))]


def complete_model(incomplete: str) -> list[str]:
    """Returns the names of registered models and versions, the newest first.

    The names have no ``models:/`` and no ``@``, because Bash begins a new word at ``:`` and ``@``.
    """
    from poise.tracking.registry.names import read_names

    return read_names(incomplete)


def complete_model_name(incomplete: str) -> list[str]:
    """Returns the names of registered models, without their versions."""
    return [name for name in complete_model(incomplete) if "/" not in name]


def complete_alias() -> list[str]:
    """Returns the aliases of registered versions."""
    from poise.tracking.registry.names import read_aliases

    return read_aliases()


def complete_new_alias() -> list[str]:
    """Returns aliases to give: usual ones, and those that versions have already."""
    found = dict.fromkeys([*USUAL_ALIASES, *complete_alias()])
    return [alias for alias in found if alias != OWN_ALIAS]


def complete_tag(key: str) -> Callable[[], list[str]]:
    """Makes a function that returns the values of a tag of registered versions."""

    def complete() -> list[str]:
        from poise.tracking.registry.names import read_tag_values

        return read_tag_values(key)

    return complete


def complete_model_or_dataset(incomplete: str) -> list[str]:
    """Returns models and datasets, for commands with several models before the dataset."""
    return [*complete_model(incomplete), *complete_dataset()]


def _shipped(folder: str) -> list[str]:
    return [path.as_posix() for path in sorted(Path(folder).glob("*.yaml"))]


def _in_home(marker: str) -> list[str]:
    """Returns the names of folders in ``home()`` that contain the file ``marker``, newest first."""
    return [path.parent.name for path in sorted(_found(marker), key=_age)]


def _found(marker: str) -> Iterator[Path]:
    try:
        yield from home().glob(f"*/{marker}")
    except (PoiseError, OSError):
        return


def _age(path: Path) -> float:
    try:
        return -path.stat().st_mtime
    except OSError:  # it was deleted meanwhile
        return 0.0
