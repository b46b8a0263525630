"""Folders of frames become videos, in the layout of DAVIS and in others."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from poise.config import PoiseError
from poise.data.annotations import sequences_of
from poise.data.dataset import ImageDataset
from poise.data.sources.annotated.sequences import frame_order
from poise.data.sources.opening import open_source
from poise.data.sources.options import PrepareOptions
from tests.data.annotated_files import mask_of, prepared, write_images, write_mask, write_text


def write_davis(root: Path, **lengths: int) -> Path:
    """Videos in the layout of DAVIS: two objects in every frame, which move."""
    for name, length in lengths.items():
        for frame in range(length):
            write_images(root / "JPEGImages" / "480p" / name, f"{frame:05d}.jpg")
            mask = mask_of((1, frame, 2, frame + 5, 9), (2, 20, frame, 30, frame + 8))
            write_mask(root / "Annotations" / "480p" / name / f"{frame:05d}.png", mask)
    write_text(root / "ImageSets" / "2017" / "val.txt", "\n".join(sorted(lengths)[:2]))
    return root


def test_the_layout_of_davis_gives_videos_and_masks_of_objects(tmp_path: Path) -> None:
    root = write_davis(tmp_path / "DAVIS", bear=3, camel=4, train=2)
    manifest, found = prepared(
        root / "JPEGImages" / "480p",
        masks=root / "Annotations" / "480p",
        sequences=True,
        list_file=root / "ImageSets" / "2017" / "val.txt",
    )
    assert manifest.annotations == ("mask", "sequence")
    assert (manifest.mask_values, manifest.mask_classes, manifest.classes) == ((0, 1, 2), (), ())
    assert list(found.sequences) == ["bear"] * 3 + ["camel"] * 4
    assert list(found.frames) == [0, 1, 2, 0, 1, 2, 3]
    expected = mask_of((1, 2, 2, 7, 9), (2, 20, 2, 30, 10))
    np.testing.assert_array_equal(found.masks[5], expected)
    videos = sequences_of(ImageDataset.open(root / "JPEGImages" / "480p-prepared"))
    assert {name: ids.tolist() for name, ids in videos.items()} == {
        "bear": [0, 1, 2],
        "camel": [3, 4, 5, 6],
    }


def test_a_folder_above_the_videos_gives_their_names_more_parts(tmp_path: Path) -> None:
    root = write_davis(tmp_path / "DAVIS", bear=2, camel=2)
    _, found = prepared(root / "JPEGImages", sequences=True)
    assert set(found.sequences) == {"480p/bear", "480p/camel"}


def test_numbers_in_names_count_as_numbers(tmp_path: Path) -> None:
    names = [f"frame{number}.jpg" for number in (10, 9, 100, 1)]
    _, found = prepared(write_images(tmp_path / "clip", *names), sequences=True)
    assert list(found.sequences) == ["clip"] * 4
    source = open_source(str(tmp_path / "clip"), PrepareOptions(sequences=True))
    paths = [sample.path for sample in source.part(np.arange(4)).samples()]
    assert paths == ["frame1.jpg", "frame9.jpg", "frame10.jpg", "frame100.jpg"]


def test_the_order_of_names_is_total() -> None:
    names = ["a/1.jpg", "a/01.jpg", "a/x1y2.jpg", "a/x1y10.jpg", "a/.jpg", "b/0.jpg", "a/²3.jpg"]
    assert sorted(names, key=frame_order) == sorted(reversed(names), key=frame_order)


def test_a_frame_that_cannot_be_read_leaves_a_gap(tmp_path: Path) -> None:
    clip = write_images(tmp_path / "clip", "0.jpg", "1.jpg", "2.jpg")
    (clip / "1.jpg").write_bytes(b"broken")
    manifest, found = prepared(clip, sequences=True)
    assert (manifest.num_quarantined, list(found.frames)) == (1, [0, 2])


@pytest.mark.parametrize(
    ("names", "options", "fault"),
    [
        (("a/0.jpg", "1.jpg"), {}, "holds the frame '1.jpg' beside folders of frames"),
        (("a/0.jpg",), {"label": "folders"}, "videos have no labels"),
    ],
)
def test_videos_that_can_be_read_in_two_ways_are_refused(
    tmp_path: Path, names: tuple[str, ...], options: dict[str, Any], fault: str
) -> None:
    clips = write_images(tmp_path / "clips", *names)
    with pytest.raises(PoiseError, match=fault):
        prepared(clips, sequences=True, **options)


def test_a_frame_without_a_mask_is_refused_with_both_files(tmp_path: Path) -> None:
    root = write_davis(tmp_path / "DAVIS", bear=3)
    (root / "Annotations" / "480p" / "bear" / "00001.png").unlink()
    with pytest.raises(PoiseError, match=r"'bear/00001.jpg' has no mask '.*bear/00001.png'"):
        prepared(root / "JPEGImages" / "480p", masks=root / "Annotations" / "480p", sequences=True)
