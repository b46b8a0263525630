"""Base class and field types of all settings in a recipe or a space."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field


class Strict(BaseModel):
    """Frozen model that refuses unknown keys, values of a wrong type and values out of range.

    Text is never read as a number, and a number is never read as a boolean. A whole number is
    accepted for a float. A field that holds a tuple has ``strict=False``, so that it accepts a
    list. The values in the list are checked as strictly as all other values.
    """

    model_config = ConfigDict(
        strict=True,
        extra="forbid",  # a misspelt setting must cause an error
        frozen=True,  # the recipe in a file is the recipe of the run: nothing changes it later
        validate_default=True,
        allow_inf_nan=False,
    )


def _ordered(bounds: tuple[float, float]) -> tuple[float, float]:
    if bounds[0] > bounds[1]:
        raise ValueError(f"the low end {bounds[0]} is above the high end {bounds[1]}")
    return bounds


NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"
"""Pattern of the names of recipes, spaces and runs.

These names are also names of folders and parts of URLs. A folder's name may have at most 255 bytes.
A run's name consists of its recipe's name and the start time.
"""

Probability = Annotated[float, Field(ge=0, le=1)]
PositiveInt = Annotated[int, Field(ge=1)]
NonNegative = Annotated[float, Field(ge=0)]
Pixels = Annotated[int, Field(ge=4, le=4096)]
AreaShare = Annotated[float, Field(gt=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
AreaRange = Annotated[tuple[AreaShare, AreaShare], Field(strict=False), AfterValidator(_ordered)]
PositiveRange = Annotated[tuple[Positive, Positive], Field(strict=False), AfterValidator(_ordered)]
