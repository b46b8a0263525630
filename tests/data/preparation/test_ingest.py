"""What prepare writes, what it sets aside, and how it goes on after an interruption."""

import hashlib
import io
import json
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from poise.config import PoiseError
from poise.config.locations import Location
from poise.data.dataset import ImageDataset
from poise.data.manifest import AnnotationKind, Manifest
from poise.data.preparation import ingest
from poise.data.preparation.ingest import prepare
from poise.data.preparation.preparation_progress import PrepareProgress
from poise.data.preparation.shards import ShardReport, write_shard
from poise.data.sources.base import Part
from poise.data.sources.options import PrepareOptions
from poise.data.views.decode import decode_rgb
from tests.data.images import encode, noise_image, noise_jpeg, write_class_folders


def files_of(folder: Path) -> dict[str, str]:
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.glob("shard-*")
    }


def quarantine_of(folder: Path) -> dict[str, str]:
    lines = (folder / "quarantine.jsonl").read_text(encoding="utf-8").splitlines()
    return {entry["path"]: entry["reason"] for entry in map(json.loads, lines)}


@pytest.fixture
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest, "SAMPLES_PER_SHARD", 4)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return write_class_folders(tmp_path / "photos", per_class=7)


def test_the_dataset_holds_the_original_bytes_labels_and_paths(
    photos: Path, tmp_path: Path
) -> None:
    manifest = prepare(str(photos), tmp_path / "dataset")
    assert Manifest.read(tmp_path / "dataset") == manifest
    assert (manifest.name, manifest.num_samples, manifest.classes) == (
        "dataset",
        14,
        ("ant", "bee"),
    )
    read = ImageDataset.open(tmp_path / "dataset").read(np.arange(14))
    assert read.images[8] == (photos / "bee" / "1.jpg").read_bytes()
    assert read.labels.tolist() == [0] * 7 + [1] * 7
    table = pq.read_table(tmp_path / "dataset" / "shard-00000.parquet")
    assert table.column("path")[8].as_py() == "bee/1.jpg"
    for shard in manifest.shards:
        data = (tmp_path / "dataset" / shard.file).read_bytes()
        assert hashlib.sha256(data).hexdigest() == shard.sha256


def test_the_channel_statistics_are_exact(photos: Path, tmp_path: Path) -> None:
    manifest = prepare(str(photos), tmp_path / "dataset")
    pixels = np.stack(
        [np.asarray(decode_rgb(path.read_bytes())) for path in sorted(photos.rglob("*.jpg"))]
    )
    scaled = pixels.reshape(-1, 3) / 255.0
    np.testing.assert_allclose(manifest.channel_mean, scaled.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(manifest.channel_std, scaled.std(axis=0), rtol=1e-9)


def test_row_groups_are_as_large_as_the_manifest_says(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    for number in range(300):
        data = noise_jpeg(0) if number % 3 else b"broken"
        (tmp_path / "photos" / f"{number:03d}.jpg").write_bytes(data)
    manifest = prepare(str(tmp_path / "photos"), tmp_path / "dataset")
    assert (manifest.num_samples, manifest.num_quarantined) == (200, 100)
    metadata = pq.read_metadata(tmp_path / "dataset" / manifest.shards[0].file)
    rows = [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]
    assert rows == [manifest.rows_per_group, 200 - manifest.rows_per_group]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_bad_files_are_set_aside_with_their_reason_and_never_stop_the_run(
    photos: Path, tmp_path: Path
) -> None:
    large = encode(noise_image(1, px=96))
    bad = {
        "ant/truncated.jpg": (large[: len(large) // 2], "truncated"),
        "ant/empty.png": (b"", "empty"),
        "ant/notes.txt": (b"to do", "not an image"),
        "bee/pixel.png": (encode(Image.new("RGB", (1, 1)), "PNG"), "1×1"),
        "bee/bomb.png": (encode(Image.new("1", (20_000, 10_000)), "PNG"), "megapixels"),
        "bee/gone.jpg": (None, "cannot be read"),
    }
    for path, (data, _) in bad.items():
        if data is None:
            (photos / path).symlink_to(tmp_path / "nowhere")
        else:
            (photos / path).write_bytes(data)
    manifest = prepare(str(photos), tmp_path / "dataset")
    assert (manifest.num_samples, manifest.num_quarantined) == (14, len(bad))
    reasons = quarantine_of(tmp_path / "dataset")
    assert reasons.keys() == bad.keys()
    for path, (_, reason) in bad.items():
        assert reason in reasons[path]
    for data in ImageDataset.open(tmp_path / "dataset").read(np.arange(14)).images:
        Image.open(io.BytesIO(data)).load()


def test_a_source_of_nothing_but_bad_files_is_one_line_and_leaves_no_manifest(
    tmp_path: Path,
) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_bytes(b"broken")
    with pytest.raises(PoiseError, match=r"none of its 1 files is a usable image \(a.jpg"):
        prepare(str(tmp_path / "photos"), tmp_path / "dataset")
    assert not (tmp_path / "dataset" / "manifest.json").exists()
    assert quarantine_of(tmp_path / "dataset") == {"a.jpg": "not an image that Pillow reads"}


def test_the_fingerprint_is_of_bytes_and_labels_alone(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = prepare(str(photos), tmp_path / "one").fingerprint
    monkeypatch.setattr(ingest, "SAMPLES_PER_SHARD", 3)
    (photos / "ant" / "zzz.jpg").write_bytes(b"broken")
    assert prepare(str(photos), tmp_path / "two", parallel=False).fingerprint == expected
    (photos / "ant" / "0.jpg").rename(photos / "bee" / "00.jpg")
    assert prepare(str(photos), tmp_path / "three", parallel=False).fingerprint != expected


@pytest.mark.usefixtures("small_shards")
def test_an_interrupted_run_leaves_no_manifest_and_goes_on_where_it_stopped(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = prepare(str(photos), tmp_path / "whole")
    written: list[str] = []

    def counted(part: Part, path: Location, kinds: Sequence[AnnotationKind]) -> ShardReport:
        if interrupted and len(written) == 2:
            raise KeyboardInterrupt
        written.append(path.name)
        return write_shard(part, path, kinds)

    interrupted = True
    monkeypatch.setattr(ingest, "write_shard", counted)
    folder = tmp_path / "dataset"
    with pytest.raises(KeyboardInterrupt):
        prepare(str(photos), folder, parallel=False)
    assert not (folder / "manifest.json").exists()
    interrupted = False
    seen: list[PrepareProgress] = []
    manifest = prepare(str(photos), folder, parallel=False, on_progress=seen.append)
    assert written == [f"shard-0000{number}.parquet" for number in range(4)]  # none twice
    assert seen[0].done == 8
    assert manifest.shards == whole.shards
    assert manifest.fingerprint == whole.fingerprint
    assert {path.name for path in folder.iterdir()} == {
        "manifest.json",
        "prepare.json",
        "quarantine.jsonl",
        *files_of(folder),
    }


@pytest.mark.usefixtures("small_shards")
def test_a_shard_that_was_cut_short_is_written_again(photos: Path, tmp_path: Path) -> None:
    folder = tmp_path / "dataset"
    prepare(str(photos), folder)
    before = files_of(folder)
    shard = folder / "shard-00001.parquet"
    shard.write_bytes(shard.read_bytes()[:100])
    prepare(str(photos), folder)
    assert files_of(folder) == before


def test_a_finished_dataset_is_found_without_looking_at_an_image(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = prepare(str(photos), tmp_path / "dataset")
    monkeypatch.delattr(ingest, "write_shard")
    assert prepare(str(photos), tmp_path / "dataset") == first


def test_a_folder_with_something_else_in_it_is_left_alone(photos: Path, tmp_path: Path) -> None:
    folder = tmp_path / "dataset"
    prepare(str(photos), folder)
    before = files_of(folder)
    with pytest.raises(PoiseError, match=r"holds a different dataset.*with seed 0; give another"):
        prepare("scenes", folder, PrepareOptions(num_images=3))
    os.utime(photos / "ant" / "0.jpg", (1, 1))
    with pytest.raises(PoiseError, match="whose files have changed since"):
        prepare(str(photos), folder)
    with pytest.raises(PoiseError, match="lies in the source"):
        prepare(str(photos), photos / "dataset")
    with pytest.raises(PoiseError, match="not empty, and no dataset"):
        prepare("scenes", photos, PrepareOptions(num_images=3))
    assert files_of(folder) == before


def test_a_subset_is_random_seeded_and_in_the_source_s_order(photos: Path, tmp_path: Path) -> None:
    def paths(folder: str, seed: int) -> list[str]:
        prepare(str(photos), tmp_path / folder, PrepareOptions(num_images=6, seed=seed))
        table = pq.read_table(tmp_path / folder / "shard-00000.parquet")
        return [str(path) for path in table.column("path").to_pylist()]

    first = paths("a", seed=1)
    assert len(first) == 6
    assert first == sorted(first) == paths("b", seed=1)
    assert first != paths("c", seed=2)
    with pytest.raises(PoiseError, match=r"--num-images 15: .* holds 14 images"):
        prepare(str(photos), tmp_path / "d", PrepareOptions(num_images=15))


def test_scenes_bring_boxes_and_masks(tmp_path: Path) -> None:
    manifest = prepare(
        "scenes", tmp_path / "dataset", PrepareOptions(num_images=5, seed=3, image_px=16)
    )
    assert manifest.source == "scenes --num-images 5 --image-px 16"
    table = pq.read_table(tmp_path / "dataset" / manifest.shards[0].file)
    assert table.column_names[:5] == ["image", "label", "path", "mask", "boxes"]
    assert manifest.annotations == ("mask", "boxes")
    assert (manifest.mask_classes, manifest.mask_values) == (("object",), (0, 1))
    assert manifest.box_classes == manifest.classes
    (box,) = table.column("boxes")[0].as_py()
    mask = np.asarray(Image.open(io.BytesIO(table.column("mask")[0].as_py())))
    rows, columns = np.nonzero(mask == 1)
    assert box == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]


def test_a_second_process_that_prepares_the_same_folder_is_refused_and_changes_nothing(
    photos: Path, tmp_path: Path
) -> None:
    # The one that ended first deleted the other's files; with other options both wrote shards.
    folder = tmp_path / "dataset"
    refused: list[str] = []

    def try_another(progress: PrepareProgress) -> None:
        for options in (PrepareOptions(), PrepareOptions(num_images=2)):
            with pytest.raises(PoiseError) as raised:
                prepare(str(photos), folder, options)
            refused.append(str(raised.value))

    manifest = prepare(str(photos), folder, parallel=False, on_progress=try_another)
    assert refused and all("another process is preparing" in each for each in refused)
    assert prepare(str(photos), folder) == manifest
    assert ".prepare.lock" not in {path.name for path in folder.iterdir()}


def test_a_lock_that_a_killed_process_left_stops_nothing(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "dataset").mkdir()
    (tmp_path / "dataset" / ".prepare.lock").touch()
    assert prepare(str(photos), tmp_path / "dataset").num_samples


def test_a_folder_that_cannot_be_written_to_is_one_line(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(PoiseError, match="cannot be written to"):
        prepare(str(photos), tmp_path / "file" / "dataset")
