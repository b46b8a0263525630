"""The base of everything that can be written in a recipe or a space."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field


class Strict(BaseModel):
    """A frozen model that takes no unknown key, no value of another type and none out of limits.

    Text is never a number, and a number is never a boolean; a whole number may stand for a
    fraction. A field that holds a tuple has ``strict=False``, to take a list; what is in the list
    is as strict as everything else.
    """

    model_config = ConfigDict(
        strict=True,
        extra="forbid",  # a typo must never be a silently ignored setting
        frozen=True,  # seeing the recipe is seeing the run: nothing edits it later
        validate_default=True,
        allow_inf_nan=False,
    )


def _ordered(bounds: tuple[float, float]) -> tuple[float, float]:
    if bounds[0] > bounds[1]:
        raise ValueError(f"the low end {bounds[0]} is above the high end {bounds[1]}")
    return bounds


NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"
"""Form of the names of recipes, spaces and runs, which are also folders and parts of addresses.

A folder's name has 255 bytes at most; a run's adds the time to its recipe's."""

Probability = Annotated[float, Field(ge=0, le=1)]
PositiveInt = Annotated[int, Field(ge=1)]
NonNegative = Annotated[float, Field(ge=0)]
Pixels = Annotated[int, Field(ge=4, le=4096)]
AreaShare = Annotated[float, Field(gt=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
AreaRange = Annotated[tuple[AreaShare, AreaShare], Field(strict=False), AfterValidator(_ordered)]
PositiveRange = Annotated[tuple[Positive, Positive], Field(strict=False), AfterValidator(_ordered)]
