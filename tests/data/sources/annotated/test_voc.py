"""Boxes of Pascal VOC's XML: counted from 1 there, from 0 here."""

from pathlib import Path
from typing import Any

import pytest

from poise.config import PoiseError
from poise.data.sources.opening import open_source
from poise.data.sources.options import PrepareOptions
from tests.data.annotated_files import (
    HEIGHT,
    WIDTH,
    mask_of,
    prepared,
    voc_xml,
    write_images,
    write_mask,
    write_text,
)

WHOLE = (1, 1, WIDTH, HEIGHT)


def write_set(root: Path, **texts: str) -> Path:
    """Images in the layout of VOC, with XML for each."""
    write_images(root / "JPEGImages", *(f"{name}.jpg" for name in texts))
    for name, text in texts.items():
        write_text(root / "Annotations" / f"{name}.xml", text)
    return root


def refusal(root: Path, **options: Any) -> str:
    with pytest.raises(PoiseError) as error:
        prepared(root / "JPEGImages", boxes=root / "Annotations", **options)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_boxes_begin_at_zero_and_end_outside(tmp_path: Path) -> None:
    objects = [
        ("dog", WHOLE, {"difficult": 1, "truncated": 0}),
        ("cat", (5, 6, 5, 6), {"difficult": 0, "truncated": 1}),
        ("dog", ("3.4", "4.6", "9.5", "12.0"), {}),
    ]
    root = write_set(tmp_path / "VOC", a=voc_xml(objects), b=voc_xml([]))
    manifest, found = prepared(root / "JPEGImages", boxes=root / "Annotations")
    assert (manifest.annotations, manifest.box_classes) == (("boxes",), ("cat", "dog"))
    assert found.boxes[0].tolist() == [[0, 0, WIDTH, HEIGHT], [4, 5, 5, 6], [2, 4, 10, 12]]
    assert found.box_labels[0].tolist() == [1, 0, 1]
    assert found.box_difficult[0].tolist() == [True, False, False]
    assert found.box_truncated[0].tolist() == [False, True, False]
    assert found.boxes[1].shape == (0, 4)


def test_the_whole_layout_gives_boxes_masks_and_a_list(tmp_path: Path) -> None:
    text = voc_xml([("cat", WHOLE, {})])
    root = write_set(tmp_path / "VOC", a=text, b=text, c=text)
    for value, name in enumerate("ac", start=1):
        write_mask(root / "SegmentationClass" / f"{name}.png", mask_of((value, 1, 1, 9, 9)))
    names = write_text(root / "ImageSets" / "Segmentation" / "trainval.txt", "c\na\n")
    manifest, found = prepared(
        root / "JPEGImages",
        boxes=root / "Annotations",
        masks=root / "SegmentationClass",
        list_file=names,
    )
    assert manifest.annotations == ("mask", "boxes")
    assert [int(mask[5, 5]) for mask in found.masks] == [1, 2]
    assert [len(boxes) for boxes in found.boxes] == [1, 1]


def test_a_box_may_reach_one_pixel_outside_and_is_cut(tmp_path: Path) -> None:
    text = voc_xml([("cat", (0, 0, WIDTH + 1, HEIGHT), {})])
    root = write_set(tmp_path / "VOC", a=text)
    _, found = prepared(root / "JPEGImages", boxes=root / "Annotations")
    assert found.boxes[0].tolist() == [[0, 0, WIDTH, HEIGHT]]


@pytest.mark.parametrize("size", [None, (0, 0), (WIDTH, HEIGHT)], ids=str)
@pytest.mark.parametrize(
    ("corners", "fault"),
    [
        ((3, 4, WIDTH + 6, 9), "reaches outside 'a.jpg' (40×30) by 6 pixels"),
        ((-4, 4, 9, 9), "reaches outside 'a.jpg' (40×30) by 5 pixels"),
        ((50, 4, 60, 9), "holds no pixel of 'a.jpg'"),
    ],
)
def test_a_box_outside_its_image_names_both_files(
    tmp_path: Path, size: Any, corners: tuple[int, int, int, int], fault: str
) -> None:
    root = write_set(tmp_path / "VOC", a=voc_xml([("cat", corners, {})], size))
    message = refusal(root)
    assert message.startswith(str(root / "Annotations" / "a.xml"))
    assert fault in message


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "not XML"),
        ("<annotation><object>", "not XML"),
        ("\0\1", "not XML"),
        ('<?xml version="1.0" encoding="klingon"?><annotation/>', "not XML"),
        ("<html></html>", "begins with <html>, not with <annotation>"),
        ("<annotation><object><bndbox/></object></annotation>", "an <object> has no <name>"),
        (voc_xml([("cat", ("a", 1, 2, 2), {})]), "<xmin> of 'cat' is 'a', not a number"),
        (voc_xml([("cat", ("nan", 1, 2, 2), {})]), "<xmin> of 'cat' is 'nan', not a number"),
        (voc_xml([("cat", (1, 1, "inf", 2), {})]), "<xmax> of 'cat' is 'inf', not a number"),
        (voc_xml([("cat", (9, 1, 5, 2), {})]), "the box of 'cat' holds no pixel (x 9 to 5, y 1"),
        (
            "<annotation><object><name>cat</name></object></annotation>",
            "<xmin> of 'cat' is missing",
        ),
        (voc_xml([("cat", WHOLE, {})], (HEIGHT, WIDTH)), "is for an image of 30×40 pixels"),
    ],
)
def test_broken_xml_is_one_line(tmp_path: Path, text: str, fault: str) -> None:
    message = refusal(write_set(tmp_path / "VOC", a=text))
    assert message.startswith(str(tmp_path / "VOC" / "Annotations" / "a.xml"))
    assert fault in message


def test_xml_that_grows_without_end_is_refused(tmp_path: Path) -> None:
    grown = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 12))
    text = (
        f'<!DOCTYPE annotation [<!ENTITY e0 "ha">{grown}]>'
        "<annotation><object><name>&e11;</name></object></annotation>"
    )
    assert "defines entities" in refusal(write_set(tmp_path / "VOC", a=text))


def test_an_image_without_xml_names_both_files(tmp_path: Path) -> None:
    root = write_set(tmp_path / "VOC", a=voc_xml([]))
    write_images(root / "JPEGImages", "b.jpg")
    message = refusal(root)
    assert f"'b.jpg' has no XML file '{root / 'Annotations' / 'b.xml'}'" in message


def test_the_whole_folder_can_be_the_source(tmp_path: Path) -> None:
    root = write_set(tmp_path / "VOC", a=voc_xml([("cat", WHOLE, {})]))
    manifest, found = prepared(root, boxes=root / "Annotations")
    assert (manifest.num_samples, manifest.num_quarantined) == (1, 0)
    assert len(found.boxes[0]) == 1


def test_the_names_of_classes_are_text(tmp_path: Path) -> None:
    root = write_set(tmp_path / "VOC", a=voc_xml([("Käfer &amp; Co", WHOLE, {})]))
    source = open_source(str(root / "JPEGImages"), PrepareOptions(boxes=str(root / "Annotations")))
    assert source.annotations.box_classes == ("Käfer & Co",)
