"""`poise` with small sizes: the pages ask for hours of training, and a test has seconds.

In: the words of a page's command. Out: the same command with the sizes below, printed and run.
Next: ``poise.cli.main``. While pages run, this is the program that they call `poise`.
"""

import json
import sys
from collections.abc import Mapping

from poise.cli.main import main
from poise.config import Recipe, Space
from poise.config.loading import load_recipe
from poise.config.space_files import load_space_and_recipe
from poise.studies.trials import baseline_of, value_of

LARGEST: Mapping[str, int] = {
    "training.stop_after_steps": 2,
    "training.batch_size": 4,
    "training.micro_batch_size": 2,
    "training.num_workers": 1,
    "training.cpus_per_worker": 1,
    "training.log_every_steps": 1,
    "data.cut_processes": 0,
    "data.views.global_px": 112,  # whole patches of 14 px and of 16 px
    "data.views.local_count": 2,
    "objective.num_prototypes": 256,
    "objective.head.hidden_dim": 256,
    "objective.decoder_depth": 1,
}
"""Settings that are lowered to these values, where a recipe has them and they are larger."""

DEPTH = 2
"""Largest number of blocks of a transformer that begins with random weights."""

ADDED: Mapping[str, tuple[str, ...]] = {
    "ablate": ("seeds=[0]", "concurrency=1"),
    "sweep": ("seeds=[0]", "concurrency=1"),
    "evaluate linear": ("training.epochs=1", "optimizer.warmup_epochs=0"),
    "evaluate attentive": ("training.epochs=1", "optimizer.warmup_epochs=0"),
    "evaluate finetune": ("training.epochs=1", "optimizer.warmup_epochs=0"),
}
"""Words that replace those of the same key, or stand behind the command."""

NUM_IMAGES = 48
"""Largest number of images that `poise data prepare` draws or chooses."""

VALUES = 2
"""Largest number of values of a grid, and of trials with drawn values."""


def smaller(words: list[str]) -> list[str]:
    """Returns a command with smaller sizes. What goes on or is only shown stays as it is."""
    if words[0] == "submit" and "--" in words:
        inner = words.index("--") + 1
        return [*words[:inner], *smaller(words[inner:])]
    if {"--resume", "--extend", "--help"} & set(words):
        return words
    if words[:2] == ["data", "prepare"] and _chooses(words):
        return [*words, "--num-images", str(NUM_IMAGES)]  # the last one counts
    settings = {**_lowered(words), **_as_settings(ADDED.get(" ".join(words[:2]), ()))}
    settings |= _as_settings(ADDED.get(words[0], ()))
    kept = [word for word in words if word.partition("=")[0] not in settings]
    return [*kept, *(f"{key}={value}" for key, value in settings.items())]


def _chooses(words: list[str]) -> bool:
    """Returns True if a command of `poise data prepare` has a number of images."""
    return words[2].startswith("scenes") or "--num-images" in words


def _as_settings(words: tuple[str, ...]) -> dict[str, str]:
    return dict(word.split("=", 1) for word in words)


def settings_of(words: list[str]) -> list[str]:
    """Returns the settings of a command. Conditions behind `--only` are none."""
    pairs = zip(["", *words], words, strict=False)
    return [word for before, word in pairs if "=" in word and before != "--only"]


def _lowered(words: list[str]) -> dict[str, str]:
    if words[0] not in ("pretrain", "ablate", "sweep"):
        return {}
    if words[0] == "pretrain":
        recipe, grids = load_recipe(words[1], settings_of(words)), _for_workers(words)
    else:
        space, recipe = load_space_and_recipe(words[1], settings_of(words))
        grids = _short_grids(space, recipe) | _few_trials(space)
    is_new = "--from" not in words and recipe.backbone.initial_weights is None
    return _lowered_sizes(recipe) | grids | (_lowered_depth(recipe) if is_new else {})


def _for_workers(words: list[str]) -> dict[str, str]:
    """Returns a batch with an image for each worker, if a command has a range of workers."""
    most = words[words.index("--workers") + 1].split("-")[-1] if "--workers" in words else None
    return {"training.batch_size": most} if most else {}


def _lowered_sizes(recipe: Recipe) -> dict[str, str]:
    settings = {}
    for key, largest in LARGEST.items():
        value = value_of(recipe, key)
        present = value is not None or key == "training.stop_after_steps"
        if present and not (isinstance(value, int | float) and value <= largest):
            settings[key] = str(largest)
    return settings


def _lowered_depth(recipe: Recipe) -> dict[str, str]:
    is_transformer = recipe.backbone.name.startswith("vit")
    return {"backbone.options.depth": str(DEPTH)} if is_transformer else {}


def _short_grids(space: Space, recipe: Recipe) -> dict[str, str]:
    """Returns lists of few values, one of which is the baseline's."""
    baseline = baseline_of(space, recipe)
    short = {}
    for key, sampler in space.parameters.items():
        values = sampler.values if sampler.name == "grid_search" else None
        if values is not None and len(values) > VALUES:
            others = [value for value in values if value != baseline[key]][: VALUES - 1]
            kept = [value for value in values if value == baseline[key] or value in others]
            short[f"parameters.{key}"] = f"{{grid_search: {json.dumps(kept)}}}"
    return short


def _few_trials(space: Space) -> dict[str, str]:
    return {"trials": str(VALUES)} if space.trials > VALUES else {}


if __name__ == "__main__":
    sys.argv = ["poise", *smaller(sys.argv[1:])]
    print(f"+ {' '.join(sys.argv)}", file=sys.stderr, flush=True)
    main()
