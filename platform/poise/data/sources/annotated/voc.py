"""Reads boxes from Pascal VOC's XML files, one file for each image.

In: XML files. Out: ``ImageBoxes`` of each file, and the names of the classes. Next:
``poise.data.sources.annotated.opening``.

VOC counts pixels from 1, and xmax and ymax are the last pixels inside. For example, a box of the
whole image has xmin = 1 and xmax = width. So 1 is subtracted from xmin and ymin, and xmax and ymax
stay the same. Corners may be fractions; Poise rounds them.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from poise.config.errors import PoiseError, one_line
from poise.data.sources.annotated.boxes import ImageBoxes, is_empty, rounded
from poise.data.sources.annotated.exif_orientation import Box, Size
from poise.data.sources.safe_names import LONGEST_ERROR, shown

_LARGEST_BYTES = 2**24
_LARGEST_CORNER = 2**24


@dataclass(frozen=True)
class _Object:
    """One object in an XML file."""

    name: str
    box: Box
    is_difficult: bool
    is_truncated: bool


def read_voc(files: Sequence[str]) -> tuple[list[ImageBoxes], tuple[str, ...]]:
    """Reads one XML file for each image.

    Returns:
        The boxes of each file, and the names of all classes in alphabetical order, as in VOC.

    Raises:
        PoiseError: a file is not an XML file of VOC, or one of its boxes is wrong.
    """
    found = [_read(file) for file in files]
    classes = tuple(sorted({each.name for _, objects in found for each in objects}))
    places = {name: place for place, name in enumerate(classes)}
    return [
        ImageBoxes(
            origin=shown(file),
            size=size,
            boxes=tuple(each.box for each in objects),
            labels=tuple(places[each.name] for each in objects),
            difficult=tuple(each.is_difficult for each in objects),
            truncated=tuple(each.is_truncated for each in objects),
        )
        for file, (size, objects) in zip(files, found, strict=True)
    ], classes


def _read(file: str) -> tuple[Size | None, list[_Object]]:
    try:
        data = Path(file).read_bytes()
        if len(data) > _LARGEST_BYTES:
            raise PoiseError(f"{shown(file)}: over {_LARGEST_BYTES / 1e6:.0f} MB; not XML of VOC")
        if b"<!ENTITY" in data:  # entities can make a small file fill the memory
            raise PoiseError(f"{shown(file)}: defines entities, which XML of VOC does not need")
        root = ElementTree.fromstring(data)
    except (OSError, ElementTree.ParseError, LookupError, ValueError) as error:
        raise PoiseError(
            f"{shown(file)}: not XML ({one_line(error, LONGEST_ERROR)}); write it again, or move "
            "it and its image away"
        ) from None
    if root.tag != "annotation":
        raise PoiseError(
            f"{shown(file)}: begins with <{shown(root.tag)}>, not with <annotation> as the XML of "
            "Pascal VOC does"
        )
    return _size(root), [_object(each, file) for each in root.findall("object")]


def _size(root: ElementTree.Element) -> Size | None:
    """Returns the image's width and height; None if the file does not contain them, or one is 0."""
    texts = [root.findtext(f"size/{side}", "").strip() for side in ("width", "height")]
    if not all(text.isdecimal() and int(text) for text in texts):
        return None
    return int(texts[0]), int(texts[1])


def _object(element: ElementTree.Element, file: str) -> _Object:
    name = element.findtext("name", "").strip()
    if not name:
        raise PoiseError(f"{shown(file)}: an <object> has no <name>; add it")
    corners = [
        _corner(element, side, f"{shown(file)}: <{side}> of '{shown(name)}'")
        for side in ("xmin", "ymin", "xmax", "ymax")
    ]
    x0, y0, x1, y1 = rounded(corners)
    box = x0 - 1, y0 - 1, x1, y1
    if is_empty(box):
        raise PoiseError(
            f"{shown(file)}: the box of '{shown(name)}' holds no pixel (x {x0} to {x1}, y {y0} to "
            f"{y1}); correct or remove it"
        )
    flags = (element.findtext(flag, "0").strip() == "1" for flag in ("difficult", "truncated"))
    return _Object(name, box, *flags)


def _corner(element: ElementTree.Element, side: str, where: str) -> float:
    text = element.findtext(f"bndbox/{side}")
    if text is None:
        raise PoiseError(f"{where} is missing; an object needs <bndbox> with four corners")
    try:
        corner = float(text)
    except ValueError:
        corner = math.nan
    if not abs(corner) < _LARGEST_CORNER:  # also true for NaN
        raise PoiseError(f"{where} is '{shown(text.strip()[:40])}', not a number of pixels")
    return corner
