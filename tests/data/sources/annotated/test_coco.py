"""Boxes and masks of COCO's JSON, and files that are none."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from poise.config import PoiseError
from poise.data.sources.opening import open_source
from poise.data.sources.options import PrepareOptions
from tests.data.annotated_files import (
    HEIGHT,
    WIDTH,
    coco_file,
    mask_of,
    prepared,
    write_coco,
    write_images,
    write_text,
)

CAT, DOG = 3, 17


def thing(
    image: int, category: int, x0: float, y0: float, x1: float, y1: float, **more: Any
) -> dict[str, Any]:
    """A rectangular object of image number ``image``."""
    return {
        "image_id": 10 + image,
        "category_id": category,
        "bbox": [x0, y0, x1 - x0, y1 - y0],
        "segmentation": [[x0, y0, x1, y0, x1, y1, x0, y1]],
        **more,
    }


def refusal(photos: Path, path: Path, **options: Any) -> str:
    with pytest.raises(PoiseError) as error:
        prepared(photos, coco=path, **options)
    assert "\n" not in str(error.value)
    return str(error.value)


def notes_of(photos: Path, path: Path) -> str:
    return " ".join(open_source(str(photos), PrepareOptions(coco=str(path))).notes)


def test_boxes_have_whole_corners_and_masks_the_places_of_categories(tmp_path: Path) -> None:
    photos = write_images(tmp_path / "photos", "a.jpg", "b.jpg", "c.jpg")
    objects = [
        thing(1, DOG, 2, 3, 12, 9),
        thing(0, CAT, 20.4, 4.5, 30.6, 9.5),
        thing(1, CAT, 20, 20, 25, 28),
    ]
    manifest, found = prepared(
        photos, coco=write_coco(tmp_path / "c.json", ["a.jpg", "b.jpg", "c.jpg"], objects)
    )
    assert manifest.annotations == ("mask", "boxes")
    assert manifest.box_classes == manifest.mask_classes == ("cat", "dog")
    assert found.boxes[0].tolist() == [[20, 4, 31, 10]]  # halves go to the even number
    assert found.boxes[1].tolist() == [[2, 3, 12, 9], [20, 20, 25, 28]]
    assert found.box_labels[1].tolist() == [1, 0]
    assert found.boxes[2].shape == (0, 4)
    expected = mask_of((2, 2, 3, 12, 9), (1, 20, 20, 25, 28))
    np.testing.assert_array_equal(found.masks[1], expected)
    assert not found.masks[2].any()


def test_categories_are_numbered_by_their_ids(tmp_path: Path) -> None:
    photos = write_images(tmp_path / "photos", "a.jpg")
    path = write_coco(
        tmp_path / "c.json",
        ["a.jpg"],
        [thing(0, 90, 1, 1, 9, 9)],
        categories=[(90, "toothbrush"), (1, "person"), (13, "stop sign")],
    )
    manifest, found = prepared(photos, coco=path)
    assert manifest.box_classes == ("person", "stop sign", "toothbrush")
    assert (found.box_labels[0].tolist(), int(found.masks[0][5, 5])) == ([2], 3)


def test_a_crowd_is_no_box_and_ignored_in_the_mask(tmp_path: Path) -> None:
    photos = write_images(tmp_path / "photos", "a.jpg")
    counts = [0, HEIGHT * 10, HEIGHT * (WIDTH - 10)]  # the first ten columns
    crowd = thing(0, CAT, 0, 0, 10, HEIGHT, iscrowd=1)
    crowd["segmentation"] = {"size": [HEIGHT, WIDTH], "counts": counts}
    objects = [crowd, thing(0, CAT, 4, 4, 8, 8)]
    path = write_coco(tmp_path / "c.json", ["a.jpg"], objects)
    _, found = prepared(photos, coco=path)
    assert found.boxes[0].tolist() == [[4, 4, 8, 8]]
    expected = mask_of((255, 0, 0, 10, HEIGHT), (1, 4, 4, 8, 8))
    np.testing.assert_array_equal(found.masks[0], expected)
    assert "left out the boxes of 1 crowd" in notes_of(photos, path)


def test_pixels_of_two_classes_are_ignored_and_those_of_one_are_not(tmp_path: Path) -> None:
    photos = write_images(tmp_path / "photos", "a.jpg")
    objects = [
        thing(0, CAT, 0, 0, 10, 10),
        thing(0, CAT, 5, 5, 15, 15),
        thing(0, DOG, 12, 12, 20, 20),
    ]
    _, found = prepared(photos, coco=write_coco(tmp_path / "c.json", ["a.jpg"], objects))
    mask = found.masks[0]
    assert (mask[7, 7], mask[13, 13], mask[18, 18], mask[13, 6]) == (1, 255, 2, 1)


def test_the_mask_does_not_depend_on_the_order_of_objects(tmp_path: Path) -> None:
    objects = [
        thing(0, CAT, 0, 0, 10, 10),
        thing(0, DOG, 5, 5, 15, 15),
        thing(0, CAT, 8, 8, 20, 20),
    ]
    masks = []
    for place, order in enumerate((objects, objects[::-1], [objects[i] for i in (1, 0, 2)])):
        photos = write_images(tmp_path / f"photos-{place}", "a.jpg")
        _, found = prepared(photos, coco=write_coco(tmp_path / "c.json", ["a.jpg"], order))
        masks.append(found.masks[0])
    np.testing.assert_array_equal(masks[0], masks[1])
    np.testing.assert_array_equal(masks[0], masks[2])


def test_without_outlines_there_are_boxes_alone_and_this_is_said(tmp_path: Path) -> None:
    photos = write_images(tmp_path / "photos", "a.jpg")
    path = write_coco(tmp_path / "c.json", ["a.jpg"], [thing(0, CAT, 1, 1, 9, 9, segmentation=[])])
    manifest, _ = prepared(photos, coco=path)
    assert (manifest.annotations, manifest.mask_classes) == (("boxes",), ())
    assert "no masks: 1 of 1 object have no outline" in notes_of(photos, path)


def test_more_classes_than_a_mask_tells_apart_leave_boxes(tmp_path: Path) -> None:
    photos = write_images(tmp_path / "photos", "a.jpg")
    many = [(number, f"class {number}") for number in range(1, 256)]
    objects = [thing(0, 255, 1, 1, 9, 9)]
    path = write_coco(tmp_path / "c.json", ["a.jpg"], objects, categories=many)
    manifest, found = prepared(photos, coco=path)
    assert manifest.annotations == ("boxes",)
    assert found.box_labels[0].tolist() == [254]
    assert "255 classes, and a mask tells at most 254 apart" in notes_of(photos, path)


def test_images_are_found_by_path_else_by_name(tmp_path: Path) -> None:
    photos = write_images(tmp_path / "photos", "x/a.jpg", "y/a.jpg", "y/b.jpg")
    names = ["y/a.jpg", "train2014/b.jpg", "./x/a.jpg"]
    objects = [thing(place, CAT, place + 1, 1, 9, 9) for place in range(3)]
    _, found = prepared(photos, coco=write_coco(tmp_path / "c.json", names, objects))
    assert [int(boxes[0, 0]) for boxes in found.boxes] == [3, 1, 2]
    path = write_coco(tmp_path / "d.json", ["a.jpg"], [])
    assert "'a.jpg' may be 'x/a.jpg', 'y/a.jpg'" in refusal(photos, path)
    path = write_coco(tmp_path / "e.json", ["x/b.jpg", "z/b.jpg"], [])
    assert "'z/b.jpg' and 'x/b.jpg' are the same file, 'y/b.jpg'" in refusal(photos, path)


def test_images_that_the_file_does_not_list_are_left_out_and_this_is_said(tmp_path: Path) -> None:
    photos = write_images(tmp_path / "photos", "a.jpg", "b.jpg")
    path = write_coco(tmp_path / "c.json", ["b.jpg"], [thing(0, CAT, 1, 1, 9, 9)])
    manifest, _ = prepared(photos, coco=path)
    assert manifest.num_samples == 1
    assert "left out 1 image that the file of --coco does not list" in notes_of(photos, path)


def test_images_of_the_file_must_be_there_unless_some_are_chosen(tmp_path: Path) -> None:
    photos = write_images(tmp_path / "photos", "a.jpg", "b.jpg")
    path = write_coco(tmp_path / "c.json", ["a.jpg", "b.jpg", "c.jpg"], [])
    message = refusal(photos, path)
    assert "1 image of 3 are not in the folder (c.jpg)" in message
    chosen = write_text(tmp_path / "list.txt", "train2014/b.jpg\n")
    manifest, _ = prepared(photos, coco=path, list_file=chosen)
    assert manifest.num_samples == 1


def test_a_box_without_a_pixel_is_left_out_and_this_is_said(tmp_path: Path) -> None:
    photos = write_images(tmp_path / "photos", "a.jpg")
    objects = [thing(0, CAT, 1, 1, 1.2, 9), thing(0, CAT, 5, 5, 9, 9)]
    path = write_coco(tmp_path / "c.json", ["a.jpg"], objects)
    _, found = prepared(photos, coco=path)
    assert found.boxes[0].tolist() == [[5, 5, 9, 9]]
    assert "left out 1 box without a whole pixel" in notes_of(photos, path)


def test_a_box_outside_its_image_is_refused(tmp_path: Path) -> None:
    photos = write_images(tmp_path / "photos", "a.jpg")
    path = write_coco(tmp_path / "c.json", ["a.jpg"], [thing(0, CAT, 30, 1, 60, 9)])
    assert "reaches outside 'a.jpg' (40×30) by 20 pixels" in refusal(photos, path)


def test_a_size_that_is_not_the_images_names_both_files(tmp_path: Path) -> None:
    photos = write_images(tmp_path / "photos", "a.jpg")
    objects = [thing(0, CAT, 1, 1, 9, 9)]
    path = write_coco(tmp_path / "c.json", ["a.jpg"], objects, size=(80, 60))
    message = refusal(photos, path)
    assert f"{path}: is for an image of 80×60 pixels, but 'a.jpg' has 40×30" in message


def test_a_broken_outline_names_its_annotation(tmp_path: Path) -> None:
    photos = write_images(tmp_path / "photos", "a.jpg")
    objects = [thing(0, CAT, 1, 1, 9, 9), thing(0, CAT, 1, 1, 9, 9, segmentation=[[1, 2, 3]])]
    message = refusal(photos, write_coco(tmp_path / "c.json", ["a.jpg"], objects))
    assert "annotation 1 of 'a.jpg': a polygon is no list of pairs" in message


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "not COCO's JSON"),
        ("{", "not COCO's JSON"),
        ("[]", "not COCO's JSON"),
        ('{"images": []}', "categories: Field required"),
        ('{"images": 3, "categories": [], "annotations": []}', "images: Input should be"),
        ("\udcff", "not COCO's JSON"),
    ],
)
def test_what_is_not_cocos_json_is_one_line(tmp_path: Path, text: str, fault: str) -> None:
    photos = write_images(tmp_path / "photos", "a.jpg")
    path = tmp_path / "c.json"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    message = refusal(photos, path)
    assert message.startswith(str(path))
    assert fault in message


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda c: c["images"][1].update(id=10), "the image id '10' occurs 2 times"),
        (lambda c: c["images"][1].update(file_name="a.jpg"), "file_name 'a.jpg' occurs 2 times"),
        (lambda c: c["categories"][1].update(id=3), "category id '3' occurs 2 times"),
        (lambda c: c["categories"][1].update(name="cat"), "category 'cat' occurs 2 times"),
        (lambda c: c["annotations"][0].update(image_id=9), "belongs to image 9"),
        (lambda c: c["annotations"][0].update(category_id=4), "belongs to category 4"),
        (lambda c: c["annotations"][0].update(bbox=[1, 2, 3]), "annotations.0.bbox"),
        (lambda c: c["annotations"][0].update(bbox=[1, 2, 3, 1e300]), "annotations.0.bbox"),
        (lambda c: c["images"][0].update(width=0), "images.0.width"),
        (lambda c: c["images"][0].pop("height"), "images.0.height: Field required"),
    ],
)
def test_a_file_that_contradicts_itself_is_one_line(
    tmp_path: Path, change: Any, fault: str
) -> None:
    photos = write_images(tmp_path / "photos", "a.jpg", "b.jpg")
    content = coco_file(["a.jpg", "b.jpg"], [thing(0, CAT, 1, 1, 9, 9)])
    change(content)
    assert fault in refusal(photos, write_text(tmp_path / "c.json", json.dumps(content)))


def test_a_file_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    photos = write_images(tmp_path / "photos", "a.jpg")
    assert "cannot be read" in refusal(photos, tmp_path / "c.json")
    assert "cannot be read" in refusal(photos, tmp_path)


def test_another_outline_makes_another_dataset(tmp_path: Path) -> None:
    photos = write_images(tmp_path / "photos", "a.jpg")
    keys = set()
    for x1 in (9, 10):
        shape = thing(0, CAT, 1, 1, 9, 9, segmentation=[[1, 1, x1, 1, x1, 9, 1, 9]])
        path = write_coco(tmp_path / "c.json", ["a.jpg"], [shape])
        keys.add(open_source(str(photos), PrepareOptions(coco=str(path))).key)
    assert len(keys) == 2
