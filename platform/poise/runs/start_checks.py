"""Checks that a recipe can start from a trained backbone.

In: a recipe, and the config of the backbone's package. Out: sentences that say which parts are
adapted or new, or an error that names the setting to change. Next: ``poise.runs.initial_weights``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from poise.config.errors import PoiseError
from poise.config.recipe import BackboneConfig
from poise.data.manifest import Manifest
from poise.data.views.normalization import normalization
from poise.models.same_architecture import Described, check_same_architecture
from poise.models.test_time_registers import CONFIG_KEY as ADDED_REGISTER

if TYPE_CHECKING:
    from poise.config import Recipe

_SAME_NORMALIZATION = 0.01
"""Largest difference between two means, or two standard deviations, that count as equal. Pixel
values are in [0, 1], so 0.01 is about 2.5 of 256 grey levels.
"""


def checked(recipe: Recipe, config: dict[str, Any], called: str) -> Iterator[str]:
    """Checks that a model fits the recipe, and yields sentences that say what is adapted or new.

    Args:
        recipe: recipe of the run.
        config: config in the model's package.
        called: exact name of the model, for messages.

    Raises:
        PoiseError: the architecture or the normalisation differs, or the model has a register token
            that was added without training.
    """
    if ADDED_REGISTER in config:
        raise PoiseError(
            f"backbone.initial_weights={called}: has a register that was added without training, "
            "and training would drop it; start from the model that it was added to"
        )
    try:
        trained = BackboneConfig.model_validate(config["backbone"])
        source = Described(trained, config["image_px"], called)
    except (KeyError, ValidationError):
        raise PoiseError(
            f"backbone.initial_weights={called}: its config.json does not describe a backbone; get "
            "the package again"
        ) from None
    views = recipe.data.views
    other_px = (recipe.evaluation_px, *([views.local_px] if views.local_count else []))
    new = Described(recipe.backbone, views.global_px, "the recipe", other_px)
    yield from check_same_architecture(source, new)
    yield from _on_normalization(recipe, config, called)
    if recipe.objective.name == "mae":
        yield "positions stay fixed, because MAE never trains them"
        yield "the decoder is new and begins at random"
    else:
        yield "the head is new and begins at random"


def _on_normalization(recipe: Recipe, config: dict[str, Any], called: str) -> Iterator[str]:
    """Raises an error if the recipe normalises images differently than the model's training did.

    Yields a sentence instead if the model's normalisation is not known.
    """
    wanted = normalization(recipe.data.views, Manifest.read(recipe.data.dataset))
    known = config.get("normalization")
    if not known:
        yield "its normalisation is not known; data.views.normalization is used"
        return
    trained = known["mean"], known["std"]
    pairs = [pair for rows in zip(trained, wanted, strict=True) for pair in zip(*rows, strict=True)]
    if all(abs(there - here) < _SAME_NORMALIZATION for there, here in pairs):
        return
    there, here = (
        f"mean {_numbers(mean)} and std {_numbers(std)}" for mean, std in (trained, wanted)
    )
    setting = f"data.views.normalization=[{_numbers(trained[0])}, {_numbers(trained[1])}]"
    raise PoiseError(
        f"backbone.initial_weights={called}: was trained with {there}, and "
        f"data.views.normalization gives {here}; set '{setting}'"
    )


def _numbers(row: Any) -> str:
    return f"[{', '.join(f'{value:.4g}' for value in row)}]"
