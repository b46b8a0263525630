"""Masks, boxes and sequences come back from a prepared dataset as they went in."""

import io
import json
import tracemalloc
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from poise.config import PoiseError
from poise.data.annotations import (
    NO_CLASS,
    AnnotationReader,
    annotation_kinds,
    read_annotations,
)
from poise.data.dataset import ImageDataset
from poise.data.manifest import MANIFEST_FILE
from poise.data.preparation.ingest import prepare
from poise.data.sources.options import PrepareOptions
from poise.data.sources.scene_drawing import draw_scene
from tests.data.builders import write_blobs

COUNT = 300


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> ImageDataset:
    folder = tmp_path_factory.mktemp("annotations") / "scenes"
    prepare("scenes", folder, PrepareOptions(num_images=COUNT, image_px=16, seed=1))
    return ImageDataset.open(folder)


@pytest.mark.slow
def test_a_request_comes_back_in_its_own_order(scenes: ImageDataset) -> None:
    ids = np.array([299, 0, 130, 0])
    found = AnnotationReader(scenes, "mask", "boxes").read(ids)
    assert len(found) == len(found.masks) == len(found.boxes) == 4
    for place, index in enumerate(ids.tolist()):
        drawn = draw_scene(1, index, 16)
        np.testing.assert_array_equal(found.masks[place], drawn.mask)
        np.testing.assert_array_equal(found.boxes[place], drawn.boxes)
        assert found.box_labels[place].tolist() == [drawn.label]
        assert found.box_difficult[place].tolist() == [False]
    assert [str(each[0].dtype) for each in (found.boxes, found.masks)] == ["int32", "uint8"]


def test_a_pass_yields_one_row_group_at_a_time(scenes: ImageDataset) -> None:
    pieces = list(read_annotations(scenes, np.arange(0, COUNT, 2), "boxes"))
    assert [len(piece) for piece in pieces] == [64, 64, 22]
    assert np.concatenate([piece.sample_ids for piece in pieces]).tolist() == [*range(0, COUNT, 2)]
    assert not pieces[0].masks  # not asked for


def test_nothing_asked_is_nothing_read(scenes: ImageDataset) -> None:
    nothing = np.empty(0, dtype=np.int64)
    assert list(read_annotations(scenes, nothing, "mask")) == []
    assert len(AnnotationReader(scenes, "mask").read(nothing)) == 0


def test_ids_that_do_not_ascend_or_do_not_exist_are_refused(scenes: ImageDataset) -> None:
    with pytest.raises(ValueError, match="must ascend"):
        read_annotations(scenes, np.array([2, 1]), "mask")
    with pytest.raises(IndexError, match="from 0 to 299"):
        AnnotationReader(scenes, "mask").read(np.array([COUNT]))


def test_a_dataset_without_annotations_names_the_command_that_prepares_them(
    tmp_path: Path,
) -> None:
    write_blobs(tmp_path / "blobs", 3)
    dataset = ImageDataset.open(tmp_path / "blobs")
    assert annotation_kinds(dataset) == ()
    with pytest.raises(PoiseError, match=r"blobs: has no masks; .*--masks FOLDER.*prepare scenes"):
        read_annotations(dataset, np.arange(3), "mask")
    with pytest.raises(PoiseError, match=r"has no boxes; .*--boxes FOLDER"):
        read_annotations(dataset, np.arange(3), "boxes")
    with pytest.raises(PoiseError, match=r"has no sequences; .*--sequences.*scenes-video"):
        read_annotations(dataset, np.arange(3), "sequence")


def test_scenes_of_an_older_version_still_have_masks_and_boxes(tmp_path: Path) -> None:
    folder = tmp_path / "old"
    prepare("scenes", folder, PrepareOptions(num_images=5, image_px=16))
    manifest = json.loads((folder / MANIFEST_FILE).read_text())
    for name in ("annotations", "mask_classes", "mask_values", "box_classes"):
        del manifest[name]
    del manifest["annotation_fingerprint"]
    (folder / MANIFEST_FILE).write_text(json.dumps(manifest))
    shard = folder / manifest["shards"][0]["file"]
    table = pq.read_table(shard).drop_columns(["box_labels", "box_difficult", "box_truncated"])
    pq.write_table(table, shard, row_group_size=128)
    dataset = ImageDataset.open(folder)
    assert annotation_kinds(dataset) == ("mask", "boxes")
    found = AnnotationReader(dataset, "mask", "boxes").read(np.array([4]))
    assert found.masks[0].shape == (16, 16)
    assert found.boxes[0].shape == (1, 4)
    assert found.box_labels[0].tolist() == [NO_CLASS]
    assert found.box_difficult[0].tolist() == [False]


def test_a_mask_that_was_damaged_on_disk_is_one_line(tmp_path: Path) -> None:
    folder = tmp_path / "broken"
    manifest = prepare("scenes", folder, PrepareOptions(num_images=2, image_px=16))
    shard = folder / manifest.shards[0].file
    table = pq.read_table(shard)
    column = table.column_names.index("mask")
    table = table.set_column(column, "mask", pa.array([b"no image", b""], pa.binary()))
    pq.write_table(table, shard)
    found = AnnotationReader(ImageDataset.open(folder), "mask").read(np.arange(2))
    for place in range(2):
        with pytest.raises(PoiseError, match=rf"sample {place}: its mask cannot be decoded"):
            found.masks[place]


@pytest.mark.slow
def test_masks_are_decoded_when_they_are_asked_for(tmp_path: Path) -> None:
    folder = tmp_path / "large"
    prepare("scenes", folder, PrepareOptions(num_images=40, image_px=512))
    dataset = ImageDataset.open(folder)
    found = AnnotationReader(dataset, "mask").read(np.arange(40))
    tracemalloc.start()
    shares = [float(mask.mean()) for mask in found.masks]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert min(shares) > 0
    assert peak < 10 * 512 * 512  # all forty decoded at once are 40 · 512²


def test_annotations_have_a_fingerprint_of_their_own(tmp_path: Path) -> None:
    first = prepare("scenes", tmp_path / "a", PrepareOptions(num_images=3, image_px=16))
    again = prepare("scenes", tmp_path / "b", PrepareOptions(num_images=3, image_px=16))
    other = prepare("scenes", tmp_path / "c", PrepareOptions(num_images=3, image_px=16, seed=1))
    assert len(first.annotation_fingerprint) == 64
    assert first.annotation_fingerprint == again.annotation_fingerprint
    assert first.annotation_fingerprint != other.annotation_fingerprint


def test_masks_are_stored_as_png_of_one_channel(scenes: ImageDataset) -> None:
    table = pq.read_table(scenes.folder / scenes.manifest.shards[0].file, columns=["mask"])
    with Image.open(io.BytesIO(table["mask"][0].as_py())) as mask:
        assert (mask.format, mask.mode) == ("PNG", "L")
