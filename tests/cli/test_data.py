"""What `poise data prepare` says about annotations, and how its options arrive."""

from pathlib import Path

import pytest

from poise.cli.main import run
from tests.data.annotated_files import (
    mask_of,
    voc_xml,
    write_coco,
    write_images,
    write_mask,
    write_text,
)


def said(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    assert run(["data", "prepare", *map(str, words)]) == 0
    return capsys.readouterr().out


def test_the_summary_counts_masks_and_boxes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = write_images(tmp_path / "photos", "a.jpg", "b.jpg")
    write_mask(tmp_path / "masks" / "a.png", mask_of((1, 0, 0, 9, 9), (255, 9, 9, 12, 12)))
    write_mask(tmp_path / "masks" / "b.png", mask_of((3, 0, 0, 9, 9)))
    text = voc_xml([("cat", (1, 1, 9, 9), {}), ("dog", (1, 1, 9, 9), {})])
    write_text(tmp_path / "xml" / "a.xml", text)
    write_text(tmp_path / "xml" / "b.xml", voc_xml([]))
    names = write_text(tmp_path / "names.txt", "sky\ntree\nsea")
    options = ("--masks", tmp_path / "masks", "--boxes", tmp_path / "xml", "--mask-classes", names)
    text = said(capsys, photos, tmp_path / "out", *options)
    assert "masks: 2 images, values 1 to 3 (sky, tree, sea), some pixels ignored" in text
    assert "boxes: 2 in 1 image, 1 image without any (cat, dog)" in text
    again = said(capsys, photos, tmp_path / "out", *options)
    assert "already finished" in again
    assert "boxes: 2 in 1 image" in again


def test_the_summary_counts_videos(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clips = write_images(tmp_path / "clips", "a/0.jpg", "a/1.jpg", "b/0.jpg")
    assert "videos: 2 of 1 to 2 frames" in said(capsys, clips, tmp_path / "out", "--sequences")
    text = said(capsys, "scenes-video", tmp_path / "scenes", "--num-images", 48, "--image-px", 16)
    assert "videos: 2 of 24 frames" in text
    assert "masks: 48 images, value 1 (object)" in text
    assert "boxes: 48 in 48 images, 0 images without any (plain, stripes, zigzag, checks" in text


def test_images_without_annotations_say_nothing_of_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = write_images(tmp_path / "photos", "a.jpg")
    text = said(capsys, photos, tmp_path / "out")
    assert not {"masks", "boxes", "videos"} & {word.strip(":") for word in text.split()}


def test_every_option_of_annotations_reaches_the_source(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = write_images(tmp_path / "photos", "a.jpg", "b.jpg")
    coco = write_coco(tmp_path / "c.json", ["a.jpg", "b.jpg"], [])
    names = write_text(tmp_path / "list.txt", "a")
    options = ("--coco", coco, "--list", names, "--annotated", "upright")
    text = said(capsys, photos, tmp_path / "coco", *options)
    assert "1 image, no labels" in text
    assert "boxes: 0 in 0 images, 1 image without any (cat, dog)" in text
    write_mask(tmp_path / "masks" / "a.png", mask_of((255, 0, 0, 9, 9)), "L")
    options = ("--masks", tmp_path / "masks", "--list", names, "--white", "object")
    text = said(capsys, photos, tmp_path / "white", *options)
    assert "masks: 1 image, value 1" in text


def test_a_broken_mask_that_is_mended_needs_no_new_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = write_images(tmp_path / "photos", "a.jpg")
    mask = write_mask(tmp_path / "masks" / "a.png", mask_of((1, 0, 0, 9, 9)))
    whole = mask.read_bytes()
    mask.write_bytes(b"broken")
    command = ["data", "prepare", str(photos), str(tmp_path / "out")]
    command += ["--masks", str(tmp_path / "masks")]
    assert run(command) == 2
    assert "cannot be read" in capsys.readouterr().err
    mask.write_bytes(whole)
    assert run(command) == 0
    mask.write_bytes(whole + b"\0")
    assert run(command) == 2
    assert "whose files have changed since" in capsys.readouterr().err
