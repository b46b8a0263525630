"""Masks beside images: matched by path, read from one channel, refused if anything is unclear."""

import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from poise.cli.main import run
from poise.config import PoiseError
from poise.data.dataset import ImageDataset
from poise.data.manifest import Manifest
from poise.data.sources.opening import open_source
from poise.data.sources.options import PrepareOptions
from tests.data.annotated_files import (
    HEIGHT,
    WIDTH,
    mask_of,
    prepared,
    write_image,
    write_images,
    write_mask,
    write_text,
)

MASK = mask_of((1, 2, 3, 10, 12), (7, 20, 5, 30, 25), (255, 0, 0, 2, 2))


def refusal(source: Path, **options: Any) -> str:
    with pytest.raises(PoiseError) as error:
        prepared(source, **options)
    message = str(error.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("mode", ["P", "L"])
def test_a_mask_of_a_palette_and_one_in_grey_are_the_same(tmp_path: Path, mode: str) -> None:
    photos = write_images(tmp_path / "photos", "a.jpg")
    write_mask(tmp_path / "masks" / "a.png", MASK, mode)
    manifest, found = prepared(photos, masks=tmp_path / "masks")
    assert manifest.annotations == ("mask",)
    assert (manifest.mask_values, manifest.mask_classes) == ((0, 1, 7, 255), ())
    np.testing.assert_array_equal(found.masks[0], MASK)


def test_a_black_and_white_mask_is_an_object(tmp_path: Path) -> None:
    photos = write_images(tmp_path / "photos", "a.jpg")
    write_mask(tmp_path / "masks" / "a.png", mask_of((1, 2, 3, 10, 12)), "1")
    _, found = prepared(photos, masks=tmp_path / "masks")
    np.testing.assert_array_equal(found.masks[0], mask_of((1, 2, 3, 10, 12)))


def test_masks_are_matched_by_path_whatever_the_order(tmp_path: Path) -> None:
    photos = write_images(tmp_path / "photos", "cat/1.jpg", "dog/1.jpg", "dog/x.y.jpeg")
    for value, name in enumerate(("dog/x.y", "dog/1", "cat/1"), start=1):
        write_mask(tmp_path / "masks" / f"{name}.png", mask_of((value, 0, 0, 9, 9)))
    write_mask(tmp_path / "masks" / "cat" / "unused.png", MASK)
    manifest, found = prepared(photos, masks=tmp_path / "masks")
    assert manifest.classes == ("cat", "dog")
    assert [int(mask[0, 0]) for mask in found.masks] == [3, 2, 1]
    notes = open_source(str(photos), PrepareOptions(masks=str(tmp_path / "masks"))).notes
    assert any("left out 1 mask of" in note for note in notes)


def test_a_source_that_holds_its_masks_is_read_without_them(tmp_path: Path) -> None:
    root = tmp_path / "set"
    write_images(root, "images/a.jpg", "images/b.jpg")
    write_text(root / "README.md", "read me")
    for name in "ab":
        write_mask(root / "masks" / f"{name}.png", MASK)
    manifest, found = prepared(root, masks=root / "masks")
    assert (manifest.num_samples, manifest.num_quarantined) == (2, 0)
    np.testing.assert_array_equal(found.masks[1], MASK)


def test_the_values_get_names_from_a_file(tmp_path: Path) -> None:
    photos = write_images(tmp_path / "photos", "a.jpg")
    write_mask(tmp_path / "masks" / "a.png", MASK)
    names = write_text(tmp_path / "names.txt", "sky\n\ntree\n")
    manifest, _ = prepared(photos, masks=tmp_path / "masks", mask_classes=names)
    assert manifest.mask_classes == ("sky", "tree")


def test_a_missing_mask_names_both_files(tmp_path: Path) -> None:
    photos = write_images(tmp_path / "photos", "a.jpg", "b.jpg", "c.jpg")
    write_mask(tmp_path / "masks" / "a.png", MASK)
    message = refusal(photos, masks=tmp_path / "masks")
    assert f"'b.jpg' has no mask '{tmp_path / 'masks' / 'b.png'}'" in message
    assert "2 images of 3 have none: also 'c.jpg'" in message
    assert "--list FILE" in message


def test_masks_of_other_names_say_how_names_must_be(tmp_path: Path) -> None:
    photos = write_images(tmp_path / "photos", "a.jpg")
    write_mask(tmp_path / "masks" / "a_mask.png", MASK)
    message = refusal(photos, masks=tmp_path / "masks")
    assert "the path of its image, but for the suffix (there is 'a_mask.png')" in message


def test_a_mask_of_another_size_names_both_files(tmp_path: Path) -> None:
    photos = write_images(tmp_path / "photos", "a.jpg")
    mask = write_mask(tmp_path / "masks" / "a.png", MASK[:10, :20])
    message = refusal(photos, masks=tmp_path / "masks")
    assert f"{mask}: is for an image of 20×10 pixels, but 'a.jpg' has {WIDTH}×{HEIGHT}" in message


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA"])
def test_a_mask_in_colour_is_refused(tmp_path: Path, mode: str) -> None:
    photos = write_images(tmp_path / "photos", "a.jpg")
    mask = write_mask(tmp_path / "masks" / "a.png", MASK, mode)
    message = refusal(photos, masks=tmp_path / "masks")
    assert f"{mask} (mask of 'a.jpg'): has colours (mode {mode}) and no palette" in message


def test_values_of_more_than_eight_bits_are_refused_if_they_do_not_fit(tmp_path: Path) -> None:
    photos = write_images(tmp_path / "photos", "a.jpg")
    write_mask(tmp_path / "masks" / "a.png", MASK.astype(np.uint16), "I;16")
    _, found = prepared(photos, masks=tmp_path / "masks")
    np.testing.assert_array_equal(found.masks[0], MASK)
    other = write_images(tmp_path / "other", "a.jpg")
    write_mask(tmp_path / "masks" / "a.png", MASK.astype(np.uint16) * 4, "I;16")
    assert "holds the value 1020" in refusal(other, masks=tmp_path / "masks")


@pytest.mark.parametrize("data", [b"", b"no image", "half"], ids=["empty", "text", "half"])
def test_a_damaged_mask_is_one_line(tmp_path: Path, data: bytes | str) -> None:
    photos = write_images(tmp_path / "photos", "a.jpg")
    mask = write_mask(tmp_path / "masks" / "a.png", MASK)
    whole = mask.read_bytes()
    mask.write_bytes(data if isinstance(data, bytes) else whole[: len(whole) // 2])
    message = refusal(photos, masks=tmp_path / "masks")
    assert f"{mask} (mask of 'a.jpg'): cannot be read" in message


def test_two_masks_of_an_image_and_two_images_of_a_mask_are_refused(tmp_path: Path) -> None:
    photos = write_images(tmp_path / "photos", "a.jpg")
    write_mask(tmp_path / "masks" / "a.png", MASK)
    write_mask(tmp_path / "masks" / "a.bmp", MASK, "L")
    assert "'a.bmp' and 'a.png' are masks of one image" in refusal(photos, masks=tmp_path / "masks")
    (tmp_path / "masks" / "a.bmp").unlink()
    write_images(photos, "a.jpeg")
    assert "'a.jpeg' and 'a.jpg' share one mask" in refusal(photos, masks=tmp_path / "masks")


def test_masks_that_lost_their_values_are_no_masks(tmp_path: Path) -> None:
    photos = write_images(tmp_path / "photos", "a.jpg")
    write_image(tmp_path / "masks" / "a.jpg")
    message = refusal(photos, masks=tmp_path / "masks")
    assert "holds no file that ends in .bmp or .gif or .pgm or .png" in message
    assert "only such as 'a.jpg'" in message
    assert "no such folder" in refusal(photos, masks=tmp_path / "nowhere")
    assert "is the folder of the images" in refusal(photos, masks=photos)


def test_white_is_an_object_or_ignored_and_a_person_says_which(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = write_images(tmp_path / "photos", "a.jpg")
    white = mask_of((255, 2, 3, 10, 12))
    write_mask(tmp_path / "masks" / "a.png", white, "L")
    message = refusal(photos, masks=tmp_path / "masks")
    commands = [shlex.split(each)[1:] for each in re.findall(r"`(poise [^`]*)`", message)]
    assert [command[-1] for command in commands] == ["object", "ignore"]
    values = []
    for place, command in enumerate(commands):
        command[3] = str(tmp_path / f"dataset-{place}")
        assert run(command) == 0, capsys.readouterr().err
        values.append(Manifest.read(command[3]).mask_values)
    assert values == [(0, 1), (0, 255)]


def test_white_objects_may_have_soft_edges(tmp_path: Path) -> None:
    photos = write_images(tmp_path / "photos", "a.jpg", "b.jpg")
    write_mask(tmp_path / "masks" / "a.png", mask_of((100, 1, 1, 9, 9), (200, 2, 2, 8, 8)), "L")
    write_mask(tmp_path / "masks" / "b.png", mask_of((1, 2, 2, 8, 8)), "1")
    _, found = prepared(photos, masks=tmp_path / "masks", white="object")
    for mask in found.masks:
        np.testing.assert_array_equal(mask, mask_of((1, 2, 2, 8, 8)))


def test_a_mask_that_is_ignored_but_for_background_stands_beside_others(tmp_path: Path) -> None:
    photos = write_images(tmp_path / "photos", "a.jpg")
    write_mask(tmp_path / "masks" / "a.png", mask_of((255, 0, 0, 5, 5), (3, 9, 9, 12, 12)))
    manifest, _ = prepared(photos, masks=tmp_path / "masks")
    assert manifest.mask_values == (0, 3, 255)


def test_an_image_that_cannot_be_read_goes_to_quarantine_with_its_mask(tmp_path: Path) -> None:
    photos = write_images(tmp_path / "photos", "a.jpg", "b.jpg", "c.jpg")
    (photos / "b.jpg").write_bytes(b"broken")
    for value, name in enumerate("abc", start=1):
        write_mask(tmp_path / "masks" / f"{name}.png", mask_of((value, 0, 0, 5, 5)))
    manifest, found = prepared(photos, masks=tmp_path / "masks")
    assert (manifest.num_samples, manifest.num_quarantined) == (2, 1)
    assert [int(mask[0, 0]) for mask in found.masks] == [1, 3]


def test_images_keep_their_fingerprint_whether_or_not_they_have_masks(tmp_path: Path) -> None:
    photos = write_images(tmp_path / "photos", "ant/a.jpg", "bee/b.jpg")
    for name in ("ant/a", "bee/b"):
        write_mask(tmp_path / "masks" / f"{name}.png", MASK)
    with_masks, _ = prepared(photos, masks=tmp_path / "masks")
    assert run(["data", "prepare", str(photos), str(tmp_path / "plain")]) == 0
    plain = Manifest.read(tmp_path / "plain")
    assert plain.fingerprint == with_masks.fingerprint
    assert (plain.annotation_fingerprint, plain.annotations) == ("", ())
    assert with_masks.annotation_fingerprint
    assert len(ImageDataset.open(tmp_path / "plain")) == 2


def test_another_mask_makes_another_dataset(tmp_path: Path) -> None:
    photos = write_images(tmp_path / "photos", "a.jpg")
    mask = write_mask(tmp_path / "masks" / "a.png", MASK)
    first = open_source(str(photos), PrepareOptions(masks=str(tmp_path / "masks")))
    again = open_source(str(photos), PrepareOptions(masks=str(tmp_path / "masks")))
    assert first.key == again.key != open_source(str(photos)).key
    Image.fromarray(MASK[:, ::-1].copy()).save(mask)
    mask.touch()
    changed = open_source(str(photos), PrepareOptions(masks=str(tmp_path / "masks")))
    assert changed.key != first.key


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"white": "object"}, "--white: belongs to --masks"),
        ({"mask_classes": "names.txt"}, "--mask-classes: belongs to --masks"),
        ({"annotated": "upright"}, "--annotated: belongs to"),
        ({"masks": "masks", "white": "black"}, "--white black: choose object or ignore"),
        ({"masks": "m", "annotated": "x"}, "--annotated x: choose upright or stored"),
        ({"masks": "m", "coco": "c.json"}, "leave out --masks or --coco"),
        ({"masks": "m", "format": "parquet"}, "not to --format parquet"),
    ],
)
def test_options_that_contradict_each_other_are_refused(
    tmp_path: Path, options: dict[str, Any], fault: str
) -> None:
    photos = write_images(tmp_path / "photos", "a.jpg")
    assert fault in refusal(photos, **options)


def test_masks_belong_to_folders_of_images_alone(tmp_path: Path) -> None:
    for source in ("scenes", "torchvision:CIFAR10", str(tmp_path / "a.parquet")):
        with pytest.raises(PoiseError, match="--masks: applies to a folder of image files"):
            open_source(source, PrepareOptions(masks="masks"))
