"""Where runs are kept, and what they may be called."""

import os
import re
from pathlib import Path

from poise.config.base import NAME_PATTERN
from poise.config.errors import PoiseError

RECIPE_FILE = "recipe.yaml"
"""In a run's folder: what it began with."""

# By what else is kept in ``home()``.
_TAKEN = ("artifacts", "models", "imports", "downloads", "mlflow.db")


def home() -> Path:
    """The folder of runs, checkpoints and the default MLflow store.

    ``POISE_HOME``, else ``runs`` in the current folder. Always absolute: workers have other
    current folders. On several machines it must be storage that all of them reach.
    """
    return Path(os.environ.get("POISE_HOME") or "runs").absolute()


def check_run_name(name: str) -> None:
    """Refuses a run's or study's name that could not be its folder under ``home()``.

    Raises:
        PoiseError: it has other characters than a recipe's name may have, or is taken.
    """
    if not re.fullmatch(NAME_PATTERN, name):
        raise PoiseError(
            f"--name {name!r}: letters, digits and '.', '_', '-' make a name; it begins with a "
            "letter or a digit"
        )
    if name in _TAKEN or name.startswith("mlflow.db-"):
        raise PoiseError(f"--name {name}: {home()} keeps something else under it; choose another")
