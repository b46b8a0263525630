"""Folders of images beside masks, XML or JSON name the command that reads both."""

from pathlib import Path

import pytest

from poise.cli.main import run
from poise.data.manifest import Manifest
from poise.data.sources.opening import open_source
from tests.data.refusals import commands_in, refusal, write


def annotated_commands(message: str) -> list[list[str]]:
    return [command for command in commands_in(message) if command[3].endswith("-annotated")]


@pytest.mark.parametrize(
    ("paths", "options"),
    [
        (("images/0.jpg", "masks/0.png"), ["--masks", "masks"]),
        (("train_images/0.jpg", "train_masks/0.png"), ["--masks", "train_masks"]),
        (("JPEGImages/0.jpg", "SegmentationClass/0.png"), ["--masks", "SegmentationClass"]),
        (
            ("JPEGImages/480p/bear/0.jpg", "Annotations/480p/bear/0.png", "ImageSets/val.txt"),
            ["--masks", "Annotations", "--sequences"],
        ),
        (("set/images/0.jpg", "set/labels/0.png"), ["--masks", "set/labels"]),
    ],
    ids=lambda each: "+".join(each) if isinstance(each, tuple) else "",
)
def test_images_beside_masks_are_refused_with_the_command_that_reads_both(
    tmp_path: Path, paths: tuple[str, ...], options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    root = write(tmp_path / "set", *paths)
    (command,) = annotated_commands(refusal(root))
    options[1] = str(root / options[1])
    assert command[4:] == options
    assert run(command) == 0, capsys.readouterr().err
    manifest = Manifest.read(command[3])
    assert (manifest.num_samples, manifest.annotations[0]) == (1, "mask")


def test_every_split_of_images_and_masks_gets_its_command(tmp_path: Path) -> None:
    kinds = [f"{kind}/{split}/0" for kind in ("images", "masks") for split in ("train", "val")]
    root = write(tmp_path / "set", *(f"{k}.jpg" if "images" in k else f"{k}.png" for k in kinds))
    commands = annotated_commands(refusal(root))
    assert [command[2:] for command in commands] == [
        [
            str(root / "images" / split),
            str(tmp_path / f"dataset-images-{split}-annotated"),
            "--masks",
            str(root / "masks" / split),
        ]
        for split in ("train", "val")
    ]
    for command in commands:
        assert run(command) == 0


def test_the_layout_of_coco_is_refused_with_the_commands_that_read_its_json(
    tmp_path: Path,
) -> None:
    names = [f"annotations/instances_{split}.json" for split in ("train2017", "val2017")]
    root = write(tmp_path / "coco", "train2017/0.jpg", "val2017/0.jpg", *names)
    commands = annotated_commands(refusal(root))
    assert [(command[2], command[4:]) for command in commands] == [
        (str(root / split), ["--coco", str(root / "annotations" / f"instances_{split}.json")])
        for split in ("train2017", "val2017")
    ]


def test_xml_that_is_left_out_is_named_with_the_command_that_reads_it(tmp_path: Path) -> None:
    photos = write(tmp_path / "VOC", "JPEGImages/0.jpg", "Annotations/0.xml")
    notes = " ".join(open_source(str(photos)).notes)
    assert f"--boxes {photos / 'Annotations'}" in notes
