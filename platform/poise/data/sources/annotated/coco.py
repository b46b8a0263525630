"""Reads boxes and masks from a JSON file of COCO, which describes many images.

In: the JSON file, and the images of a folder. Out: ``ImageBoxes`` and ``DrawnMask``s. Next:
``poise.data.sources.annotated.opening``.

Corners are rounded to whole pixels. A crowd (`iscrowd`) gives no box, and its pixels in the mask
are ignored. The classes are the categories in the order of their ids. Category number i, counted
from 1, has box label i − 1 and mask value i.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from poise.config.errors import PoiseError, first_few
from poise.config.wording import counted
from poise.data.annotations import IGNORED
from poise.data.sources.annotated.boxes import ImageBoxes, is_empty, rounded
from poise.data.sources.annotated.coco_file import CocoFile, CocoImage, CocoObject, read_coco_file
from poise.data.sources.annotated.coco_masks import MOST_CLASSES, DrawnMask
from poise.data.sources.annotated.exif_orientation import Box
from poise.data.sources.safe_names import shown


@dataclass(frozen=True)
class CocoAnnotations:
    """Annotations that a COCO file contains for some of a folder's images."""

    places: tuple[int, ...]
    """Indices of the annotated images in the list of images, in the order of ``boxes`` and
    ``masks``.
    """

    boxes: tuple[ImageBoxes, ...]
    masks: tuple[DrawnMask, ...]
    """Masks of the images; empty if the file has no outlines."""

    classes: tuple[str, ...]
    notes: tuple[str, ...]


def read_coco(path: str, images: Sequence[str], is_chosen: bool) -> CocoAnnotations:
    """Reads the annotations of some images.

    Args:
        path: path of the JSON file.
        images: paths of the images in their folder, with forward slashes.
        is_chosen: whether the user chose these images from the folder. Otherwise every image in the
            file must be among ``images``.

    Raises:
        PoiseError: the file is wrong, or one of its images is not among ``images``.
    """
    found = read_coco_file(path)
    places = _places(path, found.images, images, is_chosen)
    by_image: dict[int, list[CocoObject]] = defaultdict(list)
    for each in found.annotations:
        by_image[each.image_id].append(each)
    classes = sorted(found.categories, key=lambda category: category.id)
    labels = {each.id: label for label, each in enumerate(classes)}
    entries = [each for each in found.images if each.id in places]
    entries.sort(key=lambda each: places[each.id])
    boxes = [_boxes(path, each, by_image[each.id], labels) for each in entries]
    notes = list(_box_notes(found, images, entries))
    masks: list[DrawnMask] = []
    if reason := _why_no_masks(found):
        notes.append(f"no masks: {reason}")
    else:
        masks = [_mask(path, each, by_image[each.id], labels) for each in entries]
    return CocoAnnotations(
        places=tuple(places[each.id] for each in entries),
        boxes=tuple(boxes),
        masks=tuple(masks),
        classes=tuple(each.name for each in classes),
        notes=tuple(notes),
    )


def _places(
    path: str, entries: Sequence[CocoImage], images: Sequence[str], is_chosen: bool
) -> dict[int, int]:
    """Finds the image of each entry by its path, or else by its file name alone.

    Returns:
        Dict from image ids to indices of the images.
    """
    by_path = {image: place for place, image in enumerate(images)}
    by_name: dict[str, list[int]] = defaultdict(list)
    for place, image in enumerate(images):
        by_name[image.rpartition("/")[2]].append(place)
    places: dict[int, int] = {}
    taken: dict[int, str] = {}
    missing = []
    for entry in entries:
        name = entry.file_name.replace("\\", "/").removeprefix("./")
        same = [by_path[name]] if name in by_path else by_name[name.rpartition("/")[2]]
        if not same:
            missing.append(shown(entry.file_name))
        elif len(same) > 1 or same[0] in taken:
            raise _ambiguous(path, entry, [images[each] for each in same], taken.get(same[0]))
        else:
            places[entry.id], taken[same[0]] = same[0], entry.file_name
    if missing and (not is_chosen or not places):
        raise PoiseError(
            f"{shown(path)}: {len(missing):,} of {counted(len(entries), 'image')} are not in the "
            f"folder ({first_few(missing, 3)}); give the folder that `file_name` begins in, or "
            "list the images to take in a file: --list FILE"
        )
    return places


def _ambiguous(path: str, entry: CocoImage, same: Sequence[str], other: str | None) -> PoiseError:
    name = shown(entry.file_name)
    if len(same) > 1:
        files = first_few([f"'{shown(each)}'" for each in same], 3)
        return PoiseError(
            f"{shown(path)}: '{name}' may be {files}; write the folder into `file_name`"
        )
    return PoiseError(
        f"{shown(path)}: '{name}' and '{shown(other or '')}' are the same file, "
        f"'{shown(same[0])}'; write the folders into `file_name`"
    )


def _box(each: CocoObject) -> Box:
    x, y, width, height = each.bbox
    return rounded((x, y, x + width, y + height))


def _boxes(
    path: str, entry: CocoImage, objects: Sequence[CocoObject], labels: dict[int, int]
) -> ImageBoxes:
    kept = [each for each in objects if not each.iscrowd and not is_empty(_box(each))]
    size = (entry.width, entry.height)
    found = ImageBoxes(
        origin=shown(path),
        size=size,
        boxes=tuple(map(_box, kept)),
        labels=tuple(labels[each.category_id] for each in kept),
        difficult=(False,) * len(kept),
        truncated=(False,) * len(kept),
    )
    return found.inside(size, shown(entry.file_name))


def _mask(
    path: str, entry: CocoImage, objects: Sequence[CocoObject], labels: dict[int, int]
) -> DrawnMask:
    shapes = (
        (IGNORED if each.iscrowd else labels[each.category_id] + 1, each.segmentation, each.id)
        for each in objects
    )
    return DrawnMask.of(shown(path), (entry.width, entry.height), shapes)


def _why_no_masks(found: CocoFile) -> str | None:
    """Returns the reason why no masks can be drawn; None if they can be drawn."""
    without = sum(not each.segmentation for each in found.annotations)
    if without:
        return f"{without:,} of {counted(len(found.annotations), 'object')} have no outline"
    if not found.annotations:
        return "the file lists no objects"
    if len(found.categories) > MOST_CLASSES:
        return f"{len(found.categories):,} classes, and a mask tells at most {MOST_CLASSES} apart"
    return None


def _box_notes(found: CocoFile, images: Sequence[str], entries: Sequence[CocoImage]) -> list[str]:
    left, notes = len(images) - len(entries), []
    if left:
        notes.append(f"left out {counted(left, 'image')} that the file of --coco does not list")
    used = {each.id for each in entries}
    objects = [each for each in found.annotations if each.image_id in used]
    if crowds := sum(each.iscrowd for each in objects):
        notes.append(f"left out the boxes of {counted(crowds, 'crowd')}, as the benchmarks do")
    if empty := sum(not each.iscrowd and is_empty(_box(each)) for each in objects):
        notes.append(f"left out {counted(empty, 'box', 'boxes')} without a whole pixel")
    return notes
