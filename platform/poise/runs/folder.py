"""The folder of one run: made, found again, and described by ``run.json``.

In: a recipe, or a folder. Out: a ``Begun`` run. Next: ``poise.runs.pretraining``.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from poise.config.errors import PoiseError
from poise.config.paths import RECIPE_FILE, check_run_name, home
from poise.runs.ending import how_it_ended

if TYPE_CHECKING:
    from poise.config import Recipe


def begin(path: str, settings: list[str], name: str | None = None) -> tuple[Recipe, str]:
    """Checks the recipe and takes the run's name."""
    import yaml

    from poise.config import load_recipe
    from poise.config.loading import with_absolute_paths
    from poise.evaluation.during_training import online_probes
    from poise.training.capacity import check_builds
    from poise.training.schedule import steps_per_epoch

    if name is not None:
        check_run_name(name)
    # Workers may run in other folders, and so may whoever resumes.
    recipe = with_absolute_paths(load_recipe(path, settings))
    steps_per_epoch(recipe)  # the dataset is there and large enough
    online_probes(recipe)  # and so are the probes'
    check_builds(recipe)
    run_name = name or f"{recipe.name}-{time.strftime('%Y%m%d-%H%M%S')}"
    folder = home() / run_name
    if folder.exists():
        raise PoiseError(
            f"{folder}: there is a run of this name; finish it with "
            f"`poise pretrain --resume {run_name}`, or choose another --name"
        )
    folder.mkdir(parents=True)
    content = yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False)
    (folder / RECIPE_FILE).write_text(content, encoding="utf-8")
    return recipe, run_name


def latest_unfinished(recipe: Recipe) -> str:
    """The name of the newest run of this recipe that has not ended.

    Raises:
        PoiseError: there is none.
    """
    from poise.config.loading import read_yaml

    begun = sorted(home().glob(f"*/{RECIPE_FILE}"), key=lambda path: -path.stat().st_mtime)
    of_recipe = [path.parent for path in begun if read_yaml(path).get("name") == recipe.name]
    for folder in of_recipe:
        if how_it_ended(recipe, folder.name) is None:
            return folder.name
    seen = f"all {len(of_recipe)} are finished" if of_recipe else "there is none"
    raise PoiseError(f"--resume: {home()} holds no unfinished run of {recipe.name}: {seen}")


def begun(run_name: str) -> Recipe:
    """The recipe that a run began with."""
    from poise.config import load_recipe

    folder = home() / run_name
    if not (folder / RECIPE_FILE).is_file():
        known = sorted(path.parent.name for path in home().glob(f"*/{RECIPE_FILE}"))
        raise PoiseError(
            f"--resume {run_name}: {home()} holds no such run; "
            + (f"it holds {', '.join(known)}" if known else "it holds none")
        )
    return load_recipe(folder / RECIPE_FILE)
