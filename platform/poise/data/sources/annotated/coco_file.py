"""Reads and checks a JSON file of COCO.

In: a JSON file. Out: ``CocoFile``. Next: ``poise.data.sources.annotated.coco``. Reading needs
memory for the whole file.
"""

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from poise.config.errors import PoiseError, one_line
from poise.data.sources.safe_names import LONGEST_ERROR, shown

MAX_SIDE_PX = 2**16
_Length = Annotated[float, Field(ge=-MAX_SIDE_PX, le=MAX_SIDE_PX)]


class _Entry(BaseModel):
    """Base class of the parts of the JSON file. Fields that Poise does not use are ignored."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)


class CocoImage(_Entry):
    """One image that the file describes."""

    id: int
    file_name: str
    width: int = Field(ge=1, le=MAX_SIDE_PX)
    height: int = Field(ge=1, le=MAX_SIDE_PX)


class CocoCategory(_Entry):
    """One class of objects, which COCO calls a category."""

    id: int
    name: str


def _packed(outline: Any) -> bytes:
    return json.dumps(outline, separators=(",", ":")).encode() if outline else b""


class CocoObject(_Entry):
    """Entry of one object, or of a crowd of objects, with its box and outline."""

    id: int = -1
    image_id: int
    category_id: int
    bbox: tuple[_Length, _Length, _Length, _Length]  # x, y, width, height
    segmentation: Annotated[bytes, BeforeValidator(_packed)] = b""
    """Outline as JSON text; empty if there is no outline. As Python objects, the outlines of a
    large dataset would need gigabytes.
    """

    iscrowd: bool = False


class CocoFile(_Entry):
    """Those parts of the JSON file that Poise reads."""

    images: list[CocoImage]
    categories: list[CocoCategory]
    annotations: list[CocoObject]


def read_coco_file(path: str) -> CocoFile:
    """Reads and checks the file.

    Raises:
        PoiseError: the file cannot be read, is not COCO's JSON, or its ids contradict each other.
    """
    try:
        found = CocoFile.model_validate_json(Path(path).read_bytes())
    except OSError as error:
        raise PoiseError(f"{shown(path)}: cannot be read ({error.strerror or error})") from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise PoiseError(
            f"{shown(path)}: not COCO's JSON of images, annotations and categories "
            f"({f'{place}: ' if place else ''}{one_line(first['msg'], LONGEST_ERROR)})"
        ) from None
    _check_unique(path, "image id", (each.id for each in found.images))
    _check_unique(path, "file_name", (shown(each.file_name) for each in found.images))
    _check_unique(path, "category id", (each.id for each in found.categories))
    _check_unique(path, "category", (shown(each.name) for each in found.categories))
    _check_known(path, found)
    return found


def _check_unique(path: str, what: str, values: Iterable[int | str]) -> None:
    value, count = next(iter(Counter(values).most_common(1)), (None, 0))
    if count > 1:
        raise PoiseError(
            f"{shown(path)}: the {what} '{value}' occurs {count} times; keep one of them"
        )


def _check_known(path: str, found: CocoFile) -> None:
    images, categories = ({each.id for each in part} for part in (found.images, found.categories))
    for each in found.annotations:
        for what, number, known in (
            ("image", each.image_id, images),
            ("category", each.category_id, categories),
        ):
            if number not in known:
                raise PoiseError(
                    f"{shown(path)}: annotation {each.id} belongs to {what} {number}, which the "
                    "file does not list"
                )
