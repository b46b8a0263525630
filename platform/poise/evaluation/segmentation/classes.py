"""Decides the class of each pixel from a mask and, if needed, from the image's label.

In: manifests of the training and the test set, and masks. Out: class indices of pixels. Next:
``poise.evaluation.segmentation.patches`` and ``poise.evaluation.segmentation.scores``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from poise.config.errors import PoiseError
from poise.data.annotations import IGNORED
from poise.data.manifest import Manifest

Meaning = Literal["mask", "object", "label"]
"""Rule for the class of a pixel.

``mask``: the mask's value. ``object``: object or background. ``label``: the image's label for
pixels of an object, and background for the others.
"""

MEANINGS: Final = get_args(Meaning)

BACKGROUND: Final = "background"

ClassMap = NDArray[np.uint8]
"""Class indices of pixels, uint8 [h, w]. ``IGNORED`` marks pixels that are not counted."""


@dataclass(frozen=True)
class PixelClasses:
    """Names of the classes of pixels, and the rule for the class of a pixel."""

    meaning: Meaning
    names: tuple[str, ...]
    """Names by class index. Index 0 is the background."""

    def __len__(self) -> int:
        return len(self.names)

    def of(self, mask: NDArray[np.uint8], label: int) -> ClassMap:
        """Computes the class of each pixel of a mask.

        With the rule ``label``, an object's pixels are ignored if the image's label is unknown.

        Args:
            mask: values of the mask, uint8 [h, w].
            label: label of the image, or −1 if it is unknown.
        """
        if self.meaning == "mask":
            return mask
        of_objects = 1 if self.meaning == "object" else label + 1 if label >= 0 else IGNORED
        marked = (mask > 0) & (mask != IGNORED)
        return np.where(marked, np.uint8(of_objects), mask)


def pixel_classes(train: Manifest, test: Manifest, meaning: Meaning | None) -> PixelClasses:
    """Chooses the classes of pixels and the rule for the class of a pixel.

    Args:
        train: manifest of the training set.
        test: manifest of the test set.
        meaning: rule that the user chose. None uses the masks' values, if the values have names.

    Raises:
        PoiseError: the values have no names and no rule was chosen, the two datasets have different
            classes, or there are more than 254 classes.
    """
    if meaning is None and not (train.mask_classes and test.mask_classes):
        raise PoiseError(
            f"{test.name}: its masks' values have no names, so they may be classes or numbers of "
            "objects; say which with --classes mask (values are classes) or --classes object "
            "(each value is an object)"
        )
    asked = meaning or "mask"
    of_train, of_test = (_NAMES[asked](manifest) for manifest in (train, test))
    if of_train != of_test and not (asked == "mask" and not test.mask_classes):
        raise PoiseError(
            f"{train.name} and {test.name}: have different classes of pixels "
            f"({_some(of_train)}; {_some(of_test)}); prepare both with the same classes"
        )
    names = max(of_train, of_test, key=len)
    if len(names) >= IGNORED:
        raise PoiseError(f"{test.name}: {len(names)} classes of pixels; masks have at most 254")
    return PixelClasses(asked, (BACKGROUND, *names))


def _values(manifest: Manifest) -> tuple[str, ...]:
    """Returns the names of the mask values 1, 2, ….

    A value without a name becomes ``class <value>``.
    """
    highest = max([0, *(value for value in manifest.mask_values if value != IGNORED)])
    unnamed = range(len(manifest.mask_classes) + 1, highest + 1)
    return (*manifest.mask_classes, *(f"class {number}" for number in unnamed))


def _labels(manifest: Manifest) -> tuple[str, ...]:
    if not manifest.classes:
        raise PoiseError(
            f"{manifest.name}: its images have no labels, so objects have no classes; "
            "use --classes object"
        )
    return manifest.classes


_NAMES: dict[Meaning, Callable[[Manifest], tuple[str, ...]]] = {
    "mask": _values,
    "object": lambda manifest: ("object",),
    "label": _labels,
}


def _some(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return (", ".join(names[:3]) or "none") + more
