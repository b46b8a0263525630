"""Checks that a recipe can go on from a trained backbone.

In: a recipe, and the config of the backbone's package. Out: what is adapted or new, in words, or a
refusal with the setting that fits. Next: ``poise.runs.initial_weights``.
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

if TYPE_CHECKING:
    from poise.config import Recipe

_SAME_NORMALIZATION = 0.01
"""Means and deviations of values in [0, 1] that differ by less are the same: 2.5 of 256 levels."""


def checked(recipe: Recipe, config: dict[str, Any], called: str) -> Iterator[str]:
    """Refuses a model that the recipe cannot go on from; yields what is adapted or new, in words.

    Args:
        recipe: the run's recipe.
        config: the config in the model's package.
        called: the model's exact name, for messages.

    Raises:
        PoiseError: the architecture or the normalisation differs.
    """
    try:
        trained = BackboneConfig.model_validate(config["backbone"])
        source = Described(trained, config["image_px"], called)
    except (KeyError, ValidationError):
        raise PoiseError(
            f"backbone.initial_weights={called}: its config.json does not describe a backbone; get "
            "the package again"
        ) from None
    new = Described(recipe.backbone, recipe.data.views.global_px, "the recipe")
    yield from check_same_architecture(source, new)
    yield from _on_normalization(recipe, config, called)
    if recipe.objective.name == "mae":
        yield "positions stay fixed, because MAE never trains them"
        yield "the decoder is new and begins at random"
    else:
        yield "the head is new and begins at random"


def _on_normalization(recipe: Recipe, config: dict[str, Any], called: str) -> Iterator[str]:
    """Refuses images that are normalised in another way than the model was trained with."""
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
