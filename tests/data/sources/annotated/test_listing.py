"""A list of names takes the images that it names, and refuses what it cannot know."""

from pathlib import Path

import pytest

from poise.config import PoiseError
from poise.data.manifest import Manifest
from poise.data.preparation.ingest import prepare
from poise.data.sources.annotated.listing import listed_places
from poise.data.sources.options import PrepareOptions
from tests.data.annotated_files import write_images, write_text

IMAGES = ["bear/00000.jpg", "bear/00001.jpg", "cat/00000.jpg", "loose image.png"]


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("bear/00000.jpg", [0]),
        ("bear/00000", [0]),
        ("00001", [1]),
        ("00001.jpg", [1]),
        ("bear", [0, 1]),
        ("bear/", [0, 1]),
        ("loose image", [3]),
        ("cat\n\n  bear/00001 \r\n", [1, 2]),
        ("cat\ncat/00000.jpg", [2]),
        ("\ufeffcat", [2]),
        ("/JPEGImages/480p/bear/00001.jpg /Annotations/480p/bear/00001.png", [1]),
        ("train2014\\bear\\00001.jpg", [1]),
    ],
)
def test_a_line_names_an_image_or_a_folder(tmp_path: Path, text: str, places: list[int]) -> None:
    assert listed_places(str(write_text(tmp_path / "list.txt", text)), IMAGES) == places


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("00000", "'00000' may be 'bear/00000.jpg' or 'cat/00000.jpg'; write its path"),
        ("cat/00001.jpg", "'cat/00001.jpg' is no image"),  # bear/00001.jpg is another image
        ("dog", "'dog' is no image of the folder (there is 'bear/00000.jpg')"),
        ("bear/00001 -1", "'bear/00001 -1' is no image"),  # VOC's list of one class
        ("/", "'/' is no image"),
        ("", "empty; write one name a line"),
        (" \n \n", "empty"),
    ],
)
def test_a_line_that_names_nothing_or_too_much_is_refused(
    tmp_path: Path, text: str, fault: str
) -> None:
    with pytest.raises(PoiseError) as error:
        listed_places(str(write_text(tmp_path / "list.txt", text)), IMAGES)
    assert fault in str(error.value)


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "list.bin").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(PoiseError, match="not a text file in UTF-8"):
        listed_places(str(tmp_path / "list.bin"), IMAGES)
    with pytest.raises(PoiseError, match="cannot be read"):
        listed_places(str(tmp_path / "nowhere"), IMAGES)


def test_a_list_alone_takes_some_images_of_a_folder_with_their_classes(tmp_path: Path) -> None:
    photos = write_images(tmp_path / "photos", "ant/a.jpg", "ant/b.jpg", "bee/c.jpg")
    names = write_text(tmp_path / "list.txt", "bee/c.jpg\nant/b.jpg\n")
    manifest = prepare(
        str(photos), tmp_path / "dataset", PrepareOptions(list_file=str(names)), parallel=False
    )
    assert (manifest.num_samples, manifest.classes) == (2, ("ant", "bee"))
    assert manifest.annotations == ()
    assert manifest.source == f"{photos} --list {names}"
    assert Manifest.read(tmp_path / "dataset") == manifest
