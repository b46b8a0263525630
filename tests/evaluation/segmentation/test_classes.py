"""What the class of a pixel is, and what is refused because it may be two things."""

import numpy as np
import pytest

from poise.config.errors import PoiseError
from poise.data.manifest import Manifest
from poise.evaluation.segmentation.classes import PixelClasses, pixel_classes

MASK = np.array([[0, 1, 2, 255]], dtype=np.uint8)


def manifest(name: str, **fields: object) -> Manifest:
    described: dict[str, object] = {
        "name": name,
        "source": "test",
        "seed": 0,
        "num_samples": 1,
        "num_quarantined": 0,
        "classes": (),
        "channel_mean": (0.5,) * 3,
        "channel_std": (0.25,) * 3,
        "fingerprint": name,
        "rows_per_group": 1,
        "shards": (),
        **fields,
    }
    return Manifest.model_validate(described)


def two_sets(**fields: object) -> tuple[Manifest, Manifest]:
    return manifest("train", **fields), manifest("test", **fields)


def test_a_pixel_has_its_masks_value_or_the_object_or_the_label() -> None:
    names = ("background", "a", "b")
    assert PixelClasses("mask", names).of(MASK, 1).tolist() == [[0, 1, 2, 255]]
    assert PixelClasses("object", names[:2]).of(MASK, 1).tolist() == [[0, 1, 1, 255]]
    assert PixelClasses("label", names).of(MASK, 1).tolist() == [[0, 2, 2, 255]]
    assert PixelClasses("label", names).of(MASK, -1).tolist() == [[0, 255, 255, 255]]


def test_named_values_are_the_classes_by_default() -> None:
    sets = two_sets(mask_classes=("cat", "dog"))
    assert pixel_classes(*sets, None).names == ("background", "cat", "dog")


def test_values_without_names_are_refused_with_both_ways_to_read_them() -> None:
    sets = two_sets(mask_values=(1, 2, 3))
    with pytest.raises(PoiseError, match=r"--classes mask .* or --classes object"):
        pixel_classes(*sets, None)
    assert pixel_classes(*sets, "mask").names == ("background", "class 1", "class 2", "class 3")
    assert pixel_classes(*sets, "object").names == ("background", "object")


def test_labels_are_classes_only_where_there_are_labels() -> None:
    shapes = two_sets(classes=("ball", "box"))
    assert pixel_classes(*shapes, "label").names == ("background", "ball", "box")
    with pytest.raises(PoiseError, match="no labels"):
        pixel_classes(manifest("train"), manifest("test"), "label")


def test_sets_with_different_classes_are_refused() -> None:
    train, test = (manifest(name, mask_classes=(name,)) for name in ("cat", "dog"))
    with pytest.raises(PoiseError, match="different classes of pixels"):
        pixel_classes(train, test, None)


def test_more_classes_than_a_mask_has_values_are_refused() -> None:
    many = two_sets(classes=tuple(map(str, range(300))))
    with pytest.raises(PoiseError, match="at most 254"):
        pixel_classes(*many, "label")
