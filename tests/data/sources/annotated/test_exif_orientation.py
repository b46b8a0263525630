"""Annotations end on the upright image, whichever pixels they were made on."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from poise.cli.main import run
from poise.config import PoiseError
from poise.data.dataset import ImageDataset
from poise.data.manifest import Manifest
from poise.data.sources.annotated.exif_orientation import (
    StoredImage,
    turn_of,
    turned_box,
    turned_mask,
)
from poise.data.sources.options import PrepareCommand
from poise.data.views.decode import decode_rgb
from tests.data.annotated_files import (
    HEIGHT,
    WIDTH,
    mask_of,
    prepared,
    voc_xml,
    write_coco,
    write_image,
    write_mask,
    write_text,
)

BOX = (4, 6, 25, 20)
MASK = mask_of((1, *BOX))
QUARTER_TURN, HALF_TURN = 6, 3  # values of EXIF's orientation
ASK = PrepareCommand("photos")


def smallest_box(mask: np.ndarray) -> tuple[int, ...]:
    rows, columns = np.nonzero(mask)
    return columns.min(), rows.min(), columns.max() + 1, rows.max() + 1


@pytest.mark.parametrize("turn", [None, *Image.Transpose], ids=str)
def test_a_box_turns_as_its_mask_does(turn: Image.Transpose | None) -> None:
    turned = turned_box(BOX, (WIDTH, HEIGHT), turn)
    assert turned == smallest_box(turned_mask(MASK, turn))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("reference", ["stored", "upright"])
def test_a_mask_made_on_either_pixels_lies_on_the_upright_image(
    tmp_path: Path, orientation: int, reference: str
) -> None:
    photos = tmp_path / "photos"
    path = write_image(photos / "a.jpg", orientation=orientation)
    with Image.open(path) as stored:
        pixels = np.asarray(stored.convert("RGB"))
    upright = np.asarray(decode_rgb(path.read_bytes()))
    seen = pixels if reference == "stored" else upright
    mask = (seen[..., 0] > 127).astype(np.uint8)
    write_mask(tmp_path / "masks" / "a.png", mask)
    _, found = prepared(photos, masks=tmp_path / "masks", annotated=reference)
    np.testing.assert_array_equal(found.masks[0], upright[..., 0] > 127)


@pytest.mark.parametrize("reference", ["stored", "upright"])
def test_the_size_of_a_mask_tells_which_pixels_it_is_for(tmp_path: Path, reference: str) -> None:
    photos = tmp_path / "photos"
    write_image(photos / "a.jpg", orientation=QUARTER_TURN)
    upright = np.asarray(Image.fromarray(MASK).transpose(Image.Transpose.ROTATE_270))
    write_mask(tmp_path / "masks" / "a.png", MASK if reference == "stored" else upright)
    _, found = prepared(photos, masks=tmp_path / "masks")
    np.testing.assert_array_equal(found.masks[0], upright)


def test_the_size_in_xml_and_json_tells_which_pixels_boxes_are_for(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    path = write_image(photos / "a.jpg", orientation=QUARTER_TURN)
    wanted = list(turned_box(BOX, (WIDTH, HEIGHT), Image.Transpose.ROTATE_270))
    x0, y0, x1, y1 = BOX
    write_text(tmp_path / "xml" / "a.xml", voc_xml([("cat", (x0 + 1, y0 + 1, x1, y1), {})]))
    _, found = prepared(photos, boxes=tmp_path / "xml")
    assert found.boxes[0].tolist() == [wanted]
    other = tmp_path / "other"
    other.mkdir()
    (other / "a.jpg").write_bytes(path.read_bytes())
    outline = [[x0, y0, x1, y0, x1, y1, x0, y1]]
    shape = {"image_id": 10, "category_id": 3, "segmentation": outline}
    shape["bbox"] = [x0, y0, x1 - x0, y1 - y0]
    coco = write_coco(tmp_path / "coco.json", ["a.jpg"], [shape])
    _, found = prepared(other, coco=coco)
    assert found.boxes[0].tolist() == [wanted]
    assert list(smallest_box(found.masks[0])) == wanted


def test_if_no_size_tells_it_a_person_is_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = tmp_path / "photos"
    write_image(photos / "a.jpg", orientation=HALF_TURN)
    write_mask(tmp_path / "masks" / "a.png", MASK)
    with pytest.raises(PoiseError, match=r"'a.jpg' is turned by its EXIF block") as error:
        prepared(photos, masks=tmp_path / "masks")
    commands = [shlex.split(each)[1:] for each in re.findall(r"`(poise [^`]*)`", str(error.value))]
    assert [command[-1] for command in commands] == ["upright", "stored"]
    for command in commands:
        command[3] = str(tmp_path / command[-1])
        assert run(command) == 0, capsys.readouterr().err
    fingerprints = {
        Manifest.read(tmp_path / name).annotation_fingerprint for name in ("upright", "stored")
    }
    assert len(fingerprints) == 2


def test_images_without_boxes_and_images_that_are_not_turned_ask_nothing(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    write_image(photos / "a.jpg", orientation=HALF_TURN)
    write_image(photos / "b.jpg", orientation=1)
    write_text(tmp_path / "xml" / "a.xml", voc_xml([], size=None))
    write_text(tmp_path / "xml" / "b.xml", voc_xml([("cat", (1, 1, 9, 9), {})], size=None))
    _, found = prepared(photos, boxes=tmp_path / "xml")
    assert [len(boxes) for boxes in found.boxes] == [0, 1]


@pytest.mark.parametrize(
    ("annotated", "size"),
    [("upright", (WIDTH, HEIGHT)), ("stored", (HEIGHT, WIDTH)), (None, (HEIGHT, HEIGHT))],
)
def test_a_size_that_is_not_the_one_meant_is_refused(
    annotated: str | None, size: tuple[int, int]
) -> None:
    image = StoredImage("a.jpg", (WIDTH, HEIGHT), Image.Transpose.ROTATE_90)
    with pytest.raises(PoiseError, match=r"is for an image of \d+×\d+ pixels, but 'a.jpg' has"):
        turn_of(image, size, "a.png", ASK.using(annotated=annotated))


def test_the_dataset_keeps_the_stored_bytes(tmp_path: Path) -> None:
    path = write_image(tmp_path / "photos" / "a.jpg", orientation=QUARTER_TURN)
    write_mask(tmp_path / "masks" / "a.png", MASK)
    prepared(tmp_path / "photos", masks=tmp_path / "masks")
    dataset = ImageDataset.open(tmp_path / "photos-prepared")
    assert dataset.read(np.arange(1)).images[0] == path.read_bytes()
